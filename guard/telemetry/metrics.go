package telemetry

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// The bounds of histograms, in seconds. Those of decisions have the gate's target and block condition among them, so
// that whether a quantile is above them is exact; those of operations are the semantic conventions'.
var (
	decisionBounds  = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .075, .1, .15, .25, .5, 1, 2.5, 10}
	callBounds      = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}
	operationBounds = []float64{.01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30, 60, 120, 300}
	approvalBounds  = []float64{5, 15, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 14400, 86400}
)

// metrics are all that is counted, on a registry of their own.
type metrics struct {
	registry   *prometheus.Registry
	decisions  *prometheus.CounterVec
	byTool     *prometheus.CounterVec // nil: not counted
	recorded   prometheus.Observer
	decided    map[string]prometheus.Observer // by answer
	checked    map[string]prometheus.Observer // by answer
	shadowed   *prometheus.CounterVec
	unapproved prometheus.Counter
	outcomes   *prometheus.CounterVec
	calls      map[string]prometheus.Observer // by outcome
	operations *prometheus.HistogramVec
	running    prometheus.Gauge
	items      *prometheus.CounterVec
	version    atomic.Pointer[string] // of the last decision

	approvals func() prometheus.Observer
	scans     func() *prometheus.CounterVec
}

func (m *metrics) register(cfg *Config) {
	m.registry = prometheus.NewRegistry()
	m.decisions = m.counter("touchmark_guard_decisions_total", "Requests that were decided.", "verb", "capability", "decision", "code")
	if cfg.Tools != nil {
		m.byTool = m.counter("touchmark_guard_tool_decisions_total", "Decisions about tools, by the names that are configured.", "tool", "decision")
	}
	m.decided = each(m.histogram("touchmark_guard_decision_duration_seconds", "Time to identify the caller and decide, without the record.", decisionBounds, "answer"), answerAllowed, answerRefused)
	m.recorded = m.histogram("touchmark_guard_record_duration_seconds", "Time until the record of a decision was durable.", decisionBounds).WithLabelValues()
	m.checked = each(m.histogram("touchmark_guard_check_duration_seconds", "Time from a request to its answer or its permission to run, with the record.", decisionBounds, "answer"), answerAllowed, answerRefused)
	m.shadowed = m.counter("touchmark_guard_shadow_decisions_total", "Decisions that were written down and not enforced, by what they would have been.", "scope", "would")
	m.unapproved = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "touchmark_guard_unapproved_high_risk_writes_total", Help: "High-risk writes that ran and that nobody had approved.",
	})
	m.outcomes = m.counter("touchmark_guard_outcomes_total", "Granted requests that ended, by how.", "outcome", "class")
	m.calls = each(m.histogram("touchmark_guard_call_duration_seconds", "Time from a granted request to its end.", callBounds, "outcome"), outcomeOK, outcomeError, outcomeInput)
	m.operations = m.histogram("mcp_server_operation_duration_seconds", "Duration of requests of MCP, by the semantic conventions of OpenTelemetry.",
		operationBounds, "mcp_method_name", "error_type")
	m.running = prometheus.NewGauge(prometheus.GaugeOpts{Name: "touchmark_guard_calls_running", Help: "Granted requests that have not ended."})
	m.items = m.counter("touchmark_telemetry_items_total", "Spans and logs that were made, and what became of them; what is neither exported nor failed waits or was dropped.", "signal", "result")
	m.registry.MustRegister(m.unapproved, m.running, &policyInfo{m: m, version: cfg.PolicyVersion},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if cfg.Backlog != nil {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "touchmark_evidence_backlog_records", Help: "Records that are durable here and not yet in the log.",
		}, func() float64 { return float64(cfg.Backlog()) }))
	}
	m.approvals = sync.OnceValue(m.registerApprovals)
	m.scans = sync.OnceValue(m.registerScans)
}

func (m *metrics) counter(name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	m.registry.MustRegister(v)
	return v
}

func (m *metrics) histogram(name, help string, bounds []float64, labels ...string) *prometheus.HistogramVec {
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: bounds}, labels)
	m.registry.MustRegister(v)
	return v
}

// each makes the series of a histogram, so that they are there from the start.
func each(v *prometheus.HistogramVec, values ...string) map[string]prometheus.Observer {
	series := make(map[string]prometheus.Observer, len(values))
	for _, value := range values {
		series[value] = v.WithLabelValues(value)
	}
	return series
}

func (m *metrics) registerApprovals() prometheus.Observer {
	return m.histogram("touchmark_approval_wait_seconds", "Time that requests for an approval waited for an answer.", approvalBounds).WithLabelValues()
}

func (m *metrics) registerScans() *prometheus.CounterVec {
	v := m.counter("touchmark_output_scans_total", "Results that were looked through before they were handed out.", "verdict")
	v.WithLabelValues(scanPass)
	v.WithLabelValues(scanQuarantine)
	return v
}

const (
	scanPass       = "pass"
	scanQuarantine = "quarantine"
)

// ObserveApprovals returns what a service of approvals calls with the time that each request for one has waited. A
// program without such a service does not call it, and has no such metric.
func (t *Telemetry) ObserveApprovals() func(waited time.Duration) {
	h := t.approvals()
	return func(waited time.Duration) { h.Observe(waited.Seconds()) }
}

// ObserveScans returns what a stage that looks through results calls for each of them. A program without one does not
// call it, and has no such metric.
func (t *Telemetry) ObserveScans() func(quarantined bool) {
	v := t.scans()
	pass, quarantine := v.WithLabelValues(scanPass), v.WithLabelValues(scanQuarantine)
	return func(quarantined bool) {
		if quarantined {
			quarantine.Inc()
			return
		}
		pass.Inc()
	}
}

// policyInfo is a gauge of 1 whose label is the version in force: one series, whatever versions there were.
type policyInfo struct {
	m       *metrics
	version func() string
}

var policyInfoDesc = prometheus.NewDesc("touchmark_guard_policy_info", "The digest of the rules in force.", []string{"version"}, nil)

func (p *policyInfo) Describe(ch chan<- *prometheus.Desc) { ch <- policyInfoDesc }

func (p *policyInfo) Collect(ch chan<- prometheus.Metric) {
	version := ""
	if p.version != nil {
		version = p.version()
	} else if last := p.m.version.Load(); last != nil {
		version = *last
	}
	if version != "" {
		ch <- prometheus.MustNewConstMetric(policyInfoDesc, prometheus.GaugeValue, 1, bounded(version))
	}
}

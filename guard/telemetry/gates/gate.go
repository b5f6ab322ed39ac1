package gates

import "time"

// A Gate is one bound on operation: a target, and the condition from which on operation has to stop.
type Gate struct {
	ID     string // "decision_latency"
	Title  string // "Policy decision p95 latency"
	Owner  string // who has to act
	Unit   string // of Target, Block and what is measured: "s", "ratio", or "" for a number of events
	Metric string // what is measured

	// Target is met by a measure that is not above it; where StrictTarget is set, by one below it.
	Target       float64
	StrictTarget bool

	// Block is exceeded by a measure above it, and if For is set, by one that stays above it for that long.
	Block float64
	For   time.Duration

	// Optional gates concern a part that a guard may do without. Without its metric the gate does not apply.
	Optional bool

	measure func(*span) (measure, error)
}

// The metrics that the gates measure (spec/telemetry.md).
const (
	MetricDecisionDuration = "touchmark_guard_decision_duration_seconds"
	MetricUnapprovedWrites = "touchmark_guard_unapproved_high_risk_writes_total"
	MetricApprovalWait     = "touchmark_approval_wait_seconds"
	MetricRegistryServers  = "touchmark_registry_servers_total"
	MetricOutputScans      = "touchmark_output_scans_total"

	metricCheckDuration = "touchmark_guard_check_duration_seconds"
)

// All returns the gates, in the order of the specification.
func All() []Gate {
	return []Gate{
		{
			ID: "decision_latency", Title: "Policy decision p95 latency", Owner: "Platform", Unit: "s",
			Metric: MetricDecisionDuration, Target: 0.05, Block: 0.15, For: 15 * time.Minute,
			measure: quantileOf(MetricDecisionDuration, p95),
		},
		{
			ID: "unapproved_writes", Title: "Unapproved high-risk writes", Owner: "Governance",
			Metric:  MetricUnapprovedWrites,
			measure: increaseOf(MetricUnapprovedWrites, "", ""),
		},
		{
			ID: "approval_wait", Title: "Approval queue median wait", Owner: "Ops Lead", Unit: "s", Optional: true,
			Metric: MetricApprovalWait, Target: 600, Block: 1200, For: 30 * time.Minute,
			measure: quantileOf(MetricApprovalWait, 0.5),
		},
		{
			ID: "unknown_servers", Title: "Unknown server connections", Owner: "Security", Optional: true,
			Metric:  MetricRegistryServers,
			measure: increaseOf(MetricRegistryServers, "verdict", "unknown"),
		},
		{
			ID: "output_quarantine", Title: "Output quarantine ratio", Owner: "Safety Team", Unit: "ratio", Optional: true,
			Metric: MetricOutputScans, Target: 0.01, StrictTarget: true, Block: 0.03, For: 15 * time.Minute,
			measure: ratioOf(MetricOutputScans, "verdict", "quarantine"),
		},
	}
}

// State says how operation stands to a gate. The zero State says nothing.
type State string

// The states.
const (
	Within  State = "within"  // the target is met
	Missed  State = "missed"  // the target is missed, and the block condition is not met
	Blocked State = "blocked" // the block condition is met
	NoData  State = "no_data" // nothing was measured, or the gate does not apply
)

// judge takes a measure of which only a lower bound is known for one above everything.
func (g *Gate) judge(m Measure) State {
	switch {
	case m.Value > g.Block || m.AtLeast:
		return Blocked
	case m.Value > g.Target || g.StrictTarget && m.Value == g.Target:
		return Missed
	}
	return Within
}

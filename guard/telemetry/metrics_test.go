package telemetry_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/telemetry"
	"github.com/touchmark-dev/touchmark/guard/telemetry/gates"
)

func TestMetricsOfAGuard(t *testing.T) {
	tel := newTelemetry(t, &telemetry.Config{Tools: []string{"open", "shut"}, Backlog: func() int { return 7 }})
	now := time.Now() // stands still: how fast this machine is says nothing about the gate
	g := guardtest.New(t).Guard(withRules(tel), func(c *guard.Config) { c.Time = func() time.Time { return now } })
	for _, name := range []string{"open", "open", "shut", "approve", "made up"} {
		grant, err := g.Check(t.Context(), guardtest.Call(name, `{}`))
		if err != nil {
			continue
		}
		wantSample(t, scrape(t, tel), "touchmark_guard_calls_running 1")
		class := map[bool]string{true: "tool_error"}[name == "made up"]
		if err := grant.Finish(t.Context(), guard.Outcome{ErrorClass: class}); err != nil {
			t.Error(err)
		}
	}
	m := scrape(t, tel)
	for _, sample := range []string{
		`touchmark_guard_decisions_total{capability="tool",code="",decision="allow",verb="invoke"} 3`,
		`touchmark_guard_decisions_total{capability="tool",code="TOOL_AUTH_MISSING",decision="deny",verb="invoke"} 1`,
		`touchmark_guard_decisions_total{capability="tool",code="APPROVAL_REQUIRED",decision="require_approval",verb="invoke"} 1`,
		`touchmark_guard_tool_decisions_total{decision="allow",tool="open"} 2`,
		`touchmark_guard_tool_decisions_total{decision="allow",tool="other"} 1`,
		`touchmark_guard_tool_decisions_total{decision="deny",tool="shut"} 1`,
		`touchmark_guard_decision_duration_seconds_count{answer="allowed"} 3`,
		`touchmark_guard_decision_duration_seconds_count{answer="refused"} 2`,
		`touchmark_guard_check_duration_seconds_count{answer="refused"} 2`,
		`touchmark_guard_record_duration_seconds_count 5`,
		`touchmark_guard_outcomes_total{class="",outcome="ok"} 2`,
		`touchmark_guard_outcomes_total{class="tool_error",outcome="error"} 1`,
		`touchmark_guard_call_duration_seconds_count{outcome="ok"} 2`,
		`mcp_server_operation_duration_seconds_count{error_type="",mcp_method_name="tools/call"} 2`,
		`mcp_server_operation_duration_seconds_count{error_type="denied",mcp_method_name="tools/call"} 2`,
		`touchmark_guard_calls_running 0`,
		`touchmark_guard_unapproved_high_risk_writes_total 0`,
		`touchmark_guard_policy_info{version="sha256:rules"} 1`,
		`touchmark_evidence_backlog_records 7`,
	} {
		wantSample(t, m, sample)
	}
	for _, absent := range []string{"touchmark_approval_wait", "touchmark_output_scans", "touchmark_guard_shadow_decisions_total{"} {
		if strings.Contains(m, absent) {
			t.Errorf("there is a %s", absent)
		}
	}
	report := check(t, m)
	if r := report.Results[0]; r.State != gates.Within || r.Events != 5 {
		t.Errorf("the gate of latency: %+v", r)
	}
}

func check(t *testing.T, metrics string) *gates.Report {
	t.Helper()
	s, err := gates.Parse(strings.NewReader(metrics))
	if err != nil {
		t.Fatal(err)
	}
	report, err := gates.Check(s)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// TestHighRiskWrites counts those that ran and nobody approved, in shadow mode too, and no others.
func TestHighRiskWrites(t *testing.T) {
	prod := func(action ...string) *guard.Description {
		d := &guard.Description{RiskTags: []string{"internal", "PROD"}, Labels: map[string]string{}}
		for _, a := range action {
			d.Labels["mcp.action"] = a
		}
		return d
	}
	for _, test := range []struct {
		name string
		d    guard.Decided
		want bool
	}{
		{"write", guard.Decided{Allowed: true, Kind: evidence.Allow, About: prod("write")}, true},
		{"constrained write", guard.Decided{Allowed: true, Kind: evidence.AllowWithConstraints, About: prod("write")}, true},
		{"nobody knows what it does", guard.Decided{Allowed: true, Kind: evidence.Allow, About: prod()}, true},
		{"read", guard.Decided{Allowed: true, Kind: evidence.Allow, About: prod("Read")}, false},
		{"without a tag", guard.Decided{Allowed: true, Kind: evidence.Allow, About: &guard.Description{Labels: map[string]string{"mcp.action": "write"}}}, false},
		{"unknown to the policy", guard.Decided{Allowed: true, Kind: evidence.Allow}, false},
		{"refused", guard.Decided{Kind: evidence.RequireApproval, Code: guard.CodeApprovalRequired, About: prod("write")}, false},
		{"approved", guard.Decided{Allowed: true, Kind: evidence.RequireApproval, About: prod("write")}, false},
		{"in shadow", guard.Decided{Shadow: true, Kind: evidence.RequireApproval, Code: guard.CodeApprovalRequired, About: prod("write")}, true},
		{"not recorded", guard.Decided{Shadow: true, Kind: evidence.Deny, Code: guard.CodeEvidenceUnavailable, About: prod("write")}, false},
	} {
		tel := newTelemetry(t, nil)
		tel.Begin(t.Context(), guardtest.Call("x", "{}")).Decided(&test.d)
		m := scrape(t, tel)
		wantSample(t, m, fmt.Sprintf("touchmark_guard_unapproved_high_risk_writes_total %d", map[bool]int{true: 1}[test.want]))
		if got := check(t, m).Results[1].State == gates.Blocked; got != test.want {
			t.Errorf("%s: blocked %v", test.name, got)
		}
	}
	tel := newTelemetry(t, &telemetry.Config{HighRisk: &telemetry.HighRisk{Tags: []string{"money"}, Action: "effect", ReadActions: []string{"none"}}})
	for _, effect := range []string{"none", "transfer"} {
		d := &guard.Decided{Allowed: true, Kind: evidence.Allow, About: &guard.Description{RiskTags: []string{"money"}, Labels: map[string]string{"effect": effect}}}
		tel.Begin(t.Context(), guardtest.Call("x", "{}")).Decided(d)
	}
	wantSample(t, scrape(t, tel), "touchmark_guard_unapproved_high_risk_writes_total 1")
}

// TestShadow: what shadow would have refused is counted apart, for the guard and for a rule.
func TestShadow(t *testing.T) {
	tel := newTelemetry(t, nil)
	g := guardtest.New(t).Guard(withRules(tel), func(c *guard.Config) { c.UnsafeShadow = true })
	if _, err := g.Check(t.Context(), guardtest.Call("shut", "{}")); err != nil {
		t.Fatal(err)
	}
	tel.Begin(t.Context(), guardtest.Call("x", "{}")).Decided(&guard.Decided{
		Allowed: true, Kind: evidence.Allow, Shadowed: guard.ShadowAnswer{Rule: "trial", Kind: evidence.RequireApproval},
	})
	m := scrape(t, tel)
	wantSample(t, m, `touchmark_guard_shadow_decisions_total{scope="guard",would="deny"} 1`)
	wantSample(t, m, `touchmark_guard_shadow_decisions_total{scope="rule",would="require_approval"} 1`)
}

// TestServices: metrics of services that a program may have are there when it has them, and gates measure them.
func TestServices(t *testing.T) {
	tel := newTelemetry(t, nil)
	waited, scanned := tel.ObserveApprovals(), tel.ObserveScans()
	if r := check(t, scrape(t, tel)).Results; r[2].State != gates.NoData || r[2].NotApplicable || r[4].State != gates.NoData || r[4].NotApplicable {
		t.Errorf("with nothing measured: %+v, %+v", r[2], r[4])
	}
	for range 3 {
		waited(11 * time.Minute)
	}
	tel.ObserveApprovals()(time.Second) // a second service counts on
	for i := range 40 {
		scanned(i == 0)
	}
	r := check(t, scrape(t, tel)).Results
	if r[2].State != gates.Missed || r[2].Events != 4 || r[4].State != gates.Missed || r[4].Value != 1.0/40 {
		t.Errorf("%+v, %+v", r[2], r[4])
	}
}

// TestHandler: one page, with what others write behind it; only to be read.
func TestHandler(t *testing.T) {
	tel := newTelemetry(t, &telemetry.Config{PolicyVersion: func() string { return "sha256:configured" }})
	h := tel.Handler(func(w io.Writer) error {
		_, err := io.WriteString(w, "# TYPE touchmark_registry_servers_total counter\ntouchmark_registry_servers_total{verdict=\"unknown\"} 3\n")
		return err
	})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if got := w.Header().Get("Content-Type"); got != "text/plain; version=0.0.4; charset=utf-8" {
		t.Errorf("Content-Type %q", got)
	}
	wantSample(t, w.Body.String(), `touchmark_guard_policy_info{version="sha256:configured"} 1`)
	if r := check(t, w.Body.String()).Results[3]; r.State != gates.Blocked || r.Value != 3 {
		t.Errorf("unknown servers: %+v", r)
	}
	w = httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", nil))
	if w.Code != http.StatusMethodNotAllowed || strings.Contains(w.Body.String(), "touchmark_") {
		t.Errorf("status %d, %q", w.Code, w.Body)
	}
	w = httptest.NewRecorder()
	tel.Handler(func(io.Writer) error { return errors.New("hunter2") }).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "hunter2") {
		t.Errorf("status %d, %q", w.Code, w.Body)
	}
}

// TestConcurrent observes and reads at once, for the race detector.
func TestConcurrent(t *testing.T) {
	c := newCollector(t)
	tel := newTelemetry(t, &telemetry.Config{OTLP: c.url, LogAllowed: true, Tools: []string{"open"}})
	g := guardtest.New(t).Guard(withRules(tel))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 50 {
				name := []string{"open", "shut", "prod"}[(i+j)%3]
				if grant, err := g.Check(t.Context(), guardtest.Call(name, "{}")); err == nil {
					_ = grant.Finish(t.Context(), guard.Outcome{})
				}
				if j%10 == 0 {
					scrape(t, tel)
				}
			}
		})
	}
	wg.Wait()
	if spans, logs := c.flushed(tel); len(spans) != 400 || len(logs) != 400 {
		t.Errorf("%d spans, %d logs", len(spans), len(logs))
	}
	m := scrape(t, tel)
	for _, signal := range []string{"spans", "logs"} {
		for result, n := range map[string]int{"made": 400, "exported": 400, "failed": 0} {
			wantSample(t, m, fmt.Sprintf("touchmark_telemetry_items_total{result=%q,signal=%q} %d", result, signal, n))
		}
	}
}

package telemetry_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/telemetry"
)

// BenchmarkObserver is what telemetry adds to a call: Begin, Context, Span, Decided and Finished; of metrics alone, and
// with spans and logs that are exported to a collector in this process.
func BenchmarkObserver(b *testing.B) {
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer s.Close()
	for name, cfg := range map[string]*telemetry.Config{
		"metrics": {}, "tools": {Tools: []string{"read_file"}}, "otlp": {OTLP: s.URL}, "continue": {OTLP: s.URL, ContinueTraces: true},
	} {
		b.Run(name, func(b *testing.B) {
			tel := newTelemetry(b, cfg)
			r := guardtest.Call("read_file", `{}`)
			r.RequestID, r.Transport, r.TraceParent = "17", "http", callersParent
			d := &guard.Decided{
				Allowed: true, Kind: evidence.Allow, Rule: "read", PolicyVersion: "sha256:n4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is0V1sFbDwCgg",
				Capability: r.Capability, Level: badge.LevelDomain, Actor: guard.ActorAutomation,
				About:      &guard.Description{RiskTags: []string{"prod"}, Labels: map[string]string{"mcp.action": "read"}},
				EvidenceID: "3dba37bb-0871-4def-b95b-6655128dbe19", DecisionTook: time.Millisecond, RecordTook: time.Millisecond,
			}
			o := &guard.Outcome{}
			b.ReportAllocs()
			for b.Loop() {
				seen := tel.Begin(b.Context(), r)
				_ = seen.Context(b.Context())
				_, _ = seen.Span()
				seen.Decided(d)
				seen.Finished(o, "", 2*time.Millisecond)
			}
		})
	}
}

package telemetry_test

import (
	"context"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/telemetry"
)

// TestNoSpanWithoutExport: without an export the record has what the caller sent, and no span.
func TestNoSpanWithoutExport(t *testing.T) {
	w := guardtest.New(t)
	g := w.Guard(withRules(newTelemetry(t, nil)))
	r := guardtest.Call("open", `{}`)
	r.TraceID, r.TraceParent = callersTrace, callersParent
	if _, err := g.Check(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if d := w.Recorder.Decisions()[0]; d.SpanID != "" || d.TraceID != callersTrace {
		t.Errorf("recorded trace %q, span %q", d.TraceID, d.SpanID)
	}
}

// TestSampling: a caller can neither have its trace dropped nor have it exported.
func TestSampling(t *testing.T) {
	c := newCollector(t)
	for _, test := range []struct {
		ratio float64
		flags string
		want  int
	}{{0, "00", 1}, {1, "01", 2}, {1e-18, "01", 2}} {
		tel := newTelemetry(t, &telemetry.Config{OTLP: c.url, ContinueTraces: true, SampleRatio: test.ratio})
		w := guardtest.New(t)
		r := guardtest.Call("shut", `{}`)
		r.TraceParent = strings.TrimSuffix(callersParent, "01") + test.flags
		_, err := w.Guard(withRules(tel)).Check(t.Context(), r)
		if guard.RefusalOf(err).Code != guard.CodeAuthMissing {
			t.Fatal(err)
		}
		spans, _ := c.flushed(tel)
		if len(spans) != test.want {
			t.Errorf("ratio %v, flags %s: %d spans so far, want %d", test.ratio, test.flags, len(spans), test.want)
		}
		if d := w.Recorder.Decisions()[0]; (d.SpanID == "") != (test.ratio == 1e-18) {
			t.Errorf("ratio %v: recorded span %q", test.ratio, d.SpanID)
		}
	}
}

// lost is a recorder whose disk is full.
type lost struct{}

func (lost) Record(context.Context, *evidence.Draft) (*evidence.Ack, error) {
	return nil, context.DeadlineExceeded
}

// TestRefusedForEvidence: what could not be recorded is told as an error, and as no verdict.
func TestRefusedForEvidence(t *testing.T) {
	c := newCollector(t)
	tel := newTelemetry(t, &telemetry.Config{OTLP: c.url})
	g := guardtest.New(t).Guard(withRules(tel), func(c *guard.Config) { c.Evidence = lost{} })
	if _, err := g.Check(t.Context(), guardtest.Call("open", `{}`)); err == nil {
		t.Fatal("allowed")
	}
	spans, logs := c.flushed(tel)
	if len(spans) != 1 || len(logs) != 1 || logs[0].SeverityNumber.String() != "SEVERITY_NUMBER_ERROR" {
		t.Fatalf("%v, %v", spans, logs)
	}
	if a := attributesOf(spans[0].Attributes); a["error.type"] != "EVIDENCE_UNAVAILABLE" || a["touchmark.evidence.id"] != "" {
		t.Errorf("%v", a)
	}
	wantSample(t, scrape(t, tel), `mcp_server_operation_duration_seconds_count{error_type="undetermined",mcp_method_name="tools/call"} 1`)
}

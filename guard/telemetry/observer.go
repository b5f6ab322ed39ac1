package telemetry

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
)

// Values of the label answer, and of the label outcome.
const (
	answerAllowed = "allowed"
	answerRefused = "refused"
	outcomeOK     = "ok"
	outcomeError  = "error"
	outcomeInput  = "input_required"
)

// observation follows one request. What it keeps of it are words, and texts that are exported in any case.
type observation struct {
	t          *Telemetry
	verb       string
	method     string
	capability guard.Capability
	running    bool

	span  trace.Span           // nil for none
	attrs []attribute.KeyValue // nil if there is no span; set at once in the end, which is cheaper
}

var _ guard.Observation = (*observation)(nil)

// Begin implements [guard.Observer].
func (t *Telemetry) Begin(ctx context.Context, r *guard.Request) guard.Observation {
	method := methodWord(r.Method)
	o := &observation{
		t: t, verb: verbWord(r.Verb), method: method, capability: r.Capability, span: t.startSpan(ctx, r, method),
	}
	if o.span != nil && o.span.IsRecording() || t.logger != nil && t.logsAll {
		o.attrs = requestAttributes(r, method)
	}
	return o
}

// Context implements [guard.Observation].
func (o *observation) Context(ctx context.Context) context.Context {
	if o.span == nil {
		return ctx
	}
	return trace.ContextWithSpan(ctx, o.span)
}

// Span implements [guard.Observation]. A span that is not exported has no ids.
func (o *observation) Span() (traceID, spanID string) {
	if o.span == nil || !o.span.SpanContext().IsSampled() {
		return "", ""
	}
	sc := o.span.SpanContext()
	return sc.TraceID().String(), sc.SpanID().String()
}

// Decided implements [guard.Observation].
func (o *observation) Decided(d *guard.Decided) {
	m, runs := &o.t.metrics, d.Runs()
	answer := answerRefused
	if runs {
		answer = answerAllowed
	}
	kind, code := word(decisionWords, string(d.Kind)), codeWord(d.Code)
	m.decisions.WithLabelValues(o.verb, word(capabilityWords, string(d.Capability.Kind)), kind, code).Inc()
	m.decided[answer].Observe(d.DecisionTook.Seconds())
	m.recorded.Observe(d.RecordTook.Seconds())
	m.checked[answer].Observe((d.DecisionTook + d.RecordTook).Seconds())
	if m.byTool != nil && d.Capability.Kind == guard.KindTool {
		m.byTool.WithLabelValues(o.t.toolWord(d.Capability.Name), kind).Inc()
	}
	if d.Shadow && !d.Allowed {
		m.shadowed.WithLabelValues("guard", kind).Inc()
	}
	if d.Shadowed.Rule != "" {
		m.shadowed.WithLabelValues("rule", word(decisionWords, string(d.Shadowed.Kind))).Inc()
	}
	if d.PolicyVersion != "" {
		if last := m.version.Load(); last == nil || *last != d.PolicyVersion {
			version := d.PolicyVersion
			m.version.Store(&version)
		}
	}
	// A list has no outcome; nor has what was refused.
	o.running = runs && d.Shown == nil && o.verb == "invoke"
	if o.running {
		m.running.Inc()
		if o.t.risk.unapproved(d) {
			m.unapproved.Inc()
		}
	} else {
		o.operation(errorType(d), d.DecisionTook+d.RecordTook)
	}
	logged := o.t.logs(d)
	if o.attrs == nil && logged {
		o.attrs = requestAttributes(&guard.Request{Capability: d.Capability}, o.method)
	}
	if o.attrs != nil {
		o.attrs = decisionAttributes(o.attrs, d)
	}
	if logged {
		o.t.logDecision(o, d)
	}
	if o.span == nil {
		return
	}
	if d.Allowed && o.named() { // a name that is nobody's would make as many spans as there are names
		o.span.SetName(o.method + " " + bounded(o.capability.Name))
	}
	if !o.running {
		o.end(!runs)
	}
}

// end ends the span.
func (o *observation) end(failed bool) {
	if o.span.IsRecording() {
		o.span.SetAttributes(o.attrs...)
		if failed {
			o.span.SetStatus(codes.Error, "") // a description is text for people: there is none
		}
	}
	o.span.End()
}

// named reports whether the name of the capability belongs to the name of the span.
func (o *observation) named() bool {
	return o.capability.Name != "" && (o.capability.Kind == guard.KindTool || o.capability.Kind == guard.KindPrompt)
}

// Finished implements [guard.Observation].
func (o *observation) Finished(out *guard.Outcome, class string, took time.Duration) {
	if !o.running {
		return
	}
	o.running = false
	m, outcome, w := &o.t.metrics, outcomeOK, classWord(class)
	switch {
	case class != "":
		outcome = outcomeError
	case out != nil && out.InputRequired:
		outcome = outcomeInput
	}
	m.running.Dec()
	m.outcomes.WithLabelValues(outcome, w).Inc()
	m.calls[outcome].Observe(took.Seconds())
	o.operation(w, took)
	if o.span == nil {
		return
	}
	if o.attrs != nil {
		o.attrs = append(o.attrs, attrOutcome.String(outcome))
		if class != "" {
			o.attrs = append(o.attrs, attrErrorType.String(w))
		}
	}
	o.end(class != "")
}

func (o *observation) operation(errorType string, took time.Duration) {
	if o.method == otherMethod && o.capability.Kind != guard.KindMethod {
		return // no request of MCP
	}
	o.t.operations.WithLabelValues(o.method, errorType).Observe(took.Seconds())
}

// errorType of what did not run: whether it was a verdict. The code is counted elsewhere.
func errorType(d *guard.Decided) string {
	if d.Runs() {
		return ""
	}
	return refusedWord(d.Code)
}

func (t *Telemetry) toolWord(name string) string {
	if w, ok := t.tools[name]; ok {
		return w
	}
	return other
}

// severe reports whether a refusal is a failure of the guard, and not a verdict.
func severe(d *guard.Decided) bool {
	return d.Kind != evidence.Allow && refusedWord(d.Code) == "undetermined"
}

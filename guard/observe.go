package guard

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/touchmark-dev/touchmark/evidence"
)

// A watch follows one request for an [Observer], which it does not trust to keep its manners. The zero watch does
// nothing.
type watch struct {
	guard   *Guard
	seen    Observation // nil: nobody looks
	started time.Time
}

// watch begins to follow a request. It costs nothing where nobody looks.
func (g *Guard) watch(ctx context.Context, r *Request) watch {
	if g.observer == nil {
		return watch{}
	}
	return g.begin(ctx, r)
}

func (g *Guard) begin(ctx context.Context, r *Request) (w watch) {
	w = watch{guard: g, started: g.now()}
	defer w.shield("Begin")
	w.seen = g.observer.Begin(ctx, r)
	return w
}

// shield ends a panic of the observer. It is to be deferred.
func (w *watch) shield(what string) {
	if p := recover(); p != nil {
		w.guard.log.Error("guard: observer panicked", "in", what, "value", fmt.Sprint(p), "stack", string(debug.Stack()))
	}
}

// context returns ctx with the span of the request.
func (w *watch) context(ctx context.Context) (out context.Context) {
	if w.seen == nil {
		return ctx
	}
	out = ctx
	defer w.shield("Context")
	if with := w.seen.Context(ctx); with != nil {
		out = with
	}
	return out
}

// span returns the ids for the record, and nothing if they are not what they should be: what the record refuses would
// refuse the request.
func (w *watch) span() (trace, span string) {
	if w.seen == nil {
		return "", ""
	}
	defer w.shield("Span")
	t, s := w.seen.Span()
	if !isID(t, 32) || !isID(s, 16) {
		return "", ""
	}
	return t, s
}

// isID reports whether s is an id of the W3C trace context: so many hexadecimal digits in lower case, not all 0.
func isID(s string, digits int) bool {
	zero := true
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
		zero = zero && s[i] == '0'
	}
	return len(s) == digits && !zero
}

// decided tells what came of e, of which the record is ack, or nil.
func (w *watch) decided(e *entry, ack *evidence.Ack, judged time.Time) {
	if w.seen == nil {
		return
	}
	defer w.shield("Decided")
	v := e.verdict
	d := &Decided{
		Allowed: v.allowed(), Shadow: e.shadow, Final: v.final,
		Kind: v.kind(), Code: v.code, Cause: v.cause, Rule: v.rule, PolicyVersion: v.version, Capability: *e.about(),
		Level: e.caller.Level(), Anonymous: e.caller.Anonymous(), Actor: v.actor, About: v.known, Shadowed: v.shadow,
		DecisionTook: judged.Sub(w.started), RecordTook: w.guard.now().Sub(judged),
	}
	if e.list {
		d.Shown, d.Withheld = new(e.shown), new(e.withheld)
	}
	if ack == nil {
		d.Allowed, d.Kind, d.Code, d.Cause = false, evidence.Deny, CodeEvidenceUnavailable, ""
	} else {
		d.EvidenceID = ack.ID
	}
	w.seen.Decided(d)
}

// finished tells how a granted request ended.
func (w *watch) finished(o Outcome, class string, took time.Duration) {
	if w.seen == nil {
		return
	}
	defer w.shield("Finished")
	w.seen.Finished(&o, class, took)
}

package guard_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
)

// observer keeps what it is told. Where is where it panics.
type observer struct {
	where       string
	trace, span string
	blind       bool // it observes nothing
	requests    []*guard.Request
	decided     []*guard.Decided
	finished    []string
}

func (o *observer) at(where string) {
	if o.where == where {
		panic("observer in " + where)
	}
}

func (o *observer) Begin(_ context.Context, r *guard.Request) guard.Observation {
	o.at("Begin")
	o.requests = append(o.requests, r)
	if o.blind {
		return nil
	}
	return o
}

type spanKey struct{}

func (o *observer) Context(ctx context.Context) context.Context {
	o.at("Context")
	if o.where == "no context" {
		return nil
	}
	return context.WithValue(ctx, spanKey{}, o.span)
}

func (o *observer) Span() (trace, span string) { o.at("Span"); return o.trace, o.span }
func (o *observer) Decided(d *guard.Decided)   { o.at("Decided"); o.decided = append(o.decided, d) }

func (o *observer) Finished(out *guard.Outcome, class string, took time.Duration) {
	o.at("Finished")
	o.finished = append(o.finished, fmt.Sprintf("%s %s %v", out.Result, class, took))
}

const (
	traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	spanID  = "00f067aa0ba902b7"
)

func withObserver(o guard.Observer) func(*guard.Config) {
	return func(c *guard.Config) { c.Observer = o }
}

// TestObserver: an observer is told of all that is decided, after it was recorded, and of how it ended.
func TestObserver(t *testing.T) {
	w := guardtest.New(t)
	o := &observer{trace: traceID, span: spanID}
	about := &guard.Description{RiskTags: []string{"prod"}}
	now := time.Unix(1_800_000_000, 0)
	g := w.Guard(withObserver(o), func(c *guard.Config) {
		c.Time = func() time.Time { now = now.Add(time.Second); return now }
		c.Policy = policyFunc(func(in *guard.Input) (guard.Decision, error) {
			d := guard.Decision{Kind: guard.Allow, Rule: "r", MinLevel: badge.LevelDomain, Version: "v", About: about, Actor: guard.ActorHuman}
			d.Shadow = &guard.Shadowed{Rule: "s"}
			return d, nil
		})
	})
	grant, err := g.Check(t.Context(), w.Agent(badge.LevelDomain).Call("x", "{}"))
	if err != nil {
		t.Fatal(err)
	}
	want := &guard.Decided{
		Allowed: true, Kind: evidence.Allow, Rule: "r", PolicyVersion: "v", Capability: item("x").Capability, Level: badge.LevelDomain,
		Actor: guard.ActorHuman, About: about, EvidenceID: grant.Evidence().ID, DecisionTook: time.Second, RecordTook: time.Second,
		Shadowed: o.decided[0].Shadowed,
	}
	if got := last(t, o.decided); !reflect.DeepEqual(got, want) || !got.Runs() || got.Shadowed.Rule != "s" || got.Shadowed.Kind != evidence.Deny {
		t.Errorf("told %+v", got)
	}
	if d := last(t, w.Recorder.Decisions()); d.TraceID != traceID || d.SpanID != spanID {
		t.Errorf("recorded %+v", d)
	}
	out := grant.Run(t.Context(), func(ctx context.Context) guard.Outcome {
		if ctx.Value(spanKey{}) != spanID {
			t.Error("runs without the span")
		}
		return guard.Outcome{Result: []byte("result"), ErrorClass: "tool_error"}
	})
	if err := grant.Finish(t.Context(), out); err != nil || last(t, o.finished) != "result tool_error 4s" {
		t.Errorf("%v, told %q", err, o.finished)
	}
	_, err = g.Check(t.Context(), guardtest.Call("x", "{}"))
	if got := last(t, o.decided); err == nil || got.Runs() || got.Code != guard.CodeAuthMissing || got.Cause != guard.CauseLevelTooLow || !got.Anonymous || got.Kind != evidence.Deny {
		t.Errorf("told %+v", got)
	}
	refused := g.Refuse(t.Context(), guardtest.Call("y", ""), guard.CodeRequestRejected, "HTTP_400")
	if got := last(t, o.decided); got.Code != guard.CodeRequestRejected || got.Cause != "HTTP_400" || got.EvidenceID != guard.RefusalOf(refused).EvidenceID || !got.Final {
		t.Errorf("told %+v", got)
	}
	l, err := g.List(t.Context(), listRequest(w.Agent(badge.LevelDomain)))
	if n := len(o.decided); err != nil || n != 3 {
		t.Errorf("%v, told %d times before the list is decided", err, n)
	}
	_, ack, err := l.Filter(t.Context(), []guard.Item{item("x"), item("y")})
	if got := last(t, o.decided); err != nil || *got.Shown != 2 || *got.Withheld != 0 || got.EvidenceID != ack.ID || !got.Allowed {
		t.Errorf("told %+v", got)
	}
	bad := listRequest(nil)
	bad.Badge = "x"
	if _, err := g.List(t.Context(), bad); err == nil || last(t, o.decided).Code != guard.CodeBadgeInvalid {
		t.Errorf("told %+v", last(t, o.decided))
	}
	w.Recorder.Fail(errors.New("disk full"))
	if _, err := g.Check(t.Context(), w.Agent(badge.LevelDomain).Call("x", "{}")); err == nil {
		t.Error("allowed without a record")
	}
	if got := last(t, o.decided); got.Code != guard.CodeEvidenceUnavailable || got.Allowed || got.Runs() || got.EvidenceID != "" || got.Kind != evidence.Deny {
		t.Errorf("told %+v", got)
	}
	if len(o.requests) != len(o.decided) {
		t.Errorf("%d requests, %d decided", len(o.requests), len(o.decided))
	}
}

// TestObserverManners: an observer that panics, or that observes nothing, changes no decision and no record.
func TestObserverManners(t *testing.T) {
	w := guardtest.New(t)
	for _, o := range []*observer{
		{where: "Begin"}, {where: "Context"}, {where: "no context"}, {where: "Span"}, {where: "Decided"}, {where: "Finished"}, {blind: true},
	} {
		o.trace, o.span = traceID, spanID
		g := w.Guard(withObserver(o), withPolicy(levels))
		grant, err := g.Check(t.Context(), w.Agent(badge.LevelDomain).Call("need2", "{}"))
		if err != nil {
			t.Fatalf("%+v: %v", o, err)
		}
		got := grant.Run(t.Context(), func(context.Context) guard.Outcome { return guard.Outcome{Result: []byte("x")} })
		if err := grant.Finish(t.Context(), got); err != nil || string(got.Result) != "x" {
			t.Errorf("%+v: %v, %+v", o, err, got)
		}
		_, err = g.Check(t.Context(), guardtest.Call("need2", "{}"))
		if got := refusal(t, err); got.Code != guard.CodeAuthMissing || got.EvidenceID == "" {
			t.Errorf("%+v: %+v", o, got)
		}
		l, err := g.List(t.Context(), listRequest(nil))
		if err != nil {
			t.Fatalf("%+v: %v", o, err)
		}
		if visible, _, err := l.Filter(t.Context(), []guard.Item{item("need2")}); err != nil || visible[0] {
			t.Errorf("%+v: %v, %v", o, visible, err)
		}
		if got := guard.RefusalOf(g.Refuse(t.Context(), guardtest.Call("y", ""), guard.CodeRequestRejected, "")); got.Code != guard.CodeRequestRejected {
			t.Errorf("%+v: %+v", o, got)
		}
	}
}

// TestObserverSpan: ids that are none would make the record unreadable, and are left out of it.
func TestObserverSpan(t *testing.T) {
	w := guardtest.New(t)
	for _, c := range []struct{ trace, span string }{
		{"", ""}, {"", spanID}, {traceID, ""}, {traceID[1:], spanID}, {traceID, spanID + "0"}, {strings.ToUpper(traceID), spanID},
		{strings.Repeat("0", 32), spanID}, {traceID, strings.Repeat("0", 16)}, {traceID[:31] + "g", spanID},
	} {
		g := w.Guard(withObserver(&observer{trace: c.trace, span: c.span}), withPolicy(guard.UnsafeAllowAll{}))
		r := guardtest.Call("x", "{}")
		r.TraceID = "as the adapter says"
		if _, err := g.Check(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if d := last(t, w.Recorder.Decisions()); d.SpanID != "" || d.TraceID != r.TraceID {
			t.Errorf("%q, %q: recorded %q, %q", c.trace, c.span, d.TraceID, d.SpanID)
		}
	}
}

// TestObserverShadow: an observer can tell what ran from what was allowed.
func TestObserverShadow(t *testing.T) {
	w := guardtest.New(t)
	o := &observer{}
	g := w.Guard(withObserver(o), withPolicy(finals), inShadow)
	for name, runs := range map[string]bool{"plain": true, "final": false} {
		g.Check(t.Context(), guardtest.Call(name, "{}")) //nolint:errcheck // what the observer is told counts
		if got := last(t, o.decided); got.Allowed || got.Runs() != runs || got.Shadow != runs || got.Final == runs {
			t.Errorf("%s: told %+v", name, got)
		}
	}
}

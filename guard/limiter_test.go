package guard_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
)

// limiter counts what is held, and answers what it is told to.
type limiter struct {
	held, released atomic.Int64
	asked          []guard.LimitKey
	answer         func(k guard.LimitKey) error
}

func (l *limiter) Acquire(_ context.Context, k guard.LimitKey, _ *guard.Constraints) (func(), error) {
	l.asked = append(l.asked, k)
	if l.answer != nil {
		if err := l.answer(k); err != nil {
			return nil, err
		}
	}
	l.held.Add(1)
	return func() { l.held.Add(-1); l.released.Add(1) }, nil
}

var oneAtATime = &guard.Constraints{MaxConcurrent: 1}

// TestLimiterRefuses: a limit that is reached is a verdict; a limiter that fails is none. Neither lets anything run, and
// both are recorded with what they were about.
func TestLimiterRefuses(t *testing.T) {
	w := guardtest.New(t)
	for name, c := range map[string]struct {
		answer func(guard.LimitKey) error
		code   guard.Code
		cause  string
	}{
		"rate":        {limitedBy(guard.CauseRate), guard.CodeConstraintExceeded, guard.CauseRate},
		"concurrency": {limitedBy(guard.CauseConcurrency), guard.CodeConstraintExceeded, guard.CauseConcurrency},
		"retries":     {limitedBy(guard.CauseRetries), guard.CodeConstraintExceeded, guard.CauseRetries},
		"wrapped":     {wrapped(limitedBy(guard.CauseRate)), guard.CodeConstraintExceeded, guard.CauseRate},
		"other cause": {limitedBy("MOON"), guard.CodeConstraintIndeterminate, guard.CauseLimiter},
		"error":       {func(guard.LimitKey) error { return errors.New("no route to host") }, guard.CodeConstraintIndeterminate, guard.CauseLimiter},
		"cancelled":   {func(guard.LimitKey) error { return context.Canceled }, guard.CodeConstraintIndeterminate, guard.CauseLimiter},
		"panic":       {func(guard.LimitKey) error { panic("limiter") }, guard.CodeConstraintIndeterminate, guard.CausePanic},
	} {
		t.Run(name, func(t *testing.T) {
			l := &limiter{answer: c.answer}
			g := w.Guard(withPolicy(under(oneAtATime)), withLimiter(l))
			_, err := g.Check(t.Context(), guardtest.Call("x", "{}"))
			got := refusal(t, err)
			if got.Code != c.code || got.Cause != c.cause || got.Hidden || got.EvidenceID == "" || got.Reason() == "" {
				t.Errorf("got %+v", got)
			}
			if c.code == guard.CodeConstraintExceeded && got.RetryAfter != 3*time.Second {
				t.Errorf("try again after %v", got.RetryAfter)
			}
			d := last(t, w.Recorder.Decisions())
			if d.Kind != evidence.Deny || d.DenyReason != string(c.code) || d.DenyCause != c.cause || d.Rule != "bound" || d.Constraints.MaxConcurrent != 1 {
				t.Errorf("recorded %+v", d)
			}
			if l.held.Load() != 0 {
				t.Error("what was refused holds something")
			}
		})
	}
}

func limitedBy(cause string) func(guard.LimitKey) error {
	return func(guard.LimitKey) error { return &guard.LimitedError{Cause: cause, RetryAfter: 3 * time.Second} }
}

func wrapped(answer func(guard.LimitKey) error) func(guard.LimitKey) error {
	return func(k guard.LimitKey) error { return errors.Join(errors.New("limiter"), answer(k)) }
}

// TestLimiterReleased: what a call takes is given back once: when it ended, and when it could not be recorded.
func TestLimiterReleased(t *testing.T) {
	w := guardtest.New(t)
	l := &limiter{}
	g := w.Guard(withPolicy(under(oneAtATime)), withLimiter(l))
	grant, err := g.Check(t.Context(), guardtest.Call("x", "{}"))
	if err != nil || l.held.Load() != 1 {
		t.Fatalf("%v, %d held", err, l.held.Load())
	}
	w.Recorder.Fail(errors.New("disk full"))
	if err := grant.Finish(t.Context(), guard.Outcome{}); err == nil {
		t.Error("finished without a record")
	}
	if err := grant.Finish(t.Context(), guard.Outcome{}); err == nil || l.held.Load() != 0 || l.released.Load() != 1 {
		t.Errorf("%v, %d held, %d released", err, l.held.Load(), l.released.Load())
	}
	_, err = g.Check(t.Context(), guardtest.Call("x", "{}"))
	if got := refusal(t, err); got.Code != guard.CodeEvidenceUnavailable || l.held.Load() != 0 || l.released.Load() != 2 {
		t.Errorf("%+v, %d held", got, l.held.Load())
	}
}

type releases func()

func (f releases) Acquire(context.Context, guard.LimitKey, *guard.Constraints) (func(), error) {
	return f, nil
}

// TestLimiterManners: what cannot be given back, or panics then, does not change what was decided.
func TestLimiterManners(t *testing.T) {
	w := guardtest.New(t)
	for _, l := range []guard.Limiter{releases(nil), releases(func() { panic("release") })} {
		g := w.Guard(withPolicy(under(oneAtATime)), withLimiter(l))
		grant, err := g.Check(t.Context(), guardtest.Call("x", "{}"))
		if err != nil {
			t.Fatal(err)
		}
		if err := grant.Finish(t.Context(), guard.Outcome{}); err != nil {
			t.Error(err)
		}
	}
}

// TestLimiterAskedLast: nobody uses up a limit with what is refused for another reason, with lists, or with what follows
// work that began before.
func TestLimiterAskedLast(t *testing.T) {
	w := guardtest.New(t)
	l := &limiter{}
	g := w.Guard(withLimiter(l), withPolicy(policyFunc(func(in *guard.Input) (guard.Decision, error) {
		return guard.Decision{Kind: guard.Allow, MinLevel: badge.LevelDomain, Constraints: oneAtATime}, nil
	})))
	owned := w.Agent(badge.LevelDomain).Call("x", "{}")
	owned.Owned = func(*guard.Principal) (guard.Item, bool) { return item("x"), true }
	for _, r := range []*guard.Request{
		guardtest.Call("x", "{}"), w.Agent(badge.LevelSelfSigned).Call("x", "{}"),
		{Verb: guard.Invoke, Method: "tools/call", Badge: "x"}, owned,
	} {
		_, err := g.Check(t.Context(), r)
		if (err == nil) != (r == owned) {
			t.Errorf("got %v", err)
		}
	}
	list, err := g.List(t.Context(), listRequest(w.Agent(badge.LevelDomain)))
	if err != nil {
		t.Fatal(err)
	}
	if visible, _, err := list.Filter(t.Context(), []guard.Item{item("x")}); err != nil || !visible[0] {
		t.Errorf("%v, %v", visible, err)
	}
	if len(l.asked) != 0 {
		t.Errorf("asked about %+v", l.asked)
	}
}

// TestLimiterOfSeveral: a request that uses several things takes all that it needs, or nothing.
func TestLimiterOfSeveral(t *testing.T) {
	w := guardtest.New(t)
	l := &limiter{}
	g := w.Guard(withPolicy(under(oneAtATime)), withLimiter(l))
	r := guardtest.Call("a", "{}")
	r.Further = []guard.Item{item("b"), item("c")}
	grant, err := g.Check(t.Context(), r)
	if err != nil || l.held.Load() != 3 || l.asked[2].Capability.Name != "c" {
		t.Fatalf("%v, asked about %+v", err, l.asked)
	}
	if err := grant.Finish(t.Context(), guard.Outcome{}); err != nil || l.held.Load() != 0 {
		t.Errorf("%v, %d held", err, l.held.Load())
	}
	l.answer = func(k guard.LimitKey) error {
		if k.Capability.Name == "c" {
			return &guard.LimitedError{Cause: guard.CauseConcurrency}
		}
		return nil
	}
	if _, err := g.Check(t.Context(), r); err == nil || l.held.Load() != 0 {
		t.Errorf("%v, %d held", err, l.held.Load())
	}
	if d := last(t, w.Recorder.Decisions()); d.Target != "c" {
		t.Errorf("recorded %+v", d)
	}
}

// TestLimitKey: whose calls are counted together, and what a repeat is.
func TestLimitKey(t *testing.T) {
	w := guardtest.New(t)
	l := &limiter{}
	g := w.Guard(withPolicy(under(&guard.Constraints{MaxRetries: ptr(0)})), withLimiter(l))
	ask := func(r *guard.Request) guard.LimitKey {
		t.Helper()
		if _, err := g.Check(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		return last(t, l.asked)
	}
	agent := w.Agent(badge.LevelDomain)
	over := guardtest.Call("x", "{}")
	over.Channel = channel{}
	for want, r := range map[string]*guard.Request{
		agent.DID.String(): agent.Call("x", "{}"), "channel:unix:uid=0": over, "anonymous": guardtest.Call("x", "{}"),
	} {
		if k := ask(r); k.Caller != want || k.Capability != item("x").Capability {
			t.Errorf("counted as %+v, want %q", k, want)
		}
	}
	first := ask(guardtest.Call("x", `{"a":1,"b":[2]}`)).Params
	again := guardtest.Call("x", ` { "b" : [2.0], "a":1 } `)
	if ask(again).Params != first {
		t.Error("the same call, written in another way, is no repeat")
	}
	again.InputResponses = []byte(`{"r":"yes"}`)
	if ask(again).Params == first || ask(guardtest.Call("y", `{"a":1,"b":[2]}`)).Params == first || ask(guardtest.Call("x", `{"a":1}`)).Params == first {
		t.Error("another call is a repeat")
	}
	if ask(guardtest.Call("x", `{"a":`)).Params == ask(guardtest.Call("x", `{"b":`)).Params {
		t.Error("arguments without a canonical form are all the same")
	}
	if ask(guardtest.Call("x", `{}`)).Params != ask(guardtest.Call("x", ``)).Params {
		t.Error("no arguments are not none")
	}
}

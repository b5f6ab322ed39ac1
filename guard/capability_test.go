package guard_test

import (
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
)

func TestMissing(t *testing.T) {
	w := guardtest.New(t)
	for _, p := range []guard.Policy{nil, guard.UnsafeAllowAll{}, always(guard.Decision{})} {
		g := w.Guard(withPolicy(p))
		r := w.Agent(badge.LevelExtended).Call("x", "{}")
		r.Missing = true
		_, err := g.Check(t.Context(), r)
		if got := refusal(t, err); got.Code != guard.CodeNotFound || !got.Hidden {
			t.Errorf("got %+v", got)
		}
	}
}

// TestOtherMethods: a method that nothing opens is denied, and a verb that is none.
func TestOtherMethods(t *testing.T) {
	w := guardtest.New(t)
	agent := w.Agent(badge.LevelExtended)
	r := &guard.Request{Verb: guard.Invoke, Method: "x/y", Capability: guard.Capability{Kind: guard.KindMethod, Name: "x/y"}, Badge: agent.Badge}
	r.Proof, r.TxnID = agent.Prove(&pop.Call{Method: "x/y", Target: "x/y"})
	_, err := w.Guard().Check(t.Context(), r)
	if got := refusal(t, err); got.Code != guard.CodeMethodDenied || got.Hidden {
		t.Errorf("got %+v", got)
	}
	for _, verb := range []guard.Verb{0, guard.Discover, 9} {
		r := guardtest.Call("x", "{}")
		r.Verb = verb
		_, err := w.Guard(withPolicy(guard.UnsafeAllowAll{})).Check(t.Context(), r)
		if got := refusal(t, err); got.Code != guard.CodeMethodDenied {
			t.Errorf("verb %d: got %+v", verb, got)
		}
	}
}

func TestFurther(t *testing.T) {
	w := guardtest.New(t)
	g := w.Guard(withPolicy(policyFunc(func(in *guard.Input) (guard.Decision, error) {
		return guard.Decision{Kind: guard.Allow, Anonymous: in.Capability.Name != "secret"}, nil
	})))
	r := guardtest.Call("a", "{}")
	r.Further = []guard.Item{{Capability: guard.Capability{Kind: guard.KindResource, Name: "b"}}}
	if _, err := g.Check(t.Context(), r); err != nil {
		t.Error(err)
	}
	r.Further = append(r.Further, guard.Item{Capability: guard.Capability{Kind: guard.KindResource, Name: "secret"}})
	if _, err := g.Check(t.Context(), r); err == nil {
		t.Error("one that is denied among several")
	}
	if d := last(t, w.Recorder.Decisions()); d.Capability != string(guard.KindResource) || d.Target != "secret" {
		t.Errorf("recorded %q, want the one that was denied", d.Target)
	}
}

func TestLongName(t *testing.T) {
	w := guardtest.New(t)
	g := w.Guard(withPolicy(guard.UnsafeAllowAll{}))
	if _, err := g.Check(t.Context(), guardtest.Call(strings.Repeat("a", guard.MaxNameBytes), "{}")); err != nil {
		t.Error(err)
	}
	if _, err := g.Check(t.Context(), guardtest.Call(strings.Repeat("a", guard.MaxNameBytes+1), "{}")); err == nil {
		t.Error("a longer name was matched")
	}
}

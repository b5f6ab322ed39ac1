package guard_test

import (
	"errors"
	"testing"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
)

// TestOwned: what belongs to who made it is decided about as what it came from, for its owner alone; for anybody else
// it is as if it did not exist, also where the policy would allow it.
func TestOwned(t *testing.T) {
	w := guardtest.New(t)
	owner := w.Agent(badge.LevelDomain)
	deny := false
	g := w.Guard(func(c *guard.Config) {
		c.Policy = policyFunc(func(in *guard.Input) (guard.Decision, error) {
			if in.Capability != (guard.Capability{Kind: guard.KindTool, Name: "build"}) {
				t.Errorf("the policy is asked about %+v", in.Capability)
			}
			if deny {
				return guard.Decision{}, nil
			}
			return guard.Decision{Kind: guard.Allow, Anonymous: true}, nil
		})
	})
	get := func(a *guardtest.Agent) *guard.Request {
		r := &guard.Request{
			Verb: guard.Invoke, Method: "tasks/get", Capability: guard.Capability{Kind: guard.KindTask, Name: "t1"}, Target: "tasks/get",
			Owned: func(p *guard.Principal) (guard.Item, bool) {
				return guard.Item{Capability: guard.Capability{Kind: guard.KindTool, Name: "build"}}, p.Subject() == owner.DID
			},
		}
		if a != nil {
			r.Badge = a.Badge
			r.Proof, r.TxnID = a.Prove(&pop.Call{Method: "tasks/get", Target: "tasks/get"})
		}
		return r
	}
	if _, err := g.Check(t.Context(), get(owner)); err != nil {
		t.Error(err)
	}
	if d := w.Recorder.Decisions()[0]; d.Capability != "tool" || d.Target != "build" {
		t.Errorf("recorded %+v", d)
	}
	for _, a := range []*guardtest.Agent{w.Agent(badge.LevelExtended), nil} {
		_, err := g.Check(t.Context(), get(a))
		var denied *guard.DeniedError
		if !errors.As(err, &denied) || denied.Code != guard.CodeNotFound || !denied.Hidden {
			t.Errorf("got %v", err)
		}
		if all := w.Recorder.Decisions(); all[len(all)-1].Target != "t1" || all[len(all)-1].Capability != "task" {
			t.Errorf("recorded %+v", all[len(all)-1])
		}
	}
	deny = true
	if _, err := g.Check(t.Context(), get(owner)); guard.RefusalOf(err).Code != guard.CodePolicyDenied {
		t.Errorf("a decision from before is remembered: %v", err)
	}
}

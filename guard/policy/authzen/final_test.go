package authzen_test

import (
	"context"
	"errors"
	"testing"

	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/policy"
	"github.com/touchmark-dev/touchmark/guard/policy/authzen"
)

// TestAllFinal: what one policy makes final is final wherever it stands, and also where it is not asked: a guard in shadow
// mode would let it run.
func TestAllFinal(t *testing.T) {
	local, err := policy.Parse([]byte(`version: 1
final_levels: [4]
rules:
  - {id: deploys, match: {tool: "deploy*"}, min_level: 4, decision: allow}
  - {id: reads, match: {tool: "read*"}, anonymous: true, decision: allow}
`))
	if err != nil {
		t.Fatal(err)
	}
	denies, fails := &fixed{}, &fixed{err: errors.New("down")}
	allows := &fixed{Decision: guard.Decision{Kind: guard.Allow, Anonymous: true}}
	for name, p := range map[string]guard.Policy{
		"last, denied":    authzen.All(denies, local),
		"last, failed":    authzen.All(fails, local),
		"last, allowed":   authzen.All(allows, local),
		"in between":      authzen.All(denies, local, allows),
		"within another":  authzen.All(fails, authzen.All(allows, local)),
		"first, and fail": authzen.All(local, fails),
	} {
		for tool, final := range map[string]bool{"deploy": true, "read": false} {
			in := input(tool, "")
			if d, _ := p.Decide(t.Context(), in); d.Final != final { //nolint:errcheck // it holds beside one
				t.Errorf("%s, %s: final %v", name, tool, d.Final)
			}
			all, _ := p.(guard.ListPolicy).DecideAll(t.Context(), []*guard.Input{in, input("other", "")}) //nolint:errcheck // as above
			if all[0].Final != final || all[1].Final {
				t.Errorf("%s, %s in a list: final %v, %v", name, tool, all[0].Final, all[1].Final)
			}
		}
	}
	if denies.asked.Load() == 0 {
		t.Error("nobody was asked")
	}
}

// seen keeps what it was told of the class of actor.
type seen struct{ facts guard.Facts }

func (s *seen) Decide(_ context.Context, in *guard.Input) (guard.Decision, error) {
	s.facts = in.Facts
	return guard.Decision{Kind: guard.Allow, Anonymous: true}, nil
}

// TestAllActor: a policy hears of the class of actor that the policies before it found, and of no other.
func TestAllActor(t *testing.T) {
	for _, test := range []struct{ found, known, want guard.Actor }{
		{"", guard.ActorHuman, guard.ActorHuman},
		{guard.ActorHuman, "", guard.ActorHuman},
		{guard.ActorUnclear, guard.ActorHuman, ""},
	} {
		later := &seen{}
		p := authzen.All(&fixed{Decision: guard.Decision{Kind: guard.Allow, Anonymous: true, Actor: test.found}}, later)
		in := input("t", "")
		in.Facts.Actor = test.known
		if _, err := p.Decide(t.Context(), in); err != nil || later.facts.Actor != test.want || later.facts.Disputed != (test.found == guard.ActorUnclear) {
			t.Errorf("%q and %q: %+v, %v", test.found, test.known, later.facts, err)
		}
		if in.Facts.Actor != test.known {
			t.Error("the question was changed")
		}
	}
}

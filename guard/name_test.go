package guard_test

import (
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
)

// TestNamesWithoutRules: a name that no rule can match is not one that no rule denies.
func TestNamesWithoutRules(t *testing.T) {
	w := guardtest.New(t)
	g := w.Guard(withPolicy(policyFunc(func(in *guard.Input) (guard.Decision, error) {
		if len(in.Capability.Name) > guard.MaxNameBytes || strings.Contains(in.Capability.Name, "\xff") {
			t.Errorf("asked about %.20q", in.Capability.Name)
		}
		return guard.Decision{NoRule: true}, nil
	})))
	for name, allowed := range map[string]bool{
		"plain": true, strings.Repeat("x", guard.MaxNameBytes): true,
		strings.Repeat("x", guard.MaxNameBytes+1): false, "a\xff": false,
	} {
		r := w.Agent(badge.LevelExtended).Call("plain", `{}`)
		r.Target = r.Capability.Name // the call proof is another matter
		r.Capability.Name, r.Require, r.RequireIsRule = name, badge.LevelSelfSigned, true
		if _, err := g.Check(t.Context(), r); (err == nil) != allowed {
			t.Errorf("%.20q: %v", name, err)
		}
	}
}

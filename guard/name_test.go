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

// TestDecisionAgainst: an obligation that nobody here meets is not skipped, whatever the answer calls itself.
func TestDecisionAgainst(t *testing.T) {
	for name, c := range map[string]struct {
		d     guard.Decision
		level badge.Level
		cause string
	}{
		"zero":                   {guard.Decision{}, badge.LevelExtended, guard.CauseRuleDenies},
		"no rule":                {guard.Decision{NoRule: true, Kind: guard.Allow, Anonymous: true}, badge.LevelExtended, guard.CauseNoRule},
		"constraints":            {guard.Decision{Kind: guard.AllowWithConstraints, MinLevel: badge.LevelDomain}, badge.LevelExtended, guard.CauseConstraintsUnsupported},
		"allow with constraints": {guard.Decision{Kind: guard.Allow, Anonymous: true, Constraints: &guard.Constraints{}}, badge.LevelExtended, guard.CauseConstraintsUnsupported},
		"no minimum":             {guard.Decision{Kind: guard.Allow}, badge.LevelExtended, guard.CauseNoMinimum},
		"level too low":          {guard.Decision{Kind: guard.Allow, MinLevel: badge.LevelDomain}, badge.LevelRegistered, guard.CauseLevelTooLow},
		"open, and a minimum":    {guard.Decision{Kind: guard.Allow, Anonymous: true, MinLevel: badge.LevelDomain}, badge.LevelNone, guard.CauseLevelTooLow},
		"level":                  {guard.Decision{Kind: guard.Allow, MinLevel: badge.LevelDomain}, badge.LevelDomain, ""},
		"open":                   {guard.Decision{Kind: guard.Allow, Anonymous: true}, badge.LevelNone, ""},
	} {
		if code, cause := c.d.Against(c.level); cause != c.cause || (code == "") != (c.cause == "") {
			t.Errorf("%s: %s/%s, want cause %q", name, code, cause, c.cause)
		}
	}
	bound := guard.Decision{Kind: guard.AllowWithConstraints, MinLevel: badge.LevelDomain, Constraints: &guard.Constraints{MaxRuntime: 1, RatePerMinute: 1}}
	for _, c := range []struct {
		enforces []string
		level    badge.Level
		cause    string
	}{
		{[]string{guard.ConstraintRuntime}, badge.LevelDomain, guard.CauseConstraintsUnsupported},
		{[]string{guard.ConstraintRuntime, guard.ConstraintRate}, badge.LevelRegistered, guard.CauseLevelTooLow},
		{guard.ConstraintNames(), badge.LevelDomain, ""},
	} {
		if _, cause := bound.Against(c.level, c.enforces...); cause != c.cause {
			t.Errorf("enforcing %q: cause %q, want %q", c.enforces, cause, c.cause)
		}
	}
}

package guard

import (
	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/evidence"
)

// Shadowed is what a policy would have answered if a rule that it holds in shadow were in force. The guard records it
// beside the decision that it enforces, and does nothing else with it (spec/guard.md section 5.1).
type Shadowed struct {
	Rule        string // id of the rule in shadow; required
	Kind        Answer
	MinLevel    badge.Level
	Anonymous   bool
	Constraints *Constraints
}

// A ShadowAnswer is what the caller would have met by a [Shadowed] answer.
type ShadowAnswer struct {
	Rule string
	Kind evidence.DecisionKind
	Code Code // none if it would have been allowed
}

// answer says what the caller would have met in place of v, and nothing if that is the same.
func (s *Shadowed) answer(g *Guard, v *verdict, in *Input, know rights) ShadowAnswer {
	var tried verdict
	d := Decision{Kind: s.Kind, MinLevel: s.MinLevel, Anonymous: s.Anonymous, Constraints: s.Constraints}
	g.weigh(&d, &tried, in, know)
	if s.Rule == "" || tried.kind() == v.kind() && tried.code == v.code && tried.constraints == v.constraints {
		return ShadowAnswer{}
	}
	return ShadowAnswer{Rule: s.Rule, Kind: tried.kind(), Code: tried.code}
}

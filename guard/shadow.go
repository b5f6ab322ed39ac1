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

	constraints *Constraints
}

// answer says what the caller would have met.
func (s *Shadowed) answer(g *Guard, in *Input, know rights) ShadowAnswer {
	if s == nil || s.Rule == "" {
		return ShadowAnswer{}
	}
	d := Decision{Kind: s.Kind, MinLevel: s.MinLevel, Anonymous: s.Anonymous, Constraints: s.Constraints}
	v := g.weigh(&d, verdict{}, in, know)
	return ShadowAnswer{Rule: s.Rule, Kind: v.kind(), Code: v.code, constraints: v.constraints}
}

// same reports whether the caller met nothing else than it would have.
func (s *ShadowAnswer) same(v *verdict) bool {
	return s.Kind == v.kind() && s.Code == v.code && s.constraints == v.constraints
}

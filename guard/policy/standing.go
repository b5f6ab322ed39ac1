package policy

import (
	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
)

// A standing is how far a decision has come, by numbers of rules.
type standing struct {
	deny    int // the first that denies
	best    int // that matches and does not deny, before all others
	perhaps int // that may match, does not deny, and is stricter than others of this sort; the first of equals
	trial   int // the first in shadow that matches or may match, and restricts
	level   badge.Level
	bound   *guard.Constraints
}

const none = -1

// matters reports whether rule i could change anything.
func (s *standing) matters(p *Policy, i int) bool {
	r := &p.rules[i]
	switch {
	case s.deny != none:
		return r.decision == guard.Deny && i < s.deny
	case r.decision == guard.Deny || r.decision == guard.RequireApproval || r.constraints != nil:
		return true
	}
	return s.best == none || p.before(i, s.best)
}

// count takes rule i into account, which matches the name of the capability, and of which t is known.
func (s *standing) count(p *Policy, i int, t truth) {
	r := &p.rules[i]
	switch {
	case t == no:
		return
	case r.decision == guard.Deny:
		s.deny = i
		return
	}
	if r.shadow && r.decision != guard.Allow && (s.trial == none || i < s.trial) {
		s.trial = i
	}
	switch {
	case t == yes && (s.best == none || p.before(i, s.best)):
		s.best = i
	case t == unknown && r.decision != guard.Allow:
		s.countPerhaps(p, i)
	}
	if t == yes || r.decision != guard.Allow {
		s.bound = guard.Tighter(s.bound, r.constraints)
	}
}

func (s *standing) countPerhaps(p *Policy, i int) {
	r := &p.rules[i]
	switch {
	case s.perhaps == none || r.decision < p.rules[s.perhaps].decision:
		s.perhaps, s.level = i, r.minLevel
	case r.decision == p.rules[s.perhaps].decision:
		s.perhaps = min(s.perhaps, i)
		s.level = higher(s.level, r.minLevel)
	}
}

// decision is what the rules come to. A rule that may match can take away from what others give, and gives nothing
// by itself.
func (s *standing) decision(p *Policy) guard.Decision {
	var d guard.Decision
	s.decide(p, &d)
	return d
}

func (s *standing) decide(p *Policy, d *guard.Decision) {
	switch {
	case s.deny != none:
		d.Kind, d.Rule = guard.Deny, p.rules[s.deny].id
		return
	case s.best == none:
		d.NoRule = true
		return
	}
	r := &p.rules[s.best]
	d.Kind, d.Rule, d.MinLevel, d.Anonymous, d.Constraints = r.decision, r.id, r.minLevel, r.anonymous, s.bound
	if s.perhaps != none && p.rules[s.perhaps].decision < r.decision {
		stricter := &p.rules[s.perhaps]
		d.Kind, d.Rule = stricter.decision, stricter.id
		d.MinLevel = higher(d.MinLevel, s.level)
		d.Anonymous = d.MinLevel == badge.LevelNone
	}
}

// before reports whether rule i goes before rule j where both match and neither denies: the stricter decision, then
// the rule that asks for less. Rules of one decision are alternatives. Of equals the first in the file goes before.
func (p *Policy) before(i, j int) bool {
	a, b := &p.rules[i], &p.rules[j]
	switch {
	case a.decision != b.decision:
		return a.decision < b.decision
	case a.anonymous != b.anonymous:
		return a.anonymous
	case a.minLevel != b.minLevel:
		return b.minLevel.AtLeast(a.minLevel)
	}
	return i < j
}

// higher takes LevelNone for no level at all, which is how an open rule has it.
func higher(a, b badge.Level) badge.Level {
	if a == badge.LevelNone || b != badge.LevelNone && b.AtLeast(a) {
		return b
	}
	return a
}

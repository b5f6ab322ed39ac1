package policy

import (
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
)

// A ShadowRule is a rule in shadow: it decides nothing, and what it would have changed is recorded.
type ShadowRule struct {
	ID   string
	Line int
}

// InShadow returns the rules in shadow, in the order of the file.
func (p *Policy) InShadow() []ShadowRule {
	var all []ShadowRule
	for i := range p.rules {
		if r := &p.rules[i]; r.shadow {
			all = append(all, ShadowRule{r.id, r.line})
		}
	}
	return all
}

// readFinal reads the levels whose rules are never in shadow.
func (f *file) readFinal(n *yaml.Node) error {
	c := condition{name: "final_levels"}
	err := c.readSet(n, levelNames)
	f.policy.final, f.canonical[c.name] = c.set, c.value
	return err
}

// readShadow notes whether a rule is in shadow, by itself or with the whole file, and where that is written.
func (f *file) readShadow(r *rule, n *yaml.Node) (err error) {
	r.shadow, r.shadowAt = f.shadow != nil, f.shadow
	if n != nil {
		if r.shadow, err = boolean(n, "shadow"); err == nil && !r.shadow && f.shadow != nil {
			err = at(n, "rule %q is not to be in shadow, and the whole file is", r.id)
		}
		r.shadowAt = n
	}
	if r.shadow {
		r.canonical["shadow"] = true
	}
	return err
}

// isFinal reports whether a level is one of those whose rules are never in shadow.
func (p *Policy) isFinal(l badge.Level) bool { return l <= badge.LevelExtended && p.final&(1<<l) != 0 }

// maxShadowPairs bounds the patterns of rules in shadow that are compared with those of final rules.
const maxShadowPairs = 1 << 22

// checkShadow refuses rules in shadow that would take from a final level what it asks for: those of such a level
// themselves, and those that restrict what a rule of such a level is about.
func (f *file) checkShadow() error {
	p := f.policy
	var final, restricting []*rule
	for i := range p.rules {
		switch r := &p.rules[i]; {
		case r.shadow && p.isFinal(r.minLevel):
			return at(r.shadowAt, "rule %q is of the final level %v, which is never in shadow", r.id, r.minLevel)
		case p.isFinal(r.minLevel):
			final = append(final, r)
		case r.shadow && (r.decision == guard.Deny || r.decision == guard.RequireApproval || r.constraints != nil):
			restricting = append(restricting, r)
		}
	}
	pairs := 0
	for _, r := range restricting {
		for _, other := range final {
			if pairs += len(r.patterns()) * len(other.patterns()); pairs > maxShadowPairs {
				return at(r.shadowAt, "more than %d pairs of patterns of rules in shadow and of final rules to compare", maxShadowPairs)
			}
			if r.meets(other) {
				return at(r.shadowAt, "rule %q restricts what rule %q in line %d, of the final level %v, may be about; "+
					"that is never in shadow: name other capabilities", r.id, other.id, other.line, other.minLevel)
			}
		}
	}
	for i := range p.rules {
		p.rules[i].shadowAt = nil
	}
	return nil
}

// meets reports whether two rules may be about the same capability, by its kind and name. It never misses that.
func (r *rule) meets(other *rule) bool {
	if r.kind != "" && other.kind != "" && r.kind != other.kind {
		return false
	}
	mine, theirs := r.patterns(), other.patterns()
	for i := range mine {
		for j := range theirs {
			if mine[i].meets(&theirs[j]) {
				return true
			}
		}
	}
	return false
}

// meets reports whether a name may fit both patterns. It never misses that.
func (g *glob) meets(other *glob) bool {
	switch {
	case g.shape == shapeLiteral:
		return other.match(g.text)
	case other.shape == shapeLiteral:
		return g.match(other.text)
	}
	prefix, suffix := g.ends()
	otherPrefix, otherSuffix := other.ends()
	return (strings.HasPrefix(prefix, otherPrefix) || strings.HasPrefix(otherPrefix, prefix)) &&
		(strings.HasSuffix(suffix, otherSuffix) || strings.HasSuffix(otherSuffix, suffix))
}

// finally reports whether the decision is never in shadow: the annotation asks for a final level, or a rule of one is about
// the capability, whoever calls. So neither a refusal by another rule nor the lack of one opens it.
func (p *Policy) finally(q *question, kind *kindIndex) bool {
	if p.final == 0 {
		return false
	}
	if p.isFinal(q.require) || q.require > badge.LevelExtended && q.require != badge.LevelNone {
		return true
	}
	if kind == nil {
		return false
	}
	name := q.call.Capability.Name
	for w := kind.finals.walk(name); w.next(); {
		for _, e := range w.entries {
			if e.pattern.matchValid(name) && p.rules[e.number].isAbout(q) {
				return true
			}
		}
	}
	return false
}

// Final implements [guard.FinalPolicy].
func (p *Policy) Final(in *guard.Input) bool {
	if p.final == 0 {
		return false
	}
	var q question
	q.call.fill(in)
	q.call.Complete(p.server, p.environment)
	q.require = in.Require
	kind := p.kinds[q.call.Capability.Kind]
	if !validName(q.call.Capability.Name) {
		kind = nil
	}
	p.describe(&q, kind)
	return p.finally(&q, kind)
}

// isAbout looks at the conditions on what is used, and not at those on who uses it, when and with which arguments.
func (r *rule) isAbout(q *question) bool {
	for i := range r.conditions {
		switch r.conditions[i].what {
		case aboutVerb, aboutMethod, aboutServer, aboutLabel, aboutTags:
			if r.conditions[i].holds(q) == no {
				return false
			}
		}
	}
	return true
}

// instead is what the rules in shadow would have made of a decision, nil if the same.
func (s *standing) instead(p *Policy, d *guard.Decision) *guard.Shadowed {
	other := s.decision(p)
	if other.NoRule == d.NoRule && other.Kind == d.Kind && other.MinLevel == d.MinLevel && other.Anonymous == d.Anonymous &&
		(other.Constraints == d.Constraints || reflect.DeepEqual(other.Constraints, d.Constraints)) {
		return nil
	}
	r := s.tried(p)
	if r == nil {
		return nil
	}
	if r.alone.Kind == other.Kind && r.alone.MinLevel == other.MinLevel && r.alone.Anonymous == other.Anonymous &&
		r.alone.Constraints == other.Constraints {
		return r.alone
	}
	return &guard.Shadowed{
		Rule: r.id, Kind: other.Kind, MinLevel: other.MinLevel, Anonymous: other.Anonymous, Constraints: other.Constraints,
	}
}

// tried is the rule in shadow that makes a difference: the one that would decide, else the one without which what is
// to be restricted would not be allowed at all, else the first that restricts.
func (s *standing) tried(p *Policy) *rule {
	decides := s.deny
	if decides == none && s.perhaps != none && p.rules[s.perhaps].decision < p.rules[s.best].decision {
		decides = s.perhaps
	} else if decides == none {
		decides = s.best
	}
	for _, i := range []int{decides, s.best, s.trial} {
		if i != none && p.rules[i].shadow {
			return &p.rules[i]
		}
	}
	return nil // none is in shadow: then there is no difference
}

package policy

import (
	"context"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
)

// FormatVersion is the value of the member version of the files that this package reads.
const FormatVersion = 1

// A Policy is a set of rules, compiled. It is immutable; make it with [Parse] or [Config.Parse]. It implements
// [guard.Policy], [guard.Versioned] and [guard.DiscoveryPolicy].
type Policy struct {
	rules          []rule
	methods        map[string]bool // nil: all that the guard knows
	actors         []actorEntry
	final          uint64 // levels
	tries          bool   // some rules are in shadow
	capabilities   []declaration
	descriptions   descriptions
	labels         *labels
	kinds          map[guard.Kind]*kindIndex
	discoveryProof bool
	privacy        bool // is strict
	canonical      []byte
	version        string

	server, environment string
	clock               func() time.Time
}

var (
	_ guard.Policy          = (*Policy)(nil)
	_ guard.Versioned       = (*Policy)(nil)
	_ guard.DiscoveryPolicy = (*Policy)(nil)
	_ guard.Constrainer     = (*Policy)(nil)
	_ guard.FinalPolicy     = (*Policy)(nil)
	_ guard.PrivacyPolicy   = (*Policy)(nil)
)

// kindIndex finds the rules and the declarations for names of one kind.
type kindIndex struct {
	rules        index
	finals       index // those of rules of final levels
	declarations index
}

type rule struct {
	id          string
	line        int
	kind        guard.Kind // "": see kindsOf
	names       []glob
	conditions  []condition
	decision    guard.Answer
	minLevel    badge.Level // LevelNone for deny, and for rules that are open to anonymous callers
	anonymous   bool
	constraints *guard.Constraints
	shadow      bool
	shadowAt    *yaml.Node // while the file is read
	alone       *guard.Shadowed
	canonical   map[string]any
}

// Version returns the digest of the compiled rules: "sha256:" and the unpadded base64url of the SHA-256 of
// [Policy.Canonical]. Comments, order of members and layout of the file do not change it.
func (p *Policy) Version() string { return p.version }

// Len returns the number of rules, grants among them.
func (p *Policy) Len() int { return len(p.rules) }

// Canonical returns the compiled rules in RFC 8785 form (spec/policy.md section 7).
func (p *Policy) Canonical() []byte { return append([]byte(nil), p.canonical...) }

// RequireDiscoveryProof reports whether the file asks for a call proof on discovery too.
func (p *Policy) RequireDiscoveryProof() bool { return p.discoveryProof }

// Decide implements [guard.Policy]. It never fails.
func (p *Policy) Decide(_ context.Context, in *guard.Input) (guard.Decision, error) {
	var q question
	q.call.fill(in)
	q.require = in.Require
	return p.decide(&q), nil
}

// methodsRule is the rule id of refusals by the table of methods.
const methodsRule = "_methods"

func (p *Policy) decide(q *question) guard.Decision {
	c := &q.call
	c.Complete(p.server, p.environment)
	q.args.text, q.claims.text, q.clock = c.Arguments, c.Facts.Claims, p.clock
	p.findActor(q)
	kind := p.kinds[c.Capability.Kind]
	if kind != nil && !validName(c.Capability.Name) {
		kind = nil
	}
	var d guard.Decision
	p.describe(q, kind)
	switch {
	case p.methods != nil && !p.methods[c.Method]:
		d = guard.Decision{Kind: guard.Deny, Rule: methodsRule}
	case kind == nil:
		d = guard.Decision{NoRule: true}
	default:
		p.judge(q, kind, &d)
	}
	d.Version, d.About, d.Final = p.version, p.about(q), p.finally(q, kind)
	if p.actors != nil {
		d.Actor = q.actor
	}
	return d
}

// judge asks the rules about a name that is UTF-8.
func (p *Policy) judge(q *question, kind *kindIndex, d *guard.Decision) {
	if p.tries {
		p.judgeTwice(q, kind, d)
		return
	}
	name := q.call.Capability.Name
	s := standing{deny: none, best: none, perhaps: none, trial: none}
	for w := kind.rules.walk(name); w.next(); {
		for i := range w.entries {
			e := &w.entries[i]
			if s.matters(p, e.number) && e.pattern.matchValid(name) {
				if t := all(p.rules[e.number].conditions, q); t != no {
					s.count(p, e.number, t)
				}
			}
		}
	}
	s.decide(p, d)
}

// judgeTwice asks the rules that are in force, and all together.
func (p *Policy) judgeTwice(q *question, kind *kindIndex, d *guard.Decision) {
	name := q.call.Capability.Name
	s := standing{deny: none, best: none, perhaps: none, trial: none}
	tried := s
	for w := kind.rules.walk(name); w.next(); {
		for _, e := range w.entries {
			r := &p.rules[e.number]
			counts, tries := !r.shadow && s.matters(p, e.number), tried.matters(p, e.number)
			if !counts && !tries || !e.pattern.matchValid(name) {
				continue
			}
			t := all(r.conditions, q)
			if counts {
				s.count(p, e.number, t)
			}
			if tries {
				tried.count(p, e.number, t)
			}
		}
	}
	s.decide(p, d)
	d.Shadow = tried.instead(p, d)
}

// describe finds out what the file says about the capability.
func (p *Policy) describe(q *question, kind *kindIndex) {
	if p.labels == nil || kind == nil {
		return
	}
	name := q.call.Capability.Name
	for w := kind.declarations.walk(name); w.next(); {
		for _, e := range w.entries {
			if e.pattern.matchValid(name) {
				q.labels.merge(&p.capabilities[e.number].labels)
				q.declared = true
			}
		}
	}
}

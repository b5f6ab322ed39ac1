package policy

import (
	"slices"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
)

// told is an answer, empty where it cannot be told. Then missing says what would have to be known.
type told struct {
	answer, rule string
	missing      []string
}

// maxOpenRules bounds the rules of which it cannot be told whether they match: all that could come of them is tried.
const maxOpenRules = 6

// annotationRule is the rule of decisions that rest on an annotation.
const annotationRule = "annotation"

// tell finds all answers that p could have given to the call of a record.
func (r *replayer) tell(record *evidence.Record) told {
	call := r.recall(record)
	if len(call.missing) > 0 {
		return told{missing: call.missing}
	}
	possible, missing := r.policy.possible(call)
	if possible == nil {
		return told{missing: missing}
	}
	d := record.Decision
	var all []told
	for i := range possible {
		more, needs := r.answers(d, &possible[i], call.call.Caller.Level)
		all = append(all, more...)
		if needs != "" && !slices.Contains(missing, needs) {
			missing = append(missing, needs)
		}
	}
	t := all[0]
	for _, other := range all[1:] {
		if other.answer != t.answer {
			return told{missing: missing}
		}
		if other.rule != t.rule {
			t.rule = UntoldRule
		}
	}
	switch {
	case t.answer == DecisionName(guard.AllowWithConstraints) && overLimit(d):
		return told{missing: []string{"whether a limit was reached"}}
	case t.answer != DecisionName(guard.Deny) && d.Method == "subscriptions/listen":
		return told{missing: []string{"what else the request was about"}}
	}
	return t
}

// answers are what a guard would have made of a decision: with annotations that are not recorded, there may be several.
func (r *replayer) answers(d *evidence.Decision, now *guard.Decision, level badge.Level) (all []told, needs string) {
	least, err := badge.ParseLevel(d.MinLevel)
	if err != nil {
		least = badge.LevelNone
	}
	by := func(d guard.Decision, require badge.Level) {
		if !d.NoRule && require != badge.LevelNone {
			d.Anonymous = false
			if d.MinLevel = higher(d.MinLevel, require); require == guard.LevelUnsatisfiable {
				d.MinLevel = require
			}
		}
		name, _, _ := answer(d, level)
		all = append(all, told{answer: name, rule: d.Rule})
	}
	annotated := guard.Decision{Kind: guard.Allow, Rule: annotationRule, MinLevel: least}
	switch {
	case d.Rule == annotationRule && now.NoRule:
		by(annotated, badge.LevelNone)
	case d.Rule == annotationRule:
		by(*now, least)
	case !r.config.Annotations:
		by(*now, badge.LevelNone)
	case now.NoRule:
		by(*now, badge.LevelNone)
		by(guard.Decision{Kind: guard.Allow, Rule: annotationRule, MinLevel: badge.LevelSelfSigned}, badge.LevelNone)
		needs = annotationRule
	default:
		by(*now, badge.LevelNone)
		if least == badge.LevelNone {
			least = guard.LevelUnsatisfiable
		}
		by(*now, least)
		needs = annotationRule
	}
	return all, needs
}

// possible returns the decisions that the rules could have come to, nil if there are too many, and the conditions that
// the record does not tell of.
func (p *Policy) possible(call *recorded) (all []guard.Decision, missing []string) {
	c := &call.call
	if p.methods != nil && !p.methods[c.Method] {
		return []guard.Decision{{Kind: guard.Deny, Rule: methodsRule}}, nil
	}
	kind := p.kinds[c.Capability.Kind]
	if kind == nil || !validName(c.Capability.Name) {
		return []guard.Decision{{NoRule: true}}, nil
	}
	p.describe(&call.question, kind)
	certain := standing{deny: none, best: none, perhaps: none, trial: none}
	var open []openRule
	for _, i := range p.naming(kind, c.Capability.Name) {
		r := &p.rules[i]
		lo, hi := call.all(r.conditions)
		switch {
		case lo == hi || r.decision == guard.Deny && lo == unknown:
			if certain.matters(p, i) {
				certain.count(p, i, lo)
			}
		default:
			open = append(open, openRule{i, lo, hi})
			missing = append(missing, call.untold(r.conditions)...)
		}
	}
	slices.Sort(missing)
	missing = slices.Compact(missing)
	for _, o := range open {
		if p.rules[o.number].decision == guard.Deny && (certain.deny == none || o.number < certain.deny) {
			all = append(all, guard.Decision{Kind: guard.Deny, Rule: p.rules[o.number].id})
		}
	}
	if certain.deny != none {
		return append(all, certain.decision(p)), missing
	}
	open = slices.DeleteFunc(open, func(o openRule) bool { return p.rules[o.number].decision == guard.Deny })
	if len(open) > maxOpenRules {
		return nil, missing
	}
	return p.try(certain, open, all), missing
}

// An openRule is one of which it cannot be told whether it matches.
type openRule struct {
	number int
	lo, hi truth
}

// try adds the decision of everything that open rules could have been.
func (p *Policy) try(s standing, open []openRule, all []guard.Decision) []guard.Decision {
	if len(open) == 0 {
		return append(all, s.decision(p))
	}
	for t := open[0].lo; t <= open[0].hi; t++ {
		with := s
		if with.matters(p, open[0].number) {
			with.count(p, open[0].number, t)
		}
		all = p.try(with, open[1:], all)
	}
	return all
}

// naming returns the rules in force that name a capability.
func (p *Policy) naming(kind *kindIndex, name string) []int {
	var all []int
	for w := kind.rules.walk(name); w.next(); {
		for _, e := range w.entries {
			if !p.rules[e.number].shadow && e.pattern.matchValid(name) {
				all = append(all, e.number)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// all is what conditions come to that must all hold: at least lo, and at most hi.
func (r *recorded) all(conditions []condition) (lo, hi truth) {
	lo, hi = yes, yes
	for i := range conditions {
		l, h := r.bounds(&conditions[i])
		lo, hi = min(lo, l), min(hi, h)
	}
	return lo, hi
}

func (r *recorded) bounds(c *condition) (lo, hi truth) {
	switch {
	case c.what == aboutCaller:
		for _, alternative := range c.callers {
			l, h := r.all(alternative)
			lo, hi = max(lo, l), max(hi, h)
		}
		return lo, hi
	case r.hides(c.what):
		return no, yes
	}
	t := c.holds(&r.question)
	return t, t
}

// untold names the conditions that the record does not tell of.
func (r *recorded) untold(conditions []condition) (names []string) {
	for i := range conditions {
		c := &conditions[i]
		for _, alternative := range c.callers {
			names = append(names, r.untold(alternative)...)
		}
		if c.what != aboutCaller && r.hides(c.what) {
			names = append(names, c.name)
		}
	}
	return names
}

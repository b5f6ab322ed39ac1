package policy

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/touchmark-dev/touchmark/guard"
)

// A Finding is something about a policy that its author may not have meant. The policy holds all the same.
type Finding struct {
	Kind  FindingKind
	Line  int    // of the rule that it is about
	Rule  string // empty for an entry of actors
	Other string // the other rule, if there is one, with its line
	At    int
	Text  string
}

// A FindingKind is a sort of finding.
type FindingKind string

// The sorts of findings.
const (
	Unreachable   FindingKind = "unreachable"   // the rule can never change a decision
	Contradictory FindingKind = "contradictory" // two rules match the same and decide differently
)

// Findings reports rules that can never change a decision, and rules that contradict each other. It reports what is
// certain: that it finds nothing does not mean that there is nothing.
func (p *Policy) Findings() []Finding {
	forms := make([]map[string]bool, len(p.rules))
	for i := range p.rules {
		forms[i] = conditionSet(p.rules[i].conditions)
	}
	all := p.actorFindings()
	for i := range p.rules {
		if f, found := p.never(i); found {
			all = append(all, f)
		} else if f, found := p.covered(i, forms); found {
			all = append(all, f)
		}
	}
	return all
}

// conditionSet are the conditions, each as it stands in the compiled form.
func conditionSet(conditions []condition) map[string]bool {
	set := make(map[string]bool, len(conditions))
	for i := range conditions {
		text, err := json.Marshal(conditions[i].value)
		if err != nil {
			continue // values of the compiled form always have one
		}
		set[conditions[i].name+" "+string(text)] = true
	}
	return set
}

// never finds conditions that nothing can meet.
func (p *Policy) never(i int) (Finding, bool) {
	r := &p.rules[i]
	f := Finding{Kind: Unreachable, Line: r.line, Rule: r.id}
	if p.isFinal(r.minLevel) {
		return f, false // it keeps what it is about from shadow
	}
	for j := range r.conditions {
		c := &r.conditions[j]
		switch {
		case c.what == aboutCaller && len(c.callers) == 0:
			f.Text = "nobody is a caller of this rule, or a member of this role"
		case r.decision != guard.Allow:
			continue // what is not known does not keep it from taking away
		case c.what == aboutLabel && c.want.empty():
			f.Text = fmt.Sprintf("%s: no capability of this file has such a label", c.name)
		case c.what == aboutTags && c.keys.empty():
			f.Text = fmt.Sprintf("risk_tags: no capability of this file has all of %s", quotedValue(c.value))
		default:
			continue
		}
		return f, true
	}
	return Finding{}, false
}

// covered finds another rule that matches whatever rule i matches, and goes before it.
func (p *Policy) covered(i int, forms []map[string]bool) (Finding, bool) {
	for _, j := range p.covering(i) {
		a, b := &p.rules[i], &p.rules[j]
		if !p.overrules(j, i) || !subset(forms[j], forms[i]) || !b.coversNames(a) {
			continue
		}
		same := len(forms[i]) == len(forms[j]) && a.coversNames(b)
		if same && a.decision == b.decision && j > i || !same && b.spares(a) {
			continue
		}
		if (!same || a.decision == b.decision) && p.isFinal(a.minLevel) && !p.isFinal(b.minLevel) {
			continue // it keeps what it is about from shadow
		}
		f := Finding{Kind: Unreachable, Line: a.line, Rule: a.id, Other: b.id, At: b.line}
		if a.decision == b.decision {
			f.Text = fmt.Sprintf("rule %q in line %d matches all of it and asks for no more", b.id, b.line)
			return f, true
		}
		f.Text = fmt.Sprintf("rule %q in line %d matches all of it, and %s goes before %s",
			b.id, b.line, DecisionName(b.decision), DecisionName(a.decision))
		if same {
			f.Kind = Contradictory
			f.Text = fmt.Sprintf("rule %q in line %d matches the same; it decides, with %s before %s",
				b.id, b.line, DecisionName(b.decision), DecisionName(a.decision))
		}
		return f, true
	}
	return Finding{}, false
}

// overrules reports whether rule j leaves nothing of rule i where both match.
func (p *Policy) overrules(j, i int) bool {
	a, b := &p.rules[i], &p.rules[j]
	switch {
	case i == j || b.shadow && !a.shadow:
		return false
	case a.constraints != nil && b.decision != guard.Deny:
		return false // its constraints hold all the same
	case a.decision == b.decision && a.decision == guard.RequireApproval && a.minLevel != b.minLevel:
		return false // where neither is certain, the higher level counts
	case b.decision == guard.Deny:
		return true
	}
	return a.decision != guard.Deny && p.before(j, i)
}

// spares reports whether r, which denies by arguments, leaves other its part in lists, where there are none.
func (r *rule) spares(other *rule) bool {
	return r.decision == guard.Deny && other.decision != guard.Deny &&
		slices.ContainsFunc(r.conditions, func(c condition) bool { return c.what == aboutArguments })
}

// covering are the rules whose patterns could match all that those of rule i do.
func (p *Policy) covering(i int) []int {
	r := &p.rules[i]
	kinds := r.kindsOf()
	kind := p.kinds[kinds[len(kinds)-1]]
	first := &r.patterns()[0]
	prefix, suffix := first.ends()
	var all []int
	for _, end := range []struct {
		tree *node
		name string
	}{{&kind.rules.begin, prefix}, {&kind.rules.end, suffix}} {
		w := walk{name: end.name, at: end.tree}
		if end.tree == &kind.rules.begin {
			w.end = &node{} // walks forwards; nothing lies at the other end
		}
		for w.next() {
			for _, e := range w.entries {
				all = append(all, e.number)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func subset(small, large map[string]bool) bool {
	for s := range small {
		if !large[s] {
			return false
		}
	}
	return true
}

// coversNames reports whether r is about every capability that other is about.
func (r *rule) coversNames(other *rule) bool {
	for _, kind := range other.kindsOf() {
		if !slices.Contains(r.kindsOf(), kind) {
			return false
		}
	}
	mine, theirs := r.patterns(), other.patterns()
	for i := range theirs {
		if !slices.ContainsFunc(mine, func(g glob) bool { return g.covers(&theirs[i]) }) {
			return false
		}
	}
	return true
}

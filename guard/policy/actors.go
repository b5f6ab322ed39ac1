package policy

import (
	"fmt"

	"go.yaml.in/yaml/v3"

	"github.com/touchmark-dev/touchmark/guard"
)

// An actorEntry says which class of actor some callers are.
type actorEntry struct {
	line       int
	actor      guard.Actor
	conditions []condition
}

func (f *file) readActors(n *yaml.Node) error {
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 || len(n.Content) > maxList {
		return at(n, "actors is not a list of 1 to %d entries, as in {caller: {uid: 0}, actor: service_account}", maxList)
	}
	var all []any
	for _, c := range n.Content {
		value, err := f.readActorEntry(c)
		if err != nil {
			return err
		}
		all = append(all, value)
	}
	f.canonical["actors"] = all
	return nil
}

func (f *file) readActorEntry(n *yaml.Node) (value map[string]any, err error) {
	e := actorEntry{line: n.Line}
	m := matcher{file: f, canonical: map[string]any{}}
	err = mapping(n, "an entry of actors", func(name string, _, v *yaml.Node) (known bool, err error) {
		switch name {
		case "actor":
			e.actor, err = readActor(v)
			m.canonical[name] = string(e.actor)
		case "caller":
			err = m.readCallers(v)
		default:
			return false, nil
		}
		return true, err
	})
	switch {
	case err != nil:
		return nil, err
	case e.actor == "":
		return nil, at(n, "an entry of actors has no actor; write one of the four classes")
	case m.canonical["caller"] == nil:
		return nil, at(n, "an entry of actors has no caller; write whom it is about")
	}
	e.conditions = m.conditions
	f.policy.actors = append(f.policy.actors, e)
	return m.canonical, nil
}

// findActor finds out of which class the caller is. Sources that disagree say nothing; an entry that cannot be told
// says nothing either: each has to be enough by itself.
func (p *Policy) findActor(q *question) {
	if q.actor = q.call.Facts.Actor; q.call.Facts.Disputed || q.actor != "" && !q.actor.Known() {
		q.actor = guard.ActorUnclear
		return
	}
	for i := range p.actors {
		e := &p.actors[i]
		if e.actor == q.actor || all(e.conditions, q) != yes {
			continue
		}
		if q.actor != "" {
			q.actor = guard.ActorUnclear
			return
		}
		q.actor = e.actor
	}
}

// actorFindings reports entries that never give a class, or that another one contradicts wherever they match.
func (p *Policy) actorFindings() []Finding {
	forms := make([]map[string]bool, len(p.actors))
	for i := range p.actors {
		forms[i] = conditionSet(p.actors[i].conditions)
	}
	var found []Finding
	for i := range p.actors {
		if f, ok := p.neverActor(i, forms); ok {
			found = append(found, f)
		}
	}
	return found
}

func (p *Policy) neverActor(i int, forms []map[string]bool) (Finding, bool) {
	e := &p.actors[i]
	f := Finding{Kind: Unreachable, Line: e.line}
	if len(e.conditions) == 1 && e.conditions[0].what == aboutCaller && len(e.conditions[0].callers) == 0 {
		f.Text = "it is about nobody"
		return f, true
	}
	for j := range p.actors {
		other := &p.actors[j]
		if i == j || !subset(forms[j], forms[i]) || len(forms[i]) == len(forms[j]) && j > i {
			continue
		}
		f.At = other.line
		if f.Text = fmt.Sprintf("the entry in line %d gives the same class to all of them", other.line); e.actor != other.actor {
			f.Kind = Contradictory
			f.Text = fmt.Sprintf("the entry in line %d gives another class to all of them, so that none is known", other.line)
		}
		return f, true
	}
	return Finding{}, false
}

// An ActorExplanation says what one entry of actors had to do with the class of a caller.
type ActorExplanation struct {
	Line    int
	Actor   guard.Actor
	Matches bool
	Why     []string // it does not match
}

func (p *Policy) explainActors(q *question) []ActorExplanation {
	var all []ActorExplanation
	for i := range p.actors {
		e := &p.actors[i]
		x := ActorExplanation{Line: e.line, Actor: e.actor, Matches: true}
		for j := range e.conditions {
			if c := &e.conditions[j]; c.holds(q) != yes {
				x.Matches, x.Why = false, append(x.Why, c.explain(q))
			}
		}
		all = append(all, x)
	}
	return all
}

package policy

import (
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
)

// readCommon reads the members that rules and grants share.
func (r *rule) readCommon(name string, value *yaml.Node) (known bool, err error) {
	switch name {
	case "min_level":
		r.minLevel, err = level(value, name)
	case "decision":
		r.decision, err = decision(value)
	case "anonymous":
		r.anonymous, err = boolean(value, name)
	default:
		return false, nil
	}
	return true, err
}

func (r *rule) take(m *matcher) {
	r.kind, r.names, r.conditions = m.kind, m.names, m.conditions
	r.canonical["match"] = m.canonical
}

// complete reads the constraints of a rule, and checks how its members go together.
func (f *file) complete(r *rule, n *yaml.Node, have map[string]*yaml.Node) (err error) {
	if c := have["constraints"]; c != nil {
		if r.constraints, r.canonical["constraints"], err = f.readConstraints(c); err != nil {
			return err
		}
		if r.decision == guard.Deny || r.decision == guard.Allow {
			return at(c, "rule %q has constraints; its decision is to be allow_with_constraints or require_approval", r.id)
		}
	} else if r.decision == guard.AllowWithConstraints {
		return at(n, "rule %q allows with constraints and has none", r.id)
	}
	if err := f.readShadow(r, have["shadow"]); err != nil {
		return err
	}
	return r.check(n, have)
}

// finish makes the rest of the compiled form.
func (r *rule) finish() {
	r.canonical["id"], r.canonical["decision"] = r.id, DecisionName(r.decision)
	if r.minLevel != badge.LevelNone {
		r.canonical["min_level"] = r.minLevel.String()
	}
	if r.anonymous {
		r.canonical["anonymous"] = true
	}
	r.alone = &guard.Shadowed{
		Rule: r.id, Kind: r.decision, MinLevel: r.minLevel, Anonymous: r.anonymous, Constraints: r.constraints,
	}
	slices.SortStableFunc(r.conditions, func(a, b condition) int { return int(a.what) - int(b.what) })
}

package cedar

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/policy"
)

// readRule reads the annotations of a policy. What is not known is refused: it may be a bound, misspelled.
func readRule(one *cedar.Policy, enforces []string) (rule, error) {
	notes := make(map[string]string)
	for k, v := range one.Annotations() {
		notes[string(k)] = string(v)
	}
	r := rule{id: notes["id"], policy: one, forbids: one.Effect() == cedar.Forbid}
	r.key = cedar.PolicyID(r.id)
	if !policy.ValidID(r.id) {
		return r, at(one, "a policy needs an @id of 1 to 64 letters, digits, '_', '.' and '-', as in @id(\"readers\")")
	}
	for name, value := range notes {
		if err := r.annotate(name, value); err != nil {
			return r, err
		}
	}
	return r, r.complete(notes, enforces)
}

var decisions = map[string]guard.Answer{
	policy.DecisionName(guard.Deny):                 guard.Deny,
	policy.DecisionName(guard.RequireApproval):      guard.RequireApproval,
	policy.DecisionName(guard.AllowWithConstraints): guard.AllowWithConstraints,
	policy.DecisionName(guard.Allow):                guard.Allow,
}

func (r *rule) annotate(name, value string) error {
	switch name {
	case "id", "description", "decision":
	case "anonymous":
		if r.anonymous = value == "true"; !r.anonymous {
			return at(r.policy, "policy %q has @anonymous(%q); only \"true\" says something", r.id, value)
		}
	case "min_level":
		var err error
		if r.minLevel, err = badge.ParseLevel(value); err != nil {
			return at(r.policy, "policy %q has @min_level(%q), which is none of \"0\" to \"4\"", r.id, value)
		}
	default:
		if !slices.Contains(guard.ConstraintNames(), name) {
			return at(r.policy, "policy %q has the annotation @%s, which this version does not know", r.id, name)
		}
	}
	return nil
}

// complete holds the annotations against each other.
func (r *rule) complete(notes map[string]string, enforces []string) error {
	text, said := notes["decision"]
	if r.decision = guard.Allow; r.forbids {
		r.decision = guard.Deny
	}
	if said {
		var ok bool
		if r.decision, ok = decisions[text]; !ok {
			return at(r.policy, "policy %q has @decision(%q), which is no decision", r.id, text)
		}
	}
	if err := r.bounds(notes, enforces); err != nil {
		return err
	}
	_, hasLevel := notes["min_level"]
	switch {
	case r.forbids != (r.decision == guard.Deny):
		return at(r.policy, "policy %q has @decision(%q): forbid denies, and permit does not", r.id, text)
	case r.forbids && (hasLevel || r.anonymous || r.constraints != nil):
		return at(r.policy, "policy %q forbids: it has no level, no constraints, and is not open to anyone", r.id)
	case !r.forbids && hasLevel == r.anonymous:
		return at(r.policy, "policy %q permits: it needs one of @min_level and @anonymous(\"true\")", r.id)
	case r.anonymous && r.decision == guard.RequireApproval:
		return at(r.policy, "policy %q is open to anonymous callers; an approval is given to a caller with a badge", r.id)
	case r.decision == guard.Allow && r.constraints != nil:
		return at(r.policy, "policy %q has constraints; write @decision(\"allow_with_constraints\")", r.id)
	case r.decision == guard.AllowWithConstraints && r.constraints == nil:
		return at(r.policy, "policy %q allows with constraints and has none", r.id)
	}
	return nil
}

// bounds reads the constraints: numbers, and hosts separated by spaces.
func (r *rule) bounds(notes map[string]string, enforces []string) error {
	asked := make(map[string]any)
	for name, value := range notes {
		switch {
		case !slices.Contains(guard.ConstraintNames(), name):
		case name == guard.ConstraintNetwork:
			asked[name] = strings.Fields(value)
		default:
			asked[name] = json.Number(value)
		}
	}
	if len(asked) == 0 {
		return nil
	}
	text, err := json.Marshal(asked)
	if err != nil {
		return at(r.policy, "policy %q has a constraint that is not a number", r.id)
	}
	c, err := policy.ParseConstraints(text, enforces)
	if err != nil {
		return at(r.policy, "policy %q: %s", r.id, reason(err))
	}
	r.constraints = c
	return nil
}

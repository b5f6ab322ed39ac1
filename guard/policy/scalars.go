package policy

import (
	"go.yaml.in/yaml/v3"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
)

// check refuses combinations that say nothing, or two things at once.
func (r *rule) check(n *yaml.Node, have map[string]*yaml.Node) error {
	switch {
	case r.decision == guard.Deny && have["min_level"] != nil:
		return at(have["min_level"], "rule %q denies, so min_level means nothing", r.id)
	case r.decision == guard.Deny && have["anonymous"] != nil:
		return at(have["anonymous"], "rule %q denies, so anonymous means nothing", r.id)
	case r.anonymous && have["min_level"] != nil:
		return at(have["min_level"], "rule %q is open to callers without a badge, so min_level means nothing", r.id)
	case r.anonymous && r.decision == guard.RequireApproval:
		return at(have["anonymous"], "rule %q asks for an approval, which cannot be given to nobody", r.id)
	case r.decision != guard.Deny && !r.anonymous && have["min_level"] == nil:
		return at(n, "rule %q has no min_level; give one, or open it with \"anonymous: true\"", r.id)
	}
	return nil
}

// identifier admits [A-Za-z0-9][A-Za-z0-9_.-]*, so that an id can stand in a record and in a log line.
func identifier(n *yaml.Node) (string, error) {
	s, err := text(n, "id")
	if err != nil {
		return "", err
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		alphanumeric := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !alphanumeric && (i == 0 || c != '_' && c != '.' && c != '-') {
			return "", at(n, "id %q has a character that is not a letter, a digit, or after the first '_', '.' or '-'", s)
		}
	}
	if s == "" || len(s) > maxID {
		return "", at(n, "an id has 1 to %d characters", maxID)
	}
	return s, nil
}

func level(n *yaml.Node, name string) (badge.Level, error) {
	tag := n.ShortTag()
	if n.Kind != yaml.ScalarNode || (tag != "!!int" && tag != "!!str") {
		return badge.LevelNone, at(n, "%s is not one of 0 to 4", name)
	}
	l, err := badge.ParseLevel(n.Value)
	if err != nil {
		return badge.LevelNone, at(n, "%s %q is not one of 0 to 4", name, n.Value)
	}
	return l, nil
}

func decision(n *yaml.Node) (guard.Answer, error) {
	s, err := text(n, "decision")
	if err != nil {
		return guard.Deny, err
	}
	for _, a := range []guard.Answer{guard.Allow, guard.AllowWithConstraints, guard.RequireApproval, guard.Deny} {
		if s == DecisionName(a) {
			return a, nil
		}
	}
	return guard.Deny, at(n, "decision %q is not one of allow, deny, require_approval and allow_with_constraints", s)
}

func boolean(n *yaml.Node, name string) (bool, error) {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!bool" {
		switch n.Value {
		case "true":
			return true, nil
		case "false":
			return false, nil
		}
	}
	return false, at(n, "%s is not true or false", name)
}

// DecisionName is how a file calls an answer.
func DecisionName(a guard.Answer) string {
	switch a {
	case guard.Allow:
		return "allow"
	case guard.AllowWithConstraints:
		return "allow_with_constraints"
	case guard.RequireApproval:
		return "require_approval"
	}
	return "deny"
}

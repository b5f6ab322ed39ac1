package policy

import (
	"fmt"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
)

// Limits of a policy file.
const (
	MaxBytes = 256 << 10
	MaxRules = 4096
	maxID    = 64
)

// An Error says where a policy file is not what it should be. Line and Column count from 1; they are 0 where
// the place is not known.
type Error struct {
	Line, Column int
	Reason       string
}

func (e *Error) Error() string {
	switch {
	case e.Line == 0:
		return "policy: " + e.Reason
	case e.Column == 0:
		return fmt.Sprintf("policy: line %d: %s", e.Line, e.Reason)
	}
	return fmt.Sprintf("policy: line %d, column %d: %s", e.Line, e.Column, e.Reason)
}

func at(n *yaml.Node, format string, args ...any) *Error {
	return &Error{Line: n.Line, Column: n.Column, Reason: fmt.Sprintf(format, args...)}
}

// Parse reads a policy file. The error is an *[Error].
func Parse(data []byte) (*Policy, error) {
	root, err := document(data)
	if err != nil {
		return nil, err
	}
	p := &Policy{}
	if err := p.read(root); err != nil {
		return nil, err
	}
	if err := p.seal(); err != nil {
		return nil, &Error{Reason: err.Error()}
	}
	return p, nil
}

func (p *Policy) read(root *yaml.Node) error {
	var version, rules *yaml.Node
	err := mapping(root, "the file", func(name string, _, value *yaml.Node) (known bool, err error) {
		switch name {
		case "version":
			version = value
		case "rules":
			rules = value
		case "require_discovery_proof":
			p.discoveryProof, err = boolean(value, name)
		default:
			return false, nil
		}
		return true, err
	})
	switch {
	case err != nil:
		return err
	case version == nil:
		return at(root, "the file has no version; write \"version: %d\"", FormatVersion)
	case version.Kind != yaml.ScalarNode || version.ShortTag() != "!!int" || version.Value != strconv.Itoa(FormatVersion):
		return at(version, "version is not %d", FormatVersion)
	case rules == nil:
		return at(root, "the file has no rules")
	}
	return p.readRules(rules)
}

func (p *Policy) readRules(n *yaml.Node) error {
	switch {
	case n.Kind != yaml.SequenceNode:
		return at(n, "rules is not a list")
	case len(n.Content) == 0:
		return at(n, "rules is empty: a policy that decides nothing; to deny everything write a rule that does")
	case len(n.Content) > MaxRules:
		return at(n, "more than %d rules", MaxRules)
	}
	ids := make(map[string]bool, len(n.Content))
	for _, c := range n.Content {
		r, err := readRule(c)
		if err != nil {
			return err
		}
		if ids[r.id] {
			return at(c, "two rules have the id %q", r.id)
		}
		ids[r.id] = true
		p.rules = append(p.rules, r)
	}
	return nil
}

func readRule(n *yaml.Node) (rule, error) {
	var r rule
	have := make(map[string]*yaml.Node, 5)
	err := mapping(n, "a rule", func(name string, _, value *yaml.Node) (known bool, err error) {
		have[name] = value
		switch name {
		case "id":
			r.id, err = identifier(value)
		case "match":
			r.tool, err = readMatch(value)
		case "min_level":
			r.minLevel, err = level(value)
		case "decision":
			r.decision, err = decision(value)
		case "anonymous":
			r.anonymous, err = boolean(value, name)
		default:
			return false, nil
		}
		return true, err
	})
	if err != nil {
		return rule{}, err
	}
	for _, name := range []string{"id", "match", "decision"} {
		if have[name] == nil {
			return rule{}, at(n, "a rule has no %s", name)
		}
	}
	return r, r.check(n, have)
}

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

func readMatch(n *yaml.Node) (glob, error) {
	var g glob
	have := false
	err := mapping(n, "match", func(name string, _, value *yaml.Node) (bool, error) {
		if name != "tool" {
			return false, nil
		}
		have = true
		s, err := text(value, "tool")
		if err != nil {
			return true, err
		}
		if g, err = parseGlob(s); err != nil {
			return true, at(value, "%v", err)
		}
		return true, nil
	})
	if err == nil && !have {
		return g, at(n, "match names nothing; write {tool: PATTERN}")
	}
	return g, err
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

func level(n *yaml.Node) (badge.Level, error) {
	tag := n.ShortTag()
	if n.Kind != yaml.ScalarNode || (tag != "!!int" && tag != "!!str") {
		return badge.LevelNone, at(n, "min_level is not one of 0 to 4")
	}
	l, err := badge.ParseLevel(n.Value)
	if err != nil {
		return badge.LevelNone, at(n, "min_level %q is not one of 0 to 4", n.Value)
	}
	return l, nil
}

func decision(n *yaml.Node) (guard.Answer, error) {
	s, err := text(n, "decision")
	if err != nil {
		return guard.Deny, err
	}
	for _, a := range []guard.Answer{guard.Allow, guard.RequireApproval, guard.Deny} {
		if s == decisionName(a) {
			return a, nil
		}
	}
	return guard.Deny, at(n, "decision %q is not one of allow, deny and require_approval", s)
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

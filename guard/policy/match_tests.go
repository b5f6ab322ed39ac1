package policy

import (
	"encoding/json"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Limits of a test of an argument.
const (
	maxTokens       = 16
	maxInstructions = 1024
	maxNumber       = 1e15
)

// readTests reads a list of tests that must all hold.
func (m *matcher) readTests(n *yaml.Node, what string, about attribute) error {
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 || len(n.Content) > maxList {
		return at(n, "%s is not a list of 1 to %d tests, as in [{pointer: /path, prefix: /data/}]", what, maxList)
	}
	name := what
	if about == aboutClaims {
		name = "caller.claims"
	}
	inListing := yes
	if m.deny {
		inListing = no
	}
	var all []any
	for _, c := range n.Content {
		t, value, err := readTest(c)
		if err != nil {
			return err
		}
		m.conditions = append(m.conditions, condition{
			name: name, line: c.Line, what: about, test: t, value: value, inListing: inListing,
		})
		all = append(all, value)
	}
	m.canonical[what] = all
	return nil
}

var operators = map[string]operator{
	"eq": opEqual, "in": opEqual, "lt": opLess, "gt": opGreater, "prefix": opPrefix, "glob": opGlob,
	"matches": opMatches, "exists": opExists, "type": opType,
}

func readTest(n *yaml.Node) (*test, map[string]any, error) {
	t, value := &test{}, map[string]any{}
	var have string
	err := mapping(n, "a test", func(name string, key, v *yaml.Node) (known bool, err error) {
		if name == "pointer" {
			value[name] = v.Value
			return true, t.readPointer(v)
		}
		op, known := operators[name]
		if !known {
			return false, nil
		}
		if have != "" {
			return true, at(key, "a test has %s and %s; write two tests", have, name)
		}
		have, t.operator = name, op
		value[name], err = t.readOperand(name, v)
		return true, err
	})
	switch {
	case err != nil:
		return nil, nil, err
	case value["pointer"] == nil:
		return nil, nil, at(n, "a test has no pointer")
	case have == "":
		return nil, nil, at(n, "a test compares with nothing; write one of eq, in, lt, gt, prefix, glob, matches, exists, type")
	}
	return t, value, nil
}

// readPointer reads a JSON Pointer (RFC 6901).
func (t *test) readPointer(n *yaml.Node) error {
	s, err := text(n, "pointer")
	if err != nil || s == "" {
		return err
	}
	if s, err = plainText(n, "pointer"); err != nil {
		return err
	}
	steps := strings.Split(s, "/")
	if steps[0] != "" || len(steps) > maxTokens+1 {
		return at(n, "pointer %q is not a JSON Pointer of at most %d steps; it begins with '/'", s, maxTokens)
	}
	for _, step := range steps[1:] {
		name := strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
		if strings.Count(step, "~") != strings.Count(step, "~0")+strings.Count(step, "~1") {
			return at(n, "pointer %q has a '~' that is not ~0 or ~1", s)
		}
		element := -1
		if i, err := strconv.Atoi(step); err == nil && i >= 0 && strconv.Itoa(i) == step {
			element = i
		}
		t.tokens = append(t.tokens, token{name, element})
	}
	return nil
}

func (t *test) readOperand(name string, n *yaml.Node) (any, error) {
	switch t.operator {
	case opExists:
		want, err := boolean(n, name)
		t.flag = want
		return want, err
	case opType:
		return t.readType(n)
	case opLess, opGreater:
		return t.readScalar(n, name, "0")
	case opPrefix:
		return t.readScalar(n, name, "\"")
	case opGlob:
		g, value, err := patterns(n, name)
		if err == nil && len(g) != 1 {
			err = at(n, "glob is one pattern; write several rules for several")
		}
		if err != nil {
			return nil, err
		}
		t.kind, t.pattern = '"', g[0]
		return value, nil
	case opMatches:
		return t.readRegexp(n)
	}
	if name == "eq" {
		return t.readScalar(n, name, "\"0t")
	}
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		return nil, at(n, "in is not a list of values")
	}
	var all []any
	return all, each(n, name, func(n *yaml.Node) error {
		value, err := t.readScalar(n, name, "\"0")
		all = append(all, value)
		return err
	})
}

func (t *test) readType(n *yaml.Node) (string, error) {
	s, err := text(n, "type")
	if err == nil && !slices.Contains(typeNames[:], s) {
		err = at(n, "type %q is not one of %s", s, strings.Join(typeNames[:], ", "))
	}
	t.types = s
	return s, err
}

// readScalar reads a value of one of the kinds, and of the same kind as those before.
func (t *test) readScalar(n *yaml.Node, name, kinds string) (value any, err error) {
	var kind byte
	switch {
	case n.Kind != yaml.ScalarNode:
	case n.ShortTag() == "!!str":
		s, err := plainText(n, name)
		if err != nil {
			return nil, err
		}
		kind, value, t.texts = '"', s, append(t.texts, s)
	case n.ShortTag() == "!!bool":
		if t.flag, err = boolean(n, name); err != nil {
			return nil, err
		}
		kind, value = 't', t.flag
	case n.ShortTag() == "!!int" || n.ShortTag() == "!!float":
		f, ok := number([]byte(n.Value))
		if !ok || !json.Valid([]byte(n.Value)) || f <= -maxNumber || f >= maxNumber {
			return nil, at(n, "%s: %q is not a number as in JSON, of at most %d digits and below 10^15", name, n.Value, maxDigits)
		}
		kind, value, t.numbers = '0', f, append(t.numbers, f)
	}
	switch {
	case kind == 0 || strings.IndexByte(kinds, kind) < 0:
		return nil, at(n, "%s compares with no value of this type", name)
	case t.kind != 0 && t.kind != kind:
		return nil, at(n, "%s has values of several types; write a rule for each", name)
	}
	t.kind = kind
	return value, nil
}

// readRegexp reads an expression that the whole value is to match.
func (t *test) readRegexp(n *yaml.Node) (string, error) {
	s, err := plainText(n, "matches")
	if err != nil {
		return "", err
	}
	parsed, err := syntax.Parse(s, syntax.Perl)
	if err != nil {
		return "", at(n, "matches: %v", err)
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil || len(program.Inst) > maxInstructions {
		return "", at(n, "matches %q is too large an expression: more than %d instructions", s, maxInstructions)
	}
	if t.regexp, err = regexp.Compile(`\A(?:` + s + `)\z`); err != nil {
		return "", at(n, "matches: %v", err)
	}
	t.kind = '"'
	return s, nil
}

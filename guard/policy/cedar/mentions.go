package cedar

import (
	"encoding/json"
	"fmt"
	"slices"
	"unicode"

	"github.com/cedar-policy/cedar-go"
)

// mentions are what policies look at: whether the call's arguments and the caller's claims have to be made into
// values at all, and the names of members in them that policies know.
type mentions struct {
	arguments, claims bool

	// names are, by how they read without regard to case, those members that are mentioned: tools may take a member
	// whose name differs in case alone for the one that is meant.
	names map[string][]string
}

func newMentions() mentions { return mentions{names: make(map[string][]string)} }

// ambiguous reports whether a member may be taken for one that policies look at, and is not.
func (m *mentions) ambiguous(name string) bool {
	known, ok := m.names[folded(name)]
	return ok && !slices.Contains(known, name)
}

func (m *mentions) add(name string) {
	key := folded(name)
	if !slices.Contains(m.names[key], name) {
		m.names[key] = append(m.names[key], name)
	}
}

// folded is the same for texts that differ in case alone, as strings.EqualFold has it.
func folded(s string) string {
	out := []rune(s)
	for i, c := range out {
		least := c
		for f := unicode.SimpleFold(c); f != c; f = unicode.SimpleFold(f) {
			least = min(least, f)
		}
		out[i] = least
	}
	return string(out)
}

const (
	attrArguments = "arguments"
	attrClaims    = "claims"
)

// read walks a policy in Cedar's JSON form, which is documented, and sees to what its scope says of r.
func (m *mentions) read(one *cedar.Policy, r *rule) error {
	text, err := one.MarshalJSON()
	if err != nil {
		return fmt.Errorf("policy %q has no JSON form: %w", r.id, err)
	}
	var form struct {
		Resource struct {
			Op     string `json:"op"`
			Type   string `json:"entity_type"`
			Entity struct {
				Type string `json:"type"`
			} `json:"entity"`
		} `json:"resource"`
		Conditions []struct {
			Body map[string]json.RawMessage `json:"body"`
		} `json:"conditions"`
	}
	if err := json.Unmarshal(text, &form); err != nil {
		return fmt.Errorf("policy %q has no JSON form: %w", r.id, err)
	}
	scope := form.Resource
	r.namesMethods = scope.Op == "is" && scope.Type == typeMethod || scope.Op == "==" && scope.Entity.Type == typeMethod
	for _, c := range form.Conditions {
		m.expression(c.Body)
	}
	return nil
}

// expression walks one expression. A context that is not asked for one of its attributes is asked for all.
func (m *mentions) expression(e map[string]json.RawMessage) {
	for op, value := range e {
		switch op {
		case "Value":
		case "Var":
			if string(value) == `"context"` {
				m.arguments = true
			}
		case "Record":
			for name, v := range object(value) {
				m.add(name)
				m.expression(object(v))
			}
		case ".", "has":
			m.attribute(value)
		default:
			m.operands(value)
		}
	}
}

// operands are members of an object that are objects, or a list of them.
func (m *mentions) operands(value json.RawMessage) {
	var list []map[string]json.RawMessage
	if json.Unmarshal(value, &list) == nil {
		for _, e := range list {
			m.expression(e)
		}
		return
	}
	for _, v := range object(value) {
		if e := object(v); e != nil {
			m.expression(e)
		}
	}
}

func (m *mentions) attribute(value json.RawMessage) {
	var name string
	parts := object(value)
	if json.Unmarshal(parts["attr"], &name) != nil {
		m.arguments, m.claims = true, true
		return
	}
	left := object(parts["left"])
	m.arguments = m.arguments || name == attrArguments
	m.claims = m.claims || name == attrClaims
	if _, plain := left["Var"]; plain {
		return // of the call itself, whose attributes nobody chooses
	}
	m.add(name)
	m.expression(left)
}

func object(value json.RawMessage) map[string]json.RawMessage {
	var o map[string]json.RawMessage
	if json.Unmarshal(value, &o) != nil {
		return nil
	}
	return o
}

package cedar

import (
	"slices"
	"unicode"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
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

// read walks a policy, and sees to what its scope says of r.
func (m *mentions) read(one *cedar.Policy, r *rule) {
	tree := (*ast.Policy)(one.AST())
	switch scope := tree.Resource.(type) {
	case ast.ScopeTypeEq:
		r.namesMethods = scope.Entity.Type == typeMethod
	case ast.ScopeTypeIs:
		r.namesMethods = scope.Type == typeMethod
	case ast.ScopeTypeIsIn:
		r.namesMethods = scope.Type == typeMethod
	}
	for _, c := range tree.Conditions {
		ast.Inspect(ast.NewNode(c.Body), m.node)
	}
}

// node looks at one node, and reports whether to go on below it. A context that is not asked for one of its attributes
// is asked for all.
func (m *mentions) node(n ast.IsNode) bool {
	switch n := n.(type) {
	case ast.NodeTypeVariable:
		m.arguments = m.arguments || n.Name == "context"
	case ast.NodeTypeAccess:
		return m.attribute(n.StrOpNode)
	case ast.NodeTypeHas:
		return m.attribute(n.StrOpNode)
	case ast.NodeTypeRecord:
		for _, e := range n.Elements {
			m.add(string(e.Key))
		}
	}
	return true
}

func (m *mentions) attribute(n ast.StrOpNode) bool {
	m.arguments = m.arguments || n.Value == attrArguments
	m.claims = m.claims || n.Value == attrClaims
	if _, plain := n.Arg.(ast.NodeTypeVariable); plain {
		return false // of the call itself, whose attributes nobody chooses
	}
	m.add(string(n.Value))
	return true
}

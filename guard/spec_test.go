package guard_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestSpec: each code, cause, class of outcome and name of a constraint stands in the spec.
func TestSpec(t *testing.T) {
	text, err := os.ReadFile("../spec/guard.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, file := range []string{"errors.go", "grant.go", "constraints.go"} {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			word, ok := spec.Values[0].(*ast.BasicLit)
			if !ok || word.Kind != token.STRING || !hasPrefix(spec.Names[0].Name, "Code", "Cause", "Class", "Constraint") {
				return true
			}
			found++
			if value, err := strconv.Unquote(word.Value); err != nil || !strings.Contains(string(text), "`"+value+"`") {
				t.Errorf("%s is %q, which is not in the spec", spec.Names[0].Name, value)
			}
			return true
		})
	}
	if found < 50 {
		t.Errorf("%d words found", found)
	}
}

func hasPrefix(s string, prefixes ...string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

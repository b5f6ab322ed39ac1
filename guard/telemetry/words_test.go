package telemetry

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/guard"
)

// constantsOf returns the string constants of a directory whose names begin with prefix, by name.
func constantsOf(t *testing.T, dir, prefix string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]string)
	for _, name := range files {
		p, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(p, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || !strings.HasPrefix(spec.Names[0].Name, prefix) || len(spec.Values) != 1 {
				return true
			}
			if lit, ok := spec.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
				text, err := strconv.Unquote(lit.Value)
				if err != nil {
					t.Fatal(err)
				}
				found[spec.Names[0].Name] = text
			}
			return true
		})
	}
	if len(found) == 0 {
		t.Fatalf("no constants %s in %s", prefix, dir)
	}
	return found
}

// TestWords: what the guard and its adapters say is counted by name. A code that is added there has to be added here.
func TestWords(t *testing.T) {
	for _, dir := range []string{"..", "../../badge/pop"} {
		for name, code := range constantsOf(t, dir, "Code") {
			if codeWord(guard.Code(code)) != code {
				t.Errorf("%s in %s is counted as other: add it to codeWords", name, dir)
			}
		}
	}
	for dir, prefix := range map[string]string{"..": "Class", "../mcpguard": "class", "../gateway": "class"} {
		for name, class := range constantsOf(t, dir, prefix) {
			if classWord(class) != class {
				t.Errorf("%s in %s is counted as other: add it to classWords", name, dir)
			}
		}
	}
	for name, kind := range constantsOf(t, "..", "Kind") {
		if word(capabilityWords, kind) != kind {
			t.Errorf("%s is counted as other: add it to capabilityWords", name)
		}
	}
	for _, m := range guard.Methods() {
		if methodWord(m.Name) != m.Name {
			t.Errorf("method %s is counted as %s", m.Name, methodWord(m.Name))
		}
	}
}

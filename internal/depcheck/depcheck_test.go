package depcheck

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const modulePath = "github.com/touchmark-dev/touchmark"

func TestImportGraph(t *testing.T) {
	graph, err := readGraph(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	if len(graph) < 10 {
		t.Fatalf("%d packages found, which cannot be all", len(graph))
	}
	for _, problem := range check(graph, rules) {
		t.Error(problem)
	}
}

// check returns one sentence for each import that the rules do not allow, and
// for each rule that no package uses.
func check(graph map[string]*node, rules map[string]rule) []string {
	c := &checker{graph: graph, rules: rules}
	for _, dir := range slices.Sorted(maps.Keys(graph)) {
		r, ok := rules[dir]
		if !ok {
			c.report("%s has no rule; add one to rules_test.go that says what it may import", dir)
			continue
		}
		c.testImports(dir, r)
		if isInternal(dir) && r.forTests {
			c.known(dir)
			continue
		}
		c.imports(dir, r)
		c.weight(dir, r)
	}
	for _, dir := range slices.Sorted(maps.Keys(rules)) {
		if graph[dir] == nil {
			c.report("there is a rule for %s, but no such package; remove the rule", dir)
		}
	}
	return c.problems
}

type checker struct {
	graph    map[string]*node
	rules    map[string]rule
	problems []string
}

func (c *checker) report(format string, args ...any) {
	c.problems = append(c.problems, fmt.Sprintf(format, args...))
}

// imports holds the files of a package to the rule about our packages.
func (c *checker) imports(dir string, r rule) {
	for imported, file := range c.graph[dir].imports {
		target, ok := ours(imported)
		if !ok {
			continue
		}
		switch {
		case r.alone:
			c.report("%s imports %s (%s), but must import nothing of ours", dir, target, file)
		case c.rules[target].forTests && !r.forTests:
			c.report("%s imports %s (%s), which is for tests and generators", dir, target, file)
		case !isInternal(target) && !slices.Contains(r.ours, target):
			c.report("%s imports %s (%s), which its rule does not allow", dir, target, file)
		}
	}
}

// testImports holds the tests of a package to the modules that tests may use.
// Of ours they may import anything.
func (c *checker) testImports(dir string, r rule) {
	for imported, file := range c.graph[dir].testImports {
		module := module(imported)
		if module == "" || slices.Contains(testModules, module) || slices.Contains(r.modules, module) {
			continue
		}
		c.report("a test of %s imports %s (%s), which is not among testModules", dir, imported, file)
	}
}

// known holds a package that no user meets to the modules that are known.
func (c *checker) known(dir string) {
	for imported, file := range c.graph[dir].imports {
		if name := module(imported); name != "" && moduleNames[name] == "" {
			c.report("%s imports %s (%s), whose module is not among moduleNames", dir, imported, file)
		}
	}
}

// weight holds what a package brings along to its list of modules: what it
// imports itself, and what the internal packages do that it reaches without
// going through another package that users import.
func (c *checker) weight(dir string, r rule) {
	seen := map[string]bool{dir: true}
	for queue := []string{dir}; len(queue) > 0; queue = queue[1:] {
		n := c.graph[queue[0]]
		if n == nil {
			continue
		}
		for imported, file := range n.imports {
			if target, ok := ours(imported); ok {
				if isInternal(target) && !seen[target] {
					seen[target] = true
					queue = append(queue, target)
				}
				continue
			}
			module := module(imported)
			if module != "" && !slices.Contains(r.modules, module) {
				c.report("%s brings in %s (%s), which its rule does not allow", dir, imported, file)
			}
		}
	}
}

// ours returns the directory of a package of this module.
func ours(imported string) (dir string, ok bool) {
	return strings.CutPrefix(imported, modulePath+"/")
}

func isInternal(dir string) bool { return strings.HasPrefix(dir, "internal/") }

// module returns the name of the module of a package that is neither ours nor
// the standard library's: the import path itself when the module is unknown.
func module(imported string) string {
	if _, ok := ours(imported); ok {
		return ""
	}
	first, _, _ := strings.Cut(imported, "/")
	if !strings.Contains(first, ".") {
		return ""
	}
	for name, path := range moduleNames {
		if imported == path || strings.HasPrefix(imported, path+"/") {
			return name
		}
	}
	return imported
}

func TestCheckRefuses(t *testing.T) {
	const jose = "github.com/go-jose/go-jose/v4/jwt"
	pkg := func(imports ...string) *node {
		n := &node{imports: map[string]string{}, testImports: map[string]string{}}
		for _, i := range imports {
			n.imports[i] = "x.go"
		}
		return n
	}
	tested := func(imports ...string) *node {
		n := pkg()
		for _, i := range imports {
			n.testImports[i] = "x_test.go"
		}
		return n
	}
	own := func(dir string) string { return modulePath + "/" + dir }
	for _, test := range []struct {
		name  string
		graph map[string]*node
		rules map[string]rule
		want  string
	}{
		{"nothing", map[string]*node{"a": pkg("fmt")}, map[string]rule{"a": {}}, ""},
		{"unknown package", map[string]*node{"a": pkg()}, nil, "a has no rule"},
		{"rule without a package", nil, map[string]rule{"a": {}}, "no such package"},
		{"package not allowed", map[string]*node{"a": pkg(own("b")), "b": pkg()},
			map[string]rule{"a": {}, "b": {}}, "a imports b"},
		{"package allowed", map[string]*node{"a": pkg(own("b")), "b": pkg()},
			map[string]rule{"a": {ours: []string{"b"}}, "b": {}}, ""},
		{"internal package", map[string]*node{"a": pkg(own("internal/b")), "internal/b": pkg()},
			map[string]rule{"a": {}, "internal/b": {}}, ""},
		{"internal package of one that stands alone", map[string]*node{"a": pkg(own("internal/b")), "internal/b": pkg()},
			map[string]rule{"a": {alone: true}, "internal/b": {}}, "must import nothing of ours"},
		{"package for tests", map[string]*node{"a": pkg(own("b")), "b": pkg()},
			map[string]rule{"a": {ours: []string{"b"}}, "b": {forTests: true}}, "for tests and generators"},
		{"module not allowed", map[string]*node{"a": pkg(jose)}, map[string]rule{"a": {}}, "a brings in " + jose},
		{"module allowed", map[string]*node{"a": pkg(jose)}, map[string]rule{"a": {modules: []string{"go-jose"}}}, ""},
		{"module through an internal package", map[string]*node{"a": pkg(own("internal/b")), "internal/b": pkg(jose)},
			map[string]rule{"a": {}, "internal/b": {modules: []string{"go-jose"}}}, "a brings in " + jose},
		{"module through another public package", map[string]*node{"a": pkg(own("b")), "b": pkg(jose)},
			map[string]rule{"a": {ours: []string{"b"}}, "b": {modules: []string{"go-jose"}}}, ""},
		{"unknown module", map[string]*node{"a": pkg("example.com/x")}, map[string]rule{"a": {}}, "a brings in example.com/x"},
		{"module with a similar name", map[string]*node{"a": pkg("golang.org/x/module")},
			map[string]rule{"a": {modules: []string{"x/mod"}}}, "a brings in golang.org/x/module"},
		{"generator", map[string]*node{"internal/g": pkg(own("b"), jose), "b": pkg()},
			map[string]rule{"internal/g": {forTests: true}, "b": {forTests: true}}, ""},
		{"unknown module in a generator", map[string]*node{"internal/g": pkg("example.com/x")},
			map[string]rule{"internal/g": {forTests: true}}, "internal/g imports example.com/x"},
		{"module in a test", map[string]*node{"a": tested("github.com/google/go-cmp/cmp")}, map[string]rule{"a": {}}, ""},
		{"unknown module in a test", map[string]*node{"a": tested("example.com/x")}, map[string]rule{"a": {}},
			"a test of a imports example.com/x"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := strings.Join(check(test.graph, test.rules), "\n")
			if (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
				t.Errorf("check = %q, want %q", got, test.want)
			}
		})
	}
}

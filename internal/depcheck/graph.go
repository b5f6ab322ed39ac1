package depcheck

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A node is one package of the module, its directory relative to the root.
// Files of every platform count, whatever their build constraints.
type node struct {
	imports     map[string]string // import path to a file that has it
	testImports map[string]string // the same of _test.go files
}

// readGraph parses the imports of all packages of the module at root. It skips
// what the go command skips, and other modules.
func readGraph(root string) (map[string]*node, error) {
	graph := make(map[string]*node)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return enter(root, path, d.Name())
		case filepath.Ext(path) != ".go":
			return nil
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		dir = filepath.ToSlash(dir)
		if graph[dir] == nil {
			graph[dir] = &node{imports: map[string]string{}, testImports: map[string]string{}}
		}
		return graph[dir].read(path)
	})
	return graph, err
}

// enter returns fs.SkipDir for a directory that has no package of the module.
func enter(root, path, name string) error {
	if path == root {
		return nil
	}
	if name == "testdata" || name == "node_modules" || name[0] == '.' || name[0] == '_' {
		return fs.SkipDir
	}
	if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}

func (n *node) read(path string) error {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		return err
	}
	into := n.imports
	if strings.HasSuffix(path, "_test.go") {
		into = n.testImports
	}
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return err
		}
		into[imported] = path
	}
	return nil
}

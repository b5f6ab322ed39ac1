package peers

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

var opaVersion = regexp.MustCompile(`github\.com/open-policy-agent/opa (v[0-9.]+)`)

// OPA returns the Open Policy Agent that `make opa` built, of the version in internal/tools/opa/go.mod.
func OPA(t testing.TB) string {
	t.Helper()
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(root, "internal", "tools", "opa", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	m := opaVersion.FindSubmatch(data)
	if m == nil {
		t.Fatal("internal/tools/opa/go.mod does not name a version of OPA")
	}
	program := filepath.Join(root, ".cache", "opa-"+string(m[1]))
	if _, err := os.Stat(program); err != nil {
		missing(t, "OPA "+string(m[1]), "make opa")
	}
	return program
}

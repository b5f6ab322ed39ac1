package authority

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/badge/authority/internal/store"
)

// TestSpec: every endpoint, code and type of entry stands in the specification.
func TestSpec(t *testing.T) {
	issuance, log := read(t, "../../spec/issuance.md"), read(t, "../../spec/issuance-log.md")
	files, err := filepath.Glob("*.go")
	must(t, err)
	var source strings.Builder
	for _, name := range files {
		if !strings.HasSuffix(name, "_test.go") {
			source.WriteString(read(t, name))
		}
	}
	words := func(pattern string) (found []string) {
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(source.String(), -1) {
			found = append(found, m[1])
		}
		if len(found) < 10 {
			t.Errorf("pattern %q finds %d", pattern, len(found))
		}
		return found
	}
	for _, code := range words(`(?m)^\tCode\w+ +Code = "(\w+)"`) {
		if !strings.Contains(issuance, "`"+code+"`") && !strings.HasPrefix(code, "GRANT_") {
			t.Errorf("code %s is not in spec/issuance.md", code)
		}
	}
	for _, kind := range words(`(?m)^\tEntry\w+ += "([a-z_.]+)"`) {
		group, verb, _ := strings.Cut(kind, ".")
		short := strings.Contains(log, "`"+group+".") && strings.Contains(log, "`."+verb+"`")
		if !short && !strings.Contains(log, "`"+kind+"`") {
			t.Errorf("type %s is not in spec/issuance-log.md", kind)
		}
	}
	for _, path := range words(`"(?:GET|POST) (/[^"]+)"`) {
		last := path[strings.LastIndex(path, "/"):]
		if !strings.Contains(issuance, last) && !strings.Contains(path, "{id}") {
			t.Errorf("endpoint %s is not in spec/issuance.md", path)
		}
	}
	for _, member := range regexp.MustCompile(`json:"(\w+)`).FindAllStringSubmatch(read(t, "entry.go"), -1) {
		if !strings.Contains(log, "`"+member[1]+"`") {
			t.Errorf("member %s is not in spec/issuance-log.md", member[1])
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	must(t, err)
	return string(text)
}

// TestSmallConstants holds what two packages say of the same thing together.
func TestSmallConstants(t *testing.T) {
	if ScopeIssue != store.ScopeIssue || DefaultBadgesPerAgent != store.DefaultPerAgent || DefaultBadgesPerAccount != store.DefaultPerAccount {
		t.Error("the store has other limits")
	}
}

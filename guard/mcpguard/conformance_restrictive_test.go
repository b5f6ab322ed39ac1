package mcpguard_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/internal/peers"
)

// restricted are the scenarios of the official suite, of both generations, that use what the restrictive policy of
// testdata/conformance denies.
var restricted = []string{
	"tools-call-simple-text", "prompts-get-simple", "resources-read-text", "resources-templates-read", "completion-complete",
}

// TestConformanceRestrictive runs the official suite against a guard that denies one capability of each sort: the
// scenarios about these fail, by the one check that they make of it, and nothing else changes. No refusal is of a form that
// the protocol's schema does not have.
func TestConformanceRestrictive(t *testing.T) {
	if testing.Short() {
		t.Skip("builds two servers")
	}
	node, suite := peers.Node(t), peers.Script(t, "@modelcontextprotocol/conformance")
	plain, guarded := buildServers(t)
	for version, flags := range map[string][]string{withSessions: {"-stateless=false"}, withoutSessions: nil} {
		t.Run(version, func(t *testing.T) {
			kept, checks := t.TempDir(), t.TempDir()
			without := summary(t, node, suite, startServer(t, plain, kept, flags), version, t.TempDir(), false)
			with := summary(t, node, suite, startServer(t, guarded, kept, flags, "CONFORMANCE_RESTRICTIVE=1"), version, checks, true)
			if n := decisions(t, kept); n < 20 {
				t.Errorf("%d decisions in the evidence: the guard was not in the way", n)
			}
			if len(with) != len(without) {
				t.Fatalf("%d scenarios, and %d without the guard", len(with), len(without))
			}
			var differ []string
			for i := range len(with) - 1 { // the last is the total
				if with[i] != without[i] {
					_, name, _ := strings.Cut(strings.SplitN(with[i], ":", 2)[0], " ")
					differ = append(differ, name)
				}
			}
			slices.Sort(differ)
			if want := slices.Sorted(slices.Values(restricted)); !slices.Equal(differ, want) {
				t.Errorf("scenarios that differ: %v, want %v", differ, want)
			}
			for _, name := range restricted {
				checkRefused(t, checks, name)
			}
		})
	}
}

// checkRefused reads what the suite checked in a scenario whose capability is denied.
func checkRefused(t *testing.T, dir, scenario string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "server-"+scenario+"-2*", "checks.json"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%s: %v, %v", scenario, files, err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	var all []struct{ ID, Status, ErrorMessage string }
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	failed, valid := 0, false
	for _, c := range all {
		switch {
		case c.Status == "SUCCESS":
			valid = valid || c.ID == "wire-schema-valid"
		case c.ID == "wire-schema-valid" || strings.Contains(c.ErrorMessage, "schema"):
			t.Errorf("%s: %s: %s", scenario, c.ID, c.ErrorMessage)
		default:
			failed++
		}
	}
	if failed != 1 || !valid {
		t.Errorf("%s: %d checks failed, schema checked: %v: %s", scenario, failed, valid, text)
	}
}

package telemetry

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/guard/telemetry/gates"
)

// TestSpec: spec/telemetry.md names every metric, attribute and gate that there is.
func TestSpec(t *testing.T) {
	text, err := os.ReadFile("../../spec/telemetry.md")
	if err != nil {
		t.Fatal(err)
	}
	spec := string(text)
	want := func(name string) {
		t.Helper()
		if !strings.Contains(spec, "`"+name+"`") {
			t.Errorf("the specification does not name `%s`", name)
		}
	}
	tel, err := New(t.Context(), &Config{Tools: []string{"x"}, Backlog: func() int { return 0 }, PolicyVersion: func() string { return "v" }})
	if err != nil {
		t.Fatal(err)
	}
	tel.ObserveApprovals()
	tel.ObserveScans()
	var page bytes.Buffer
	if err := tel.WriteMetrics(&page); err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`(?m)^# TYPE ((?:touchmark|mcp)_\w+) (\w+)$`).FindAllStringSubmatch(page.String(), -1)
	for _, vec := range []string{"decisions", "tool_decisions", "shadow_decisions", "outcomes"} { // without a sample yet
		want("touchmark_guard_" + vec + "_total")
	}
	if len(named) < 10 {
		t.Fatalf("%d metrics", len(named))
	}
	for _, m := range named {
		want(m[1])
		if row := regexp.MustCompile("(?m)^\\| `" + m[1] + "` \\| " + m[2] + " \\|").FindString(spec); row == "" {
			t.Errorf("the specification does not say that %s is a %s", m[1], m[2])
		}
	}
	for name, attribute := range constantsOfCalls(t) {
		if !strings.Contains(spec, "`"+attribute+"`") {
			t.Errorf("the specification does not name %s, `%s`", name, attribute)
		}
	}
	for _, g := range gates.All() {
		want(g.ID)
		if !strings.Contains(spec, "`"+g.Metric) {
			t.Errorf("the specification does not name %s", g.Metric)
		}
	}
	for _, tag := range DefaultHighRisk().Tags {
		want(tag)
	}
}

// constantsOfCalls returns the names of attributes in trace.go, which are made by attribute.Key.
func constantsOfCalls(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("trace.go")
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]string)
	for _, m := range regexp.MustCompile(`(attr\w+)\s+= attribute\.Key\("([^"]+)"\)`).FindAllStringSubmatch(string(text), -1) {
		found[m[1]] = m[2]
	}
	if len(found) < 15 {
		t.Fatalf("%d attributes", len(found))
	}
	return found
}

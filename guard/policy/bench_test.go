package policy

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/guard"
)

// rulesFor writes a file of n rules of which naming are about the tool "files_read", and the others about others.
func rulesFor(n, naming int) string {
	var text strings.Builder
	text.WriteString("version: 1\nrules:\n")
	for i := range n {
		name := fmt.Sprintf("t%04x_%d*", i*7919%65521, i)
		if i%(n/naming) == 0 && i/(n/naming) < naming {
			name = []string{"files_*", "files_read", "*_read", "f*d"}[i/(n/naming)%4]
		}
		fmt.Fprintf(&text, "  - {id: r%d, match: {tool: \"%s\", caller: {did: \"did:web:*.example\"}}, min_level: %d, decision: allow}\n",
			i, name, 2+i%2)
	}
	return text.String()
}

// unselective writes rules that all name every tool, each with one condition, which does not hold.
func unselective(n int) string {
	var text strings.Builder
	text.WriteString("version: 1\nrules:\n")
	for i := range n {
		fmt.Fprintf(&text, "  - {id: r%d, match: {caller: {did: \"did:web:%d.example\"}}, min_level: 2, decision: allow}\n", i, i)
	}
	return text.String()
}

func benchCall() *Call {
	return &Call{
		Verb: guard.Invoke, Method: "tools/call", Capability: guard.Capability{Kind: guard.KindTool, Name: "files_read"},
		Caller:    Caller{Level: 3, DID: "did:web:agent.example", Issuer: "https://ca.example"},
		Arguments: json.RawMessage(`{"options":{"limit":10},"path":"/data/reports/2026.csv"}`),
		Facts:     guard.Facts{Environment: "production", Claims: json.RawMessage(`{"scope":"read"}`)},
		Time:      time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC),
	}
}

func benchmarkDecide(b *testing.B, text string) {
	b.Helper()
	p, err := Parse([]byte(text))
	if err != nil {
		b.Fatal(err)
	}
	c := benchCall()
	b.ReportAllocs()
	for b.Loop() {
		p.decide(&question{call: *c})
	}
}

func BenchmarkDecide(b *testing.B) {
	for _, c := range []struct{ rules, naming int }{{10, 10}, {100, 10}, {1000, 10}, {10000, 10}, {10000, 20}} {
		b.Run(fmt.Sprintf("rules=%d/naming=%d", c.rules, c.naming), func(b *testing.B) { benchmarkDecide(b, rulesFor(c.rules, c.naming)) })
	}
	b.Run("rules=100/classes-and-shadow", func(b *testing.B) { benchmarkDecide(b, classesAndShadow) })
	b.Run("rules=100/every-condition", func(b *testing.B) { benchmarkDecide(b, everyCondition) })
}

// BenchmarkUnselective is the curve of rules that no name tells apart.
func BenchmarkUnselective(b *testing.B) {
	for _, n := range []int{10, 100, 1000, 10000} {
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) { benchmarkDecide(b, unselective(n)) })
	}
}

// BenchmarkInput is what a guard pays: the question made of its Input, too.
func BenchmarkInput(b *testing.B) {
	p := mustParse(b, rulesFor(100, 10))
	c := benchCall()
	in := &guard.Input{
		Caller: &guard.Principal{}, Verb: c.Verb, Method: c.Method, Capability: c.Capability, Arguments: c.Arguments, Facts: c.Facts,
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Decide(b.Context(), in); err != nil {
			b.Fatal(err)
		}
	}
}

// everyCondition has 100 rules, of which ten have every sort of condition and name the tool.
var everyCondition = `version: 1
capabilities:
  - {tool: "files_*", labels: {action: read}, risk_tags: [internal]}
rules:
` + func() string {
	var text strings.Builder
	for i := range 100 {
		name := fmt.Sprintf("other_%d", i)
		if i%10 == 0 {
			name = "files_*"
		}
		fmt.Fprintf(&text, `  - id: r%d
    match:
      tool: %q
      verb: invoke
      method: "tools/*"
      labels: {action: read}
      risk_tags: internal
      caller: {level: [2, 3], did: "did:web:*.example", issuer: "https://ca.example", claims: [{pointer: /scope, in: [read, write]}]}
      environment: production
      time: {days: [mon, tue, wed, thu, fri, sat], hours: "08:00-18:00"}
      arguments: [{pointer: /path, prefix: /data/}, {pointer: /path, matches: "[a-z0-9./]+"}, {pointer: /options/limit, lt: 100}]
    min_level: 2
    decision: require_approval
`, i, name)
	}
	return text.String()
}()

// classesAndShadow has everything that comes to a decision beside its rules.
var classesAndShadow = func() string {
	text := "version: 1\nfinal_levels: [4]\ncapabilities: [{tool: \"files_*\", labels: {action: read}}, {tool: \"*_read\", risk_tags: [pii]}]\nactors:\n"
	for i := range 10 {
		text += fmt.Sprintf("  - {caller: {did: \"did:web:%d.example\", issuer: \"https://*\", badge_actor: human}, actor: human}\n", i)
	}
	rules := strings.TrimPrefix(rulesFor(100, 10), "version: 1\n")
	return text + strings.ReplaceAll(rules, "min_level: 3, decision: allow", "min_level: 3, decision: allow, shadow: true")
}()

// TestNoAllocation: a decision allocates nothing, whatever the rules look at.
func TestNoAllocation(t *testing.T) {
	for name, text := range map[string]string{
		"names": rulesFor(100, 10), "every condition": everyCondition, "classes and shadow": classesAndShadow,
		"changed in shadow": strings.Replace(rulesFor(100, 10), "min_level: 3, decision: allow", "min_level: 0, decision: allow, shadow: true", 1),
	} {
		p := mustParse(t, text)
		c := benchCall()
		if d := p.decide(&question{call: *c}); d.NoRule {
			t.Fatalf("%s: no rule matches", name)
		}
		n := testing.AllocsPerRun(100, func() {
			p.decide(&question{call: *c})
		})
		if n > 0 && !raceEnabled {
			t.Errorf("%s: %v allocations, want none", name, n)
		}
	}
}

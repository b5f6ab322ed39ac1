package policy

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
)

func mustParse(t testing.TB, text string) *Policy {
	t.Helper()
	p, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func decide(t testing.TB, p *Policy, tool string) guard.Decision {
	t.Helper()
	d, err := p.Decide(t.Context(), &guard.Input{
		Caller: &guard.Principal{}, Verb: guard.Invoke, Method: "tools/call",
		Capability: guard.Capability{Kind: guard.KindTool, Name: tool},
	})
	if err != nil {
		t.Fatal(err)
	}
	if d.Version != p.Version() {
		t.Errorf("decision of version %q, want %q", d.Version, p.Version())
	}
	return d
}

const example = `version: 1
rules:
  - {id: read, match: {tool: "read_*"}, min_level: 2, decision: allow}
  - {id: read-more, match: {tool: "read_*"}, min_level: 3, decision: allow}
  - {id: wipe, match: {tool: "*_wipe"}, min_level: 4, decision: require_approval}
  - {id: wipe-any, match: {tool: "*_wipe"}, min_level: 1, decision: allow}
  - {id: never, match: {tool: "root_*"}, decision: deny}
  - {id: ping, match: {tool: ping}, anonymous: true, decision: allow}
  - {id: ping-2, match: {tool: "p*"}, min_level: "0", decision: allow}
`

func TestDecide(t *testing.T) {
	p := mustParse(t, example)
	for _, c := range []struct {
		tool string
		want guard.Decision
	}{
		{"read_file", guard.Decision{Kind: guard.Allow, Rule: "read", MinLevel: badge.LevelDomain}},
		{"disk_wipe", guard.Decision{Kind: guard.RequireApproval, Rule: "wipe", MinLevel: badge.LevelExtended}},
		{"root_wipe", guard.Decision{Kind: guard.Deny, Rule: "never"}},
		{"ping", guard.Decision{Kind: guard.Allow, Rule: "ping", Anonymous: true}},
		{"pong", guard.Decision{Kind: guard.Allow, Rule: "ping-2", MinLevel: badge.LevelSelfSigned}},
		{"Ping", guard.Decision{NoRule: true}},
		{"write_file", guard.Decision{NoRule: true}},
		{"", guard.Decision{NoRule: true}},
	} {
		c.want.Version = p.Version()
		if got := decide(t, p, c.tool); got != c.want {
			t.Errorf("%q: got %+v, want %+v", c.tool, got, c.want)
		}
	}
}

// TestOrderOfRules shows that the order of a file decides nothing but which of two equal rules is named.
func TestOrderOfRules(t *testing.T) {
	p := mustParse(t, example)
	lines := strings.Split(strings.TrimSpace(example), "\n")
	reversed := append([]string{}, lines[:2]...)
	for i := len(lines) - 1; i >= 2; i-- {
		reversed = append(reversed, lines[i])
	}
	q := mustParse(t, strings.Join(reversed, "\n"))
	for _, tool := range []string{"read_file", "disk_wipe", "root_wipe", "ping", "pong", "write"} {
		a, b := decide(t, p, tool), decide(t, q, tool)
		a.Version, b.Version = "", ""
		if a != b {
			t.Errorf("%q: %+v, and %+v with the rules in reverse", tool, a, b)
		}
	}
}

// TestOnlyTools shows that rules for tools say nothing about other kinds of capability.
func TestOnlyTools(t *testing.T) {
	p := mustParse(t, "version: 1\nrules: [{id: a, match: {tool: \"*\"}, anonymous: true, decision: allow}]")
	for _, kind := range []guard.Kind{guard.KindPrompt, guard.KindResource, guard.KindTemplate, guard.KindMethod, ""} {
		d, err := p.Decide(t.Context(), &guard.Input{Capability: guard.Capability{Kind: kind, Name: "x"}})
		if err != nil || !d.NoRule {
			t.Errorf("kind %q: %+v, %v, want no rule", kind, d, err)
		}
	}
}

func TestVersion(t *testing.T) {
	p := mustParse(t, example)
	same := mustParse(t, `# another layout of the same rules
version: 1
rules:
  - decision: allow
    min_level: "2"
    match:
      tool: 'read_*'
    id: read
`+strings.Join(strings.Split(example, "\n")[3:], "\n"))
	if p.Version() != same.Version() {
		t.Errorf("layout changed the digest:\n%s\n%s", p.Canonical(), same.Canonical())
	}
	if dos := mustParse(t, strings.ReplaceAll(example, "\n", "\r\n")); dos.Version() != p.Version() {
		t.Errorf("line ends changed the digest:\n%s", dos.Canonical())
	}
	other := mustParse(t, strings.Replace(example, "min_level: 2", "min_level: 1", 1))
	if p.Version() == other.Version() {
		t.Error("a lower level has the same digest")
	}
	asks := mustParse(t, example+"require_discovery_proof: true\n")
	if p.Version() == asks.Version() || !asks.RequireDiscoveryProof() || p.RequireDiscoveryProof() {
		t.Error("require_discovery_proof is lost")
	}
	small := mustParse(t, "version: 1\nrules: [{id: a, match: {tool: \"é*\"}, min_level: 0, decision: allow}]")
	const want = `{"rules":[{"decision":"allow","id":"a","match":{"tool":"é*"},"min_level":"0"}],"version":1}`
	if got := string(small.Canonical()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, want := small.Version(), "sha256:frCMKn8TvIpVkyOTqcmYT1UOcggOJl_G67U9hHYpoQA"; got != want {
		t.Errorf("got digest %q, want %q", got, want)
	}
}

func TestRefusals(t *testing.T) {
	rule := func(members string) string { return "version: 1\nrules:\n  - {" + members + "}\n" }
	const ok = `id: a, match: {tool: x}, min_level: 1, decision: allow`
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "the file is empty"},
		{"comment only", "# nothing\n", "the file is empty"},
		{"not YAML", "version: [1\n", "policy: line 1: not YAML:"},
		{"tab", "version: 1\n\trules: []\n", "not YAML"},
		{"list", "- 1\n", "line 1, column 1: the file is not a mapping"},
		{"no version", "rules: []\n", "the file has no version"},
		{"version as string", `version: "1"`, "line 1, column 10: version is not 1"},
		{"version 2", "version: 2\nrules: []\n", "version is not 1"},
		{"version 1.0", "version: 1.0\nrules: []\n", "version is not 1"},
		{"version 0x1", "version: 0x1\nrules: []\n", "version is not 1"},
		{"no rules", "version: 1\n", "the file has no rules"},
		{"empty rules", "version: 1\nrules: []\n", "line 2, column 8: rules is empty"},
		{"null rules", "version: 1\nrules:\n", "rules is not a list"},
		{"rules as mapping", "version: 1\nrules: {}\n", "rules is not a list"},
		{"unknown member", "version: 1\nrole: {}\nrules: []\n", `line 2, column 1: the file has "role", which`},
		{"duplicate member", "version: 1\nversion: 1\nrules: []\n", `line 2, column 1: the file has "version" twice`},
		{"member not a string", "version: 1\n1: 2\n", "is not a string"},
		{"merge", "version: 1\n<<: {rules: []}\n", "a name in the file is not a string"},
		{"second document", "version: 1\n---\nversion: 1\n", "a second document"},
		{"broken second document", "version: 1\n---\n[\n", "not YAML"},
		{"anchor", "version: 1\nrules: &r []\n", "line 2, column 8: an anchor"},
		{"alias", "version: 1\nrules: &r []\nx: *r\n", "an anchor"},
		{"tag", "version: !!int 1\n", "line 1, column 10: a tag"},
		{"custom tag", "version: !x 1\n", "a tag"},
		{"tag without a name", "version: ! 1\n", "line 1, column 10: a tag"},
		{"tag without a name on a mapping", "! {version: 1}\n", "line 1, column 1: a tag"},
		{"tag without a name on a list", "# \u00e9\nversion: 1\n\"rules\": !\n  - {}\n", "line 3, column 10: a tag"},
		{"tag without a name after an accent", "{\u00e9: ! 1}", "line 1, column 5: a tag"},
		{"directive", "%YAML 1.1\n---\nversion: 1\n", "line 1, column 1: a line begins with '%'"},
		{"line separator in a comment", "version: 1\n# x\u2028rules: []\n", "line 2, column 4: the character U+2028"},
		{"paragraph separator in a comment", "# x\u2029rules: []\n", "line 1, column 4: the character U+2029"},
		{"next line in a comment", "# x\u0085rules: []\n", "line 1, column 4: the character U+0085"},
		{"carriage return in a comment", "# x\rrules: []\n", "line 1, column 4: a carriage return"},
		{"carriage return at the end", "version: 1\r", "line 1, column 11: a carriage return"},
		{"right-to-left override", "# \u202e\n", "line 1, column 3: the character U+202E"},
		{"byte order mark", "\ufeffversion: 1\n", "byte order mark"},
		{"UTF-16", "\xff\xfev\x00", "not UTF-8"},
		{"invalid UTF-8", "version: 1 # \xff\n", "not UTF-8"},
		{"too long", "#" + strings.Repeat("x", MaxBytes), "longer than"},
		{"discovery proof", "version: 1\nrequire_discovery_proof: yes\n", "require_discovery_proof is not true or false"},
		{"too many rules", "version: 1\nrules:\n" + strings.Repeat("- {}\n", MaxRules+1), "more than 16384 rules"},

		{"rule as string", "version: 1\nrules: [a]\n", "line 2, column 9: a rule is not a mapping"},
		{"rule without id", rule(`match: {tool: x}, min_level: 1, decision: allow`), "line 3, column 5: a rule has no id"},
		{"rule without match", rule(`id: a, min_level: 1, decision: allow`), "a rule has no match"},
		{"rule without decision", rule(`id: a, match: {tool: x}, min_level: 1`), "a rule has no decision"},
		{"rule with unknown member", rule(ok + `, mode: observe`), `a rule has "mode", which`},
		{"rule with member twice", rule(ok + `, decision: deny`), `a rule has "decision" twice`},
		{"two rules of one id", "version: 1\nrules: [{" + ok + "}, {" + ok + "}]", `two rules have the id "a"`},
		{"id a number", rule(`id: 1, match: {tool: x}, min_level: 1, decision: allow`), "id is not a string"},
		{"id empty", rule(`id: "", match: {tool: x}, min_level: 1, decision: allow`), "an id has 1 to 64"},
		{"id long", rule(`id: ` + strings.Repeat("a", 65) + `, match: {tool: x}, min_level: 1, decision: allow`), "an id has 1 to 64"},
		{"id with a blank", rule(`id: "a b", match: {tool: x}, min_level: 1, decision: allow`), `id "a b" has a character`},
		{"id beginning with a dot", rule(`id: .a, match: {tool: x}, min_level: 1, decision: allow`), `id ".a" has a character`},
		{"match as string", rule(`id: a, match: x, min_level: 1, decision: allow`), "match is not a mapping"},
		{"match empty", rule(`id: a, match: {}, min_level: 1, decision: allow`), "match names nothing"},
		{"match of another kind", rule(`id: a, match: {resources: x}, min_level: 1, decision: allow`), `match has "resources", which`},
		{"tool a number", rule(`id: a, match: {tool: 1}, min_level: 1, decision: allow`), "tool is not a string"},
		{"tool a boolean", rule(`id: a, match: {tool: true}, min_level: 1, decision: allow`), "tool is not a string"},
		{"tool empty", rule(`id: a, match: {tool: ""}, min_level: 1, decision: allow`), "a pattern is empty"},
		{"tool long", rule(`id: a, match: {tool: ` + strings.Repeat("a", MaxGlobBytes+1) + `}, min_level: 1, decision: allow`), "longer than 256"},
		{"tool two stars", rule(`id: a, match: {tool: "a**"}, min_level: 1, decision: allow`), "two stars in a row"},
		{"tool class", rule(`id: a, match: {tool: "[ab]"}, min_level: 1, decision: allow`), "which is reserved"},
		{"tool alternatives", rule(`id: a, match: {tool: "{a,b}"}, min_level: 1, decision: allow`), "which is reserved"},
		{"tool backslash", rule(`id: a, match: {tool: 'a\*'}, min_level: 1, decision: allow`), "which is reserved"},
		{"tool control character", rule(`id: a, match: {tool: "a\tb"}, min_level: 1, decision: allow`), "control character"},
		{"tool of C1", rule(`id: a, match: {tool: "a\x85b"}, min_level: 1, decision: allow`), "control character"},
		{"tool with a space of no width", rule("id: a, match: {tool: \"a\u200bb\"}, min_level: 1, decision: allow"), "U+200B"},
		{"tool with a hard blank", rule(`id: a, match: {tool: "a\u00a0"}, min_level: 1, decision: allow`), "U+00A0"},
		{"level 5", rule(`id: a, match: {tool: x}, min_level: 5, decision: allow`), `min_level "5" is not one of`},
		{"level 02", rule(`id: a, match: {tool: x}, min_level: 02, decision: allow`), `min_level "02" is not one of`},
		{"level 2.0", rule(`id: a, match: {tool: x}, min_level: 2.0, decision: allow`), "min_level is not one of"},
		{"level null", rule(`id: a, match: {tool: x}, min_level: ~, decision: allow`), "min_level is not one of"},
		{"level missing", rule(`id: a, match: {tool: x}, decision: allow`), `rule "a" has no min_level`},
		{"level missing for approval", rule(`id: a, match: {tool: x}, decision: require_approval`), `rule "a" has no min_level`},
		{"level missing, anonymous false", rule(`id: a, match: {tool: x}, anonymous: false, decision: allow`), `rule "a" has no min_level`},
		{"level and anonymous", rule(ok + `, anonymous: true`), "min_level means nothing"},
		{"level and deny", rule(`id: a, match: {tool: x}, min_level: 1, decision: deny`), "min_level means nothing"},
		{"anonymous and deny", rule(`id: a, match: {tool: x}, anonymous: true, decision: deny`), "anonymous means nothing"},
		{"anonymous approval", rule(`id: a, match: {tool: x}, anonymous: true, decision: require_approval`), "cannot be given to nobody"},
		{"anonymous yes", rule(`id: a, match: {tool: x}, anonymous: yes, decision: allow`), "anonymous is not true or false"},
		{"anonymous True", rule(`id: a, match: {tool: x}, anonymous: True, decision: allow`), "anonymous is not true or false"},
		{"decision unknown", rule(`id: a, match: {tool: x}, min_level: 1, decision: permit`), `decision "permit" is not one of`},
		{"decision Allow", rule(`id: a, match: {tool: x}, min_level: 1, decision: Allow`), `decision "Allow" is not one of`},
		{"decision with constraints", rule(`id: a, match: {tool: x}, min_level: 1, decision: allow_with_constraints`), "allows with constraints and has none"},
		{"decision a list", rule(`id: a, match: {tool: x}, min_level: 1, decision: [allow]`), "decision is not a string"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse([]byte(c.text))
			if err == nil {
				t.Fatal("accepted")
			}
			var refused *Error
			if !errors.As(err, &refused) {
				t.Errorf("error of type %T", err)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %q\nwant %q in it", err, c.want)
			}
		})
	}
}

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"a", "a", true}, {"a", "A", false}, {"a", "aa", false}, {"a", "", false},
		{"*", "", true}, {"*", "a/b.c d", true}, {"*", "\xff", false}, {"\u00e9", "\u00e9", true}, {"\u00e9", "e\u0301", false},
		{"a*", "a", true}, {"a*", "ab", true}, {"a*", "ba", false},
		{"*a", "a", true}, {"*a", "ba", true}, {"*a", "ab", false},
		{"ab*ba", "abba", true}, {"ab*ba", "aba", false}, {"ab*ba", "abXba", true},
		{"?", "a", true}, {"?", "\u00e9", true}, {"?", "", false}, {"?", "ab", false}, {"?", "\xff", false},
		{"a?c", "abc", true}, {"a?c", "ac", false},
		{"*a*", "bab", true}, {"*a*", "bb", false}, {"*a*b*", "xaxbx", true}, {"*a*b*", "xbxax", false},
		{"a*b*c", "abbc", true}, {"a*b*c", "acb", false}, {"a*?", "a", false}, {"a*?", "ab", true},
		{"*aab", "aaab", true}, {"*a?b", "aaaxb", true}, {"a?*c", "ac", false}, {"read_*", "Read_x", false},
		{"a*\xc3\xa9?", "ab\xc3\xa9c", true}, {"a?b", "a\xffb", false}, {"a*b", "a\xffb", false},
	} {
		g, err := parseGlob(c.pattern)
		if err != nil {
			t.Fatalf("%q: %v", c.pattern, err)
		}
		if got := g.match(c.name); got != c.want {
			t.Errorf("%q against %q: got %v", c.pattern, c.name, got)
		}
	}
}

// FuzzGlob compares the shapes that avoid a search with the search, and the search with the obvious recursion.
func FuzzGlob(f *testing.F) {
	f.Add("a*b", "axxb")
	f.Add("*a?*b", "aab")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if len(pattern) > 24 || len(name) > 48 {
			return
		}
		g, err := parseGlob(pattern)
		if err != nil {
			return
		}
		want := strings.ToValidUTF8(name, "") == name && slow([]rune(pattern), []rune(name))
		if got := g.match(name); got != want {
			t.Errorf("%q against %q: got %v, want %v", pattern, name, got, want)
		}
	})
}

func slow(pattern, name []rune) bool {
	switch {
	case len(pattern) == 0:
		return len(name) == 0
	case pattern[0] == '*':
		return slow(pattern[1:], name) || len(name) > 0 && slow(pattern, name[1:])
	}
	return len(name) > 0 && (pattern[0] == '?' || pattern[0] == name[0]) && slow(pattern[1:], name[1:])
}

// FuzzParse shows that no file crashes the parser, and that what it accepts has a digest that depends on the
// rules alone: the compiled form, which is JSON and so YAML, is a file of the same digest.
func FuzzParse(f *testing.F) {
	f.Add([]byte(example))
	f.Add([]byte("version: 1\nrules: [{id: a, match: {tool: \"*\"}, decision: deny}]"))
	f.Add([]byte("a: &a [*a]\n---\n!!x"))
	f.Add([]byte(everyMember))
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg := Config{Enforces: ConstraintNames()}
		p, err := cfg.Parse(data)
		if err != nil {
			var refused *Error
			if !errors.As(err, &refused) {
				t.Fatalf("error of type %T", err)
			}
			return
		}
		q, err := cfg.Parse(p.Canonical())
		if err != nil {
			t.Fatalf("canonical form %s: %v", p.Canonical(), err)
		}
		if p.Version() != q.Version() {
			t.Errorf("digest %s of %s, then %s", p.Version(), p.Canonical(), q.Version())
		}
		p.Findings()
	})
}

// everyMember has every member of the format.
const everyMember = `version: 1
require_discovery_proof: true
final_levels: [4, "3"]
actors:
  - {caller: [{issuer: "https://ca.example", badge_actor: [human]}], actor: human}
  - {caller: [{uid: 0}, {did: "did:web:*"}], actor: service_account}
_methods: {tools/call: evaluate, tools/list: filter, prompts/get: deny, _other: deny}
capabilities:
  - {tool: [a, "b*"], labels: {x: y, z: w}, risk_tags: [p, q]}
  - {resource: "file:///*", risk_tags: p}
rules:
  - id: a
    match:
      tool: [a]
      verb: [invoke, discover]
      method: "tools/*"
      labels: {x: [y, "y*"], z: w}
      risk_tags: [p]
      servers: [s]
      servers_not_in: [t, u]
      environment: prod
      tenant: [acme]
      actor: [human, automation]
      caller:
        - {anonymous: false, did: "did:web:*", issuer: [i], assurance: "1", level: [2, "4"], spiffe_id: "spiffe://a/*", uid: [0, 1]}
        - {claims: [{pointer: /scope, in: [a, b]}]}
      time: [{days: [mon, sun], hours: "08:00-24:00"}, {days: tue}]
      arguments:
        - {pointer: /a, eq: 1.50}
        - {pointer: /a~1b/0, in: [1, 2e3, -0]}
        - {pointer: /a, lt: 1}
        - {pointer: /a, gt: -1}
        - {pointer: /b, prefix: "é"}
        - {pointer: /b, glob: "a*"}
        - {pointer: /b, matches: "[a-z]{2}"}
        - {pointer: "", type: object}
        - {pointer: /c, exists: false}
        - {pointer: /d, eq: true}
    min_level: 2
    decision: allow_with_constraints
    constraints:
      {max_runtime_sec: 1, max_retries: 0, max_result_bytes: 1, rate_per_minute: 1, max_concurrent: 1, included_within_sec: 2, cosigned_within_sec: 3, network_allowlist: [a.example]}
roles:
  r:
    description: some
    members: [{did: "did:web:*"}, {uid: 0}]
    grants:
      - {capability: "resource:x", actions: [read, subscribe], conditions: {environment: [a, b]}, min_level: 1, decision: require_approval}
      - {capability: "prompt:*", anonymous: true, decision: allow, shadow: true}
  empty: {members: [], grants: [{capability: "tool:x", decision: deny}]}
`

// TestEveryMember: the compiled form has every member, and compiles to itself.
func TestEveryMember(t *testing.T) {
	cfg := Config{Enforces: ConstraintNames()}
	p, err := cfg.Parse([]byte(everyMember))
	if err != nil {
		t.Fatal(err)
	}
	q, err := cfg.Parse(p.Canonical())
	if err != nil {
		t.Fatalf("%s: %v", p.Canonical(), err)
	}
	if p.Version() != q.Version() {
		t.Errorf("got  %s\nwant %s", q.Canonical(), p.Canonical())
	}
	for _, member := range []string{
		`"risk_tags":"p"`, `"level":["2","4"]`, `"uid":[0,1]`, `{"eq":1.5,"pointer":"/a"}`, `"in":[1,2000,0]`, `"caller":[]`,
		`"days":["sun","mon"]`, `"id":"r.1"`, `"method":["resources/read","resources/subscribe"`, `"_other":"deny"`,
		`"network_allowlist":["a.example"]`, `"max_retries":0`, `"require_discovery_proof":true`,
	} {
		if !strings.Contains(string(p.Canonical()), member) {
			t.Errorf("no %s in %s", member, p.Canonical())
		}
	}
}

func TestSpecExample(t *testing.T) {
	spec, err := os.ReadFile("../../spec/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(spec), "```yaml\n")
	if !ok {
		t.Fatal("spec/policy.md has no example of a policy file")
	}
	text, _, _ := strings.Cut(rest, "```")
	p := mustParse(t, text)
	if findings := p.Findings(); findings != nil {
		t.Errorf("%+v", findings)
	}
	cases, err := ParseCases([]byte(`version: 1
cases:
  - {name: everybody pings, call: {tool: ping}, expect: allow, rule: health}
  - {name: readers, call: {tool: read_x, environment: test, caller: {level: 2}}, expect: allow, rule: readers}
  - name: reports
    call: {tool: write_file, arguments: {path: /data/reports/a}, environment: test, time: "2026-11-23T09:00:00Z", caller: {level: 3}}
    expect: allow
    rule: reports
  - name: reports in production
    call: {tool: write_file, arguments: {path: /data/reports/a}, environment: production, time: "2026-11-23T09:00:00Z", caller: {level: 3}}
    expect: require_approval
    rule: prod
  - name: operators
    call: {tool: restart, environment: test, caller: {level: 3, did: "did:web:ops.example.com:ann"}}
    expect: allow
    rule: operators.1
`))
	if err != nil {
		t.Fatal(err)
	}
	if report := p.Test(cases); len(report.Failures) > 0 || len(report.Uncovered) > 0 {
		t.Errorf("%+v, no case for %v", report.Failures, report.Uncovered)
	}
}

package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
)

// TestFormatRefusals: what the file does not define is refused where it stands.
func TestFormatRefusals(t *testing.T) {
	match := func(m string) string {
		return "version: 1\nrules:\n  - {id: a, min_level: 1, decision: allow, match: {" + m + "}}\n"
	}
	test := func(members string) string { return match("arguments: [{" + members + "}]") }
	constraint := func(c string) string {
		return "version: 1\nrules: [{id: a, match: {tool: x}, min_level: 1, decision: allow_with_constraints, constraints: {" + c + "}}]"
	}
	grant := func(g string) string { return "version: 1\nroles:\n  r: {members: [], grants: [{" + g + "}]}\n" }
	for _, c := range []struct{ name, text, want string }{
		{"two kinds", match("tool: x, prompt: y"), "line 3, column 61: match names tool and prompt"},
		{"empty list of patterns", match("tool: []"), "a list of 0 entries"},
		{"pattern a number in a list", match("tool: [a, 1]"), "tool is not a string"},
		{"verb", match("verb: use"), `verb "use" is not one of discover, invoke`},
		{"actor", match("actor: robot"), `actor "robot" is not one of human, supervised_ai, automation, service_account`},
		{"actor empty", match(`actor: ""`), "is not one of human"},
		{"environment a number", match("environment: 1"), "environment is not a string"},
		{"labels empty", match("labels: {}"), "labels names none"},
		{"labels a list", match("labels: [a]"), "labels is not a mapping"},
		{"label without a name", match(`labels: {"": a}`), "the name of a label has 1 to 256 bytes"},
		{"risk tag a number", match("risk_tags: [1]"), "a risk tag is not a string"},
		{"caller empty", match("caller: {}"), "caller names nothing"},
		{"caller a string", match("caller: x"), "caller is not a mapping, nor a list"},
		{"caller unknown", match("caller: {name: x}"), `caller has "name", which`},
		{"caller level", match("caller: {level: 5}"), `caller.level "5" is not one of 0, 1, 2, 3, 4`},
		{"caller uid", match("caller: {uid: -1}"), `uid "-1" is not a number of a user`},
		{"caller uid octal", match("caller: {uid: 010}"), `uid "010" is not`},
		{"caller uid a string", match(`caller: {uid: "1"}`), "is not a number of a user"},
		{"caller anonymous", match("caller: {anonymous: yes}"), "anonymous is not true or false"},
		{"claims", match("caller: {claims: {scope: x}}"), "claims is not a list of 1 to 256 tests"},
		{"time empty", match("time: {}"), "time names nothing"},
		{"time day", match("time: {days: monday}"), `days "monday" is not one of sun, mon`},
		{"time hours", match(`time: {hours: "8:00-18:00"}`), "is not a time of the day"},
		{"time hours backwards", match(`time: {hours: "18:00-08:00"}`), "and a later one"},
		{"time hours of nothing", match(`time: {hours: "08:00-08:00"}`), "and a later one"},
		{"time after the day", match(`time: {hours: "08:00-24:01"}`), "is not a time of the day"},
		{"time zone", match(`time: {hours: "08:00-18:00", zone: CET}`), `time has "zone", which`},

		{"arguments a mapping", match("arguments: {}"), "arguments is not a list of 1 to 256 tests"},
		{"test without pointer", test("eq: 1"), "a test has no pointer"},
		{"test without operator", test("pointer: /a"), "a test compares with nothing"},
		{"test with two operators", test("pointer: /a, lt: 1, gt: 0"), "a test has lt and gt; write two tests"},
		{"operator unknown", test("pointer: /a, ne: 1"), `a test has "ne", which`},
		{"pointer without slash", test("pointer: a, eq: 1"), `pointer "a" is not a JSON Pointer`},
		{"pointer with a tilde", test("pointer: /a~2, eq: 1"), "a '~' that is not ~0 or ~1"},
		{"pointer too deep", test("pointer: " + strings.Repeat("/a", 17) + ", eq: 1"), "of at most 16 steps"},
		{"eq null", test("pointer: /a, eq: null"), "eq compares with no value of this type"},
		{"eq a list", test("pointer: /a, eq: [1]"), "eq compares with no value of this type"},
		{"eq of too many digits", test("pointer: /a, eq: 1234567890123456"), "is not a number as in JSON"},
		{"eq hexadecimal", test("pointer: /a, eq: 0x10"), "is not a number as in JSON"},
		{"eq infinity", test("pointer: /a, eq: .inf"), "is not a number as in JSON"},
		{"eq large", test("pointer: /a, eq: 1e15"), "below 10^15"},
		{"lt a string", test("pointer: /a, lt: x"), "lt compares with no value of this type"},
		{"prefix a number", test("pointer: /a, prefix: 1"), "prefix compares with no value of this type"},
		{"in of types", test("pointer: /a, in: [1, a]"), "in has values of several types"},
		{"in of booleans", test("pointer: /a, in: [true]"), "in compares with no value of this type"},
		{"in a scalar", test("pointer: /a, in: a"), "in is not a list of values"},
		{"glob of several", test(`pointer: /a, glob: ["a*", "b*"]`), "glob is one pattern"},
		{"type", test("pointer: /a, type: text"), `type "text" is not one of array, boolean`},
		{"exists", test("pointer: /a, exists: 1"), "exists is not true or false"},
		{"expression", test(`pointer: /a, matches: "("`), "matches: error parsing regexp"},
		{"expression of Perl", test(`pointer: /a, matches: "(?=a)"`), "matches: error parsing regexp"},
		{"expression that closes", test(`pointer: /a, matches: "a)|(b"`), "matches: error parsing regexp"},
		{"expression too large", test(`pointer: /a, matches: "(a{1000}){2}"`), "error parsing regexp"},
		{"expression of many steps", test(`pointer: /a, matches: "[ab]{999}[cd]{999}"`), "more than 1024 instructions"},
		{"text with a control character", test(`pointer: /a, eq: "a\tb"`), "a control character"},

		{"constraint", constraint("max_runtime_sec: 30"), "column 97: nothing here enforces max_runtime_sec"},
		{"constraint unknown", constraint("max_cost: 30"), `constraints has "max_cost", which`},
		{"allow with constraints", strings.Replace(constraint("max_retries: 1"), "_with_constraints", "", 1), "nothing here enforces max_retries"},

		{"method open", "version: 1\n_methods: {ping: deny, _other: deny}\nrules: []", "ping is open to everybody"},
		{"methods without other", "version: 1\n_methods: {tools/call: evaluate}\nrules: []", `write "_other: deny"`},
		{"methods with another other", "version: 1\n_methods: {_other: evaluate}\nrules: []", "_other is not deny"},
		{"list evaluated", "version: 1\n_methods: {tools/list: evaluate, _other: deny}\nrules: []", "tools/list is not filter or deny"},
		{"call filtered", "version: 1\n_methods: {tools/call: filter, _other: deny}\nrules: []", "tools/call is not evaluate or deny"},
		{"call allowed", "version: 1\n_methods: {tools/call: allow, _other: deny}\nrules: []", "tools/call is not evaluate or deny"},

		{"roles a list", "version: 1\nroles: []\n", "roles is not a mapping"},
		{"no roles", "version: 1\nroles: {}\n", "no role grants anything"},
		{"role without members", "version: 1\nroles: {r: {grants: []}}", `role "r" has no members`},
		{"role without grants", "version: 1\nroles: {r: {members: []}}", `role "r" has no list of grants`},
		{"role with a blank", "version: 1\nroles: {a b: {}}", `id "a b" has a character`},
		{"member a string", "version: 1\nroles: {r: {members: [x], grants: [{capability: \"tool:x\", decision: deny}]}}", "caller is not a mapping"},
		{"grant without capability", grant("decision: deny"), "a grant has no capability"},
		{"grant without decision", grant("capability: 'tool:x'"), "a grant has no decision"},
		{"grant of no kind", grant("capability: x, decision: deny"), `capability "x" is not one of prompt, resource`},
		{"grant of a method", grant("capability: 'custom_method:x', decision: deny"), "is not one of prompt, resource"},
		{"grant of nothing", grant("capability: 'tool:', decision: deny"), "a pattern is empty"},
		{"grant of an action", grant("capability: 'tool:x', actions: [read], decision: deny"), `"read" is no action on a tool; there are execute`},
		{"grant without level", grant("capability: 'tool:x', decision: allow"), `rule "r.1" has no min_level`},
		{"grant with caller", grant("capability: 'tool:x', decision: deny, conditions: {caller: {level: 1}}"), `conditions has "caller", which`},
		{"grant and rule of one id", "version: 1\nroles: {r: {members: [], grants: [{capability: \"tool:x\", decision: deny}]}}\n" +
			"rules: [{id: r.1, match: {tool: x}, decision: deny}]", `two rules have the id "r.1"; the other is in line 3`},

		{"capabilities empty", "version: 1\ncapabilities: []\nrules: []", "capabilities is not a list of 1 to"},
		{"capability without name", "version: 1\ncapabilities: [{risk_tags: a}]\nrules: []", "a capability has no name"},
		{"capability of two kinds", "version: 1\ncapabilities: [{tool: a, prompt: b}]\nrules: []", "names tool and prompt"},
		{"capability with a verb", "version: 1\ncapabilities: [{tool: a, verb: invoke}]\nrules: []", `a capability has "verb", which`},
		{"label a list", "version: 1\ncapabilities: [{tool: a, labels: {x: [a]}}]\nrules: []", "label x is not a string"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse([]byte(c.text))
			var refused *Error
			if err == nil || !errors.As(err, &refused) || refused.Line == 0 {
				t.Fatalf("error %v, want one with a place", err)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %q\nwant %q in it", err, c.want)
			}
		})
	}
}

// TestConstraintsEnforced: a constraint is accepted where somebody says that it is enforced, and only there.
func TestConstraintsEnforced(t *testing.T) {
	const format = "version: 1\nrules: [{id: a, match: {tool: x}, min_level: 1, decision: DECISION, constraints: {CONSTRAINT}}]"
	parse := func(decision, constraint string, enforced ...string) error {
		text := strings.NewReplacer("DECISION", decision, "CONSTRAINT", constraint).Replace(format)
		_, err := (&Config{Enforces: enforced}).Parse([]byte(text))
		return err
	}
	for constraint, name := range map[string]string{
		"max_runtime_sec: 30": "max_runtime_sec", "max_retries: 0": "max_retries", "max_result_bytes: 1024": "max_result_bytes",
		"rate_per_minute: 5": "rate_per_minute", "max_concurrent: 1": "max_concurrent", "network_allowlist: [api.github.com]": "network_allowlist",
		"network_allowlist: []":  "network_allowlist",
		"included_within_sec: 1": "included_within_sec", "cosigned_within_sec: 300": "cosigned_within_sec",
	} {
		others := slices.DeleteFunc(ConstraintNames(), func(s string) bool { return s == name })
		if err := parse("allow_with_constraints", constraint, name); err != nil {
			t.Errorf("%s: %v", constraint, err)
		}
		if err := parse("require_approval", constraint, name); err != nil {
			t.Errorf("%s: %v", constraint, err)
		}
		if err := parse("allow_with_constraints", constraint, others...); err == nil {
			t.Errorf("%s: accepted where %v are enforced", constraint, others)
		}
	}
	for constraint, want := range map[string]string{
		"max_runtime_sec: 0": "write a rule that denies", "cosigned_within_sec: 0": "write a rule that denies",
		"cosigned_within_sec: 301": "the most is 300", "included_within_sec: 301": "the most is 300", "max_runtime_sec: 1.5": "not a number from 0", "max_retries: -1": "not a number from 0",
		"max_retries: 2147483648": "not a number from 0", `max_concurrent: "1"`: "not a number from 0", "network_allowlist: a": "not a list",
		"network_allowlist: [\"https://a/\"]": "not a name in lower case", "network_allowlist: [\"*.a\"]": "not a name in lower case", "": "names none",
	} {
		if err := parse("allow_with_constraints", constraint, ConstraintNames()...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", constraint, err, want)
		}
	}
	if err := parse("allow", "max_retries: 1", "max_retries"); err == nil || !strings.Contains(err.Error(), "its decision is to be") {
		t.Error(err)
	}
	if err := parse("allow", "max_retries: 1", "retries"); err == nil || !strings.Contains(err.Error(), "which is no constraint") {
		t.Error(err)
	}
}

// TestAbsent: what is not known never allows, always denies, and makes what is allowed otherwise as strict as a rule
// that may match asks for.
func TestAbsent(t *testing.T) {
	rule := func(id, match, rest string) string {
		return "\n  - {id: " + id + ", match: {tool: x" + match + "}, " + rest + "}"
	}
	const absent = ", tenant: acme"
	for _, c := range []struct {
		name, rules string
		want        guard.Decision
	}{
		{"allow", rule("a", absent, "min_level: 1, decision: allow"), guard.Decision{NoRule: true}},
		{"approval alone", rule("a", absent, "min_level: 1, decision: require_approval"), guard.Decision{NoRule: true}},
		{"deny", rule("a", "", "min_level: 1, decision: allow") + rule("d", absent, "decision: deny"), guard.Decision{Kind: guard.Deny, Rule: "d"}},
		{"approval beside allow", rule("a", "", "min_level: 3, decision: allow") + rule("p", absent, "min_level: 1, decision: require_approval") +
			rule("q", absent, "min_level: 2, decision: require_approval"),
			guard.Decision{Kind: guard.RequireApproval, Rule: "p", MinLevel: badge.LevelOrganization}},
		{"approval of more beside allow", rule("a", "", "anonymous: true, decision: allow") + rule("p", absent, "min_level: 1, decision: require_approval") +
			rule("q", absent, "min_level: 2, decision: require_approval"),
			guard.Decision{Kind: guard.RequireApproval, Rule: "p", MinLevel: badge.LevelDomain}},
		{"deny that does not match for another reason", rule("a", "", "min_level: 1, decision: allow") +
			rule("d", absent+", caller: {anonymous: true}", "decision: deny"), guard.Decision{Kind: guard.Allow, Rule: "a", MinLevel: badge.LevelRegistered}},
	} {
		p := mustParse(t, "version: 1\nrules:"+c.rules)
		got := p.decide(&question{call: Call{
			Verb: guard.Invoke, Method: "tools/call", Capability: guard.Capability{Kind: guard.KindTool, Name: "x"},
			Caller: Caller{Level: badge.LevelExtended, DID: "did:web:a.example"},
		}})
		c.want.Version = p.Version()
		if got != c.want {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
	}
}

// TestFindings: rules that can never change a decision, and rules that contradict each other, with their lines.
func TestFindings(t *testing.T) {
	const text = `version: 1
capabilities: [{tool: a, labels: {x: y}}]
rules:
  - {id: wide, match: {tool: "read_*"}, min_level: 1, decision: allow}
  - {id: narrow, match: {tool: "read_x*"}, min_level: 2, decision: allow}
  - {id: same, match: {tool: w}, min_level: 2, decision: allow}
  - {id: against, match: {tool: w}, decision: deny}
  - {id: again, match: {tool: w}, decision: deny}
  - {id: below, match: {tool: w, tenant: acme}, min_level: 2, decision: require_approval}
  - {id: label, match: {labels: {x: z}}, min_level: 2, decision: allow}
  - {id: tag, match: {risk_tags: t}, min_level: 2, decision: allow}
  - {id: tag-denied, match: {tool: q, risk_tags: t}, decision: deny}
  - {id: q, match: {tool: q}, min_level: 0, decision: allow}
  - {id: nobody, match: {tool: q, caller: []}, min_level: 0, decision: allow}
  - {id: more, match: {tool: "read_*", tenant: acme}, min_level: 0, decision: allow}
  - {id: args, match: {tool: q, arguments: [{pointer: /a, eq: 1}]}, min_level: 1, decision: require_approval}
`
	want := map[string]string{
		"narrow": `5 unreachable wide 4 rule "wide" in line 4 matches all of it and asks for no more`,
		"same":   `6 contradictory against 7 rule "against" in line 7 matches the same; it decides, with deny before allow`,
		"again":  `8 unreachable against 7 rule "against" in line 7 matches all of it and asks for no more`,
		"below":  `9 unreachable against 7 rule "against" in line 7 matches all of it, and deny goes before require_approval`,
		"label":  `10 unreachable  0 labels.x: no capability of this file has such a label`,
		"tag":    `11 unreachable  0 risk_tags: no capability of this file has all of "t"`,
		"nobody": `14 unreachable  0 nobody is a caller of this rule, or a member of this role`,
	}
	for _, f := range mustParse(t, text).Findings() {
		got := fmt.Sprint(f.Line, " ", f.Kind, " ", f.Other, " ", f.At, " ", f.Text)
		if got != want[f.Rule] {
			t.Errorf("%s:\ngot  %s\nwant %s", f.Rule, got, want[f.Rule])
		}
		delete(want, f.Rule)
	}
	for rule := range want {
		t.Errorf("nothing found about %s", rule)
	}
}

// TestFindingsReference: what is reported unreachable can be left out of a random policy without changing an answer.
func TestFindingsReference(t *testing.T) {
	found := 0
	for seed := range uint64(1000) {
		g := &generator{rand.New(rand.NewPCG(seed, 2))}
		file := g.file()
		text, err := json.Marshal(file)
		if err != nil {
			t.Fatal(err)
		}
		cfg := &Config{Enforces: ConstraintNames()}
		p, err := cfg.Parse(text)
		if err != nil && strings.Contains(err.Error(), "never in shadow") {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		findings := slices.DeleteFunc(p.Findings(), func(f Finding) bool { return f.Rule == "" })
		if len(findings) == 0 || len(p.rules) == 1 {
			continue
		}
		found++
		drop := findings[0].Rule
		file["rules"] = slices.DeleteFunc(file["rules"].([]any), func(r any) bool { return r.(map[string]any)["id"] == drop })
		if text, err = json.Marshal(file); err != nil {
			t.Fatal(err)
		}
		without, err := cfg.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		for range 50 {
			c := g.call()
			a, b := p.decide(&question{call: *c}), without.decide(&question{call: *c})
			a.Version, b.Version = "", ""
			if a.Kind == guard.Deny && b.Kind == guard.Deny && a.NoRule == b.NoRule {
				a.Rule, b.Rule = "", "" // of several that deny the first is named
			}
			if a.Shadow != nil && b.Shadow != nil && a.Shadow.Kind == guard.Deny && b.Shadow.Kind == guard.Deny {
				a.Shadow, b.Shadow = nil, nil
			}
			if findings[0].Kind == Unreachable && !cmp.Equal(a, b) {
				t.Fatalf("seed %d: without %s\n%+v\n%+v\n%s", seed, drop, a, b, p.Canonical())
			}
		}
	}
	if found < 30 {
		t.Errorf("only %d policies with findings", found)
	}
}

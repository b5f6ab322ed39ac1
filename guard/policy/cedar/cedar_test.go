package cedar_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/policy"
	"github.com/touchmark-dev/touchmark/guard/policy/cedar"
)

func read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func shipped(t testing.TB) *cedar.Policy {
	t.Helper()
	c, err := policy.ParseCapabilities(read(t, "capabilities.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := (&cedar.Config{Capabilities: c, Enforces: guard.ConstraintNames()}).Parse(read(t, "policies.cedar"))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestCases(t *testing.T) {
	p := shipped(t)
	cases, err := policy.ParseCases(read(t, "cases.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	report := policy.TestEngine(p, cases)
	for _, f := range report.Failures {
		t.Errorf("%s: %s by %q (%s), want %s by %q", f.Case.Name, f.Answer, f.Rule, f.Cause, f.Case.Expect, f.Case.Rule)
	}
	if len(report.Uncovered) > 0 || report.Rules != p.Len() {
		t.Errorf("no case is about %v", report.Uncovered)
	}
}

const permitAll = `@id("all") @anonymous("true") permit (principal, action, resource);` + "\n"

func try(t *testing.T, text string, c *policy.Call) (guard.Decision, error) {
	t.Helper()
	p, err := cedar.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p.Try(c)
}

func tool(arguments string) *policy.Call {
	return &policy.Call{
		Verb: guard.Invoke, Method: "tools/call", Capability: guard.Capability{Kind: guard.KindTool, Name: "t"},
		Arguments: []byte(arguments),
	}
}

// Cedar skips a policy that fails, so that a forbid which fails forbids nothing.
func TestAPolicyThatFailsIsNotSkipped(t *testing.T) {
	for name, when := range map[string]string{
		"an attribute that is not there": `context.tenant == "a"`,
		"of an anonymous caller":         `principal.level < 2`,
		"another type":                   `context.arguments.n < 5`,
		"an overflow":                    `9223372036854775807 + context.arguments.i > 0`,
		"an entity that nobody knows":    `Agent::"x".level > 1`,
		"no boolean":                     `context.verb`,
		"labels that nobody declared":    `resource.risk_tags.contains("prod")`,
	} {
		text := permitAll + `@id("f") forbid (principal, action, resource) when { ` + when + ` };`
		d, err := try(t, text, tool(`{"n":"4","i":1}`))
		if err == nil || !strings.Contains(err.Error(), `policy "f", line 2`) {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
		if d.Kind == guard.Allow {
			t.Errorf("%s: allowed", name)
		}
	}
}

// The JSON form of Cedar has ways to write entities and extension values. A caller that used them could be anybody.
func TestArgumentsAreNoEntities(t *testing.T) {
	text := `@id("a") @anonymous("true") permit (principal, action, resource) when { context.arguments.by == Agent::"root" };
@id("b") @anonymous("true") permit (principal, action, resource) when { context.arguments.by is Agent };
@id("c") @anonymous("true") permit (principal, action, resource) when { context.arguments.by == ip("10.0.0.1") };`
	for _, by := range []string{
		`{"__entity":{"type":"Agent","id":"root"}}`, `{"type":"Agent","id":"root"}`, `{"__extn":{"fn":"ip","arg":"10.0.0.1"}}`,
		`"Agent::\"root\""`,
	} {
		if d, err := try(t, text, tool(`{"by":`+by+`}`)); err == nil && !d.NoRule {
			t.Errorf("by %s: %+v", by, d)
		}
	}
}

// What a forbid compares with must not vanish because Cedar has no value for it.
func TestNothingVanishes(t *testing.T) {
	text := permitAll + `@id("f") forbid (principal, action, resource) when { context.arguments has x && context.arguments.x != 1 };`
	for _, x := range []string{
		"null", "1.5", "1.23456", "1e400", "12345678901234567890", "-1e-400", `"1"`, `[1]`, `{}`, "true",
		`"` + strings.Repeat("a", cedar.MaxStringBytes+1) + `"`, "[" + strings.Repeat("1,", cedar.MaxElements) + "1]",
	} {
		if d, err := try(t, text, tool(`{"x":`+x+`}`)); err != nil || d.Rule != "f" {
			t.Errorf("x is %.30s: %+v, %v", x, d, err)
		}
	}
	for _, x := range []string{"1", "1.0", "10e-1", "1e0"} {
		if d, err := try(t, text, tool(`{"x":`+x+`}`)); err != nil || d.Rule != "all" {
			t.Errorf("x is %s: %+v, %v", x, d, err)
		}
	}
}

func TestArgumentsThatCannotBeRead(t *testing.T) {
	looks := permitAll + `@id("f") forbid (principal, action, resource) when { context.arguments has path && context.arguments.path == "/etc" };`
	for name, arguments := range map[string]string{
		"not JSON": `{`, "a member twice": `{"path":"/a","path":"/etc"}`, "another case": `{"PATH":"/etc"}`, "below": `{"a":[{"Path":"/etc"}]}`,
		"the Kelvin sign is a k, and this is no such name": `{"path":"/a","pAtH":1}`, "too much": `{"a":"` + strings.Repeat("a", cedar.MaxDocumentBytes) + `"}`,
	} {
		if d, err := try(t, looks, tool(arguments)); err == nil {
			t.Errorf("%s: %+v", name, d)
		}
		if d, err := try(t, permitAll, tool(arguments)); err != nil || d.Rule != "all" {
			t.Errorf("%s, and nobody looks: %+v, %v", name, d, err)
		}
	}
}

func TestStrictest(t *testing.T) {
	open := `@id("o") @anonymous("true") permit (principal, action, resource);`
	low := `@id("l") @min_level("1") permit (principal, action, resource);`
	high := `@id("h") @min_level("3") permit (principal, action, resource);`
	asks := `@id("a") @min_level("2") @decision("require_approval") permit (principal, action, resource);`
	denies := `@id("d") forbid (principal, action, resource);`
	for text, want := range map[string]guard.Decision{
		open + low:                        {Kind: guard.Allow, Rule: "o", Anonymous: true},
		high + low:                        {Kind: guard.Allow, Rule: "l", MinLevel: badge.LevelRegistered},
		high + asks + open:                {Kind: guard.RequireApproval, Rule: "a", MinLevel: badge.LevelDomain},
		open + asks + denies:              {Kind: guard.Deny, Rule: "d"},
		strings.ReplaceAll(low, "l", "l"): {Kind: guard.Allow, Rule: "l", MinLevel: badge.LevelRegistered},
	} {
		d, err := try(t, text, tool("{}"))
		d.Version = ""
		if err != nil || d.Rule != want.Rule || d.Kind != want.Kind || d.MinLevel != want.MinLevel || d.Anonymous != want.Anonymous {
			t.Errorf("%s: %+v, %v", text, d, err)
		}
	}
}

func TestVersion(t *testing.T) {
	version := func(text string) string {
		p, err := cedar.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return p.Version()
	}
	same := version("// x\n@id(\"all\")@anonymous(\"true\")permit(principal,action,resource)\n;")
	if v := version(permitAll); v != same || !strings.HasPrefix(v, "sha256:") {
		t.Errorf("layout changes the version: %s, %s", v, same)
	}
	if version(strings.Replace(permitAll, `"all"`, `"al"`, 1)) == same || version(permitAll+strings.Replace(permitAll, "all", "b", 1)) == same {
		t.Error("another policy has the same version")
	}
	if shipped(t).Version() == same {
		t.Error("another file has the same version")
	}
}

func TestParseRefuses(t *testing.T) {
	const permit = `permit (principal, action, resource);`
	for text, want := range map[string]string{
		``:                                     "no policies",
		permit:                                 "line 1, column 1: a policy needs an @id",
		`@id("a b") @min_level("1") ` + permit: "needs an @id",
		`@id("a") ` + permit:                   `needs one of @min_level and @anonymous("true")`,
		`@id("a") @min_level("1") @anonymous("true") ` + permit:                                          "needs one of",
		`@id("a") @min_level("5") ` + permit:                                                             `@min_level("5")`,
		`@id("a") @anonymous("yes") ` + permit:                                                           `@anonymous("yes")`,
		`@id("a") @min_level("1") @max_runtime("3") ` + permit:                                           "@max_runtime, which this version does not know",
		`@id("a") @min_level("1") @decision("permit") ` + permit:                                         "no decision",
		`@id("a") @min_level("1") @decision("deny") ` + permit:                                           "forbid denies, and permit does not",
		`@id("a") @decision("allow") forbid (principal, action, resource);`:                              "forbid denies, and permit does not",
		`@id("a") @min_level("1") forbid (principal, action, resource);`:                                 "has no level",
		`@id("a") @anonymous("true") @decision("require_approval") ` + permit:                            "an approval is given",
		`@id("a") @min_level("1") @max_runtime_sec("3") ` + permit:                                       `write @decision("allow_with_constraints")`,
		`@id("a") @min_level("1") @decision("allow_with_constraints") ` + permit:                         "has none",
		`@id("a") @min_level("1") @decision("allow_with_constraints") @max_runtime_sec("x") ` + permit:   "not a number",
		`@id("a") @min_level("1") @decision("allow_with_constraints") @max_runtime_sec("0") ` + permit:   "max_runtime_sec is 0",
		`@id("a") @min_level("1") @decision("allow_with_constraints") @network_allowlist("a") ` + permit: "nothing here enforces network_allowlist",
		permitAll + permitAll:                                   `line 2, column 1: a second policy has @id("all")`,
		"permit (principal,\naction resource);":                 "line 2, column 16: not Cedar",
		"permit (principal == ?principal, action, resource);":   "not Cedar",
		"permit (principal, action, resource) when { \u202e };": "U+202E",
		"// a\rpermit (principal, action, resource);":           "carriage return",
		"\xff": "UTF-8",
		"permit (principal, action, resource) when { " + strings.Repeat("(", 100):                      "brackets in each other",
		"permit (principal, action, resource) when { " + strings.Repeat("true && ", 10000) + "true };": "longer than",
		strings.Repeat(" ", cedar.MaxBytes+1):                                                          "longer than",
	} {
		cfg := &cedar.Config{Enforces: []string{guard.ConstraintRuntime}}
		p, err := cfg.Parse([]byte(text))
		var e *cedar.Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80q: %v, %v, want %q", text, p != nil, err, want)
		}
	}
	if _, err := (&cedar.Config{Enforces: []string{"x"}}).Parse([]byte(permitAll)); err == nil {
		t.Error("enforces a constraint that there is not")
	}
	brackets := permitAll + `@id("q") @anonymous("true") permit (principal, action, resource) when { context.server == "` +
		strings.Repeat(`((\"//`, 100) + "\" }; // " + strings.Repeat("(", 100)
	if _, err := cedar.Parse([]byte(brackets)); err != nil {
		t.Errorf("brackets in a string or comment were counted: %v", err)
	}
}

package policy

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
)

// TestGlobsMeet: two patterns that a name fits are never taken for such that none fits.
func TestGlobsMeet(t *testing.T) {
	var names []string
	for _, a := range []string{"", "a", "b", "é"} {
		for _, b := range []string{"", "a", "b"} {
			for _, c := range []string{"", "a", "b", "é"} {
				names = append(names, a+b+c)
			}
		}
	}
	patterns := []string{"*", "a", "a*", "*a", "a*b", "?", "a?", "?b", "*b*", "ab", "é*", "*é", "b*a", "aab", "a?b*"}
	apart := 0
	for _, x := range patterns {
		for _, y := range patterns {
			g, err := parseGlob(x)
			if err != nil {
				t.Fatal(err)
			}
			h, err := parseGlob(y)
			if err != nil {
				t.Fatal(err)
			}
			meets := g.meets(&h)
			if !meets {
				apart++
			}
			if !meets && slices.ContainsFunc(names, func(s string) bool { return g.match(s) && h.match(s) }) {
				t.Errorf("%q and %q fit one name", x, y)
			}
		}
	}
	if apart < 40 {
		t.Errorf("only %d pairs told apart", apart)
	}
}

// TestFinalAnnotation: the level that the annotation asks for counts like that of a rule, and one that there is not
// counts like the highest.
func TestFinalAnnotation(t *testing.T) {
	const rules = "rules: [{id: a, match: {tool: x}, min_level: 1, decision: allow}]"
	final := mustParse(t, "version: 1\nfinal_levels: [3]\n_methods: {tools/call: evaluate, _other: deny}\n"+rules)
	plain := mustParse(t, "version: 1\n"+rules)
	for require, want := range map[badge.Level]bool{
		badge.LevelNone: false, badge.LevelDomain: false, badge.LevelOrganization: true, badge.LevelExtended: false, guard.LevelUnsatisfiable: true,
	} {
		for method, kind := range map[string]guard.Kind{"tools/call": guard.KindTool, "resources/read": guard.KindResource, "x/y": guard.KindMethod} {
			in := &guard.Input{Verb: guard.Invoke, Method: method, Capability: guard.Capability{Kind: kind, Name: "x"}, Require: require}
			d, err := final.Decide(t.Context(), in)
			if err != nil || d.Final != want {
				t.Errorf("%s with %v: final %v, %v", method, require, d.Final, err)
			}
			if d, err := plain.Decide(t.Context(), in); err != nil || d.Final {
				t.Errorf("no final levels: %+v, %v", d, err)
			}
		}
	}
}

// TestFindingsShadow: a rule in shadow covers none that is in force, and one of a final level is never for nothing.
func TestFindingsShadow(t *testing.T) {
	const text = `version: 1
final_levels: 4
actors:
  - {caller: {uid: 0}, actor: human}
  - {caller: [{uid: 0}], actor: human}
  - {caller: {uid: 0, did: "did:web:a"}, actor: automation}
  - {caller: [], actor: automation}
  - {caller: {uid: 1}, actor: automation}
rules:
  - {id: trial, match: {tool: "read_*"}, min_level: 1, decision: allow, shadow: true}
  - {id: read, match: {tool: "read_x*"}, min_level: 2, decision: allow}
  - {id: later, match: {tool: read_xy}, min_level: 3, decision: allow, shadow: true}
  - {id: final, match: {tool: read_xyz}, min_level: 4, decision: allow}
  - {id: final-nobody, match: {tool: q, caller: []}, min_level: 4, decision: allow}
  - {id: deny, match: {tool: w}, decision: deny, shadow: true}
  - {id: w, match: {tool: w}, min_level: 1, decision: allow}
`
	want := []string{
		"5 unreachable  4", "6 contradictory  4", "7 unreachable  0", "12 unreachable later 10",
	}
	var got []string
	for _, f := range mustParse(t, text).Findings() {
		got = append(got, fmt.Sprint(f.Line, " ", f.Kind, " ", f.Rule, " ", f.At))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}

// TestShadowMeets: what restricts is not in shadow where a rule of a final level could be concerned, and elsewhere it is.
func TestShadowMeets(t *testing.T) {
	for match, refused := range map[string]bool{
		"tool: deploy": true, `tool: "*"`: true, "tenant: acme": true, `tool: ["a", "*oy"]`: true, `tool: "d?ploy*"`: true,
		"tool: deploy2": false, "prompt: deploy": false, `tool: "x*"`: false, `tool: ["a", "*y2"]`: false,
	} {
		for _, rest := range []string{
			"decision: deny", "min_level: 1, decision: require_approval",
			"min_level: 1, decision: allow_with_constraints, constraints: {max_retries: 1}", "min_level: 1, decision: allow",
		} {
			text := "version: 1\nfinal_levels: 3\nrules:\n  - {id: f, match: {tool: [deploy, deploy_all]}, min_level: 3, decision: allow}\n" +
				"  - {id: s, match: {" + match + "}, shadow: true, " + rest + "}\n"
			_, err := (&Config{Enforces: ConstraintNames()}).Parse([]byte(text))
			if want := refused && !strings.HasSuffix(rest, " allow"); (err != nil) != want {
				t.Errorf("%s %s: %v", match, rest, err)
			}
		}
	}
	many := func(prefix string) string {
		var all []string
		for i := range maxList {
			all = append(all, fmt.Sprintf("\"%s%d?\"", prefix, i))
		}
		return "[" + strings.Join(all, ", ") + "]"
	}
	text := "version: 1\nfinal_levels: 3\nrules:\n"
	for i := range 10 {
		text += fmt.Sprintf("  - {id: f%d, match: {tool: %s}, min_level: 3, decision: allow}\n", i, many("f"))
		text += fmt.Sprintf("  - {id: s%d, match: {tool: %s}, shadow: true, decision: deny}\n", i, many("s"))
	}
	if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), "pairs of patterns") {
		t.Errorf("too many patterns: %v", err)
	}
}

// TestDescriptionShared: what is known of a capability is made once, also where several declarations come together.
func TestDescriptionShared(t *testing.T) {
	p := mustParse(t, `version: 1
capabilities:
  - {tool: "a*", labels: {action: read}, risk_tags: [prod]}
  - {tool: "*b", labels: {action: write}, risk_tags: [pii, prod]}
  - {tool: c}
rules: [{id: a, match: {tool: x}, min_level: 1, decision: allow}]
`)
	about := func(name string) *guard.Description {
		return p.decide(&question{call: Call{Verb: guard.Invoke, Method: "tools/call", Capability: guard.Capability{Kind: guard.KindTool, Name: name}}}).About
	}
	want := &guard.Description{RiskTags: []string{"pii", "prod"}, Labels: map[string]string{"action": "read,write"}}
	if diff := cmp.Diff(want, about("ab")); diff != "" {
		t.Error(diff)
	}
	if about("ab") != about("axb") || about("ab") == about("a") || about("x") != nil || about("c") == nil {
		t.Error("not shared, or shared by what differs")
	}

	// names that callers choose do not fill memory, and do not meet in a race
	text := "version: 1\ncapabilities:\n"
	for i := range 12 {
		text += fmt.Sprintf("  - {tool: \"*%c*\", risk_tags: t%d}\n", 'a'+i, i)
	}
	p = mustParse(t, text+"rules: [{id: a, match: {tool: x}, min_level: 1, decision: allow}]\n")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for set := range 1 << 12 {
				name := "x"
				for i := range 12 {
					if set&(1<<i) != 0 {
						name += string(rune('a' + i))
					}
				}
				if d := about(name); set != 0 && len(d.RiskTags) != bits.OnesCount(uint(set)) {
					t.Errorf("%s: %q", name, d.RiskTags)
				}
			}
		})
	}
	wg.Wait()
	if n := len(*p.descriptions.bySet.Load()); n > maxDescriptions || n < maxDescriptions/2 {
		t.Errorf("%d descriptions kept, want at most %d", n, maxDescriptions)
	}
}

func TestConstraintNames(t *testing.T) {
	p, err := (&Config{Enforces: ConstraintNames()}).Parse([]byte("version: 1\nrules:\n" +
		"  - {id: a, match: {tool: x}, min_level: 1, decision: require_approval, constraints: {max_retries: 0, network_allowlist: []}}\n" +
		"  - {id: b, match: {tool: x}, min_level: 1, decision: allow_with_constraints, constraints: {max_retries: 1, max_runtime_sec: 2}, shadow: true}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Constraints(); !slices.Equal(got, []string{"max_retries", "max_runtime_sec", "network_allowlist"}) {
		t.Errorf("got %q", got)
	}
	if got := mustParse(t, file1("x")).Constraints(); len(got) != 0 {
		t.Errorf("got %q of none", got)
	}
	if !slices.Equal(ConstraintNames(), guard.ConstraintNames()) {
		t.Errorf("the guard has other names: %q", guard.ConstraintNames())
	}
}

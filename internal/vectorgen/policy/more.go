package policy

import (
	"encoding/json"
	"fmt"
	"strings"
)

// arguments are tests of one argument, of which a rule that allows and one that denies are told the same.
func arguments() []Vector {
	var all []Vector
	for _, v := range []struct{ name, description, test, arguments, told string }{ // told: yes, no, or unknown
		{"eq", "an escape is the character", `{pointer: /p, eq: a/b}`, `{"p":"a\/b"}`, "yes"},
		{"eq-other", "another string", `{pointer: /p, eq: a}`, `{"p":"A"}`, "no"},
		{"eq-type", "a string is no number", `{pointer: /p, eq: 1}`, `{"p":"1"}`, "unknown"},
		{"number", "a number in another spelling", `{pointer: /p, in: [1, 100]}`, `{"p":1e2}`, "yes"},
		{"number-long", "more digits than readers agree on", `{pointer: /p, lt: 5}`, `{"p":4.0000000000000001}`, "unknown"},
		{"gt", "not greater", `{pointer: /p, gt: 5}`, `{"p":5}`, "no"},
		{"nothing", "no such argument", `{pointer: /p, eq: a}`, `{}`, "unknown"},
		{"no-arguments", "no arguments at all", `{pointer: /p, exists: false}`, ``, "yes"},
		{"exists-null", "null is there", `{pointer: /p, exists: true}`, `{"p":null}`, "yes"},
		{"fold", "a name in another case", `{pointer: /p, exists: false}`, `{"P":1}`, "unknown"},
		{"fold-beside", "a name in another case beside it", `{pointer: /p, eq: a}`, `{"p":"a","P":"b"}`, "unknown"},
		{"prefix", "octets, and no path", `{pointer: /p, prefix: /data/}`, `{"p":"/data/../etc"}`, "yes"},
		{"glob", "the whole value", `{pointer: /p, glob: "*.csv"}`, `{"p":"a.csv.exe"}`, "no"},
		{"matches", "the whole value, in which a line ends", `{pointer: /p, matches: "[a-z]+"}`, `{"p":"ab\n"}`, "no"},
		{"matches-or", "alternatives stay inside", `{pointer: /p, matches: "a|b"}`, `{"p":"ab"}`, "no"},
		{"type", "a number without a fraction", `{pointer: /p, type: integer}`, `{"p":1.0}`, "yes"},
		{"escape", "a slash in a name, and an element", `{pointer: /a~1b/1, eq: x}`, `{"a/b":["w","x"]}`, "yes"},
		{"element-zero", "a place is written in one way", `{pointer: /p/01, eq: x}`, `{"p":["w","x"]}`, "unknown"},
	} {
		call := `{"tool":"t","caller":{"level":0}}`
		if v.arguments != "" {
			call = `{"tool":"t","caller":{"level":0},"arguments":` + v.arguments + `}`
		}
		for _, decision := range []string{"allow", "deny"} {
			policy := "version: 1\nrules:\n  - {id: a, match: {tool: t, arguments: [" + v.test + "]}, min_level: 0, decision: allow}\n"
			e := Expect{Result: Accepted, Answer: "deny"}
			switch {
			case decision == "allow" && v.told == "yes":
				e.Answer, e.Rule = "allow", "a"
			case decision == "deny":
				policy = "version: 1\nrules:\n  - {id: a, match: {tool: t}, min_level: 0, decision: allow}\n" +
					"  - {id: d, match: {arguments: [" + v.test + "]}, decision: deny}\n"
				if e.Rule = "d"; v.told == "no" {
					e.Answer, e.Rule = "allow", "a"
				}
			}
			all = append(all, Vector{
				Name: fmt.Sprintf("argument-%s-%s", v.name, decision), Description: v.description + ", in a rule that says " + decision,
				Policy: policy, Call: json.RawMessage(call), Expect: e,
			})
		}
	}
	return all
}

func refusals() []Vector {
	rule := func(match string) string {
		return "version: 1\nrules:\n  - id: a\n    match: " + match + "\n    min_level: 1\n    decision: allow\n"
	}
	var all []Vector
	for _, v := range []struct {
		name, defect, policy string
		line, column         int
		reason               string
	}{
		{"anchor", "an anchor", "version: 1\nrules: &r []\n", 2, 8, "an anchor"},
		{"version", "another version", "version: 2\nrules: []\n", 1, 10, "version is not 1"},
		{"member", "a member that is not defined", "version: 1\nmode: observe\nrules: []\n", 2, 1, `has "mode"`},
		{"twice", "a member twice", "version: 1\nversion: 1\n", 2, 1, "twice"},
		{"condition", "a condition that is not defined", rule("{region: eu}"), 4, 13, `match has "region"`},
		{"kinds", "two kinds of capability", rule("{tool: a, prompt: b}"), 4, 22, "match names tool and prompt"},
		{"pattern", "a reserved character in a pattern", rule(`{tool: "[ab]"}`), 4, 19, "reserved"},
		{"actor", "a class that there is not", rule("{actor: robot}"), 4, 20, "is not one of human"},
		{"hours", "a window that ends before it begins", rule(`{time: {hours: "18:00-08:00"}}`), 4, 27, "a later one"},
		{"pointer", "a pointer that is none", rule("{arguments: [{pointer: p, eq: 1}]}"), 4, 35, "not a JSON Pointer"},
		{"operator", "an operator that is not defined", rule("{arguments: [{pointer: /p, ne: 1}]}"), 4, 39, `a test has "ne"`},
		{"operators", "two operators", rule("{arguments: [{pointer: /p, lt: 1, gt: 0}]}"), 4, 46, "write two tests"},
		{"null", "a comparison with null", rule("{arguments: [{pointer: /p, eq: null}]}"), 4, 43, "no value of this type"},
		{"types", "values of several types", rule("{arguments: [{pointer: /p, in: [1, a]}]}"), 4, 47, "several types"},
		{"expression", "an expression that is not RE2", rule(`{arguments: [{pointer: /p, matches: "(?=a)"}]}`), 4, 48, "error parsing regexp"},
		{"breakout", "an expression that closes what is around it", rule(`{arguments: [{pointer: /p, matches: "a)|(b"}]}`), 4, 48, "unexpected )"},
		{"constraint", "a constraint that nobody enforces", strings.Replace(rule("{tool: a}"), "allow\n", "allow_with_constraints\n    constraints: {max_retries: 1}\n", 1), 7, 19, "nothing here enforces max_retries"},
		{"unconstrained", "constraints without any", strings.Replace(rule("{tool: a}"), "allow\n", "allow_with_constraints\n", 1), 3, 5, "has none"},
		{"minimum", "a rule that forgets its minimum", strings.Replace(rule("{tool: a}"), "    min_level: 1\n", "", 1), 3, 5, "has no min_level"},
		{"methods", "a table that allows the others", "version: 1\n_methods: {_other: evaluate}\nrules: []\n", 2, 20, "_other is not deny"},
		{"open", "a table about an open method", "version: 1\n_methods: {ping: deny, _other: deny}\nrules: []\n", 2, 12, "open to everybody"},
		{"members", "a role that does not say who has it", "version: 1\nroles:\n  r: {grants: []}\n", 3, 6, "has no members"},
		{"actors", "classes of nobody", "version: 1\nactors: []\nrules: []\n", 2, 9, "not a list of 1 to 256 entries"},
		{"actors-class", "an entry without a class", "version: 1\nactors: [{caller: {uid: 0}}]\nrules: []\n", 2, 10, "has no actor"},
		{"actors-caller", "an entry without a caller", "version: 1\nactors: [{actor: human}]\nrules: []\n", 2, 10, "has no caller"},
		{"actors-several", "an entry of two classes", "version: 1\nactors: [{caller: {uid: 0}, actor: [human, automation]}]\nrules: []\n", 2, 36, "not one class"},
		{"actors-member", "an entry with a condition that is not on the caller", "version: 1\nactors: [{tool: a, actor: human}]\nrules: []\n", 2, 11, `has "tool"`},
		{"badge-actor", "a class that any issuer may vouch for", rule("{caller: {badge_actor: human}}"), 4, 22, "badge_actor and no issuer"},
		{"badge-actor-class", "a class that there is not, of a badge", rule("{caller: {issuer: a, badge_actor: robot}}"), 4, 46, "caller.badge_actor \"robot\" is not one of human"},
		{"privacy", "privacy that is not strict", "version: 1\nprivacy: none\nrules: []\n", 2, 10, `privacy "none" is not "strict"`},
		{"final-level", "a final level that there is not", "version: 1\nfinal_levels: [5]\nrules: []\n", 2, 16, "final_levels \"5\" is not one of 0"},
		{"shadow-word", "a rule that is in shadow perhaps", strings.Replace(rule("{tool: a}"), "allow\n", "allow\n    shadow: yes\n", 1), 7, 13, "shadow is not true or false"},
		{"shadow-final", "a rule of a final level in shadow", "final_levels: 1\n" + strings.Replace(rule("{tool: a}"), "allow\n", "allow\n    shadow: true\n", 1), 8, 13, "of the final level 1"},
		{"shadow-file-final", "a file in shadow with a rule of a final level", "shadow: true\nfinal_levels: [1]\n" + rule("{tool: a}"), 1, 9, `rule "a" is of the final level 1`},
		{"shadow-file-not", "a rule that is not in shadow, in a file that is", "shadow: true\n" + strings.Replace(rule("{tool: a}"), "allow\n", "allow\n    shadow: false\n", 1), 8, 13, "the whole file is"},
		{"shadow-restricts", "a rule in shadow that restricts what a rule of a final level gives", "final_levels: 1\n" + rule(`{tool: "a*"}`) +
			"  - {id: d, match: {tool: \"*b\"}, decision: deny, shadow: true}\n", 8, 58, `restricts what rule "a" in line 4`},
		{"action", "an action that a tool does not have", "version: 1\nroles:\n  r: {members: [], grants: [{capability: \"tool:x\", actions: [read], decision: deny}]}\n", 3, 62, "no action on a tool"},
	} {
		all = append(all, Vector{
			Name: "refused-" + v.name, Description: "a file that is no policy", Defect: v.defect, Policy: v.policy,
			Expect: Expect{Result: Refused, Line: v.line, Column: v.column, Reason: v.reason},
		})
	}
	return all
}

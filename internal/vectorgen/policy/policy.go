// Package policy makes the test vectors of policy files: one file each, with a policy that is refused, or with one
// that answers a call. Call [Generate]; it gives the same bytes on every run. What is expected is written out by
// hand, the compiled forms too.
package policy

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/touchmark-dev/touchmark/internal/vectorgen/vectorkit"
)

// The results of a vector.
const (
	Accepted = "accepted"
	Refused  = "refused"
)

// A Vector is one file.
type Vector struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	// Defect says what is wrong with the policy. It is empty for those that are accepted.
	Defect string `json:"defect,omitempty"`

	Policy   string          `json:"policy"`             // the file
	Enforces []string        `json:"enforces,omitempty"` // constraints that the server enforces
	Call     json.RawMessage `json:"call,omitempty"`     // spec/policy.md section 9

	Expect Expect `json:"expect"`
}

// An Expect is what a reader has to say.
type Expect struct {
	Result string `json:"result"`

	// Of a policy that is refused: where, and a part of why.
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	Reason string `json:"reason,omitempty"`

	// Of one that is accepted.
	Compiled string `json:"compiled,omitempty"` // RFC 8785; only where it is the subject
	Version  string `json:"policy_version,omitempty"`
	Answer   string `json:"answer,omitempty"`
	Rule     string `json:"rule,omitempty"`
	Actor    string `json:"actor,omitempty"`     // the class of the caller, "unclear" if sources disagree
	InShadow string `json:"in_shadow,omitempty"` // what would be decided with the rules in shadow, and by which: "deny by x"
	Final    bool   `json:"final,omitempty"`
}

// Generate returns the vectors by file name.
func Generate() (map[string][]byte, error) {
	files := make(vectorkit.Files)
	for _, section := range [][]Vector{compiled(), decisions(), classes(), shadows(), arguments(), refusals()} {
		for _, v := range section {
			if err := files.Add(v.Name, v); err != nil {
				return nil, fmt.Errorf("%s: %w", v.Name, err)
			}
		}
	}
	return files, nil
}

func version(compiled string) string {
	sum := sha256.Sum256([]byte(compiled))
	return "sha256:" + base64.RawURLEncoding.EncodeToString(sum[:])
}

func compiled() []Vector {
	var all []Vector
	for _, v := range []struct{ name, description, policy, compiled string }{
		{"compiled-small", "one rule", "version: 1\nrules: [{id: a, match: {tool: \"é*\"}, min_level: 0, decision: allow}]",
			`{"rules":[{"decision":"allow","id":"a","match":{"tool":"é*"},"min_level":"0"}],"version":1}`},
		{"compiled-layout", "other layout, comments and order of members", "# é\nrules:\n  - decision: allow\n    min_level: \"0\"\n    match: {tool: [\"é*\"]}\n    id: a\nversion: 1\n",
			`{"rules":[{"decision":"allow","id":"a","match":{"tool":"é*"},"min_level":"0"}],"version":1}`},
		{"compiled-role", "a grant is a rule for the members of its role", "version: 1\nroles:\n  ops:\n    description: some\n    members: [{did: \"did:web:a\"}, {uid: 0}]\n" +
			"    grants: [{capability: \"resource:x\", actions: [read], decision: deny}]\n",
			`{"rules":[{"decision":"deny","id":"ops.1","match":{"caller":[{"did":"did:web:a"},{"uid":0}],"method":"resources/read","resource":"x"}}],"version":1}`},
		{"compiled-conditions", "numbers, sets and tables in their own order", "version: 1\n_methods: {tools/call: evaluate, _other: deny}\n" +
			"capabilities: [{tool: a, risk_tags: [p], labels: {x: y}}]\nrequire_discovery_proof: true\n" +
			"rules: [{id: a, match: {time: {days: [fri, mon]}, arguments: [{pointer: /n, lt: 1.50e1}], caller: {level: [3, \"2\"]}}, anonymous: true, decision: allow}]",
			`{"_methods":{"_other":"deny","tools/call":"evaluate"},"capabilities":[{"labels":{"x":"y"},"risk_tags":"p","tool":"a"}],"require_discovery_proof":true,` +
				`"rules":[{"anonymous":true,"decision":"allow","id":"a","match":{"arguments":[{"lt":15,"pointer":"/n"}],"caller":{"level":["2","3"]},"time":{"days":["mon","fri"]}}}],"version":1}`},
		{"compiled-privacy", "a server that records no plain hash", "version: 1\nprivacy: strict\nrules: [{id: a, match: {tool: a}, min_level: 0, decision: allow}]",
			`{"privacy":"strict","rules":[{"decision":"allow","id":"a","match":{"tool":"a"},"min_level":"0"}],"version":1}`},
		{"compiled-plane", "classes of actors, final levels, and a file in shadow", "version: 1\nshadow: true\nfinal_levels: [4, \"3\"]\n" +
			"actors: [{caller: [{uid: [0]}], actor: [human]}]\nrules: [{id: a, match: {tool: a, actor: [automation, human]}, min_level: 1, decision: allow}]",
			`{"actors":[{"actor":"human","caller":{"uid":0}}],"final_levels":["3","4"],` +
				`"rules":[{"decision":"allow","id":"a","match":{"actor":["human","automation"],"tool":"a"},"min_level":"1","shadow":true}],"version":1}`},
	} {
		all = append(all, Vector{Name: v.name, Description: v.description, Policy: v.policy, Expect: Expect{
			Result: Accepted, Compiled: v.compiled, Version: version(v.compiled),
		}})
	}
	return all
}

// base is the policy of the vectors with calls.
const base = `version: 1
capabilities:
  - {tool: "read_*", labels: {action: read}}
  - {tool: "write_*", labels: {action: write}, risk_tags: prod}
  - {tool: read_and_write_x, labels: {action: write}}
  - {tool: ping, labels: {action: none}}
  - {resource: "file:///*", labels: {action: list}}
rules:
  - {id: read, match: {labels: {action: read}}, min_level: 2, decision: allow}
  - {id: read-more, match: {labels: {action: read}}, min_level: 1, decision: require_approval, constraints: {max_runtime_sec: 5}}
  - {id: write, match: {labels: {action: write}, caller: {level: [3, 4]}}, min_level: 3, decision: allow}
  - {id: prod, match: {risk_tags: prod, environment: production}, min_level: 4, decision: require_approval}
  - {id: foreign, match: {servers_not_in: [github]}, decision: deny}
  - {id: ping, match: {tool: ping}, anonymous: true, decision: allow}
  - {id: cron, match: {custom_method: "x/*", actor: automation, time: {hours: "08:00-18:00"}}, min_level: 0, decision: allow}
  - {id: list, match: {resource: "file:///*", method: resources/read}, min_level: 0, decision: allow}
`

func decisions() []Vector {
	policy := "version: 1\ncapabilities: [{tool: \"read_*\", labels: {action: read}}]\n"
	var all []Vector
	for _, v := range []struct{ name, description, call, answer, rule string }{
		{"stricter-goes-before", "two rules match, and the stricter one decides", `{"tool":"read_x","server":"github","caller":{"level":2}}`, "require_approval", "read-more"},
		{"level-by-rule", "the level does not choose the rule", `{"tool":"read_x","server":"github","caller":{"level":0}}`, "deny", "read-more"},
		{"level-by-condition", "a condition on the level does", `{"tool":"write_x","server":"github","environment":"test","caller":{"level":2}}`, "deny", ""},
		{"write-test", "no rule but write matches", `{"tool":"write_x","server":"github","environment":"test","caller":{"level":3}}`, "allow", "write"},
		{"write-production", "the stricter one decides, with its level", `{"tool":"write_x","server":"github","environment":"production","caller":{"level":3}}`, "deny", "prod"},
		{"environment-absent", "a rule that may match takes away", `{"tool":"write_x","server":"github","caller":{"level":4}}`, "require_approval", "prod"},
		{"server-absent", "a rule that denies and may match denies", `{"tool":"ping"}`, "deny", "foreign"},
		{"server-other", "a rule that denies goes before all", `{"tool":"ping","server":"evil"}`, "deny", "foreign"},
		{"anonymous", "open to callers without a badge", `{"tool":"ping","server":"github"}`, "allow", "ping"},
		{"anonymous-with-badge", "and to those with one", `{"tool":"ping","server":"github","caller":{"level":0}}`, "allow", "ping"},
		{"anonymous-level", "a condition on the level of nobody cannot be told", `{"tool":"write_x","server":"github","environment":"test"}`, "deny", ""},
		{"label-of-two-values", "a label with an admitted value and another cannot be told", `{"tool":"read_and_write_x","server":"github","caller":{"level":4}}`, "deny", ""},
		{"undeclared", "a capability of which the file says nothing", `{"tool":"other","server":"github","caller":{"level":4}}`, "deny", ""},
		{"custom-method", "a method that is not of the standard", `{"custom_method":"x/run","server":"github","actor":"automation","time":"2026-11-21T17:59:59Z","caller":{"level":0}}`, "allow", "cron"},
		{"custom-method-late", "the end of a window is outside of it", `{"custom_method":"x/run","server":"github","actor":"automation","time":"2026-11-21T18:00:00Z","caller":{"level":0}}`, "deny", ""},
		{"custom-method-offset", "windows are in UTC", `{"custom_method":"x/run","server":"github","actor":"automation","time":"2026-11-21T19:30:00+02:00","caller":{"level":0}}`, "allow", "cron"},
		{"actor-absent", "a class that is not known", `{"custom_method":"x/run","server":"github","time":"2026-11-21T12:00:00Z","caller":{"level":0}}`, "deny", ""},
		{"list-by-use", "an entry of a list, by a rule for its use", `{"resource":"file:///a","verb":"discover","server":"github","caller":{"level":0}}`, "allow", "list"},
		{"other-use", "another use of the same", `{"resource":"file:///a","method":"resources/subscribe","server":"github","caller":{"level":0}}`, "deny", ""},
	} {
		all = append(all, Vector{
			Name: "decision-" + v.name, Description: v.description, Policy: base, Enforces: []string{"max_runtime_sec"},
			Call: json.RawMessage(v.call), Expect: Expect{Result: Accepted, Answer: v.answer, Rule: v.rule},
		})
	}
	return append(all,
		Vector{Name: "decision-any-label", Description: "a deny by a label that the capability lacks", Call: json.RawMessage(`{"tool":"read_x","caller":{"level":4}}`),
			Policy: policy + "rules:\n  - {id: a, match: {tool: \"*\"}, min_level: 0, decision: allow}\n  - {id: d, match: {labels: {data: pii}}, decision: deny}\n",
			Expect: Expect{Result: Accepted, Answer: "deny", Rule: "d"}},
		Vector{Name: "decision-methods", Description: "a method that the table does not name", Call: json.RawMessage(`{"tool":"a","verb":"discover","caller":{"level":4}}`),
			Policy: "version: 1\n_methods: {tools/call: evaluate, _other: deny}\nrules: [{id: a, match: {tool: a}, min_level: 0, decision: allow}]",
			Expect: Expect{Result: Accepted, Answer: "deny", Rule: "_methods"}},
		Vector{Name: "decision-role-empty", Description: "a role that nobody has denies nobody", Call: json.RawMessage(`{"tool":"a","caller":{"level":4}}`),
			Policy: "version: 1\nroles: {r: {members: [], grants: [{capability: \"tool:a\", decision: deny}]}}\nrules: [{id: a, match: {tool: a}, min_level: 0, decision: allow}]",
			Expect: Expect{Result: Accepted, Answer: "allow", Rule: "a"}},
	)
}

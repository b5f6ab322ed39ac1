package policy

import "encoding/json"

// whoIsWhat is the policy of the vectors about classes of actors.
const whoIsWhat = `version: 1
actors:
  - {caller: {issuer: "https://ca.example", badge_actor: [human, supervised_ai]}, actor: supervised_ai}
  - {caller: {uid: 0}, actor: service_account}
  - {caller: [{did: "did:web:bots:*"}, {spiffe_id: "spiffe://a.example/cron/*"}], actor: automation}
rules:
  - {id: ai, match: {tool: a, actor: supervised_ai}, min_level: 0, decision: allow}
  - {id: machines, match: {tool: a, actor: [automation, service_account]}, anonymous: true, decision: allow}
  - {id: not-human, match: {tool: b, actor: human}, decision: deny}
  - {id: b, match: {tool: b}, min_level: 0, decision: allow}
`

func classes() []Vector {
	var all []Vector
	for _, v := range []struct{ name, description, call, answer, rule, actor string }{
		{"vouched", "a class that an issuer vouches for", `{"tool":"a","caller":{"level":1,"issuer":"https://ca.example","badge_actor":"human"}}`, "allow", "ai", "supervised_ai"},
		{"vouched-other", "another issuer vouches for it", `{"tool":"a","caller":{"level":1,"issuer":"https://other.example","badge_actor":"human"}}`, "deny", "", ""},
		{"vouched-not", "the issuer vouches for none", `{"tool":"a","caller":{"level":1,"issuer":"https://ca.example"}}`, "deny", "", ""},
		{"channel", "a class by the channel, without a badge", `{"tool":"a","caller":{"uid":0}}`, "allow", "machines", "service_account"},
		{"agree", "two sources agree", `{"tool":"a","actor":"service_account","caller":{"uid":0}}`, "allow", "machines", "service_account"},
		{"disagree", "two entries disagree", `{"tool":"a","caller":{"uid":0,"spiffe_id":"spiffe://a.example/cron/x"}}`, "deny", "", "unclear"},
		{"disagree-server", "an entry and what the server knows disagree", `{"tool":"a","actor":"automation","caller":{"uid":0}}`, "deny", "", "unclear"},
		{"disagree-deny", "what is not clear may be what is denied", `{"tool":"b","actor":"automation","caller":{"level":4,"uid":0}}`, "deny", "not-human", "unclear"},
		{"told", "what is clear is not denied", `{"tool":"b","caller":{"level":4,"did":"did:web:bots:x"}}`, "allow", "b", "automation"},
		{"nobody", "nothing says", `{"tool":"b","caller":{"level":4}}`, "deny", "not-human", ""},
		{"server", "what the server knows, which no entry says", `{"tool":"b","actor":"human","caller":{"level":4}}`, "deny", "not-human", "human"},
	} {
		all = append(all, Vector{
			Name: "actor-" + v.name, Description: v.description, Policy: whoIsWhat, Call: json.RawMessage(v.call),
			Expect: Expect{Result: Accepted, Answer: v.answer, Rule: v.rule, Actor: v.actor},
		})
	}
	return all
}

// trials is the policy of the vectors about shadow and final levels.
const trials = `version: 1
final_levels: [3, 4]
rules:
  - {id: read, match: {tool: "read_*"}, min_level: 1, decision: allow}
  - {id: more, match: {tool: "read_*"}, min_level: 2, decision: allow, shadow: true}
  - {id: less, match: {tool: "read_*", tenant: acme}, min_level: 0, decision: allow, shadow: true}
  - {id: ask, match: {tool: read_secret, environment: production}, min_level: 2, decision: require_approval, shadow: true}
  - {id: none, match: {tool: read_me}, decision: deny, shadow: true}
  - {id: never, match: {tool: wipe}, decision: deny}
  - {id: never-trial, match: {tool: wipe}, decision: deny, shadow: true}
  - {id: new, match: {tool: new}, min_level: 1, decision: allow, shadow: true}
  - {id: slow, match: {tool: read_slow}, min_level: 2, decision: allow_with_constraints, constraints: {max_runtime_sec: 5}}
  - {id: slower, match: {tool: read_slow}, min_level: 2, decision: allow_with_constraints, constraints: {max_runtime_sec: 1}, shadow: true}
  - {id: deploy, match: {tool: deploy, verb: invoke, tenant: acme}, min_level: 4, decision: allow}
  - {id: no-deploy, match: {tool: deploy, environment: production}, decision: deny}
`

func shadows() []Vector {
	var all []Vector
	for _, v := range []struct{ name, description, call, answer, rule, inShadow string }{
		{"allow", "a rule in shadow that asks for more would change nothing", `{"tool":"read_x","tenant":"b","caller":{"level":1}}`, "allow", "read", ""},
		{"less", "one that asks for less would", `{"tool":"read_x","tenant":"acme","caller":{"level":1}}`, "allow", "read", "allow by less"},
		{"less-refused", "and gives nothing", `{"tool":"read_x","tenant":"acme","caller":{"level":0}}`, "deny", "read", "allow by less"},
		{"deny", "one that denies", `{"tool":"read_me","tenant":"b","caller":{"level":1}}`, "allow", "read", "deny by none"},
		{"deny-denied", "one that denies what is denied", `{"tool":"wipe","caller":{"level":4}}`, "deny", "never", ""},
		{"approval", "one that requires an approval", `{"tool":"read_secret","tenant":"b","environment":"production","caller":{"level":1}}`, "allow", "read", "require_approval by ask"},
		{"may-match", "one that may match and requires an approval", `{"tool":"read_secret","tenant":"b","caller":{"level":2}}`, "allow", "read", "require_approval by ask"},
		{"no-rule", "one where no rule is in force", `{"tool":"new","caller":{"level":4}}`, "deny", "", "allow by new"},
		{"constraints", "one that restricts more", `{"tool":"read_slow","tenant":"b","caller":{"level":2}}`, "allow_with_constraints", "slow", "allow_with_constraints by slower"},
	} {
		all = append(all, Vector{
			Name: "shadow-" + v.name, Description: v.description, Policy: trials, Enforces: []string{"max_runtime_sec"}, Call: json.RawMessage(v.call),
			Expect: Expect{Result: Accepted, Answer: v.answer, Rule: v.rule, InShadow: v.inShadow},
		})
	}
	for _, v := range []struct {
		name, description, call, answer, rule string
		final                                 bool
	}{
		{"decides", "a rule of a final level decides", `{"tool":"deploy","tenant":"acme","environment":"test","caller":{"level":4}}`, "allow", "deploy", true},
		{"too-low", "and refuses", `{"tool":"deploy","tenant":"acme","environment":"test","caller":{"level":3}}`, "deny", "deploy", true},
		{"no-rule", "it does not match, and no other does", `{"tool":"deploy","tenant":"b","environment":"test","caller":{"level":4}}`, "deny", "", true},
		{"other-rule", "another rule denies", `{"tool":"deploy","tenant":"acme","environment":"production","caller":{"level":4}}`, "deny", "no-deploy", true},
		{"other-use", "it is about another use", `{"tool":"deploy","verb":"discover","environment":"test","caller":{"level":4}}`, "deny", "", false},
		{"other-name", "it is about another capability", `{"tool":"read_x","tenant":"b","caller":{"level":1}}`, "allow", "read", false},
	} {
		all = append(all, Vector{
			Name: "final-" + v.name, Description: v.description, Policy: trials, Enforces: []string{"max_runtime_sec"}, Call: json.RawMessage(v.call),
			Expect: Expect{Result: Accepted, Answer: v.answer, Rule: v.rule, Final: v.final},
		})
	}
	return append(all, Vector{
		Name: "shadow-file", Description: "a file in shadow gives nothing", Policy: "version: 1\nshadow: true\nrules: [{id: a, match: {tool: a}, min_level: 0, decision: allow}]",
		Call: json.RawMessage(`{"tool":"a","caller":{"level":4}}`), Expect: Expect{Result: Accepted, Answer: "deny", InShadow: "allow by a"},
	})
}

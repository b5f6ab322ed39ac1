package policy_test

import (
	"testing"

	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/policy"
)

// TestDisputedFacts: what sources disagree about is not known, whatever the policy was told.
func TestDisputedFacts(t *testing.T) {
	cfg := &policy.Config{Server: "s", Environment: "staging"}
	p, err := cfg.Parse([]byte(`version: 1
rules:
  - {id: all, match: {tool: "*"}, anonymous: true, decision: allow}
  - {id: production, match: {tool: deploy, environment: production}, decision: deny}
  - {id: elsewhere, match: {tool: move, servers_not_in: [s]}, decision: deny}
  - {id: staging, match: {tool: stage, environment: staging, servers: s}, min_level: 4, decision: require_approval}
  - {id: here, match: {prompt: here, environment: staging, servers: s}, anonymous: true, decision: allow}
`))
	if err != nil {
		t.Fatal(err)
	}
	both := guard.Facts{DisputedServer: true, DisputedEnvironment: true}
	for _, test := range []struct {
		kind  guard.Kind
		name  string
		facts guard.Facts
		rule  string
	}{
		{guard.KindTool, "deploy", guard.Facts{}, "all"},
		{guard.KindTool, "deploy", guard.Facts{DisputedServer: true}, "all"},
		{guard.KindTool, "deploy", guard.Facts{DisputedEnvironment: true}, "production"},
		{guard.KindTool, "deploy", guard.Facts{Environment: "staging", DisputedEnvironment: true}, "production"},
		{guard.KindTool, "move", guard.Facts{}, "all"},
		{guard.KindTool, "move", both, "elsewhere"},
		{guard.KindTool, "stage", both, "staging"},
		{guard.KindPrompt, "here", guard.Facts{}, "here"},
		{guard.KindPrompt, "here", both, ""},
	} {
		d, err := p.Decide(t.Context(), &guard.Input{
			Verb: guard.Invoke, Method: "m", Capability: guard.Capability{Kind: test.kind, Name: test.name}, Facts: test.facts,
		})
		if err != nil || d.Rule != test.rule {
			t.Errorf("%s with %+v: by %q, %v; want %q", test.name, test.facts, d.Rule, err, test.rule)
		}
	}
}

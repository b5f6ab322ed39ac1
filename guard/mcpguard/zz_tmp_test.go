package mcpguard_test

import (
	"context"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/mcpguard"
	"github.com/touchmark-dev/touchmark/serververify/mcpverify"
)

func TestTmpSigned(t *testing.T) {
	for _, r := range rigs {
		t.Run(r.name+" "+r.version, func(t *testing.T) {
			w := guardtest.New(t)
			s := newFullServer(t)
			s.AddPrompt(&mcp.Prompt{Name: "plain"}, func(context.Context, *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
				return &mcp.GetPromptResult{Messages: []*mcp.PromptMessage{}}, nil
			})
			pol := policyFunc(func(in *guard.Input) (guard.Decision, error) {
				return guard.Decision{Kind: guard.Allow, Rule: "open", MinLevel: badge.LevelDomain}, nil
			})
			a := mcpguard.Protect(s, w.Guard(func(c *guard.Config) { c.Policy = pol }))
			agent := w.Agent(badge.LevelDomain)
			c := newClient(anonymous)
			if err := mcp.AddSendingCustomMethod[*customParams, *customResult](c, "example/own"); err != nil {
				t.Fatal(err)
			}
			cc := &mcpverify.Caller{Badge: func(context.Context) (string, error) { return agent.Badge, nil }, Key: agent.Key, Server: w.Server}
			if err := cc.Sign(c); err != nil {
				t.Fatal(err)
			}
			session := r.connect(t, s, a, c, r.version)
			for name, err := range use(t, session, r.version, "plain") {
				t.Logf("%s: %v", name, err)
			}
			res, err := mcp.CallCustomMethod[*customParams, *customResult](t.Context(), session, "example/own", &customParams{X: 3})
			t.Log(res, err)
		})
	}
}

package mcpguard_test

import (
	"context"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/mcpguard"
	"github.com/touchmark-dev/touchmark/serververify/mcpverify"
)

// callerOf returns the caller that an agent of level 2 is.
func callerOf(w *guardtest.World) *mcpverify.Caller {
	agent := w.Agent(badge.LevelDomain)
	return &mcpverify.Caller{
		Badge: func(context.Context) (string, error) { return agent.Badge, nil }, Key: agent.Key, Server: w.Server,
	}
}

func signed(t *testing.T, caller *mcpverify.Caller, transport mcp.Transport) mcp.Transport {
	t.Helper()
	transport, err := caller.Transport(transport)
	if err != nil {
		t.Fatal(err)
	}
	return transport
}

// openPolicy opens everything to level 2.
func openPolicy(c *guard.Config) {
	c.Policy = policyFunc(func(*guard.Input) (guard.Decision, error) {
		return guard.Decision{Kind: guard.Allow, Rule: "open", MinLevel: badge.LevelDomain}, nil
	})
}

// TestSignedCalls: what a client signs with mcpverify, for any method, is what the guard takes a call proof to
// be about (spec/call-proof.md section 3.1).
func TestSignedCalls(t *testing.T) {
	for _, r := range rigs {
		t.Run(r.name+" "+r.version, func(t *testing.T) {
			w := guardtest.New(t)
			s := newFullServer(t)
			s.AddPrompt(&mcp.Prompt{Name: "plain"}, func(context.Context, *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
				return &mcp.GetPromptResult{Messages: []*mcp.PromptMessage{}}, nil
			})
			a := mcpguard.Protect(s, w.Guard(openPolicy))
			c := newClient(anonymous)
			if err := mcp.AddSendingCustomMethod[*customParams, *customResult](c, "example/own"); err != nil {
				t.Fatal(err)
			}
			session := dial(t, c, signed(t, callerOf(w), r.reach(t, s, a)), r.version)
			for name, err := range use(t, session, r.version, "plain") {
				if name != "tools/call" && err != nil { // there is no such tool
					t.Errorf("%s: %v", name, err)
				}
			}
			call := &mcp.CallToolParams{Name: "c_level2", Arguments: map[string]any{"text": "x"}}
			if _, err := session.CallTool(t.Context(), call); err != nil {
				t.Errorf("tools/call: %v", err)
			}
			if _, err := mcp.CallCustomMethod[*customParams, *customResult](t.Context(), session, "example/own", &customParams{X: 3}); err != nil {
				t.Errorf("example/own: %v", err)
			}
			for _, d := range w.Recorder.Decisions() {
				if strings.HasPrefix(d.DenyReason, "CALL_PROOF") || d.HopID == "" {
					t.Errorf("%s %q: %s, hop %q", d.Method, d.Target, d.DenyReason, d.HopID)
				}
			}
			checkClosed(t, w)
		})
	}
}

package mcpverify

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
)

// shown reports whether a call that left the client carries badge or proof.
func shown(t *testing.T, link *tap) bool {
	t.Helper()
	for _, m := range link.messages() {
		req, ok := m.(*jsonrpc.Request)
		if !ok || req.Method != "tools/call" {
			continue
		}
		var params struct {
			Meta map[string]any `json:"_meta"`
		}
		if err := json.Unmarshal(req.Params, &params); err != nil {
			t.Fatal(err)
		}
		if params.Meta[mcpwire.MetaBadge] != nil || params.Meta[mcpwire.MetaHop] != nil || params.Meta[mcpwire.MetaTxn] != nil {
			return true
		}
	}
	return false
}

// An mcp.Client may have sessions with several servers. Badge and proof are
// for one of them: another one could use them there.
func TestCallerSignsForOneSession(t *testing.T) {
	w := newWorld(t, serverDID)
	for _, named := range []bool{true, false} {
		client := newMCPClient()
		begin := func() (*mcp.ClientSession, *tap) {
			link := &tap{Transport: serve(t, newServer())}
			session, err := client.Connect(t.Context(), link, nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { session.Close() })
			return session, link
		}
		verified, toVerified := begin()
		evil, toEvil := begin()
		token := w.ca.Issue(w.agent, badge.LevelDomain)
		caller := &Caller{Badge: func(context.Context) (string, error) { return token, nil }, Key: w.agent.Key, Server: w.agent.DID}
		if named {
			caller.Session = verified
			greet(t, evil)
		}
		if err := caller.Sign(client); err != nil {
			t.Fatal(err)
		}
		if named {
			greet(t, evil)
		}
		greet(t, verified)
		greet(t, evil)
		if !shown(t, toVerified) {
			t.Error("the call to the verified server is not signed")
		}
		if shown(t, toEvil) {
			t.Error("another server got badge and proof")
		}
	}
}

package mcpverify

import (
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/badgetest"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
	"github.com/touchmark-dev/touchmark/serververify"
)

// Over stdio a server changes its key during a session as it does over HTTP.
func TestKeyRotationInSessionStdio(t *testing.T) {
	bothGenerations(t, func(t *testing.T, version string) {
		w := newWorld(t, serverDID)
		s, id := newServer(), w.identity()
		Disclose(s, id)
		session, _, err := NewClient(newMCPClient(), w.verifier(aMinute)).ConnectStdio(t.Context(), serve(t, s), &mcp.ClientSessionOptions{ProtocolVersion: version})
		if err != nil {
			t.Fatal(err)
		}
		defer session.Close()
		greet(t, session)
		next := badgetest.NewAgent(t)
		w.documentOf(did.DocumentKey{Key: w.agent.Public()}, did.DocumentKey{Key: next.Public(), Fragment: "new"})
		token := w.ca.Issue(w.agent, badge.LevelDomain, func(tmpl *badge.Template) { tmpl.SubjectKey = next.Public() })
		if err := id.Rotate(next.Key, w.agent.DID.String()+"#new", serververify.StaticBadge(token)); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			w.advance(61 * time.Second)
			greet(t, session)
		}
		own, err := badge.Inspect(token)
		if err != nil {
			t.Fatal(err)
		}
		w.ca.Revoke(own.BadgeID)
		w.advance(61 * time.Second)
		_, err = session.CallTool(t.Context(), &mcp.CallToolParams{Name: "greet"})
		wantRefusal(t, err, serververify.CodeBadgeRevoked, serververify.StateDeclared)
	})
}

// A server whose proof was bound to its launch does not get by with one that is
// bound to nothing afterwards.
func TestBindingDoesNotWeaken(t *testing.T) {
	w := newWorld(t, serverDID)
	launch := serververify.NewLaunch()
	s := newServer()
	Disclose(s, w.identity(func(c *serververify.IdentityConfig) { c.Launch = launch }))
	unbound := w.identity()
	var nonce string
	link := &tap{Transport: serve(t, s)}
	link.out = func(m jsonrpc.Message) jsonrpc.Message {
		if req, ok := m.(*jsonrpc.Request); ok && req.Method == mcpwire.MethodIdentify {
			nonce, _ = rawText(req.Params, mcpwire.MetaNonce)
		}
		return m
	}
	link.in = editMeta(func(meta map[string]any) {
		if nonce != "" {
			meta[mcpwire.MetaServerProof] = unbound.AnswerStdio(t.Context(), nonce).Proof
		}
	})
	tr := &Transport{Transport: link, Verifier: w.verifier(aMinute), Launch: launch}
	session, err := newMCPClient().Connect(t.Context(), tr, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	if srv := tr.Server(); srv.Binding != serververify.BindingLaunch {
		t.Errorf("got %+v", srv)
	}
	greet(t, session)
	w.advance(61 * time.Second)
	_, err = session.CallTool(t.Context(), &mcp.CallToolParams{Name: "greet"})
	wantRefusal(t, err, serververify.CodePoPFailed, serververify.StateDeclared)
}

package mcpverify

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/internal/mcpwire"
	"github.com/touchmark-dev/touchmark/serververify"
)

// Over stdio the published proof goes both ways when both sides are told to,
// and not when one is not.
func TestPublishedProofStdio(t *testing.T) {
	bothGenerations(t, func(t *testing.T, version string) {
		for _, tt := range []struct {
			asks, answers bool
			want          serververify.PublishedResult
		}{{true, true, serververify.PublishedValid}, {true, false, ""}, {false, true, ""}} {
			w := newWorld(t, serverDID)
			s := newServer()
			Disclose(s, w.identity(func(c *serververify.IdentityConfig) { c.UnsafeAnswerPublishedProof = tt.answers }))
			link := &tap{Transport: serve(t, s)}
			v := w.verifier(func(c *serververify.Config) { c.CheckPublishedProof = tt.asks })
			session, srv, err := NewClient(newMCPClient(), v).ConnectStdio(t.Context(), link, &mcp.ClientSessionOptions{ProtocolVersion: version})
			if err != nil {
				t.Fatal(err)
			}
			if srv.PublishedProof != tt.want {
				t.Errorf("%+v: got %q", tt, srv.PublishedProof)
			}
			req := link.messages()[0].(*jsonrpc.Request)
			if asks := strings.Contains(string(req.Params), mcpwire.MetaPublishedNonce); asks != tt.asks {
				t.Errorf("%+v: sent %s", tt, req.Params)
			}
			session.Close()
		}
	})
}

// What relays messages answers the same, and takes out what somebody else said.
func TestPublishedProofRaw(t *testing.T) {
	w := newWorld(t, serverDID)
	nonce := serververify.NewNonce()
	params := json.RawMessage(`{"_meta":{"` + mcpwire.MetaPublishedNonce + `":"` + nonce + `"}}`)
	stale := json.RawMessage(`{"_meta":{"` + mcpwire.MetaPublishedSignature + `":"x","` + mcpwire.MetaPublishedSignedAt + `":1}}`)
	for _, answers := range []bool{true, false} {
		id := w.identity(func(c *serververify.IdentityConfig) { c.UnsafeAnswerPublishedProof = answers })
		got, err := DiscloseRaw(context.Background(), id, methodInitialize, params, stale)
		if err != nil {
			t.Fatal(err)
		}
		if has := strings.Contains(string(got), mcpwire.MetaPublishedSignature); has != answers || strings.Contains(string(got), `"x"`) {
			t.Errorf("answers %v: %s", answers, got)
		}
	}
	for _, bad := range []string{`""`, `"x"`, `1`, `null`} {
		id := w.identity(func(c *serververify.IdentityConfig) { c.UnsafeAnswerPublishedProof = true })
		got, err := DiscloseRaw(context.Background(), id, methodInitialize, json.RawMessage(`{"_meta":{"`+mcpwire.MetaPublishedNonce+`":`+bad+`}}`), stale)
		if err == nil && strings.Contains(string(got), mcpwire.MetaPublishedSignature) {
			t.Errorf("%s was signed: %s", bad, got)
		}
	}
}

package mcpverify

import (
	"context"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/internal/mcpwire"
	"github.com/touchmark-dev/touchmark/serververify"
)

func TestConnectHTTP(t *testing.T) {
	bothGenerations(t, func(t *testing.T, version string) {
		s := newServer()
		st := newSite(t, s, version == "2026-07-28")
		Disclose(s, st.identity)
		var seen mcp.Meta
		mc := newMCPClient()
		mc.AddSendingMiddleware(keepMeta(&seen))
		session, srv, err := NewClient(mc, st.verifier()).ConnectHTTP(t.Context(), st.server.URL("/mcp"), &mcp.ClientSessionOptions{ProtocolVersion: version})
		if err != nil {
			t.Fatal(err)
		}
		defer session.Close()
		if srv.Binding != serververify.BindingTLS || srv.State != serververify.StateVerified || session.InitializeResult().ProtocolVersion != version {
			t.Errorf("got %+v over %s", srv, session.InitializeResult().ProtocolVersion)
		}
		if seen[mcpwire.MetaServerDID] != st.agent.DID.String() || seen[mcpwire.MetaServerBadge] == nil || seen[mcpwire.MetaServerProof] != nil {
			t.Errorf("the result's _meta has %v", seen)
		}
		greet(t, session)
	})
}

// keepMeta keeps the `_meta` of the handshake's result.
func keepMeta(to *mcp.Meta) mcp.Middleware {
	return func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
			res, err := next(ctx, method, req)
			if err == nil && (method == methodInitialize || method == methodDiscover) {
				*to = res.GetMeta()
			}
			return res, err
		}
	}
}

// A server must not name another DID in its `_meta` than it proved.
func TestInBandMismatch(t *testing.T) {
	bothGenerations(t, func(t *testing.T, version string) {
		s := newServer()
		st := newSite(t, s, version == "2026-07-28")
		Disclose(s, newWorld(t, "did:web:other.example.com").identity())
		_, _, err := NewClient(newMCPClient(), st.verifier()).ConnectHTTP(t.Context(), st.server.URL("/mcp"), &mcp.ClientSessionOptions{ProtocolVersion: version})
		wantRefusal(t, err, serververify.CodeDIDMismatch, serververify.StateDeclared)
	})
}

// Without Disclose the connection alone says who it is, which is enough.
func TestHTTPWithoutInBandIdentity(t *testing.T) {
	st := newSite(t, newServer(), true)
	session, _, err := NewClient(newMCPClient(), st.verifier()).ConnectHTTP(t.Context(), st.server.URL("/mcp"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	greet(t, session)
}

// A challenge in `_meta` is not answered over HTTP, whatever the identity is
// configured for: the answer would be bound to nothing, and could be shown to
// somebody who listens on a pipe.
func TestNoStdioAnswerOverHTTP(t *testing.T) {
	bothGenerations(t, func(t *testing.T, version string) {
		s := newServer()
		st := newSite(t, s, version == "2026-07-28")
		Disclose(s, st.world.identity()) // by mistake, one for stdio
		mc := newMCPClient()
		var seen mcp.Meta
		mc.AddSendingMiddleware(keepMeta(&seen))
		mc.AddSendingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler {
			return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
				if Discloses(method) {
					meta := req.GetParams().GetMeta()
					if meta == nil {
						meta = map[string]any{}
					}
					meta[mcpwire.MetaNonce] = serververify.NewNonce()
					req.GetParams().SetMeta(meta)
				}
				return next(ctx, method, req)
			}
		})
		session, _, err := NewClient(mc, st.verifier()).ConnectHTTP(t.Context(), st.server.URL("/mcp"), &mcp.ClientSessionOptions{ProtocolVersion: version})
		if err != nil {
			t.Fatal(err)
		}
		defer session.Close()
		if seen[mcpwire.MetaServerDID] == nil || seen[mcpwire.MetaServerProof] != nil {
			t.Errorf("the result's _meta has %v", seen)
		}
	})
}

func TestConnectHTTPRefuses(t *testing.T) {
	st := newSite(t, newServer(), true)
	w := newWorld(t, "did:web:other.example.com") // another issuer
	v := w.verifier(func(c *serververify.Config) { c.RootCAs = st.roots; c.UnsafeAllowLoopback = true })
	_, _, err := NewClient(newMCPClient(), v).ConnectHTTP(t.Context(), st.server.URL("/mcp"), nil)
	wantRefusal(t, err, serververify.CodeBadgeInvalid, serververify.StateDeclared)
}

package mcpverify

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/badgetest"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
	"github.com/touchmark-dev/touchmark/serververify"
)

// wantRefused connects with a Client and through a Bridge, and returns how the
// first fails.
func (s *stage) wantRefused(version, endpoint string, v *serververify.Verifier, code serververify.Code) *serververify.UntrustedError {
	s.t.Helper()
	opts := &mcp.ClientSessionOptions{ProtocolVersion: version}
	session, _, err := NewClient(newMCPClient(), v).ConnectHTTP(s.t.Context(), endpoint, opts)
	if err == nil {
		session.Close()
	}
	wantRefusal(s.t, err, code, serververify.StateDeclared)
	var refused *serververify.UntrustedError
	errors.As(err, &refused)

	b := startBridge(s.t, BridgeConfig{Verifier: v, Endpoint: endpoint, Caller: s.caller()})
	_, err = newMCPClient().Connect(s.t.Context(), b.local, opts)
	if e := wantCode(s.t, err, mcpwire.CodeDenied, string(code)); !strings.Contains(e.Message, advice(code)) {
		s.t.Errorf("it is not said what to do: %s", e.Message)
	}
	return refused
}

// Somebody in between, with a certificate for the server's own name from an
// authority that the client trusts, passes everything on.
func TestInBetweenWithTheVictimsName(t *testing.T) {
	everyProtocol(t, func(t *testing.T, version string, h2 bool) {
		s := newServer()
		st := newStage(t, s, version, h2)
		session, _, err := NewClient(newMCPClient(), st.verifier()).ConnectHTTP(t.Context(), st.url(), &mcp.ClientSessionOptions{ProtocolVersion: version})
		if err != nil {
			t.Fatalf("with nobody in between: %v", err)
		}
		greet(t, session)
		session.Close()

		st.intrude()
		refused := st.wantRefused(version, st.url(), st.verifier(), serververify.CodePoPFailed)
		if !refused.BadgeValid {
			t.Errorf("refused before the proof: %v", refused)
		}
		st.wantChallengesOnly()
		// It does pass everything on: who does not verify notices nothing.
		greet(t, st.plain(version, st.url(), newMCPClient()))
	})
}

// plain is a session of a client that looks at certificates and at nothing else.
func (s *stage) plain(version, endpoint string, c *mcp.Client) *mcp.ClientSession {
	s.t.Helper()
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.roots}, ForceAttemptHTTP2: s.h2}
	s.t.Cleanup(tr.CloseIdleConnections)
	session, err := c.Connect(s.t.Context(), &mcp.StreamableClientTransport{Endpoint: endpoint, HTTPClient: &http.Client{Transport: tr}},
		&mcp.ClientSessionOptions{ProtocolVersion: version})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { session.Close() })
	return session
}

// Somebody in between with a valid certificate, and a name of their own that the
// user was made to use.
func TestInBetweenWithItsOwnName(t *testing.T) {
	everyProtocol(t, func(t *testing.T, version string, h2 bool) {
		t.Run("did:web", func(t *testing.T) {
			st := newStage(t, newServer(), version, h2)
			st.back = st.front
			elsewhere := st.serve(listenAt(t, "127.0.0.1:0"), st.relay())
			own := "https://" + elsewhere.Listener.Addr().String() + "/mcp"
			plain := st.plain(version, own, newMCPClient())
			greet(t, plain)
			plain.Close()
			st.forget()
			st.wantRefused(version, own, st.verifier(), serververify.CodeDomainMismatch)
			st.wantChallengesOnly()
		})
		// A did:key has no place to be held to: the proof is what fails.
		t.Run("did:key", func(t *testing.T) {
			agent := badgetest.NewAgent(t)
			var st *stage
			st = newStage(t, newServer(), version, h2, func(c *serververify.IdentityConfig) {
				c.DID, c.Signer, c.Badge = agent.DID, agent.Key, func(context.Context) (string, error) { return st.ca.Issue(agent, badge.LevelSelfSigned), nil }
			})
			v := st.verifier(func(c *serververify.Config) {
				bc := st.ca.Config()
				bc.SelfSigned = []did.DID{agent.DID}
				var err error
				if c.Badges, err = badge.NewVerifier(bc); err != nil {
					t.Fatal(err)
				}
				c.MinLevel = badge.LevelSelfSigned
			})
			session, _, err := NewClient(newMCPClient(), v).ConnectHTTP(t.Context(), st.url(), &mcp.ClientSessionOptions{ProtocolVersion: version})
			if err != nil {
				t.Fatalf("with nobody in between: %v", err)
			}
			session.Close()
			st.back = st.front
			elsewhere := st.serve(listenAt(t, "127.0.0.1:0"), st.relay())
			st.wantRefused(version, "https://"+elsewhere.Listener.Addr().String()+"/mcp", v, serververify.CodePoPFailed)
			st.wantChallengesOnly()
		})
	})
}

// The published proof signs a nonce alone: who is in between passes it on, and
// it is as valid at the wrong end as at the right one. With nothing else the
// server is not verified.
func TestKnownFault04PublishedProofThroughTheMiddle(t *testing.T) {
	everyProtocol(t, func(t *testing.T, version string, h2 bool) {
		st := newStage(t, newServer(), version, h2, func(c *serververify.IdentityConfig) { c.UnsafeAnswerPublishedProof = true })
		v := st.verifier(func(c *serververify.Config) { c.CheckPublishedProof = true })
		opts := &mcp.ClientSessionOptions{ProtocolVersion: version}
		session, srv, err := NewClient(newMCPClient(), v).ConnectHTTP(t.Context(), st.url(), opts)
		if err != nil {
			t.Fatal(err)
		}
		session.Close()
		if srv.PublishedProof != serververify.PublishedValid || srv.State != serververify.StateVerified {
			t.Fatalf("with nobody in between: %+v", srv)
		}

		st.intrude()
		nonce, got := serververify.NewNonce(), mcp.Meta{}
		c := newMCPClient()
		c.AddSendingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler {
			return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
				if !Discloses(method) {
					return next(ctx, method, req)
				}
				meta := req.GetParams().GetMeta()
				if meta == nil {
					meta = map[string]any{}
				}
				meta[mcpwire.MetaPublishedNonce] = nonce
				req.GetParams().SetMeta(meta)
				res, err := next(ctx, method, req)
				if err == nil {
					got = res.GetMeta()
				}
				return res, err
			}
		})
		plain := st.plain(version, st.url(), c)
		greet(t, plain)
		plain.Close()
		proof, _ := got[mcpwire.MetaPublishedSignature].(string)
		if r := v.CheckPublished(srv, nonce, proof); r != serververify.PublishedValid {
			t.Errorf("the relayed proof is %q", r)
		}
		st.forget()
		refused := st.wantRefused(version, st.url(), v, serververify.CodePoPFailed)
		if refused.State == serververify.StateVerified {
			t.Error("verified by the published proof")
		}
		st.wantChallengesOnly()
	})
}

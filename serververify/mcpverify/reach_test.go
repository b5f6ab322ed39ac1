package mcpverify

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
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

// open begins a session by a Client or through a Bridge.
func (s *stage) open(version string, bridge bool, c *mcp.Client, v *serververify.Verifier) *mcp.ClientSession {
	s.t.Helper()
	if bridge {
		return startBridge(s.t, BridgeConfig{Verifier: v, Endpoint: s.url(), Caller: s.caller()}).connect(s.t, c, version)
	}
	client := NewClient(c, v)
	client.Caller = s.caller()
	session, _, err := client.ConnectHTTP(s.t.Context(), s.url(), &mcp.ClientSessionOptions{ProtocolVersion: version})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { session.Close() })
	return session
}

// wantCallRefused checks that calls come to be refused with code, however the
// session says so; the first may still have met a connection that was closing.
func wantCallRefused(t *testing.T, session *mcp.ClientSession, bridge bool, code serververify.Code) {
	t.Helper()
	var err error
	poll(t, "a refusal", func() bool {
		_, err = session.CallTool(t.Context(), &mcp.CallToolParams{Name: "greet"})
		if err == nil {
			t.Fatal("the call was answered")
		}
		var wire *jsonrpc.Error
		return serververify.CodeOf(err) != "" || errors.As(err, &wire) && wire.Code == mcpwire.CodeDenied
	})
	if bridge {
		wantCode(t, err, mcpwire.CodeDenied, string(code))
		return
	}
	wantRefusal(t, err, code, serververify.StateDeclared)
}

// greetAgain calls until no connection is met that was closing.
func greetAgain(t *testing.T, session *mcp.ClientSession) {
	t.Helper()
	poll(t, "an answer", func() bool {
		_, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "greet"})
		if err != nil {
			t.Log(err)
		}
		return err == nil
	})
}

// aMinute is how long these tests rely on a verification: badges last five.
func aMinute(c *serververify.Config) { c.MaxAge = time.Minute }

func everySession(t *testing.T, f func(t *testing.T, version string, h2, bridge bool)) {
	everyProtocol(t, func(t *testing.T, version string, h2 bool) {
		t.Run("Client", func(t *testing.T) { f(t, version, h2, false) })
		t.Run("Bridge", func(t *testing.T) { f(t, version, h2, true) })
	})
}

// When connections break, and the next ones lead to somebody in between, who
// then sees challenges: no call, no stream that is opened again and no end of a
// session. When they lead to the server again, the session goes on.
func TestReconnectReachesNobodyElse(t *testing.T) {
	everySession(t, func(t *testing.T, version string, h2, bridge bool) {
		st := newStage(t, newServer(), version, h2)
		session := st.open(version, bridge, newMCPClient(), st.verifier(aMinute))
		greet(t, session)

		st.intrude()
		wantCallRefused(t, session, bridge, serververify.CodePoPFailed)
		wantCallRefused(t, session, bridge, serververify.CodePoPFailed)
		st.wantChallengesOnly()

		st.replace(st.handler)
		greetAgain(t, session)
	})
}

// A server that redirects what comes after its verification, and somebody at
// the other end whom the client's authorities trust.
func TestRedirectReachesNobodyElse(t *testing.T) {
	everySession(t, func(t *testing.T, version string, h2, bridge bool) {
		st := newStage(t, newServer(), version, h2)
		elsewhere := st.serve(listenAt(t, "127.0.0.1:0"), st.noting(st.handler))
		session := st.open(version, bridge, newMCPClient(), st.verifier(aMinute))
		for _, status := range []int{http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
			st.use(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == mcpwire.DiscoveryPath {
					st.handler.ServeHTTP(w, r)
					return
				}
				http.Redirect(w, r, "https://"+elsewhere.Listener.Addr().String()+r.URL.Path, status)
			}))
			if _, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "greet"}); err == nil {
				t.Error("the call was answered")
			}
		}
		st.mu.Lock()
		defer st.mu.Unlock()
		if len(st.seen) > 0 {
			t.Errorf("where it was redirected to has seen %v", st.seen)
		}
	})
}

// A connection whose certificate is good for another name as well is not used
// for that name, and neither is that of another server at the same address.
func TestNoCoalescing(t *testing.T) {
	everyProtocol(t, func(t *testing.T, version string, h2 bool) {
		st := newStage(t, newServer(), version, h2)
		v := st.verifier()
		greet(t, st.open(version, false, newMCPClient(), v))
		st.use(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.Host, "127.0.0.1:") {
				st.noting(st.handler).ServeHTTP(w, r)
				return
			}
			st.handler.ServeHTTP(w, r)
		}))
		_, _, err := NewClient(newMCPClient(), v).ConnectHTTP(t.Context(), "https://127.0.0.1:"+st.port+"/mcp", nil)
		wantRefusal(t, err, serververify.CodeDomainMismatch, serververify.StateDeclared)
		st.wantChallengesOnly()
	})
}

// The stream on which a server speaks first is verified like the rest when it
// is opened again, and what was said meanwhile arrives.
func TestStreamResumes(t *testing.T) {
	for _, bridge := range []bool{false, true} {
		s := newServer()
		st := newStage(t, s, "2025-11-25", false)
		var changes atomic.Int32
		c := mcp.NewClient(&mcp.Implementation{Name: "client", Version: "1"}, &mcp.ClientOptions{
			ToolListChangedHandler: func(context.Context, *mcp.ToolListChangedRequest) { changes.Add(1) },
		})
		session := st.open("2025-11-25", bridge, c, st.verifier(aMinute))
		greet(t, session)
		n := 0
		change := func() {
			n++
			mcp.AddTool(s, &mcp.Tool{Name: strings.Repeat("x", n)}, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
				return &mcp.CallToolResult{}, nil, nil
			})
		}
		poll(t, "the server speaks first", func() bool { change(); time.Sleep(20 * time.Millisecond); return changes.Load() > 0 })

		st.intrude()
		wantCallRefused(t, session, bridge, serververify.CodePoPFailed)
		st.replace(st.handler)
		before := changes.Load()
		poll(t, "the server speaks first again", func() bool { change(); time.Sleep(20 * time.Millisecond); return changes.Load() > before })
		st.wantChallengesOnly()
	}
}

// What was verified is verified again when it has aged: a badge that was
// revoked, or has ended and was not renewed, ends what the session can do.
func TestReverification(t *testing.T) {
	everySession(t, func(t *testing.T, version string, h2, bridge bool) {
		st := newStage(t, newServer(), version, h2)
		session := st.open(version, bridge, newMCPClient(), st.verifier(aMinute))
		greet(t, session)
		st.advance(61 * time.Second)
		greet(t, session)
		own, err := badge.Inspect(st.token)
		if err != nil {
			t.Fatal(err)
		}
		st.ca.Revoke(own.BadgeID)
		st.advance(61 * time.Second)
		wantCallRefused(t, session, bridge, serververify.CodeBadgeRevoked)
		st.renew()
		greet(t, session)
		st.advance(24 * time.Hour)
		wantCallRefused(t, session, bridge, serververify.CodeBadgeInvalid)
	})
}

// A server changes its key during a session: nobody notices, as long as the DID
// is the same and the key stands in its document.
func TestKeyRotationInSession(t *testing.T) {
	everySession(t, func(t *testing.T, version string, h2, bridge bool) {
		st := newStage(t, newServer(), version, h2)
		st.documentOf(did.DocumentKey{Key: st.agent.Public(), Fragment: "old"})
		if err := st.identity.Rotate(st.agent.Key, st.agent.DID.String()+"#old", serververify.StaticBadge(st.token)); err != nil {
			t.Fatal(err)
		}
		session := st.open(version, bridge, newMCPClient(), st.verifier(aMinute))
		greet(t, session)

		next := badgetest.NewAgent(t)
		st.documentOf(did.DocumentKey{Key: st.agent.Public(), Fragment: "old"}, did.DocumentKey{Key: next.Public(), Fragment: "new"})
		token := st.ca.Issue(st.agent, badge.LevelDomain, func(tmpl *badge.Template) { tmpl.SubjectKey = next.Public() })
		if err := st.identity.Rotate(next.Key, st.agent.DID.String()+"#new", serververify.StaticBadge(token)); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			greet(t, session)
			st.advance(61 * time.Second)
		}
		st.documentOf(did.DocumentKey{Key: next.Public(), Fragment: "new"})
		st.front.CloseClientConnections()
		greetAgain(t, session)

		// The old key is out of the document: who still has it is nobody.
		if err := st.identity.Rotate(st.agent.Key, st.agent.DID.String()+"#old", serververify.StaticBadge(st.token)); err != nil {
			t.Fatal(err)
		}
		st.advance(61 * time.Second)
		wantCallRefused(t, session, bridge, serververify.CodePoPFailed)
	})
}

// documentOf publishes the keys of the server.
func (w *world) documentOf(keys ...did.DocumentKey) {
	w.t.Helper()
	doc, err := did.NewDocument(w.agent.DID, keys...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.docs = did.StaticResolver{w.agent.DID: doc}
}

// Resolve implements [did.Resolver], with documents that a test may change.
func (w *world) Resolve(ctx context.Context, d did.DID) (*did.Document, error) {
	w.mu.Lock()
	docs := w.docs
	w.mu.Unlock()
	return docs.Resolve(ctx, d)
}

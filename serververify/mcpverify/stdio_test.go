//lint:file-ignore SA1019 sessions of the older generation still speak of logging and sampling

package mcpverify

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
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

const serverDID = "did:web:mcp.example.com"

func TestConnectStdio(t *testing.T) {
	bothGenerations(t, func(t *testing.T, version string) {
		w := newWorld(t, serverDID)
		s := newServer()
		Disclose(s, w.identity())
		session, srv, err := connect(t, w, serve(t, s), version)
		if err != nil {
			t.Fatal(err)
		}
		if srv.State != serververify.StateVerified || srv.DID != w.agent.DID || srv.Binding != serververify.BindingStdio || srv.Level != badge.LevelDomain {
			t.Errorf("got %+v", srv)
		}
		if got := session.InitializeResult().ProtocolVersion; got != version {
			t.Errorf("the session speaks %s", got)
		}
		greet(t, session)
	})
}

// A discover result with a proof is for one client: nobody may cache it.
func TestProofIsNotCached(t *testing.T) {
	w := newWorld(t, serverDID)
	s := newServer()
	Disclose(s, w.identity())
	var results []string
	link := &tap{Transport: serve(t, s), in: func(m jsonrpc.Message) jsonrpc.Message {
		if resp, ok := m.(*jsonrpc.Response); ok {
			results = append(results, string(resp.Result))
		}
		return m
	}}
	if _, _, err := connect(t, w, link, "2026-07-28"); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(results[0], `"cacheScope":"private"`) || !strings.Contains(results[0], `"ttlMs":0`) {
		t.Errorf("discover gave %s", results[0])
	}
}

// did:key identities with a badge of their own serve stdio too, when listed.
func TestConnectStdioSelfSigned(t *testing.T) {
	w := newWorld(t, serverDID)
	agent := badgetest.NewAgent(t)
	id := w.identity(func(c *serververify.IdentityConfig) {
		c.DID, c.Signer = agent.DID, agent.Key
		c.Badge = serververify.StaticBadge(w.ca.Issue(agent, badge.LevelSelfSigned))
	})
	v := w.verifier(func(c *serververify.Config) {
		bc := w.ca.Config()
		bc.SelfSigned = []did.DID{agent.DID}
		c.Badges, _ = badge.NewVerifier(bc)
		c.MinLevel = badge.LevelSelfSigned
	})
	s := newServer()
	Disclose(s, id)
	session, srv, err := NewClient(newMCPClient(), v).ConnectStdio(t.Context(), serve(t, s), nil)
	if err != nil || srv.DID != agent.DID || srv.Level != badge.LevelSelfSigned {
		t.Fatalf("got %+v, %v", srv, err)
	}
	greet(t, session)
	session.Close()
}

// A client that shows its badge everywhere does not show it here before the
// server is verified.
func TestNoBadgeBefore(t *testing.T) {
	bothGenerations(t, func(t *testing.T, version string) {
		w := newWorld(t, serverDID)
		s := newServer()
		Disclose(s, w.identity())
		link := &tap{Transport: serve(t, s)}
		client := newMCPClient()
		client.AddSendingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler {
			return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
				meta := req.GetParams().GetMeta()
				if meta == nil {
					meta = map[string]any{}
				}
				meta[mcpwire.MetaBadge], meta[mcpwire.MetaHop], meta[mcpwire.MetaTxn] = "a.b.c", "d.e.f", "txn"
				req.GetParams().SetMeta(meta)
				return next(ctx, method, req)
			}
		})
		session, _, err := NewClient(client, w.verifier()).ConnectStdio(t.Context(), link, &mcp.ClientSessionOptions{ProtocolVersion: version})
		if err != nil {
			t.Fatal(err)
		}
		defer session.Close()
		greet(t, session)
		sent := link.messages()
		first, _ := json.Marshal(sent[0].(*jsonrpc.Request).Params)
		if strings.Contains(string(first), "a.b.c") || strings.Contains(string(first), "d.e.f") || !strings.Contains(string(first), mcpwire.MetaNonce) {
			t.Errorf("first went out %s", first)
		}
		last := sent[len(sent)-1].(*jsonrpc.Request)
		if last.Method != "tools/call" || !strings.Contains(string(last.Params), "a.b.c") || strings.Contains(string(last.Params), mcpwire.MetaNonce) {
			t.Errorf("last went out %s %s", last.Method, last.Params)
		}
	})
}

// editMeta changes the `_meta` of results on their way to the client.
func editMeta(change func(meta map[string]any)) func(jsonrpc.Message) jsonrpc.Message {
	return func(m jsonrpc.Message) jsonrpc.Message {
		resp, ok := m.(*jsonrpc.Response)
		if !ok || resp.Error != nil {
			return m
		}
		var res map[string]any
		if json.Unmarshal(resp.Result, &res) != nil {
			return m
		}
		meta, _ := res["_meta"].(map[string]any)
		if meta == nil {
			meta = map[string]any{}
			res["_meta"] = meta
		}
		change(meta)
		c := *resp
		c.Result, _ = json.Marshal(res)
		return &c
	}
}

func TestConnectStdioRefuses(t *testing.T) {
	bothGenerations(t, func(t *testing.T, version string) {
		for _, tt := range []struct {
			name   string
			change func(meta map[string]any)
			code   serververify.Code
			state  serververify.State
		}{
			{"no identity", func(m map[string]any) { clear(m) }, serververify.CodeIdentityMissing, serververify.StateUnverified},
			{"DID no string", func(m map[string]any) { m[mcpwire.MetaServerDID] = 1 }, serververify.CodeIdentityMissing, serververify.StateUnverified},
			{"no badge", func(m map[string]any) { delete(m, mcpwire.MetaServerBadge) }, serververify.CodeBadgeMissing, serververify.StateDeclared},
			{"no proof", func(m map[string]any) { delete(m, mcpwire.MetaServerProof) }, serververify.CodePoPFailed, serververify.StateDeclared},
			{"proof null", func(m map[string]any) { m[mcpwire.MetaServerProof] = nil }, serververify.CodeIdentityMissing, serververify.StateUnverified},
			{"another DID", func(m map[string]any) { m[mcpwire.MetaServerDID] = "did:web:evil.example" }, serververify.CodeDIDMismatch, serververify.StateDeclared},
		} {
			t.Run(tt.name, func(t *testing.T) {
				w := newWorld(t, serverDID)
				s := newServer()
				Disclose(s, w.identity())
				link := &tap{Transport: serve(t, s), in: editMeta(tt.change)}
				session, srv, err := connect(t, w, link, version)
				wantRefusal(t, err, tt.code, tt.state)
				if session != nil || srv != nil {
					t.Error("a session beside an error")
				}
				for _, m := range link.messages() {
					if req, ok := m.(*jsonrpc.Request); ok && req.Method != "initialize" && req.Method != "server/discover" {
						t.Errorf("%s went out", req.Method)
					}
				}
			})
		}
	})
}

// An answer that was recorded is not the answer to this client's challenge.
func TestRecordedAnswer(t *testing.T) {
	bothGenerations(t, func(t *testing.T, version string) {
		w := newWorld(t, serverDID)
		s := newServer()
		Disclose(s, w.identity())
		var recorded any
		record := &tap{Transport: serve(t, s), in: editMeta(func(m map[string]any) {
			if p := m[mcpwire.MetaServerProof]; p != nil {
				recorded = p
			}
		})}
		if _, _, err := connect(t, w, record, version); err != nil {
			t.Fatal(err)
		}
		replay := &tap{Transport: serve(t, s), in: editMeta(func(m map[string]any) { m[mcpwire.MetaServerProof] = recorded })}
		_, _, err := connect(t, w, replay, version)
		wantRefusal(t, err, serververify.CodePoPFailed, serververify.StateDeclared)
	})
}

// A server without identity gets no further request.
func TestServerWithoutIdentity(t *testing.T) {
	bothGenerations(t, func(t *testing.T, version string) {
		w := newWorld(t, serverDID)
		_, _, err := connect(t, w, serve(t, newServer()), version)
		wantRefusal(t, err, serververify.CodeIdentityMissing, serververify.StateUnverified)
	})
}

// What an unverified server says by itself does not reach the session: its
// requests are declined, its notifications dropped, answers to nothing too.
func TestUnverifiedServerIsNotHeard(t *testing.T) {
	w := newWorld(t, serverDID)
	s := newServer()
	Disclose(s, w.identity())
	id, _ := jsonrpc.MakeID("from the server")
	stray, _ := jsonrpc.MakeID("stray")
	link := &tap{Transport: serve(t, s), first: []jsonrpc.Message{
		&jsonrpc.Request{Method: "notifications/message", Params: json.RawMessage(`{"level":"error","data":"x"}`)},
		&jsonrpc.Request{ID: id, Method: "roots/list"},
		&jsonrpc.Response{ID: stray, Result: json.RawMessage(`{}`)},
	}}
	link.out = func(m jsonrpc.Message) jsonrpc.Message {
		if resp, ok := m.(*jsonrpc.Response); ok {
			if resp.Error == nil {
				t.Errorf("an unverified server was answered: %s", resp.Result)
			}
			return nil
		}
		return m
	}
	client := newMCPClient()
	client.AddReceivingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
			t.Errorf("the session saw %s", method)
			return next(ctx, method, req)
		}
	})
	session, _, err := NewClient(client, w.verifier()).ConnectStdio(t.Context(), link, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	declined := false
	for _, m := range link.messages() {
		if resp, ok := m.(*jsonrpc.Response); ok {
			declined = declined || resp.ID == id && resp.Error != nil
		}
	}
	if !declined {
		t.Error("the server's request was not declined")
	}
}

func TestWriteBeforeVerification(t *testing.T) {
	w := newWorld(t, serverDID)
	s := newServer()
	Disclose(s, w.identity())
	link := &tap{Transport: serve(t, s)}
	c, err := (&Transport{Transport: link, Verifier: w.verifier()}).Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	id, _ := jsonrpc.MakeID("1")
	for _, m := range []jsonrpc.Message{
		&jsonrpc.Request{ID: id, Method: "tools/call"}, &jsonrpc.Request{Method: "notifications/initialized"},
		&jsonrpc.Request{Method: "initialize"}, &jsonrpc.Response{ID: id, Result: json.RawMessage(`{}`)},
	} {
		if err := c.Write(t.Context(), m); !errors.Is(err, errUnverified) {
			t.Errorf("%+v: %v", m, err)
		}
	}
	if err := c.Write(t.Context(), &jsonrpc.Request{Method: "notifications/cancelled"}); err != nil {
		t.Error(err)
	}
	if err := c.Write(t.Context(), &jsonrpc.Request{ID: id, Method: "initialize", Params: json.RawMessage(`[]`)}); err == nil {
		t.Error("params that are a list were sent")
	}
	if n := len(link.messages()); n != 0 {
		t.Errorf("%d messages went out", n)
	}
	if (&Transport{}).Server() != nil {
		t.Error("a server before the connection")
	}
}

// When a verification has aged, the next call verifies again, and the calls go
// on.
func TestRefresh(t *testing.T) {
	bothGenerations(t, func(t *testing.T, version string) {
		w := newWorld(t, serverDID)
		s := newServer()
		Disclose(s, w.identity())
		link := &tap{Transport: serve(t, s)}
		vt := &Transport{Transport: link, Verifier: w.verifier()}
		session, err := newMCPClient().Connect(t.Context(), vt, &mcp.ClientSessionOptions{ProtocolVersion: version})
		if err != nil {
			t.Fatal(err)
		}
		defer session.Close()
		count := func() (n int) {
			for _, m := range link.messages() {
				if req, ok := m.(*jsonrpc.Request); ok && req.Method == mcpwire.MethodIdentify {
					n++
				}
			}
			return n
		}
		greet(t, session)
		if count() != 0 {
			t.Error("asked again at once")
		}
		before := vt.Server().BadgeID
		w.advance(serververify.DefaultMaxAge + time.Second)
		w.renew()
		for range 3 {
			greet(t, session)
		}
		if count() != 1 || vt.Server().BadgeID == before {
			t.Errorf("asked %d times", count())
		}
		w.advance(2 * serververify.DefaultMaxAge) // and no new badge
		_, err = session.CallTool(t.Context(), &mcp.CallToolParams{Name: "greet"})
		wantRefusal(t, err, serververify.CodeBadgeInvalid, serververify.StateDeclared)
	})
}

// A server that becomes another one, or that cannot answer again, is not
// called.
func TestRefreshRefuses(t *testing.T) {
	w := newWorld(t, serverDID)
	other := badgetest.NewWebAgent(t, "did:web:other.example.com")
	doc, err := did.NewDocument(other.DID, did.DocumentKey{Key: other.Public()})
	if err != nil {
		t.Fatal(err)
	}
	w.docs[other.DID] = doc
	otherIdentity := w.identity(func(c *serververify.IdentityConfig) {
		c.DID, c.Signer, c.KeyID = other.DID, other.Key, ""
		c.Badge = func(context.Context) (string, error) { return w.ca.Issue(other, badge.LevelDomain), nil }
	})
	s := newServer()
	Disclose(s, w.identity())

	becomes := &tap{Transport: serve(t, s)}
	var nonce string
	becomes.out = func(m jsonrpc.Message) jsonrpc.Message {
		if req, ok := m.(*jsonrpc.Request); ok && req.Method == mcpwire.MethodIdentify {
			nonce, _ = rawText(req.Params, mcpwire.MetaNonce)
		}
		return m
	}
	becomes.in = editMeta(func(meta map[string]any) {
		if nonce != "" {
			for name, text := range disclosureMembers(otherIdentity.AnswerStdio(context.Background(), nonce)) {
				meta[name] = text
			}
		}
	})
	session, _, err := connect(t, w, becomes, "2025-11-25")
	if err != nil {
		t.Fatal(err)
	}
	mute := &tap{Transport: serve(t, s)}
	mute.out = func(m jsonrpc.Message) jsonrpc.Message {
		if req, ok := m.(*jsonrpc.Request); ok && req.Method == mcpwire.MethodIdentify {
			c := *req
			c.Method = "unknown/method"
			return &c
		}
		return m
	}
	silent, _, err := connect(t, w, mute, "2025-11-25")
	if err != nil {
		t.Fatal(err)
	}
	w.advance(serververify.DefaultMaxAge + time.Second)
	w.renew()
	_, err = session.CallTool(t.Context(), &mcp.CallToolParams{Name: "greet"})
	wantRefusal(t, err, serververify.CodeDIDMismatch, serververify.StateDeclared)
	_, err = silent.CallTool(t.Context(), &mcp.CallToolParams{Name: "greet"})
	var open *serververify.UndeterminedError
	if !errors.As(err, &open) {
		t.Errorf("got %v", err)
	}
}

// Many calls at once on an aged verification ask once; one that is given up
// waits no longer.
func TestRefreshTogether(t *testing.T) {
	w := newWorld(t, serverDID)
	s := newServer()
	Disclose(s, w.identity())
	hold, asked := make(chan struct{}), make(chan struct{}, 10)
	link := &tap{Transport: serve(t, s)}
	link.out = func(m jsonrpc.Message) jsonrpc.Message {
		if req, ok := m.(*jsonrpc.Request); ok && req.Method == mcpwire.MethodIdentify {
			asked <- struct{}{}
			<-hold
		}
		return m
	}
	session, _, err := connect(t, w, link, "2025-11-25")
	if err != nil {
		t.Fatal(err)
	}
	w.advance(serververify.DefaultMaxAge + time.Second)
	w.renew()
	errs := make(chan error, 5)
	for range 5 {
		go func() {
			_, err := session.CallTool(context.Background(), &mcp.CallToolParams{Name: "greet"})
			errs <- err
		}()
	}
	<-asked
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "greet"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a call that was given up: %v", err)
	}
	close(hold)
	for range 5 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if n := len(asked); n != 0 {
		t.Errorf("asked %d times more", n)
	}
}

func TestTransportFails(t *testing.T) {
	w := newWorld(t, serverDID)
	broken := errors.New("no such program")
	_, _, err := NewClient(newMCPClient(), w.verifier()).ConnectStdio(t.Context(), failing{broken}, nil)
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

type failing struct{ err error }

func (f failing) Connect(context.Context) (mcp.Connection, error) { return nil, f.err }

// sampling is a client that answers sampling/createMessage.
func sampling() *mcp.Client {
	return mcp.NewClient(&mcp.Implementation{Name: "client", Version: "1"}, &mcp.ClientOptions{
		CreateMessageHandler: func(context.Context, *mcp.CreateMessageRequest) (*mcp.CreateMessageResult, error) {
			return &mcp.CreateMessageResult{Role: "assistant", Model: "m", Content: &mcp.TextContent{Text: "secret"}}, nil
		},
	})
}

// answers counts the answers that went out to the server's requests.
func answers(link *tap) (n int) {
	for _, m := range link.messages() {
		if resp, ok := m.(*jsonrpc.Response); ok && resp.Error == nil {
			n++
		}
	}
	return n
}

// A server that asks the client is verified again too, when its verification
// has aged: it must not live on by never being called.
func TestRefreshBeforeAnswer(t *testing.T) {
	w := newWorld(t, serverDID)
	s := newServer()
	Disclose(s, w.identity())
	link := &tap{Transport: serve(t, s)}
	session, _, err := NewClient(sampling(), w.verifier()).ConnectStdio(t.Context(), link, &mcp.ClientSessionOptions{ProtocolVersion: "2025-11-25"})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	ask := func() error {
		for ss := range s.Sessions() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err := ss.CreateMessage(ctx, &mcp.CreateMessageParams{})
			return err
		}
		return errors.New("no session")
	}
	if err := ask(); err != nil || answers(link) != 1 {
		t.Fatalf("%v, %d answers", err, answers(link))
	}
	w.advance(serververify.DefaultMaxAge + time.Second)
	w.renew()
	if err := ask(); err != nil || answers(link) != 2 {
		t.Fatalf("with a new badge: %v, %d answers", err, answers(link))
	}
	w.advance(2 * serververify.DefaultMaxAge) // and no new badge
	if err := ask(); err == nil || answers(link) != 2 {
		t.Errorf("a server that does not verify again got its answer: %v", err)
	}
}

// A refusal ends the session, also when it comes later.
func TestRefusedLater(t *testing.T) {
	w := newWorld(t, serverDID)
	s := newServer()
	Disclose(s, w.identity())
	link := &tap{Transport: serve(t, s)}
	session, _, err := connect(t, w, link, "2025-11-25")
	if err != nil {
		t.Fatal(err)
	}
	w.advance(2 * serververify.DefaultMaxAge)
	_, err = session.CallTool(t.Context(), &mcp.CallToolParams{Name: "greet"})
	wantRefusal(t, err, serververify.CodeBadgeInvalid, serververify.StateDeclared)
	before := len(link.messages())
	if err := session.NotifyProgress(t.Context(), &mcp.ProgressNotificationParams{ProgressToken: "x"}); err == nil {
		t.Error("a notification to a refused server was sent")
	}
	if _, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "greet"}); err == nil {
		t.Error("a refused server was called")
	}
	if n := len(link.messages()) - before; n != 0 {
		t.Errorf("%d messages went out to a refused server", n)
	}
}

// A proof for a pipe is bound to nothing: over a network anybody relays it.
func TestNoNetworkAsStdio(t *testing.T) {
	st := newSite(t, newServer(), true)
	for _, tr := range []mcp.Transport{
		&mcp.StreamableClientTransport{Endpoint: st.server.URL("/mcp"), HTTPClient: http.DefaultClient},
		&mcp.SSEClientTransport{Endpoint: st.server.URL("/mcp")},
	} {
		_, _, err := NewClient(newMCPClient(), st.verifier()).ConnectStdio(t.Context(), tr, nil)
		if !errors.Is(err, errNetwork) {
			t.Errorf("%T: %v", tr, err)
		}
	}
}

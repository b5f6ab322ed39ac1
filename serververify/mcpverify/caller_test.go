package mcpverify

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
	"github.com/touchmark-dev/touchmark/serververify"
)

// shown returns what a request that left the client presents.
func shown(t *testing.T, m jsonrpc.Message) mcpwire.Presented {
	t.Helper()
	req, ok := m.(*jsonrpc.Request)
	if !ok {
		return mcpwire.Presented{}
	}
	var params struct {
		Meta map[string]any `json:"_meta"`
	}
	if len(req.Params) > 0 {
		if err := json.Unmarshal(req.Params, &params); err != nil {
			t.Fatal(err)
		}
	}
	delete(params.Meta, mcpwire.MetaNonce)
	p, err := mcpwire.FromMeta(params.Meta)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// checkShown checks that every call of a tool presents everything, or none
// anything, and that the handshake presents nothing.
func checkShown(t *testing.T, link *tap, want bool) {
	t.Helper()
	calls := 0
	for _, m := range link.messages() {
		req, ok := m.(*jsonrpc.Request)
		if !ok {
			continue
		}
		p, isCall := shown(t, m), req.Method == "tools/call"
		if isCall {
			calls++
		}
		signed := p.Badge != "" && p.Hop != "" && p.Txn != ""
		if signed != (isCall && want) || !signed && p != (mcpwire.Presented{}) {
			t.Errorf("%s presents %+v", req.Method, p)
		}
	}
	if calls == 0 {
		t.Error("no call went out")
	}
}

// caller is an agent that calls the world's server.
func (w *world) caller() *Caller {
	return &Caller{
		Badge: func(context.Context) (string, error) { w.mu.Lock(); defer w.mu.Unlock(); return w.token, nil }, Key: w.agent.Key,
	}
}

// An mcp.Client may have sessions with several servers. Badge and proof are
// for one of them: another one could use them there.
func TestCallerSignsForOneSession(t *testing.T) {
	bothGenerations(t, func(t *testing.T, version string) {
		w := newWorld(t, serverDID)
		client := newMCPClient()
		begin := func(tr mcp.Transport) *mcp.ClientSession {
			session, err := client.Connect(t.Context(), tr, &mcp.ClientSessionOptions{ProtocolVersion: version})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { session.Close() })
			return session
		}
		toVerified, toEvil := &tap{Transport: serve(t, newServer())}, &tap{Transport: serve(t, newServer())}
		caller := w.caller()
		caller.Server = w.agent.DID
		signed, err := caller.Transport(toVerified)
		if err != nil {
			t.Fatal(err)
		}
		evil, verified := begin(toEvil), begin(signed)
		for _, session := range []*mcp.ClientSession{evil, verified, evil} {
			greet(t, session)
		}
		checkShown(t, toVerified, true)
		checkShown(t, toEvil, false)
	})
}

// A Client's Caller signs for the server that was verified, and not before.
func TestClientCallerStdio(t *testing.T) {
	bothGenerations(t, func(t *testing.T, version string) {
		w := newWorld(t, serverDID)
		s := newServer()
		Disclose(s, w.identity())
		link := &tap{Transport: serve(t, s)}
		client := NewClient(newMCPClient(), w.verifier())
		client.Caller = w.caller()
		session, _, err := client.ConnectStdio(t.Context(), link, &mcp.ClientSessionOptions{ProtocolVersion: version})
		if err != nil {
			t.Fatal(err)
		}
		defer session.Close()
		greet(t, session)
		w.advance(serververify.DefaultMaxAge + time.Second)
		w.renew()
		greet(t, session)
		checkShown(t, link, true)
		checkProofs(t, w, link)
	})
}

// checkProofs verifies the proofs of the calls that went out, all under one memory.
func checkProofs(t *testing.T, w *world, link *tap) {
	t.Helper()
	proofs, err := pop.NewVerifier(&pop.Config{
		Server: w.agent.DID, Replay: pop.NewMemoryReplay(&pop.MemoryReplayConfig{}), Started: time.Now().Add(-time.Hour), // the proofs are from before
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range link.messages() {
		p := shown(t, m)
		if p.Badge == "" {
			continue
		}
		own, err := badge.Inspect(p.Badge)
		if err != nil {
			t.Fatal(err)
		}
		_, err = proofs.Verify(t.Context(), &pop.Presented{
			Proof: p.Hop, TxnID: p.Txn, Call: &pop.Call{Method: "tools/call", Target: "greet"}, Key: w.agent.Public(),
			BadgeID: own.BadgeID, Subject: own.Subject, BadgeExpires: time.Now().Add(time.Hour),
		})
		if err != nil {
			t.Error(err)
		}
	}
}

func TestClientCallerHTTP(t *testing.T) {
	bothGenerations(t, func(t *testing.T, version string) {
		s := newServer()
		var presented atomic.Pointer[mcpwire.Presented]
		s.AddReceivingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler {
			return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
				if p, ok := req.GetParams().(*mcp.CallToolParamsRaw); ok {
					got, err := mcpwire.FromMeta(p.GetMeta())
					if err != nil {
						t.Error(err)
					}
					presented.Store(&got)
				}
				return next(ctx, method, req)
			}
		})
		st := newSite(t, s, version == "2026-07-28")
		Disclose(s, st.identity)
		client := NewClient(newMCPClient(), st.verifier())
		client.Caller = st.caller()
		var told Signed
		client.Caller.OnSign = func(_ context.Context, s Signed) { told = s }
		session, _, err := client.ConnectHTTP(t.Context(), st.server.URL("/mcp"), &mcp.ClientSessionOptions{ProtocolVersion: version})
		if err != nil {
			t.Fatal(err)
		}
		defer session.Close()
		greet(t, session)
		if got := *presented.Load(); told != (Signed{Method: "tools/call", Badge: got.Badge, Proof: got.Hop, TxnID: got.Txn}) || got.Hop == "" {
			t.Errorf("presented %+v, and said %+v", got, told)
		}
		if got := session.InitializeResult().ProtocolVersion; got != version {
			t.Errorf("the session speaks %s", got)
		}
	})
}

// A Caller that is for one server does not show its badge to another one, however
// well that one is verified.
func TestCallerForAnotherServer(t *testing.T) {
	another := did.MustParse("did:web:another.example.com")
	t.Run("stdio", func(t *testing.T) {
		w := newWorld(t, serverDID)
		s := newServer()
		Disclose(s, w.identity())
		client := NewClient(newMCPClient(), w.verifier())
		client.Caller = w.caller()
		client.Caller.Server = another
		_, _, err := client.ConnectStdio(t.Context(), serve(t, s), nil)
		wantRefusal(t, err, serververify.CodeDIDMismatch, serververify.StateDeclared)
	})
	t.Run("HTTP", func(t *testing.T) {
		st := newSite(t, newServer(), true)
		client := NewClient(newMCPClient(), st.verifier())
		client.Caller = st.caller()
		client.Caller.Server = another
		_, _, err := client.ConnectHTTP(t.Context(), st.server.URL("/mcp"), nil)
		wantRefusal(t, err, serververify.CodeDIDMismatch, serververify.StateDeclared)
	})
}

// A call that cannot be signed is not sent, and the next one is.
func TestSignError(t *testing.T) {
	errNoBadge := errors.New("no badge today")
	check := func(t *testing.T, fail *atomic.Bool, session *mcp.ClientSession) {
		t.Helper()
		fail.Store(true)
		_, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "greet"})
		var refused *SignError
		if !errors.As(err, &refused) || refused.Method != "tools/call" || !errors.Is(err, errNoBadge) {
			t.Errorf("got %v", err)
		}
		fail.Store(false)
		_, err = session.CallTool(t.Context(), &mcp.CallToolParams{Name: "greet", Arguments: json.RawMessage(`{"a":1,"a":2}`)})
		if !errors.As(err, &refused) {
			t.Errorf("arguments without a canonical form: %v", err)
		}
		greet(t, session)
	}
	failing := func(w *world, fail *atomic.Bool) *Caller {
		caller := w.caller()
		token := caller.Badge
		caller.Badge = func(ctx context.Context) (string, error) {
			if fail.Load() {
				return "", errNoBadge
			}
			return token(ctx)
		}
		return caller
	}
	bothGenerations(t, func(t *testing.T, version string) {
		opts := &mcp.ClientSessionOptions{ProtocolVersion: version}
		t.Run("stdio", func(t *testing.T) {
			w, fail := newWorld(t, serverDID), new(atomic.Bool)
			s := newServer()
			Disclose(s, w.identity())
			client := NewClient(newMCPClient(), w.verifier())
			client.Caller = failing(w, fail)
			session, _, err := client.ConnectStdio(t.Context(), serve(t, s), opts)
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
			check(t, fail, session)
		})
		t.Run("HTTP", func(t *testing.T) {
			st, fail := newSite(t, newServer(), version == "2026-07-28"), new(atomic.Bool)
			client := NewClient(newMCPClient(), st.verifier())
			client.Caller = failing(st.world, fail)
			session, _, err := client.ConnectHTTP(t.Context(), st.server.URL("/mcp"), opts)
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
			check(t, fail, session)
		})
	})
}

// What is posted is for one place. A redirect does not take it, or a new proof,
// to another.
func TestCallerFollowsNoRedirect(t *testing.T) {
	var elsewhere atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	server := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer server.Close()
	w := newWorld(t, serverDID)
	caller := w.caller()
	caller.Server = w.agent.DID
	tr, err := caller.Transport(&mcp.StreamableClientTransport{Endpoint: server.URL, MaxRetries: -1})
	if err != nil {
		t.Fatal(err)
	}
	if session, err := newMCPClient().Connect(t.Context(), tr, nil); err == nil {
		session.Close()
		t.Error("a session with a redirect")
	}
	if n := elsewhere.Load(); n != 0 {
		t.Errorf("%d requests went elsewhere", n)
	}
}

// A Caller that lacks something signs nothing.
func TestCallerRefuses(t *testing.T) {
	w := newWorld(t, serverDID)
	full := w.caller()
	full.Server = w.agent.DID
	for _, tt := range []struct {
		caller Caller
		t      mcp.Transport
		want   string
	}{
		{Caller{}, &tap{}, "needs a Badge"},
		{Caller{Badge: full.Badge, Server: full.Server}, &tap{}, "its Key"},
		{Caller{Key: full.Key, Server: full.Server}, &tap{}, "needs a Badge"},
		{Caller{Badge: full.Badge, Key: full.Key}, &tap{}, "verified Server"},
		{*full, &Transport{}, "its own Caller"},
	} {
		if _, err := tt.caller.Transport(tt.t); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got %v, want %q", err, tt.want)
		}
	}
	s := newServer()
	Disclose(s, w.identity())
	client := NewClient(newMCPClient(), w.verifier())
	client.Caller = new(Caller)
	link := &tap{Transport: serve(t, s)}
	if _, _, err := client.ConnectStdio(t.Context(), link, nil); err == nil || !strings.Contains(err.Error(), "needs a Badge") || len(link.messages()) != 0 {
		t.Errorf("stdio: %v", err)
	}
	st := newSite(t, newServer(), true)
	client = NewClient(newMCPClient(), st.verifier())
	client.Caller = new(Caller)
	if _, _, err := client.ConnectHTTP(t.Context(), st.server.URL("/mcp"), nil); err == nil || !strings.Contains(err.Error(), "needs a Badge") {
		t.Errorf("HTTP: %v", err)
	}
}

// Members that nobody knows, and progress tokens, arrive as they were.
func TestSignKeepsWhatItDoesNotKnow(t *testing.T) {
	w := newWorld(t, serverDID)
	const text = `{"_meta":{"progressToken":12345678901234567890,"x":"<"},"arguments":{"a":"<ä>"},"name":"t","zzz":[1.0]}`
	msg, err := w.caller().sign(t.Context(), w.agent.DID, &jsonrpc.Request{Method: "tools/call", Params: json.RawMessage(text)})
	if err != nil {
		t.Fatal(err)
	}
	members, meta, err := callMembers(msg.(*jsonrpc.Request).Params)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{mcpwire.MetaBadge, mcpwire.MetaHop, mcpwire.MetaTxn} {
		if meta[name] == nil {
			t.Errorf("no %s", name)
		}
		delete(meta, name)
	}
	if members["_meta"], err = marshal(meta); err != nil {
		t.Fatal(err)
	}
	if got, err := marshal(members); err != nil || string(got) != text {
		t.Errorf("got %s, %v", got, err)
	}
}

//lint:file-ignore SA1019 sessions of the older generation still speak of sampling

package mcpverify

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
	"github.com/touchmark-dev/touchmark/serververify"
)

// signedOnly makes s refuse calls of tools without a call proof that holds, and
// counts those that it lets pass.
func signedOnly(t *testing.T, w *world, s *mcp.Server) *atomic.Int32 {
	t.Helper()
	passed := new(atomic.Int32)
	proofs, err := pop.NewVerifier(&pop.Config{Server: w.agent.DID, Replay: pop.NewMemoryReplay(&pop.MemoryReplayConfig{})})
	if err != nil {
		t.Fatal(err)
	}
	s.AddReceivingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
			p, ok := req.GetParams().(*mcp.CallToolParamsRaw)
			if !ok {
				return next(ctx, method, req)
			}
			got, err := mcpwire.FromMeta(p.GetMeta())
			if err != nil {
				return nil, err
			}
			own, err := badge.Inspect(got.Badge)
			if err != nil {
				return nil, err
			}
			answers, err := json.Marshal(p.InputResponses)
			if err != nil || len(p.InputResponses) == 0 {
				answers = nil
			}
			_, err = proofs.Verify(ctx, &pop.Presented{
				Proof: got.Hop, TxnID: got.Txn, Key: w.agent.Public(),
				Call:    &pop.Call{Method: method, Target: p.Name, Arguments: p.Arguments, InputResponses: answers},
				BadgeID: own.BadgeID, Subject: own.Subject, BadgeExpires: time.Now().Add(time.Hour),
			})
			if err != nil {
				return nil, err
			}
			passed.Add(1)
			return next(ctx, method, req)
		}
	})
	return passed
}

// A bridged is a bridge in a test, and what came of it.
type bridged struct {
	local mcp.Transport // for the client
	ended chan error

	mu      sync.Mutex
	servers []*serververify.Server
	errs    []error
}

// startBridge runs a bridge until the test ends or its client does.
func startBridge(t *testing.T, cfg BridgeConfig) *bridged {
	t.Helper()
	client, local := mcp.NewInMemoryTransports()
	b := &bridged{local: client, ended: make(chan error, 1)}
	cfg.Client = local
	cfg.OnServer = func(s *serververify.Server) { b.mu.Lock(); defer b.mu.Unlock(); b.servers = append(b.servers, s) }
	cfg.OnError = func(err error) { b.mu.Lock(); defer b.mu.Unlock(); b.errs = append(b.errs, err) }
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.ended <- Bridge(ctx, &cfg)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return b
}

func (b *bridged) verified() int { b.mu.Lock(); defer b.mu.Unlock(); return len(b.servers) }

// connect begins a session of an unmodified client.
func (b *bridged) connect(t *testing.T, c *mcp.Client, version string) *mcp.ClientSession {
	t.Helper()
	session, err := c.Connect(t.Context(), b.local, &mcp.ClientSessionOptions{ProtocolVersion: version})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { session.Close() })
	if got := session.InitializeResult().ProtocolVersion; got != version {
		t.Fatalf("the session speaks %s", got)
	}
	return session
}

func wantCode(t *testing.T, err error, code int64, reason string) *jsonrpc.Error {
	t.Helper()
	var wire *jsonrpc.Error
	if !errors.As(err, &wire) || wire.Code != code {
		t.Fatalf("got %v, want an error with code %d", err, code)
	}
	var data mcpwire.Denial
	if len(wire.Data) > 0 {
		if err := json.Unmarshal(wire.Data, &data); err != nil {
			t.Fatal(err)
		}
	}
	if data.ReasonCode != reason {
		t.Errorf("got the reason %q, want %q: %v", data.ReasonCode, reason, err)
	}
	return wire
}

// poll waits until f holds.
func poll(t *testing.T, what string, f func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !f() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: it does not happen", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestBridgeHTTP(t *testing.T) {
	bothGenerations(t, func(t *testing.T, version string) {
		s := newServer()
		st := newSite(t, s, version == "2026-07-28")
		Disclose(s, st.identity)
		passed := signedOnly(t, st.world, s)
		b := startBridge(t, BridgeConfig{Verifier: st.verifier(), Endpoint: st.server.URL("/mcp"), Caller: st.caller()})
		session := b.connect(t, newMCPClient(), version)
		greet(t, session)
		greet(t, session)
		list, err := session.ListTools(t.Context(), nil)
		if err != nil || len(list.Tools) != 1 {
			t.Fatalf("got %v, %v", list, err)
		}
		if passed.Load() != 2 || b.verified() != 1 {
			t.Errorf("%d calls, %d servers", passed.Load(), b.verified())
		}
		if b.servers[0].Binding != serververify.BindingTLS || b.servers[0].DID != st.agent.DID {
			t.Errorf("got %+v", b.servers[0])
		}
		session.Close()
		if err := <-b.ended; err != nil {
			t.Errorf("the bridge ended with %v", err)
		}
		b.ended <- nil
	})
}

// ask sends one message and returns the next response.
func ask(t *testing.T, c mcp.Connection, text string) *jsonrpc.Response {
	t.Helper()
	msg, err := jsonrpc.DecodeMessage([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Write(t.Context(), msg); err != nil {
		t.Fatal(err)
	}
	return nextResponse(t, c)
}

func nextResponse(t *testing.T, c mcp.Connection) *jsonrpc.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		msg, err := c.Read(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if resp, ok := msg.(*jsonrpc.Response); ok {
			return resp
		}
	}
}

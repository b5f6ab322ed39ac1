package tour

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/cmd/touchmark/internal/logs"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/mcpguard"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
	"github.com/touchmark-dev/touchmark/serververify"
	"github.com/touchmark-dev/touchmark/serververify/mcpverify"
	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tesseralog"
)

// The tools of the demonstration and the levels they need.
var tools = []struct {
	name  string
	level badge.Level
}{
	{"time_of_day", badge.LevelSelfSigned},
	{"read_account", badge.LevelDomain},
	{"move_money", badge.LevelOrganization},
}

// toolCalls counts what really ran.
type toolCalls struct {
	mu sync.Mutex
	n  map[string]int
}

func (c *toolCalls) ran(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n[name]++
}

func (c *toolCalls) count(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n[name]
}

type toolInput struct {
	Account string `json:"account,omitempty" jsonschema:"the account meant"`
}

// startServer brings up the server: log, ledger, guard, MCP, identity.
func startServer(ctx context.Context, w *world) error {
	if err := w.openLog(ctx); err != nil {
		return err
	}
	if err := w.openLedger(ctx); err != nil {
		return err
	}
	g, err := w.newGuard()
	if err != nil {
		return err
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "demo-bank", Version: "0"}, nil)
	w.calls = &toolCalls{n: map[string]int{}}
	for _, t := range tools {
		tool := mcpguard.MinLevel(&mcp.Tool{Name: t.name, Description: "a tool for level " + t.level.String()}, t.level)
		mcp.AddTool(server, tool, func(context.Context, *mcp.CallToolRequest, toolInput) (*mcp.CallToolResult, any, error) {
			w.calls.ran(t.name)
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "done"}}}, nil, nil
		})
	}
	identity, err := serververify.NewIdentity(&serververify.IdentityConfig{
		DID: w.server.did, Badge: serververify.StaticBadge(w.server.badge), Signer: w.server.key,
		Origins: []string{w.front.origin()},
	})
	if err != nil {
		return err
	}
	mcpverify.Disclose(server, identity)
	adapter := mcpguard.Protect(server, g)
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true})
	guarded := identity.Handler(adapter.Handler(handler))
	w.backend.mux.Handle("/mcp", guarded)
	w.backend.mux.Handle("/.well-known/capiscio/", guarded)
	w.find("%s, tools for levels 0, 2 and 3, each decision durable before a tool runs", w.endpoint())
	return nil
}

func (w *world) endpoint() string { return w.front.origin() + "/mcp" }

func (w *world) openLog(ctx context.Context) error {
	signer, err := translog.ParseSigner(w.logKey)
	if err != nil {
		return err
	}
	open := w.o.OpenLog
	if open == nil {
		open = openEmbedded
	}
	log, err := open(ctx, w.path("log"), signer)
	if err != nil {
		return err
	}
	w.log = log
	return nil
}

func openEmbedded(ctx context.Context, dir string, signer *translog.Signer) (logs.Log, error) {
	cfg := &tesseralog.Config{Dir: dir, StatePath: dir + ".state", Signer: signer, CheckpointInterval: 200 * time.Millisecond}
	if err := tesseralog.Create(ctx, cfg); err != nil {
		return nil, err
	}
	return tesseralog.Open(ctx, cfg)
}

func (w *world) openLedger(ctx context.Context) error {
	doc, err := w.resolver.Resolve(ctx, w.server.did)
	if err != nil {
		return err
	}
	w.ledger, err = evidence.Open(ctx, &evidence.LedgerConfig{
		Dir: w.path("journal"), Server: w.server.did, Key: w.signer, KeyID: doc.Methods[0].ID.String(),
		Log: w.log, LogForm: w.o.LogForm, Promise: true, Software: "touchmark tour",
	})
	return err
}

func (w *world) newGuard() (*guard.Guard, error) {
	badges, err := w.newBadgeVerifier()
	if err != nil {
		return nil, err
	}
	proofs, err := pop.NewVerifier(&pop.Config{Server: w.server.did, Replay: pop.NewMemoryReplay(&pop.MemoryReplayConfig{})})
	if err != nil {
		return nil, err
	}
	cfg := &guard.Config{Server: w.server.did, Badges: badges, Proofs: proofs, Evidence: w.ledger}
	if w.loosen != nil {
		w.loosen(cfg)
	}
	return guard.New(cfg)
}

// verifyServer lets each agent establish who the server is.
func verifyServer(ctx context.Context, w *world) error {
	for _, p := range w.agents {
		v, err := w.newServerVerifier()
		if err != nil {
			return err
		}
		srv, err := v.Verify(ctx, w.endpoint())
		if err != nil {
			return err
		}
		if srv.DID != w.server.did || srv.State != serververify.StateVerified || srv.Binding != serververify.BindingTLS {
			return fmt.Errorf("%s found %s in state %s, bound to %s", p.name, srv.DID, srv.State, srv.Binding)
		}
		w.find("%-6s found %s, level %s, bound to its TLS connection", p.name, srv.State, srv.Level)
	}
	return nil
}

// An agent is a connected party.
type agent struct {
	session *mcp.ClientSession

	mu   sync.Mutex
	sent []mcp.Meta // what it showed with its calls, for the thief
}

// connect verifies the server as p and begins a session, of the newest protocol
// generation that both speak.
func (w *world) connect(ctx context.Context, p *party) (*agent, error) {
	v, err := w.newServerVerifier()
	if err != nil {
		return nil, err
	}
	a := &agent{}
	client := mcp.NewClient(&mcp.Implementation{Name: "demo-" + p.name, Version: "0"}, nil)
	connector := mcpverify.NewClient(client, v)
	connector.Caller = &mcpverify.Caller{
		Badge: func(context.Context) (string, error) { return p.badge, nil }, Key: p.key, Server: w.server.did,
		OnSign: a.overhear,
	}
	a.session, _, err = connector.ConnectHTTP(ctx, w.endpoint(), nil)
	return a, err
}

// overhear keeps what goes over the wire with a call.
func (a *agent) overhear(_ context.Context, s mcpverify.Signed) {
	if s.Method == "tools/call" {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.sent = append(a.sent, mcp.Meta{mcpwire.MetaBadge: s.Badge, mcpwire.MetaHop: s.Proof, mcpwire.MetaTxn: s.TxnID})
	}
}

package mcpverify

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/badgetest"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/safehttp/safehttptest"
	"github.com/touchmark-dev/touchmark/serververify"
)

// generations are the two handshakes that a client can be held to.
var generations = []string{"2025-11-25", "2026-07-28"}

func bothGenerations(t *testing.T, f func(t *testing.T, version string)) {
	for _, version := range generations {
		t.Run(version, func(t *testing.T) { f(t, version) })
	}
}

// A world is a server's identity, who issued its badge, and what a client
// needs to verify it over stdio.
type world struct {
	t     *testing.T
	ca    *badgetest.CA
	agent *badgetest.Agent
	docs  did.StaticResolver

	mu    sync.Mutex
	now   time.Time
	token string
	errs  []error
}

func newWorld(t *testing.T, id string) *world {
	t.Helper()
	w := &world{t: t, ca: badgetest.New(t), now: time.Now(), agent: badgetest.NewWebAgent(t, id)}
	w.ca.SetTime(w.time)
	doc, err := did.NewDocument(w.agent.DID, did.DocumentKey{Key: w.agent.Public()})
	if err != nil {
		t.Fatal(err)
	}
	w.docs = did.StaticResolver{w.agent.DID: doc}
	w.renew()
	return w
}

func (w *world) time() time.Time { w.mu.Lock(); defer w.mu.Unlock(); return w.now }

func (w *world) advance(d time.Duration) { w.mu.Lock(); defer w.mu.Unlock(); w.now = w.now.Add(d) }

func (w *world) renew() {
	token := w.ca.Issue(w.agent, badge.LevelDomain)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.token = token
}

func (w *world) identity(change ...func(*serververify.IdentityConfig)) *serververify.Identity {
	w.t.Helper()
	cfg := &serververify.IdentityConfig{
		DID: w.agent.DID, Signer: w.agent.Key, Stdio: true, Time: w.time,
		Badge:   func(context.Context) (string, error) { w.mu.Lock(); defer w.mu.Unlock(); return w.token, nil },
		OnError: func(err error) { w.mu.Lock(); defer w.mu.Unlock(); w.errs = append(w.errs, err) },
	}
	for _, f := range change {
		f(cfg)
	}
	id, err := serververify.NewIdentity(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

func (w *world) verifier(change ...func(*serververify.Config)) *serververify.Verifier {
	w.t.Helper()
	cfg := &serververify.Config{Badges: w.ca.Verifier(), Resolver: w, MinLevel: badge.LevelDomain, Time: w.time}
	for _, f := range change {
		f(cfg)
	}
	v, err := serververify.New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

// newServer returns an MCP server with one tool.
func newServer() *mcp.Server {
	s := mcp.NewServer(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	mcp.AddTool(s, &mcp.Tool{Name: "greet"}, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "hello"}}}, nil, nil
	})
	return s
}

func newMCPClient() *mcp.Client {
	return mcp.NewClient(&mcp.Implementation{Name: "client", Version: "1"}, nil)
}

// serve runs a server on one end of a pipe and returns the other.
func serve(t *testing.T, s *mcp.Server) mcp.Transport {
	t.Helper()
	a, b := mcp.NewInMemoryTransports()
	session, err := s.Connect(context.Background(), b, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { session.Close() })
	return a
}

// A tap is a transport whose messages a test sees and may change. A nil message
// returned by a function is dropped.
type tap struct {
	mcp.Transport
	out, in func(jsonrpc.Message) jsonrpc.Message
	first   []jsonrpc.Message // given to the client before what the server says

	mu   sync.Mutex
	sent []jsonrpc.Message // as they left the client
}

type tapConn struct {
	mcp.Connection
	t *tap
}

func (t *tap) Connect(ctx context.Context) (mcp.Connection, error) {
	c, err := t.Transport.Connect(ctx)
	return &tapConn{c, t}, err
}

func (c *tapConn) Write(ctx context.Context, m jsonrpc.Message) error {
	c.t.mu.Lock()
	c.t.sent = append(c.t.sent, m)
	c.t.mu.Unlock()
	if c.t.out != nil {
		if m = c.t.out(m); m == nil {
			return nil
		}
	}
	return c.Connection.Write(ctx, m)
}

func (c *tapConn) Read(ctx context.Context) (jsonrpc.Message, error) {
	c.t.mu.Lock()
	if len(c.t.first) > 0 {
		m := c.t.first[0]
		c.t.first = c.t.first[1:]
		c.t.mu.Unlock()
		return m, nil
	}
	c.t.mu.Unlock()
	for {
		m, err := c.Connection.Read(ctx)
		if err != nil || c.t.in == nil {
			return m, err
		}
		if m = c.t.in(m); m != nil {
			return m, nil
		}
	}
}

func (t *tap) messages() []jsonrpc.Message {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]jsonrpc.Message(nil), t.sent...)
}

func connect(t *testing.T, w *world, tr mcp.Transport, version string) (*mcp.ClientSession, *serververify.Server, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	session, srv, err := NewClient(newMCPClient(), w.verifier()).ConnectStdio(ctx, tr, &mcp.ClientSessionOptions{ProtocolVersion: version})
	if session != nil {
		t.Cleanup(func() { session.Close() })
	}
	return session, srv, err
}

func greet(t *testing.T, session *mcp.ClientSession) {
	t.Helper()
	res, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "greet"})
	if err != nil {
		t.Fatal(err)
	}
	if text := res.Content[0].(*mcp.TextContent).Text; text != "hello" {
		t.Errorf("got %q", text)
	}
}

func wantRefusal(t *testing.T, err error, code serververify.Code, state serververify.State) {
	t.Helper()
	var refused *serververify.UntrustedError
	if !errors.As(err, &refused) || refused.Code != code || refused.State != state {
		t.Fatalf("got %v, want a refusal with %s, %s", err, code, state)
	}
}

// A site is an MCP server over HTTPS with an identity.
type site struct {
	*world
	server   *safehttptest.Server
	identity *serververify.Identity
	roots    *x509.CertPool
}

// newSite serves s, with sessions or without, behind an identity. Only without
// does the SDK speak the newer generation.
func newSite(t *testing.T, s *mcp.Server, stateless bool) *site {
	t.Helper()
	mcpHandler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, &mcp.StreamableHTTPOptions{Stateless: stateless})
	var handler http.Handler
	server := safehttptest.NewServer(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { handler.ServeHTTP(rw, r) }))
	st := &site{world: newWorld(t, server.DID()), server: server, roots: server.Roots}
	st.identity = st.world.identity(func(c *serververify.IdentityConfig) { c.Stdio, c.Origins = false, []string{server.URL("")} })
	handler = st.identity.Handler(mcpHandler)
	return st
}

func (s *site) verifier() *serververify.Verifier {
	return s.world.verifier(func(c *serververify.Config) { c.RootCAs = s.roots; c.UnsafeAllowLoopback = true })
}

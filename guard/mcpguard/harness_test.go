package mcpguard_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/mcpguard"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
)

const (
	withSessions    = "2025-11-25"
	withoutSessions = "2026-07-28"
)

type echo struct {
	Text string `json:"text"`
}

// newServer makes a server with tools of every sort, in no guard.
func newServer(opts *mcp.ServerOptions) *mcp.Server {
	s := mcp.NewServer(&mcp.Implementation{Name: "test", Version: "1"}, opts)
	add := func(name string, level badge.Level) {
		tool := &mcp.Tool{Name: name}
		if level != badge.LevelNone {
			tool = mcpguard.MinLevel(tool, level)
		}
		mcp.AddTool(s, tool, func(_ context.Context, _ *mcp.CallToolRequest, in echo) (*mcp.CallToolResult, any, error) {
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: name + " " + in.Text}}}, nil, nil
		})
	}
	add("a_level0", badge.LevelSelfSigned)
	add("b_secret_wire_transfer", badge.LevelExtended)
	add("c_level2", badge.LevelDomain)
	add("d_bare", badge.LevelNone)
	add("e_level0", badge.LevelSelfSigned)
	add("f_secret", badge.LevelExtended)
	add("g_level3", badge.LevelOrganization)
	addOdd(s)
	s.AddPrompt(&mcp.Prompt{Name: "hello"}, func(context.Context, *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		return &mcp.GetPromptResult{Messages: []*mcp.PromptMessage{}}, nil
	})
	s.AddResource(&mcp.Resource{Name: "r", URI: "file:///r"}, func(context.Context, *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
		return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: "file:///r", Text: "r"}}}, nil
	})
	s.AddResourceTemplate(&mcp.ResourceTemplate{Name: "t", URITemplate: "file:///t/{x}"},
		func(_ context.Context, r *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
			return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: r.Params.URI, Text: "t"}}}, nil
		})
	return s
}

// shared is one result that every call of a tool returns.
var shared = &mcp.CallToolResult{
	Meta:    mcp.Meta{"kept": true, mcpwire.MetaEvidence: "forged"},
	Content: []mcp.Content{&mcp.TextContent{Text: "shared"}},
}

// addOdd adds tools that end in every way but well.
func addOdd(s *mcp.Server) {
	raw := func(name string, fn func(ctx context.Context) (*mcp.CallToolResult, error)) {
		tool := &mcp.Tool{Name: name, InputSchema: json.RawMessage(`{"type":"object"}`)}
		s.AddTool(mcpguard.MinLevel(tool, badge.LevelSelfSigned), func(ctx context.Context, _ *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return fn(ctx)
		})
	}
	raw("x_error", func(context.Context) (*mcp.CallToolResult, error) { return nil, errors.New("database is down") })
	raw("x_wire", func(context.Context) (*mcp.CallToolResult, error) {
		return nil, &jsonrpc.Error{Code: -31999, Message: "own"}
	})
	raw("x_tool", func(context.Context) (*mcp.CallToolResult, error) {
		return &mcp.CallToolResult{IsError: true, Content: []mcp.Content{}}, nil
	})
	raw("x_panic", func(context.Context) (*mcp.CallToolResult, error) { panic("hunter2") })
	raw("x_nil", func(context.Context) (*mcp.CallToolResult, error) { return nil, nil })
	raw("x_ask", func(context.Context) (*mcp.CallToolResult, error) {
		return &mcp.CallToolResult{InputRequests: mcp.InputRequestMap{"q": &mcp.ElicitParams{Message: "sure?"}}}, nil
	})
	raw("x_shared", func(context.Context) (*mcp.CallToolResult, error) { return shared, nil })
	raw("x_wait", func(ctx context.Context) (*mcp.CallToolResult, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
}

// A credentials function adds to a request what a caller presents.
type credentials func(method string, p mcp.Params)

func anonymous(string, mcp.Params) {}

// as presents an agent's badge with every request, and a call proof with every call of a tool.
func as(a *guardtest.Agent) credentials {
	return func(method string, p mcp.Params) {
		meta := p.GetMeta()
		if meta == nil {
			meta = map[string]any{}
		}
		meta[mcpwire.MetaBadge] = a.Badge
		if call, ok := p.(*mcp.CallToolParams); ok {
			arguments, err := json.Marshal(call.Arguments)
			if err != nil {
				panic(err)
			}
			meta[mcpwire.MetaHop], meta[mcpwire.MetaTxn] = a.Prove(&pop.Call{Method: method, Target: call.Name, Arguments: arguments})
		}
		p.SetMeta(meta)
	}
}

func newClient(present credentials) *mcp.Client {
	c := mcp.NewClient(&mcp.Implementation{Name: "client", Version: "1"}, &mcp.ClientOptions{
		MultiRoundTrip: &mcp.MultiRoundTripOptions{Disabled: true},
	})
	c.AddSendingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
			switch method {
			case "tools/call", "tools/list", "prompts/list", "resources/list", "resources/templates/list", "prompts/get", "resources/read",
				"resources/subscribe", "completion/complete":
				present(method, req.GetParams())
			}
			return next(ctx, method, req)
		}
	})
	return c
}

// A rig is a guarded server, and a way to reach it.
type rig struct {
	name    string
	version string
	reach   func(t *testing.T, s *mcp.Server, a *mcpguard.Adapter) mcp.Transport
}

func (r rig) connect(t *testing.T, s *mcp.Server, a *mcpguard.Adapter, c *mcp.Client, version string) *mcp.ClientSession {
	t.Helper()
	return dial(t, c, r.reach(t, s, a), version)
}

var rigs = []rig{
	{"memory", withSessions, toMemory},
	{"memory", withoutSessions, toMemory},
	{"pipe", withSessions, toPipe},
	{"pipe", withoutSessions, toPipe},
	{"stateful HTTP", withSessions, toHTTP(&mcp.StreamableHTTPOptions{JSONResponse: true})},
	{"stateful SSE", withSessions, toHTTP(&mcp.StreamableHTTPOptions{})},
	{"stateless HTTP", withSessions, toHTTP(&mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true})},
	{"stateless HTTP", withoutSessions, toHTTP(&mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true})},
	{"stateless SSE", withoutSessions, toHTTP(&mcp.StreamableHTTPOptions{Stateless: true})},
}

func overMemory(t *testing.T, s *mcp.Server, a *mcpguard.Adapter, c *mcp.Client, version string) *mcp.ClientSession {
	t.Helper()
	return dial(t, c, toMemory(t, s, a), version)
}

func toMemory(t *testing.T, s *mcp.Server, _ *mcpguard.Adapter) mcp.Transport {
	ours, theirs := mcp.NewInMemoryTransports()
	attach(t, s, ours)
	return theirs
}

func toPipe(t *testing.T, s *mcp.Server, _ *mcpguard.Adapter) mcp.Transport {
	r1, w1 := io.Pipe()
	r2, w2 := io.Pipe()
	attach(t, s, &mcp.IOTransport{Reader: r1, Writer: w2})
	return &mcp.IOTransport{Reader: r2, Writer: w1}
}

func attach(t *testing.T, s *mcp.Server, ours mcp.Transport) {
	t.Helper()
	if _, err := s.Connect(t.Context(), ours, nil); err != nil {
		t.Fatal(err)
	}
}

func dial(t *testing.T, c *mcp.Client, transport mcp.Transport, version string) *mcp.ClientSession {
	t.Helper()
	session, err := c.Connect(t.Context(), transport, &mcp.ClientSessionOptions{ProtocolVersion: version})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { session.Close() })
	if got := session.InitializeResult().ProtocolVersion; got != version {
		t.Fatalf("speaks %s, want %s", got, version)
	}
	return session
}

func toHTTP(opts *mcp.StreamableHTTPOptions) func(*testing.T, *mcp.Server, *mcpguard.Adapter) mcp.Transport {
	return func(t *testing.T, s *mcp.Server, a *mcpguard.Adapter) mcp.Transport {
		return &mcp.StreamableClientTransport{Endpoint: serve(t, s, a, opts), DisableStandaloneSSE: true}
	}
}

func serve(t *testing.T, s *mcp.Server, a *mcpguard.Adapter, opts *mcp.StreamableHTTPOptions) string {
	t.Helper()
	var h http.Handler = mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, opts)
	if a != nil {
		h = a.Handler(h)
	}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

// each runs fn on every rig, with a fresh world and the server guarded by it.
func each(t *testing.T, fn func(t *testing.T, w *guardtest.World, open func(credentials) *mcp.ClientSession)) {
	for _, r := range rigs {
		t.Run(r.name+" "+r.version, func(t *testing.T) {
			w := guardtest.New(t)
			s := newServer(nil)
			a := mcpguard.Protect(s, w.Guard())
			fn(t, w, func(present credentials) *mcp.ClientSession {
				return r.connect(t, s, a, newClient(present), r.version)
			})
		})
	}
}

// checkClosed reports decisions whose outcome was forgotten.
func checkClosed(t *testing.T, w *guardtest.World) {
	t.Helper()
	if n := w.Recorder.Open(); n != 0 {
		t.Errorf("%d decisions without an outcome", n)
	}
}

func call(t *testing.T, session *mcp.ClientSession, tool string) (*mcp.CallToolResult, error) {
	t.Helper()
	return session.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: map[string]any{"text": "hi"}})
}

// wireError returns the JSON-RPC error of a refused request.
func wireError(t *testing.T, err error) *jsonrpc.Error {
	t.Helper()
	var wire *jsonrpc.Error
	if !errors.As(err, &wire) {
		t.Fatalf("error %v of type %T", err, err)
	}
	return wire
}

func denialOf(t *testing.T, err error) mcpwire.Denial {
	t.Helper()
	var d mcpwire.Denial
	wire := wireError(t, err)
	if wire.Code != mcpguard.CodeDenied && wire.Code != mcpguard.CodeUndetermined {
		t.Errorf("refused with code %d: %v", wire.Code, err)
	}
	if err := json.Unmarshal(wire.Data, &d); err != nil {
		t.Fatalf("data %s: %v", wire.Data, err)
	}
	return d
}

// post sends one HTTP request to a stateless server, and returns the status and the body of the answer.
func post(t *testing.T, url, body string, headers map[string]string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewBufferString(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	for k, v := range headers {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// modern returns the body and the headers of a 2026-07-28 request.
func modern(method, name, params string) (string, map[string]string) {
	if params != "" {
		params += ","
	}
	body := `{"jsonrpc":"2.0","id":7,"method":"` + method + `","params":{` + params +
		`"_meta":{"io.modelcontextprotocol/protocolVersion":"` + withoutSessions + `","io.modelcontextprotocol/clientCapabilities":{}}}}`
	headers := map[string]string{"Mcp-Protocol-Version": withoutSessions, "Mcp-Method": method}
	if name != "" {
		headers["Mcp-Name"] = name
	}
	return body, headers
}

func toolNames(tools []*mcp.Tool) []string {
	var names []string
	for _, t := range tools {
		names = append(names, t.Name)
	}
	slices.Sort(names)
	return names
}

func codeOf(t *testing.T, err error) guard.Code {
	t.Helper()
	return guard.Code(denialOf(t, err).ReasonCode)
}

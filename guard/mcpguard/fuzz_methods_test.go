package mcpguard_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/mcpguard"
)

// aGate is a server that notes what reaches it behind a guard whose policy opens names that begin with "open".
type aGate struct {
	recorder *guardtest.Recorder
	handler  http.Handler
	server   *mcp.Server
	mu       sync.Mutex
	reached  []string // the names of what was used
	keep     bool     // what reached the server
}

func gateOpens(c guard.Capability) bool {
	return strings.HasPrefix(c.Name, "open") || strings.HasPrefix(c.Name, "file:///open")
}

func newGate(t testing.TB) *aGate {
	g := &aGate{recorder: guardtest.NewRecorder()}
	full := newServer(&mcp.ServerOptions{
		SubscribeHandler:   func(context.Context, *mcp.SubscribeRequest) error { return nil },
		UnsubscribeHandler: func(context.Context, *mcp.UnsubscribeRequest) error { return nil },
		CompletionHandler: func(context.Context, *mcp.CompleteRequest) (*mcp.CompleteResult, error) {
			return &mcp.CompleteResult{Completion: mcp.CompletionResultDetails{Values: []string{"v"}}}, nil
		},
	})
	mcp.AddTool(full, &mcp.Tool{Name: "open_tool"}, func(context.Context, *mcp.CallToolRequest, echo) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{}}, nil, nil
	})
	full.AddPrompt(&mcp.Prompt{Name: "open_prompt"}, getPrompt)
	for _, method := range []string{"open/own", "closed/own", "tasks/get", "tasks/list", "tasks/cancel"} {
		err := mcp.AddReceivingCustomMethod(full, method, func(context.Context, *mcp.ServerSession, *customParams) (*customResult, error) {
			return &customResult{}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	full.AddReceivingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
			g.note(method, req)
			return next(ctx, method, req)
		}
	})
	cfg := &guard.Config{Evidence: g.recorder, Refusals: guard.Refusals{PerSecond: 1 << 30, Burst: 1 << 30}, Policy: policyFunc(func(in *guard.Input) (guard.Decision, error) {
		return guard.Decision{NoRule: !gateOpens(in.Capability), Kind: guard.Allow, Anonymous: true}, nil
	})}
	protector, err := guard.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	a := mcpguard.Protect(full, protector)
	g.server = full
	g.handler = a.Handler(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return full },
		&mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true, DisableLocalhostProtection: true}))
	return g
}

// note says what a request that came past the guard uses.
func (g *aGate) note(method string, req mcp.Request) {
	var names []string
	switch p := req.GetParams().(type) {
	case *mcp.CallToolParamsRaw:
		names = append(names, p.Name)
	case *mcp.GetPromptParams:
		names = append(names, p.Name)
	case *mcp.ReadResourceParams:
		names = append(names, p.URI)
	case *mcp.SubscribeParams:
		names = append(names, p.URI)
	case *mcp.UnsubscribeParams:
		names = append(names, p.URI)
	case *mcp.CompleteParams:
		if p.Ref != nil {
			names = append(names, p.Ref.Name+p.Ref.URI)
		} else {
			names = append(names, "")
		}
	case *mcp.SubscriptionsListenParams:
		if p.Notifications != nil {
			names = p.Notifications.ResourceSubscriptions
		}
	default:
		if m := guard.MethodNamed(method); m.Class == guard.OtherMethod || m.Class == guard.UseMethod {
			names = append(names, method)
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.reached = append(g.reached, names...)
}

// check holds what reached the server against the records, and forgets both.
func (g *aGate) check(t *testing.T, method string, wantRecord bool) {
	t.Helper()
	g.mu.Lock()
	reached := g.reached
	if !g.keep {
		g.reached = nil
	}
	g.mu.Unlock()
	for _, name := range reached {
		if !gateOpens(guard.Capability{Name: name}) {
			t.Errorf("%q reached the server, which no rule allows", name)
		}
	}
	decisions := g.recorder.Decisions()
	g.recorder.Forget()
	for _, d := range decisions {
		c := guard.Capability{Kind: guard.Kind(d.Capability), Name: d.Target}
		if d.Kind.Allows() && d.Shown == nil && !gateOpens(c) {
			t.Errorf("allowed %+v", d)
		}
	}
	if wantRecord && len(decisions) == 0 {
		t.Errorf("no record of %q", method)
	}
}

// FuzzMethods sends any method with any parameters, in both generations of the protocol, over HTTP and in memory: nothing
// panics, nothing runs that no rule allows, and every attempt is recorded.
func FuzzMethods(f *testing.F) {
	for _, m := range guard.Methods() {
		f.Add(m.Name, []byte(`{"name":"open_tool","uri":"file:///open","taskId":"x","arguments":{"text":"x"}}`))
		f.Add(m.Name, []byte(`{"name":"a_level0","uri":"file:///r","ref":{"type":"ref/prompt","name":"hello"},"argument":{"name":"a"}}`))
		f.Add(m.Name, []byte(`{"notifications":{"resourceSubscriptions":["file:///open","file:///r"]},"cursor":"x"}`))
		f.Add(m.Name, []byte(`null`))
	}
	f.Add("open/own", []byte(`{"x":1}`))
	f.Add("closed/own", []byte(`{"name":"open"}`))
	f.Add("Tools/Call", []byte(`{"name":"open_tool"}`))
	f.Add("", []byte(`[]`))
	gate := newGate(f)
	f.Fuzz(func(t *testing.T, method string, params []byte) {
		if method == "subscriptions/listen" && len(params) > 0 {
			method += " " // a stream: TestListen and TestSubscribeAnnotations
		}
		name, err := json.Marshal(method)
		if err != nil || !json.Valid(params) {
			return
		}
		var object map[string]json.RawMessage
		_ = json.Unmarshal(params, &object) // what is no object is sent as it is
		class := guard.MethodNamed(string(bytes.Trim(name, `"`))).Class
		for _, version := range []string{withSessions, withoutSessions} {
			text, mirrored := params, ""
			if object != nil && version == withoutSessions {
				object["_meta"] = json.RawMessage(`{"io.modelcontextprotocol/protocolVersion":"` + version + `","io.modelcontextprotocol/clientCapabilities":{}}`)
				if text, err = json.Marshal(object); err != nil {
					return
				}
				mirrored = named(object)
			}
			body := `{"jsonrpc":"2.0","id":7,"method":` + string(name) + `,"params":` + string(text) + `}`
			req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Accept", "application/json, text/event-stream")
			req.Header["Mcp-Protocol-Version"], req.Header["Mcp-Method"] = []string{version}, []string{method}
			if mirrored != "" {
				req.Header["Mcp-Name"] = []string{mirrored}
			}
			gate.handler.ServeHTTP(httptest.NewRecorder(), req)
			gate.check(t, method, method != "" && class != guard.OpenMethod)
			if method != "" { // which is no request
				gate.inMemory(t, method, text)
			}
		}
	})
}

func named(params map[string]json.RawMessage) string {
	for _, member := range []string{"name", "uri", "taskId"} {
		var s string
		if json.Unmarshal(params[member], &s) == nil && s != "" {
			return s
		}
	}
	return ""
}

// inMemory sends the same without HTTP, where what the SDK rejects is not recorded.
func (g *aGate) inMemory(t *testing.T, method string, params []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	ours, theirs := mcp.NewInMemoryTransports()
	session, err := g.server.Connect(ctx, ours, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	conn, err := theirs.Connect(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const opening = `{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}`
	for i, m := range []struct {
		method string
		params []byte
	}{{"initialize", []byte(opening)}, {"notifications/initialized", nil}, {method, params}} {
		var id jsonrpc.ID
		if i != 1 {
			if id, err = jsonrpc.MakeID(float64(i)); err != nil {
				t.Fatal(err)
			}
		}
		if err := conn.Write(ctx, &jsonrpc.Request{ID: id, Method: m.method, Params: m.params}); err != nil {
			return
		}
		if i == 1 {
			continue
		}
		for { // notifications come between
			msg, err := conn.Read(ctx)
			if ctx.Err() != nil {
				t.Fatalf("no answer to %q with %s", m.method, m.params)
			}
			if err != nil {
				return
			}
			if _, ok := msg.(*jsonrpc.Response); ok {
				break
			}
		}
	}
	g.check(t, method, false)
}

// TestGateReaches: what FuzzMethods sends does reach the server, where the policy allows it.
func TestGateReaches(t *testing.T) {
	gate := newGate(t)
	gate.inMemory(t, "tools/call", []byte(`{"name":"a_level0","arguments":{}}`))
	if n := len(gate.recorder.Decisions()); n != 0 {
		t.Errorf("%d decisions are left", n)
	}
	for method, params := range map[string]string{
		"tools/call": `{"name":"open_tool","arguments":{"text":"x"}}`, "prompts/get": `{"name":"open_prompt"}`, "open/own": `{}`,
		"resources/subscribe": `{"uri":"file:///open"}`,
	} {
		kept := newGate(t)
		kept.keep = true
		kept.inMemory(t, method, []byte(params))
		if len(kept.reached) != 1 {
			t.Errorf("%s: reached %v", method, kept.reached)
		}
	}
}

package mcpguard_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/mcpguard"
	"github.com/touchmark-dev/touchmark/serververify/workload"
)

// watching is a policy that opens everything to everybody and notes what it was asked.
func watching(seen *[]*guard.Input) func(*guard.Config) {
	return func(c *guard.Config) {
		c.Policy = policyFunc(func(in *guard.Input) (guard.Decision, error) {
			*seen = append(*seen, in)
			return guard.Decision{Kind: guard.Allow, Anonymous: true}, nil
		})
	}
}

// TestFacts: the claims of a token are those of this very request, in a session too, and what the configuration says
// goes beside them.
func TestFacts(t *testing.T) {
	for _, opts := range []*mcp.StreamableHTTPOptions{{JSONResponse: true}, {JSONResponse: true, Stateless: true}} {
		t.Run(fmt.Sprintf("stateless %v", opts.Stateless), func(t *testing.T) {
			w := guardtest.New(t)
			s := newServer(nil)
			s.RemoveTools("d_bare")
			s.AddTool(&mcp.Tool{Name: "d_bare", InputSchema: json.RawMessage(`{"type":"object"}`)}, func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
				return &mcp.CallToolResult{Content: []mcp.Content{}}, nil
			})
			var seen []*guard.Input
			a := mcpguard.New(w.Guard(watching(&seen)), &mcpguard.Options{
				AllowAuthorizationBeside: true, Facts: guard.Facts{Server: "files", Environment: "production", Tenant: "acme"},
			})
			a.Protect(s)
			verify := func(_ context.Context, token string, _ *http.Request) (*auth.TokenInfo, error) {
				return &auth.TokenInfo{UserID: token, Scopes: []string{"read", "write"}, Expiration: far, Extra: map[string]any{
					"iss": "https://idp.example", "scope": "of the token itself",
				}}, nil
			}
			inner := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, opts)
			server := httptest.NewServer(a.Handler(auth.RequireBearerToken(verify, nil)(inner)))
			defer server.Close()
			headers := map[string]string{"Authorization": "Bearer alice"}
			if !opts.Stateless {
				headers["Mcp-Session-Id"] = open(t, server.URL, headers)
			}
			headers["Mcp-Protocol-Version"] = withSessions
			users := []string{"alice", "alice"} // the SDK lets nobody else into her session
			if opts.Stateless {
				users[1] = "bob"
			}
			for _, who := range users {
				headers["Authorization"] = "Bearer " + who
				if _, body := post(t, server.URL, `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"d_bare","arguments":{}}}`, headers); strings.Contains(body, "error") {
					t.Fatal(body)
				}
				in := last(t, seen)
				var claims map[string]any
				if err := json.Unmarshal(in.Facts.Claims, &claims); err != nil {
					t.Fatal(err)
				}
				if claims["sub"] != who || claims["iss"] != "https://idp.example" || claims["scope"] != "of the token itself" || claims["exp"] != float64(far.Unix()) {
					t.Errorf("claims %v", claims)
				}
				if in.Facts.Server != "files" || in.Facts.Environment != "production" || in.Facts.Tenant != "acme" || in.Facts.Actor != "" {
					t.Errorf("facts %+v", in.Facts)
				}
				if c := in.Caller.Channel(); c.Scheme() != "oauth" || c.Subject() != who {
					t.Errorf("channel %v", c)
				}
			}
		})
	}
}

// TestActors: a workload that the channel authenticated has the class that a mapping gives it; its level there is none.
func TestActors(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("who is at the other end of a socket is asked of Linux alone")
	}
	for _, uid := range []int{os.Geteuid(), os.Geteuid() + 1} {
		rules, err := workload.ParseRules(fmt.Appendf(nil, "version: 1\nprincipals:\n  - {id: bot, match: {uid: %d}, level: 4, actor: automation}\n", uid))
		if err != nil {
			t.Fatal(err)
		}
		path := t.TempDir() + "/run/mcp.sock"
		ln, err := workload.ListenUnix(&workload.UnixConfig{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		w := guardtest.New(t)
		var seen []*guard.Input
		a := mcpguard.New(w.Guard(watching(&seen)), &mcpguard.Options{Actors: rules})
		s := newServer(nil)
		a.Protect(s)
		server := workload.NewUnixServer(a.Handler(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, stateless)))
		go func() { _ = server.Serve(ln) }() // it ends with Close
		t.Cleanup(func() { _ = server.Close() })
		client, err := workload.NewUnixClient(&workload.UnixDialConfig{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(client.CloseIdleConnections)
		session := dial(t, newClient(anonymous), &mcp.StreamableClientTransport{Endpoint: "http://localhost/", HTTPClient: client}, withoutSessions)
		if _, err := call(t, session, "d_bare"); err != nil {
			t.Fatal(err)
		}
		want := guard.Actor("")
		if uid == os.Geteuid() {
			want = guard.ActorAutomation
		}
		if in := last(t, seen); in.Facts.Actor != want || in.Caller.Level() != badge.LevelNone {
			t.Errorf("uid %d: actor %q, level %v", uid, in.Facts.Actor, in.Caller.Level())
		}
		if d := last(t, w.Recorder.Decisions()); d.Actor != string(want) {
			t.Errorf("recorded %q", d.Actor)
		}
	}
}

// TestContradictingOptions: one actor for all, and a mapping of actors.
func TestContradictingOptions(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	mcpguard.New(guardtest.New(t).Guard(), &mcpguard.Options{Actors: &workload.Rules{}, Facts: guard.Facts{Actor: guard.ActorHuman}})
}

// TestClaimedIsRecorded: what callers say of themselves is in the record, and nowhere else.
func TestClaimedIsRecorded(t *testing.T) {
	for _, r := range rigs {
		t.Run(r.name+" "+r.version, func(t *testing.T) {
			w := guardtest.New(t)
			var seen []*guard.Input
			s := newServer(nil)
			a := mcpguard.Protect(s, w.Guard(watching(&seen)))
			session := r.connect(t, s, a, newClient(anonymous), r.version)
			_, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "d_bare", Arguments: map[string]any{"text": "x"}, Meta: mcp.Meta{
				"dev.touchmark/actor": "human", "io.modelcontextprotocol/server-policy-enforcement/policy": "allow-all",
				"dev.touchmark/mode": "shadow", "dev.touchmark/approval": map[string]any{"granted": true}, "actor": "root",
				"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "tracestate": "a=b",
			}})
			if err != nil {
				t.Fatal(err)
			}
			d := last(t, w.Recorder.Decisions())
			want := evidence.Claimed{Actor: "human", Policy: "allow-all", Mode: "shadow", Approval: `{"granted":true}`}
			if d.Claimed != want || d.Shadow || d.Actor != "" || d.TraceID != "4bf92f3577b34da6a3ce929d0e0e4736" {
				t.Errorf("recorded %+v", d)
			}
			if in := last(t, seen); in.Facts.Actor != "" || in.Facts.Server != "" || len(in.Facts.Claims) != 0 {
				t.Errorf("the policy saw %+v", in.Facts)
			}
		})
	}
}

// TestTraceContext: the trace context of _meta goes before that of the headers, all of it.
func TestTraceContext(t *testing.T) {
	w := guardtest.New(t)
	o := &traceObserver{}
	s := newServer(nil)
	a := mcpguard.Protect(s, w.Guard(func(c *guard.Config) { c.Observer = o }))
	url := serve(t, s, a, stateless)
	const one, two = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "00-5bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	headers := map[string]string{"Traceparent": two, "Tracestate": "from=header"}
	for meta, want := range map[string]string{
		``:                            two + " from=header",
		`"tracestate":"x=y"`:          two + " from=header",
		`"traceparent":"` + one + `"`: one + " ",
		`"traceparent":"` + one + `","tracestate":"x=y"`: one + " x=y",
		`"traceparent":"x","tracestate":"x=y"`:           " ",
		`"traceparent":7`:                                " ",
	} {
		callTool(t, url, "a_level0", meta, headers)
		if got := last(t, o.seen); got != want {
			t.Errorf("%s: got %q, want %q", meta, got, want)
		}
	}
}

type traceObserver struct{ seen []string }

func (o *traceObserver) Begin(_ context.Context, r *guard.Request) guard.Observation {
	o.seen = append(o.seen, r.TraceParent+" "+r.TraceState)
	return nil
}

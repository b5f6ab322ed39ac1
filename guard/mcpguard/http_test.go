package mcpguard_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/mcpguard"
)

var far = time.Now().Add(time.Hour)

// TestRejectedBeforeTheGuard: what the SDK answers by itself is in the evidence.
func TestRejectedBeforeTheGuard(t *testing.T) {
	w := guardtest.New(t)
	s := newServer(nil)
	a := mcpguard.Protect(s, w.Guard())
	urls := map[bool]string{true: serve(t, s, a, stateless), false: serve(t, s, a, &mcp.StreamableHTTPOptions{JSONResponse: true})}
	callBody, callHeaders := modern("tools/call", "a_level0", `"name":"a_level0","arguments":{}`)
	change := func(h map[string]string, pairs ...string) map[string]string {
		out := map[string]string{}
		for k, v := range h {
			out[k] = v
		}
		for i := 0; i < len(pairs); i += 2 {
			out[pairs[i]] = pairs[i+1]
		}
		return out
	}
	otherBody, otherHeaders := modern("x/unknown", "", `"name":"n"`)
	for _, c := range []struct {
		name      string
		stateless bool
		body      string
		headers   map[string]string
		status    int
		method    string
		target    string
		id        string
		cause     string
	}{
		{"header names another tool", true, callBody, change(callHeaders, "Mcp-Name", "c_level2"), 400, "tools/call", "a_level0", "7", "HTTP_400"},
		{"header names another method", true, callBody, change(callHeaders, "Mcp-Method", "ping"), 400, "tools/call", "a_level0", "7", "HTTP_400"},
		{"no method header", true, callBody, map[string]string{"Mcp-Protocol-Version": withoutSessions}, 400, "tools/call", "a_level0", "7", "HTTP_400"},
		{"unknown method", true, otherBody, otherHeaders, 404, "x/unknown", "n", "7", "HTTP_404"},
		{"name of another type", true, strings.Replace(callBody, `"a_level0"`, `5`, 1), change(callHeaders, "Mcp-Name", "5"), 400, "tools/call", "", "7", "HTTP_400"},
		{"parameters of another type", true, `{"jsonrpc":"2.0","id":"i","method":"tools/call","params":{"name":["x"]}}`, nil, 200, "tools/call", "", "i", "HTTP_200"},
		{"no such session", false, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, map[string]string{"Mcp-Session-Id": "x"}, 404, "tools/list", "", "1", "HTTP_404"},
		{"not initialized", false, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a_level0"}}`, nil, 200, "tools/call", "a_level0", "1", "HTTP_200"},
		{"member given twice", true, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","name":"b"}}`, nil, 400, "unreadable", "", "", "HTTP_400"},
		{"not JSON", true, `{`, nil, 400, "unreadable", "", "", "HTTP_400"},
		{"empty", true, ``, nil, 400, "unreadable", "", "", "HTTP_400"},
		{"too long", true, `"` + strings.Repeat("x", mcpguard.MaxBodyBytes) + `"`, nil, 413, "unreadable", "", "", "HTTP_413"},
		{"another content type", true, callBody, change(callHeaders, "Content-Type", "text/plain"), 415, "tools/call", "a_level0", "7", "HTTP_415"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := len(w.Recorder.Drafts())
			headers := change(c.headers, "X-Capiscio-Badge", w.Agent(badge.LevelDomain).Badge)
			status, body := post(t, urls[c.stateless], c.body, headers)
			if status != c.status {
				t.Errorf("status %d: %s", status, body)
			}
			drafts := w.Recorder.Drafts()[before:]
			if len(drafts) != 1 || drafts[0].Decision == nil {
				t.Fatalf("%d records", len(drafts))
			}
			d := drafts[0].Decision
			if d.DenyReason != string(guard.CodeRequestRejected) || d.DenyCause != c.cause || d.Method != c.method || d.Target != c.target || d.RequestID != c.id {
				t.Errorf("recorded %+v", d)
			}
			if d.Caller.Auth != evidence.AuthAnonymous || drafts[0].Badge == "" {
				t.Errorf("recorded caller %+v", d.Caller)
			}
		})
	}
}

// TestSeenByTheGuard: what reaches the guard is recorded once, and what is open not at all.
func TestSeenByTheGuard(t *testing.T) {
	w := guardtest.New(t)
	s := newServer(nil)
	a := mcpguard.Protect(s, w.Guard())
	url := serve(t, s, a, stateless)
	old := map[string]string{"Mcp-Protocol-Version": "2025-03-26"}
	for _, c := range []struct {
		name, body string
		headers    map[string]string
		ids        []string
	}{
		{"ping", `{"jsonrpc":"2.0","id":1,"method":"ping"}`, old, nil},
		{"notification", `{"jsonrpc":"2.0","method":"notifications/initialized"}`, old, nil},
		{"cancellation", `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`, old, nil},
		{"log level", `{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"info"}}`, old, nil},
		{"list", `{"jsonrpc":"2.0","id":"l1","method":"tools/list"}`, old, []string{"l1"}},
		{"call", `{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"a_level0"}}`, old, []string{"5"}},
		{"batch", `[{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"a_level0"}},{"jsonrpc":"2.0","id":6,"method":"tools/call","params":{"name":"c_level2"}},{"jsonrpc":"2.0","id":7,"method":"ping"}]`, old, []string{"5", "6"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := len(w.Recorder.Drafts())
			post(t, url, c.body, c.headers)
			drafts := w.Recorder.Drafts()[before:]
			got := map[string]bool{}
			for _, d := range drafts {
				if d.Decision == nil || d.Decision.DenyReason == string(guard.CodeRequestRejected) {
					t.Errorf("recorded %+v", d.Decision)
					continue
				}
				got[d.Decision.RequestID] = true
			}
			if len(drafts) != len(c.ids) {
				t.Fatalf("%d records, want %d", len(drafts), len(c.ids))
			}
			for _, id := range c.ids {
				if !got[id] {
					t.Errorf("no record of request %s among %v", id, got)
				}
			}
		})
	}
}

func TestOtherHTTPMethods(t *testing.T) {
	w := guardtest.New(t)
	a := mcpguard.New(w.Guard(), nil)
	for _, method := range []string{http.MethodGet, http.MethodDelete, http.MethodOptions} {
		reached := false
		h := a.Handler(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) { reached = req.Method == method }))
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(method, "/", http.NoBody))
		if !reached {
			t.Errorf("%s was not passed on", method)
		}
	}
	if n := len(w.Recorder.Drafts()); n != 0 {
		t.Errorf("%d records", n)
	}
}

// TestHungUp: a client that goes away while its request is in flight is no rejection.
func TestHungUp(t *testing.T) {
	w := guardtest.New(t)
	a := mcpguard.New(w.Guard(), nil)
	ctx, cancel := context.WithCancel(t.Context())
	h := a.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { cancel() }))
	body := strings.NewReader(`{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"a_level0"}}`)
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodPost, "/", body))
	if n := len(w.Recorder.Drafts()); n != 0 {
		t.Errorf("%d records", n)
	}
}

// TestTicket: the adapter's own header is nobody else's.
func TestTicket(t *testing.T) {
	w := guardtest.New(t)
	a := mcpguard.New(w.Guard(), nil)
	var seen []string
	h := a.Handler(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) { seen = req.Header.Values("Touchmark-Ticket") }))
	req := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(`{"jsonrpc":"2.0","id":5,"method":"ping"}`))
	req.Header.Add("Touchmark-Ticket", "forged")
	req.Header.Add("Touchmark-Ticket", "forged too")
	h.ServeHTTP(httptest.NewRecorder(), req)
	if len(seen) != 1 || strings.Contains(seen[0], "forged") {
		t.Errorf("got %q", seen)
	}
	if fmt.Sprint(req.Header["Touchmark-Ticket"]) != "[forged forged too]" {
		t.Error("the caller's request was changed")
	}
}

// TestTraceID: a trace id is recorded when it is one.
func TestTraceID(t *testing.T) {
	w := guardtest.New(t)
	s := newServer(nil)
	a := mcpguard.Protect(s, w.Guard())
	url := serve(t, s, a, stateless)
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	for parent, want := range map[string]string{
		"00-" + id + "-00f067aa0ba902b7-01": id, "00-" + strings.ToUpper(id) + "-00f067aa0ba902b7-01": "", "x": "", id: "",
	} {
		callTool(t, url, "a_level0", `"traceparent":"`+parent+`"`, nil)
		if d := last(t, w.Recorder.Decisions()); d.TraceID != want {
			t.Errorf("%s: recorded %q", parent, d.TraceID)
		}
		callTool(t, url, "a_level0", "", map[string]string{"Traceparent": parent})
		if d := last(t, w.Recorder.Decisions()); d.TraceID != want {
			t.Errorf("header %s: recorded %q", parent, d.TraceID)
		}
	}
}

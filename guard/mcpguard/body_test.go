package mcpguard_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/mcpguard"
)

// TestSeenOnce: a member that the method does not have makes no second record, of something that was never
// asked for.
func TestSeenOnce(t *testing.T) {
	w := guardtest.New(t)
	s := newServer(nil)
	a := mcpguard.Protect(s, w.Guard(func(c *guard.Config) { c.Policy = guard.UnsafeAllowAll{} }))
	url := serve(t, s, a, stateless)
	for method, params := range map[string]string{
		"resources/read":      `"uri":"file:///r","name":"other"`,
		"tools/call":          `"name":"d_bare","uri":"other","arguments":{"text":"x"}`,
		"prompts/get":         `"name":"hello","uri":"other"`,
		"completion/complete": `"ref":{"type":"ref/prompt","name":"hello"},"argument":{"name":"a","value":"b"},"name":"other"`,
	} {
		before := len(w.Recorder.Decisions())
		_, body := post(t, url, `{"jsonrpc":"2.0","id":5,"method":"`+method+`","params":{`+params+`}}`, nil)
		ds := w.Recorder.Decisions()[before:]
		if len(ds) != 1 || ds[0].Target == "other" || ds[0].RequestID != "5" {
			t.Errorf("%s: %d records, the last %+v; answered %s", method, len(ds), ds[len(ds)-1], body)
		}
	}
}

// TestLongBatch: one request makes at most so many records.
func TestLongBatch(t *testing.T) {
	w := guardtest.New(t)
	s := newServer(nil)
	a := mcpguard.Protect(s, w.Guard())
	url := serve(t, s, a, stateless)
	const one = `{"jsonrpc":"2.0","id":1,"method":"x"}`
	status, _ := post(t, url, `[`+strings.Repeat(one+`,`, mcpguard.MaxBatch)+one+`]`, nil)
	if d := w.Recorder.Decisions(); status != http.StatusBadRequest || len(d) != 1 || d[0].Method != "unreadable" {
		t.Errorf("status %d, %d records", status, len(d))
	}
	post(t, url, `[`+strings.Repeat(one+`,`, mcpguard.MaxBatch-1)+one+`]`, nil)
	if n := len(w.Recorder.Decisions()); n != 1+mcpguard.MaxBatch {
		t.Errorf("%d records", n)
	}
}

type brokenBody struct{ err error }

func (b brokenBody) Read([]byte) (int, error) { return 0, b.err }

// TestBrokenBody: a body that ends too soon is not one that is too long.
func TestBrokenBody(t *testing.T) {
	w := guardtest.New(t)
	a := mcpguard.New(w.Guard(), nil)
	h := a.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("passed on") }))
	for _, err := range []error{io.ErrUnexpectedEOF, errors.New("reset")} {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/", brokenBody{err}))
		if rec.Code != http.StatusBadRequest {
			t.Errorf("status %d", rec.Code)
		}
		if d := last(t, w.Recorder.Decisions()); d.DenyCause != "HTTP_400" {
			t.Errorf("recorded %+v", d)
		}
	}
}

// TestAmbiguousArguments: what a policy could read in one way and a tool in another is refused where no
// adapter for HTTP has refused it before.
func TestAmbiguousArguments(t *testing.T) {
	for _, r := range rigs[:4] {
		w := guardtest.New(t)
		s := newServer(nil)
		a := mcpguard.Protect(s, w.Guard(func(c *guard.Config) { c.Policy = guard.UnsafeAllowAll{} }))
		session := r.connect(t, s, a, newClient(anonymous), r.version)
		deep := strings.Repeat(`{"a":`, 40) + `1` + strings.Repeat(`}`, 40)
		for _, text := range []string{`{"text":"a","text":"b"}`, `{"text":"a","o":{"b":1,"\u0062":2}}`, deep} {
			_, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "d_bare", Arguments: json.RawMessage(text)})
			if d := denialOf(t, err); d.ReasonCode != string(guard.CodeRequestMalformed) {
				t.Errorf("%.40s: %v", text, err)
			}
			if d := last(t, w.Recorder.Decisions()); d.DenyCause != "PARAMS_MALFORMED" || d.Target != "d_bare" {
				t.Errorf("recorded %+v", d)
			}
		}
		if _, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "d_bare", Arguments: json.RawMessage(`{"text":"a"}`)}); err != nil {
			t.Error(err)
		}
	}
}

// TestAnsweredElsewhere: what is accepted, and answered on another stream, was not rejected.
func TestAnsweredElsewhere(t *testing.T) {
	w := guardtest.New(t)
	a := mcpguard.New(w.Guard(), nil)
	h := a.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) }))
	for body, records := range map[string]int{
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"}}`:    0,
		`{"jsonrpc":"2.0","method":"tools/call","params":{"name":"a"}}`:           1,
		`{"jsonrpc":"2.0","id":null,"method":"tools/call","params":{"name":"a"}}`: 1,
	} {
		before := len(w.Recorder.Decisions())
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body)))
		if n := len(w.Recorder.Decisions()) - before; n != records {
			t.Errorf("%s: %d records", body, n)
		}
	}
}

// TestOlderTransport: over the transport of 2024-11-05 a call has one record, too.
func TestOlderTransport(t *testing.T) {
	w := guardtest.New(t)
	s := newServer(nil)
	a := mcpguard.Protect(s, w.Guard(func(c *guard.Config) { c.Policy = guard.UnsafeAllowAll{} }))
	server := httptest.NewServer(a.Handler(mcp.NewSSEHandler(func(*http.Request) *mcp.Server { return s }, nil)))
	t.Cleanup(server.Close)
	session, err := newClient(anonymous).Connect(t.Context(), &mcp.SSEClientTransport{Endpoint: server.URL}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := call(t, session, "d_bare"); err != nil {
		t.Error(err)
	}
	if err := session.Close(); err != nil {
		t.Error(err)
	}
	if d := w.Recorder.Decisions(); len(d) != 1 || d[0].Kind != "allow" {
		t.Errorf("%d records: %+v", len(d), d)
	}
}

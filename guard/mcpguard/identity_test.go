package mcpguard_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/mcpguard"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
)

var stateless = &mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true}

// proven returns the headers with which an agent calls a tool over HTTP.
func proven(a *guardtest.Agent, tool, arguments string) map[string]string {
	proof, txn := a.Prove(&pop.Call{Method: "tools/call", Target: tool, Arguments: json.RawMessage(arguments)})
	return map[string]string{"X-Capiscio-Badge": a.Badge, "X-Capiscio-Hop": proof, "X-Capiscio-Txn": txn}
}

// callTool posts a 2026-07-28 call, with what meta adds to its _meta, and returns the answer.
func callTool(t *testing.T, url, tool, meta string, headers map[string]string) (status int, body string) {
	t.Helper()
	text, h := modern("tools/call", tool, `"name":"`+tool+`","arguments":{"text":"x"}`)
	if meta != "" {
		text = strings.Replace(text, `"_meta":{`, `"_meta":{`+meta+",", 1)
	}
	for k, v := range headers {
		h[k] = v
	}
	return post(t, url, text, h)
}

func TestHeaders(t *testing.T) {
	w := guardtest.New(t)
	s := newServer(nil)
	a := mcpguard.Protect(s, w.Guard())
	url := serve(t, s, a, stateless)
	alice, mallory := w.Agent(badge.LevelDomain), w.NewAgent("did:web:agents.example:mallory", badge.LevelDomain)
	good := func(edit func(h map[string]string)) map[string]string {
		h := proven(alice, "c_level2", `{"text":"x"}`)
		if edit != nil {
			edit(h)
		}
		return h
	}
	meta := func(name, value string) string { return `"` + name + `":"` + value + `"` }
	for _, c := range []struct {
		name    string
		headers map[string]string
		meta    string
		code    guard.Code
		cause   string
	}{
		{"X-Capiscio-Badge", good(nil), "", "", ""},
		{"Authorization", good(func(h map[string]string) {
			h["Authorization"] = "Bearer " + h["X-Capiscio-Badge"]
			delete(h, "X-Capiscio-Badge")
		}), "", "", ""},
		{"header and _meta agree", good(nil), meta(mcpwire.MetaBadge, alice.Badge), "", ""},
		{"header and _meta differ", good(nil), meta(mcpwire.MetaBadge, mallory.Badge), guard.CodeRequestMalformed, "BADGE_MALFORMED"},
		{"badge and Authorization", good(func(h map[string]string) { h["Authorization"] = "Bearer " + alice.Badge }), "", guard.CodeRequestMalformed, "BADGE_MALFORMED"},
		{"_meta not a string", good(nil), `"` + mcpwire.MetaBadge + `":{}`, guard.CodeRequestMalformed, "BADGE_MALFORMED"},
		{"proof header and _meta differ", good(nil), meta(mcpwire.MetaHop, "a.b.c"), guard.CodeRequestMalformed, "CALL_PROOF_MALFORMED"},
		{"transaction header and _meta differ", good(nil), meta(mcpwire.MetaTxn, "t"), guard.CodeRequestMalformed, "TXN_MALFORMED"},
		{"any string", map[string]string{"Authorization": "Bearer sk-live-0123456789"}, "", guard.CodeRequestMalformed, "BADGE_MALFORMED"},
		{"API key header", map[string]string{"X-Api-Key": "0123456789"}, "", guard.CodeAuthMissing, ""},
		{"other scheme", map[string]string{"Authorization": "Basic YTpi"}, "", guard.CodeAuthMissing, ""},
		{"stolen badge", map[string]string{"X-Capiscio-Badge": alice.Badge}, "", guard.Code(pop.CodeMissing), ""},
		{"mallory's proof, alice's badge", good(func(h map[string]string) {
			m := proven(mallory, "c_level2", `{"text":"x"}`)
			h["X-Capiscio-Hop"], h["X-Capiscio-Txn"] = m["X-Capiscio-Hop"], m["X-Capiscio-Txn"]
		}), "", guard.Code(pop.CodeBadgeMismatch), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, body := callTool(t, url, "c_level2", c.meta, c.headers)
			d := last(t, w.Recorder.Decisions())
			if d.Transport != "http" || d.RequestID != "7" {
				t.Errorf("recorded %+v", d)
			}
			if c.code == "" {
				if !strings.Contains(body, `"c_level2 x"`) || d.Caller.DID != alice.DID {
					t.Errorf("got %s", body)
				}
				return
			}
			if !strings.Contains(body, `"reason_code":"`+string(c.code)+`"`) || d.DenyReason != string(c.code) || (c.cause != "" && d.DenyCause != c.cause) {
				t.Errorf("got %s, recorded %+v", body, d)
			}
			for _, secret := range []string{alice.Badge, mallory.Badge, "sk-live"} {
				if strings.Contains(body, secret) {
					t.Error("the answer repeats a credential")
				}
			}
		})
	}
}

func TestRepeatedHeader(t *testing.T) {
	w := guardtest.New(t)
	s := newServer(nil)
	a := mcpguard.Protect(s, w.Guard())
	h := a.Handler(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, stateless))
	body, headers := modern("tools/call", "c_level2", `"name":"c_level2","arguments":{"text":"x"}`)
	req := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	for k, v := range headers {
		req.Header.Set(k, v)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	alice := w.Agent(badge.LevelDomain)
	for k, v := range proven(alice, "c_level2", `{"text":"x"}`) {
		req.Header.Set(k, v)
	}
	req.Header.Add("X-Capiscio-Badge", alice.Badge)
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	if !strings.Contains(rec.Body.String(), string(guard.CodeRequestMalformed)) {
		t.Errorf("got %s", rec.Body)
	}
}

func TestAllowAuthorizationBeside(t *testing.T) {
	w := guardtest.New(t)
	s := newServer(nil)
	a := mcpguard.New(w.Guard(), &mcpguard.Options{AllowAuthorizationBeside: true})
	a.Protect(s)
	url := serve(t, s, a, stateless)
	h := proven(w.Agent(badge.LevelDomain), "c_level2", `{"text":"x"}`)
	h["Authorization"] = "Bearer opaque-access-token"
	if _, body := callTool(t, url, "c_level2", "", h); !strings.Contains(body, `"c_level2 x"`) {
		t.Errorf("got %s", body)
	}
}

// TestFrozenIdentity: in a session the SDK's context belongs to whoever opened it, for every later request.
func TestFrozenIdentity(t *testing.T) {
	w := guardtest.New(t)
	alice, mallory := w.Agent(badge.LevelOrganization), w.NewAgent("did:web:agents.example:mallory", badge.LevelDomain)
	s := newServer(nil)
	a := mcpguard.Protect(s, w.Guard())
	inner := a.Handler(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, &mcp.StreamableHTTPOptions{JSONResponse: true}))
	server := httptest.NewServer(inner)
	defer server.Close()

	session := open(t, server.URL, map[string]string{"X-Capiscio-Badge": alice.Badge})
	use := func(headers map[string]string) (string, *evidence.Decision) {
		headers["Mcp-Session-Id"], headers["Mcp-Protocol-Version"] = session, withSessions
		_, body := post(t, server.URL, `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"g_level3","arguments":{"text":"x"}}}`, headers)
		return body, last(t, w.Recorder.Decisions())
	}
	if body, d := use(proven(alice, "g_level3", `{"text":"x"}`)); !strings.Contains(body, "g_level3 x") || d.Caller.DID != alice.DID {
		t.Errorf("alice got %s, recorded %+v", body, d)
	}
	if body, d := use(proven(mallory, "g_level3", `{"text":"x"}`)); !strings.Contains(body, `unknown tool`) || d.Caller.DID != mallory.DID || d.Kind != evidence.Deny {
		t.Errorf("mallory on alice's session got %s, recorded %+v", body, d)
	}
	if body, d := use(map[string]string{}); !strings.Contains(body, "TOOL_AUTH_MISSING") || d.Caller.Auth != evidence.AuthAnonymous {
		t.Errorf("nobody on alice's session got %s, recorded %+v", body, d)
	}
}

// open opens a session and returns its id.
func open(t *testing.T, url string, headers map[string]string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(
		`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}`))
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
	resp.Body.Close()
	return resp.Header.Get("Mcp-Session-Id")
}

// TestKnownFault12ClientClaims: in published code a header of the client chooses the capability class. Here a
// client can claim what it likes: policy, mode, actor, level, approval, class.
func TestKnownFault12ClientClaims(t *testing.T) {
	w := guardtest.New(t)
	s := newServer(nil)
	var seen []*guard.Input
	g := w.Guard(func(c *guard.Config) {
		c.Policy = policyFunc(func(in *guard.Input) (guard.Decision, error) {
			seen = append(seen, in)
			return guard.Decision{NoRule: true}, nil
		})
	})
	a := mcpguard.Protect(s, g)
	url := serve(t, s, a, stateless)
	claims := map[string]string{
		"mode": "observe", "enforcementMode": "observe", "policy": "allow", "actor": "human", "approved": "true",
		"dev.touchmark/policy": "allow", "dev.touchmark/mode": "shadow", "dev.touchmark/approval": "granted",
		"dev.touchmark/minTrustLevel": "0", "dev.touchmark/evidence": "x", "capiscio_level": "4",
		"capiscio_capability_class": "read", "io.modelcontextprotocol/clientInfo": "",
	}
	var meta []string
	for k, v := range claims {
		value, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if k == "io.modelcontextprotocol/clientInfo" {
			value = []byte(`{"name":"admin","version":"4"}`)
		}
		meta = append(meta, fmt.Sprintf("%q:%s", k, value))
	}
	headers := map[string]string{
		"X-Capiscio-Capability-Class": "read", "X-Capiscio-Enforcement-Mode": "EM-OBSERVE", "X-Capiscio-Trust-Level": "4",
		"X-Forwarded-User": "admin", "X-Capiscio-Agent-Did": "did:web:admin.example", "Touchmark-Ticket": "forged",
	}
	for k, v := range proven(w.Agent(badge.LevelSelfSigned), "c_level2", `{"text":"x"}`) {
		headers[k] = v
	}
	_, body := callTool(t, url, "c_level2", strings.Join(meta, ","), headers)
	d := last(t, w.Recorder.Decisions())
	if !strings.Contains(body, "unknown tool") || d.Kind != evidence.Deny || d.Shadow || d.Caller.Level != "0" || d.Caller.DID != w.Agent(badge.LevelSelfSigned).DID {
		t.Errorf("got %s, recorded %+v", body, d)
	}
	if in := last(t, seen); in.Require != badge.LevelDomain || in.Capability != (guard.Capability{Kind: guard.KindTool, Name: "c_level2"}) {
		t.Errorf("the policy saw %+v", in)
	}
}

// TestChannelIdentity: an access token that the SDK verified is for the policy to see, and no badge.
func TestChannelIdentity(t *testing.T) {
	w := guardtest.New(t)
	s := newServer(nil)
	var channel guard.ChannelIdentity
	g := w.Guard(func(c *guard.Config) {
		c.Policy = policyFunc(func(in *guard.Input) (guard.Decision, error) {
			channel = in.Caller.Channel()
			return guard.Decision{NoRule: true}, nil
		})
	})
	a := mcpguard.Protect(s, g)
	inner := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, stateless)
	verify := func(_ context.Context, _ string, _ *http.Request) (*auth.TokenInfo, error) {
		return &auth.TokenInfo{UserID: "user-x", Expiration: far}, nil
	}
	server := httptest.NewServer(a.Handler(auth.RequireBearerToken(verify, nil)(inner)))
	defer server.Close()
	_, body := callTool(t, server.URL, "a_level0", "", map[string]string{"Authorization": "Bearer a.b.c"})
	if !strings.Contains(body, string(guard.CodeBadgeInvalid)) {
		t.Errorf("a token that is no badge: %s", body)
	}
	relaxed := mcpguard.New(g, &mcpguard.Options{AllowAuthorizationBeside: true})
	s2 := newServer(nil)
	relaxed.Protect(s2)
	inner2 := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s2 }, stateless)
	server2 := httptest.NewServer(relaxed.Handler(auth.RequireBearerToken(verify, nil)(inner2)))
	defer server2.Close()
	h := proven(w.Agent(badge.LevelSelfSigned), "a_level0", `{"text":"x"}`)
	h["Authorization"] = "Bearer opaque"
	if _, body := callTool(t, server2.URL, "a_level0", "", h); !strings.Contains(body, "a_level0 x") {
		t.Errorf("got %s", body)
	}
	if channel == nil || channel.Scheme() != "oauth" || channel.Subject() != "user-x" {
		t.Errorf("channel %v", channel)
	}
}

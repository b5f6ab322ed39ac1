package authzen_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/policy"
	"github.com/touchmark-dev/touchmark/guard/policy/authzen"
)

// notes keeps what a service was asked, and answers yes.
type notes struct {
	mu     sync.Mutex
	path   string
	token  string
	body   map[string]any
	answer string
}

func (n *notes) serve(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.path, n.token, n.body = r.URL.Path, r.Header.Get("Authorization"), nil
	if json.NewDecoder(r.Body).Decode(&n.body) != nil || r.Method != http.MethodPost {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	text := n.answer
	if text == "" {
		text = yes
	}
	if in, ok := n.body["input"].(map[string]any); ok {
		text = strings.ReplaceAll(text, "ID", in["request_id"].(string)) //nolint:errcheck // a test's own
	}
	reply(w, r, text)
}

func (n *notes) asked(t *testing.T) map[string]any {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	context, _ := n.body["context"].(map[string]any)
	if _, err := time.Parse("2006-01-02T15:04:05.000Z", context["time"].(string)); err != nil { //nolint:errcheck // a test's own
		t.Error(err)
	}
	delete(context, "time")
	return n.body
}

func same(t *testing.T, what string, got any, want string) {
	t.Helper()
	var w any
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(w, got); diff != "" {
		t.Errorf("%s: %s", what, diff)
	}
}

func TestWhatIsSent(t *testing.T) {
	var n notes
	s := newService(t, n.serve)
	c := client(t, s.URL)
	in := input("write_file", `{"path": "/etc/passwd", "n": 1}`)
	in.Facts = guard.Facts{Server: "files", Environment: "production", Tenant: "t", Actor: guard.ActorAutomation}
	if d, err := c.Decide(t.Context(), in); err != nil || d.Kind != guard.Allow {
		t.Fatalf("%+v, %v", d, err)
	}
	// The hash is that of {"n":1,"path":"/etc/passwd"}.
	same(t, "an anonymous caller", n.asked(t), `{"subject":{"type":"anonymous","id":"anonymous"},"action":{"name":"tools/call"},
		"resource":{"type":"tool","id":"write_file"},"context":{"method":"tools/call","verb":"invoke","server":"files",
		"environment":"production","tenant":"t","actor":"automation","arguments_sha256":"hvTzjQzjzslA5th9ljAFD4_zN-uZSfnWxHmFnDne68s"}}`)
	if n.path != "/access/v1/evaluation" || n.token != "" {
		t.Errorf("%s, %q", n.path, n.token)
	}
	in.Facts = guard.Facts{Claims: json.RawMessage(`{"sub":"alice","iss":"https://as.example","client_id":"app","email":"a@b"}`)}
	in.Capability, in.Method, in.Arguments = guard.Capability{Kind: guard.KindResource, Name: "file:///a"}, "resources/read", nil
	if _, err := c.Decide(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	same(t, "a caller with a token", n.asked(t), `{"subject":{"type":"identity","id":"alice"},"action":{"name":"resources/read"},
		"resource":{"type":"resource","id":"file:///a"},
		"context":{"agent":"app","token_issuer":"https://as.example","method":"resources/read","verb":"invoke"}}`)
	all := client(t, s.URL, func(cfg *authzen.Config) {
		cfg.SendArguments, cfg.SendClaims, cfg.Server, cfg.Environment = true, true, "s", "e"
		cfg.Capabilities = capabilities(t)
	})
	in.Capability, in.Method, in.Arguments = guard.Capability{Kind: guard.KindTool, Name: "read_x"}, "tools/call", json.RawMessage(`{"a":1.50}`)
	if _, err := all.Decide(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	same(t, "with all that may be sent", n.asked(t), `{"subject":{"type":"identity","id":"alice"},"action":{"name":"tools/call"},
		"resource":{"type":"tool","id":"read_x","properties":{"labels":{"action":["read"]},"risk_tags":["low"]}},
		"context":{"agent":"app","token_issuer":"https://as.example","method":"tools/call","verb":"invoke","server":"s",
		"environment":"e","arguments":{"a":1.5},"claims":{"sub":"alice","iss":"https://as.example","client_id":"app","email":"a@b"}}}`)
}

func capabilities(t testing.TB) *policy.Capabilities {
	t.Helper()
	c, err := policy.ParseCapabilities([]byte("version: 1\ncapabilities: [{tool: read_*, labels: {action: read}, risk_tags: [low]}]"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWhatIsSentOfABadge(t *testing.T) {
	var n notes
	s := newService(t, n.serve)
	w := guardtest.New(t)
	g := w.Guard(func(cfg *guard.Config) { cfg.Policy = client(t, s.URL) })
	agent := w.Agent(badge.LevelDomain)
	allowed(t, g, agent.Call("read_file", ``))
	did := agent.DID.String()
	got := n.asked(t)
	issuer := got["context"].(map[string]any)["badge"].(map[string]any)["issuer"].(string) //nolint:errcheck // a test's own
	assurance := got["context"].(map[string]any)["badge"].(map[string]any)["assurance"]    //nolint:errcheck // a test's own
	as, _ := json.Marshal(assurance)
	same(t, "a badge", got, `{"subject":{"type":"agent","id":"`+did+`"},"action":{"name":"tools/call"},"resource":{"type":"tool","id":"read_file"},
		"context":{"agent":"`+did+`","badge":{"did":"`+did+`","level":2,"issuer":"`+issuer+`","assurance":`+string(as)+`},"method":"tools/call","verb":"invoke"}}`)
}

// A method that the binding has no mapping for is denied, and the service is not asked.
func TestUnmappedMethods(t *testing.T) {
	s := newService(t, func(http.ResponseWriter, *http.Request) { t.Error("the service was asked") })
	c := client(t, s.URL)
	for _, in := range []*guard.Input{
		{Method: "acme/report", Capability: guard.Capability{Kind: guard.KindMethod, Name: "acme/report"}},
		{Method: "server/discover", Capability: guard.Capability{Kind: guard.KindMethod, Name: "server/discover"}},
		{Method: "tasks/get", Capability: guard.Capability{Kind: guard.KindTool, Name: "a"}},
		{Method: "tools/call", Capability: guard.Capability{Kind: guard.KindPrompt, Name: "a"}},
		{Method: "Tools/Call", Capability: guard.Capability{Kind: guard.KindTool, Name: "a"}},
	} {
		in.Verb, in.Caller = guard.Invoke, &guard.Principal{}
		d, err := c.Decide(t.Context(), in)
		if err != nil || d.Kind != guard.Deny || d.NoRule || d.Rule != "authzen.unmapped" {
			t.Errorf("%s: %+v, %v", in.Method, d, err)
		}
	}
}

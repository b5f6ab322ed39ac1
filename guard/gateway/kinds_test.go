package gateway

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/policy"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
)

const kindRules = `
version: 1
rules:
  - {id: tools, match: {tool: "*"}, min_level: 1, decision: allow}
  - {id: prompts, match: {prompt: "review_*"}, min_level: 2, decision: allow}
  - {id: docs, match: {resource: "docs://*"}, min_level: 1, decision: allow}
  - {id: templates, match: {resource_template: "docs://*"}, min_level: 1, decision: allow}
  - {id: public, match: {resource: "docs://public"}, decision: allow, anonymous: true}
  - {id: ask, match: {prompt: deploy}, min_level: 1, decision: require_approval}
`

// answerKinds is an upstream that has something of every kind.
func answerKinds(m *message) *message {
	switch m.Method {
	case "prompts/list":
		return ok(`{"prompts":[{"name":"review_code"},{"name":"secret"},{"name":"deploy"},{"name":"review_all","_meta":{"dev.touchmark/minTrustLevel":"3"}}],"cacheScope":"public"}`)
	case "resources/list":
		if strings.Contains(string(m.Params), "more") {
			return ok(`{"resources":[{"uri":"docs://a","name":"again"},{"uri":"file:///etc/passwd","name":"p"},
				{"uri":"docs://top/listed","name":"l"},{"uri":"docs://high","name":"h"},{"uri":"docs://high","_meta":{"dev.touchmark/minTrustLevel":3}}]}`)
		}
		return ok(`{"resources":[{"uri":"docs://a","name":"a"},{"uri":"docs://public","name":"b"}],"nextCursor":"more","ttlMs":9,"cacheScope":"public"}`)
	case "resources/templates/list":
		return ok(`{"resourceTemplates":[{"uriTemplate":"docs://{x}","name":"x"},{"uriTemplate":"file:///{p}","name":"p"},
			{"uriTemplate":"docs://top/{x}","_meta":{"dev.touchmark/minTrustLevel":4}}]}`)
	case "prompts/get":
		return ok(`{"messages":[]}`)
	case "resources/read":
		return ok(`{"contents":[],"ttlMs":5,"cacheScope":"public"}`)
	case "completion/complete":
		return ok(`{"completion":{"values":["one"]}}`)
	}
	return answerAll(m)
}

func newKindRig(t *testing.T, cfg *Config) *rig {
	t.Helper()
	p, err := policy.Parse([]byte(kindRules))
	if err != nil {
		t.Fatal(err)
	}
	r := newRigWith(t, cfg, nil, func(c *guard.Config) { c.Policy = p })
	r.server.answer = answerKinds
	return r
}

// as adds the badge of an agent, and its proof of a call, to parameters.
func as(a *guardtest.Agent, call pop.Call, params string) string {
	if a == nil {
		return params
	}
	proof, txn := a.Prove(&call)
	meta := fmt.Sprintf(`"_meta":{%q:%q,%q:%q,%q:%q}`, mcpwire.MetaBadge, a.Badge, mcpwire.MetaHop, proof, mcpwire.MetaTxn, txn)
	if params == "{}" {
		return "{" + meta + "}"
	}
	return strings.TrimSuffix(params, "}") + "," + meta + "}"
}

func TestListsOfEveryKind(t *testing.T) {
	r := newKindRig(t, &Config{})
	registered, domain := r.w.Agent(badge.LevelRegistered), r.w.Agent(badge.LevelDomain)
	for _, tt := range []struct {
		a              *guardtest.Agent
		method, member string
		want           []string
		withheld       uint64
	}{
		{nil, "prompts/list", "name", nil, 4},
		{nil, "resources/list", "uri", []string{"docs://public"}, 6},
		{nil, "resources/templates/list", "uriTemplate", nil, 3},
		{registered, "prompts/list", "name", []string{"deploy"}, 3},
		{domain, "prompts/list", "name", []string{"review_code", "deploy"}, 2},
		{domain, "resources/list", "uri", []string{"docs://a", "docs://public", "docs://a", "docs://top/listed"}, 3},
		{domain, "resources/templates/list", "uriTemplate", []string{"docs://{x}"}, 2},
	} {
		m := r.ask(tt.method, as(tt.a, pop.Call{Method: tt.method}, `{}`))
		var res map[string]json.RawMessage
		if err := json.Unmarshal(m.Result, &res); err != nil {
			t.Fatalf("%s: %s", tt.method, m.Error)
		}
		var entries []map[string]any
		for _, k := range listKinds {
			if k.method == tt.method {
				_ = json.Unmarshal(res[k.member], &entries)
			}
		}
		var got []string
		for _, e := range entries {
			got = append(got, fmt.Sprint(e[tt.member]))
		}
		if !slices.Equal(got, tt.want) || res["nextCursor"] != nil || res["cacheScope"] != nil && string(res["cacheScope"]) != `"private"` {
			t.Errorf("%s: %s, want %q", tt.method, m.Result, tt.want)
		}
		if d := lastDecision(r); d.Method != tt.method || d.Withheld == nil || *d.Withheld != tt.withheld {
			t.Errorf("%s: recorded %+v", tt.method, d)
		}
	}
	if m := r.ask("resources/list", `{"cursor":"more"}`); reason(m) != string(guard.CodeRequestRejected) {
		t.Errorf("a cursor of the upstream: %s %s", m.Result, m.Error)
	}
	r.end()
}

func TestUsesOfEveryKind(t *testing.T) {
	const completion = `{"argument":{"name":"x","value":"o"}}`
	r := newKindRig(t, &Config{})
	a := r.w.Agent(badge.LevelDomain)
	get := func(name string) pop.Call { return pop.Call{Method: "prompts/get", Target: name} }
	read := func(uri string) pop.Call { return pop.Call{Method: "resources/read", Target: uri} }
	complete := func(target string) pop.Call {
		return pop.Call{Method: "completion/complete", Target: target, Arguments: json.RawMessage(completion)}
	}
	for _, tt := range []struct {
		name   string
		a      *guardtest.Agent
		call   pop.Call
		params string
		want   string // a part of the answer
		deny   guard.Code
	}{
		{"prompt", a, get("review_code"), `{"name":"review_code"}`, `"messages"`, ""},
		{"hidden prompt", a, get("secret"), `{"name":"secret"}`, `{"code":-32602,"message":"unknown prompt \"secret\""}`, guard.CodePolicyDenied},
		{"unknown prompt", a, get("review_x"), `{"name":"review_x"}`, `{"code":-32602,"message":"unknown prompt \"review_x\""}`, guard.CodeNotFound},
		{"prompt of an approval", a, get("deploy"), `{"name":"deploy"}`, "APPROVAL_REQUIRED", guard.CodeApprovalRequired},
		{"anonymous prompt", nil, get("review_code"), `{"name":"review_code"}`, "TOOL_AUTH_MISSING", guard.CodeAuthMissing},
		{"proof of another prompt", a, get("review_x"), `{"name":"review_code"}`, "CALL_PROOF_PARAMS_MISMATCH", "CALL_PROOF_PARAMS_MISMATCH"},
		{"resource", a, read("docs://a"), `{"uri":"docs://a"}`, `"cacheScope":"private"`, ""},
		{"resource of a template", a, read("docs://zzz"), `{"uri":"docs://zzz"}`, `"contents"`, ""},
		{"prompt above its annotation", a, get("review_all"), `{"name":"review_all"}`, "unknown prompt", guard.CodeTrustInsufficient},
		{"resource above one of its annotations", a, read("docs://high"), `{"uri":"docs://high"}`, "Resource not found", guard.CodeTrustInsufficient},
		{"resource above a template's annotation", a, read("docs://top/x"), `{"uri":"docs://top/x"}`, "Resource not found", guard.CodeTrustInsufficient},
		{"listed, and not above its own", a, read("docs://top/listed"), `{"uri":"docs://top/listed"}`, `"contents"`, ""},
		{"completion above its annotation", a, complete("docs://top/{x}"), `{"ref":{"type":"ref/resource","uri":"docs://top/{x}"},` + completion[1:], "TOOL_NOT_FOUND", guard.CodeTrustInsufficient},
		{"open resource", nil, read(""), `{"uri":"docs://public"}`, `"contents"`, ""},
		{"hidden resource", a, read("file:///etc/passwd"), `{"uri":"file:///etc/passwd"}`, `"message":"Resource not found","data":{"uri":"file:///etc/passwd"}`, guard.CodePolicyDenied},
		{"completion of a prompt", a, complete("review_code"), `{"ref":{"type":"ref/prompt","name":"review_code"},` + completion[1:], `"values":["one"]`, ""},
		{"completion of a template", a, complete("docs://{x}"), `{"ref":{"type":"ref/resource","uri":"docs://{x}"},` + completion[1:], `"values":["one"]`, ""},
		{"hidden completion", a, complete("file:///{p}"), `{"ref":{"type":"ref/resource","uri":"file:///{p}"},` + completion[1:], "TOOL_NOT_FOUND", guard.CodePolicyDenied},
		{"completion of two", a, complete("docs://{x}"), `{"ref":{"type":"ref/resource","uri":"docs://{x}","name":"secret"},` + completion[1:], "REQUEST_REJECTED", guard.CodeRequestRejected},
		{"completion of something else", a, complete("docs://{x}"), `{"ref":{"type":"ref/tool","name":"x"},` + completion[1:], "REQUEST_REJECTED", guard.CodeRequestRejected},
		{"unknown member", a, read("docs://a"), `{"uri":"docs://a","URI":"file:///etc/passwd"}`, "REQUEST_REJECTED", guard.CodeRequestRejected},
		{"no name", a, get(""), `{"name":""}`, "REQUEST_REJECTED", guard.CodeRequestRejected},
	} {
		m := r.ask(tt.call.Method, as(tt.a, tt.call, tt.params))
		if text := string(m.Result) + string(m.Error); !strings.Contains(text, tt.want) || (len(m.Error) > 0) != (tt.deny != "") {
			t.Errorf("%s: %s, want %s", tt.name, text, tt.want)
		}
		if d := lastDecision(r); d.DenyReason != string(tt.deny) || d.Method != tt.call.Method {
			t.Errorf("%s: recorded %+v", tt.name, d)
		}
		if tt.deny == "" && !strings.Contains(string(m.Result), mcpwire.MetaEvidence) {
			t.Errorf("%s: no evidence in %s", tt.name, m.Result)
		}
	}
	r.end()
	for m := range drained(r.server.seen) {
		for _, hidden := range []string{"secret", "passwd", "file:", "deploy", "capiscio_", "review_all", "docs://high", "top/x", "top/{x}"} {
			if strings.Contains(string(m.Params), hidden) {
				t.Errorf("the upstream saw %s %s", m.Method, m.Params)
			}
		}
	}
}

// What is pinned are the tools of an upstream: while they are not the approved ones,
// nothing of the upstream is shown or used.
func TestPinnedUpstreamOfEveryKind(t *testing.T) {
	store := knownServers(t)
	for _, tools := range []string{`{"tools":[` + plainTool + `]}`, `{"tools":[` + strings.Replace(plainTool, "hello", "evil", 1) + `]}`} {
		r := newKindRig(t, &Config{Tools: checker(t, store)})
		r.server.answer = func(m *message) *message {
			if m.Method == "tools/list" {
				return ok(tools)
			}
			return answerKinds(m)
		}
		for method, params := range map[string]string{"resources/list": `{}`, "resources/read": `{"uri":"docs://public"}`} {
			m := r.ask(method, params)
			if changed := strings.Contains(tools, "evil"); changed != strings.Contains(string(m.Error), "SERVER_TOOLS_CHANGED") || changed == (len(m.Result) > 0) {
				t.Errorf("%s of %s: %s %s", method, tools, m.Result, m.Error)
			}
		}
		r.end()
	}
}

// An upstream without lists of a kind has none; that a list changed is told, and it
// is read again.
func TestOtherListsChange(t *testing.T) {
	r := newKindRig(t, &Config{})
	known, asked := false, 0
	r.server.answer = func(m *message) *message {
		switch {
		case m.Method != "resources/list":
			return answerKinds(m)
		case !known:
			asked++
			return &message{Error: json.RawMessage(`{"code":-32601,"message":"Method not found"}`)}
		}
		return ok(`{"resources":[{"uri":"docs://public"}]}`)
	}
	for range 2 {
		if m := r.ask("resources/list", `{}`); !strings.Contains(string(m.Result), `"resources":[]`) {
			t.Errorf("answered %s %s", m.Result, m.Error)
		}
	}
	known = true
	if err := r.server.in.write(&message{Method: "notifications/resources/list_changed"}); err != nil {
		t.Fatal(err)
	}
	if m, err := r.client.read(); err != nil || m.Method != "notifications/resources/list_changed" {
		t.Errorf("%+v, %v", m, err)
	}
	if m := r.ask("resources/list", `{}`); !strings.Contains(string(m.Result), `docs://public`) {
		t.Errorf("answered %s %s", m.Result, m.Error)
	}
	r.end()
	if asked != 1 {
		t.Errorf("asked %d times for a list that there is not", asked)
	}
}

package mcpguard_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/mcpguard"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
)

// openTo is a policy that opens everything to everybody except names that contain "secret".
var openTo = policyFunc(func(in *guard.Input) (guard.Decision, error) {
	if strings.Contains(in.Capability.Name, "secret") {
		return guard.Decision{}, nil
	}
	return guard.Decision{Kind: guard.Allow, Rule: "open", Anonymous: true}, nil
})

type customParams struct {
	mcp.ParamsBase
	X    int    `json:"x"`
	Name string `json:"name,omitempty"` // not what the method asks for
}

type customResult struct {
	mcp.ResultBase
	Y int `json:"y"`
}

// newFullServer is a server with subscriptions, completion and a method of its own.
func newFullServer(t *testing.T) *mcp.Server {
	t.Helper()
	s := newServer(&mcp.ServerOptions{
		SubscribeHandler:   func(context.Context, *mcp.SubscribeRequest) error { return nil },
		UnsubscribeHandler: func(context.Context, *mcp.UnsubscribeRequest) error { return nil },
		CompletionHandler: func(context.Context, *mcp.CompleteRequest) (*mcp.CompleteResult, error) {
			return &mcp.CompleteResult{Completion: mcp.CompletionResultDetails{Values: []string{"v"}}}, nil
		},
	})
	err := mcp.AddReceivingCustomMethod(s, "example/own", func(_ context.Context, _ *mcp.ServerSession, p *customParams) (*customResult, error) {
		if p == nil {
			return &customResult{}, nil
		}
		return &customResult{Y: p.X}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// use sends one request of every kind, about names that contain what.
func use(t *testing.T, session *mcp.ClientSession, version, what string) map[string]error {
	t.Helper()
	errs := map[string]error{}
	ctx := t.Context()
	_, errs["tools/call"] = session.CallTool(ctx, &mcp.CallToolParams{Name: "b_" + what + "_wire_transfer", Arguments: map[string]any{"text": "x"}})
	_, errs["prompts/get"] = session.GetPrompt(ctx, &mcp.GetPromptParams{Name: what})
	_, errs["resources/read"] = session.ReadResource(ctx, &mcp.ReadResourceParams{URI: "file:///t/" + what})
	_, errs["completion/complete prompt"] = session.Complete(ctx, &mcp.CompleteParams{
		Ref: &mcp.CompleteReference{Type: "ref/prompt", Name: what}, Argument: mcp.CompleteParamsArgument{Name: "a"},
	})
	_, errs["completion/complete resource"] = session.Complete(ctx, &mcp.CompleteParams{
		Ref: &mcp.CompleteReference{Type: "ref/resource", URI: "file:///" + what}, Argument: mcp.CompleteParamsArgument{Name: "a"},
	})
	if version == withSessions {
		errs["resources/subscribe"] = session.Subscribe(ctx, &mcp.SubscribeParams{URI: "file:///" + what})
		errs["resources/unsubscribe"] = session.Unsubscribe(ctx, &mcp.UnsubscribeParams{URI: "file:///" + what})
	}
	return errs
}

// TestEveryMethod: each method asks for what it names, and nothing but a rule opens it.
func TestEveryMethod(t *testing.T) {
	for _, r := range rigs {
		t.Run(r.name+" "+r.version, func(t *testing.T) {
			w := guardtest.New(t)
			s := newFullServer(t)
			s.AddPrompt(&mcp.Prompt{Name: "plain"}, func(context.Context, *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
				return &mcp.GetPromptResult{Messages: []*mcp.PromptMessage{}}, nil
			})
			a := mcpguard.Protect(s, w.Guard(func(c *guard.Config) { c.Policy = openTo }))
			session := r.connect(t, s, a, newClient(anonymous), r.version)
			for name, err := range use(t, session, r.version, "secret") {
				d := denialOf(t, err)
				if d.ReasonCode != string(guard.CodeAuthMissing) {
					t.Errorf("%s: %+v", name, d)
				}
			}
			for name, err := range use(t, session, r.version, "plain") {
				if name == "tools/call" {
					continue // there is no such tool
				}
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			kinds := map[string]bool{}
			for _, d := range w.Recorder.Decisions() {
				kinds[d.Method+" "+d.Capability+" "+d.Target] = true
			}
			for _, want := range []string{
				"tools/call tool b_secret_wire_transfer", "prompts/get prompt secret", "resources/read resource file:///t/secret",
				"completion/complete prompt secret", "completion/complete resource_template file:///secret",
			} {
				if !kinds[want] {
					t.Errorf("no record of %q among %v", want, kinds)
				}
			}
			checkClosed(t, w)
		})
	}
}

// TestOtherMethod: a method that is none of the standard ones is denied but for a rule that names it.
func TestOtherMethod(t *testing.T) {
	for _, r := range rigs {
		t.Run(r.name+" "+r.version, func(t *testing.T) {
			w := guardtest.New(t)
			send := func(g *guard.Guard) (*customResult, error) {
				s := newFullServer(t)
				a := mcpguard.Protect(s, g)
				c := newClient(anonymous)
				if err := mcp.AddSendingCustomMethod[*customParams, *customResult](c, "example/own"); err != nil {
					t.Fatal(err)
				}
				session := r.connect(t, s, a, c, r.version)
				return mcp.CallCustomMethod[*customParams, *customResult](t.Context(), session, "example/own", &customParams{X: 3, Name: "n"})
			}
			if _, err := send(w.Guard()); codeOf(t, err) != guard.CodeAuthMissing {
				t.Errorf("got %v", err)
			}
			res, err := send(w.Guard(func(c *guard.Config) { c.Policy = openTo }))
			if err != nil || res.Y != 3 || res.Meta[mcpwire.MetaEvidence] == nil {
				t.Errorf("got %+v, %v", res, err)
			}
			draft := w.Recorder.Drafts()[len(w.Recorder.Drafts())-2]
			if draft.Decision == nil || string(draft.Arguments) != `{"name":"n","x":3}` {
				t.Errorf("recorded %+v with arguments %s", draft.Decision, draft.Arguments)
			}
			for _, d := range w.Recorder.Decisions() {
				if d.DenyReason == string(guard.CodeRequestRejected) {
					t.Errorf("recorded as rejected: %+v", d)
				}
			}
		})
	}
}

// TestListen: every resource of a subscription is asked for.
func TestListen(t *testing.T) {
	for _, c := range []struct {
		name string
		n    string
		ok   bool
	}{
		{"lists", `{"toolsListChanged":true}`, true},
		{"resources", `{"resourceSubscriptions":["file:///a","file:///b"]}`, true},
		{"first hidden", `{"resourceSubscriptions":["file:///secret","file:///b"]}`, false},
		{"last hidden", `{"toolsListChanged":true,"resourceSubscriptions":["file:///a","file:///secret"]}`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := guardtest.New(t)
			s := newFullServer(t)
			mcpguard.Protect(s, w.Guard(func(c *guard.Config) { c.Policy = openTo }))
			msg := listen(t, s, strings.Trim(c.n, "{}"), "")
			resp, refused := msg.(*jsonrpc.Response)
			if refused == c.ok {
				t.Errorf("got %+v", msg)
			}
			if refused && codeOf(t, resp.Error) != guard.CodeAuthMissing {
				t.Errorf("got %v", resp.Error)
			}
			if c.name == "lists" {
				if n := len(w.Recorder.Drafts()); n != 0 {
					t.Errorf("%d records of a subscription to no resource", n)
				}
			} else if d := last(t, w.Recorder.Decisions()); (d.Kind == evidence.Allow) != c.ok {
				t.Errorf("recorded %+v", d)
			}
		})
	}
}

// TestListsWithProof: where the policy asks for it, a list needs a call proof too.
func TestListsWithProof(t *testing.T) {
	w := guardtest.New(t)
	s := newServer(nil)
	a := mcpguard.Protect(s, w.Guard(func(c *guard.Config) { c.Policy = proving{openTo} }))
	agent := w.Agent(badge.LevelDomain)
	session := overMemory(t, s, a, newClient(as(agent)), withSessions)
	if _, err := session.ListTools(t.Context(), &mcp.ListToolsParams{}); codeOf(t, err) != guard.Code(pop.CodeMissing) {
		t.Errorf("got %v", err)
	}
	proof, txn := agent.Prove(&pop.Call{Method: "tools/list"})
	meta := mcp.Meta{mcpwire.MetaHop: proof, mcpwire.MetaTxn: txn}
	if _, err := session.ListTools(t.Context(), &mcp.ListToolsParams{Meta: meta}); err != nil {
		t.Error(err)
	}
}

type proving struct{ guard.Policy }

func (proving) RequireDiscoveryProof() bool { return true }

// TestPromptArguments: a call proof covers the arguments of other methods too.
func TestPromptArguments(t *testing.T) {
	w := guardtest.New(t)
	s := newServer(nil)
	a := mcpguard.Protect(s, w.Guard(func(c *guard.Config) {
		c.Policy = policyFunc(func(*guard.Input) (guard.Decision, error) {
			return guard.Decision{Kind: guard.Allow, MinLevel: badge.LevelDomain}, nil
		})
	}))
	agent := w.Agent(badge.LevelDomain)
	session := overMemory(t, s, a, newClient(anonymous), withSessions)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	get := func(signed string) error {
		proof, txn := agent.Prove(&pop.Call{Method: "prompts/get", Target: "hello", Arguments: json.RawMessage(signed)})
		_, err := session.GetPrompt(ctx, &mcp.GetPromptParams{
			Name: "hello", Arguments: map[string]string{"b": "2", "a": "1"},
			Meta: mcp.Meta{mcpwire.MetaBadge: agent.Badge, mcpwire.MetaHop: proof, mcpwire.MetaTxn: txn},
		})
		return err
	}
	if err := get(`{"a":"1","b":"2"}`); err != nil {
		t.Error(err)
	}
	if err := get(`{"a":"1"}`); codeOf(t, err) != guard.Code(pop.CodeParamsMismatch) {
		t.Errorf("got %v", err)
	}
}

package mcpguard_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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

// newAnnotatedServer is a server whose prompts, resources and templates have levels, among many without.
func newAnnotatedServer(pageSize int) *mcp.Server {
	s := mcp.NewServer(&mcp.Implementation{Name: "test", Version: "1"}, &mcp.ServerOptions{
		PageSize:           pageSize,
		SubscribeHandler:   func(context.Context, *mcp.SubscribeRequest) error { return nil },
		UnsubscribeHandler: func(context.Context, *mcp.UnsubscribeRequest) error { return nil },
		CompletionHandler: func(context.Context, *mcp.CompleteRequest) (*mcp.CompleteResult, error) {
			return &mcp.CompleteResult{Completion: mcp.CompletionResultDetails{Values: []string{"v"}}}, nil
		},
	})
	level := func(v any) mcp.Meta { return mcp.Meta{mcpwire.MetaMinTrustLevel: v} }
	read := func(_ context.Context, r *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
		return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: r.Params.URI, Text: "x"}}}, nil
	}
	for i := range 7 {
		name := fmt.Sprintf("bare%d", i)
		s.AddPrompt(&mcp.Prompt{Name: name}, getPrompt)
		s.AddResource(&mcp.Resource{Name: name, URI: "file:///" + name}, read)
	}
	s.AddPrompt(&mcp.Prompt{Name: "p2", Meta: level(2)}, getPrompt)
	s.AddPrompt(&mcp.Prompt{Name: "p_unreadable", Meta: level("high")}, getPrompt)
	s.AddResource(&mcp.Resource{Name: "r2", URI: "file:///r2", Meta: level("2")}, read)
	s.AddResource(&mcp.Resource{Name: "bare", URI: "file:///t2/listed"}, read) // that a template stands for, too
	s.AddResourceTemplate(&mcp.ResourceTemplate{Name: "t2", URITemplate: "file:///t2/{x}", Meta: level(2)}, read)
	s.AddResourceTemplate(&mcp.ResourceTemplate{Name: "t3", URITemplate: "file:///{y}/both", Meta: level(3)}, read)
	s.AddResourceTemplate(&mcp.ResourceTemplate{Name: "t0", URITemplate: "memo:///{x}", Meta: level(0)}, read)
	s.AddResourceTemplate(&mcp.ResourceTemplate{Name: "tbare", URITemplate: "memo:///{x}/{y}"}, read)
	s.AddResourceTemplate(&mcp.ResourceTemplate{Name: "t0both", URITemplate: "memo:///{+x}", Meta: level(0)}, read)
	return s
}

func getPrompt(context.Context, *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
	return &mcp.GetPromptResult{Messages: []*mcp.PromptMessage{}}, nil
}

// provingAs presents badge and call proof with every use of a prompt or a resource.
func provingAs(a *guardtest.Agent) credentials {
	return func(method string, p mcp.Params) {
		meta := p.GetMeta()
		if meta == nil {
			meta = map[string]any{}
		}
		meta[mcpwire.MetaBadge] = a.Badge
		prove := func(target, arguments string) {
			call := &pop.Call{Method: method, Target: target}
			if arguments != "" {
				call.Arguments = []byte(arguments)
			}
			meta[mcpwire.MetaHop], meta[mcpwire.MetaTxn] = a.Prove(call)
		}
		switch p := p.(type) {
		case *mcp.GetPromptParams:
			prove(p.Name, "")
		case *mcp.ReadResourceParams:
			prove(p.URI, "")
		case *mcp.SubscribeParams:
			prove(p.URI, "")
		case *mcp.CompleteParams:
			prove(p.Ref.Name+p.Ref.URI, `{"argument":{"name":"a","value":""}}`)
		}
		p.SetMeta(meta)
	}
}

// TestAnnotationsOfAll: prompts, resources and templates have levels as tools do, wherever they stand in the list; what
// has none is opened by nobody.
func TestAnnotationsOfAll(t *testing.T) {
	for _, r := range rigs {
		t.Run(r.name+" "+r.version, func(t *testing.T) {
			w := guardtest.New(t)
			s := newAnnotatedServer(3)
			a := mcpguard.Protect(s, w.Guard())
			for level, want := range map[badge.Level]map[string]bool{
				badge.LevelRegistered: {"memo:///a": true},
				badge.LevelDomain:     {"memo:///a": true, "p2": true, "file:///r2": true, "file:///t2/x": true, "complete p2": true, "complete t2": true},
				badge.LevelExtended: {"memo:///a": true, "p2": true, "file:///r2": true, "file:///t2/x": true, "file:///t2/both": true,
					"complete p2": true, "complete t2": true},
			} {
				session := r.connect(t, s, a, newClient(provingAs(w.Agent(level))), r.version)
				got := map[string]error{}
				for _, name := range []string{"p2", "p_unreadable", "bare3", "none"} {
					_, got[name] = session.GetPrompt(t.Context(), &mcp.GetPromptParams{Name: name})
				}
				for _, uri := range []string{
					"file:///r2", "file:///bare3", "file:///none", "file:///t2/x", "file:///t2/listed", "file:///t2/both", "memo:///a", "memo:///a/b",
				} {
					_, got[uri] = session.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: uri})
				}
				complete := func(name string, ref *mcp.CompleteReference) {
					_, got[name] = session.Complete(t.Context(), &mcp.CompleteParams{Ref: ref, Argument: mcp.CompleteParamsArgument{Name: "a"}})
				}
				complete("complete p2", &mcp.CompleteReference{Type: "ref/prompt", Name: "p2"})
				complete("complete bare", &mcp.CompleteReference{Type: "ref/prompt", Name: "bare3"})
				complete("complete t2", &mcp.CompleteReference{Type: "ref/resource", URI: "file:///t2/{x}"})
				complete("complete tbare", &mcp.CompleteReference{Type: "ref/resource", URI: "memo:///{x}/{y}"})
				for name, err := range got {
					if (err == nil) != want[name] {
						t.Errorf("level %v, %s: %v", level, name, err)
					}
				}
				checkAnnotatedLists(t, session, level)
			}
			checkClosed(t, w)
		})
	}
}

func checkAnnotatedLists(t *testing.T, session *mcp.ClientSession, level badge.Level) {
	t.Helper()
	prompts, err1 := session.ListPrompts(t.Context(), &mcp.ListPromptsParams{})
	resources, err2 := session.ListResources(t.Context(), &mcp.ListResourcesParams{})
	templates, err3 := session.ListResourceTemplates(t.Context(), &mcp.ListResourceTemplatesParams{})
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	want := [3]int{0, 0, 2}
	if level >= badge.LevelDomain {
		want = [3]int{1, 1, 3} // of the templates a page
	}
	if got := [3]int{len(prompts.Prompts), len(resources.Resources), len(templates.ResourceTemplates)}; got != want {
		t.Errorf("level %v: lists of %v, want %v", level, got, want)
	}
}

// TestSubscribeAnnotations: of a subscription to several resources each has its own level.
func TestSubscribeAnnotations(t *testing.T) {
	for _, c := range []struct {
		uris  string
		level badge.Level
		ok    bool
	}{
		{`"memo:///a","file:///r2"`, badge.LevelDomain, true},
		{`"memo:///a","file:///r2"`, badge.LevelRegistered, false},
		{`"file:///r2","file:///bare3"`, badge.LevelExtended, false},
	} {
		w := guardtest.New(t)
		s := newAnnotatedServer(3)
		mcpguard.Protect(s, w.Guard(func(c *guard.Config) { c.AllowBearerUnsafe = true }))
		msg := listen(t, s, `"resourceSubscriptions":[`+c.uris+`]`, `"dev.touchmark/badge":"`+w.Agent(c.level).Badge+`"`)
		if _, refused := msg.(*jsonrpc.Response); refused == c.ok {
			t.Errorf("%s, level %v: %+v", c.uris, c.level, msg)
		}
	}
}

// listen sends one subscriptions/listen and returns the first message that comes back: a response refuses.
func listen(t *testing.T, s *mcp.Server, notifications, meta string) jsonrpc.Message {
	t.Helper()
	conn, err := toMemory(t, s, nil).Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	id, err := jsonrpc.MakeID("l")
	if err != nil {
		t.Fatal(err)
	}
	if meta != "" {
		meta += ","
	}
	params := json.RawMessage(`{"notifications":{` + notifications + `},"_meta":{` + meta +
		`"io.modelcontextprotocol/protocolVersion":"` + withoutSessions + `","io.modelcontextprotocol/clientCapabilities":{}}}`)
	if err := conn.Write(t.Context(), &jsonrpc.Request{ID: id, Method: "subscriptions/listen", Params: params}); err != nil {
		t.Fatal(err)
	}
	msg, err := conn.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

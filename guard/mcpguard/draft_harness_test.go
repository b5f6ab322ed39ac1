package mcpguard_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/mcpguard"
)

// The tests of the public draft for server-side policy enforcement of MCP run in both generations of the protocol, in
// memory and over HTTP.
var draftRigs = []rig{
	{"memory", withSessions, toMemory},
	{"memory", withoutSessions, toMemory},
	{"stateful HTTP", withSessions, toHTTP(&mcp.StreamableHTTPOptions{JSONResponse: true})},
	{"stateless HTTP", withoutSessions, toHTTP(&mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true})},
}

// A probe is a server with one capability of each sort, that tells what ran.
type probe struct {
	*mcp.Server
	mu  sync.Mutex
	ran []string
}

func (p *probe) note(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ran = append(p.ran, what)
}

func (p *probe) all() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.ran)
}

const probeMethod = "example/probe"

func newProbe(t *testing.T) *probe {
	t.Helper()
	p := &probe{}
	p.Server = mcp.NewServer(&mcp.Implementation{Name: "probe", Version: "1"}, &mcp.ServerOptions{
		SubscribeHandler: func(context.Context, *mcp.SubscribeRequest) error { p.note("resources/subscribe"); return nil },
		UnsubscribeHandler: func(context.Context, *mcp.UnsubscribeRequest) error {
			p.note("resources/unsubscribe")
			return nil
		},
		CompletionHandler: func(context.Context, *mcp.CompleteRequest) (*mcp.CompleteResult, error) {
			p.note("completion/complete")
			return &mcp.CompleteResult{Completion: mcp.CompletionResultDetails{Values: []string{"v"}}}, nil
		},
	})
	mcp.AddTool(p.Server, &mcp.Tool{Name: "restart_service"}, func(context.Context, *mcp.CallToolRequest, echo) (*mcp.CallToolResult, any, error) {
		p.note("tools/call")
		return &mcp.CallToolResult{Content: []mcp.Content{}}, nil, nil
	})
	p.AddPrompt(&mcp.Prompt{Name: "runbook"}, func(context.Context, *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		p.note("prompts/get")
		return &mcp.GetPromptResult{Messages: []*mcp.PromptMessage{}}, nil
	})
	read := func(_ context.Context, r *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
		p.note("resources/read")
		return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: r.Params.URI, Text: "x"}}}, nil
	}
	p.AddResource(&mcp.Resource{Name: "config", URI: "file:///config"}, read)
	p.AddResourceTemplate(&mcp.ResourceTemplate{Name: "logs", URITemplate: "file:///logs/{day}"}, read)
	err := mcp.AddReceivingCustomMethod(p.Server, probeMethod, func(context.Context, *mcp.ServerSession, *customParams) (*customResult, error) {
		p.note(probeMethod)
		return &customResult{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A draftRun is a guarded probe with somebody who uses it.
type draftRun struct {
	*testing.T
	w       *guardtest.World
	p       *probe
	a       *mcpguard.Adapter
	rig     rig
	session *mcp.ClientSession
}

// onDraft runs fn with a probe guarded by a policy, on every rig of the draft.
func onDraft(t *testing.T, pol guard.Policy, present credentials, fn func(d *draftRun), edits ...func(*guard.Config)) {
	for _, r := range draftRigs {
		t.Run(r.name+" "+r.version, func(t *testing.T) {
			d := &draftRun{T: t, w: guardtest.New(t), p: newProbe(t), rig: r}
			d.a = mcpguard.Protect(d.p.Server, d.w.Guard(append([]func(*guard.Config){func(c *guard.Config) {
				c.Policy, c.AllowBearerUnsafe = pol, true
			}}, edits...)...))
			d.session = d.connect(present)
			fn(d)
			checkClosed(t, d.w)
		})
	}
}

func (d *draftRun) connect(present credentials) *mcp.ClientSession {
	d.Helper()
	c := newClient(present)
	if err := mcp.AddSendingCustomMethod[*customParams, *customResult](c, probeMethod); err != nil {
		d.Fatal(err)
	}
	return d.rig.connect(d.T, d.p.Server, d.a, c, d.rig.version)
}

// useAll uses one capability of each sort. Meta goes with each request.
func (d *draftRun) useAll(session *mcp.ClientSession, meta mcp.Meta) map[string]error {
	d.Helper()
	ctx, errs := d.Context(), map[string]error{}
	of := func() mcp.Meta { // the client changes it
		out := mcp.Meta{}
		for k, v := range meta {
			out[k] = v
		}
		return out
	}
	_, errs["tools/call"] = session.CallTool(ctx, &mcp.CallToolParams{Meta: of(), Name: "restart_service", Arguments: map[string]any{"text": "database"}})
	_, errs["prompts/get"] = session.GetPrompt(ctx, &mcp.GetPromptParams{Meta: of(), Name: "runbook"})
	_, errs["resources/read"] = session.ReadResource(ctx, &mcp.ReadResourceParams{Meta: of(), URI: "file:///logs/monday"})
	_, errs["completion/complete"] = session.Complete(ctx, &mcp.CompleteParams{
		Meta: of(), Ref: &mcp.CompleteReference{Type: "ref/prompt", Name: "runbook"}, Argument: mcp.CompleteParamsArgument{Name: "a"},
	})
	_, errs[probeMethod] = mcp.CallCustomMethod[*customParams, *customResult](ctx, session, probeMethod, &customParams{ParamsBase: mcp.ParamsBase{Meta: of()}})
	if d.rig.version == withSessions {
		errs["resources/subscribe"] = session.Subscribe(ctx, &mcp.SubscribeParams{Meta: of(), URI: "file:///config"})
		errs["resources/unsubscribe"] = session.Unsubscribe(ctx, &mcp.UnsubscribeParams{Meta: of(), URI: "file:///config"})
	}
	return errs
}

// lists returns how many entries the lists have together.
func (d *draftRun) lists(session *mcp.ClientSession) int {
	d.Helper()
	ctx := d.Context()
	tools, err1 := session.ListTools(ctx, &mcp.ListToolsParams{})
	prompts, err2 := session.ListPrompts(ctx, &mcp.ListPromptsParams{})
	resources, err3 := session.ListResources(ctx, &mcp.ListResourcesParams{})
	templates, err4 := session.ListResourceTemplates(ctx, &mcp.ListResourceTemplatesParams{})
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		d.Fatal(err)
	}
	return len(tools.Tools) + len(prompts.Prompts) + len(resources.Resources) + len(templates.ResourceTemplates)
}

// internals are words of the policies of these tests that no caller may read.
var internals = []string{"hunter2", "secret-rule", "backend.internal"}

// refusedAll uses everything and checks that nothing ran, that each was recorded as refused with the code, that each
// answer is an error of one of the codes, and that none tells what the policy is.
func (d *draftRun) refusedAll(meta mcp.Meta, recorded guard.Code) {
	d.Helper()
	before := len(d.w.Recorder.Decisions())
	errs := d.useAll(d.session, meta)
	for method, err := range errs {
		var wire *jsonrpc.Error
		if !errors.As(err, &wire) {
			d.Errorf("%s: %v", method, err)
			continue
		}
		if reserved := wire.Code >= -32768 && wire.Code <= -32000; reserved && !strings.Contains(wire.Message, "unknown") && !strings.Contains(wire.Message, "not found") {
			d.Errorf("%s is refused with the code %d, which is reserved: %v", method, wire.Code, err)
		}
		for _, word := range internals {
			if strings.Contains(wire.Message+string(wire.Data), word) {
				d.Errorf("%s: the answer tells %q: %s %s", method, word, wire.Message, wire.Data)
			}
		}
	}
	if ran := d.p.all(); len(ran) != 0 {
		d.Errorf("ran: %v", ran)
	}
	decisions := d.w.Recorder.Decisions()[before:]
	if len(decisions) != len(errs) {
		d.Errorf("%d records of %d attempts", len(decisions), len(errs))
	}
	for _, x := range decisions {
		want := string(recorded)
		if x.Method == probeMethod && x.Rule == "authzen.unmapped" { // which has no words for a method of one's own, and denies
			want = string(guard.CodeAuthMissing)
		}
		if x.Kind.Allows() || x.Shadow || x.DenyReason != want {
			d.Errorf("%s %s: recorded %v, %s, want %s", x.Method, x.Target, x.Kind, x.DenyReason, want)
		}
	}
}

package telemetry_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/mcpguard"
	"github.com/touchmark-dev/touchmark/guard/telemetry"
)

const (
	callersTrace  = "4bf92f3577b34da6a3ce929d0e0e4736"
	callersSpan   = "00f067aa0ba902b7"
	callersParent = "00-" + callersTrace + "-" + callersSpan + "-01"
)

// rules decide by the name of the tool.
type rules struct{}

func (rules) Decide(_ context.Context, in *guard.Input) (guard.Decision, error) {
	d := guard.Decision{Kind: guard.Allow, Rule: "open", Anonymous: true, Version: "sha256:rules"}
	switch in.Capability.Name {
	case "shut":
		d.Kind, d.Rule = guard.Deny, "shut"
	case "approve":
		d.Kind, d.Rule = guard.RequireApproval, "approve"
	case "prod":
		d.About = &guard.Description{RiskTags: []string{"prod"}, Labels: map[string]string{"mcp.action": "write"}}
	case "level2":
		d.Anonymous, d.MinLevel = false, badge.LevelDomain
	}
	return d, nil
}

func withRules(tel *telemetry.Telemetry) func(*guard.Config) {
	return func(c *guard.Config) { c.Policy, c.Observer = rules{}, tel }
}

// TestTraceFromMeta: a call of MCP with a trace context in _meta, in both generations, over the guard's adapter: the
// span belongs to the caller's trace or is linked to it, the record has the span, and the span has the record.
func TestTraceFromMeta(t *testing.T) {
	for _, continues := range []bool{false, true} {
		for _, version := range []string{"2025-11-25", "2026-07-28"} {
			t.Run(map[bool]string{false: "link", true: "continue"}[continues]+" "+version, func(t *testing.T) {
				c := newCollector(t)
				tel := newTelemetry(t, &telemetry.Config{OTLP: c.url, ContinueTraces: continues, LogAllowed: true})
				w := guardtest.New(t)
				s := mcp.NewServer(&mcp.Implementation{Name: "test", Version: "1"}, nil)
				mcp.AddTool(s, &mcp.Tool{Name: "hello"}, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
					return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "hello"}}}, nil, nil
				})
				mcpguard.Protect(s, w.Guard(withRules(tel)))
				call(t, s, version)
				checkCall(t, c, tel, w, continues)
			})
		}
	}
}

func call(t *testing.T, s *mcp.Server, version string) {
	t.Helper()
	near, far := mcp.NewInMemoryTransports()
	if _, err := s.Connect(t.Context(), far, nil); err != nil {
		t.Fatal(err)
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "client", Version: "1"}, nil)
	session, err := client.Connect(t.Context(), near, &mcp.ClientSessionOptions{ProtocolVersion: version})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	p := &mcp.CallToolParams{Name: "hello", Arguments: map[string]any{}}
	p.SetMeta(mcp.Meta{"traceparent": callersParent, "tracestate": "rojo=00f067aa0ba902b7"})
	if _, err := session.CallTool(t.Context(), p); err != nil {
		t.Fatal(err)
	}
}

func checkCall(t *testing.T, c *collector, tel *telemetry.Telemetry, w *guardtest.World, continues bool) {
	t.Helper()
	decisions := w.Recorder.Decisions()
	if len(decisions) != 1 {
		t.Fatalf("%d decisions", len(decisions))
	}
	spans, logs := c.flushed(tel)
	if len(spans) != 1 || len(logs) != 1 {
		t.Fatalf("%d spans, %d logs", len(spans), len(logs))
	}
	d, span := decisions[0], spans[0]
	if d.SpanID != idOf(span.SpanId) || d.TraceID != idOf(span.TraceId) || len(d.SpanID) != 16 {
		t.Errorf("the record has trace %q and span %q, exported were %x and %x", d.TraceID, d.SpanID, span.TraceId, span.SpanId)
	}
	if idOf(logs[0].SpanId) != d.SpanID || idOf(logs[0].TraceId) != d.TraceID {
		t.Errorf("the log belongs to trace %x, span %x", logs[0].TraceId, logs[0].SpanId)
	}
	got := attributesOf(span.Attributes)
	id := got["touchmark.evidence.id"]
	if id == "" || id != attributesOf(logs[0].Attributes)["touchmark.evidence.id"] {
		t.Errorf("the span has the record %q, the log %q", id, attributesOf(logs[0].Attributes)["touchmark.evidence.id"])
	}
	delete(got, "touchmark.evidence.id")
	want := map[string]string{
		"mcp.method.name": "tools/call", "gen_ai.tool.name": "hello", "gen_ai.operation.name": "execute_tool",
		"touchmark.capability": "tool", "touchmark.decision": "allow", "touchmark.rule": "open",
		"touchmark.policy.version": "sha256:rules", "touchmark.outcome": "ok",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
	if span.Name != "tools/call hello" || span.Kind.String() != "SPAN_KIND_SERVER" || span.Status.GetCode() != 0 {
		t.Errorf("span %q of kind %v, status %v", span.Name, span.Kind, span.Status)
	}
	switch {
	case continues:
		if d.TraceID != callersTrace || idOf(span.ParentSpanId) != callersSpan || len(span.Links) != 0 || span.TraceState != "rojo=00f067aa0ba902b7" {
			t.Errorf("not continued: trace %s, parent %x, state %q, links %v", d.TraceID, span.ParentSpanId, span.TraceState, span.Links)
		}
	case d.TraceID == callersTrace || len(span.ParentSpanId) != 0 || span.TraceState != "":
		t.Errorf("continued: trace %s, parent %x, state %q", d.TraceID, span.ParentSpanId, span.TraceState)
	case len(span.Links) != 1 || idOf(span.Links[0].TraceId) != callersTrace || idOf(span.Links[0].SpanId) != callersSpan || span.Links[0].TraceState != "":
		t.Errorf("not linked: %v", span.Links)
	}
}

// TestEvidenceInSpan: with a ledger the id in the span is that of the record, whatever was decided.
func TestEvidenceInSpan(t *testing.T) {
	c := newCollector(t)
	tel := newTelemetry(t, &telemetry.Config{OTLP: c.url, LogAllowed: true})
	w := guardtest.New(t)
	g := w.Guard(withRules(tel))
	ids := map[string]string{}
	for _, tool := range []string{"open", "shut", "approve"} {
		grant, err := g.Check(t.Context(), guardtest.Call(tool, `{}`))
		if err != nil {
			ids[tool] = guard.RefusalOf(err).EvidenceID
			continue
		}
		ids[tool] = grant.Evidence().ID
		if err := grant.Finish(t.Context(), guard.Outcome{ErrorClass: "tool_error"}); err != nil {
			t.Error(err)
		}
	}
	spans, logs := c.flushed(tel)
	if len(spans) != 3 || len(logs) != 3 {
		t.Fatalf("%d spans, %d logs", len(spans), len(logs))
	}
	for i, log := range logs {
		a := attributesOf(log.Attributes)
		tool := a["gen_ai.tool.name"]
		if a["touchmark.evidence.id"] != ids[tool] || ids[tool] == "" {
			t.Errorf("log of %s: record %q, want %q", tool, a["touchmark.evidence.id"], ids[tool])
		}
		if d := w.Recorder.Decisions()[i]; d.SpanID != idOf(log.SpanId) {
			t.Errorf("log of %s: span %x, record has %q", tool, log.SpanId, d.SpanID)
		}
	}
	for _, span := range spans {
		a := attributesOf(span.Attributes)
		tool := a["gen_ai.tool.name"]
		want := map[string]string{"open": "tool_error", "shut": "TOOL_AUTH_MISSING", "approve": "APPROVAL_REQUIRED"}[tool]
		if a["touchmark.evidence.id"] != ids[tool] || a["error.type"] != want || span.Status.GetCode().String() != "STATUS_CODE_ERROR" {
			t.Errorf("span of %s: %v, status %v", tool, a, span.Status)
		}
		if tool != "open" && span.Name != "tools/call" {
			t.Errorf("what was refused names a span: %q", span.Name)
		}
	}
}

// TestRequestAttributes: what a request says, by the semantic conventions.
func TestRequestAttributes(t *testing.T) {
	c := newCollector(t)
	tel := newTelemetry(t, &telemetry.Config{OTLP: c.url})
	for _, r := range []*guard.Request{
		{Method: "tools/call", Capability: guard.Capability{Kind: guard.KindTool, Name: "hello"}, RequestID: "7", Transport: "http"},
		{Method: "prompts/get", Capability: guard.Capability{Kind: guard.KindPrompt, Name: "hello"}, Transport: "stdio"},
		{Method: "resources/read", Capability: guard.Capability{Kind: guard.KindResource, Name: "https://ada:pw@h.example/r?sig=abc#x"}, Transport: "unix"},
		{Method: "made/up", Capability: guard.Capability{Kind: guard.KindMethod, Name: "made/up"}, Transport: "memory"},
		{Method: "tools/list", Verb: guard.Discover, Capability: guard.Capability{Kind: "odd", Name: "odd"}},
	} {
		tel.Begin(t.Context(), r).Decided(&guard.Decided{Kind: evidence.Deny, Code: guard.CodeNotFound, Anonymous: true, Capability: r.Capability})
	}
	spans, _ := c.flushed(tel)
	var got []map[string]string
	for _, s := range spans {
		a := attributesOf(s.Attributes)
		for _, common := range []string{"touchmark.decision", "touchmark.code", "error.type"} {
			delete(a, common)
		}
		if s.Name != a["mcp.method.name"] {
			t.Errorf("span %q of %q", s.Name, a["mcp.method.name"])
		}
		got = append(got, a)
	}
	want := []map[string]string{
		{"mcp.method.name": "tools/call", "gen_ai.tool.name": "hello", "gen_ai.operation.name": "execute_tool", "jsonrpc.request.id": "7",
			"network.transport": "tcp", "network.protocol.name": "http", "touchmark.capability": "tool"},
		{"mcp.method.name": "prompts/get", "gen_ai.prompt.name": "hello", "network.transport": "pipe", "touchmark.capability": "prompt"},
		{"mcp.method.name": "resources/read", "mcp.resource.uri": "https://[redacted]@h.example/r", "network.transport": "unix", "touchmark.capability": "resource"},
		{"mcp.method.name": "_OTHER", "touchmark.capability": "method"},
		{"mcp.method.name": "tools/list", "touchmark.capability": "other"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
}

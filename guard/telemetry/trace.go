package telemetry

import (
	"context"
	"encoding/hex"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/touchmark-dev/touchmark/guard"
)

// scope is the name of what makes our spans and logs.
const scope = "github.com/touchmark-dev/touchmark/guard"

// maxTraceState is the length of the longest tracestate that is looked at.
const maxTraceState = 512

// Attributes of the semantic conventions for MCP, and ours (spec/telemetry.md section 3).
const (
	attrMethod    = attribute.Key("mcp.method.name")
	attrResource  = attribute.Key("mcp.resource.uri")
	attrTool      = attribute.Key("gen_ai.tool.name")
	attrPrompt    = attribute.Key("gen_ai.prompt.name")
	attrOperation = attribute.Key("gen_ai.operation.name")
	attrRequestID = attribute.Key("jsonrpc.request.id")
	attrErrorType = attribute.Key("error.type")
	attrTransport = attribute.Key("network.transport")
	attrProtocol  = attribute.Key("network.protocol.name")

	attrCapability = attribute.Key("touchmark.capability")
	attrDecision   = attribute.Key("touchmark.decision")
	attrCode       = attribute.Key("touchmark.code")
	attrCause      = attribute.Key("touchmark.cause")
	attrRule       = attribute.Key("touchmark.rule")
	attrPolicy     = attribute.Key("touchmark.policy.version")
	attrLevel      = attribute.Key("touchmark.caller.level")
	attrActor      = attribute.Key("touchmark.caller.actor")
	attrShadow     = attribute.Key("touchmark.shadow")
	attrEvidence   = attribute.Key("touchmark.evidence.id")
	attrOutcome    = attribute.Key("touchmark.outcome")
)

// nameAttribute is the attribute with the name of a capability. Those of other kinds have none.
func nameAttribute(c guard.Capability) (attribute.KeyValue, bool) {
	switch {
	case c.Name == "":
		return attribute.KeyValue{}, false
	case c.Kind == guard.KindTool:
		return attrTool.String(bounded(c.Name)), true
	case c.Kind == guard.KindPrompt:
		return attrPrompt.String(bounded(c.Name)), true
	case c.Kind == guard.KindResource:
		return attrResource.String(boundedURI(c.Name)), true
	}
	return attribute.KeyValue{}, false
}

// parseParent reads a W3C trace context by the letter. What is malformed is as if it were not there; a tracestate that
// is malformed is dropped by itself.
func parseParent(parent, state string) (trace.SpanContext, bool) {
	// version "-" trace-id "-" parent-id "-" flags; a later version may go on behind another "-"
	if len(parent) < 55 || len(parent) > maxTraceState || parent[2] != '-' || parent[35] != '-' || parent[52] != '-' {
		return trace.SpanContext{}, false
	}
	var version, flags [1]byte
	var cfg trace.SpanContextConfig
	ok := lowerHex(version[:], parent[:2]) && lowerHex(cfg.TraceID[:], parent[3:35]) &&
		lowerHex(cfg.SpanID[:], parent[36:52]) && lowerHex(flags[:], parent[53:55])
	switch {
	case !ok || !cfg.TraceID.IsValid() || !cfg.SpanID.IsValid() || version[0] == 0xff:
		return trace.SpanContext{}, false
	case version[0] == 0 && len(parent) != 55 || len(parent) > 55 && parent[55] != '-':
		return trace.SpanContext{}, false
	}
	cfg.TraceFlags, cfg.Remote = trace.TraceFlags(flags[0])&trace.FlagsSampled, true
	if state != "" && len(state) <= maxTraceState && Redact(state) == state {
		if ts, err := trace.ParseTraceState(state); err == nil {
			cfg.TraceState = ts
		}
	}
	return trace.NewSpanContext(cfg), true
}

func lowerHex(dst []byte, s string) bool {
	if strings.ContainsAny(s, "ABCDEF") {
		return false
	}
	_, err := hex.Decode(dst, []byte(s))
	return err == nil
}

// startSpan begins the span of a request, nil if there are none. The parent is the span of ctx, which is of this
// program; or with ContinueTraces the caller's. The one that is not the parent is linked.
func (t *Telemetry) startSpan(ctx context.Context, r *guard.Request, method string) trace.Span {
	if t.tracer == nil {
		return nil
	}
	opts, used := [2]trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindServer)}, 1
	if remote, ok := parseParent(r.TraceParent, r.TraceState); ok {
		link := remote
		if t.continues {
			link = trace.SpanContextFromContext(ctx)
			ctx = trace.ContextWithRemoteSpanContext(ctx, remote)
		} else {
			link = link.WithTraceState(trace.TraceState{}) // which is for those who go on with the trace
		}
		if link.IsValid() {
			opts[used] = trace.WithLinks(trace.Link{SpanContext: link})
			used++
		}
	}
	_, span := t.tracer.Start(ctx, method, opts[:used]...)
	return span
}

// maxAttributes is how many attributes a span has at most.
const maxAttributes = 20

// requestAttributes are what is known of a request before it was decided, with room for what comes. All of it was
// claimed by the caller.
func requestAttributes(r *guard.Request, method string) []attribute.KeyValue {
	attrs := make([]attribute.KeyValue, 0, maxAttributes)
	attrs = append(attrs, attrMethod.String(method), attrCapability.String(word(capabilityWords, string(r.Capability.Kind))))
	if r.RequestID != "" {
		attrs = append(attrs, attrRequestID.String(bounded(r.RequestID)))
	}
	if name, ok := nameAttribute(r.Capability); ok {
		attrs = append(attrs, name)
	}
	if r.Method == "tools/call" {
		attrs = append(attrs, attrOperation.String("execute_tool"))
	}
	switch r.Transport {
	case "http":
		attrs = append(attrs, attrTransport.String("tcp"), attrProtocol.String("http"))
	case "stdio":
		attrs = append(attrs, attrTransport.String("pipe"))
	case "unix":
		attrs = append(attrs, attrTransport.String("unix"))
	}
	return attrs
}

// decisionAttributes adds what came of the checks.
func decisionAttributes(attrs []attribute.KeyValue, d *guard.Decided) []attribute.KeyValue {
	attrs = append(attrs, attrDecision.String(word(decisionWords, string(d.Kind))))
	if d.EvidenceID != "" {
		attrs = append(attrs, attrEvidence.String(short(d.EvidenceID)))
	}
	for _, a := range [...]struct {
		key   attribute.Key
		value string
	}{
		{attrCode, string(d.Code)}, {attrCause, d.Cause}, {attrRule, d.Rule}, {attrPolicy, d.PolicyVersion}, {attrActor, string(d.Actor)},
	} {
		if a.value != "" {
			attrs = append(attrs, a.key.String(short(a.value)))
		}
	}
	if !d.Anonymous {
		attrs = append(attrs, attrLevel.String(d.Level.String()))
	}
	if d.Shadow {
		attrs = append(attrs, attrShadow.Bool(true))
	}
	if d.Code != "" && !d.Runs() {
		attrs = append(attrs, attrErrorType.String(codeWord(d.Code)))
	}
	return attrs
}

package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// transportName is what records say of how a call came.
const transportName = "stdio"

// Causes and error classes that the gateway adds to those of package guard.
const (
	causeMalformed       = "MALFORMED"
	causeDuplicateID     = "DUPLICATE_ID"
	causeCancelled       = "CANCELLED" // before its turn came
	causeUpstreamCatalog = "UPSTREAM_CATALOG"
	classToolError       = "tool_error"
	classUpstream        = "upstream_error"
	classUpstreamGone    = "upstream_gone"
	classMalformedResult = "upstream_malformed"
)

// serve works on one request. Whatever panics in it is a refusal with a record.
func (g *Gateway) serve(ctx context.Context, m *message) {
	defer func() {
		if p := recover(); p != nil {
			g.log.Error("gateway: panic", "value", fmt.Sprint(p), "stack", string(debug.Stack()))
			g.refuseRequest(ctx, m, guard.CausePanic)
		}
	}()
	params, err := parseObject(m.Params)
	if err != nil {
		g.refuseRequest(ctx, m, guard.CauseParamsMalformed)
		return
	}
	meta, err := stripMeta(params)
	if err != nil {
		g.refuseRequest(ctx, m, guard.CauseParamsMalformed)
		return
	}
	switch m.Method {
	case "initialize", "server/discover":
		g.handshake(ctx, m, params, meta)
	case mcpwire.MethodIdentify:
		g.identify(ctx, m)
	case "ping":
		g.ping(ctx, m)
	default:
		g.serveGuarded(ctx, m, params, meta)
	}
}

// serveGuarded works on a request about which the guard has to be asked.
func (g *Gateway) serveGuarded(ctx context.Context, m *message, params, meta object) {
	for _, k := range listKinds {
		if k.method == m.Method {
			g.answerList(ctx, m, k, params, meta)
			return
		}
	}
	if u := uses[m.Method]; u != nil {
		g.use(ctx, m, u, params, meta)
		return
	}
	g.unknownMethod(ctx, m, params, meta)
}

// refuseRequest records and answers a request that is refused for its form.
func (g *Gateway) refuseRequest(ctx context.Context, m *message, cause string) {
	r := g.attempt(m.Method)
	r.RequestID = requestID(m)
	err := g.guard.Refuse(ctx, r, guard.CodeRequestRejected, cause)
	text := "the request's parameters are malformed"
	if cause == causeCancelled {
		text = "the request was cancelled"
	}
	g.answerError(m.ID, &wireError{Code: codeInvalidParams, Message: text, Data: refusalData(guard.RefusalOf(err))})
}

// refuseCredentials records and answers a request whose credentials cannot be read.
func (g *Gateway) refuseCredentials(ctx context.Context, m *message, err error) {
	var malformed *mcpwire.Error
	if !errors.As(err, &malformed) {
		g.refuseRequest(ctx, m, guard.CauseParamsMalformed)
		return
	}
	r := g.attempt(m.Method)
	r.RequestID = requestID(m)
	err = g.guard.Refuse(ctx, r, guard.CodeRequestMalformed, malformed.Cause())
	g.answerRefusal(m, guard.RefusalOf(err), guard.Capability{})
}

// ping asks the upstream for a sign of life, and for nothing else.
func (g *Gateway) ping(ctx context.Context, m *message) {
	if _, err := g.upstream.call(ctx, m.Method, json.RawMessage(`{}`), 0); err != nil {
		g.answerUpstreamError(m, err)
		return
	}
	g.answer(m, json.RawMessage(`{}`))
}

// unknownMethod refuses and records a method that nothing here guards.
func (g *Gateway) unknownMethod(ctx context.Context, m *message, params, meta object) {
	r, err := g.request(m, params, meta)
	if err != nil {
		g.refuseCredentials(ctx, m, err)
		return
	}
	err = g.guard.Refuse(ctx, r, guard.CodeMethodDenied, guard.CauseNoRule)
	g.answerError(m.ID, &wireError{
		Code: codeMethodNotFound, Message: "method not found", Data: refusalData(guard.RefusalOf(err)),
	})
}

// attempt is what is known of every request.
func (g *Gateway) attempt(method string) *guard.Request {
	return &guard.Request{
		Verb: guard.Invoke, Method: method, Channel: g.channel, Facts: g.facts, Transport: transportName,
	}
}

// request is what the guard is asked about m.
func (g *Gateway) request(m *message, params, meta object) (*guard.Request, error) {
	values := meta.values()
	presented, err := mcpwire.FromMeta(values)
	if err != nil {
		return nil, err
	}
	r := g.attempt(m.Method)
	r.Capability = guard.Capability{Kind: guard.KindMethod, Name: m.Method}
	r.Arguments, r.InputResponses = params["arguments"], params["inputResponses"]
	r.Badge, r.Proof, r.TxnID = presented.Badge, presented.Hop, presented.Txn
	r.RequestID, r.Claimed = requestID(m), guard.Claimed(mcpwire.ClaimsOf(values))
	r.TraceParent, r.TraceState = mcpwire.Trace(func(string) string { return "" }, values)
	r.TraceID = mcpwire.TraceID(r.TraceParent)
	return r, nil
}

// requestID is the id of a request as a record has it: the text of a string or of a number.
func requestID(m *message) string {
	var s string
	if len(m.ID) > 0 && m.ID[0] == '"' && strictjson.Unmarshal(m.ID, &s) == nil {
		return s
	}
	return string(m.ID)
}

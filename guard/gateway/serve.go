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
	"github.com/touchmark-dev/touchmark/serververify/mcpverify"
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
	case "tools/list":
		g.listTools(ctx, m, params, meta)
	case "tools/call":
		g.callTool(ctx, m, params, meta)
	default:
		g.unknownMethod(ctx, m, params, meta)
	}
}

// refuseRequest records and answers a request that is refused for its form.
func (g *Gateway) refuseRequest(ctx context.Context, m *message, cause string) {
	err := g.guard.Refuse(ctx, &guard.Request{
		Verb: guard.Invoke, Method: m.Method, RequestID: requestID(m), Transport: transportName,
	}, guard.CodeRequestRejected, cause)
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
	err = g.guard.Refuse(ctx, &guard.Request{
		Verb: guard.Invoke, Method: m.Method, RequestID: requestID(m), Transport: transportName,
	}, guard.CodeRequestMalformed, malformed.Cause())
	g.answerRefusal(m, guard.RefusalOf(err), "")
}

// ping asks the upstream for a sign of life, and for nothing else.
func (g *Gateway) ping(ctx context.Context, m *message) {
	if _, err := g.upstream.call(ctx, m.Method, json.RawMessage(`{}`)); err != nil {
		g.answerUpstreamError(m, err)
		return
	}
	g.answer(m, json.RawMessage(`{}`))
}

// handshake passes on the first request of either protocol generation. It is
// answerable to anybody: who calls must be able to learn who answers.
func (g *Gateway) handshake(ctx context.Context, m *message, params, meta object) {
	if err := narrowClient(params); err != nil {
		g.refuseRequest(ctx, m, guard.CauseParamsMalformed)
		return
	}
	if _, err := presentedIn(meta); err != nil {
		g.refuseRequest(ctx, m, guard.CauseParamsMalformed)
		return
	}
	if err := g.registered(ctx); err != nil { // it hears nothing; a client may try the other handshake
		g.refuseHandshake(ctx, m, params, meta, err)
		return
	}
	raw, err := g.upstream.call(ctx, m.Method, params.encode())
	if err != nil {
		g.answerUpstreamError(m, err)
		return
	}
	raw, err = g.introduce(ctx, m, raw)
	var refused *refusedError
	switch {
	case errors.As(err, &refused):
		g.refuseHandshake(ctx, m, params, meta, err)
		return
	case err != nil:
		g.log.Error("gateway: handshake", "error", err)
		g.answerError(m.ID, &wireError{Code: codeInternalError, Message: "the upstream's handshake is malformed"})
		return
	}
	g.answer(m, raw)
}

// refuseHandshake answers for an upstream that may not be used.
func (g *Gateway) refuseHandshake(ctx context.Context, m *message, params, meta object, err error) {
	r, badErr := g.request(m, params, meta)
	if badErr != nil {
		g.refuseCredentials(ctx, m, badErr)
		return
	}
	g.noUpstream(ctx, m, r, err)
}

// introduce makes the upstream's answer to a handshake the gateway's own.
func (g *Gateway) introduce(ctx context.Context, m *message, raw json.RawMessage) (json.RawMessage, error) {
	result, err := readResult(raw, false) // an upstream's word on who it is stands for nothing here
	if err != nil {
		return nil, err
	}
	if err := g.admitUpstream(ctx, result); err != nil {
		return nil, err
	}
	if err := narrowServer(result, g.extension()); err != nil {
		return nil, err
	}
	if g.identity == nil {
		return result.encode(), nil
	}
	return mcpverify.DiscloseRaw(ctx, g.identity, m.Method, m.Params, result.encode())
}

// extension is what the gateway announces beside the upstream's capabilities.
func (g *Gateway) extension() object {
	b, err := json.Marshal(mcpwire.Extension(g.guard.AcceptsBadges(), g.guard.RequiresProof(), g.guard.Server().String()))
	if err != nil {
		panic("gateway: internal error: " + err.Error())
	}
	return object{mcpwire.ExtensionGuard: b}
}

// identify answers a challenge that comes after the handshake.
func (g *Gateway) identify(ctx context.Context, m *message) {
	if g.identity == nil {
		g.answerError(m.ID, &wireError{Code: codeMethodNotFound, Message: "method not found"})
		return
	}
	result, err := mcpverify.IdentifyRaw(ctx, g.identity, m.Params)
	if err != nil {
		g.refuseRequest(ctx, m, guard.CauseParamsMalformed)
		return
	}
	g.answer(m, result)
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

// request is what the guard is asked about m.
func (g *Gateway) request(m *message, params, meta object) (*guard.Request, error) {
	presented, err := presentedIn(meta)
	if err != nil {
		return nil, err
	}
	return &guard.Request{
		Verb: guard.Invoke, Method: m.Method,
		Capability: guard.Capability{Kind: guard.KindMethod, Name: m.Method},
		Arguments:  params["arguments"], InputResponses: params["inputResponses"],
		Badge: presented.Badge, Proof: presented.Hop, TxnID: presented.Txn,
		RequestID: requestID(m), TraceID: traceID(meta), Transport: transportName,
	}, nil
}

func presentedIn(meta object) (mcpwire.Presented, error) {
	values := make(map[string]any, 4)
	for _, name := range []string{mcpwire.MetaBadge, mcpwire.MetaHop, mcpwire.MetaTxn, mcpwire.MetaNonce} {
		if _, ok := meta[name]; !ok {
			continue
		}
		text, err := meta.str(name)
		if values[name] = text; err != nil {
			values[name] = nil // which is no string, and is told so
		}
	}
	return mcpwire.FromMeta(values)
}

// requestID is the id of a request as a record has it: the text of a string or of a number.
func requestID(m *message) string {
	var s string
	if len(m.ID) > 0 && m.ID[0] == '"' && strictjson.Unmarshal(m.ID, &s) == nil {
		return s
	}
	return string(m.ID)
}

func traceID(meta object) string {
	parent, err := meta.str(mcpwire.MetaTraceparent)
	if err != nil {
		return ""
	}
	return mcpwire.TraceID(parent)
}

func (g *Gateway) listTools(ctx context.Context, m *message, params, meta object) {
	r, err := g.request(m, params, meta)
	if err != nil {
		g.refuseCredentials(ctx, m, err)
		return
	}
	if _, ok := params["cursor"]; ok { // the gateway gives none out: it answers with one page
		g.refuseRequest(ctx, m, guard.CauseParamsMalformed)
		return
	}
	r.Verb, r.Capability, r.Arguments, r.InputResponses = guard.Discover, guard.Capability{}, nil, nil
	listing, err := g.guard.List(ctx, r)
	if err != nil {
		g.answerRefusal(m, guard.RefusalOf(err), "")
		return
	}
	c, err := g.catalog(ctx, params)
	if err != nil {
		g.noUpstream(ctx, m, r, err)
		return
	}
	keep, ack, err := listing.Filter(ctx, c.items)
	if err != nil {
		g.answerRefusal(m, guard.RefusalOf(err), "")
		return
	}
	g.answer(m, c.page(keep, ack))
}

// catalog returns the upstream's tools. What a 2026-07-28 server wants to know
// with every request is taken from the client's request at hand.
func (g *Gateway) catalog(ctx context.Context, params object) (*catalog, error) {
	if c, err := g.tools.cached(); c != nil || err != nil {
		return c, err
	}
	meta, err := params.child("_meta")
	if err != nil {
		return nil, err
	}
	delete(meta, "progressToken")
	list := func(ctx context.Context, cursor string) (object, error) {
		ask := object{}
		if len(meta) > 0 {
			ask["_meta"] = meta.encode()
		}
		if cursor != "" {
			text, err := json.Marshal(cursor)
			if err != nil {
				return nil, err
			}
			ask["cursor"] = text
		}
		if err := narrowClient(ask); err != nil {
			return nil, err
		}
		raw, err := g.upstream.call(ctx, "tools/list", ask.encode())
		if err != nil {
			return nil, err
		}
		return readResult(raw, false)
	}
	return g.tools.get(ctx, listing{list, g.approve})
}

// callMembers are the members that the parameters of tools/call may have. What
// the guard does not know of it cannot decide about.
var callMembers = map[string]bool{
	"name": true, "arguments": true, "inputResponses": true, "requestState": true, "_meta": true,
}

func (g *Gateway) callTool(ctx context.Context, m *message, params, meta object) {
	r, err := g.request(m, params, meta)
	if err != nil {
		g.refuseCredentials(ctx, m, err)
		return
	}
	name, err := params.str("name")
	if err != nil || name == "" || narrowClient(params) != nil {
		g.refuseRequest(ctx, m, guard.CauseParamsMalformed)
		return
	}
	for member := range params {
		if !callMembers[member] {
			g.refuseRequest(ctx, m, guard.CauseParamsMalformed)
			return
		}
	}
	r.Capability = guard.Capability{Kind: guard.KindTool, Name: name}
	c, err := g.catalog(ctx, params)
	if err != nil {
		g.noUpstream(ctx, m, r, err)
		return
	}
	level, known := c.require(name)
	r.Require, r.Missing = level, !known
	grant, err := g.guard.Check(ctx, r)
	if err != nil {
		g.answerRefusal(m, guard.RefusalOf(err), name)
		return
	}
	g.run(ctx, m, params, grant, func() error { return g.still(ctx, params, r) })
}

// still looks at the list again after a decision that may have taken its time: a
// call does not go out after the announcement of a change that nobody has judged.
func (g *Gateway) still(ctx context.Context, params object, decided *guard.Request) error {
	c, err := g.catalog(ctx, params)
	if err != nil {
		return err
	}
	name := decided.Capability.Name
	if level, known := c.require(name); level != decided.Require || known == decided.Missing {
		return fmt.Errorf("gateway: the tool %q has changed while its call was decided", clip(name))
	}
	return nil
}

// run lets a granted call go upstream, and answers when its outcome has its place in the records.
func (g *Gateway) run(ctx context.Context, m *message, params object, grant *guard.Grant, still func() error) {
	var raw json.RawMessage
	var result object
	err := still()
	if err == nil {
		raw, err = g.upstream.call(ctx, m.Method, params.encode())
	}
	if err == nil {
		result, err = readResult(raw, true)
	}
	outcome := outcomeOf(ctx, result, err)
	if finishErr := grant.Finish(ctx, outcome); finishErr != nil {
		g.answerRefusal(m, guard.RefusalOf(finishErr), "")
		return
	}
	if err != nil {
		g.answerUpstreamError(m, err)
		return
	}
	ack := grant.Evidence()
	result.addEvidence(&ack)
	g.answer(m, result.encode())
}

package gateway

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
	"github.com/touchmark-dev/touchmark/serververify/mcpverify"
)

// handshake passes on the first request of either protocol generation. It is
// answerable to anybody: who calls must be able to learn who answers.
func (g *Gateway) handshake(ctx context.Context, m *message, params, meta object) {
	if err := narrowClient(params); err != nil {
		g.refuseRequest(ctx, m, guard.CauseParamsMalformed)
		return
	}
	if _, err := mcpwire.FromMeta(meta.values()); err != nil {
		g.refuseRequest(ctx, m, guard.CauseParamsMalformed)
		return
	}
	if err := g.registered(ctx); err != nil { // it hears nothing; a client may try the other handshake
		g.refuseHandshake(ctx, m, params, meta, err)
		return
	}
	raw, err := g.upstream.call(ctx, m.Method, params.encode(), 0)
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
	b, err := json.Marshal(g.guard.Extension())
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

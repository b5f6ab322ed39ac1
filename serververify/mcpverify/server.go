package mcpverify

import (
	"context"
	"encoding/json"
	"maps"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/internal/mcpwire"
	"github.com/touchmark-dev/touchmark/serververify"
)

// Disclose makes server name the identity id in the `_meta` of its initialize
// and server/discover results, and answer challenges that come over stdio when
// id is configured for it. Over HTTP the proof is made on the connection: wrap
// the HTTP handler with [serververify.Identity.Handler] as well.
//
// Identity is for callers who have shown nothing yet: whatever guards the
// server lets initialize, server/discover and dev.touchmark/identify pass, as
// guard/mcpguard does.
func Disclose(server *mcp.Server, id *serververify.Identity) {
	// The SDK passes only methods that it knows to middleware.
	err := mcp.AddReceivingCustomMethod(server, mcpwire.MethodIdentify,
		func(ctx context.Context, _ *mcp.ServerSession, _ *identifyParams) (*identifyResult, error) {
			return identify(id.Disclose(ctx)), nil
		})
	if err != nil {
		panic("mcpverify: internal error: " + err.Error()) // only for a name of the standard's
	}
	server.AddReceivingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
			if !Discloses(method) {
				return next(ctx, method, req)
			}
			meta := handshakeMeta(req)
			nonce, _ := meta[mcpwire.MetaNonce].(string)
			if overHTTP(req) {
				nonce = ""
			}
			if method == mcpwire.MethodIdentify {
				return identify(disclose(ctx, id, nonce)), nil
			}
			res, err := next(ctx, method, req)
			if err != nil {
				return nil, err
			}
			published, _ := meta[mcpwire.MetaPublishedNonce].(string)
			return withDisclosure(res, disclose(ctx, id, nonce), answerPublished(id, published)), nil
		}
	})
}

type identifyParams struct{ mcp.ParamsBase }

type identifyResult struct {
	mcp.ResultBase
	ResultType string `json:"resultType"` // required from 2026-07-28 on, ignored before
}

func identify(d serververify.Disclosure) *identifyResult {
	res := &identifyResult{ResultType: "complete"}
	res.Meta = addMembers(nil, d, nil)
	return res
}

// overHTTP reports whether a request came over HTTP, where `_meta` is answered
// no challenge: the proof would be bound to nothing.
func overHTTP(req mcp.Request) bool {
	extra := req.GetExtra()
	return extra != nil && extra.Header != nil
}

// handshakeMeta returns the `_meta` of a request that is to be disclosed to. A
// challenge that is no string is none: the client then sees no proof.
func handshakeMeta(req mcp.Request) mcp.Meta {
	switch p := req.GetParams().(type) { // of a type that may be nil inside
	case *mcp.InitializeParams:
		if p != nil {
			return p.Meta
		}
	case *mcp.DiscoverParams:
		if p != nil {
			return p.Meta
		}
	case *identifyParams:
		if p != nil {
			return p.Meta
		}
	}
	return nil
}

// withDisclosure returns a copy of a handshake's result with the disclosure, and
// the answer to the published challenge, in its `_meta`.
func withDisclosure(res mcp.Result, d serververify.Disclosure, published map[string]json.RawMessage) mcp.Result {
	switch r := res.(type) {
	case *mcp.InitializeResult:
		if r != nil {
			c := *r
			c.Meta = addMembers(r.Meta, d, published)
			return &c
		}
	case *mcp.DiscoverResult:
		if r != nil {
			c := *r
			c.Meta = addMembers(r.Meta, d, published)
			if d.Proof != "" { // for one client, now
				c.TTLMs, c.CacheScope = 0, "private"
			}
			return &c
		}
	}
	return res
}

func addMembers(meta mcp.Meta, d serververify.Disclosure, published map[string]json.RawMessage) mcp.Meta {
	out := maps.Clone(meta)
	if out == nil {
		out = make(mcp.Meta)
	}
	for name, text := range disclosureMembers(d) {
		delete(out, name)
		if text != "" {
			out[name] = text
		}
	}
	for _, name := range []string{mcpwire.MetaPublishedSignature, mcpwire.MetaPublishedSignedAt} {
		delete(out, name)
	}
	for name, value := range published {
		out[name] = value
	}
	return out
}

package mcpverify

import (
	"context"
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
			nonce := challengeOf(req)
			if method == mcpwire.MethodIdentify {
				return identify(disclose(ctx, id, nonce)), nil
			}
			res, err := next(ctx, method, req)
			if err != nil {
				return nil, err
			}
			return withDisclosure(res, disclose(ctx, id, nonce)), nil
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
	res.Meta = addMembers(nil, d)
	return res
}

// challengeOf returns the challenge of a request that did not come over HTTP,
// "" for none. A value that is no string is none either: the client then sees
// no proof.
func challengeOf(req mcp.Request) string {
	if extra := req.GetExtra(); extra != nil && extra.Header != nil {
		return ""
	}
	var meta mcp.Meta
	switch p := req.GetParams().(type) { // of a type that may be nil inside
	case *mcp.InitializeParams:
		if p != nil {
			meta = p.Meta
		}
	case *mcp.DiscoverParams:
		if p != nil {
			meta = p.Meta
		}
	case *identifyParams:
		if p != nil {
			meta = p.Meta
		}
	}
	nonce, _ := meta[mcpwire.MetaNonce].(string)
	return nonce
}

// withDisclosure returns a copy of a handshake's result with the disclosure in
// its `_meta`.
func withDisclosure(res mcp.Result, d serververify.Disclosure) mcp.Result {
	switch r := res.(type) {
	case *mcp.InitializeResult:
		if r != nil {
			c := *r
			c.Meta = addMembers(r.Meta, d)
			return &c
		}
	case *mcp.DiscoverResult:
		if r != nil {
			c := *r
			c.Meta = addMembers(r.Meta, d)
			if d.Proof != "" { // for one client, now
				c.TTLMs, c.CacheScope = 0, "private"
			}
			return &c
		}
	}
	return res
}

func addMembers(meta mcp.Meta, d serververify.Disclosure) mcp.Meta {
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
	return out
}

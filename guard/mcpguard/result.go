package mcpguard

import (
	"maps"
	"reflect"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
)

// stateless is the version of the protocol from which on results have a type.
const stateless = "2026-07-28"

// cachePrivate is the cache scope of everything that depends on who asked.
const cachePrivate = "private"

func isNilResult(res mcp.Result) bool {
	if res == nil {
		return true
	}
	v := reflect.ValueOf(res)
	return v.Kind() == reflect.Pointer && v.IsNil()
}

// hasMeta reports whether a result has a place for _meta. The SDK's empty result has methods for it that
// panic.
func hasMeta(res mcp.Result) bool {
	v := reflect.ValueOf(res)
	return v.Kind() == reflect.Pointer && v.Elem().Kind() == reflect.Struct && v.Elem().NumField() > 0
}

// detach returns a copy of a result that may be changed: handlers may return the same result to several
// callers at once.
func detach(res mcp.Result) mcp.Result {
	if !hasMeta(res) {
		return res
	}
	v := reflect.ValueOf(res)
	fresh := reflect.New(v.Elem().Type())
	fresh.Elem().Set(v.Elem())
	out, ok := fresh.Interface().(mcp.Result)
	if !ok {
		return res
	}
	out.SetMeta(maps.Clone(res.GetMeta()))
	return out
}

// settle gives a detached result the members that the guard, and after it the SDK, would still change, so that
// its outcome commits to what the caller gets.
func settle(x *exchange, res mcp.Result) mcp.Result {
	switch r := res.(type) {
	case *mcp.ReadResourceResult:
		r.CacheScope = cachePrivate
	case *mcp.CompleteResult:
		if v, ok := x.req.(interface{ ProtocolVersion() string }); ok && v.ProtocolVersion() >= stateless {
			r.ResultType = "complete"
		}
	}
	return res
}

// attach puts into the _meta of a detached result where the evidence of the decision is (spec/guard.md section
// 7.2), in place of anything that a handler left there.
func attach(res mcp.Result, ack evidence.Ack) {
	if !hasMeta(res) {
		return
	}
	meta := res.GetMeta()
	if meta == nil {
		meta = map[string]any{}
	}
	meta[mcpwire.MetaEvidence] = mcpwire.Evidence{
		ID: ack.ID, LeafHash: ack.LeafHash.String(), Promise: ack.Promise, Entry: string(ack.Entry),
	}
	res.SetMeta(meta)
}

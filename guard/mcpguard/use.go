package mcpguard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"sync/atomic"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/internal/jcs"
)

// The error classes that this package adds to those of package guard.
const (
	classToolError     = "tool_error"     // the tool ran and reported a failure
	classProtocolError = "protocol_error" // a JSON-RPC error
)

// use guards what invokes something.
func (a *Adapter) use(ctx context.Context, x *exchange, r *guard.Request) (mcp.Result, error) {
	if err := a.look(ctx, x, r); err != nil {
		return nil, a.refuse(ctx, r, err)
	}
	grant, err := a.guard.Check(ctx, r)
	if err != nil {
		return nil, a.wireError(r, err)
	}
	return a.run(ctx, x, r, grant)
}

// A reply is what a handler returned.
type reply struct {
	res mcp.Result
	err error
}

// run runs what was granted, and records how it ended, whichever way that is.
func (a *Adapter) run(ctx context.Context, x *exchange, r *guard.Request, grant *guard.Grant) (res mcp.Result, err error) {
	var got atomic.Pointer[reply] // a handler that ignores its deadline may return at any time
	o := guard.Outcome{ErrorClass: guard.ClassExit}
	defer func() {
		lost := grant.Finish(ctx, o)
		switch p := got.Load(); {
		case lost != nil:
			res, err = nil, a.wireError(r, lost)
		case o.ErrorClass == guard.ClassPanic || p == nil:
			res, err = nil, errInternal
		default:
			res, err = p.res, p.err
			a.remember(r, grant, res, o.Result)
		}
	}()
	o = grant.Run(ctx, func(ctx context.Context) (o guard.Outcome) {
		defer func() {
			if p := recover(); p != nil {
				a.log.Error("mcpguard: panic", "method", x.method, "value", fmt.Sprint(p), "stack", string(debug.Stack()))
				o = guard.Outcome{ErrorClass: guard.ClassPanic}
			}
		}()
		res, err := x.run(ctx)
		if isNilResult(res) {
			res = nil
		}
		if res != nil && err == nil {
			res = settle(x, detach(res))
		}
		o = outcome(ctx, res, err)
		if res != nil && err == nil {
			attach(res, grant.Evidence())
		}
		got.Store(&reply{res, err})
		return o
	})
	return nil, nil // see above
}

// remember notes whose a task is that a result announces.
func (a *Adapter) remember(r *guard.Request, grant *guard.Grant, res mcp.Result, octets []byte) {
	if r.Owned != nil || res == nil {
		return
	}
	id, ttl, ok := taskIn(res, octets)
	if ok && !a.tasks.add(id, grant.Caller().Key(), r.Capability, ttl) {
		a.log.Error("mcpguard: a task that nobody can use: there is no place for it, or its id is another's", "method", r.Method)
	}
}

func outcome(ctx context.Context, res mcp.Result, err error) guard.Outcome {
	if err != nil {
		class := guard.ClassOf(ctx, err)
		var wire *jsonrpc.Error
		if class == guard.ClassError && errors.As(err, &wire) {
			class = classProtocolError
		}
		return guard.Outcome{ErrorClass: class, Size: int64(len(err.Error()) + len(dataOf(err)))}
	}
	o := guard.Outcome{Result: octets(res)}
	o.Size = int64(len(o.Result) + metaSize(res))
	switch r := res.(type) {
	case nil:
		o.ErrorClass = guard.ClassError
	case *mcp.CallToolResult:
		o.InputRequired = r.NeedsInput()
		if r.IsError {
			o.ErrorClass = classToolError
		}
	case *mcp.GetPromptResult:
		o.InputRequired = r.NeedsInput()
	case *mcp.ReadResourceResult:
		o.InputRequired = r.NeedsInput()
	}
	return o
}

// dataOf is what a JSON-RPC error says beside its message.
func dataOf(err error) []byte {
	var wire *jsonrpc.Error
	if errors.As(err, &wire) {
		return wire.Data
	}
	return nil
}

// metaSize is how large the _meta of a result is, which is answered and not committed to.
func metaSize(res mcp.Result) int {
	if res == nil || !hasMeta(res) || len(res.GetMeta()) == 0 {
		return 0
	}
	text, err := json.Marshal(res.GetMeta())
	if err != nil {
		return math.MaxInt32 // there is no telling
	}
	return len(text)
}

// octets is what an outcome commits to: the RFC 8785 form of the result without its _meta, to which the guard
// and the SDK still add. A result without such a form is committed to as it is encoded.
func octets(res mcp.Result) []byte {
	if res == nil {
		return nil
	}
	if hasMeta(res) {
		meta := res.GetMeta()
		res.SetMeta(nil)
		defer res.SetMeta(meta)
	}
	text, err := json.Marshal(res)
	if err != nil {
		return nil
	}
	if canonical, err := jcs.Canonicalize(text); err == nil {
		return canonical
	}
	return text
}

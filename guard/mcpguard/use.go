package mcpguard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"

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
	if x.method == methodCallTool {
		tool, err := findTool(ctx, x, r.Capability.Name)
		if err != nil {
			return nil, a.refuse(ctx, r, err)
		}
		if r.Missing = tool == nil; tool != nil {
			r.Require, r.RequireIsRule = Annotation(tool.Meta), true
		}
	}
	grant, err := a.guard.Check(ctx, r)
	if err != nil {
		return nil, a.wireError(r, err)
	}
	return a.run(ctx, x, grant)
}

// run runs what was granted, and records how it ended, whichever way that is.
func (a *Adapter) run(ctx context.Context, x *exchange, grant *guard.Grant) (res mcp.Result, err error) {
	o := guard.Outcome{ErrorClass: guard.ClassExit}
	defer func() {
		if p := recover(); p != nil {
			a.log.Error("mcpguard: panic", "method", x.method, "value", fmt.Sprint(p), "stack", string(debug.Stack()))
			res, err, o = nil, errInternal, guard.Outcome{ErrorClass: guard.ClassPanic}
		}
		if lost := grant.Finish(ctx, o); lost != nil {
			res, err = nil, a.wireError(nil, lost)
		}
	}()
	res, err = x.run(ctx)
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
	return res, err
}

func outcome(ctx context.Context, res mcp.Result, err error) guard.Outcome {
	if err != nil {
		class := guard.ClassOf(ctx, err)
		var wire *jsonrpc.Error
		if class == guard.ClassError && errors.As(err, &wire) {
			class = classProtocolError
		}
		return guard.Outcome{ErrorClass: class}
	}
	o := guard.Outcome{Result: octets(res)}
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

// findTool returns the definition of a tool as the server lists it now, and nil if it lists none of that
// name.
func findTool(ctx context.Context, x *exchange, name string) (*mcp.Tool, error) {
	list, seen := x.tools(), 0
	for cursor := ""; ; {
		p, err := list.fetch(ctx, cursor)
		if err != nil {
			return nil, err
		}
		for _, t := range p.entries {
			if t.Name == name {
				return t, nil
			}
		}
		if seen += len(p.entries) + 1; seen > maxListed {
			return nil, errTooLong
		}
		if p.next == "" || p.next == cursor {
			return nil, nil
		}
		cursor = p.next
	}
}

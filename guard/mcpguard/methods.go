package mcpguard

import (
	"errors"
	"net/http"
	"reflect"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// The methods of which more is known here than the table of package guard says.
const (
	methodCallTool      = "tools/call"
	methodListTools     = "tools/list"
	methodGetPrompt     = "prompts/get"
	methodListPrompts   = "prompts/list"
	methodReadResource  = "resources/read"
	methodListResources = "resources/list"
	methodListTemplates = "resources/templates/list"
	methodListen        = "subscriptions/listen"
	methodListTasks     = "tasks/list"
)

func isOpen(method string) bool { return guard.MethodNamed(method).Class == guard.OpenMethod }

func isList(method string) bool { return guard.MethodNamed(method).Class == guard.ListMethod }

// request says what an exchange asks for, and what it presents. With an error the Request still says what
// there is to record.
func (a *Adapter) request(x *exchange) (*guard.Request, error) {
	r := &guard.Request{Verb: guard.Invoke, Method: x.method}
	if isList(x.method) {
		r.Verb = guard.Discover
	}
	params := x.req.GetParams()
	if isNil(params) {
		params = nil
	}
	if err := describe(r, params); err != nil {
		return r, err
	}
	if len(r.Arguments) > 0 && strictjson.Validate(r.Arguments) != nil { // over HTTP this has been seen to
		return r, errArguments
	}
	var meta map[string]any
	if params != nil {
		meta = params.GetMeta()
	}
	var header http.Header
	extra := x.req.GetExtra()
	if extra != nil {
		header = extra.Header
	}
	if header != nil {
		r.Transport = "http"
	}
	t := a.ticket(header)
	if t != nil {
		r.RequestID = t.sighted(r)
	}
	a.recognize(r, t, extra)
	r.TraceParent, r.TraceState = mcpwire.Trace(header.Get, meta)
	r.TraceID = mcpwire.TraceID(r.TraceParent)
	r.Claimed = guard.Claimed(mcpwire.ClaimsOf(meta))
	presented, err := a.rules.Extract(header, meta)
	if err != nil {
		return r, err
	}
	r.Badge, r.Proof, r.TxnID = presented.Badge, presented.Hop, presented.Txn
	return r, nil
}

// errArguments refuses arguments that the policy could read in one way and the tool in another, or that name too much.
var errArguments = errors.New("mcpguard: arguments are not JSON by strict rules, or name too many resources")

// isNil sees through an interface: the SDK hands on typed nil pointers for absent params, and their methods
// panic.
func isNil(p mcp.Params) bool {
	if p == nil {
		return true
	}
	v := reflect.ValueOf(p)
	return v.Kind() == reflect.Pointer && v.IsNil()
}

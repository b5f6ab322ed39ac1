package mcpguard

import (
	"encoding/json"
	"errors"
	"net/http"
	"reflect"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// isOpen reports whether a method may be used by anybody and without a record: it concerns the connection,
// not what the server offers (spec/guard.md section 2.1).
func isOpen(method string) bool {
	switch method {
	case "initialize", "server/discover", "ping", "logging/setLevel", mcpwire.MethodIdentify,
		"notifications/initialized", "notifications/cancelled", "notifications/progress",
		"notifications/roots/list_changed":
		return true
	}
	return false
}

func isList(method string) bool {
	switch method {
	case methodListTools, "prompts/list", "resources/list", "resources/templates/list":
		return true
	}
	return false
}

// The methods for which an unguarded server has an answer for what does not exist.
const (
	methodCallTool     = "tools/call"
	methodListTools    = "tools/list"
	methodGetPrompt    = "prompts/get"
	methodReadResource = "resources/read"
	methodListen       = "subscriptions/listen"
)

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
	if extra := x.req.GetExtra(); extra != nil {
		header = extra.Header
		if extra.TokenInfo != nil && extra.TokenInfo.UserID != "" {
			r.Channel = tokenIdentity(extra.TokenInfo.UserID)
		}
	}
	if header != nil {
		r.Transport = "http"
	}
	if t := a.ticket(header); t != nil {
		r.RequestID = t.sighted(r)
		if t.channel != nil { // the channel itself goes before a token that came over it
			r.Channel = t.channel
		}
	}
	r.TraceID = traceID(header, meta)
	presented, err := a.rules.Extract(header, meta)
	if err != nil {
		return r, err
	}
	r.Badge, r.Proof, r.TxnID = presented.Badge, presented.Hop, presented.Txn
	return r, nil
}

// errArguments refuses arguments that the policy could read in one way and the tool in another.
var errArguments = errors.New("mcpguard: arguments are not JSON by strict rules")

// tokenIdentity is the subject of an access token that the SDK's bearer middleware verified.
type tokenIdentity string

func (tokenIdentity) Scheme() string    { return "oauth" }
func (t tokenIdentity) Subject() string { return string(t) }

// isNil sees through an interface: the SDK hands on typed nil pointers for absent params, and their methods
// panic.
func isNil(p mcp.Params) bool {
	if p == nil {
		return true
	}
	v := reflect.ValueOf(p)
	return v.Kind() == reflect.Pointer && v.IsNil()
}

// describe fills in what is asked for (spec/guard.md section 2.2). The error is that of encoding parameters
// that the SDK has decoded.
func describe(r *guard.Request, params mcp.Params) (err error) {
	switch p := params.(type) {
	case *mcp.CallToolParamsRaw:
		r.Capability = guard.Capability{Kind: guard.KindTool, Name: p.Name}
		r.Arguments = p.Arguments
		r.InputResponses, err = encode(p.InputResponses)
	case *mcp.GetPromptParams:
		r.Capability = guard.Capability{Kind: guard.KindPrompt, Name: p.Name}
		if r.Arguments, err = encode(p.Arguments); err == nil {
			r.InputResponses, err = encode(p.InputResponses)
		}
	case *mcp.ReadResourceParams:
		r.Capability = guard.Capability{Kind: guard.KindResource, Name: p.URI}
		r.InputResponses, err = encode(p.InputResponses)
	case *mcp.SubscribeParams:
		r.Capability = guard.Capability{Kind: guard.KindResource, Name: p.URI}
	case *mcp.UnsubscribeParams:
		r.Capability = guard.Capability{Kind: guard.KindResource, Name: p.URI}
	case *mcp.CompleteParams:
		err = describeCompletion(r, p)
	case *mcp.SubscriptionsListenParams:
		err = describeListen(r, p)
	case *mcp.ListToolsParams, *mcp.ListPromptsParams, *mcp.ListResourcesParams, *mcp.ListResourceTemplatesParams:
	default:
		if !isList(r.Method) {
			r.Capability = guard.Capability{Kind: guard.KindMethod, Name: r.Method}
			r.Arguments, err = encodeCustom(params)
		}
	}
	return err
}

func describeCompletion(r *guard.Request, p *mcp.CompleteParams) (err error) {
	if p.Ref != nil && p.Ref.Type == "ref/prompt" {
		r.Capability = guard.Capability{Kind: guard.KindPrompt, Name: p.Ref.Name}
	} else if p.Ref != nil {
		r.Capability = guard.Capability{Kind: guard.KindTemplate, Name: p.Ref.URI}
	}
	r.Arguments, err = encode(struct {
		Argument mcp.CompleteParamsArgument `json:"argument"`
		Context  *mcp.CompleteContext       `json:"context,omitempty"`
	}{p.Argument, p.Context})
	return err
}

// describeListen asks for every resource whose changes are to be told. Without resources there is nothing to
// ask for: that a list changed says nothing of what is in it, and sessions are told so unasked.
func describeListen(r *guard.Request, p *mcp.SubscriptionsListenParams) (err error) {
	if p.Notifications == nil {
		return nil
	}
	for i, uri := range p.Notifications.ResourceSubscriptions {
		c := guard.Capability{Kind: guard.KindResource, Name: uri}
		if i == 0 {
			r.Capability = c
		} else {
			r.Further = append(r.Further, guard.Item{Capability: c})
		}
	}
	r.Arguments, err = encode(p.Notifications)
	return err
}

// encode returns the JSON of parameters that the SDK gives only decoded. A call proof over members that the
// SDK does not know therefore does not hold, which errs on the right side.
func encode(v any) (json.RawMessage, error) {
	if rv := reflect.ValueOf(v); rv.Kind() == reflect.Map && rv.Len() == 0 {
		return nil, nil
	}
	return json.Marshal(v)
}

// encodeCustom returns the parameters of a method that is none of the standard ones, without their _meta.
func encodeCustom(p mcp.Params) (json.RawMessage, error) {
	if p == nil {
		return nil, nil
	}
	text, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return nil, err
	}
	delete(members, "_meta")
	return encode(members)
}

// traceID returns the trace id of a W3C traceparent, from _meta or else from the header, and "" if there is
// none of the right form.
func traceID(h http.Header, meta map[string]any) string {
	parent, ok := meta[mcpwire.MetaTraceparent].(string)
	if !ok {
		parent = h.Get("Traceparent")
	}
	return mcpwire.TraceID(parent)
}

package mcpguard

import (
	"encoding/json"
	"reflect"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

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
		err = describeCustom(r, params)
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

// MaxSubscriptions is how many resources one subscriptions/listen may name. Each is looked up in the server's lists before it is
// known who asks.
const MaxSubscriptions = 256

// describeListen asks for every resource whose changes are to be told. Without resources there is nothing to
// ask for: that a list changed says nothing of what is in it, and sessions are told so unasked.
func describeListen(r *guard.Request, p *mcp.SubscriptionsListenParams) (err error) {
	if p.Notifications == nil {
		return nil
	}
	if len(p.Notifications.ResourceSubscriptions) > MaxSubscriptions {
		return errArguments
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

// describeCustom describes methods that the SDK does not know: those about tasks, which are used as what they came
// from, and others, which are capabilities of their own.
func describeCustom(r *guard.Request, params mcp.Params) (err error) {
	m := guard.MethodNamed(r.Method)
	if m.Class == guard.ListMethod {
		return nil
	}
	if r.Arguments, err = encodeCustom(params); err != nil {
		return err
	}
	switch {
	case m.Kind == guard.KindTask:
		r.Capability, r.Target = guard.Capability{Kind: m.Kind, Name: taskID(r.Arguments)}, r.Method
	case m.Class == guard.OtherMethod:
		r.Capability = guard.Capability{Kind: m.Kind, Name: r.Method}
	default: // a standard method without its parameters
		r.Capability = guard.Capability{Kind: m.Kind}
	}
	return nil
}

// taskID returns what the parameters of a method name as a task, and "", which is no task's id.
func taskID(params json.RawMessage) string {
	var p map[string]json.RawMessage
	var id string
	if strictjson.Unmarshal(params, &p) != nil || strictjson.Unmarshal(p["taskId"], &id) != nil {
		return ""
	}
	return id
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

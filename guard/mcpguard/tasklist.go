package mcpguard

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"reflect"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/guard"
)

// taskList reads the server's list of tasks. The SDK does not know the method: parameters and result are of types that
// the server's author made, and are taken by their JSON.
func (x *exchange) taskList(known *tasks) *lister[json.RawMessage] {
	params, err := encodeCustom(paramsOrNil(x.req))
	var asked struct {
		Cursor string `json:"cursor"`
	}
	if err == nil && len(params) > 0 {
		err = json.Unmarshal(params, &asked)
	}
	return &lister[json.RawMessage]{
		cursor: asked.Cursor,
		fetch: func(ctx context.Context, cursor string) (*page[json.RawMessage], error) {
			if err != nil {
				return nil, err
			}
			return x.taskPage(ctx, cursor)
		},
		name: taskID,
		item: func(ctx context.Context, caller *guard.Principal, entry json.RawMessage) guard.Item {
			it, ok := x.owned(ctx, known, caller, taskID(entry))
			if nobody := caller.Anonymous() && caller.Channel() == nil; !ok || nobody { // whose id is the one secret
				return guard.Item{Capability: guard.Capability{Kind: guard.KindTask, Name: taskID(entry)}, Missing: true}
			}
			return it
		},
	}
}

func (x *exchange) taskPage(ctx context.Context, cursor string) (*page[json.RawMessage], error) {
	req, err := withCursor(x.req, cursor)
	if err != nil {
		return nil, err
	}
	res, err := x.next(ctx, methodListTasks, req)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(res)
	if err != nil {
		return nil, err
	}
	var members map[string]json.RawMessage
	var list struct {
		Tasks      []json.RawMessage `json:"tasks"`
		NextCursor string            `json:"nextCursor"`
	}
	if err := errors.Join(json.Unmarshal(text, &members), json.Unmarshal(text, &list)); err != nil {
		return nil, err
	}
	if members == nil {
		return nil, errors.New("mcpguard: a list of tasks that is null")
	}
	meta := maps.Clone(res.GetMeta())
	fill := func(entries []json.RawMessage, next string) mcp.Result {
		return &taskListResult{ResultBase: mcp.ResultBase{Meta: meta}, members: members, tasks: entries, next: next}
	}
	return &page[json.RawMessage]{entries: list.Tasks, next: list.NextCursor, fill: fill}, nil
}

// withCursor returns a copy of a request of any type with another cursor among its parameters.
func withCursor(req mcp.Request, cursor string) (mcp.Request, error) {
	v := reflect.ValueOf(req)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return nil, errors.New("mcpguard: a request of an unknown type")
	}
	params := v.Elem().FieldByName("Params")
	if params.Kind() != reflect.Pointer {
		return nil, errors.New("mcpguard: a request with parameters of an unknown type")
	}
	members := map[string]json.RawMessage{}
	if !params.IsNil() {
		text, err := json.Marshal(params.Interface())
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(text, &members); err != nil {
			return nil, err
		}
	}
	if delete(members, "cursor"); cursor != "" {
		text, err := json.Marshal(cursor)
		if err != nil {
			return nil, err
		}
		members["cursor"] = text
	}
	text, err := json.Marshal(members)
	if err != nil {
		return nil, err
	}
	fresh, changed := reflect.New(v.Elem().Type()), reflect.New(params.Type().Elem())
	if err := json.Unmarshal(text, changed.Interface()); err != nil {
		return nil, err
	}
	fresh.Elem().Set(v.Elem())
	fresh.Elem().FieldByName("Params").Set(changed)
	out, ok := fresh.Interface().(mcp.Request)
	if !ok {
		return nil, errors.New("mcpguard: a copy of a request that is none")
	}
	return out, nil
}

// paramsOrNil returns the parameters of a request without the pitfalls of typed nil pointers.
func paramsOrNil(req mcp.Request) mcp.Params {
	if p := req.GetParams(); !isNil(p) {
		return p
	}
	return nil
}

// taskListResult is a server's list of tasks with other entries.
type taskListResult struct {
	mcp.ResultBase
	members map[string]json.RawMessage
	tasks   []json.RawMessage
	next    string
}

// MarshalJSON writes the list as the server did, but for what the guard changes.
func (r *taskListResult) MarshalJSON() ([]byte, error) {
	out := make(map[string]any, len(r.members)+2)
	for name, v := range r.members {
		out[name] = v
	}
	if delete(out, "nextCursor"); r.next != "" {
		out["nextCursor"] = r.next
	}
	if _, ok := out["cacheScope"]; ok {
		out["cacheScope"] = cachePrivate
	}
	if delete(out, "_meta"); len(r.Meta) > 0 {
		out["_meta"] = r.Meta
	}
	out["tasks"] = r.tasks
	return json.Marshal(out)
}

package mcpverify

import (
	"encoding/json"
	"fmt"
	"maps"

	"github.com/touchmark-dev/touchmark/badge/pop"
)

// callParams are the members of parameters that a call proof is about, of any
// method of the table.
type callParams struct {
	Name           string          `json:"name"`
	URI            string          `json:"uri"`
	Arguments      json.RawMessage `json:"arguments"`
	InputResponses json.RawMessage `json:"inputResponses"`
	Ref            struct {
		Type string `json:"type"`
		Name string `json:"name"`
		URI  string `json:"uri"`
	} `json:"ref"`
	Argument      json.RawMessage `json:"argument"`
	Context       json.RawMessage `json:"context"`
	Notifications json.RawMessage `json:"notifications"`
}

// callMembers returns the members of a request's params and of their `_meta`, as
// they are: how deep they may be is for the call's canonical form to say.
func callMembers(params json.RawMessage) (members, meta map[string]json.RawMessage, err error) {
	if len(params) > 0 {
		if err := json.Unmarshal(params, &members); err != nil {
			return nil, nil, err
		}
	}
	if raw, ok := members["_meta"]; ok {
		if err := json.Unmarshal(raw, &meta); err != nil {
			return nil, nil, fmt.Errorf("_meta: %w", err)
		}
	}
	if members == nil {
		members = make(map[string]json.RawMessage)
	}
	if meta == nil {
		meta = make(map[string]json.RawMessage)
	}
	return members, meta, nil
}

// callOf reads off the members of params what a call proof is about, by the table
// of spec/call-proof.md section 3.1: the server takes the same from what it
// executes.
func callOf(method string, members map[string]json.RawMessage) (*pop.Call, error) {
	call := &pop.Call{Method: method}
	if !known(method) {
		call.Target = method
		return call, other(call, members)
	}
	text, err := marshal(members)
	if err != nil {
		return nil, err
	}
	var p callParams
	if err := json.Unmarshal(text, &p); err != nil {
		return nil, err
	}
	switch method {
	case "tools/call", "prompts/get":
		call.Target, call.Arguments, call.InputResponses = p.Name, p.Arguments, p.InputResponses
	case "resources/read", "resources/subscribe", "resources/unsubscribe":
		call.Target, call.InputResponses = p.URI, p.InputResponses
	case "completion/complete":
		return call, p.completion(call)
	case "subscriptions/listen":
		return call, p.listen(call)
	}
	return call, nil
}

// known reports whether a method's parameters are of callParams: the members of
// any other method's may have those names and other types.
func known(method string) bool {
	switch method {
	case "tools/call", "prompts/get", "resources/read", "resources/subscribe", "resources/unsubscribe",
		"completion/complete", "subscriptions/listen",
		"tools/list", "prompts/list", "resources/list", "resources/templates/list":
		return true
	}
	return false
}

func (p *callParams) completion(call *pop.Call) (err error) {
	if call.Target = p.Ref.URI; p.Ref.Type == "ref/prompt" {
		call.Target = p.Ref.Name
	}
	members := map[string]json.RawMessage{"argument": p.Argument}
	if p.Context != nil {
		members["context"] = p.Context
	}
	call.Arguments, err = json.Marshal(members)
	return err
}

func (p *callParams) listen(call *pop.Call) error {
	call.Target, call.Arguments = call.Method, p.Notifications
	if p.Notifications == nil {
		return nil
	}
	var asked struct {
		URIs []string `json:"resourceSubscriptions"`
	}
	err := json.Unmarshal(p.Notifications, &asked)
	if len(asked.URIs) > 0 {
		call.Target = asked.URIs[0]
	}
	return err
}

// other takes everything but `_meta` for the arguments.
func other(call *pop.Call, members map[string]json.RawMessage) (err error) {
	members = maps.Clone(members)
	delete(members, "_meta")
	if len(members) > 0 {
		call.Arguments, err = marshal(members)
	}
	return err
}

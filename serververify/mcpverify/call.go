package mcpverify

import (
	"encoding/json"

	"github.com/modelcontextprotocol/go-sdk/mcp"

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

// callOf reads off params what a call proof is about, by the table of
// spec/call-proof.md section 3.1: the server takes the same from what it
// executes.
func callOf(method string, params mcp.Params) (*pop.Call, error) {
	text, err := json.Marshal(params)
	if err != nil {
		return nil, err
	}
	call, err := readCall(method, text)
	if tool, ok := params.(*mcp.CallToolParams); ok && err == nil {
		tool.Arguments = call.Arguments // the very text that was signed
	}
	return call, err
}

func readCall(method string, text []byte) (*pop.Call, error) {
	call := &pop.Call{Method: method}
	if !known(method) {
		call.Target = method
		return call, other(call, text)
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
func other(call *pop.Call, text []byte) (err error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return err
	}
	delete(members, "_meta")
	if len(members) > 0 {
		call.Arguments, err = json.Marshal(members)
	}
	return err
}

package mcpverify

import (
	"encoding/json"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
)

// What a server asks for before it answers has to be offered in the same call.
func TestCheckAsked(t *testing.T) {
	asks := func(method string) json.RawMessage {
		return json.RawMessage(`{"resultType":"input_required","inputRequests":{"q":{"method":"` + method + `"}}}`)
	}
	offers := json.RawMessage(`{"_meta":{"io.modelcontextprotocol/clientCapabilities":{"elicitation":{}}}}`)
	for _, tt := range []struct {
		params, result json.RawMessage
		ok             bool
	}{
		{offers, asks("elicitation/create"), true},
		{offers, asks("sampling/createMessage"), false},
		{offers, asks("unknown"), false},
		{nil, asks("elicitation/create"), false},
		{json.RawMessage(`{"_meta":{"io.modelcontextprotocol/clientCapabilities":1}}`), asks("elicitation/create"), false},
		{nil, json.RawMessage(`{"content":[]}`), true},
		{nil, nil, true},
		{nil, json.RawMessage(`{"inputRequests":null,"content":[{"inputRequests":{"q":{"method":"x"}}}]}`), true},
		// What one reader would not see, another would.
		{offers, json.RawMessage(`{"inputRequests":{"q":{"method":"sampling/createMessage"}},"InputRequests":null}`), false},
		{offers, json.RawMessage(`{"inputRequests":{"q":{"method":"sampling/createMessage"}},"inputRequests":{}}`), false},
		{offers, json.RawMessage(`{"inputRequests":{"q":{"method":"sampling/createMessage","Method":"elicitation/create"}}}`), false},
		{offers, json.RawMessage(`{"inputRequests":{"q":{"method":"sampling/createMessage"},"r":7}}`), false},
		{offers, json.RawMessage(`{"inputRequests":[{"method":"sampling/createMessage"}]}`), false},
		{offers, json.RawMessage(`{"inputRequests":{"q":{"method":null}}}`), false},
		{offers, json.RawMessage(`{"inputRequests":{"q":{}}}`), false},
	} {
		err := new(bridge).checkAsked(&jsonrpc.Request{Params: tt.params}, &jsonrpc.Response{Result: tt.result})
		if (err == nil) != tt.ok {
			t.Errorf("%s, %s: %v", tt.params, tt.result, err)
		}
	}
	// The older generation asks in an error.
	url := &jsonrpc.Response{Error: &jsonrpc.Error{Code: codeURLElicitation, Data: json.RawMessage(`{"elicitations":[{"url":"https://x"}]}`)}}
	b := new(bridge)
	if err := b.checkAsked(&jsonrpc.Request{}, url); err == nil {
		t.Error("a user is sent somewhere, which the client did not offer")
	}
	b.offers = map[string]json.RawMessage{"elicitation": json.RawMessage(`{}`)}
	if err := b.checkAsked(&jsonrpc.Request{}, url); err != nil {
		t.Error(err)
	}
}

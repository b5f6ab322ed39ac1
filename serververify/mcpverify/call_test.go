//lint:file-ignore SA1019 sessions of the older generation still speak of logging and sampling

package mcpverify

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/badge/pop"
)

func readCall(method string, params []byte) (*pop.Call, error) {
	members, _, err := callMembers(params)
	if err != nil {
		return nil, err
	}
	return callOf(method, members)
}

// The table of spec/call-proof.md section 3.1.
func TestCallOf(t *testing.T) {
	raw := func(text string) json.RawMessage { return json.RawMessage(text) }
	meta := mcp.Meta{"k": "v"}
	for _, test := range []struct {
		method string
		params mcp.Params
		want   pop.Call
	}{
		{"tools/call", &mcp.CallToolParams{Meta: meta, Name: "t", Arguments: map[string]any{"a": 1}}, pop.Call{Target: "t", Arguments: raw(`{"a":1}`)}},
		{"prompts/get", &mcp.GetPromptParams{Name: "p", Arguments: map[string]string{"a": "b"}}, pop.Call{Target: "p", Arguments: raw(`{"a":"b"}`)}},
		{"resources/read", &mcp.ReadResourceParams{Meta: meta, URI: "file:///a"}, pop.Call{Target: "file:///a"}},
		{"resources/subscribe", &mcp.SubscribeParams{URI: "file:///a"}, pop.Call{Target: "file:///a"}},
		{"resources/unsubscribe", &mcp.UnsubscribeParams{URI: "file:///a"}, pop.Call{Target: "file:///a"}},
		{
			"completion/complete",
			&mcp.CompleteParams{Meta: meta, Ref: &mcp.CompleteReference{Type: "ref/prompt", Name: "p"}, Argument: mcp.CompleteParamsArgument{Name: "n", Value: "v"}},
			pop.Call{Target: "p", Arguments: raw(`{"argument":{"name":"n","value":"v"}}`)},
		},
		{
			"completion/complete",
			&mcp.CompleteParams{Ref: &mcp.CompleteReference{Type: "ref/resource", URI: "file:///{a}"}, Context: &mcp.CompleteContext{Arguments: map[string]string{"x": "y"}}},
			pop.Call{Target: "file:///{a}", Arguments: raw(`{"argument":{"name":"","value":""},"context":{"arguments":{"x":"y"}}}`)},
		},
		{"tools/list", &mcp.ListToolsParams{Meta: meta, Cursor: "c"}, pop.Call{}},
		{"tools/list", (*mcp.ListToolsParams)(nil), pop.Call{}},
		{"resources/templates/list", &mcp.ListResourceTemplatesParams{}, pop.Call{}},
		{"subscriptions/listen", &mcp.SubscriptionsListenParams{Meta: meta}, pop.Call{Target: "subscriptions/listen"}},
		{"logging/setLevel", &mcp.SetLoggingLevelParams{Meta: meta, Level: "debug"}, pop.Call{Target: "logging/setLevel", Arguments: raw(`{"level":"debug"}`)}},
	} {
		text, err := json.Marshal(test.params)
		if err != nil {
			t.Fatal(err)
		}
		got, err := readCall(test.method, text)
		if err != nil {
			t.Fatalf("%s: %v", test.method, err)
		}
		test.want.Method = test.method
		want, err := test.want.Hash([32]byte{})
		if err != nil {
			t.Fatal(err)
		}
		if hash, err := got.Hash([32]byte{}); err != nil || hash != want {
			t.Errorf("%s: %v\n%s", test.method, err, cmp.Diff(test.want, *got))
		}
	}
}

func TestReadCallOfSubscriptions(t *testing.T) {
	got, err := readCall("subscriptions/listen", []byte(`{"notifications":{"resourceSubscriptions":["file:///a","file:///b"]}}`))
	if err != nil || got.Target != "file:///a" || string(got.Arguments) != `{"resourceSubscriptions":["file:///a","file:///b"]}` {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []string{`[]`, `{"notifications":1}`, `{"notifications":{"resourceSubscriptions":"file:///a"}}`} {
		if _, err := readCall("subscriptions/listen", []byte(bad)); err == nil {
			t.Errorf("%s: read", bad)
		}
	}
}

// The parameters of a method of somebody's own may have any members.
func TestReadCallOfOwnMethod(t *testing.T) {
	const text = `{"_meta":{},"arguments":[1],"name":1,"notifications":2,"ref":"x","uri":[]}`
	got, err := readCall("example/own", []byte(text))
	if err != nil || got.Target != "example/own" || string(got.Arguments) != `{"arguments":[1],"name":1,"notifications":2,"ref":"x","uri":[]}` {
		t.Errorf("got %+v, %v", got, err)
	}
}

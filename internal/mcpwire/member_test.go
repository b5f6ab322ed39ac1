package mcpwire

import (
	"encoding/json"
	"testing"
)

func TestToolName(t *testing.T) {
	for params, want := range map[string]string{
		`{"name":"read","arguments":{"Name":"x","name":"y"}}`: "read",
		`{"n\u0061me":"read","name2":1}`:                      "read",
		`{"name":""}`:                                         "",
	} {
		if got, err := ToolName(json.RawMessage(params)); got != want || err != nil {
			t.Errorf("%s: %q, %v", params, got, err)
		}
	}
	for _, params := range []string{
		``, `null`, `[]`, `{}`, `{"name":null}`, `{"name":7}`, `{"Name":"read"}`, `{"name":"a","name":"b"}`,
		`{"name":"a","Name":"b"}`, `{"NAME":"a","name":"b"}`, `{"name":null,"name":"b"}`, `{"name":"a","n\u0041me":"b"}`, `{"name":`, `{"name":"a"`,
	} {
		if got, err := ToolName(json.RawMessage(params)); err == nil {
			t.Errorf("%s: %q", params, got)
		}
	}
}

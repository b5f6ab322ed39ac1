package mcpverify

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
)

// What a server's schemas and a client's arguments ask for in header fields is
// always a field that HTTP has.
func FuzzParamHeaders(f *testing.F) {
	f.Add([]byte(`{"properties":{"a":{"type":"string","x-mcp-header":"Region"},"b":{"properties":{"c":{"x-mcp-header":"C"}}}}}`), []byte(`{"a":"x","b":{"c":1}}`))
	f.Add([]byte(`{"properties":{"a":{"x-mcp-header":"A b"}}}`), []byte(`{"a":" \u0000ä"}`))
	f.Fuzz(func(t *testing.T, schema, arguments []byte) {
		c := &httpConn{params: map[string][]paramHeader{}}
		list, err := json.Marshal(map[string]any{"tools": []any{map[string]any{"name": "x", "inputSchema": json.RawMessage(schema)}}})
		if err != nil {
			return
		}
		c.learn(list)
		params, err := json.Marshal(map[string]any{"name": "x", "arguments": json.RawMessage(arguments)})
		if err != nil {
			return
		}
		h := http.Header{}
		c.setParamHeaders(h, params)
		for name, values := range h {
			plain := strings.Trim(values[0], " ") == values[0] && !strings.ContainsFunc(values[0], func(r rune) bool { return r < ' ' || r > '~' })
			if !strings.HasPrefix(name, headerParam) || !isToken(name) || !plain {
				t.Errorf("%q: %q", name, values)
			}
		}
	})
}

func FuzzHeaderText(f *testing.F) {
	for _, s := range []string{"", "plain", " x", "ä", "=?base64?eA==?=", "=?base64?", "\x7f"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		out := headerText(s)
		if in, ok := strings.CutPrefix(out, "=?base64?"); ok && strings.HasSuffix(in, "?=") {
			b, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(in, "?="))
			if err != nil || string(b) != s {
				t.Errorf("%q becomes %q", s, out)
			}
		} else if out != s {
			t.Errorf("%q becomes %q", s, out)
		}
	})
}

// What the client offers is gone from its requests, and nothing else is.
func FuzzWithoutOffers(f *testing.F) {
	f.Add("initialize", []byte(`{"capabilities":{"sampling":{},"roots":{},"experimental":{}}}`))
	f.Add("tools/call", []byte(`{"name":"x","_meta":{"io.modelcontextprotocol/clientCapabilities":{"elicitation":{}}}}`))
	f.Fuzz(func(t *testing.T, method string, params []byte) {
		req, err := withoutOffers(&jsonrpc.Request{Method: method, Params: params})
		if err != nil {
			return
		}
		for _, offer := range clientOffers {
			if _, ok := offersOf(req.Params)[offer]; ok && method == methodInitialize {
				t.Errorf("%s is still offered: %s", offer, req.Params)
			}
		}
		asks := &jsonrpc.Response{Result: json.RawMessage(`{"inputRequests":{"q":{"method":"elicitation/create"}}}`)}
		if err := new(bridge).checkAsked(req, asks); err == nil && method != methodInitialize {
			t.Errorf("an elicitation is let through for %s", req.Params)
		}
		again, err := withoutOffers(req)
		if err != nil || string(again.Params) != string(req.Params) {
			t.Errorf("%s becomes %s, %v", req.Params, again.Params, err)
		}
	})
}

func FuzzCancelledID(f *testing.F) {
	f.Add([]byte(`{"requestId":1}`))
	f.Add([]byte(`{"requestId":"x","reason":"y"}`))
	f.Fuzz(func(t *testing.T, params []byte) {
		if id, ok := cancelledID(params); ok && !id.IsValid() {
			t.Errorf("%s names no request", params)
		}
	})
}

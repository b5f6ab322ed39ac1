package mcpverify

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
)

// A client does not get past the judge of tools by a call that wants no answer,
// nor by one that the judge and the server would read differently.
func TestBridgeSmuggledCalls(t *testing.T) {
	for _, tools := range []bool{true, false} {
		st := newStage(t, newServer(), generation2026, false)
		var mu sync.Mutex
		var posted []string
		st.use(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			posted = append(posted, string(body))
			mu.Unlock()
			r.Body = io.NopCloser(bytes.NewReader(body))
			st.handler.ServeHTTP(w, r)
		}))
		c := st.bridge(func(c *BridgeConfig) {
			if tools {
				c.Tools = &approval{}
			}
		}).wire(t)
		if resp := ask(t, c, callText("1", "greet")); resp.Error != nil {
			t.Fatal(resp.Error)
		}
		say(t, c, `{"jsonrpc":"2.0","method":"tools/call","params":{"name":"smuggled",`+newMeta+`}}`)
		if tools {
			for _, names := range []string{
				`"name":"smuggled","NAME":"greet"`, `"name":"greet","Name":"smuggled"`, `"name":"smuggled","name":"greet"`, `"name":"greet","name":"smuggled"`, `"Name":"smuggled"`,
			} {
				resp := ask(t, c, `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{`+names+`,`+newMeta+`}}`)
				wantCode(t, resp.Error, jsonrpc.CodeInvalidParams, "")
			}
		}
		if resp := ask(t, c, callText("3", "greet")); resp.Error != nil {
			t.Fatal(resp.Error)
		}
		mu.Lock()
		if all := strings.Join(posted, "\n"); strings.Contains(all, "smuggled") {
			t.Errorf("the server got %s", all)
		}
		mu.Unlock()
	}
}

package gateway

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/touchmark-dev/touchmark/guard"
)

// TestProgress: an upstream says how the calls get on that are under way and whose callers asked, and nothing else: not of
// calls that are over, and not of those of whose result no more than so much is to reach the caller.
func TestProgress(t *testing.T) {
	told := func(token string) *message {
		return &message{Method: "notifications/progress", Params: json.RawMessage(`{"_meta":{"capiscio_x":1,"x":1},"progress":1,"progressToken":` + token + `}`)}
	}
	for name, c := range map[string]struct {
		constraints guard.Constraints
		token, says string
		passes      bool
	}{
		"a number":         {guard.Constraints{MaxConcurrent: 9}, `7`, `7`, true},
		"a text":           {guard.Constraints{MaxConcurrent: 9}, `"a\u0062"`, `"ab"`, true},
		"another":          {guard.Constraints{MaxConcurrent: 9}, `7`, `8`, false},
		"of another type":  {guard.Constraints{MaxConcurrent: 9}, `7`, `"7"`, false},
		"none":             {guard.Constraints{MaxConcurrent: 9}, `null`, `null`, false},
		"a list":           {guard.Constraints{MaxConcurrent: 9}, `[1]`, `[1]`, false},
		"of measured size": {guard.Constraints{MaxResultBytes: 1000}, `7`, `7`, false},
	} {
		r := newLimitedRig(t, c.constraints, &counter{freed: make(chan struct{}, 9)}, 0)
		r.server.answer = func(m *message) *message {
			if m.Method == "tools/call" || m.Method == "ping" {
				if err := r.server.in.write(told(c.says)); err != nil {
					t.Error(err)
				}
			}
			return answerAll(m)
		}
		call := `{"name":"hello","arguments":{},"_meta":{"progressToken":` + c.token + `}}`
		for id, method := range []string{"ping", "tools/call", "ping"} { // before it is under way, while it is, and after
			if err := r.client.write(&message{ID: json.RawMessage{'1' + byte(id)}, Method: method, Params: json.RawMessage(call)}); err != nil {
				t.Fatal(err)
			}
			var methods []string
			for {
				m, err := r.client.read()
				if err != nil {
					t.Fatal(err)
				}
				if m.isResponse() {
					break
				}
				methods = append(methods, m.Method)
				if want := `{"_meta":{"x":1},"progress":1,"progressToken":` + c.says + `}`; string(m.Params) != want {
					t.Errorf("%s: %s", name, m.Params)
				}
			}
			if want := c.passes && method == "tools/call"; slices.Contains(methods, "notifications/progress") != want {
				t.Errorf("%s, %s: passed on %v", name, method, methods)
			}
		}
		r.end()
	}
}

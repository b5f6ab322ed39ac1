package mcpguard_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/mcpguard"
)

// TestManyCallersAtOnce: callers share a server, a session and an adapter, and nobody gets what is another's.
func TestManyCallersAtOnce(t *testing.T) {
	const callers, each = 8, 6
	for _, stateful := range []bool{false, true} {
		t.Run(fmt.Sprintf("stateful=%v", stateful), func(t *testing.T) {
			w := guardtest.New(t)
			s := newServer(nil)
			a := mcpguard.Protect(s, w.Guard())
			url := serve(t, s, a, &mcp.StreamableHTTPOptions{Stateless: !stateful, JSONResponse: true})
			session := ""
			if stateful {
				session = open(t, url, nil)
			}
			var wg sync.WaitGroup
			for i := range callers {
				level := badge.LevelRegistered + badge.Level(i%4)
				agent := w.NewAgent(fmt.Sprintf("did:web:agents.example:c%d", i), level)
				wg.Go(func() {
					for n := range each {
						tool, text := "c_level2", fmt.Sprintf("c%d-%d", i, n)
						arguments := `{"text":"` + text + `"}`
						headers := proven(agent, tool, arguments)
						body := fmt.Sprintf(`{"jsonrpc":"2.0","id":"c%d-%d","method":"tools/call","params":{"name":%q,"arguments":%s}}`, i, n, tool, arguments)
						headers["Mcp-Protocol-Version"] = withSessions
						if session != "" {
							headers["Mcp-Session-Id"] = session
						}
						_, answer := post(t, url, body, headers)
						if got := strings.Contains(answer, "c_level2 "+text); got != level.AtLeast(badge.LevelDomain) {
							t.Errorf("caller %d of level %v: %s", i, level, answer)
						}
					}
				})
			}
			wg.Wait()
			decisions := w.Recorder.Decisions()
			if len(decisions) != callers*each {
				t.Errorf("%d decisions", len(decisions))
			}
			for _, d := range decisions {
				who, _, _ := strings.Cut(d.RequestID, "-")
				if !strings.HasSuffix(d.Caller.DID.String(), ":"+who) {
					t.Errorf("request %s recorded as of %s", d.RequestID, d.Caller.DID)
				}
			}
			checkClosed(t, w)
		})
	}
}

package mcpguard_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/mcpguard"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
)

// TestManyResources: each resource that a request names is looked up before anybody knows who asks, so one request cannot
// name any number.
func TestManyResources(t *testing.T) {
	w := guardtest.New(t)
	s := newServer(nil)
	mcpguard.Protect(s, w.Guard())
	uris := make([]string, 100_000)
	for i := range uris {
		uris[i] = fmt.Sprintf(`"x:%d"`, i)
	}
	for n, want := range map[int]guard.Code{
		mcpguard.MaxSubscriptions:     guard.CodeAuthMissing,
		mcpguard.MaxSubscriptions + 1: guard.CodeRequestMalformed,
		len(uris):                     guard.CodeRequestMalformed,
	} {
		msg := listen(t, s, `"resourceSubscriptions":[`+strings.Join(uris[:n], ",")+`]`, ``)
		response, ok := msg.(*jsonrpc.Response)
		var wire *jsonrpc.Error
		var denial mcpwire.Denial
		if !ok || !errors.As(response.Error, &wire) || json.Unmarshal(wire.Data, &denial) != nil || denial.ReasonCode != string(want) {
			t.Errorf("%d resources: %v", n, msg)
		}
	}
}

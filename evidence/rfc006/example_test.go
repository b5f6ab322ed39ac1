package rfc006_test

import (
	"fmt"
	"strings"

	"github.com/touchmark-dev/touchmark/evidence/rfc006"
)

func Example() {
	r := rfc006.NewReader(strings.NewReader(`{"event.name":"capiscio.tool_invocation","capiscio.agent.did":"","capiscio.auth.level":"ANONYMOUS",` +
		`"capiscio.target":"read_file","capiscio.policy_version":"v1","capiscio.decision":"ALLOW"}`))
	for {
		got, err := r.Next()
		if err != nil {
			break // io.EOF at the end
		}
		fmt.Println(got.Line, got.Verdict, got.Code)
	}
	// Output: 1 undetermined RFC006_AUTH_LEVEL_FORM
}

package authzen_test

import (
	"context"
	"fmt"
	"log"

	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/policy"
	"github.com/touchmark-dev/touchmark/guard/policy/authzen"
)

// A local policy says what is open to whom at all; the service is asked about what is left.
func ExampleAll() {
	local, err := policy.Parse([]byte(`
version: 1
rules:
  - {id: readers, match: {tool: "read_*"}, anonymous: true, decision: allow}
`))
	if err != nil {
		log.Fatal(err)
	}
	service, err := authzen.New(&authzen.Config{Endpoint: "http://127.0.0.1:9", Anonymous: true}) // nobody is there
	if err != nil {
		log.Fatal(err)
	}
	defer service.Close()
	both := authzen.All(local, service)
	for _, tool := range []string{"read_file", "write_file"} {
		d, err := both.Decide(context.Background(), &guard.Input{
			Caller: &guard.Principal{}, Verb: guard.Invoke, Method: "tools/call",
			Capability: guard.Capability{Kind: guard.KindTool, Name: tool},
		})
		fmt.Println(tool, "no rule:", d.NoRule, "could not be told:", err != nil)
	}
	// Output:
	// read_file no rule: false could not be told: true
	// write_file no rule: true could not be told: false
}

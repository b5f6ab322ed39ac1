package policy_test

import (
	"context"
	"fmt"

	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/policy"
)

func Example() {
	rules, err := policy.Parse([]byte(`
version: 1
rules:
  - id: readers
    match: {tool: "read_*"}
    min_level: 2
    decision: allow
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, tool := range []string{"read_file", "write_file"} {
		d, err := rules.Decide(context.Background(), &guard.Input{
			Capability: guard.Capability{Kind: guard.KindTool, Name: tool},
		})
		fmt.Println(tool, d.Rule, d.MinLevel, d.NoRule, err)
	}

	_, err = policy.Parse([]byte("version: 1\nrules:\n  - id: readers\n    mode: observe\n"))
	fmt.Println(err)
	// Output:
	// read_file readers 2 false <nil>
	// write_file  none true <nil>
	// policy: line 4, column 5: a rule has "mode", which this version does not know
}

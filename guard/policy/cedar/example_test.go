package cedar_test

import (
	"fmt"
	"log"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/policy"
	"github.com/touchmark-dev/touchmark/guard/policy/cedar"
)

func ExampleParse() {
	p, err := cedar.Parse([]byte(`
@id("readers") @min_level("2")
permit (principal is Agent, action, resource is Tool)
when { context.arguments.path like "/data/*" };

@id("no_prod")
forbid (principal, action, resource)
when { context.environment == "production" };
`))
	if err != nil {
		log.Fatal(err)
	}
	call := &policy.Call{
		Verb: guard.Invoke, Method: "tools/call", Capability: guard.Capability{Kind: guard.KindTool, Name: "read_file"},
		Arguments: []byte(`{"path": "/data/a"}`), Caller: policy.Caller{Level: badge.LevelDomain, DID: "did:web:agent.example"},
		Facts: guard.Facts{Environment: "staging"},
	}
	d, err := p.Try(call)
	fmt.Println(policy.DecisionName(d.Kind), d.Rule, d.MinLevel, err)

	call.Facts.Environment = "" // nobody knows where this runs
	_, err = p.Try(call)
	fmt.Println(err)
	// Output:
	// allow readers 2 <nil>
	// cedar: policy "no_prod", line 6, cannot be evaluated: record does not have the attribute `environment`
}

package guard_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
)

// Wrap guards a plain Go function. A server takes its Recorder from package evidence, and its verifiers from
// packages badge and badge/pop.
func ExampleWrap() {
	rules := always(guard.Decision{NoRule: true}) // see package guard/policy
	g, err := guard.New(&guard.Config{Policy: rules, Evidence: guardtest.NewRecorder()})
	if err != nil {
		fmt.Println(err)
		return
	}
	wipe := guard.Wrap(g, guard.Function{Name: "wipe", Level: badge.LevelOrganization},
		func(_ context.Context, disk string) (string, error) { return "wiped " + disk, nil })

	_, err = wipe(context.Background(), guard.Credentials{}, "sda")
	var denied *guard.DeniedError
	if errors.As(err, &denied) {
		fmt.Println(denied.Code)
		fmt.Println(denied.Reason())
	}
	// Output:
	// TOOL_AUTH_MISSING
	// this needs a badge; present one
}

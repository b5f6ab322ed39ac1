package pgstate_test

import (
	"context"
	"fmt"

	"github.com/touchmark-dev/touchmark/translog/trillianlog/pgstate"
)

// The state belongs in another database than Trillian's. Each publisher of the log opens it by the log's origin.
func Example() {
	state, err := pgstate.Open("postgresql://publisher@state.internal/touchmark", "log.example/calls")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer state.Close(context.Background()) // nothing was asked, so it is not connected

	_, err = pgstate.Open("postgresql://publisher@state.internal/touchmark", "")
	fmt.Println(err)
	// Output: pgstate: the state of a log needs the log's origin
}

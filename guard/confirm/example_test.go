package confirm_test

import (
	"context"
	"fmt"
	"log"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard/confirm"
	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/translogtest"
)

// A guard asks by itself: guard.Config{Included: waiter}. This is what it asks.
func Example() {
	ctx := context.Background()
	l := translogtest.NewLog("log.example/calls")
	waiter, err := confirm.Included(&confirm.Config{Log: l.Source(), Policy: l.Policy()})
	if err != nil {
		log.Fatal(err)
	}
	entry := []byte("a record")
	if _, err := l.Append(ctx, [][]byte{entry}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(waiter.Confirm(ctx, &evidence.Ack{Sequence: 0, LeafHash: evidence.Hash(translog.LeafHash(entry))}))
	// Output:
	// <nil>
}

package trilliantest

import (
	"fmt"
	"os"
	"os/signal"
	"testing"
)

// TestServe runs a Trillian on a PostgreSQL with fsync until it is interrupted, for whoever wants one by hand:
// `make trillian-up`. Nothing of it is left then.
func TestServe(t *testing.T) {
	if os.Getenv("TOUCHMARK_TRILLIAN_UP") == "" {
		t.Skip("TOUCHMARK_TRILLIAN_UP is not set")
	}
	r := Start(t, DurablePostgreSQL(t))
	r.Tree() // waits until it answers
	fmt.Printf("touchmark log bench --log trillian://%s --analyze '%s'\n", r.Address, r.Database.URI)
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	<-interrupted
}

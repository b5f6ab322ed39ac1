package trilliantest_test

import (
	"context"
	"testing"

	"github.com/touchmark-dev/touchmark/translog/trillianlog"
	"github.com/touchmark-dev/touchmark/translog/trillianlog/trilliantest"
)

// A test has a Trillian of its own, which ends with it. Its programs are made by: make trillian
func Example() {
	test := func(t *testing.T) {
		r := trilliantest.Start(t, trilliantest.PostgreSQL(t))
		cfg := &trillianlog.Config{Server: r.Address}
		if _, err := trillianlog.CreateTree(context.Background(), cfg, "calls"); err != nil {
			t.Fatal(err)
		}
	}
	_ = test
}

package main

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/touchmark-dev/touchmark/translog/trillianlog/trilliantest"
)

// TestLogBenchOnTrillian measures a log in a real Trillian. With TOUCHMARK_LOG_BENCH, a number of records, it is a
// measurement on a PostgreSQL with fsync, which `make bench-trillian` prints, and else a look at whether it can be made.
func TestLogBenchOnTrillian(t *testing.T) {
	database, records := trilliantest.PostgreSQL, "200"
	plot := filepath.Join(t.TempDir(), "growth.svg")
	if n := os.Getenv("TOUCHMARK_LOG_BENCH"); n != "" {
		database, records, plot = trilliantest.DurablePostgreSQL, n, filepath.Join("..", "..", "log-bench-trillian.svg")
	}
	r := trilliantest.Start(t, database(t))
	r.Tree() // waits until it answers
	if _, err := strconv.Atoi(records); err != nil {
		t.Fatal(err)
	}
	code := run([]string{"touchmark", "log", "bench", "--records", records, "--log", "trillian://" + r.Address,
		"--ahead", "5000", "--analyze", r.Database.URI, "--markdown", "--plot", plot, "--force"})
	if code != exitOK {
		t.Fatalf("exit code %d", code)
	}
}

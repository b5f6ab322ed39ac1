package trillianlog_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/trillian"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/touchmark-dev/touchmark/internal/floor"
	"github.com/touchmark-dev/touchmark/translog/trillianlog"
	"github.com/touchmark-dev/touchmark/translog/trillianlog/trilliantest"
)

// BenchmarkShip appends entries of 1,000 bytes to a log in a Trillian on a PostgreSQL with fsync, in batches as a
// ledger's feeder makes them, and sends the same batches to another tree of the same Trillian without more ado, in
// turns. x-floor is the throughput relative to that, medians. Both trees are sequenced meanwhile; of ours, tiles and checkpoints
// are made too.
func BenchmarkShip(b *testing.B) {
	r := trilliantest.Start(b, trilliantest.DurablePostgreSQL(b))
	for _, size := range []int{256, 512, 1024} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) { benchmarkShip(b, r, size) })
	}
}

// benchmarkShip makes turns of four batches.
func benchmarkShip(b *testing.B, r *trilliantest.Trillian, size int) {
	const turn = 4
	cfg := newConfig(b, r)
	cfg.CheckpointInterval = time.Second
	l := open(b, cfg)
	bare := newBareTree(b, r)
	entries := make([][]byte, turn*size)
	for i := range entries {
		entries[i] = make([]byte, 1000)
	}
	var turns floor.Turns
	for grown := 0; b.Loop(); grown += len(entries) {
		if grown < 8*len(entries) || grown%(32*len(entries)) == 0 { // see README.md on the planner
			if err := r.Database.Analyze(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
		for _, e := range entries {
			rand.Read(e) //nolint:errcheck // never fails
		}
		began := time.Now()
		for batch := range slices.Chunk(entries, size) {
			if _, err := l.Append(b.Context(), batch); err != nil {
				b.Fatal(err)
			}
		}
		middle := time.Now()
		for batch := range slices.Chunk(entries, size) {
			bare.add(b, batch)
		}
		turns.Add(time.Since(middle), middle.Sub(began))
	}
	b.ReportMetric(1/turns.Ratio(), "x-floor")
	b.ReportMetric(float64(len(entries))/turns.Ours().Seconds(), "entries/s")
	b.ReportMetric(float64(len(entries))/turns.Floor().Seconds(), "floor-entries/s")
	closeLog(b, l)
}

// A bareTree is a tree that entries are sent to, and nothing else.
type bareTree struct {
	log  trillian.TrillianLogClient
	id   int64
	next int64
}

func newBareTree(b *testing.B, r *trilliantest.Trillian) *bareTree {
	b.Helper()
	conn, err := grpc.NewClient(r.Address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	return &bareTree{log: trillian.NewTrillianLogClient(conn), id: r.Tree()}
}

// add sends one batch and looks at every answer.
func (t *bareTree) add(b *testing.B, entries [][]byte) {
	leaves := make([]*trillian.LogLeaf, len(entries))
	for i, e := range entries {
		leaves[i] = &trillian.LogLeaf{LeafValue: e, LeafIndex: t.next, LeafIdentityHash: trillianlog.Identity(uint64(t.next), e)}
		t.next++
	}
	ctx, cancel := context.WithTimeout(b.Context(), trillianlog.DefaultTimeout)
	defer cancel()
	answer, err := t.log.AddSequencedLeaves(ctx, &trillian.AddSequencedLeavesRequest{LogId: t.id, Leaves: leaves})
	if err != nil {
		b.Fatal(err)
	}
	for _, result := range answer.GetResults() {
		if code := codes.Code(result.GetStatus().GetCode()); code != codes.OK {
			b.Fatal(code)
		}
	}
}

package trillianlog_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/trillian"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/trillianlog"
	"github.com/touchmark-dev/touchmark/translog/trillianlog/trilliantest"
)

// BenchmarkSubmit has writers append entries of 600 bytes, each writer in its order, by a Shared, and by the bare client of
// Trillian: the ratio of the two is reported.
func BenchmarkSubmit(b *testing.B) {
	r := trilliantest.Start(b, trilliantest.DurablePostgreSQL(b))
	cfg := newShared(b, r, nil)
	publish(b, cfg)
	s := openShared(b, cfg)
	conn, err := grpc.NewClient(r.Address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	bare := trillian.NewTrillianLogClient(conn)
	var mu sync.Mutex
	n := 0
	entry := func() []byte {
		mu.Lock()
		defer mu.Unlock()
		n++
		return fmt.Appendf(nil, "%0600d", n)
	}
	for _, writers := range []int{1, 16, 64} {
		b.Run(fmt.Sprint(writers), func(b *testing.B) {
			ours := appendAll(b, writers, func(ctx context.Context) error {
				_, err := s.Submit(ctx, nil, [][]byte{entry()})
				return err
			})
			theirs := appendAll(b, writers, func(ctx context.Context) error {
				e := entry()
				id := translog.LeafHash(e)
				_, err := bare.QueueLeaf(ctx, &trillian.QueueLeafRequest{LogId: cfg.Tree, Leaf: &trillian.LogLeaf{LeafValue: e, LeafIdentityHash: id[:]}})
				return err
			})
			b.ReportMetric(float64(b.N)/ours.Seconds(), "entries/s")
			b.ReportMetric(theirs.Seconds()/ours.Seconds(), "ratio-to-bare")
		})
	}
	st := s.Stats()
	b.Logf("%+v", st)
}

func appendAll(b *testing.B, writers int, one func(context.Context) error) time.Duration {
	b.Helper()
	var all sync.WaitGroup
	began := time.Now()
	for w := range writers {
		all.Go(func() {
			for i := w; i < b.N; i += writers {
				if err := one(context.Background()); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	return time.Since(began)
}

// TestPlanner measures what the statistics of PostgreSQL mean to a new tree beside a large one. It needs minutes, and is
// for a soak.
func TestPlanner(t *testing.T) {
	if os.Getenv("TOUCHMARK_SOAK") == "" {
		t.Skip("TOUCHMARK_SOAK is not set")
	}
	db := trilliantest.DurablePostgreSQL(t)
	r := trilliantest.Start(t, db)
	fill := func(n int) *trillianlog.Config {
		cfg := newShared(t, r, nil)
		_, stop := publish(t, cfg)
		s := openShared(t, cfg)
		var all sync.WaitGroup
		for w := range 32 {
			all.Go(func() {
				for i := w; i < n; i += 32 {
					if _, err := s.Submit(t.Context(), nil, [][]byte{fmt.Appendf(nil, "%0600d", i)}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		awaitShown(t, cfg, n)
		if err := stop(); err != nil {
			t.Error(err)
		}
		return cfg
	}
	again := func(cfg *trillianlog.Config) time.Duration {
		cfg.Dir = filepath.Join(t.TempDir(), "again")
		began := time.Now()
		_, stop := publish(t, cfg)
		awaitShown(t, cfg, 1)
		took := time.Since(began)
		if err := stop(); err != nil {
			t.Error(err)
		}
		return took
	}
	fill(20_000)
	trilliantest.Exec(t, db.URI, "ANALYZE leafdata, sequencedleafdata")
	trilliantest.Exec(t, db.URI, "ALTER TABLE leafdata SET (autovacuum_enabled = off)")
	trilliantest.Exec(t, db.URI, "ALTER TABLE sequencedleafdata SET (autovacuum_enabled = off)")
	cfg := fill(5_000)
	before := again(cfg)
	trilliantest.Exec(t, db.URI, "ANALYZE leafdata, sequencedleafdata")
	t.Logf("5,000 entries read again: %v, after ANALYZE %v", before, again(cfg))
}

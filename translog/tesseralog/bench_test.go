package tesseralog_test

import (
	"crypto/rand"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/internal/floor"
	"github.com/touchmark-dev/touchmark/translog/tesseralog"
)

// BenchmarkFeed appends entries of 600 bytes, from callers that each wait for
// their entry before the next, and from one feeder. x-floor is the throughput
// relative to a bare Tessera feeder with batches of the same size, measured in
// turn with it: medians.
func BenchmarkFeed(b *testing.B) {
	for _, callers := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			benchmarkFeed(b, callers, callers, 1)
		})
	}
	for _, each := range []int{256, 512, 4096} {
		b.Run(fmt.Sprintf("feeder/batch=%d", each), func(b *testing.B) {
			benchmarkFeed(b, each, 1, each)
		})
	}
}

// benchmarkFeed lets callers append each entries a call, and the floor batches
// of batch entries. One iteration is four calls of
// every caller, then four batches of the floor, so that a busy disk slows both.
func benchmarkFeed(b *testing.B, batch, callers, each int) {
	const calls = 4
	cfg := newConfig(b)
	cfg.CheckpointInterval = time.Second
	cfg.CollectInterval = 2 * time.Second
	create(b, cfg)
	l := open(b, cfg)
	bare, err := floor.NewTesseraFeeder(filepath.Join(b.TempDir(), "floor"), batch)
	if err != nil {
		b.Fatal(err)
	}
	defer bare.Close()
	entries := make([][]byte, max(batch, each))
	for i := range entries {
		entries[i] = make([]byte, 600)
		rand.Read(entries[i])
	}

	var turns floor.Turns
	for b.Loop() {
		start := time.Now()
		feedLog(b, l, entries[:each], callers, calls)
		middle := time.Now()
		for range calls {
			if err := bare.Feed(entries[:batch]); err != nil {
				b.Fatal(err)
			}
		}
		turns.Add(time.Since(middle), middle.Sub(start))
	}
	b.ReportMetric(1/turns.Ratio(), "x-floor")
	b.ReportMetric(float64(calls*callers*each)/turns.Ours().Seconds(), "entries/s")
	b.ReportMetric(turns.Ours().Seconds()*1e3/calls, "ms/append")
	b.ReportMetric(turns.Floor().Seconds()*1e3/calls, "floor-ms")
	if err := l.Close(b.Context()); err != nil {
		b.Log(err)
	}
}

func feedLog(b *testing.B, l *tesseralog.Log, entries [][]byte, callers, calls int) {
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range calls {
				if _, err := l.Append(b.Context(), entries); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

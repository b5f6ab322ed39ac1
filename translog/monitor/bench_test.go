package monitor

import (
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/internal/floor"
)

// BenchmarkLook measures the entries that one look reads in a second on all processors: with every signature, in
// relation to as many bare verifications, and without. What is durable after each chunk counts, as it does in long logs.
func BenchmarkLook(b *testing.B) {
	const n = 2 * chunk
	f := newFixture(b, nil)
	f.append(f.server.records(n)...)
	for _, skip := range []bool{false, true} {
		b.Run("skipSignatures="+strconv.FormatBool(skip), func(b *testing.B) {
			var took, bare time.Duration
			for b.Loop() {
				cfg := *f.cfg
				cfg.Dir, cfg.UnsafeSkipSignatures, cfg.Reread = b.TempDir(), skip, 1
				m, err := Open(&cfg)
				if err != nil {
					b.Fatal(err)
				}
				began := time.Now()
				if report, err := m.Look(b.Context()); err != nil || len(report.Faults) > 0 || report.Size != n {
					b.Fatal(report, err)
				}
				took += time.Since(began)
				if err := m.Close(); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				bare += verifyBare(b, n)
				b.StartTimer()
			}
			b.ReportMetric(n*float64(b.N)/took.Seconds(), "entries/s")
			b.ReportMetric(bare.Seconds()/took.Seconds(), "x-of-verifying")
		})
	}
}

// verifyBare verifies n signatures on all processors.
func verifyBare(b *testing.B, n int) time.Duration {
	b.Helper()
	f, err := floor.NewEd25519(700)
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	var wg sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for range workers {
		wg.Go(func() {
			for range n / workers {
				if err := f.Verify(); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	return time.Since(began)
}

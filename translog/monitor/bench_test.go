package monitor

import (
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/internal/floor"
)

// BenchmarkLook measures the entries that one look reads, of whole records and of digests whose records are beside: with
// every signature, in relation to as many bare verifications, and without, in a second of one core. It goes by the time that
// the process had of the processors, which other processes do not take part in. What is durable after each chunk counts,
// as it does in long logs.
func BenchmarkLook(b *testing.B) {
	for _, form := range []evidence.LogForm{evidence.FormRecord, evidence.FormDigest} {
		f := newFixture(b, nil)
		if form == evidence.FormDigest {
			f.digests()
		}
		f.append(f.server.records(benchEntries)...)
		for _, skip := range []bool{false, true} {
			b.Run("form="+form.String()+"/skipSignatures="+strconv.FormatBool(skip), func(b *testing.B) { benchmarkLook(b, f, skip) })
		}
	}
}

const benchEntries = 2 * chunk

func benchmarkLook(b *testing.B, f *fixture, skip bool) {
	var took, bare time.Duration
	for b.Loop() {
		cfg := *f.cfg
		cfg.Dir, cfg.UnsafeSkipSignatures, cfg.Reread = b.TempDir(), skip, 1
		m, err := Open(&cfg)
		if err != nil {
			b.Fatal(err)
		}
		began := processorTime(b)
		if report, err := m.Look(b.Context()); err != nil || len(report.Faults) > 0 || report.Size != benchEntries {
			b.Fatal(report, err)
		}
		took += processorTime(b) - began
		if err := m.Close(); err != nil {
			b.Fatal(err)
		}
		if skip {
			continue
		}
		b.StopTimer()
		began = processorTime(b)
		verifyBare(b, benchEntries)
		bare += processorTime(b) - began
		b.StartTimer()
	}
	b.ReportMetric(benchEntries*float64(b.N)/took.Seconds(), "entries/s/core")
	if !skip {
		b.ReportMetric(bare.Seconds()/took.Seconds(), "x-of-verifying")
	}
}

// processorTime is what the process had of the processors.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// verifyBare verifies n signatures on all processors.
func verifyBare(b *testing.B, n int) {
	b.Helper()
	f, err := floor.NewEd25519(700)
	if err != nil {
		b.Fatal(err)
	}
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
}

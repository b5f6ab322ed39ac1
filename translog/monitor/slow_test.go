package monitor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
)

// A slow source answers late, or when nobody waits any more.
type slow struct {
	tlogclient.Source
	late    func() time.Duration
	tiles   time.Duration
	waiting func() // called before the first entries
}

func (s *slow) Entries(ctx context.Context, n uint64, partial uint8) ([]byte, error) {
	if s.waiting != nil {
		s.waiting()
		s.waiting = nil
	}
	select {
	case <-time.After(s.late()):
		return s.Source.Entries(ctx, n, partial)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *slow) Tile(ctx context.Context, level, n uint64, partial uint8) ([]byte, error) {
	select {
	case <-time.After(s.tiles):
		return s.Source.Tile(ctx, level, n, partial)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// A log that answers late holds up neither what is found before, nor the other steps; and going on with it is a fault.
func TestSlowLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const timeout = 5 * time.Minute
		var told []Code
		f := newFixture(t, func(cfg *Config) {
			cfg.Timeout = timeout
			cfg.OnFault = func(fault *Fault) { told = append(told, fault.Code) }
		})
		f.append(f.server.records(5)...)
		f.want()
		broken := &evidence.Promise{
			Server: f.server.did, LeafHash: evidence.Hash{1}, Stream: f.server.header.Stream, Sequence: 1_000_000, LogOrigin: f.m.origin,
			IssuedAt: time.Now().Add(-time.Hour), Deadline: time.Now().Add(-time.Minute),
		}
		token, err := broken.Sign(f.server.kid, f.server.key)
		if err == nil {
			err = f.m.AddPromise(token)
		}
		if err != nil {
			t.Fatal(err)
		}
		fork := f.log.Fork()
		if _, err := fork.Append(t.Context(), [][]byte{[]byte("another")}); err != nil {
			t.Fatal(err)
		}
		f.append(f.server.next(heartbeat()))
		late := 24 * time.Hour
		source := &slow{Source: f.log.Source(), late: func() time.Duration { return late }}
		source.waiting = func() {
			if !slices.Equal(told, []Code{Code(translog.CodeForked)}) {
				t.Errorf("told %q while the log answers late", told)
			}
		}
		f.source.Source = source
		view := &slow{Source: fork.Source(), late: func() time.Duration { return 0 }}
		f.cfg.Views = []View{{Name: "elsewhere", Source: view}}
		promises := f.m.state.Promises
		f.reopen()
		f.m.state.Promises = promises

		began := time.Now()
		f.wantUnread(Code(translog.CodeForked), CodePromiseBroken)
		if took := time.Since(began); took != 2*timeout { // what is new, and what is read again
			t.Errorf("a look took %v", took)
		}
		for time.Since(began) <= DefaultWithheldDelay {
			f.wantUnread()
		}
		f.wantUnread(CodeWithheld, CodeWithheld)
		if want := []Code{Code(translog.CodeForked), CodePromiseBroken, CodeWithheld, CodeWithheld}; !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
		if _, err := f.m.Look(t.Context()); err == nil || !strings.Contains(err.Error(), "after 5m0s") {
			t.Errorf("%v", err)
		}
		late = time.Second
		f.want()
		if f.m.state.Size != 6 {
			t.Errorf("%d entries", f.m.state.Size)
		}
	})
}

// A log that is read part by part withholds nothing, however long it takes; and who looks may end a look.
func TestSlowLogGoesOn(t *testing.T) {
	for _, late := range []time.Duration{4 * time.Second, 12 * time.Second} {
		t.Run(late.String(), func(t *testing.T) { testSlowLogGoesOn(t, late) })
	}
}

func testSlowLogGoesOn(t *testing.T, late time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(cfg *Config) {
			cfg.Timeout, cfg.Reread, cfg.LogForm, cfg.WithheldDelay = 5*time.Minute, 1, evidence.FormDigest, time.Minute
		})
		digests := make([][]byte, 2*chunk+2)
		for i := range digests {
			digests[i] = evidence.FormDigest.Leaf([]byte{byte(i >> 8), byte(i)})
		}
		last := len(digests) - 1
		f.leaves(digests[:last]...)
		f.source.Source = &slow{Source: f.log.Source(), late: func() time.Duration { return late }}
		looks := 0
		for ; f.m.state.Size < uint64(last); looks++ {
			report, err := f.m.Look(t.Context())
			if len(report.Faults) > 0 || looks > 9 {
				t.Fatalf("%+v, %v", report, err)
			}
		}
		if looks < 2 {
			t.Errorf("%d looks", looks)
		}
		f.leaves(digests[last])
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if report, err := f.m.Look(ctx); err == nil || len(report.Faults) > 0 {
				t.Errorf("%+v, %v", report, err)
			}
			cancel()
			time.Sleep(time.Hour)
		}
		f.want()
	})
}

// Whoever fills a log with rubbish does not make it a fault of the log that the proofs of that take long.
func TestSlowProofs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(cfg *Config) { cfg.Timeout = 5 * time.Minute })
		f.append(f.server.next(genesis()))
		f.want()
		for i := range 60 {
			f.append(fmt.Appendf(nil, "rubbish %d", i))
		}
		f.source.Source = &slow{Source: f.log.Source(), late: func() time.Duration { return 0 }, tiles: 20 * time.Second}
		found, looks := 0, 0
		for ; f.m.state.Size < 61; looks++ {
			report, err := f.m.Look(t.Context())
			for _, fault := range report.Faults {
				if fault.Code != Code(evidence.CodeMalformed) {
					t.Errorf("%+v", fault)
				}
			}
			if found += len(report.Faults); looks > 9 {
				t.Fatalf("%d found, %v", found, err)
			}
		}
		if found != 60 || looks < 4 {
			t.Errorf("%d found in %d looks", found, looks)
		}
	})
}

// A log that serves a little at each look withholds the rest.
func TestTooSlowLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(cfg *Config) {
			cfg.Timeout, cfg.Reread, cfg.LogForm, cfg.WithheldDelay = 5*time.Minute, 1, evidence.FormDigest, time.Hour
		})
		digests := make([][]byte, chunk)
		for i := range digests {
			digests[i] = evidence.FormDigest.Leaf([]byte{byte(i >> 8), byte(i)})
		}
		f.leaves(digests...)
		f.source.Source = &slow{Source: f.log.Source(), late: func() time.Duration { return 2 * time.Minute }}
		told := 0
		for range 20 {
			report, err := f.m.Look(t.Context())
			if err == nil {
				t.Fatal("no error")
			}
			told += len(report.Faults)
		}
		if told != 1 || f.m.state.Size != 40*tlogclient.BundleWidth {
			t.Errorf("%d told, %d entries", told, f.m.state.Size)
		}
	})
}

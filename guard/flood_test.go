package guard_test

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/badgetest"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
)

func soak() bool { return os.Getenv("TOUCHMARK_SOAK") == "1" }

// The flood.
const (
	floodRate   = 10_000 // a second
	floodAtOnce = 20_000 // attempts that are not answered, at most: beyond it the flood holds back
	honestRate  = 20     // a second, of each of
	honestCount = 8
)

// A flood is a guard with a ledger on a disk, those who flood it, and honest callers.
type flood struct {
	*testing.T
	world  *guardtest.World
	guard  *guard.Guard
	ledger *evidence.Ledger
	dir    string
	keys   evidence.Keys
	replay *guard.Request

	atOnce           int64
	open, sent       atomic.Int64
	peakOpen         int64
	peakMemory       uint64
	mu               sync.Mutex
	waited           []time.Duration // of refused callers, one of a hundred
	answered, denied atomic.Int64
}

func newFlood(t *testing.T, refusals guard.Refusals) *flood {
	f := &flood{T: t, world: guardtest.New(t), dir: t.TempDir()}
	server := badgetest.NewAgent(t)
	f.keys = evidence.Keys{server.DID.KeyURL(): server.Key.Public().(ed25519.PublicKey)}
	var err error
	f.ledger, err = evidence.Open(t.Context(), &evidence.LedgerConfig{
		Dir: f.dir, Server: server.DID, Key: server.Key, KeyID: server.DID.KeyURL(), AllowNoLog: true, SegmentBytes: floodSegment,
	})
	if err != nil {
		t.Fatal(err)
	}
	f.guard = f.world.Guard(withPolicy(levels), func(c *guard.Config) { c.Evidence, c.Refusals = f.ledger, refusals })
	f.replay = f.world.Agent(badge.LevelSelfSigned).Call("need0", "{}")
	grant, err := f.guard.Check(t.Context(), f.replay)
	if err != nil {
		t.Fatal(err)
	}
	if err := grant.Finish(t.Context(), guard.Outcome{}); err != nil {
		t.Fatal(err)
	}
	return f
}

const floodSegment = 4 << 20

// attempt is one of the flood: most have no badge; one of twenty is a call proof that was used before, with a badge
// that holds.
func (f *flood) attempt(n int64) error {
	ctx, r := f.Context(), guardtest.Call("need2", `{"x":1}`)
	var err error
	switch n % 20 {
	case 0:
		_, err = f.guard.Check(ctx, f.replay)
	case 1:
		r.Badge = strings.Repeat("e30.", 300)
		_, err = f.guard.Check(ctx, r)
	case 2:
		err = f.guard.Refuse(ctx, r, guard.CodeRequestRejected, "HTTP_400")
	case 3:
		r.Method = fmt.Sprintf("made/up/%d", n)
		r.Capability = guard.Capability{Kind: guard.KindMethod, Name: r.Method}
		_, err = f.guard.Check(ctx, r)
	case 4:
		r.Badge = "e30.e30.e30"
		_, err = f.guard.List(ctx, r)
	default:
		_, err = f.guard.Check(ctx, r)
	}
	return err
}

// run floods the guard with so many attempts, and returns how long that took.
func (f *flood) run(total int64) time.Duration {
	began := time.Now()
	var group sync.WaitGroup
	for f.sent.Load() < total {
		due := min(total, int64(time.Since(began).Seconds()*floodRate))
		for n := f.sent.Load(); n < due && f.open.Load() < f.atOnce; n++ {
			f.sent.Add(1)
			f.peakOpen = max(f.peakOpen, f.open.Add(1))
			group.Go(func() {
				defer f.open.Add(-1)
				asked := time.Now()
				f.judge(n, f.attempt(n), time.Since(asked))
			})
		}
		time.Sleep(time.Millisecond)
	}
	group.Wait()
	return time.Since(began)
}

func (f *flood) judge(n int64, err error, took time.Duration) {
	switch r := guard.RefusalOf(err); {
	case err == nil:
		f.Errorf("attempt %d was allowed", n)
	case r.EvidenceID != "":
		f.answered.Add(1)
	default:
		f.denied.Add(1)
	}
	if n%100 == 0 {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.waited = append(f.waited, took)
	}
}

// honest makes calls until ctx ends, and returns how long each took.
func (f *flood) honest(ctx context.Context) (all []time.Duration) {
	var group sync.WaitGroup
	for range honestCount {
		group.Go(func() {
			tick := time.NewTicker(time.Second / honestRate)
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
				case <-ctx.Done():
					return
				}
				r := f.world.Agent(badge.LevelDomain).Call("need2", "{}")
				asked := time.Now()
				grant, err := f.guard.Check(f.Context(), r)
				if err == nil {
					err = grant.Finish(f.Context(), guard.Outcome{Result: []byte("{}")})
				}
				took := time.Since(asked)
				if err != nil {
					f.Errorf("an honest caller: %v", err)
				}
				f.mu.Lock()
				all = append(all, took)
				f.mu.Unlock()
			}
		})
	}
	group.Wait()
	return all
}

// measure notes how much memory is in use, until ctx ends.
func (f *flood) measure(ctx context.Context) {
	for ctx.Err() == nil {
		f.peakMemory = max(f.peakMemory, memory())
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func memory() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

func (f *flood) disk() (bytes int64) {
	err := filepath.WalkDir(f.dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			bytes += info.Size()
		}
		return err
	})
	if err != nil {
		f.Error(err)
	}
	return bytes
}

// A floodCount is what the journal says.
type floodCount struct{ records, denied, counted, numbers, allowed uint64 }

// count verifies the stream and adds up.
func (f *flood) count() (c floodCount) {
	chain, err := evidence.NewChain(&evidence.ChainConfig{Keys: f.keys})
	if err != nil {
		f.Fatal(err)
	}
	for stored, err := range evidence.ReadJournal(f.dir, 0) {
		if err != nil {
			f.Fatal(err)
		}
		e, err := chain.Add(stored.Entry)
		if err != nil {
			f.Fatal(err)
		}
		c.records++
		switch r := e.Record(); {
		case r.Refusals != nil:
			c.numbers++
			c.counted += r.Refusals.Count
		case r.Decision != nil && r.Decision.Kind.Allows():
			c.allowed++
		case r.Decision != nil:
			c.denied++
		}
	}
	return c
}

func quantiles(all []time.Duration) string {
	if len(all) == 0 {
		return "none"
	}
	slices.Sort(all)
	at := func(q float64) time.Duration { return all[int(q*float64(len(all)-1))].Round(10 * time.Microsecond) }
	return fmt.Sprintf("%d, median %v, 95%% %v, 99%% %v, longest %v", len(all), at(.5), at(.95), at(.99), at(1))
}

// TestFloodOfRefusals floods a guard with 10,000 refused and anonymous attempts a second for half a second, or for
// a minute with TOUCHMARK_SOAK=1. Honest callers are served, memory and disk stay bounded, and the evidence holds the exact
// number of refused attempts. It asks the guard itself: two cores that also have to make the flood do not carry 10,000
// requests a second over HTTP.
func TestFloodOfRefusals(t *testing.T) {
	total, quietTime, atOnce, refusals := int64(floodRate/2), time.Second, int64(floodAtOnce/10), guard.Refusals{Burst: 100}
	if soak() {
		total, quietTime, atOnce, refusals = 60*floodRate, 20*time.Second, floodAtOnce, guard.Refusals{}
	}
	f := newFlood(t, refusals)
	f.atOnce = atOnce
	quietly, cancel := context.WithTimeout(t.Context(), quietTime)
	quiet := f.honest(quietly)
	cancel()
	runtime.GC()
	before, diskBefore := memory(), f.disk()

	flooding, cancel := context.WithCancel(t.Context())
	var during []time.Duration
	var group sync.WaitGroup
	group.Go(func() { during = f.honest(flooding) })
	group.Go(func() { f.measure(flooding) })
	took := f.run(total)
	cancel()
	group.Wait()
	if err := f.guard.Flush(t.Context()); err != nil {
		t.Error(err)
	}
	grown := f.disk() - diskBefore
	if err := f.ledger.Close(t.Context()); err != nil {
		t.Error(err)
	}

	c := f.count()
	sent := uint64(f.sent.Load()) //nolint:gosec // not negative
	t.Logf("%d attempts in %v, %.0f a second: %d answered with a record, %d without; waited (one of 100): %s",
		sent, took.Round(time.Millisecond), float64(sent)/took.Seconds(), f.answered.Load(), f.denied.Load(), quantiles(f.waited))
	t.Logf("the evidence: %d records; %d decisions that deny, %d numbers that count %d", c.records, c.denied, c.numbers, c.counted)
	t.Logf("honest calls in the quiet: %s", quantiles(quiet))
	t.Logf("honest calls in the flood: %s", quantiles(during))
	t.Logf("memory %d MiB before, %d MiB at most; %d attempts at once; disk grown by %d KiB, %d KiB a second",
		before>>20, f.peakMemory>>20, f.peakOpen, grown>>10, int64(float64(grown)/took.Seconds())>>10)
	if c.denied+c.counted != sent {
		t.Errorf("the evidence counts %d refused attempts of %d", c.denied+c.counted, sent)
	}
	if want := uint64(len(quiet) + len(during) + 1); c.allowed != want {
		t.Errorf("%d calls were allowed, the evidence has %d", want, c.allowed)
	}
	if f.peakMemory > before+256<<20 {
		t.Errorf("%d MiB of memory", f.peakMemory>>20)
	}
	// What section 8.1 of spec/guard.md says, and a record and an outcome for each honest call.
	const perSecond = guard.DefaultRefusalsPerSecond
	singles := 2*float64(cmp.Or(refusals.Burst, guard.DefaultRefusalsBurst)) + took.Seconds()*2*perSecond
	if float64(c.denied) > singles+2 {
		t.Errorf("%d refused attempts have a record of their own, the bound is %.0f", c.denied, singles)
	}
	records := singles + took.Seconds()*2*10 + float64(2*len(during))
	if bound := int64(records*4096) + 2*floodSegment; grown > bound {
		t.Errorf("the disk has grown by %d KiB, the bound is %d", grown>>10, bound>>10)
	}
	if soak() && took > 66*time.Second {
		t.Errorf("%d attempts took %v", sent, took)
	}
}

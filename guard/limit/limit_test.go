package limit_test

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/limit"
)

// A clock is moved by hand.
type clock struct{ nanos atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.nanos.Store(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time         { return time.Unix(0, c.nanos.Load()) }
func (c *clock) add(d time.Duration)    { c.nanos.Add(int64(d)) }
func tool(name string) guard.Capability { return guard.Capability{Kind: guard.KindTool, Name: name} }

func key(caller, capability string, params byte) guard.LimitKey {
	return guard.LimitKey{Caller: caller, Capability: tool(capability), Params: [32]byte{params}}
}

func retries(n int) *guard.Constraints { return &guard.Constraints{MaxRetries: &n} }

func acquire(t *testing.T, l guard.Limiter, k guard.LimitKey, c *guard.Constraints) (release func()) {
	t.Helper()
	release, err := l.Acquire(t.Context(), k, c)
	if err != nil {
		t.Fatalf("refused: %v", err)
	}
	if release == nil {
		release = func() {}
	}
	return release
}

func refused(t *testing.T, l guard.Limiter, k guard.LimitKey, c *guard.Constraints, cause string) time.Duration {
	t.Helper()
	_, err := l.Acquire(t.Context(), k, c)
	var limited *guard.LimitedError
	if !errors.As(err, &limited) || limited.Cause != cause {
		t.Fatalf("got %v, want %s", err, cause)
	}
	return limited.RetryAfter
}

func TestRate(t *testing.T) {
	clock := newClock()
	l := limit.New(&limit.Config{Time: clock.now})
	c := &guard.Constraints{RatePerMinute: 6}
	for range 6 {
		acquire(t, l, key("a", "x", 0), c)
	}
	if wait := refused(t, l, key("a", "x", 1), c, guard.CauseRate); wait != 10*time.Second {
		t.Errorf("told to wait %v", wait)
	}
	acquire(t, l, key("b", "x", 0), c)
	acquire(t, l, key("a", "y", 0), c)
	clock.add(10*time.Second - time.Millisecond)
	refused(t, l, key("a", "x", 0), c, guard.CauseRate)
	clock.add(time.Millisecond)
	acquire(t, l, key("a", "x", 0), c)
	refused(t, l, key("a", "x", 0), c, guard.CauseRate)
	clock.add(-time.Hour) // a clock that is set back gives nothing away
	refused(t, l, key("a", "x", 0), c, guard.CauseRate)
	clock.add(24 * time.Hour)
	for range 6 {
		acquire(t, l, key("a", "x", 0), c)
	}
	refused(t, l, key("a", "x", 0), c, guard.CauseRate)
}

// TestRatesApart: two rules with rates of their own do not fill each other's buckets.
func TestRatesApart(t *testing.T) {
	clock := newClock()
	l := limit.New(&limit.Config{Time: clock.now})
	few, many := &guard.Constraints{RatePerMinute: 1}, &guard.Constraints{RatePerMinute: 600}
	acquire(t, l, key("a", "x", 0), few)
	for range 30 {
		clock.add(time.Second)
		acquire(t, l, key("a", "x", 0), many)
		refused(t, l, key("a", "x", 0), few, guard.CauseRate)
	}
}

func TestHugeRate(t *testing.T) {
	clock := newClock()
	l := limit.New(&limit.Config{Time: clock.now})
	for range 100 {
		acquire(t, l, key("a", "x", 0), &guard.Constraints{RatePerMinute: math.MaxInt32})
	}
}

func TestConcurrency(t *testing.T) {
	l := limit.New(nil)
	c := &guard.Constraints{MaxConcurrent: 2}
	first := acquire(t, l, key("a", "x", 0), c)
	acquire(t, l, key("a", "x", 0), c)
	refused(t, l, key("a", "x", 0), c, guard.CauseConcurrency)
	// All calls of the capability count, whatever limit they came under.
	refused(t, l, key("a", "x", 0), &guard.Constraints{MaxConcurrent: 1}, guard.CauseConcurrency)
	acquire(t, l, key("a", "x", 0), &guard.Constraints{MaxConcurrent: 3})()
	acquire(t, l, key("b", "x", 0), c)
	first()
	first() // counts once
	acquire(t, l, key("a", "x", 0), c)
	refused(t, l, key("a", "x", 0), c, guard.CauseConcurrency)
}

func TestRetries(t *testing.T) {
	clock := newClock()
	l := limit.New(&limit.Config{Time: clock.now, RetryWindow: time.Minute})
	for range 3 {
		acquire(t, l, key("a", "x", 1), retries(2))
	}
	clock.add(20 * time.Second)
	if wait := refused(t, l, key("a", "x", 1), retries(2), guard.CauseRetries); wait != 40*time.Second {
		t.Errorf("told to wait %v", wait)
	}
	acquire(t, l, key("a", "x", 2), retries(0))
	refused(t, l, key("a", "x", 2), retries(0), guard.CauseRetries)
	acquire(t, l, key("b", "x", 1), retries(0))
	acquire(t, l, key("a", "y", 1), retries(0))
	clock.add(40 * time.Second)
	acquire(t, l, key("a", "x", 1), retries(0))
	refused(t, l, key("a", "x", 1), retries(0), guard.CauseRetries)
}

// TestAllOrNothing: a call that one limit refuses takes nothing of the others.
func TestAllOrNothing(t *testing.T) {
	clock := newClock()
	l := limit.New(&limit.Config{Time: clock.now})
	none, two := 0, 2
	strict := &guard.Constraints{RatePerMinute: 3, MaxConcurrent: 1, MaxRetries: &none}
	first := acquire(t, l, key("a", "x", 1), strict)
	for range 9 {
		refused(t, l, key("a", "x", 1), strict, guard.CauseRetries)
		refused(t, l, key("a", "x", 2), strict, guard.CauseConcurrency)
	}
	first()
	acquire(t, l, key("a", "x", 2), strict)()
	acquire(t, l, key("a", "x", 3), strict)()
	refused(t, l, key("a", "x", 4), strict, guard.CauseRate)
	refused(t, l, key("a", "x", 4), &guard.Constraints{RatePerMinute: 3, MaxRetries: &two}, guard.CauseRate)
	clock.add(20 * time.Second)
	acquire(t, l, key("a", "x", 4), strict)()
}

// TestForgets: what counts no longer takes no memory.
func TestForgets(t *testing.T) {
	clock := newClock()
	l := limit.New(&limit.Config{Time: clock.now, RetryWindow: time.Minute})
	for i := range 5000 {
		k := guard.LimitKey{Caller: "a", Capability: tool("x"), Params: [32]byte{byte(i), byte(i >> 8)}}
		acquire(t, l, k, &guard.Constraints{MaxRetries: new(int), RatePerMinute: 6000, MaxConcurrent: 1})()
		clock.add(time.Second)
	}
	if n := l.Len(); n > 2048 {
		t.Errorf("%d entries", n)
	}
}

func TestConcurrentUse(t *testing.T) {
	l := limit.New(&limit.Config{MaxEntries: 64, MaxPerCaller: 32})
	var running, granted atomic.Int64
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for i := range 500 {
				k := key("a", "x", byte(i))
				if i%3 == 0 {
					k.Caller = string(rune('b' + i%40))
					_, _ = l.Acquire(context.Background(), k, retries(1)) // to make room scarce
					continue
				}
				release, err := l.Acquire(context.Background(), k, &guard.Constraints{MaxConcurrent: 3, RatePerMinute: 1000})
				if err != nil {
					continue
				}
				granted.Add(1)
				if n := running.Add(1); n > 3 {
					t.Errorf("%d calls at once", n)
				}
				running.Add(-1)
				release()
			}
		})
	}
	group.Wait()
	if n := granted.Load(); n == 0 || n > 1100 {
		t.Errorf("%d calls", n)
	}
}

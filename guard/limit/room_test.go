package limit_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/limit"
)

func full(t *testing.T, l guard.Limiter, k guard.LimitKey, c *guard.Constraints) {
	t.Helper()
	if _, err := l.Acquire(t.Context(), k, c); !errors.Is(err, limit.ErrFull) {
		t.Fatalf("got %v, want ErrFull", err)
	}
}

// TestOwnLimitStays: a caller that fills the table cannot make it forget its own limits.
func TestOwnLimitStays(t *testing.T) {
	clock := newClock()
	l := limit.New(&limit.Config{Time: clock.now, MaxEntries: 64, MaxPerCaller: 48})
	once := &guard.Constraints{RatePerMinute: 1}
	acquire(t, l, key("mallory", "x", 0), once)
	for i := range 200 {
		_, err := l.Acquire(t.Context(), key("mallory", "y", byte(i)), retries(0))
		if (err == nil) != (i < 47) {
			t.Fatalf("%d: %v", i, err)
		}
	}
	refused(t, l, key("mallory", "x", 0), once, guard.CauseRate)
	full(t, l, key("mallory", "z", 0), once)

	// Others find room, and it is she who pays for it.
	for i := range 40 {
		acquire(t, l, key(fmt.Sprint("honest ", i), "x", 0), once)
	}
	if n := l.Len(); n > 64 {
		t.Errorf("%d entries", n)
	}
	for i := range 100 {
		if _, err := l.Acquire(t.Context(), key("mallory", "x", 0), once); err == nil {
			t.Fatal("her limit was forgotten")
		}
		if _, err := l.Acquire(t.Context(), key("mallory", "y", byte(i)), retries(0)); err == nil {
			t.Fatal("her retries were forgotten")
		}
	}
	for i := range 40 {
		refused(t, l, key(fmt.Sprint("honest ", i), "x", 0), once, guard.CauseRate)
	}
	clock.add(limit.DefaultRetryWindow)
	acquire(t, l, key("mallory", "x", 0), once)
	acquire(t, l, key("mallory", "y", 0), retries(0))
}

// TestAllBusy: where every caller has its share, one more is refused and nobody loses anything.
func TestAllBusy(t *testing.T) {
	l := limit.New(&limit.Config{MaxEntries: 8, MaxPerCaller: 8})
	c := &guard.Constraints{MaxConcurrent: 1}
	var releases []func()
	for i := range 8 {
		releases = append(releases, acquire(t, l, key(fmt.Sprint(i), "x", 0), c))
	}
	full(t, l, key("late", "x", 0), c)
	for i := range 8 {
		refused(t, l, key(fmt.Sprint(i), "x", 0), c, guard.CauseConcurrency)
	}
	releases[3]()
	acquire(t, l, key("late", "x", 0), c)
	full(t, l, key("3", "x", 0), c)
}

// TestRunningStays: calls under way are given up for nobody.
func TestRunningStays(t *testing.T) {
	l := limit.New(&limit.Config{MaxEntries: 8, MaxPerCaller: 8})
	c := &guard.Constraints{MaxConcurrent: 1}
	var releases []func()
	for i := range 8 {
		releases = append(releases, acquire(t, l, key("busy", fmt.Sprint(i), 0), c))
	}
	full(t, l, key("late", "x", 0), c)
	for i := range 8 {
		refused(t, l, key("busy", fmt.Sprint(i), 0), c, guard.CauseConcurrency)
		releases[i]()
	}
	if n := l.Len(); n != 0 {
		t.Errorf("%d entries of calls that ended", n)
	}
	acquire(t, l, key("late", "x", 0), c)
}

// TestNeverMore: whatever callers do in a table that is far too small, no limit is ever exceeded.
func TestNeverMore(t *testing.T) {
	const perMinute, concurrent, again, window = 5, 2, 1, time.Minute
	type what struct {
		caller, capability int
	}
	type call struct {
		what
		params byte
	}
	for seed := range uint64(12) {
		rnd := rand.New(rand.NewPCG(seed, 7)) //nolint:gosec // no secret
		clock := newClock()
		l := limit.New(&limit.Config{Time: clock.now, RetryWindow: window, MaxEntries: 4 + rnd.IntN(30), MaxPerCaller: 2 + rnd.IntN(20)})
		starts, calls := map[what][]time.Time{}, map[call][]time.Time{}
		running := map[what][]func(){}
		for range 1200 {
			clock.add(time.Duration(rnd.IntN(3000)) * time.Millisecond)
			c := call{what{rnd.IntN(6), rnd.IntN(3)}, byte(rnd.IntN(4))}
			if held := running[c.what]; len(held) > 0 && rnd.IntN(2) == 0 {
				held[0]()
				running[c.what] = held[1:]
			}
			n := again
			release, err := l.Acquire(t.Context(), key(fmt.Sprint(c.caller), fmt.Sprint(c.capability), c.params),
				&guard.Constraints{RatePerMinute: perMinute, MaxConcurrent: concurrent, MaxRetries: &n})
			if err != nil {
				continue
			}
			running[c.what] = append(running[c.what], release)
			starts[c.what] = append(starts[c.what], clock.now())
			calls[c] = append(calls[c], clock.now())
			if len(running[c.what]) > concurrent {
				t.Fatalf("seed %d: %d calls at once", seed, len(running[c.what]))
			}
			all := starts[c.what]
			for i := range all {
				most := perMinute * (1 + clock.now().Sub(all[i]).Minutes())
				if float64(len(all)-i) > most+1e-6 {
					t.Fatalf("seed %d: %d calls in %v", seed, len(all)-i, clock.now().Sub(all[i]))
				}
			}
			if same := calls[c]; len(same) > again+1 && same[len(same)-1].Sub(same[len(same)-2-again]) < window {
				t.Fatalf("seed %d: more than %d retries", seed, again)
			}
		}
		if len(starts) < 9 {
			t.Errorf("seed %d: only %d of 18 ever got through", seed, len(starts))
		}
	}
}

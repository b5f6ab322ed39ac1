package pglimit_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/limit"
	"github.com/touchmark-dev/touchmark/guard/limit/pglimit"
	"github.com/touchmark-dev/touchmark/internal/sqlstore/sqltest"
)

// patient waits long for the database: machines that run many tests at once are slow.
func patient() *pglimit.Config { return &pglimit.Config{Timeout: time.Minute} }

// nodes opens the same database several times.
func nodes(t *testing.T, url string, n int, cfg *pglimit.Config) []*pglimit.Limiter {
	t.Helper()
	all := make([]*pglimit.Limiter, n)
	for i := range all {
		l, err := pglimit.Open(t.Context(), url, cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
		all[i] = l
	}
	return all
}

func key(caller, tool string, params byte) guard.LimitKey {
	return guard.LimitKey{
		Caller: caller, Capability: guard.Capability{Kind: guard.KindTool, Name: tool}, Params: [32]byte{params},
	}
}

func causeOf(err error) string {
	var limited *guard.LimitedError
	if errors.As(err, &limited) {
		return limited.Cause
	}
	return ""
}

// together makes each node try n times at once, and returns how many got through.
func together(t *testing.T, all []*pglimit.Limiter, n int, k func(i int) guard.LimitKey, c *guard.Constraints, cause string) int {
	t.Helper()
	var granted atomic.Int64
	var group sync.WaitGroup
	for _, l := range all {
		for range 4 {
			group.Go(func() {
				for i := range n {
					_, err := l.Acquire(t.Context(), k(i), c)
					switch {
					case err == nil:
						granted.Add(1)
					case causeOf(err) != cause:
						t.Errorf("got %v, want %s", err, cause)
					}
				}
			})
		}
	}
	group.Wait()
	return int(granted.Load())
}

func TestRateTogether(t *testing.T) {
	const perMinute = 60
	all := nodes(t, sqltest.PostgreSQL(t), 4, patient())
	c := &guard.Constraints{RatePerMinute: perMinute}
	began := time.Now()
	granted := together(t, all, 20, func(int) guard.LimitKey { return key("a", "x", 0) }, c, guard.CauseRate)
	most := perMinute * (1 + time.Since(began).Minutes())
	if granted < perMinute || float64(granted) > most {
		t.Errorf("%d calls, want %d to %.2f", granted, perMinute, most)
	}
	slow := &guard.Constraints{RatePerMinute: 1}
	for i, l := range all {
		_, err := l.Acquire(t.Context(), key("b", "x", 0), slow)
		var limited *guard.LimitedError
		if i == 0 && err != nil || i > 0 && (!errors.As(err, &limited) || limited.Cause != guard.CauseRate ||
			limited.RetryAfter <= 0 || limited.RetryAfter > time.Minute) {
			t.Fatalf("node %d: %v", i, err)
		}
	}
}

func TestConcurrencyTogether(t *testing.T) {
	all := nodes(t, sqltest.PostgreSQL(t), 4, patient())
	c := &guard.Constraints{MaxConcurrent: 3}
	var running, granted atomic.Int64
	var group sync.WaitGroup
	for _, l := range all {
		for range 4 {
			group.Go(func() {
				for range 25 {
					release, err := l.Acquire(t.Context(), key("a", "x", 0), c)
					if err != nil {
						if causeOf(err) != guard.CauseConcurrency {
							t.Error(err)
						}
						continue
					}
					granted.Add(1)
					if n := running.Add(1); n > 3 {
						t.Errorf("%d calls at once", n)
					}
					time.Sleep(time.Millisecond)
					running.Add(-1)
					release()
					release()
				}
			})
		}
	}
	group.Wait()
	if granted.Load() == 0 {
		t.Error("nobody got through")
	}
	// The place of a call that ended is there at once, on every node.
	for _, l := range append(all, all...) {
		release, err := l.Acquire(t.Context(), key("a", "x", 0), &guard.Constraints{MaxConcurrent: 1})
		if err != nil {
			t.Fatal(err)
		}
		release()
	}
}

func TestRetriesTogether(t *testing.T) {
	cfg := patient()
	cfg.RetryWindow = 3 * time.Second
	all := nodes(t, sqltest.PostgreSQL(t), 4, cfg)
	two := 2
	c := &guard.Constraints{MaxRetries: &two}
	granted := together(t, all, 5, func(i int) guard.LimitKey { return key("a", "x", byte(i)) }, c, guard.CauseRetries)
	if granted < 15 {
		t.Errorf("%d calls, want at least 15", granted)
	}
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) { // the window ends by the clock of the database
		_, err := all[0].Acquire(t.Context(), key("a", "x", 0), &guard.Constraints{MaxRetries: new(int)})
		if err == nil {
			break
		}
		if causeOf(err) != guard.CauseRetries || time.Since(began) > time.Minute {
			t.Fatal(err)
		}
	}
}

// TestFull: what one caller can have counted is bounded, and others do not notice.
func TestFull(t *testing.T) {
	cfg := patient()
	cfg.MaxPerCaller = 10
	l := nodes(t, sqltest.PostgreSQL(t), 1, cfg)[0]
	c := &guard.Constraints{MaxRetries: new(int), RatePerMinute: 1000, MaxConcurrent: 100}
	for i := range 20 {
		_, err := l.Acquire(t.Context(), key("a", "x", byte(i)), c)
		if errors.Is(err, limit.ErrFull) != (i >= 9) {
			t.Fatalf("%d: %v", i, err)
		}
	}
	if _, err := l.Acquire(t.Context(), key("a", "x", 0), c); causeOf(err) != guard.CauseRetries {
		t.Errorf("what is counted stays so: %v", err)
	}
	if _, err := l.Acquire(t.Context(), key("b", "x", 0), c); err != nil {
		t.Error(err)
	}
}

// TestAllOrNothing: a call that one limit refuses takes nothing of the others.
func TestAllOrNothing(t *testing.T) {
	l := nodes(t, sqltest.PostgreSQL(t), 1, patient())[0]
	c := &guard.Constraints{MaxRetries: new(int), RatePerMinute: 2, MaxConcurrent: 1}
	acquire := func(params byte, want string) (release func()) {
		t.Helper()
		release, err := l.Acquire(t.Context(), key("a", "x", params), c)
		if causeOf(err) != want || (err == nil) != (want == "") {
			t.Fatalf("got %v, want %q", err, want)
		}
		return release
	}
	first := acquire(1, "")
	for range 5 {
		acquire(1, guard.CauseRetries)
		acquire(2, guard.CauseConcurrency)
	}
	first()
	acquire(2, "")()
	acquire(3, guard.CauseRate)
}

func TestOpenRefuses(t *testing.T) {
	for _, url := range []string{"", "sqlite:/tmp/x", "mysql://x"} {
		if l, err := pglimit.Open(t.Context(), url, nil); err == nil {
			t.Errorf("%q: opened", url)
			_ = l.Close()
		}
	}
}

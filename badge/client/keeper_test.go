package client_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge/badgetest/authoritytest"
	"github.com/touchmark-dev/touchmark/badge/client"
	"github.com/touchmark-dev/touchmark/internal/durable"
)

// A timer is one that somebody waits for.
type timer struct {
	wait time.Duration
	fire chan time.Time
}

// A bench runs a Keeper whose clock, timers and authority are in the hands of
// the test.
type bench struct {
	*client.Keeper
	t      *testing.T
	clock  clock
	timers chan timer
	answer chan answered
	asked  chan struct{}
	done   chan error
	end    context.CancelFunc

	mu     sync.Mutex
	badges []string
	errs   []error
	waits  []time.Duration
}

type answered struct {
	badge *client.Issued
	err   error
}

// newBench starts a Keeper. random is what jitter is made of.
func newBench(t *testing.T, random float64, change func(*client.KeeperConfig)) *bench {
	t.Helper()
	b := &bench{
		t: t, timers: make(chan timer), answer: make(chan answered), asked: make(chan struct{}), done: make(chan error, 1),
	}
	b.clock.now = time.Unix(1e9, 0)
	cfg := &client.KeeperConfig{
		Time: b.clock.Now,
		After: func(d time.Duration) <-chan time.Time {
			c := make(chan time.Time, 1)
			go func() { b.timers <- timer{d, c} }()
			return c
		},
		OnBadge: func(got *client.Issued) { b.note(func() { b.badges = append(b.badges, got.ID) }) },
		OnError: func(err error, wait time.Duration) {
			b.note(func() { b.errs, b.waits = append(b.errs, err), append(b.waits, wait) })
		},
	}
	if change != nil {
		change(cfg)
	}
	k, err := client.NewTestKeeper(cfg, random, func(ctx context.Context) (*client.Issued, error) {
		select {
		case b.asked <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		a := <-b.answer
		return a.badge, a.err
	})
	if err != nil {
		t.Fatal(err)
	}
	b.Keeper = k
	ctx, cancel := context.WithCancel(t.Context())
	b.end = cancel
	go func() { b.done <- k.Run(ctx) }()
	return b
}

func (b *bench) note(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

// serve answers one request, with a badge of five minutes from now.
func (b *bench) serve(id string) *client.Issued {
	b.t.Helper()
	<-b.asked
	badge := client.NewIssued(id, b.clock.Now(), 5*time.Minute)
	b.answer <- answered{badge: badge}
	return badge
}

func (b *bench) refuse(err error) {
	b.t.Helper()
	<-b.asked
	b.answer <- answered{err: err}
}

// pass waits for the Keeper to wait, and lets that time go by.
func (b *bench) pass(want time.Duration) {
	b.t.Helper()
	tm := <-b.timers
	if tm.wait != want {
		b.t.Errorf("a wait of %v, want %v", tm.wait, want)
	}
	b.clock.advance(tm.wait)
	tm.fire <- b.clock.Now()
}

// have checks which badge is handed out.
func (b *bench) have(want string) {
	b.t.Helper()
	got, err := b.Current(b.t.Context())
	if err != nil || got.ID != want {
		b.t.Errorf("have %v, %v, want %s", got, err, want)
	}
	if err := b.Ready(); err != nil {
		b.t.Error(err)
	}
}

// haveNone checks that none is.
func (b *bench) haveNone() error {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.t.Context())
	cancel()
	got, err := b.Current(ctx)
	if got != nil || err == nil || b.Ready() == nil {
		b.t.Errorf("have %v, %v, ready: %v", got, err, b.Ready())
	}
	return err
}

func (b *bench) stop() {
	b.t.Helper()
	b.end()
	if err := <-b.done; err != nil {
		b.t.Error(err)
	}
}

func TestKeeperRenews(t *testing.T) {
	for random, wait := range map[float64]time.Duration{
		0: 150 * time.Second, 0.5: 187500 * time.Millisecond, 0.999: 224925 * time.Millisecond,
	} {
		b := newBench(t, random, nil)
		var none *client.NoBadgeError
		if err := b.haveNone(); !errors.As(err, &none) || !errors.Is(err, context.Canceled) || none.Last != nil {
			t.Error(err)
		}
		b.serve("1")
		b.have("1")
		b.pass(wait)
		b.have("1") // while the next is asked for
		b.serve("2")
		b.pass(wait)
		b.have("2")
		b.serve("3")
		<-b.timers
		b.have("3")
		b.stop()
		if got := strings.Join(b.badges, " "); got != "1 2 3" || len(b.errs) != 0 {
			t.Errorf("told of %q, %v", got, b.errs)
		}
	}
}

func TestKeeperNeverHandsOutWhatIsOver(t *testing.T) {
	b := newBench(t, 0, func(c *client.KeeperConfig) { c.MinBackoff, c.MaxBackoff = time.Minute, time.Minute })
	b.serve("1")
	b.pass(150 * time.Second)
	for range 4 { // half of a minute each, which leaves half a minute
		b.refuse(errors.New("no route"))
		b.have("1")
		b.pass(30 * time.Second)
	}
	b.refuse(errors.New("no route"))
	tm := <-b.timers
	b.clock.advance(30*time.Second - client.ExpiryMargin - 1)
	b.have("1")
	b.clock.advance(1)
	err := b.haveNone()
	var none *client.NoBadgeError
	if !errors.As(err, &none) || none.Last == nil || !strings.Contains(err.Error(), "no route") {
		t.Error(err)
	}
	// Who waits gets the next one.
	got := make(chan string)
	go func() {
		badge, err := b.Current(t.Context())
		got <- fmt.Sprint(badge.ID, err)
	}()
	tm.fire <- b.clock.Now()
	b.serve("2")
	if s := <-got; s != "2<nil>" {
		t.Error(s)
	}
	<-b.timers
	b.stop()
	if len(b.errs) != 5 {
		t.Errorf("told of %v", b.errs)
	}
}

// A machine that slept has a badge that is over, and a timer that is not: who
// wants a badge then brings the renewal about.
func TestKeeperAfterSleep(t *testing.T) {
	b := newBench(t, 0, nil)
	b.serve("1")
	<-b.timers
	b.clock.advance(time.Hour)
	b.haveNone()
	b.serve("2")
	b.have("2")
	<-b.timers
	b.stop()
}

func TestKeeperBacksOff(t *testing.T) {
	b := newBench(t, 0, nil)
	for _, wait := range []time.Duration{500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000} {
		b.refuse(errors.New("no route"))
		b.pass(wait * time.Millisecond)
	}
	b.refuse(&client.RefusedError{Status: 429, Code: "rate_limit_exceeded", RetryAfter: 10 * time.Minute})
	b.pass(10 * time.Minute)
	b.refuse(&client.AnswerError{Status: 503, RetryAfter: 90 * time.Second})
	b.pass(90 * time.Second)
	b.refuse(&client.RefusedError{Status: 503, Code: "x", RetryAfter: 1000 * time.Hour})
	b.pass(client.MaxRetryAfter)
	b.serve("1")
	b.pass(150 * time.Second)
	b.refuse(errors.New("no route")) // from the beginning
	b.pass(500 * time.Millisecond)
	b.serve("2")
	<-b.timers
	b.stop()
}

func TestPace(t *testing.T) {
	for _, random := range []float64{0, 0.999} {
		next := client.NewPace(time.Second, time.Hour, random)
		last := time.Duration(0)
		for i := range 100 {
			wait := next(errors.New("x"))
			if wait < last || wait < 500*time.Millisecond || wait > time.Hour || i > 20 && wait < 30*time.Minute {
				t.Fatalf("wait %d is %v after %v", i, wait, last)
			}
			last = wait
		}
		wait := next(&client.RefusedError{RetryAfter: time.Hour})
		if wait < time.Hour || wait > 66*time.Minute {
			t.Errorf("asked for an hour: %v", wait)
		}
	}
	// The least and the most may be the same, and very large.
	next := client.NewPace(1<<62, 1<<62, 0.5)
	for range 3 {
		if wait := next(nil); wait != 3<<60 {
			t.Error(wait)
		}
	}
}

func TestKeeperStops(t *testing.T) {
	for _, refused := range []*client.RefusedError{
		{Status: 403, Code: "agent_inactive"}, {Status: 401, Code: "unauthorized"}, {Status: 404, Code: "agent_not_found"},
		{Status: 400, Code: "invalid_request"},
	} {
		b := newBench(t, 0, nil)
		b.serve("1")
		b.pass(150 * time.Second)
		b.refuse(fmt.Errorf("wrapped: %w", refused))
		err := <-b.done
		var stopped *client.StoppedError
		var got *client.RefusedError
		if !errors.As(err, &stopped) || !errors.As(err, &got) || got != refused {
			t.Errorf("%s: %v", refused.Code, err)
		}
		b.have("1") // it still holds, for all that is known here
		b.clock.advance(150 * time.Second)
		if _, err := b.Current(t.Context()); !errors.As(err, &stopped) {
			t.Errorf("after the end: %v", err)
		}
		if err := b.Ready(); !errors.As(err, &stopped) {
			t.Errorf("ready: %v", err)
		}
		if err := b.Run(t.Context()); err == nil {
			t.Error("it runs again")
		}
		b.end()
	}
	// What another challenge or time can mend stops nobody.
	b := newBench(t, 0, nil)
	for _, code := range []string{
		"challenge_not_found", "challenge_used", "challenge_expired", "iat_invalid", "proof_expired",
		"exp_outside_challenge_window", "level_not_granted",
	} {
		b.refuse(&client.RefusedError{Status: 403, Code: code})
		(<-b.timers).fire <- time.Time{}
	}
	for _, status := range []int{408, 409, 425, 429, 500, 502, 503, 504} {
		b.refuse(&client.RefusedError{Status: status, Code: "x"})
		(<-b.timers).fire <- time.Time{}
	}
	b.serve("1")
	b.have("1")
	<-b.timers
	b.stop()
	if _, err := b.Current(t.Context()); err != nil {
		t.Error(err)
	}
	b.clock.advance(time.Hour)
	if _, err := b.Current(t.Context()); !errors.Is(err, context.Canceled) {
		t.Errorf("after Run: %v", err)
	}
}

// Who waits is told when there will be none.
func TestKeeperStopsWhileWaitedFor(t *testing.T) {
	b := newBench(t, 0, nil)
	got := make(chan error)
	for range 3 {
		go func() {
			_, err := b.Current(t.Context())
			got <- err
		}()
	}
	b.refuse(&client.RefusedError{Status: 401, Code: "unauthorized"})
	for range 3 {
		var stopped *client.StoppedError
		if err := <-got; !errors.As(err, &stopped) {
			t.Error(err)
		}
	}
	b.end()
}

// A badge that is as good as over when it comes is not kept, and does not have
// the authority asked without end.
func TestKeeperRefusesShortBadges(t *testing.T) {
	b := newBench(t, 0, nil)
	<-b.asked
	b.answer <- answered{badge: client.NewIssued("1", b.clock.Now(), client.ExpiryMargin)}
	b.pass(500 * time.Millisecond)
	b.haveNone()
	b.serve("2")
	b.have("2")
	<-b.timers
	b.stop()
}

func TestKeeperFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "ada.badge")
	b := newBench(t, 0, func(c *client.KeeperConfig) { c.File = file })
	contains := func(want string) {
		t.Helper()
		text, err := os.ReadFile(file)
		info, serr := os.Stat(file)
		if err != nil || serr != nil || string(text) != want || info.Mode() != 0o600 {
			t.Errorf("%q, %v, %v, %v, want %q", text, err, serr, info.Mode(), want)
		}
	}
	<-b.asked
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is a file before there is a badge: %v", err)
	}
	b.answer <- answered{badge: client.NewIssued("1", b.clock.Now(), 5*time.Minute)}
	tm := <-b.timers
	contains("token of 1\n")

	// A second one for the same file does not run.
	other, err := client.NewTestKeeper(&client.KeeperConfig{File: file}, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Run(t.Context()); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("a second Keeper: %v", err)
	}
	if _, err := other.Current(t.Context()); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("its badge: %v", err)
	}

	// A file that cannot be written does not keep the badge from being used,
	// and has no other one asked for.
	if err := os.Mkdir(file+".tmp", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(file+".tmp", "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b.clock.advance(tm.wait)
	tm.fire <- b.clock.Now()
	b.serve("2")
	b.pass(500 * time.Millisecond)
	b.have("2")
	contains("token of 1\n")
	tm = <-b.timers
	if err := os.RemoveAll(file + ".tmp"); err != nil {
		t.Fatal(err)
	}
	b.clock.advance(tm.wait)
	tm.fire <- b.clock.Now()
	<-b.timers
	contains("token of 2\n")
	b.stop()
	if len(b.errs) != 2 || len(b.badges) != 2 {
		t.Errorf("told of %v, %v", b.badges, b.errs)
	}
	contains("token of 2\n") // its readers look at its expiry
}

func TestKeeperConfigRefused(t *testing.T) {
	a := authoritytest.New(t)
	r := requester(t, a.RequesterConfig(a.NewAgent("ada")))
	for name, cfg := range map[string]*client.KeeperConfig{
		"nil":          nil,
		"no requester": {},
		"negative":     {Requester: r, MinBackoff: -1},
		"less":         {Requester: r, MinBackoff: time.Minute, MaxBackoff: time.Second},
	} {
		if _, err := client.NewKeeper(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	// A directory that is not there is found at once.
	k, err := client.NewKeeper(&client.KeeperConfig{Requester: r, File: filepath.Join(t.TempDir(), "none", "x")})
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Run(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// Against an authority: kept through trouble, stopped by what is final.
func TestKeeperWithAuthority(t *testing.T) {
	for name, end := range map[string]struct {
		code string
		act  func(*authoritytest.Authority, *authoritytest.Agent)
	}{
		"disabled":            {"agent_inactive", func(a *authoritytest.Authority, ada *authoritytest.Agent) { a.Disable(ada.DID) }},
		"suspended":           {"agent_inactive", func(a *authoritytest.Authority, ada *authoritytest.Agent) { a.Suspend(ada.DID) }},
		"account key revoked": {"unauthorized", func(a *authoritytest.Authority, _ *authoritytest.Agent) { a.RevokeAccountKey() }},
	} {
		a := authoritytest.New(t)
		ada := a.NewAgent("ada")
		due := make(chan time.Time)
		k, err := client.NewKeeper(&client.KeeperConfig{
			Requester: requester(t, a.RequesterConfig(ada)), Time: a.Now,
			After: func(time.Duration) <-chan time.Time { return due },
		})
		if err != nil {
			t.Fatal(err)
		}
		a.Break(authoritytest.Fault{Status: 503, Times: 1})
		done := make(chan error, 1)
		go func() { done <- k.Run(t.Context()) }()
		due <- time.Time{}
		first, err := k.Current(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Verifier().Verify(t.Context(), first.Token()); err != nil {
			t.Error(err)
		}
		due <- time.Time{}
		due <- time.Time{} // it waits again: the second badge is there
		end.act(a, ada)
		second, err := k.Current(t.Context())
		if err != nil || second.ID == first.ID {
			t.Errorf("%s: %v after %v: %v", name, second, first, err)
		}
		select {
		case due <- time.Time{}:
			err = <-done
		case err = <-done: // by the request that was under way
		}
		var refused *client.RefusedError
		if !errors.As(err, &refused) || refused.Code != end.code {
			t.Errorf("%s: %v", name, err)
		}
	}
}

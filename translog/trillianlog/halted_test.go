package trillianlog_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/trillianlog"
)

// One that signs, and one that follows, end at the mark, whatever they know.
func TestHaltedWhileItRuns(t *testing.T) {
	for name, newState := range states {
		t.Run(name, func(t *testing.T) {
			s, a, b, _ := twoPublishers(t, newState)
			s.put(0, numbered(0, 5)...)
			ended := make(chan error, 2)
			for _, cfg := range []*trillianlog.Config{a, b} {
				p, err := trillianlog.OpenPublisher(t.Context(), cfg)
				if err != nil {
					t.Fatal(err)
				}
				go func() { ended <- p.Run(context.Background()) }()
				awaitShown(t, cfg, 5)
			}
			if err := trillianlog.HaltState(t.Context(), a, []byte("no JSON")); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := await(t, ended); translog.CodeOf(err) != trillianlog.CodeHalted || !strings.Contains(err.Error(), "cannot be read") {
					t.Errorf("ended: %v", err)
				}
			}
			whole(t, a, 5)
			whole(t, b, 5)
			if err := trillianlog.HaltState(t.Context(), a, []byte("a second one")); err == nil {
				t.Error("a second mark")
			}
			h, err := trillianlog.Halted(t.Context(), a)
			if err != nil || h == nil || !strings.Contains(h.Reason, "cannot be read") {
				t.Fatalf("halted: %+v, %v", h, err)
			}
			if err := trillianlog.Resume(t.Context(), a, h.ID); err != nil {
				t.Error(err)
			}
			if h, err := trillianlog.Halted(t.Context(), a); err != nil || h != nil {
				t.Errorf("halted: %+v, %v", h, err)
			}
		})
	}
}

// A publisher keeps its term until the state has taken its mark, or forever.
func TestHaltIsTriedAgain(t *testing.T) {
	s, state := &swapper{}, &memoryState{}
	cfg := newMemory(t, s)
	cfg.State = state
	if err := trillianlog.CreateShared(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	s.put(0, numbered(0, 5)...)
	_, stop := publish(t, cfg)
	awaitShown(t, cfg, 5)
	if err := stop(); err != nil {
		t.Fatal(err)
	}

	s.put(3, others(3, 3)...) // the database has others than were signed
	state.mu.Lock()
	state.refuses, state.calls = 3, nil
	state.mu.Unlock()
	if err := refused(t, cfg); translog.CodeOf(err) != translog.CodeConsistencyInvalid {
		t.Errorf("ended: %v", err)
	}
	state.mu.Lock()
	if calls := strings.Join(state.calls, " "); !strings.HasSuffix(calls, strings.Repeat("halted halt ", 4)+"release") || state.mark == nil {
		t.Errorf("calls: %s", calls)
	}
	state.mark, state.refuses, state.calls = nil, 1<<30, nil
	state.mu.Unlock()

	p, err := trillianlog.OpenPublisher(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	for began := time.Now(); state.count("halt") == 0 && time.Since(began) < patience; time.Sleep(time.Millisecond) {
	}
	cancel()
	if err := await(t, ended); translog.CodeOf(err) != translog.CodeConsistencyInvalid || !strings.Contains(err.Error(), "as the test says") {
		t.Errorf("ended: %v", err)
	}
	if n := state.count("release"); n > 0 {
		t.Error("the term was handed over")
	}
}

// A publisher that cannot write, or has a database that stays behind, lets another one sign, and ends nothing for anybody.
func TestAnotherOneSigns(t *testing.T) {
	s, behind := &swapper{}, &swapper{shared: true}
	a := newMemory(t, s)
	a.State, a.Lease = &memoryState{}, time.Second
	if err := trillianlog.CreateShared(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	b := *a
	b.Dir, b.StatePath, b.Server = filepath.Join(t.TempDir(), "tiles"), filepath.Join(t.TempDir(), "trusted"), behind.serve(t)
	s.put(0, numbered(0, 10)...)
	behind.put(0, numbered(0, 10)...)
	_, stop := publish(t, a)
	awaitShown(t, a, 10)
	publish(t, &b)
	awaitShown(t, &b, 10)
	s.put(10, numbered(10, 10)...)
	awaitShown(t, a, 20)
	if err := stop(); err != nil { // the one that is behind is elected
		t.Fatal(err)
	}
	publish(t, a)
	s.put(20, numbered(20, 10)...)
	awaitShown(t, a, 30)
	behind.put(10, numbered(10, 20)...)
	awaitShown(t, &b, 30)

	tile := filepath.Join(a.Dir, "tile")
	if err := errors.Join(os.Rename(tile, tile+".away"), os.WriteFile(tile, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	s.put(30, numbered(30, 10)...)
	behind.put(30, numbered(30, 10)...)
	awaitShown(t, &b, 40)
	if h, err := trillianlog.Halted(t.Context(), a); err != nil || h != nil {
		t.Errorf("halted: %+v, %v", h, err)
	}
}

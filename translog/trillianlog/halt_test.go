package trillianlog_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/trillianlog"
)

// others are entries that are not those of [numbered].
func others(first, n int) [][]byte {
	entries := make([][]byte, n)
	for i := range entries {
		entries[i] = fmt.Appendf(nil, "other %d", first+i)
	}
	return entries
}

// Database and state go back to what only one of two publishers knows better: it ends signing for both, and the other one
// signs no fork, neither before nor after an operator has resumed: then the state has again what was signed. When the database
// has it as well, both go on.
func TestHaltedForAll(t *testing.T) {
	for name, newState := range states {
		t.Run(name, func(t *testing.T) {
			s, a, b, restore := twoPublishers(t, newState)
			_, stopB := publish(t, b)
			s.put(0, numbered(0, 60)...)
			older := awaitShown(t, b, 60)
			if err := stopB(); err != nil {
				t.Fatal(err)
			}
			p, err := trillianlog.OpenPublisher(t.Context(), a)
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- p.Run(context.Background()) }()
			s.put(60, numbered(60, 40)...)
			newer := awaitShown(t, a, 100)

			restore(older.Note())
			if err := await(t, ended); translog.CodeOf(err) != translog.CodeRolledBack {
				t.Errorf("the one that knows: %v", err)
			}
			s.put(60, others(60, 50)...)
			for _, cfg := range []*trillianlog.Config{b, a} {
				before := awaitShown(t, cfg, 60)
				want := translog.CodeRolledBack // what it knows itself
				if cfg == b {
					want = trillianlog.CodeHalted
				}
				if err := refused(t, cfg); translog.CodeOf(err) != want || !strings.Contains(err.Error(), "LOG_ROLLED_BACK") {
					t.Errorf("ended: %v", err)
				}
				if cp := awaitShown(t, cfg, 60); cp.Tree() != before.Tree() {
					t.Errorf("%d entries were shown, and now %d", before.Size(), cp.Size())
				}
			}
			if kept, err := readState(t, a); err != nil || string(kept) != string(older.Note()) {
				t.Errorf("something was signed: %q, %v", kept, err)
			}

			h, err := trillianlog.Halted(t.Context(), b)
			if err != nil || h == nil || h.Code != translog.CodeRolledBack || h.Checkpoint != string(newer.Note()) || time.Since(h.Since) > time.Hour {
				t.Fatalf("halted: %+v, %v", h, err)
			}
			if err := trillianlog.Resume(t.Context(), b, "another"); translog.CodeOf(err) != trillianlog.CodeHalted {
				t.Errorf("resumed from another one: %v", err)
			}
			if err := trillianlog.Resume(t.Context(), b, h.ID); err != nil {
				t.Fatal(err)
			}
			if err := trillianlog.Resume(t.Context(), b, h.ID); err == nil {
				t.Error("resumed twice")
			}
			if h, err := trillianlog.Halted(t.Context(), a); err != nil || h != nil {
				t.Errorf("halted: %+v, %v", h, err)
			}
			if kept, err := readState(t, a); err != nil || string(kept) != string(newer.Note()) {
				t.Errorf("the state has %q, %v", kept, err)
			}
			if err := refused(t, b); translog.CodeOf(err) != translog.CodeConsistencyInvalid {
				t.Errorf("the database is not mended: %v", err)
			}
			s.put(60, numbered(60, 50)...)
			mended(t, b)
			publish(t, b)
			publish(t, a)
			for _, cfg := range []*trillianlog.Config{b, a} {
				awaitShown(t, cfg, 110)
				whole(t, cfg, 110)
			}
		})
	}
}

// A fork that was signed while the one that knows better did not run is found out when it does, and ends signing then.
func TestForkSignedMeanwhile(t *testing.T) {
	s, state := &swapper{}, &memoryState{}
	a := newMemory(t, s)
	a.State = state
	if err := trillianlog.CreateShared(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	s.put(0, numbered(0, 60)...)
	_, stop := publish(t, a)
	older := awaitShown(t, a, 60)
	s.put(60, numbered(60, 40)...)
	newer := awaitShown(t, a, 100)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	state.mu.Lock()
	state.note = older.Note()
	state.mu.Unlock()
	s.put(60, others(60, 50)...)
	b := *a
	b.Dir, b.StatePath = filepath.Join(t.TempDir(), "tiles"), filepath.Join(t.TempDir(), "trusted")
	p, err := trillianlog.OpenPublisher(t.Context(), &b)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- p.Run(context.Background()) }()
	awaitShown(t, &b, 110) // what nobody can keep it from: it knows nothing else
	if err := refused(t, a); translog.CodeOf(err) != translog.CodeConsistencyInvalid {
		t.Errorf("the one that knows: %v", err)
	}
	if err := await(t, ended); translog.CodeOf(err) != trillianlog.CodeHalted {
		t.Errorf("the one that knows less: %v", err)
	}
	if h, err := trillianlog.Halted(t.Context(), a); err != nil || h == nil || h.Checkpoint != string(newer.Note()) {
		t.Errorf("halted: %+v, %v", h, err)
	}
}

// Of several who know more than the state, whoever ends first, the mark has what any of them knows best.
func TestMarkKnowsTheLargest(t *testing.T) {
	for name, running := range map[string]bool{"it finds out itself": false, "it ends at the mark": true} {
		t.Run(name, func(t *testing.T) {
			s, state := &swapper{}, &memoryState{}
			a := newMemory(t, s)
			a.State = state
			if err := trillianlog.CreateShared(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			another := func() *trillianlog.Config {
				c := *a
				c.Dir, c.StatePath = filepath.Join(t.TempDir(), "tiles"), filepath.Join(t.TempDir(), "trusted")
				return &c
			}
			b, c := another(), another()
			notes := make(map[int][]byte)
			for _, size := range []int{60, 100, 120} {
				s.put(0, numbered(0, size)...)
				shown := []*trillianlog.Config{a}
				if size == 60 {
					shown = append(shown, b)
				}
				if size <= 100 {
					shown = append(shown, c)
				}
				for _, cfg := range shown {
					_, stop := publish(t, cfg)
					notes[size] = awaitShown(t, cfg, size).Note()
					if err := stop(); err != nil {
						t.Fatal(err)
					}
				}
			}
			put := func(note []byte) {
				defer state.begin("restore")()
				state.note = note
			}
			halt := func() *trillianlog.Halt {
				h, err := trillianlog.Halted(t.Context(), b)
				if err != nil || h == nil {
					t.Fatalf("halted: %+v, %v", h, err)
				}
				return h
			}

			put(notes[60])
			if err := refused(t, c); translog.CodeOf(err) != translog.CodeRolledBack {
				t.Errorf("ended: %v", err)
			}
			first, want := halt(), translog.CodeRolledBack
			if first.Checkpoint != string(notes[100]) {
				t.Errorf("the mark has %q", first.Checkpoint)
			}
			p := func() error { return refused(t, a) }
			if running { // it has read the state when that was in order
				put(notes[120])
				opened, err := trillianlog.OpenPublisher(t.Context(), a)
				if err != nil {
					t.Fatal(err)
				}
				put(notes[60])
				p, want = func() error { return opened.Run(t.Context()) }, trillianlog.CodeHalted
			}
			if err := p(); translog.CodeOf(err) != want {
				t.Errorf("ended: %v", err)
			}
			second := halt()
			if second.Checkpoint != string(notes[120]) || second.Code != first.Code || second.Reason != first.Reason || !second.Since.Equal(first.Since) {
				t.Errorf("the mark is %+v, and was %+v", second, first)
			}
			for _, cfg := range []*trillianlog.Config{a, b, c} { // who knows less changes nothing
				if err := refused(t, cfg); err == nil || halt().ID != second.ID {
					t.Errorf("ended: %v, the mark is %+v", err, halt())
				}
			}

			put(notes[100]) // as the first mark had it
			s.put(100, others(100, 30)...)
			if err := trillianlog.Resume(t.Context(), b, first.ID); translog.CodeOf(err) != trillianlog.CodeHalted {
				t.Errorf("resumed from what was looked at before: %v", err)
			}
			if err := trillianlog.Resume(t.Context(), b, second.ID); err != nil {
				t.Fatal(err)
			}
			if err := refused(t, b); translog.CodeOf(err) != translog.CodeConsistencyInvalid {
				t.Errorf("a fork: %v", err)
			}
		})
	}
}

// Two trees of one size were signed, or the mark is another log's: nothing is put into the state, and the mark stays.
func TestResumeRefused(t *testing.T) {
	state, cfg := &memoryState{}, newMemory(t, &swapper{})
	cfg.State = state
	sign := func(signer *translog.Signer, size uint64, root byte) []byte {
		text := fmt.Sprintf("%s\n%d\n%s\n", signer.Name(), size, base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{root}, 32)))
		raw, err := note.Sign(&note.Note{Text: text}, signer)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	state.note = sign(cfg.Signer, 100, 1)
	for name, c := range map[string]struct {
		note []byte
		code translog.Code
	}{
		"another tree":  {sign(cfg.Signer, 100, 2), translog.CodeForked},
		"another log's": {sign(newSigner(t), 200, 1), ""},
	} {
		mark, err := json.Marshal(&trillianlog.Halt{Code: translog.CodeRolledBack, Checkpoint: string(c.note)})
		if err != nil {
			t.Fatal(err)
		}
		state.mark = mark
		h, err := trillianlog.Halted(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		before := state.note
		if err := trillianlog.Resume(t.Context(), cfg, h.ID); err == nil || c.code != "" && translog.CodeOf(err) != c.code {
			t.Errorf("%s: resumed: %v", name, err)
		}
		if !bytes.Equal(state.mark, mark) || !bytes.Equal(state.note, before) {
			t.Errorf("%s: the state was changed", name)
		}
	}
}

// await returns how a publisher ended.
func await(t *testing.T, ended chan error) error {
	t.Helper()
	select {
	case err := <-ended:
		return err
	case <-time.After(patience):
		t.Fatal("it does not end")
		return nil
	}
}

// A file with a mark beside it takes nothing, not even from who holds the lock.
func TestFileHalt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	s, other := trillianlog.FileState(path), trillianlog.FileState(path)
	if _, err := s.Begin(t.Context(), []byte("0")); err != nil {
		t.Fatal(err)
	}
	claim := func(want error) {
		t.Helper()
		if _, elected, err := s.Claim(t.Context(), "a", time.Hour); !errors.Is(err, want) || elected != (want == nil) {
			t.Errorf("claimed: %t, %v", elected, err)
		}
	}
	claim(nil)
	halt := func(older []byte, mark string, done bool) {
		t.Helper()
		if err := other.Halt(t.Context(), older, []byte(mark)); (err == nil) != done {
			t.Errorf("mark %q in the place of %q: %v", mark, older, err)
		}
	}
	halt([]byte{}, "first", false)
	halt(nil, "first", true)
	halt(nil, "a second one", false)
	halt([]byte("another"), "a second one", false)
	halt([]byte("first"), "", true)
	claim(trillianlog.ErrHalted)
	if err := s.Swap(t.Context(), 1, []byte("0"), []byte("1")); !errors.Is(err, trillianlog.ErrHalted) {
		t.Errorf("swapped: %v", err)
	}
	if mark, err := s.Halted(t.Context()); err != nil || mark == nil || len(mark) > 0 {
		t.Errorf("mark %q, %v", mark, err)
	}
	if err := other.Resume(t.Context(), []byte("a second one"), []byte("0"), []byte("3")); err == nil {
		t.Error("another mark was taken away")
	}
	if err := other.Resume(t.Context(), []byte{}, []byte("1"), []byte("3")); err == nil {
		t.Error("another checkpoint was replaced")
	}
	if err := other.Resume(t.Context(), []byte{}, []byte("0"), []byte("3")); err != nil {
		t.Error(err)
	}
	if err := other.Resume(t.Context(), nil, []byte("3"), []byte("4")); err == nil {
		t.Error("no mark was taken away")
	}
	claim(nil)
	if err := s.Swap(t.Context(), 1, []byte("3"), []byte("4")); err != nil {
		t.Error(err)
	}
	if err := s.Release(t.Context(), 1); err != nil {
		t.Error(err)
	}
}

// Of several who leave a mark beside a file at once, one does.
func TestFileHaltAtOnce(t *testing.T) {
	for range 20 {
		path := filepath.Join(t.TempDir(), "state")
		var done atomic.Int32
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				if trillianlog.FileState(path).Halt(context.Background(), nil, []byte{byte(i)}) == nil {
					done.Add(1)
				}
			})
		}
		all.Wait()
		if n := done.Load(); n != 1 {
			t.Fatalf("%d marks", n)
		}
	}
}

func readState(t *testing.T, cfg *trillianlog.Config) ([]byte, error) {
	t.Helper()
	if cfg.State == nil {
		return os.ReadFile(cfg.StatePath)
	}
	return cfg.State.Read(t.Context())
}

// Entries that the database loses before they were signed may be others when it grows again: they are signed as they are
// then, and what was written of the first ones is written again, in this run or after it.
func TestUnsignedEndLost(t *testing.T) {
	for _, restart := range []bool{false, true} {
		for _, size := range []int{150, 300, 560, 700} { // less than there was, as much, and more
			t.Run(fmt.Sprintf("%d restart=%t", size, restart), func(t *testing.T) {
				s, state := &swapper{}, &memoryState{}
				cfg := newMemory(t, s)
				held := &stoppedState{State: state}
				cfg.State = held
				var told notices
				cfg.Notice = told.add
				if err := trillianlog.CreateShared(t.Context(), cfg); err != nil {
					t.Fatal(err)
				}
				s.put(0, numbered(0, 100)...)
				_, stop := publish(t, cfg)
				awaitShown(t, cfg, 100)
				lose(held, true)
				s.put(100, others(100, 460)...)
				awaitTile(t, cfg, "tile/0/002.p/48") // 560 entries
				awaitTile(t, cfg, "tile/entries/002.p/48")
				if restart {
					if err := stop(); err != nil {
						t.Fatal(err)
					}
				}
				s.put(100, numbered(100, size-100)...)
				if restart {
					lose(held, false)
					_, stop = publish(t, cfg)
				} else {
					// It looks once at least, and signs nothing yet.
					for n, began := held.count(), time.Now(); held.count() < n+2 && time.Since(began) < patience; time.Sleep(time.Millisecond) {
					}
					lose(held, false)
				}
				awaitShown(t, cfg, size)
				whole(t, cfg, size)
				if err := stop(); err != nil {
					t.Error(err)
				}
				fresh := *cfg // what another publisher makes of the database is the same in each file
				fresh.Notice = nil
				fresh.Dir, fresh.StatePath = filepath.Join(t.TempDir(), "tiles"), filepath.Join(t.TempDir(), "trusted")
				_, stop = publish(t, &fresh)
				awaitShown(t, &fresh, size)
				if err := stop(); err != nil {
					t.Error(err)
				}
				sameFiles(t, fresh.Dir, cfg.Dir)
				if lost, want := told.have("what it lost was not signed"), size < 560 && !restart; lost != want {
					t.Errorf("it was told that entries are lost: %t", lost)
				}
			})
		}
	}
}

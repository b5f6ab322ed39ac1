package trillianlog_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/touchmark-dev/touchmark/internal/durable"
	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/trillianlog"
	"github.com/touchmark-dev/touchmark/translog/trillianlog/pgstate"
	"github.com/touchmark-dev/touchmark/translog/trillianlog/trilliantest"
)

// A memoryState is a state in memory, which several candidates of a test share.
type memoryState struct {
	mu      sync.Mutex
	note    []byte
	term    uint64
	holder  string
	mark    []byte
	refuses int // so many times Halt fails
	calls   []string
}

func (s *memoryState) begin(call string) func() {
	s.mu.Lock()
	s.calls = append(s.calls, call)
	return s.mu.Unlock
}

func (s *memoryState) Begin(_ context.Context, note []byte) ([]byte, error) {
	defer s.begin("begin")()
	if s.note == nil {
		s.note = note
	}
	return s.note, nil
}

func (s *memoryState) Read(context.Context) ([]byte, error) {
	defer s.begin("read")()
	if s.note == nil {
		return nil, fs.ErrNotExist
	}
	return s.note, nil
}

func (s *memoryState) Claim(_ context.Context, candidate string, _ time.Duration) (uint64, bool, error) {
	defer s.begin("claim")()
	switch {
	case s.mark != nil:
		return 0, false, trillianlog.ErrHalted
	case s.holder == candidate:
		return s.term, true, nil
	case s.holder != "":
		return 0, false, nil
	}
	s.term++
	s.holder = candidate
	return s.term, true, nil
}

func (s *memoryState) Swap(_ context.Context, term uint64, older, newer []byte) error {
	defer s.begin("swap")()
	switch {
	case s.mark != nil:
		return trillianlog.ErrHalted
	case term != s.term || !bytes.Equal(older, s.note):
		return trillianlog.ErrNotElected
	}
	s.note = newer
	return nil
}

func (s *memoryState) Release(_ context.Context, term uint64) error {
	defer s.begin("release")()
	if term == s.term {
		s.holder = ""
	}
	return nil
}

func (s *memoryState) Halt(_ context.Context, older, mark []byte) error {
	defer s.begin("halt")()
	if s.refuses > 0 {
		s.refuses--
		return errors.New("as the test says")
	}
	if (s.mark == nil) != (older == nil) || !bytes.Equal(s.mark, older) {
		return errors.New("another mark")
	}
	s.mark = mark
	return nil
}

func (s *memoryState) Halted(context.Context) ([]byte, error) {
	defer s.begin("halted")()
	return s.mark, nil
}

func (s *memoryState) Resume(_ context.Context, mark, older, newer []byte) error {
	defer s.begin("resume")()
	if s.mark == nil || !bytes.Equal(s.mark, mark) || !bytes.Equal(s.note, older) {
		return errors.New("another mark, or another checkpoint")
	}
	s.mark, s.note = nil, newer
	return nil
}

// states are the places that candidates share, each with a way to restore it from a backup.
var states = map[string]func(t *testing.T, cfg *trillianlog.Config) (open func() trillianlog.State, restore func(note []byte)){
	"memory": func(*testing.T, *trillianlog.Config) (func() trillianlog.State, func([]byte)) {
		s := &memoryState{}
		return func() trillianlog.State { return s }, func(note []byte) {
			defer s.begin("restore")()
			s.note = note
		}
	},
	"file": func(t *testing.T, cfg *trillianlog.Config) (func() trillianlog.State, func([]byte)) {
		return func() trillianlog.State { return nil }, func(note []byte) {
			if err := durable.WriteFile(durable.OS{}, cfg.StatePath, note); err != nil { // nobody reads half of it
				t.Fatal(err)
			}
		}
	},
	"postgresql": func(t *testing.T, cfg *trillianlog.Config) (func() trillianlog.State, func([]byte)) {
		url := trilliantest.Empty(t)
		open := func() trillianlog.State {
			s, err := pgstate.Open(url, cfg.Signer.Name())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close(context.Background()) })
			return s
		}
		return open, func(note []byte) { set(t, url, note) }
	},
}

// newMemory describes a log on a Trillian that the test holds in memory.
func newMemory(t *testing.T, s *swapper) *trillianlog.Config {
	t.Helper()
	s.shared = true
	return &trillianlog.Config{
		Server: s.serve(t), Tree: 1, Dir: filepath.Join(t.TempDir(), "tiles"), StatePath: filepath.Join(t.TempDir(), "trusted"),
		Signer: newSigner(t), CheckpointInterval: 100 * time.Millisecond, Notice: func(err error) { t.Log(err) },
	}
}

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
			s := &swapper{}
			a := newMemory(t, s)
			open, restore := newState(t, a)
			a.State = open()
			if err := trillianlog.CreateShared(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			b := *a
			b.State, b.Dir = open(), filepath.Join(t.TempDir(), "tiles")
			if b.State != nil {
				b.StatePath = filepath.Join(t.TempDir(), "trusted")
			}
			_, stopB := publish(t, &b)
			s.put(0, numbered(0, 60)...)
			older := awaitShown(t, &b, 60)
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
			for _, cfg := range []*trillianlog.Config{&b, a} {
				before := awaitShown(t, cfg, 60)
				want := translog.CodeRolledBack // what it knows itself
				if cfg == &b {
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

			h, err := trillianlog.Halted(t.Context(), &b)
			if err != nil || h == nil || h.Code != translog.CodeRolledBack || h.Checkpoint != string(newer.Note()) || time.Since(h.Since) > time.Hour {
				t.Fatalf("halted: %+v, %v", h, err)
			}
			if err := trillianlog.Resume(t.Context(), &b, "another"); translog.CodeOf(err) != trillianlog.CodeHalted {
				t.Errorf("resumed from another one: %v", err)
			}
			if err := trillianlog.Resume(t.Context(), &b, h.ID); err != nil {
				t.Fatal(err)
			}
			if err := trillianlog.Resume(t.Context(), &b, h.ID); err == nil {
				t.Error("resumed twice")
			}
			if h, err := trillianlog.Halted(t.Context(), a); err != nil || h != nil {
				t.Errorf("halted: %+v, %v", h, err)
			}
			if kept, err := readState(t, a); err != nil || string(kept) != string(newer.Note()) {
				t.Errorf("the state has %q, %v", kept, err)
			}
			if err := refused(t, &b); translog.CodeOf(err) != translog.CodeConsistencyInvalid {
				t.Errorf("the database is not mended: %v", err)
			}
			s.put(60, numbered(60, 50)...)
			mended(t, &b)
			publish(t, &b)
			publish(t, a)
			for _, cfg := range []*trillianlog.Config{&b, a} {
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

// One that signs, and one that follows, end at the mark, whatever they know.
func TestHaltedWhileItRuns(t *testing.T) {
	for name, newState := range states {
		t.Run(name, func(t *testing.T) {
			s := &swapper{}
			a := newMemory(t, s)
			open, _ := newState(t, a)
			a.State = open()
			if err := trillianlog.CreateShared(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			b := *a
			b.State, b.Dir = open(), filepath.Join(t.TempDir(), "tiles")
			if b.State != nil {
				b.StatePath = filepath.Join(t.TempDir(), "trusted")
			}
			s.put(0, numbered(0, 5)...)
			ended := make(chan error, 2)
			for _, cfg := range []*trillianlog.Config{a, &b} {
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
			whole(t, &b, 5)
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

func (s *memoryState) count(call string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.calls {
		if c == call {
			n++
		}
	}
	return n
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

// notices are what a publisher told.
type notices struct {
	mu   sync.Mutex
	said []string
}

func (n *notices) add(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.said = append(n.said, err.Error())
}

func (n *notices) have(text string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.ContainsFunc(n.said, func(s string) bool { return strings.Contains(s, text) })
}

// A tile that the disk has damaged is no verdict: the entries of the database have the root that was signed, and the tiles are
// made again. Where they have another one as well, it is.
func TestDamagedTiles(t *testing.T) {
	for _, diverged := range []bool{false, true} {
		t.Run(fmt.Sprintf("diverged=%t", diverged), func(t *testing.T) {
			s := &swapper{}
			cfg := newMemory(t, s)
			held := &stoppedState{State: &memoryState{}}
			var told notices
			cfg.State, cfg.Notice = held, told.add
			if err := trillianlog.CreateShared(t.Context(), cfg); err != nil {
				t.Fatal(err)
			}
			s.put(0, numbered(0, 100)...)
			p, err := trillianlog.OpenPublisher(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			ended := make(chan error, 1)
			go func() { ended <- p.Run(ctx) }()
			defer cancel()
			awaitShown(t, cfg, 100)
			lose(held, true)
			s.put(100, numbered(100, 460)...)
			awaitTile(t, cfg, "tile/entries/002.p/48") // the last that is written of 560 entries
			if diverged {                              // but the tree that it tells of is the same
				s.mu.Lock()
				s.answer = func([]byte) []byte { return []byte("another") }
				s.mu.Unlock()
			}
			name := filepath.Join(cfg.Dir, "tile/0/000") // with the edge of what was signed
			tile := read(t, name)
			tile[32*60] ^= 1
			if err := durable.WriteFile(durable.OS{}, name, tile); err != nil {
				t.Fatal(err)
			}
			if diverged {
				if err := await(t, ended); translog.CodeOf(err) != translog.CodeConsistencyInvalid {
					t.Errorf("ended: %v", err)
				}
				if h, err := trillianlog.Halted(t.Context(), cfg); err != nil || h == nil {
					t.Errorf("halted: %+v, %v", h, err)
				}
				return
			}
			for began := time.Now(); !told.have("the tiles are damaged") && time.Since(began) < patience; time.Sleep(time.Millisecond) {
			}
			lose(held, false)
			awaitShown(t, cfg, 560)
			whole(t, cfg, 560)
			cancel()
			if err := await(t, ended); err != nil {
				t.Errorf("ended: %v", err)
			}
			if h, err := trillianlog.Halted(t.Context(), cfg); err != nil || h != nil {
				t.Errorf("halted: %+v, %v", h, err)
			}
		})
	}
}

// A publisher with tiles of entries that the database lost follows another one that signed what came in their place, and
// takes its place.
func TestFollowerOfOtherEntries(t *testing.T) {
	for _, size := range []int{350, 400, 500} { // less than it has, as much, and more
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			s, state := &swapper{}, &memoryState{}
			a := newMemory(t, s)
			held := &stoppedState{State: state}
			a.State = held
			if err := trillianlog.CreateShared(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			s.put(0, numbered(0, 100)...)
			_, stop := publish(t, a)
			awaitShown(t, a, 100)
			lose(held, true)
			s.put(100, others(100, 300)...)
			awaitTile(t, a, "tile/entries/001.p/144")
			held.mu.Lock() // its lease runs out, and it claims nothing meanwhile
			held.barred = true
			state.mu.Lock()
			state.holder = ""
			state.mu.Unlock()
			held.mu.Unlock()
			s.put(100, numbered(100, size-100)...)
			b := *a
			b.State, b.Dir, b.StatePath = state, filepath.Join(t.TempDir(), "tiles"), filepath.Join(t.TempDir(), "trusted")
			_, stopB := publish(t, &b)
			awaitShown(t, &b, size)
			awaitShown(t, a, size)
			whole(t, a, size)
			if err := stopB(); err != nil {
				t.Error(err)
			}
			held.mu.Lock()
			held.barred, held.loses = false, false
			held.mu.Unlock()
			s.put(size, numbered(size, 10)...)
			awaitShown(t, a, size+10)
			whole(t, a, size+10)
			if err := stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

// lose has a publisher lose what it wants to sign, without a word about who signs.
func lose(s *stoppedState, on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loses = on
}

func (s *stoppedState) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost
}

func awaitTile(t *testing.T, cfg *trillianlog.Config, name string) {
	t.Helper()
	for began := time.Now(); time.Since(began) < patience; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(filepath.Join(cfg.Dir, name)); err == nil {
			return
		}
	}
	t.Fatalf("no %s", name)
}

// sameFiles wants each tile and bundle of a directory to be the same in another one.
func sameFiles(t *testing.T, want, got string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(want, "tile"), func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		other := filepath.Join(got, strings.TrimPrefix(name, want))
		if a, b := read(t, name), read(t, other); !bytes.Equal(a, b) {
			t.Errorf("%s is another one", other)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// Who follows removes partial tiles as who signs does, and either what another run left.
func TestPartialTilesAreRemoved(t *testing.T) {
	s := &swapper{}
	a := newMemory(t, s)
	if err := trillianlog.CreateShared(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	b := *a
	b.Dir = filepath.Join(t.TempDir(), "tiles")
	both := []*trillianlog.Config{a, &b}
	size := 0
	grow := func(rounds, n int) {
		t.Helper()
		var stops []func() error
		for _, cfg := range both {
			_, stop := publish(t, cfg)
			stops = append(stops, stop)
		}
		for range rounds {
			s.put(size, numbered(size, n)...)
			size += n
			for _, cfg := range both {
				awaitShown(t, cfg, size)
			}
		}
		for i, stop := range stops {
			if err := stop(); err != nil {
				t.Error(err)
			}
			whole(t, both[i], size)
		}
	}
	partial := func(cfg *trillianlog.Config, n int) bool {
		_, err := os.Stat(filepath.Join(cfg.Dir, fmt.Sprintf("tile/0/%03d.p", n)))
		_, err2 := os.Stat(filepath.Join(cfg.Dir, fmt.Sprintf("tile/entries/%03d.p", n)))
		if (err == nil) != (err2 == nil) {
			t.Errorf("tile %d: %v, bundle: %v", n, err, err2)
		}
		return err == nil
	}
	grow(12, 50)
	for _, cfg := range both {
		for n := range 3 {
			if partial(cfg, n) != (n == 2) {
				t.Errorf("of %d entries there are partial tiles %d: %t", size, n, n != 2)
			}
		}
		for _, name := range []string{"tile/0/000.p/9", "tile/entries/000.p/9"} {
			name = filepath.Join(cfg.Dir, name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, nil, 0o600)); err != nil {
				t.Fatal(err)
			}
		}
	}
	grow(1, 1)
	for _, cfg := range both {
		if partial(cfg, 0) {
			t.Error("what another run left is there")
		}
	}
}

package trillianlog_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/internal/durable"
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

// twoPublishers makes a shared log of nothing for two, each with tiles of its own and one state.
func twoPublishers(t *testing.T,
	newState func(*testing.T, *trillianlog.Config) (open func() trillianlog.State, restore func(note []byte)),
) (s *swapper, a, b *trillianlog.Config, restore func(note []byte)) {
	t.Helper()
	s = &swapper{}
	a = newMemory(t, s)
	open, restore := newState(t, a)
	a.State = open()
	if err := trillianlog.CreateShared(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	other := *a
	b = &other
	b.State, b.Dir = open(), filepath.Join(t.TempDir(), "tiles")
	if b.State != nil {
		b.StatePath = filepath.Join(t.TempDir(), "trusted")
	}
	return s, a, b, restore
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

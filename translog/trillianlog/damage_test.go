package trillianlog_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/translog/trillianlog"
)

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

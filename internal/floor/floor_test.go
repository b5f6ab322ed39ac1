package floor

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

func TestGroupCommitWritesEveryRecord(t *testing.T) {
	dir := t.TempDir()
	g, err := NewGroupCommit(dir, 700)
	if err != nil {
		t.Fatal(err)
	}
	const writers, each = 16, 10
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				if err := g.Commit(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	if err := g.Commit(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "floor"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range writers * each * 700 {
		if data[i] != byte(i%700) {
			t.Fatalf("byte %d is %d", i, data[i])
		}
	}
}

func TestEd25519(t *testing.T) {
	e, err := NewEd25519(600)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Verify(); err != nil || len(e.Sign()) != 64 {
		t.Error(err)
	}
	e.message[0]++
	if e.Verify() == nil {
		t.Error("a changed message verifies")
	}
}

func TestTurns(t *testing.T) {
	var turns Turns
	if turns.Ratio() != 0 || turns.Ours() != 0 {
		t.Error("turns that were not taken have medians")
	}
	for i, ours := range []time.Duration{2, 4, 600} {
		turns.Add(time.Duration(1+i), ours)
	}
	if turns.Floor() != 2 || turns.Ours() != 4 || turns.Ratio() != 2 {
		t.Errorf("%v, %v, %v", turns.Floor(), turns.Ours(), turns.Ratio())
	}
}

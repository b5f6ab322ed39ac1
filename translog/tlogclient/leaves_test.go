package tlogclient_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
)

func TestContinue(t *testing.T) {
	sizes := []int{1, 3, 256, 300, 1025}
	l := tiled(t, sizes...)
	c := tlogclient.New(tlogclient.Dir(l.dir), l.Policy())
	for _, newer := range sizes {
		for _, from := range append([]int{0}, sizes...) {
			next := uint64(from)
			err := c.Continue(t.Context(), l.cps[from], l.cps[newer], func(index uint64, leaf [32]byte) {
				if index != next || leaf != translog.LeafHash(l.entries[next]) {
					t.Errorf("from %d to %d: leaf %d, want %d", from, newer, index, next)
				}
				next++
			})
			switch {
			case from > newer && translog.CodeOf(err) != translog.CodeRolledBack:
				t.Errorf("from %d to %d: %v", from, newer, err)
			case from <= newer && (err != nil || next != uint64(newer)):
				t.Errorf("from %d to %d: %v, visited up to %d", from, newer, err, next)
			}
		}
	}
}

// A tile that is changed, in what is new or in what was seen before, is found out, as is a log that does not continue.
func TestContinueRefuses(t *testing.T) {
	change := func(b []byte) []byte { b[5] ^= 1; return b }
	for _, test := range []struct {
		file   string
		older  int
		change func([]byte) []byte
		unread bool
	}{
		{"tile/0/001.p/44", 256, change, false},
		{"tile/0/001.p/44", 257, change, false},
		{"tile/0/000", 0, change, false},
		{"tile/1/000.p/1", 256, change, false},
		{"tile/0/001.p/44", 256, func(b []byte) []byte { return b[:32] }, true},
		{"tile/0/001.p/44", 256, func([]byte) []byte { return nil }, true},
	} {
		l := tiled(t, 256, 257, 300)
		name := filepath.Join(l.dir, filepath.FromSlash(test.file))
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, test.change(data), 0o600); err != nil {
			t.Fatal(err)
		}
		err = tlogclient.New(tlogclient.Dir(l.dir), l.Policy()).Continue(t.Context(), l.cps[test.older], l.cps[300], func(uint64, [32]byte) {})
		var rejected *translog.RejectedError
		var unread *tlogclient.SourceError
		if errors.As(err, &unread) != test.unread || errors.As(err, &rejected) == test.unread {
			t.Errorf("%s from %d: %v", test.file, test.older, err)
		}
		if rejected != nil && (len(rejected.Checkpoint) == 0 || test.older > 0 && len(rejected.Older) == 0) {
			t.Errorf("%s from %d: the refusal does not keep the checkpoints", test.file, test.older)
		}
	}
}

// TestLeaves: what is visited is in the tree, from any index on, and as far as somebody wants to see it.
func TestLeaves(t *testing.T) {
	l := tiled(t, 1, 300, 1025)
	c := tlogclient.New(tlogclient.Dir(l.dir), l.Policy())
	for _, size := range []int{1, 300, 1025} {
		for _, from := range []int{0, 1, 255, 256, 257, 299, 300, 1024, 1025} {
			next := uint64(from)
			err := c.Leaves(t.Context(), l.cps[size], next, func(first uint64, leaves [][32]byte) bool {
				for i, leaf := range leaves {
					if first+uint64(i) != next || leaf != translog.LeafHash(l.entries[next]) {
						t.Errorf("from %d of %d: leaf %d, want %d", from, size, first+uint64(i), next)
					}
					next++
				}
				return true
			})
			if from <= size != (err == nil) || err == nil && next != uint64(size) {
				t.Errorf("from %d of %d: %v, visited up to %d", from, size, err, next)
			}
		}
	}
	visits := 0
	if err := c.Leaves(t.Context(), l.cps[1025], 7, func(uint64, [][32]byte) bool { visits++; return false }); err != nil || visits != 1 {
		t.Errorf("%d visits: %v", visits, err)
	}
	for file, from := range map[string]uint64{"tile/0/001": 3, "tile/0/000": 3, "tile/1/000.p/4": 300} {
		name := filepath.Join(l.dir, filepath.FromSlash(file))
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		changed := append([]byte(nil), data...)
		changed[5] ^= 1
		if err := os.WriteFile(name, changed, 0o600); err != nil {
			t.Fatal(err)
		}
		err = c.Leaves(t.Context(), l.cps[1025], from, func(uint64, [][32]byte) bool {
			t.Errorf("%s is changed, and visited", file)
			return true
		})
		if translog.CodeOf(err) != translog.CodeInclusionInvalid {
			t.Errorf("%s is changed: %v", file, err)
		}
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

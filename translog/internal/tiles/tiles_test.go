package tiles

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
	"github.com/touchmark-dev/touchmark/translog/translogtest"
)

// The tiles of many sizes are those that another implementation makes, whether the writer goes on or is opened again.
func TestTiles(t *testing.T) {
	for _, reopen := range []bool{false, true} {
		t.Run(fmt.Sprintf("reopen=%v", reopen), func(t *testing.T) {
			log := translogtest.NewLog("log.example/tiles")
			dir := t.TempDir()
			w, err := Open(t.Context(), dir, Empty())
			if err != nil {
				t.Fatal(err)
			}
			for _, size := range []uint64{1, 2, 3, 255, 256, 257, 511, 512, 1000, 65_535, 65_536, 65_537, 66_000} {
				var entries [][]byte
				for w.Size() < size {
					e := fmt.Appendf(nil, "entry %d", w.Size())
					if err := w.Add(e); err != nil {
						t.Fatal(err)
					}
					entries = append(entries, e)
				}
				if _, err := log.Append(t.Context(), entries); err != nil {
					t.Fatal(err)
				}
				if err := w.Flush(); err != nil {
					t.Fatal(err)
				}
				cp, err := log.Checkpoint(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if tree, err := w.Tree(); err != nil || tree != cp.Tree() {
					t.Fatalf("tree %+v (%v), want %+v", tree, err, cp.Tree())
				}
				compare(t, tlogclient.Dir(dir), log.Source(), size)
				if reopen {
					if w, err = Open(t.Context(), dir, cp.Tree()); err != nil {
						t.Fatal(err)
					}
				}
			}
		})
	}
}

// compare wants the right edge of both to be the same, and the first tiles.
func compare(t *testing.T, got, want tlogclient.Source, size uint64) {
	t.Helper()
	ctx := t.Context()
	for level := uint64(0); size>>(8*level) > 0; level++ {
		columns := size >> (8 * level)
		for _, at := range []struct {
			n       uint64
			partial uint8
		}{{columns / 256, uint8(columns % 256)}, {0, uint8(min(columns, 256) % 256)}} {
			if at.partial == 0 && at.n*256+256 > columns {
				continue
			}
			a, err := got.Tile(ctx, level, at.n, at.partial)
			b, err2 := want.Tile(ctx, level, at.n, at.partial)
			if err != nil || err2 != nil || !bytes.Equal(a, b) {
				t.Fatalf("size %d: tile %d/%d.%d: %v, %v, the same: %v", size, level, at.n, at.partial, err, err2, bytes.Equal(a, b))
			}
			if level > 0 {
				continue
			}
			a, err = got.Entries(ctx, at.n, at.partial)
			b, err2 = want.Entries(ctx, at.n, at.partial)
			if err != nil || err2 != nil || !bytes.Equal(a, b) {
				t.Fatalf("size %d: bundle %d.%d: %v, %v", size, at.n, at.partial, err, err2)
			}
		}
	}
}

func written(t *testing.T, n int) (dir string, tree translog.Tree) {
	t.Helper()
	dir = t.TempDir()
	w, err := Open(t.Context(), dir, Empty())
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := w.Add([]byte{byte(i), byte(i >> 8)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if tree, err = w.Tree(); err != nil {
		t.Fatal(err)
	}
	return dir, tree
}

func TestOpenRefuses(t *testing.T) {
	dir, tree := written(t, 700)
	if _, err := Open(t.Context(), dir, tree); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), dir, translog.Tree{Size: 700, Root: [32]byte{1}}); err == nil {
		t.Error("another root: opened")
	}
	for _, name := range []string{"tile/0/002.p/188", "tile/1/000.p/2", "tile/entries/002.p/188"} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), dir, tree); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("without %s: %v", name, err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// Other entries than the tile has would go into the full bundle, which readers could not verify.
	path := filepath.Join(dir, "tile/entries/002.p/188")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, other := range map[string][]byte{
		"another entry": append([]byte{0, 2, 7, 7}, data[4:]...), "an entry more": append(bytes.Clone(data), 0, 0),
		"an entry less": data[:len(data)-4], "half an entry": data[:len(data)-1], "nothing": {},
	} {
		if err := os.WriteFile(path, other, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), dir, tree); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the last bundle with %s: %v", name, err)
		}
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, "tile/1/000.p/2")
	if err := os.WriteFile(path, make([]byte, 64), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), dir, tree); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("another tile: %v", err)
	}
	if err := os.WriteFile(path, make([]byte, 63), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), dir, tree); err == nil {
		t.Error("a short tile: opened")
	}
}

func TestCollect(t *testing.T) {
	dir := t.TempDir()
	w, err := Open(t.Context(), dir, Empty())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 300 {
		if err := w.Add([]byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Collect(0); err != nil {
		t.Fatal(err)
	}
	if err := w.Collect(1); err == nil {
		t.Error("collected what is not full")
	}
	for name, there := range map[string]bool{"tile/0/000.p": false, "tile/entries/000.p": false, "tile/0/001.p/44": true} {
		if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(name))); (err == nil) != there {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The tile above goes with the last one below it.
	for w.Size() < 65_600 {
		if err := w.Add([]byte{1}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	above := filepath.Join(dir, "tile", "1", "000.p")
	for _, n := range []uint64{254, 255} {
		if err := w.Collect(n); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(above); (err == nil) != (n == 254) {
			t.Errorf("after tile %d: %v", n, err)
		}
	}
	tree, err := w.Tree()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), dir, tree); err != nil {
		t.Error(err)
	}
}

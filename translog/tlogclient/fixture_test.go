package tlogclient_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/translogtest"
)

// A tiledLog is a log in memory whose tiles were written to a directory by
// golang.org/x/mod, which knows nothing of tessera.
type tiledLog struct {
	*translogtest.Log
	dir     string
	entries [][]byte
	cps     map[int]*translog.Checkpoint // by size
}

// tiled writes the tiles of every size, and the checkpoint of the last.
func tiled(t testing.TB, sizes ...int) *tiledLog {
	t.Helper()
	l := &tiledLog{Log: translogtest.NewLog("log.example/tiled"), dir: t.TempDir(), cps: make(map[int]*translog.Checkpoint)}
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			hashes[i] = stored[index]
		}
		return hashes, nil
	})
	for _, size := range sizes {
		old := len(l.entries)
		for i := old; i < size; i++ {
			e := fmt.Appendf(nil, "entry %d", i)
			hashes, err := tlog.StoredHashes(int64(i), e, reader)
			if err != nil {
				t.Fatal(err)
			}
			stored, l.entries = append(stored, hashes...), append(l.entries, e)
		}
		if size > old {
			if _, err := l.Append(t.Context(), l.entries[old:]); err != nil {
				t.Fatal(err)
			}
		}
		for _, tile := range tlog.NewTiles(8, int64(old), int64(size)) {
			data, err := tlog.ReadTileData(tile, reader)
			if err != nil {
				t.Fatal(err)
			}
			l.write(t, strings.Replace(tile.Path(), "tile/8/", "tile/", 1), data)
			if tile.L == 0 {
				l.write(t, strings.Replace(tile.Path(), "tile/8/0/", "tile/entries/", 1), l.bundle(tile))
			}
		}
		cp, err := l.Checkpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		l.cps[size] = cp
		l.write(t, "checkpoint", cp.Note())
	}
	return l
}

func (l *tiledLog) bundle(tile tlog.Tile) []byte {
	var b bytes.Buffer
	for i := range tile.W {
		e := l.entries[int(tile.N)*256+i]
		b.Write(binary.BigEndian.AppendUint16(nil, uint16(len(e))))
		b.Write(e)
	}
	return b.Bytes()
}

func (l *tiledLog) write(t testing.TB, path string, data []byte) {
	t.Helper()
	path = filepath.Join(l.dir, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// change rewrites a file of the log.
func (l *tiledLog) change(t testing.TB, path string, f func([]byte) []byte) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(l.dir, path))
	if err != nil {
		t.Fatal(err)
	}
	l.write(t, path, f(data))
}

func (l *tiledLog) remove(t testing.TB, path string) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(l.dir, path)); err != nil {
		t.Fatal(err)
	}
}

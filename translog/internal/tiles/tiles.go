// Package tiles writes the tiles of a log (C2SP tlog-tiles) for engines that have none of their own.
package tiles

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api/layout"

	"github.com/touchmark-dev/touchmark/internal/durable"
	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
)

const (
	width     = layout.TileWidth
	hashBytes = 32
)

var ranges = &compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}

// A Writer keeps the tiles and the entry bundles of a log in a directory. Entries are added in memory and written by
// Flush, whole tiles first when they are full. It is for one goroutine.
type Writer struct {
	dir    string
	size   uint64
	tree   *compact.Range
	bundle []byte   // entries of the last bundle, that is not full
	edge   [][]byte // hashes of the last tile of each level, that is not full

	full map[string][]byte // to be written
	dirs map[string]bool   // that exist
}

// Open reads the right edge of the tree of size entries in dir, and checks that it has this root. A directory in which
// anything of it is missing is an error that is fs.ErrNotExist; it can be begun again with a size of 0.
func Open(ctx context.Context, dir string, tree translog.Tree) (*Writer, error) {
	w := &Writer{dir: dir, size: tree.Size, tree: ranges.NewEmptyRange(0), full: make(map[string][]byte), dirs: make(map[string]bool)}
	source := tlogclient.Dir(dir)
	if err := w.readBundle(ctx, source); err != nil {
		return nil, err
	}
	var nodes [][]byte
	for level := uint64(0); tree.Size>>(8*level) > 0; level++ {
		edge, err := w.readEdge(ctx, source, level)
		if err != nil {
			return nil, err
		}
		w.edge = append(w.edge, edge)
		nodes = append(rangeOf(edge), nodes...)
	}
	whole, err := ranges.NewRange(0, tree.Size, nodes)
	if err != nil {
		return nil, fmt.Errorf("translog: tiles in %q: %w", dir, err)
	}
	w.tree = whole
	got, err := w.Tree()
	if err != nil {
		return nil, err
	}
	if got != tree {
		return nil, fmt.Errorf("translog: tiles in %q: the root of %d entries is another one than was signed", dir, tree.Size)
	}
	return w, w.checkBundle()
}

// rangeOf returns the compact range of the hashes of a tile that is not full.
func rangeOf(edge []byte) [][]byte {
	r := ranges.NewEmptyRange(0)
	for ; len(edge) > 0; edge = edge[hashBytes:] {
		if err := r.Append(edge[:hashBytes], nil); err != nil {
			panic("translog: internal error: " + err.Error()) // a range appends at its end
		}
	}
	return r.Hashes()
}

func (w *Writer) readBundle(ctx context.Context, source tlogclient.Source) error {
	partial := uint8(w.size % width)
	if partial == 0 {
		return nil
	}
	bundle, err := source.Entries(ctx, w.size/width, partial)
	if err != nil {
		return fmt.Errorf("translog: tiles: %w", err)
	}
	w.bundle = bundle
	return nil
}

// checkBundle holds the entries of the last bundle, which will be written again with those that come, against the
// hashes that readers hold them against.
func (w *Writer) checkBundle() error {
	rest := w.bundle
	var edge []byte
	if len(w.edge) > 0 {
		edge = w.edge[0]
	}
	for len(edge) > 0 || len(rest) > 0 {
		if len(edge) == 0 || len(rest) < 2 || len(rest)-2 < int(binary.BigEndian.Uint16(rest)) {
			return fmt.Errorf("translog: tiles in %q: the last bundle has not the entries of the last tile", w.dir)
		}
		end := 2 + int(binary.BigEndian.Uint16(rest))
		if leaf := translog.LeafHash(rest[2:end]); string(leaf[:]) != string(edge[:hashBytes]) {
			return fmt.Errorf("translog: tiles in %q: the last bundle has another entry than the last tile", w.dir)
		}
		edge, rest = edge[hashBytes:], rest[end:]
	}
	return nil
}

func (w *Writer) readEdge(ctx context.Context, source tlogclient.Source, level uint64) ([]byte, error) {
	columns := w.size >> (8 * level)
	partial := uint8(columns % width)
	if partial == 0 {
		return nil, nil
	}
	tile, err := source.Tile(ctx, level, columns/width, partial)
	if err != nil {
		return nil, fmt.Errorf("translog: tiles: %w", err)
	}
	if len(tile) != int(partial)*hashBytes {
		return nil, fmt.Errorf("translog: tiles in %q: %s has %d bytes", w.dir, layout.TilePath(level, columns/width, partial), len(tile))
	}
	return tile, nil
}

// Empty is the tree without entries.
func Empty() translog.Tree {
	return translog.Tree{Root: [hashBytes]byte(rfc6962.DefaultHasher.EmptyRoot())}
}

// Size returns the number of entries, written or not.
func (w *Writer) Size() uint64 { return w.size }

// Tree returns the tree of all entries, written or not.
func (w *Writer) Tree() (translog.Tree, error) {
	if w.size == 0 {
		return Empty(), nil
	}
	root, err := w.tree.GetRootHash(nil)
	if err != nil {
		return translog.Tree{}, fmt.Errorf("translog: tiles: %w", err)
	}
	return translog.Tree{Size: w.size, Root: [32]byte(root)}, nil
}

// Add adds an entry, which translog.CheckEntries must have accepted.
func (w *Writer) Add(entry []byte) error {
	leaf := translog.LeafHash(entry)
	if err := w.tree.Append(leaf[:], nil); err != nil {
		return fmt.Errorf("translog: tiles: %w", err)
	}
	w.bundle = binary.BigEndian.AppendUint16(w.bundle, uint16(len(entry))) //nolint:gosec // CheckEntries
	w.bundle = append(w.bundle, entry...)
	w.size++
	if w.size%width == 0 {
		w.full[layout.EntriesPath(w.size/width-1, 0)] = w.bundle
		w.bundle = nil
	}
	w.push(0, leaf[:])
	return nil
}

// push adds a hash to the last tile of a level. A tile that is full gives one to the level above.
func (w *Writer) push(level uint64, hash []byte) {
	if level == uint64(len(w.edge)) {
		w.edge = append(w.edge, nil)
	}
	w.edge[level] = append(w.edge[level], hash...)
	if len(w.edge[level]) < width*hashBytes {
		return
	}
	tile := w.edge[level]
	w.edge[level] = nil
	w.full[layout.TilePath(level, (w.size>>(8*level))/width-1, 0)] = tile
	w.push(level+1, rangeOf(tile)[0])
}

// FlushFull writes the tiles that are full, if they take more than so many bytes of memory.
func (w *Writer) FlushFull(bytes int) error {
	held := 0
	for _, data := range w.full {
		held += len(data)
	}
	if held <= bytes {
		return nil
	}
	for path, data := range w.full {
		if err := w.write(path, data); err != nil {
			return err
		}
		delete(w.full, path)
	}
	return nil
}

// Flush writes what was added. When it returns nil the tiles of all entries are durable. Nothing that readers of
// earlier checkpoints need is changed or removed.
func (w *Writer) Flush() error {
	if err := w.FlushFull(0); err != nil {
		return err
	}
	for level, edge := range w.edge {
		if len(edge) == 0 {
			continue
		}
		columns := w.size >> (8 * uint64(level))                                                                   //nolint:gosec // a level
		if err := w.write(layout.TilePath(uint64(level), columns/width, uint8(columns%width)), edge); err != nil { //nolint:gosec // below width
			return err
		}
	}
	if len(w.bundle) == 0 {
		return nil
	}
	return w.write(layout.EntriesPath(w.size/width, uint8(w.size%width)), w.bundle)
}

func (w *Writer) write(path string, data []byte) error {
	name := filepath.Join(w.dir, filepath.FromSlash(path))
	if dir := filepath.Dir(name); !w.dirs[dir] {
		if err := durable.MkdirAll(durable.OS{}, dir); err != nil {
			return fmt.Errorf("translog: tiles: %w", err)
		}
		w.dirs[dir] = true
	}
	if err := durable.WriteFile(durable.OS{}, name, data); err != nil {
		return fmt.Errorf("translog: tiles: %w", err)
	}
	return nil
}

// Collect removes the partial tiles and bundles of the n-th full tile at level 0, and of those above that end with it, once
// there is the full one. C2SP tlog-tiles lets a log do so.
func (w *Writer) Collect(n uint64) error {
	full := []string{layout.EntriesPath(n, 0), layout.TilePath(0, n, 0)}
	for level, index := uint64(1), n; (index+1)%width == 0; level++ {
		index /= width
		full = append(full, layout.TilePath(level, index, 0))
	}
	for _, path := range full {
		name := filepath.Join(w.dir, filepath.FromSlash(path))
		if _, err := os.Lstat(name + ".p"); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if _, err := os.Stat(name); err != nil {
			return fmt.Errorf("translog: tiles: %w", err)
		}
		if err := os.RemoveAll(name + ".p"); err != nil {
			return fmt.Errorf("translog: tiles: %w", err)
		}
		delete(w.dirs, name+".p")
	}
	return nil
}

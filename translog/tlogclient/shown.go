package tlogclient

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/transparency-dev/tessera/api/layout"

	"github.com/touchmark-dev/touchmark/translog"
)

// A part of the tree is what a tile holds: the hashes of a level up to an end, which is 0 for nothing.
type part struct{ level, end uint64 }

// parsePart reads what tilePath found. Anything but the one spelling of C2SP tlog-tiles is refused.
func parsePart(level, index, width string) (p part, ok bool) {
	n, err := strconv.ParseUint(strings.NewReplacer("x", "", "/", "").Replace(index), 10, 64)
	if err != nil || n >= translog.MaxTreeSize/layout.TileWidth || layout.NWithSuffix(0, n, 0) != index {
		return part{}, false
	}
	w := uint64(layout.TileWidth)
	if width != "" {
		w, _ = strconv.ParseUint(width, 10, 8) // of one to three digits, below 256
	}
	if level != "entries" {
		p.level, _ = strconv.ParseUint(level, 10, 8)
	}
	p.end = n*layout.TileWidth + w
	return p, true
}

// in reports whether a tree of size entries has all of the part.
func (p part) in(size uint64) bool { return p.end <= size>>(8*p.level) }

// shown is the size of the checkpoint that a directory shows. It is read anew when the file is another one.
type shown struct {
	mu   sync.Mutex
	file fs.FileInfo
	size uint64
}

// covers is an error that is fs.ErrNotExist for what the checkpoint does not cover: nobody has signed it, and something
// else may come in its place.
func (s *shown) covers(root *os.Root, p part) error {
	if p.end == 0 {
		return nil
	}
	info, err := root.Stat(layout.CheckpointPath)
	if err != nil {
		return err
	}
	s.mu.Lock()
	known := s.file != nil && os.SameFile(s.file, info) && s.file.ModTime().Equal(info.ModTime()) && s.file.Size() == info.Size()
	size := s.size
	s.mu.Unlock()
	if known && p.in(size) {
		return nil
	}
	// A file that looks like the one before may be another one all the same: nothing is refused without reading it.
	f, info, err := openIn(root, layout.CheckpointPath)
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := readAll(f, layout.CheckpointPath, translog.MaxCheckpointBytes)
	if err != nil {
		return err
	}
	if size, err = sizeOf(string(text)); err != nil {
		return err
	}
	s.mu.Lock()
	s.file, s.size = info, size
	s.mu.Unlock()
	if !p.in(size) {
		return fmt.Errorf("tlogclient: nothing signed: %w", fs.ErrNotExist)
	}
	return nil
}

// sizeOf reads the size in a checkpoint. Whoever writes to the directory is believed that it was signed.
func sizeOf(note string) (uint64, error) {
	lines := strings.SplitN(note, "\n", 4)
	if len(lines) == 4 {
		if size, err := strconv.ParseUint(lines[1], 10, 64); err == nil && size <= translog.MaxTreeSize && strconv.FormatUint(size, 10) == lines[1] {
			return size, nil
		}
	}
	return 0, errors.New("tlogclient: the checkpoint is none")
}

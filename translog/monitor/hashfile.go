package monitor

import (
	"bufio"
	"container/list"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"sort"

	"github.com/touchmark-dev/touchmark/internal/durable"
)

// A hashFile is a file of frames of one width, numbered from 0. What is put is in memory until flush.
type hashFile struct {
	name  string
	files *openFiles
	file  durable.File  // nil while it is closed: see openFiles
	place *list.Element // in openFiles
	size  int64         // of the file

	window      []byte // frames as the file has them, while it is open and until it is written to
	windowFirst uint64 // the first of them

	width int
	next  uint64            // frames in the file and pending; one below next that nobody has is zeroes
	runs  []run             // that the file does not have, in order
	edits map[uint64][]byte // frames that were put before, and are others now

	undo map[uint64][]byte // what edits held before begin, nil for nothing; nil outside of begin and end
	was  uint64            // next at begin
}

// A run is frames that follow each other.
type run struct {
	first uint64
	data  []byte
}

// openHashFile opens a file of which n frames count. What comes after them was never committed.
func openHashFile(files *openFiles, name string, width int, n uint64) (*hashFile, error) {
	if n > math.MaxInt64/uint64(width) { //nolint:gosec // a width
		return nil, fmt.Errorf("monitor: %q: the state speaks of %d frames", name, n)
	}
	h := &hashFile{name: name, files: files, width: width, next: n, edits: make(map[uint64][]byte)}
	f, err := files.use(h)
	if err != nil {
		return nil, err
	}
	size, err := f.Size()
	want := int64(n) * int64(width) //nolint:gosec // see above
	if err == nil && size < want {
		err = fmt.Errorf("%q has %d bytes, the state speaks of %d: begin again in another directory", name, size, want)
	}
	if err == nil {
		err = f.Truncate(want)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("monitor: %w", err), h.close())
	}
	h.size = want
	return h, nil
}

// put appends a frame.
func (h *hashFile) put(frame []byte) {
	last := len(h.runs) - 1
	if last < 0 || h.runs[last].first+uint64(len(h.runs[last].data)/h.width) != h.next { //nolint:gosec // a width
		last++
		if last == cap(h.runs) {
			h.runs = append(h.runs, run{})
		}
		h.runs = h.runs[:last+1]
		h.runs[last].first, h.runs[last].data = h.next, h.runs[last].data[:0] // the room of one that was flushed
	}
	h.runs[last].data = append(h.runs[last].data, frame...)
	h.next++
}

// skip appends n frames of zeroes, which take no place.
func (h *hashFile) skip(n uint64) { h.next += n }

// set replaces a frame that was put before.
func (h *hashFile) set(i uint64, frame []byte) {
	if _, noted := h.undo[i]; h.undo != nil && !noted {
		h.undo[i] = h.edits[i]
	}
	h.edits[i] = slices.Clone(frame)
}

// get returns frame i, which must be below next.
func (h *hashFile) get(i uint64) ([]byte, error) {
	if frame, ok := h.edits[i]; ok {
		return slices.Clone(frame), nil
	}
	n := sort.Search(len(h.runs), func(n int) bool { return h.runs[n].first > i }) - 1
	if n >= 0 {
		if at := (i - h.runs[n].first) * uint64(h.width); at < uint64(len(h.runs[n].data)) { //nolint:gosec // a width
			return slices.Clone(h.runs[n].data[at : at+uint64(h.width)]), nil //nolint:gosec // a width
		}
	}
	return h.read(i)
}

// windowFrames is how many frames are read from a file at a time: who asks for one mostly asks for the next as well.
const windowFrames = 64

// read returns frame i of the file, zeroes where it ends before.
func (h *hashFile) read(i uint64) ([]byte, error) {
	if i < h.windowFirst || i-h.windowFirst >= uint64(len(h.window)/h.width) { //nolint:gosec // a width
		f, err := h.files.use(h)
		if err != nil {
			return nil, err
		}
		if h.window == nil {
			h.window = make([]byte, windowFrames*h.width)
		}
		n, err := f.ReadAt(h.window[:cap(h.window)], int64(i)*int64(h.width)) //nolint:gosec // below next
		if err != nil && (!errors.Is(err, io.EOF) || n%h.width != 0) {
			h.window = nil
			return nil, fmt.Errorf("monitor: %w", err)
		}
		h.window, h.windowFirst = h.window[:n], i
	}
	if at := (i - h.windowFirst) * uint64(h.width); at < uint64(len(h.window)) { //nolint:gosec // a width
		return slices.Clone(h.window[at : at+uint64(h.width)]), nil //nolint:gosec // a width
	}
	return make([]byte, h.width), nil
}

// each goes through all frames, which must have been flushed. do must use no other hashFile.
func (h *hashFile) each(do func(i uint64, frame []byte)) error {
	f, err := h.files.use(h)
	if err != nil {
		return err
	}
	in := bufio.NewReaderSize(io.NewSectionReader(f, 0, int64(h.next)*int64(h.width)), 1<<20) //nolint:gosec // a file
	frame := make([]byte, h.width)
	for i := range h.next {
		if _, err := io.ReadFull(in, frame); err != nil {
			return fmt.Errorf("monitor: %w", err)
		}
		do(i, frame)
	}
	return nil
}

// begin begins what back undoes, and end does not.
func (h *hashFile) begin() { h.undo, h.was = make(map[uint64][]byte), h.next }

func (h *hashFile) end() { h.undo = nil }

func (h *hashFile) back() {
	for i, frame := range h.undo {
		if h.edits[i] = frame; frame == nil {
			delete(h.edits, i)
		}
	}
	for n := len(h.runs) - 1; n >= 0; n-- {
		r := &h.runs[n]
		if r.first < h.was {
			r.data = r.data[:min(uint64(len(r.data)), (h.was-r.first)*uint64(h.width))] //nolint:gosec // a width
			break
		}
		h.runs = h.runs[:n]
	}
	h.next, h.undo = h.was, nil
}

// flush makes everything durable.
func (h *hashFile) flush() error {
	want := int64(h.next) * int64(h.width) //nolint:gosec // a file
	if len(h.runs) == 0 && len(h.edits) == 0 && h.size >= want {
		return nil
	}
	f, err := h.files.use(h)
	if err != nil {
		return err
	}
	if h.size < want {
		if err := f.Truncate(want); err != nil {
			return fmt.Errorf("monitor: %w", err)
		}
		h.size = want
	}
	h.window = nil
	runs := h.runs
	for _, i := range slices.Sorted(maps.Keys(h.edits)) { // after the runs, which they may be in
		runs = append(runs, run{i, h.edits[i]})
	}
	for _, r := range runs {
		if _, err := f.WriteAt(r.data, int64(r.first)*int64(h.width)); err != nil { //nolint:gosec // below next
			return fmt.Errorf("monitor: %w", err)
		}
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("monitor: %w", err)
	}
	clear(h.edits)
	h.runs = h.runs[:0]
	return nil
}

func (h *hashFile) close() error { return h.files.close(h) }

package monitor

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/touchmark-dev/touchmark/internal/durable"
)

// A hashFile is a file of frames of one width, numbered from 0. What is put is in memory until flush.
type hashFile struct {
	file  durable.File
	width int
	next  uint64 // frames in the file and pending
	tail  []byte // pending, of the frames that end at next
}

// openHashFile opens a file of which n frames count. What comes after them was never committed.
func openHashFile(fsys durable.FS, name string, width int, n uint64) (*hashFile, error) {
	f, err := fsys.Open(name, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, fmt.Errorf("monitor: %w", err)
	}
	h := &hashFile{file: f, width: width, next: n}
	size, err := f.Size()
	want := int64(n) * int64(width) //nolint:gosec // frames of a file that exists
	if err == nil && size < want {
		err = fmt.Errorf("%q has %d bytes, the state speaks of %d: begin again in another directory", name, size, want)
	}
	if err == nil {
		err = f.Truncate(want)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("monitor: %w", err), f.Close())
	}
	return h, nil
}

// put appends frames.
func (h *hashFile) put(frame ...byte) {
	h.tail = append(h.tail, frame...)
	h.next += uint64(len(frame) / h.width)
}

// set replaces a frame that was put before.
func (h *hashFile) set(i uint64, frame []byte) error {
	if from := h.flushed(); i >= from {
		copy(h.tail[(i-from)*uint64(h.width):], frame)
		return nil
	}
	_, err := h.file.WriteAt(frame, int64(i)*int64(h.width)) //nolint:gosec // below next
	return err
}

// get returns frame i, which must be below next.
func (h *hashFile) get(i uint64) ([]byte, error) {
	frame := make([]byte, h.width)
	if from := h.flushed(); i >= from {
		copy(frame, h.tail[(i-from)*uint64(h.width):])
		return frame, nil
	}
	if n, err := h.file.ReadAt(frame, int64(i)*int64(h.width)); err != nil && (!errors.Is(err, io.EOF) || n != h.width) { //nolint:gosec // below next
		return nil, fmt.Errorf("monitor: %w", err)
	}
	return frame, nil
}

func (h *hashFile) flushed() uint64 { return h.next - uint64(len(h.tail)/h.width) }

// flush makes everything durable.
func (h *hashFile) flush() error {
	if len(h.tail) == 0 {
		return nil
	}
	if _, err := h.file.WriteAt(h.tail, int64(h.flushed())*int64(h.width)); err != nil { //nolint:gosec // the end of the file
		return fmt.Errorf("monitor: %w", err)
	}
	if err := h.file.Sync(); err != nil {
		return fmt.Errorf("monitor: %w", err)
	}
	h.tail = h.tail[:0]
	return nil
}

func (h *hashFile) close() error { return h.file.Close() }

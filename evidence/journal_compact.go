package evidence

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/touchmark-dev/touchmark/internal/durable"
)

// compactBatch is the size of the batches of a segment that is compacted, in bytes.
const compactBatch = 1 << 20

// An editor returns what a payload is to become: itself, if it is to stay as it is, or a shorter one. It must not change
// the payload, which is valid until it returns.
type editor func(index uint64, payload []byte) ([]byte, error)

// A compaction is what became of the segments of a journal.
type compaction struct {
	payloads int   // that were changed
	segments int   // that have them
	bytes    int64 // by which the files are smaller
}

// compact puts in the place of each segment but the last one in which edit changes a payload. A crash leaves each segment
// as it was or as it is to be. Old files are overwritten when the new ones are durable; readers that are at one find the
// new one under its name.
func (j *journal) compact(ctx context.Context, edit editor) (*compaction, error) {
	list, err := listSegments(j.cfg.fs, j.cfg.dir)
	if err != nil {
		return nil, err
	}
	total := new(compaction)
	for i := uint64(0); i+1 < list.count; i++ {
		if err := ctx.Err(); err != nil {
			return total, err
		}
		c := &compactor{fs: j.cfg.fs, dir: j.cfg.dir, number: list.number(i), edit: edit}
		err := c.run()
		if c.done {
			j.free(c.freed)
			total.payloads += c.changed
			total.bytes += c.freed
			total.segments++
		}
		if err != nil {
			return total, fmt.Errorf("compact %q: %w", c.name(), err)
		}
	}
	return total, nil
}

// A compactor compacts one segment.
type compactor struct {
	fs     durable.FS
	dir    string
	number uint64
	edit   editor

	next    *segmentHeader
	changed int
	freed   int64
	done    bool // the new file has the name
}

func (c *compactor) name() string { return filepath.Join(c.dir, segmentName(c.number)) }

// run compacts the segment, if there is anything to change in it.
func (c *compactor) run() (err error) {
	if c.next, err = c.header(c.number + 1); err != nil {
		return err
	}
	// Opened for writing now, so that the file is at hand when another has its name.
	old, err := c.fs.Open(c.name(), os.O_RDWR)
	if err != nil {
		return err
	}
	defer closeFile(old, &err)
	if err := c.each(old, nil); err != nil || c.changed == 0 {
		return err
	}
	size, err := old.Size()
	if err != nil {
		return err
	}
	end, err := c.replace(old)
	if err != nil {
		return err
	}
	c.freed, c.done = size-end, true
	if err := wipe(old, size); err != nil {
		return fmt.Errorf("overwriting the file that was replaced, which has no name any more: %w", err)
	}
	return nil
}

// header reads the header of a segment.
func (c *compactor) header(number uint64) (head *segmentHeader, err error) {
	name := filepath.Join(c.dir, segmentName(number))
	f, err := c.fs.Open(name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer closeFile(f, &err)
	r, err := openSegment(f, name)
	if err != nil {
		return nil, err
	}
	return r.head, nil
}

// each edits the payloads of a file, counts those that change, and gives them to write if that is not nil.
func (c *compactor) each(f durable.File, write func(payload []byte) error) error {
	r, err := openSegment(f, c.name())
	if err != nil {
		return err
	}
	if r.end < 0 {
		r.end = c.next.previous
	}
	c.changed = 0
	index := r.head.first
	for ; ; index++ {
		payload, ok, err := r.next()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		edited, err := c.edit(index, payload)
		if err != nil {
			return err
		}
		if len(edited) != len(payload) {
			c.changed++
		}
		if write != nil {
			if err := write(edited); err != nil {
				return err
			}
		}
	}
	if roundUp(r.off, blockBytes) != r.end || index != c.next.first {
		return r.corrupt(r.off, "no valid frame is here, but frames reach to byte %d", r.end)
	}
	return nil
}

// replace writes the segment anew and gives it the name of the old one.
func (c *compactor) replace(old durable.File) (end int64, err error) {
	r, err := openSegment(old, c.name())
	if err != nil {
		return 0, err
	}
	temp := filepath.Join(c.dir, compactName)
	if err := wipeFile(c.fs, temp); err != nil {
		return 0, err
	}
	f, err := c.fs.Open(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return 0, err
	}
	defer closeFile(f, &err)
	head := *r.head
	head.salt = newSalt()
	if head.was == 0 {
		head.was = c.next.previous
	}
	w := &batchWriter{file: f, head: &head, off: blockBytes}
	if err := c.each(old, w.add); err != nil {
		return 0, err
	}
	if err := w.flush(); err != nil {
		return 0, err
	}
	head.end = w.off
	if _, err := f.WriteAt(head.marshal(), 0); err != nil {
		return 0, err
	}
	if err := f.Sync(); err != nil {
		return 0, err
	}
	if err := c.fs.Rename(temp, c.name()); err != nil {
		return 0, err
	}
	return w.off, c.fs.SyncDir(c.dir)
}

// A batchWriter writes payloads in batches.
type batchWriter struct {
	file durable.File
	head *segmentHeader
	off  int64
	buf  []byte
}

func (w *batchWriter) add(payload []byte) error {
	w.buf = w.head.appendFrame(w.buf, w.off, payload)
	if len(w.buf) < compactBatch {
		return nil
	}
	return w.flush()
}

func (w *batchWriter) flush() error {
	w.buf = appendZeroes(w.buf, blockBytes)
	if len(w.buf) == 0 {
		return nil
	}
	if _, err := w.file.WriteAt(w.buf, w.off); err != nil {
		return err
	}
	w.off += int64(len(w.buf))
	w.buf = w.buf[:0]
	return nil
}

// wipe overwrites a file that has no name any more.
func wipe(f durable.File, size int64) error {
	zero := make([]byte, min(size, compactBatch))
	for off := int64(blockBytes); off < size; off += int64(len(zero)) {
		if _, err := f.WriteAt(zero[:min(int64(len(zero)), size-off)], off); err != nil {
			return err
		}
	}
	return f.Sync()
}

// wipeFile overwrites and removes a file that need not be there.
func wipeFile(fsys durable.FS, name string) error {
	f, err := fsys.Open(name, os.O_RDWR)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	size, err := f.Size()
	if err == nil {
		err = wipe(f, size)
	}
	if closeFile(f, &err); err != nil {
		return err
	}
	return remove(fsys, name)
}

// sizes returns the sum of the sizes of files.
func sizes(fsys durable.FS, dir string, names []string) (total int64, err error) {
	for _, name := range names {
		f, err := fsys.Open(filepath.Join(dir, name), os.O_RDONLY)
		if err != nil {
			return 0, err
		}
		size, err := f.Size()
		closeFile(f, &err)
		if err != nil {
			return 0, err
		}
		total += size
	}
	return total, nil
}

package evidence

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"

	"github.com/touchmark-dev/touchmark/internal/durable"
)

// tailReads is how often the end of a live journal is read again before what
// stands there is called damage: a writer may be at it.
const tailReads = 3

// A RemovedError says that a reader was overtaken: the records that it was to
// read next were removed while it was reading. Read again from First.
type RemovedError struct {
	Next  uint64 // sequence number of the record that was to be next
	First uint64 // of the first record that is kept
}

func (e *RemovedError) Error() string {
	return fmt.Sprintf("evidence: records %d to %d of the journal were removed while it was read; read again from %d", e.Next, e.First-1, e.First)
}

// A journalReader reads payloads in order. It takes no lock and changes
// nothing, so it can read a directory that is being written; then what it
// reads last may not be durable yet.
type journalReader struct {
	fs    durable.FS
	dir   string
	cur   *segmentReader
	index uint64 // of the next payload
}

// openJournalReader returns a reader whose first payload is the one with index
// from, or the first that is kept if that was removed, or the end of the
// journal when it has no such payload yet.
func openJournalReader(fsys durable.FS, dir string, from uint64) (*journalReader, error) {
	r := &journalReader{fs: fsys, dir: dir}
	if err := r.seek(from); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

// seek opens the segment that has the payload and skips those before it.
func (r *journalReader) seek(from uint64) error {
	for {
		list, err := listSegments(r.fs, r.dir)
		if err != nil {
			return err
		}
		if list.count == 0 {
			return fmt.Errorf("there is no journal in %q: %w", r.dir, fs.ErrNotExist)
		}
		err = r.find(list, from)
		if errors.Is(err, fs.ErrNotExist) {
			if now, rerr := readHead(r.fs, r.dir); rerr == nil && !now.same(list.head) {
				continue // segments were removed just now
			}
		}
		if err != nil {
			return err
		}
		break
	}
	r.index = r.cur.head.first
	return r.skip(from)
}

// find opens the segment that has a payload, or the first.
func (r *journalReader) find(list *listing, from uint64) error {
	var failed error
	after := sort.Search(int(list.count), func(i int) bool { //nolint:gosec // they were counted one by one
		seg, err := r.open(list.number(uint64(i))) //nolint:gosec // i is not negative
		if err != nil {
			failed = errors.Join(failed, err)
			return true
		}
		defer closeFile(seg.file, &failed)
		return seg.head.first > from
	})
	if failed != nil {
		return failed
	}
	seg, err := r.open(list.number(uint64(max(after, 1) - 1))) //nolint:gosec // not negative
	if err != nil {
		return err
	}
	if after <= 1 {
		if err := list.head.begins(seg); err != nil {
			return errors.Join(err, seg.file.Close())
		}
	}
	r.cur = seg
	return nil
}

// skip goes on to the payload with index from.
func (r *journalReader) skip(from uint64) error {
	for r.index < from {
		if _, _, err := r.next(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}

func (r *journalReader) open(number uint64) (*segmentReader, error) {
	name := filepath.Join(r.dir, segmentName(number))
	f, err := r.fs.Open(name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	seg, err := openSegment(f, name)
	if err == nil {
		err = follows(seg, number, nil)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return seg, nil
}

// next returns the next payload, valid until the next call, and its index. At
// the end of the journal it returns io.EOF; later there may be more.
func (r *journalReader) next() (index uint64, payload []byte, err error) {
	for {
		payload, ok, err := r.cur.next()
		if err != nil {
			return 0, nil, err
		}
		if ok {
			r.index++
			return r.index - 1, payload, nil
		}
		more, err := r.advance()
		if err != nil {
			return 0, nil, err
		}
		if !more {
			return 0, nil, io.EOF
		}
	}
}

// advance goes on to the next segment, and reports false at the end of the journal.
func (r *journalReader) advance() (more bool, err error) {
	next, err := r.open(r.cur.head.number + 1)
	if errors.Is(err, fs.ErrNotExist) {
		if err := r.overtaken(); err != nil {
			return false, err
		}
		return r.tail()
	}
	if err != nil {
		return false, err
	}
	if err := follows(next, r.cur.head.number+1, r.cur.head); err != nil {
		return false, errors.Join(err, next.file.Close())
	}
	if r.cur.end < 0 {
		// Frames may have been added before the next segment was begun.
		r.cur.end = next.head.previous
		return true, next.file.Close()
	}
	if roundUp(r.cur.off, blockBytes) != r.cur.end || r.index != next.head.first {
		return r.reopen(next)
	}
	old := r.cur
	r.cur = next
	return true, old.file.Close()
}

// overtaken returns an error if the segment that is to be next was removed.
func (r *journalReader) overtaken() error {
	head, err := readHead(r.fs, r.dir)
	if err != nil {
		return err
	}
	if head.firstSegment() > r.cur.head.number+1 {
		return &RemovedError{Next: r.index, First: head.First}
	}
	return nil
}

// reopen is for a segment whose frames do not reach where the next one says that they do. It is damaged, unless it was
// compacted or recovered while it was read: then another file has its name, in which reading goes on, and the old one is
// overwritten. A file that was recovered has the header of the old one, so it is tried once.
func (r *journalReader) reopen(next *segmentReader) (more bool, err error) {
	damaged := r.cur.corrupt(r.cur.off, "no valid frame is here, but frames reach to byte %d, says the next segment or the header", r.cur.end)
	if err := next.file.Close(); err != nil {
		return false, err
	}
	now, err := r.open(r.cur.head.number)
	if errors.Is(err, fs.ErrNotExist) {
		if err := r.overtaken(); err != nil {
			return false, err
		}
	}
	if err != nil {
		return false, errors.Join(damaged, err)
	}
	now.again = now.head.salt == r.cur.head.salt
	if now.again && r.cur.again || now.head.first != r.cur.head.first || now.head.journal != r.cur.head.journal {
		return false, errors.Join(damaged, now.file.Close())
	}
	old, index := r.cur, r.index
	r.cur, r.index = now, now.head.first
	if err := old.file.Close(); err != nil {
		return false, err
	}
	return true, r.skip(index)
}

// tail judges what stands behind the last frame.
func (r *journalReader) tail() (more bool, err error) {
	for i := 0; i < tailReads; i++ {
		if err = r.cur.checkTail(); err == nil {
			return false, nil
		}
		again := *r.cur
		again.window = nil
		if _, ok, ferr := again.frame(); ok || ferr != nil {
			return ok, ferr // the writer has come by
		}
	}
	return false, err
}

func (r *journalReader) close() error {
	if r.cur == nil {
		return nil
	}
	err := r.cur.file.Close()
	r.cur = nil
	return err
}

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
// from, or the end of the journal when it has no such payload yet.
func openJournalReader(fsys durable.FS, dir string, from uint64) (*journalReader, error) {
	r := &journalReader{fs: fsys, dir: dir}
	if err := r.seek(from); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

// seek opens the segment that has the payload and skips those before it.
func (r *journalReader) seek(from uint64) error {
	count, err := listSegments(r.fs, r.dir)
	if err != nil {
		return err
	}
	if count == 0 {
		return fmt.Errorf("there is no journal in %q: %w", r.dir, fs.ErrNotExist)
	}
	var failed error
	after := sort.Search(int(count), func(i int) bool { //nolint:gosec // they were counted one by one
		seg, err := r.open(uint64(i) + 1) //nolint:gosec // i is not negative
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
	if r.cur, err = r.open(uint64(max(after, 1))); err != nil {
		return err
	}
	r.index = r.cur.head.first
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
	if err == nil && (number == 1 || seg.head.number != number) {
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
		err := r.cur.corrupt(r.cur.off, "no valid frame is here, but the next segment says that frames reach to byte %d", r.cur.end)
		return false, errors.Join(err, next.file.Close())
	}
	old := r.cur
	r.cur = next
	return true, old.file.Close()
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

package evidence

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/touchmark-dev/touchmark/internal/durable"
)

const (
	// segmentSuffix ends the names of segments: twenty digits and this.
	segmentSuffix = ".journal"
	segmentDigits = 20
	// tempName is a segment that is being made, and has no frames yet.
	tempName = "next.tmp"
	// copyName is the good part of a segment that is being recovered.
	copyName = "copy.tmp"
	// compactName is what is to be left of a segment that is being compacted.
	compactName = "compact.tmp"
)

func segmentName(number uint64) string {
	return fmt.Sprintf("%0*d%s", segmentDigits, number, segmentSuffix)
}

// segmentNumber reads a name that segmentName wrote.
func segmentNumber(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, segmentSuffix)
	if !ok || len(digits) != segmentDigits {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, err == nil && segmentName(n) == name
}

// A listing is the segments of a journal.
type listing struct {
	head  *JournalHead // nil: nothing was removed
	count uint64       // of the segments that are kept
	left  []string     // files of segments that were to be removed
}

// number returns the number of the ith segment, from 0.
func (l *listing) number(i uint64) uint64 { return l.head.firstSegment() + i }

// end returns the number that follows that of the last segment.
func (l *listing) end() uint64 { return l.number(l.count) }

// listSegments returns what segments there are. They are numbered from the one that the head names, or from 1; one that
// is missing is refused.
func listSegments(fsys durable.FS, dir string) (*listing, error) {
	for {
		head, err := readHead(fsys, dir)
		if err != nil {
			return nil, err
		}
		out, err := listFrom(fsys, dir, head)
		if !errors.As(err, new(*CorruptError)) {
			return out, err
		}
		// Segments are removed after the head says so, perhaps just now.
		if now, rerr := readHead(fsys, dir); rerr != nil || now.same(head) {
			return nil, err
		}
	}
}

func listFrom(fsys durable.FS, dir string, head *JournalHead) (*listing, error) {
	names, err := fsys.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	out := &listing{head: head}
	for _, name := range names {
		n, ok := segmentNumber(name)
		if !ok {
			continue
		}
		if n < out.number(0) {
			out.left = append(out.left, name)
			continue
		}
		if n != out.end() {
			return nil, missing(dir, out.end())
		}
		out.count++
	}
	if out.count == 0 && head != nil {
		return nil, missing(dir, out.end())
	}
	return out, nil
}

func missing(dir string, number uint64) error {
	return &CorruptError{
		File:   filepath.Join(dir, segmentName(number)),
		Reason: "the file is missing, and others say that it was there",
	}
}

// makeSegment makes a file with space for a segment under the temporary name.
// Neither its content nor its name is durable; nameSegment sees to that.
func makeSegment(fsys durable.FS, dir string, size int64) (f durable.File, err error) {
	name := filepath.Join(dir, tempName)
	if err := remove(fsys, name); err != nil {
		return nil, err
	}
	f, err = fsys.Open(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return nil, err
	}
	if err := f.Reserve(size); err != nil {
		_ = f.Close()          // the error that matters is err,
		_ = remove(fsys, name) // and the space is wanted back
		return nil, fmt.Errorf("make journal segment in %q: %w", dir, err)
	}
	return f, nil
}

// nameSegment writes the header into a file that makeSegment made and gives it
// its name. A file with a segment's name therefore always has a good header.
func nameSegment(fsys durable.FS, dir string, f durable.File, head *segmentHeader) error {
	if _, err := f.WriteAt(head.marshal(), 0); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := fsys.Rename(filepath.Join(dir, tempName), filepath.Join(dir, segmentName(head.number))); err != nil {
		return err
	}
	return fsys.SyncDir(dir)
}

// after returns the header of the segment that follows h, when the frames of h
// are count and end at byte end.
func (h *segmentHeader) after(count uint64, end int64) *segmentHeader {
	next := &segmentHeader{journal: h.journal, number: h.number + 1, first: h.first + count, previous: end}
	next.salt = newSalt()
	return next
}

// firstHeader returns the header of a new journal's first segment.
func firstHeader() *segmentHeader {
	h := &segmentHeader{number: 1, salt: newSalt()}
	rand.Read(h.journal[:]) //nolint:errcheck // never fails, see crypto/rand
	return h
}

// newSalt returns a random salt whose beginning, the magic of frames, is not
// what unwritten space looks like.
func newSalt() (salt [16]byte) {
	for isZero(salt[:4]) {
		rand.Read(salt[:]) //nolint:errcheck // never fails, see crypto/rand
	}
	return salt
}

// remove removes a file that need not be there.
func remove(fsys durable.FS, name string) error {
	if err := fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

package evidence

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/touchmark-dev/touchmark/internal/durable"
)

// recoverJournal reads what a writer left and returns the header of the
// segment to write next. Of what was acknowledged nothing is given up: the
// only bytes left out are those of the last batch, when it did not become
// whole and nobody was told that it had.
//
// The last segment of a writer that did not close is copied up to the end of
// its good frames, and the copy takes its place. That leaves every old byte
// alone until the copy is durable, and it writes the last batch again: after
// a failed sync the system may show bytes that are not on the disk.
func recoverJournal(fsys durable.FS, dir string) (next *segmentHeader, left remains, err error) {
	if err := remove(fsys, filepath.Join(dir, tempName)); err != nil {
		return nil, left, err
	}
	for _, name := range []string{copyName, compactName} {
		if err := wipeFile(fsys, filepath.Join(dir, name)); err != nil {
			return nil, left, err
		}
	}
	list, err := listSegments(fsys, dir)
	if err != nil {
		return nil, left, err
	}
	if list.count == 0 {
		return firstHeader(), left, nil
	}
	left.begins = list.head.firstRecord()
	var last *segmentHeader
	for i := range list.count {
		var size int64
		if last, size, err = checkHeader(fsys, dir, list, i, last); err != nil {
			return nil, left, err
		}
		if i+1 < list.count {
			left.bytes += size
		}
	}
	if err := removeAll(fsys, dir, list.left); err != nil {
		return nil, left, err
	}
	if next, left.old, err = recoverSegment(fsys, dir, last); err != nil {
		return nil, left, err
	}
	left.bytes += next.previous
	return next, left, nil
}

// Remains say what there is before the segment to write next.
type remains struct {
	begins uint64 // index of the first payload
	bytes  int64  // of the segments

	// old is the file that had the name of the last segment before a copy got it; nil if none did. It is to be overwritten
	// when the next segment is there: then readers that have it open see that they have to read the copy.
	old durable.File
}

// wipe overwrites and closes the old file.
func (l *remains) wipe(written int64) (err error) {
	if l.old == nil {
		return nil
	}
	defer closeFile(l.old, &err)
	size, err := l.old.Size()
	if err != nil {
		return err
	}
	return wipe(l.old, min(size, written+maxBatchBytes)) // the tail was checked: nothing is further behind
}

// checkHeader reads the header of a segment and compares it with the one before. It returns the size of the file, too.
func checkHeader(
	fsys durable.FS, dir string, list *listing, i uint64, before *segmentHeader,
) (head *segmentHeader, size int64, err error) {
	name := filepath.Join(dir, segmentName(list.number(i)))
	f, err := fsys.Open(name, os.O_RDONLY)
	if err != nil {
		return nil, 0, err
	}
	defer closeFile(f, &err)
	r, err := openSegment(f, name)
	if err != nil {
		return nil, 0, err
	}
	if size, err = f.Size(); err != nil {
		return nil, 0, err
	}
	if err := follows(r, list.number(i), before); err != nil || before != nil {
		return r.head, size, err
	}
	return r.head, size, list.head.begins(r)
}

// follows checks that a segment has its number and follows the one before, if there is one.
func follows(r *segmentReader, number uint64, before *segmentHeader) error {
	switch head := r.head; {
	case head.number != number:
		return r.corrupt(0, "the header says segment %d", head.number)
	case before != nil && head.journal != before.journal:
		return r.corrupt(0, "the segment is of another journal")
	case before != nil && (head.first < before.first || head.previous < blockBytes):
		return r.corrupt(0, "the header does not follow that of the segment before")
	case before != nil && before.was > 0 && head.previous != before.was:
		return r.corrupt(0, "the segment before was compacted, and its header is not followed by this one")
	}
	return nil
}

// recoverSegment reads the last segment to its end. It returns the old file, open, if a copy has its name now.
func recoverSegment(fsys durable.FS, dir string, head *segmentHeader) (next *segmentHeader, old durable.File, err error) {
	name := filepath.Join(dir, segmentName(head.number))
	f, err := fsys.Open(name, os.O_RDWR)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if old == nil {
			closeFile(f, &err)
		}
	}()
	r, err := openSegment(f, name)
	if err != nil {
		return nil, nil, err
	}
	count := uint64(0)
	for {
		_, ok, err := r.next()
		if err != nil {
			return nil, nil, err
		}
		if !ok {
			break
		}
		count++
	}
	if err := r.checkTail(); err != nil {
		return nil, nil, err
	}
	end := roundUp(r.off, blockBytes)
	// A seal that was written and could not be synced may be seen here and not
	// be on the disk. What is before it was synced, so it alone is left out.
	if r.sealed {
		return head.after(count, end), nil, nil
	}
	if err := replaceSegment(fsys, dir, r, end); err != nil {
		return nil, nil, fmt.Errorf("recover journal %q: %w", name, err)
	}
	return head.after(count, end), f, nil
}

// replaceSegment puts a copy of the segment up to its last frame in its place.
func replaceSegment(fsys durable.FS, dir string, r *segmentReader, end int64) (err error) {
	name := filepath.Join(dir, copyName)
	f, err := fsys.Open(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return err
	}
	defer closeFile(f, &err)
	for off := int64(0); off < r.off; {
		b, err := r.at(off, int(min(windowBytes, r.off-off)))
		if err != nil {
			return err
		}
		if len(b) == 0 {
			return r.corrupt(off, "the file became shorter while it was read")
		}
		if _, err := f.WriteAt(b, off); err != nil {
			return err
		}
		off += int64(len(b))
	}
	if err := f.Truncate(end); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := fsys.Rename(name, r.name); err != nil {
		return err
	}
	return fsys.SyncDir(dir)
}

// closeFile closes f and keeps the first error.
func closeFile(f durable.File, err *error) {
	if cerr := f.Close(); *err == nil {
		*err = cerr
	}
}

package evidence

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"

	"github.com/touchmark-dev/touchmark/internal/durable"
)

// A Place says where a journal has the frame of a record. Places are for an index over the journal, as package
// evidence/index keeps one: what is read at a place is checked like everything else in the journal.
type Place struct {
	Segment uint64 // the number of the file, from 1
	Offset  int64  // in the file, in bytes
}

// A Segment is one file of a journal, as its header has it.
type Segment struct {
	Journal [16]byte // the same in all files of the journal
	Number  uint64   // of the file, from 1
	First   uint64   // sequence number of its first record
	Header  Hash     // of the header: no other file that was ever written has it
}

// Segments returns the files of the journal in the directory of a ledger, in their order. Those of records
// that were removed are not among them. It takes no lock.
func Segments(dir string) ([]Segment, error) {
	fsys := durable.OS{}
	for {
		list, err := listSegments(fsys, dir)
		if err != nil {
			return nil, fmt.Errorf("evidence: %w", err)
		}
		if list.count == 0 {
			return nil, fmt.Errorf("evidence: there is no journal in %q: %w", dir, fs.ErrNotExist)
		}
		all, err := readSegments(fsys, dir, list)
		if errors.Is(err, fs.ErrNotExist) {
			if now, rerr := readHead(fsys, dir); rerr == nil && !now.same(list.head) {
				continue // segments were removed just now
			}
		}
		if err != nil {
			return nil, fmt.Errorf("evidence: %w", err)
		}
		return all, nil
	}
}

func readSegments(fsys durable.FS, dir string, list *listing) ([]Segment, error) {
	all := make([]Segment, list.count)
	for i := range all {
		s, err := readSegment(fsys, dir, list.number(uint64(i))) //nolint:gosec // not negative
		if err != nil {
			return nil, err
		}
		all[i] = *s
	}
	return all, nil
}

func readSegment(fsys durable.FS, dir string, number uint64) (s *Segment, err error) {
	r, err := openSegmentFile(fsys, dir, number)
	if err != nil {
		return nil, err
	}
	defer closeFile(r.file, &err)
	return &Segment{
		Journal: r.head.journal, Number: number, First: r.head.first, Header: sha256.Sum256(r.head.marshal()),
	}, nil
}

// openSegmentFile opens a segment by itself, whatever the others are.
func openSegmentFile(fsys durable.FS, dir string, number uint64) (*segmentReader, error) {
	name := filepath.Join(dir, segmentName(number))
	f, err := fsys.Open(name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	r, err := openSegment(f, name)
	if err == nil && r.head.number != number {
		err = r.corrupt(0, "the header says segment %d", r.head.number)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return r, nil
}

// A PlacedEntry is the entry of a record, as the journal has it, and where that is. Nothing about it is verified but the
// checksum of its frame.
type PlacedEntry struct {
	Sequence uint64
	Place    Place
	Entry    []byte // valid until the next one is read
}

// EntriesFrom iterates over the entries of a journal, beginning with the one at a place, which has the sequence number
// seq. An Offset of 0 stands for the first of the segment. A pair with an error is the last one. It reads like [ReadJournal].
func EntriesFrom(dir string, from Place, seq uint64) iter.Seq2[*PlacedEntry, error] {
	return readFrames(func() (*journalReader, error) { return openJournalAt(durable.OS{}, dir, from, seq) }, (*journalReader).placed)
}

// openJournalAt returns a reader that stands before the frame at a place.
func openJournalAt(fsys durable.FS, dir string, from Place, seq uint64) (*journalReader, error) {
	seg, err := openSegmentFile(fsys, dir, from.Segment)
	if err != nil {
		return nil, err
	}
	if from.Offset != 0 {
		_, head, ok, err := seg.frameAt(from.Offset)
		if err == nil && (!ok || head.length == 0) {
			err = seg.corrupt(from.Offset, "no valid frame is here")
		}
		if err != nil {
			return nil, errors.Join(err, seg.file.Close())
		}
		seg.off, seg.batch = from.Offset, from.Offset-head.back
	} else {
		seq = seg.head.first
	}
	return &journalReader{fs: fsys, dir: dir, cur: seg, index: seq}, nil
}

// placed returns the next entry and where it is.
func (r *journalReader) placed() (*PlacedEntry, error) {
	seq, payload, err := r.next()
	if err != nil {
		return nil, err
	}
	f, err := parseFrame(payload)
	if err != nil {
		return nil, err
	}
	at := Place{Segment: r.cur.head.number, Offset: r.cur.off - frameSpace(len(payload))}
	return &PlacedEntry{Sequence: seq, Place: at, Entry: f.entry}, nil
}

// Bounds of a [PlaceReader].
const (
	openPlaces  = 16       // files that it keeps open
	placeWindow = 16 << 10 // bytes that it reads for a record; more where that is too few
)

// A PlaceReader reads single entries of a journal by their places. It takes no lock, and is not safe for concurrent use.
type PlaceReader struct {
	dir  string
	open []*segmentReader // the one used last is the last
}

// NewPlaceReader returns a reader of the journal in the directory of a ledger. Close it in the end.
func NewPlaceReader(dir string) *PlaceReader { return &PlaceReader{dir: dir} }

// Entry returns the entry at a place, valid until the next call. Where there is no valid frame the error is a
// [*CorruptError], which here says no more than that the place is wrong; it wraps fs.ErrNotExist where the segment is gone.
func (p *PlaceReader) Entry(at Place) ([]byte, error) {
	seg, err := p.segment(at.Segment)
	if err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	payload, head, ok, err := seg.frameAt(at.Offset)
	if err == nil && !ok {
		seg.window = make([]byte, 0, windowBytes)
		payload, head, ok, err = seg.frameAt(at.Offset)
	}
	if err == nil && !ok { // perhaps another file has the name by now, and this one was overwritten
		if err = p.forget(); err == nil {
			seg, err = p.segment(at.Segment)
		}
		if err == nil {
			seg.window = make([]byte, 0, windowBytes)
			payload, head, ok, err = seg.frameAt(at.Offset)
		}
	}
	if err == nil && (!ok || head.length == 0) {
		err = seg.corrupt(at.Offset, "no valid frame is here")
	}
	if err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	f, err := parseFrame(payload)
	if err != nil {
		return nil, err
	}
	return f.entry, nil
}

// forget closes the segment that was used last.
func (p *PlaceReader) forget() error {
	last := len(p.open) - 1
	seg := p.open[last]
	p.open = p.open[:last]
	return seg.file.Close()
}

func (p *PlaceReader) segment(number uint64) (*segmentReader, error) {
	for i, seg := range p.open {
		if seg.head.number == number {
			p.open = append(append(p.open[:i], p.open[i+1:]...), seg)
			return seg, nil
		}
	}
	seg, err := openSegmentFile(durable.OS{}, p.dir, number)
	if err != nil {
		return nil, err
	}
	seg.window = make([]byte, 0, placeWindow)
	if len(p.open) == openPlaces {
		err = p.open[0].file.Close()
		p.open = p.open[1:]
	}
	p.open = append(p.open, seg)
	return seg, err
}

// Close closes the files.
func (p *PlaceReader) Close() error {
	var err error
	for _, seg := range p.open {
		err = errors.Join(err, seg.file.Close())
	}
	p.open = nil
	return err
}

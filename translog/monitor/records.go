package monitor

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"

	"github.com/touchmark-dev/touchmark/evidence"
)

// MaxAhead is how many records of a source are held in memory that were not found in the log yet, and MaxAheadBytes how many
// bytes of them. A record whose leaf stands further from its place than that is told as missing.
const (
	MaxAhead      = 16_384
	MaxAheadBytes = 64 << 20
)

// A RecordSource has the records of one stream whose digests are in a log: a journal, or a copy of it.
type RecordSource struct {
	// Name is for reports, and for the monitor to go on where it was; no two sources have one name.
	Name string

	// Read iterates over the records in the order of their numbers, beginning with number from, as far as there are any
	// now. Nothing that it yields is believed: a record is the one in the log if it has the digest.
	Read func(from uint64) iter.Seq2[*evidence.StoredRecord, error]

	ordered bool // Read yields no number twice and none behind a larger one, whoever wrote what it reads
}

// JournalRecords are the records in the directory of a ledger, or in a copy of it.
func JournalRecords(dir string) RecordSource {
	return RecordSource{Name: dir, ordered: true, // a record's number is its place there
		Read: func(from uint64) iter.Seq2[*evidence.StoredRecord, error] { return evidence.ReadJournal(dir, from) }}
}

// FileRecords are the entries in a file, one a line, as their server gave them away.
func FileRecords(name string) RecordSource {
	return RecordSource{Name: name, Read: func(from uint64) iter.Seq2[*evidence.StoredRecord, error] {
		return func(yield func(*evidence.StoredRecord, error) bool) {
			f, err := os.Open(name) //nolint:gosec // named by the user
			if err != nil {
				yield(nil, err)
				return
			}
			defer f.Close() //nolint:errcheck // only read
			for record, err := range readLines(f) {
				if err == nil && record.Sequence < from {
					continue
				}
				if !yield(record, err) || err != nil {
					return
				}
			}
		}
	}}
}

// readLines reads entries, one a line. A last line without its end is being written, and not read.
func readLines(r io.Reader) iter.Seq2[*evidence.StoredRecord, error] {
	return func(yield func(*evidence.StoredRecord, error) bool) {
		in := bufio.NewReaderSize(r, evidence.MaxEntryBytes+1)
		for n := 1; ; n++ {
			line, err := in.ReadSlice('\n')
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(nil, fmt.Errorf("line %d: %w", n, err))
				return
			}
			entry := bytes.Clone(line[:len(line)-1])
			e, err := evidence.ParseEntry(entry)
			if err != nil {
				yield(nil, fmt.Errorf("line %d: %w", n, err))
				return
			}
			if !yield(&evidence.StoredRecord{Sequence: e.Record.Sequence, Entry: entry}, nil) {
				return
			}
		}
	}
}

// A RecordsError says that a source of records could not be read to its end. It is no verdict about them or the log.
type RecordsError struct {
	Source string // its name
	Err    error
}

func (e *RecordsError) Error() string {
	return fmt.Sprintf("monitor: records in %q: %v", e.Source, e.Err)
}

// A library finds records by their digest. The log has them mostly in the order of their sources, so that each source is
// read on only as far as it takes.
type library struct {
	shelves []*shelf
	waiting map[evidence.Hash]*volume // that were read, and not found in the log yet
	taken   []*volume                 // that were, since begin
	broken  map[string]error          // sources that could not be read to their end in this look, by name
	logged  func(evidence.Hash) bool  // whether the leaf with a digest was read before
}

// A shelf is a source, as far as it was read.
type shelf struct {
	source  RecordSource
	next    uint64 // number of the next record to read
	matched uint64 // number after the last record that was found in the log
	waiting int
	bytes   int // of the entries that wait
	pull    func() (*evidence.StoredRecord, error, bool)
	stop    func()
	ended   bool // there is no more, in this look
	passed  bool // what the log has was dropped, since begin
}

type volume struct {
	shelf  *shelf
	seq    uint64
	digest evidence.Hash
	entry  []byte
}

func newLibrary(sources []RecordSource, broken map[string]error, logged func(evidence.Hash) bool) *library {
	l := &library{waiting: make(map[evidence.Hash]*volume), broken: broken, logged: logged}
	for _, s := range sources {
		l.shelves = append(l.shelves, &shelf{source: s})
	}
	return l
}

// find returns the record that has a digest, nil where no source has it within reach.
func (l *library) find(digest evidence.Hash) *volume {
	if v := l.waiting[digest]; v != nil {
		l.drop(v)
		l.take(v)
		return v
	}
	for {
		var found *volume
		more := false
		for _, s := range l.shelves { // each a record further: copies of one stream keep abreast
			v := l.readOne(s)
			switch {
			case v == nil:
				continue
			case v.digest != digest:
				if l.waiting[v.digest] == nil { // or another copy of the stream has it
					l.hold(v)
				}
			case found == nil:
				found = v
			}
			more = true
		}
		if found != nil {
			l.take(found)
			return found
		}
		if !more {
			return nil
		}
	}
}

func (l *library) take(v *volume) {
	v.shelf.matched = v.seq + 1
	l.taken = append(l.taken, v)
}

// hold and drop add to what waits, and take away from it.
func (l *library) hold(v *volume) {
	l.waiting[v.digest] = v
	v.shelf.waiting++
	v.shelf.bytes += len(v.entry)
}

func (l *library) drop(v *volume) {
	delete(l.waiting, v.digest)
	v.shelf.waiting--
	v.shelf.bytes -= len(v.entry)
}

// full reports whether no more is read ahead of a shelf.
func (s *shelf) full() bool { return s.waiting >= MaxAhead || s.bytes >= MaxAheadBytes }

// readOne returns the next record of a shelf, nil where there is none or no room for it. A source that cannot be read has no
// more in this look: it must not hold up what is looked at of others.
func (l *library) readOne(s *shelf) *volume {
	if s.full() {
		l.pass(s)
	}
	if s.ended || s.full() {
		return nil
	}
	if s.pull == nil {
		s.pull, s.stop = iter.Pull2(s.source.Read(s.next))
	}
	record, err, ok := s.pull()
	if !ok || err != nil {
		s.ended = true
		l.breaks(s, err)
		return nil
	}
	s.next = record.Sequence + 1
	return &volume{shelf: s, seq: record.Sequence, digest: sha256.Sum256(record.Entry), entry: record.Entry}
}

// breaks notes an error of a source.
func (l *library) breaks(s *shelf, err error) {
	if err != nil {
		l.broken[s.source.Name] = err
	}
}

// pass drops the records of a shelf that the log has passed over, which are not where they belong, if they are in it at all;
// and, once for each part of the log, those that it has, found in another copy of their stream.
func (l *library) pass(s *shelf) {
	first := !s.passed
	s.passed = true
	for _, v := range l.waiting {
		if v.shelf == s && (v.seq < s.matched || first && l.logged(v.digest)) {
			l.drop(v)
		}
	}
}

// settled ends what find began; back undoes it.
func (l *library) settled() {
	clear(l.taken) // which hold the entries
	l.taken = l.taken[:0]
	for _, s := range l.shelves {
		s.passed = false
	}
}

func (l *library) back() {
	for _, v := range l.taken {
		l.hold(v)
	}
	clear(l.taken)
	l.taken = l.taken[:0]
}

// rest lets go of the sources until the next look.
func (l *library) rest() {
	for _, s := range l.shelves {
		if s.stop != nil {
			s.stop()
		}
		s.pull, s.stop, s.ended = nil, nil, false
	}
}

// oldest returns the number of the first record of each shelf, by its name, that may still be looked for.
func (l *library) oldest() map[string]uint64 {
	from := make(map[string]uint64, len(l.shelves))
	for _, s := range l.shelves {
		from[s.source.Name] = s.next
	}
	for _, v := range l.waiting {
		from[v.shelf.source.Name] = min(from[v.shelf.source.Name], v.seq)
	}
	return from
}

// at returns the entry with a digest, which has this number, for a proof; nil where no source has it.
func (l *library) at(seq uint64, digest evidence.Hash) []byte {
	for _, v := range l.taken {
		if v.digest == digest {
			return v.entry
		}
	}
	for _, from := range []uint64{seq, 0} { // first where it belongs
		for _, s := range l.shelves {
			if entry := l.look(s, from, digest, from > 0); entry != nil {
				return entry
			}
		}
	}
	return nil
}

// look reads a source from a number on for the entry with a digest, or there alone.
func (l *library) look(s *shelf, from uint64, digest evidence.Hash, there bool) []byte {
	for record, err := range s.source.Read(from) {
		if err != nil {
			l.breaks(s, err)
			return nil
		}
		if sha256.Sum256(record.Entry) == digest {
			return record.Entry
		}
		if there {
			break
		}
	}
	return nil
}

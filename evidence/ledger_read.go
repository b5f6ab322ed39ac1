package evidence

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"

	"github.com/touchmark-dev/touchmark/internal/durable"
)

// A StoredRecord is what a journal holds of one record. The entry is as it was written, and its signature has
// not been checked: use [ParseEntry] and [UnverifiedEntry.Verify], or [VerifyChain]. What belongs to it and stays with
// the server is behind [StoredRecord.OpenPrivate].
type StoredRecord struct {
	Sequence uint64
	Entry    []byte

	journal JournalID
	private []byte // as it is stored
}

// ReadJournal iterates over the records in the directory of a ledger, beginning with sequence number from. It
// takes no lock and changes nothing, so the ledger may be open, here or in another process; the last records
// may then not be acknowledged yet. A pair with an error is the last one; it is a [*CorruptError] where the
// journal is damaged.
func ReadJournal(dir string, from uint64) iter.Seq2[*StoredRecord, error] {
	return readJournal(durable.OS{}, dir, from)
}

func readJournal(fsys durable.FS, dir string, from uint64) iter.Seq2[*StoredRecord, error] {
	return readFrames(func() (*journalReader, error) { return openJournalReader(fsys, dir, from) }, (*journalReader).record)
}

// readFrames iterates over what next makes of each frame, until the end of the journal or the first error.
func readFrames[T any](open func() (*journalReader, error), next func(*journalReader) (*T, error)) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		r, err := open()
		if err != nil {
			yield(nil, fmt.Errorf("evidence: %w", err))
			return
		}
		defer r.close() //nolint:errcheck // nothing was written
		for {
			v, err := next(r)
			if errors.Is(err, io.EOF) || !yield(v, err) || err != nil {
				return
			}
		}
	}
}

// record returns the next record, and io.EOF at the end of the journal.
func (r *journalReader) record() (*StoredRecord, error) {
	seq, payload, err := r.next()
	if err != nil {
		return nil, err
	}
	f, err := parseFrame(payload)
	if err != nil {
		return nil, err
	}
	return &StoredRecord{
		Sequence: seq, Entry: bytes.Clone(f.entry), journal: r.cur.head.journal, private: bytes.Clone(f.private),
	}, nil
}

// FindRecord returns the record with an id from the directory of a ledger, which it reads from the beginning.
// The error wraps fs.ErrNotExist when there is none.
func FindRecord(dir, id string) (*StoredRecord, error) {
	if !isUUID4(id) {
		return nil, fmt.Errorf("evidence: %.80q is not the id of a record, a lower-case UUID of version 4", id)
	}
	member := []byte(`"id":"` + id + `"`)
	for record, err := range ReadJournal(dir, 0) {
		if err != nil {
			return nil, err
		}
		if !bytes.Contains(record.Entry, member) {
			continue
		}
		e, err := ParseEntry(record.Entry)
		if err != nil {
			return nil, err
		}
		if e.Record.ID == id {
			return record, nil
		}
	}
	return nil, fmt.Errorf("evidence: no record %q in %q: %w", id, dir, fs.ErrNotExist)
}

// Entries iterates over the records that are durable in the ledger, beginning with sequence number from.
func (l *Ledger) Entries(from uint64) iter.Seq2[*StoredRecord, error] {
	return func(yield func(*StoredRecord, error) bool) {
		records, _, _ := l.journal.position()
		for record, err := range readJournal(l.cfg.fs, l.cfg.Dir, from) {
			if err == nil && record.Sequence >= records {
				return
			}
			if !yield(record, err) {
				return
			}
		}
	}
}

package evidence

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/touchmark-dev/touchmark/internal/durable"
	"github.com/touchmark-dev/touchmark/translog"
)

const (
	// headName is the file that says where a journal begins whose first segments were removed.
	headName = "head"
	// headLine begins it.
	headLine = "touchmark/journal-head/1"
	// maxHeadBytes bounds it: an entry in base64, a receipt, and some lines.
	maxHeadBytes = 2*MaxEntryBytes + translog.MaxProofBytes
)

// A JournalHead says where a journal begins whose first records were removed, and proves that they are in the log: the
// receipt of the last of them says by its path of hashes what all of them were (spec/journal.md section 12). Get one
// with [ReadJournalHead]; nothing in it is verified before [JournalHead.Verify] has returned nil.
type JournalHead struct {
	Journal JournalID
	Segment uint64 // number of the first segment that is kept
	First   uint64 // sequence number of the first record that is kept
	Entry   []byte // of the record before it
	Receipt []byte // of Entry: a tlog-proof, as text
}

// ReadJournalHead returns the head of the journal in a directory, and nil where nothing was removed.
func ReadJournalHead(dir string) (*JournalHead, error) {
	h, err := readHead(durable.OS{}, dir)
	if err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	return h, nil
}

func readHead(fsys durable.FS, dir string) (*JournalHead, error) {
	name := filepath.Join(dir, headName)
	b, err := durable.ReadFile(fsys, name, maxHeadBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	h := new(JournalHead)
	if err := h.UnmarshalText(b); err != nil {
		return nil, &CorruptError{File: name, Reason: err.Error()}
	}
	return h, nil
}

// MarshalText returns the form of the file.
func (h *JournalHead) MarshalText() ([]byte, error) {
	b := fmt.Appendf(nil, "%s\njournal %x\nsegment %d\nfirst %d\nentry %s\n\n", headLine, h.Journal[:], h.Segment, h.First,
		base64.StdEncoding.EncodeToString(h.Entry))
	return append(b, h.Receipt...), nil
}

// UnmarshalText reads what [JournalHead.MarshalText] wrote, and no other form of it.
func (h *JournalHead) UnmarshalText(b []byte) (err error) {
	var out JournalHead
	top, receipt, ok := bytes.Cut(b, []byte("\n\n"))
	lines := strings.Split(string(top), "\n")
	if !ok || len(lines) != 5 || lines[0] != headLine {
		return errors.New("it is not a head of this version")
	}
	journal := field(lines[1], "journal ")
	if len(journal) == 2*len(out.Journal) {
		_, err = hex.Decode(out.Journal[:], []byte(journal))
	}
	var errs [4]error
	out.Segment, errs[0] = strconv.ParseUint(field(lines[2], "segment "), 10, 64)
	out.First, errs[1] = strconv.ParseUint(field(lines[3], "first "), 10, 64)
	out.Entry, errs[2] = base64.StdEncoding.DecodeString(field(lines[4], "entry "))
	out.Receipt = receipt
	if again, _ := out.MarshalText(); !bytes.Equal(again, b) {
		errs[3] = errors.New("the head is not in its one form")
	}
	if err := errors.Join(append(errs[:], err)...); err != nil {
		return err
	}
	if out.Segment < 2 || out.First == 0 || len(out.Entry) == 0 || len(out.Entry) > MaxEntryBytes {
		return errors.New("the head says that nothing was removed")
	}
	*h = out
	return nil
}

func field(line, name string) string {
	value, _ := strings.CutPrefix(line, name)
	return value
}

// Verify checks that the entry is signed by one of the keys, is the record before the first, and was in a log of the
// policy. Policy may be nil; then the log is not asked about, and the Inclusion is nil.
//
// Where its index there is the number of the record, what the path of the receipt says was before it are all records that
// were removed. Where it is another ([JournalHead.Alone] is false), others append to the log as well: then it is shown of this
// one record that it was in the log, and of those before it that it was made after them.
func (h *JournalHead) Verify(keys Keys, policy *translog.Policy) (*translog.Inclusion, error) {
	e, err := ParseEntry(h.Entry)
	if err != nil {
		return nil, err
	}
	if _, err := e.Verify(keys); err != nil {
		return nil, err
	}
	if e.Record.Sequence+1 != h.First {
		return nil, reject(CodeMalformed, "the head is about record %d, and the journal begins with %d", e.Record.Sequence, h.First)
	}
	if policy == nil {
		return nil, nil //nolint:nilnil // as documented
	}
	receipt, err := translog.ParseProof(h.Receipt)
	if err != nil {
		return nil, err
	}
	in, _, err := VerifyReceipt(policy, h.Entry, receipt)
	if err != nil {
		return nil, err
	}
	return in, nil
}

// Alone reports whether the inclusion that [JournalHead.Verify] returned shows of all records that were removed that they
// were in the log, if it is a log of one ledger. In one of several the index can be the number of the record as well, where
// nobody else had appended: then it says no more than any other.
func (h *JournalHead) Alone(in *translog.Inclusion) bool { return in != nil && in.Index()+1 == h.First }

// begins checks the first segment of a journal.
func (h *JournalHead) begins(r *segmentReader) error {
	switch {
	case h == nil && (r.head.first != 0 || r.head.previous != 0):
		return r.corrupt(0, "the header of the first segment names an earlier one")
	case h != nil && (r.head.first != h.First || r.head.journal != h.Journal):
		return r.corrupt(0, "the header of the first segment that is kept is not the one of which the head speaks")
	}
	return nil
}

// firstSegment returns the number of the first segment.
func (h *JournalHead) firstSegment() uint64 {
	if h == nil {
		return 1
	}
	return h.Segment
}

// firstRecord returns the index of the first frame that is kept.
func (h *JournalHead) firstRecord() uint64 {
	if h == nil {
		return 0
	}
	return h.First
}

func (h *JournalHead) same(other *JournalHead) bool {
	return h.firstSegment() == other.firstSegment() && h.firstRecord() == other.firstRecord()
}

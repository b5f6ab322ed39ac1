package monitor

import (
	"encoding/binary"
	"fmt"

	"github.com/touchmark-dev/touchmark/evidence"
)

const (
	hashBytes  = 32
	frameBytes = hashBytes + 8 // hash of a record, and its index in the log plus one; zeroes for a record that is missing
)

// A stream is the chain of records of one journal, as far as the log has it.
type stream struct {
	streamState
	file    *hashFile // by sequence number
	touched bool      // see Monitor.touch
}

// A found record is one that was read from the log.
type found struct {
	index    uint64
	leaf     []byte
	leafHash [32]byte
	entry    []byte  // that the leaf belongs to; nil where there is none, or none at hand
	volume   *volume // that has the entry; nil where it is in the log

	// Of a leaf without an entry.
	form     error   // it is of the other form
	repeated *uint64 // index of the same digest before it

	record *evidence.Record
	hash   evidence.Hash
	err    error // why it is none
	placed bool  // as the record of its number in its stream
}

// A misplaced record is a fault in a chain: what is wrong, and the index of the record that shows it together with
// this one.
type misplaced struct {
	code     evidence.Code
	reason   string
	other    *uint64
	otherSeq uint64
}

func misplace(code evidence.Code, other *uint64, format string, args ...any) *misplaced {
	return &misplaced{code: code, reason: fmt.Sprintf(format, args...), other: other}
}

// of says which number the other record has, where it is not the one before in the stream.
func (w *misplaced) of(seq uint64) *misplaced {
	w.otherSeq = seq
	return w
}

func frame(hash evidence.Hash, index uint64) (f [frameBytes]byte) {
	binary.BigEndian.PutUint64(f[copy(f[:], hash[:]):], index+1)
	return f
}

// at returns what the log has at a place of the stream; ok is false where a record is missing.
func (s *stream) at(seq uint64) (hash evidence.Hash, index uint64, ok bool, err error) {
	f, err := s.file.get(seq)
	if err != nil {
		return hash, 0, false, err
	}
	index = binary.BigEndian.Uint64(f[hashBytes:])
	return evidence.Hash(f[:hashBytes]), index - 1, index > 0, nil
}

// add holds a record against the stream and appends it; it returns nil if nothing is wrong. A fault does not end the
// chain: it goes on from what is there, so that each fault is told once.
func (s *stream) add(m *Monitor, r *found) (*misplaced, error) {
	seq := r.record.Sequence
	switch {
	case r.record.Server != s.Server:
		return misplace(evidence.CodeServerMismatch, s.before(), "of server %q, this is the stream of %q", r.record.Server, s.Server).of(max(s.Next, 1) - 1), nil
	case seq < s.Next:
		return s.again(r)
	case seq-s.Next > MaxGap-min(s.Missing, MaxGap):
		return misplace(evidence.CodeGap, s.before(), "record %d after record %d: more is missing than is followed", seq, s.Next).of(max(s.Next, 1) - 1), nil
	}
	fault := s.judge(m, r)
	if fault != nil && s.Next > 0 {
		fault.of(s.Next - 1)
	}
	s.file.skip(seq - s.Next)
	s.Missing += seq - s.Next
	here := frame(r.hash, r.index)
	s.file.put(here[:])
	r.placed = true
	s.Next, s.Head, s.Index = seq+1, r.hash, r.index
	s.Epoch = max(s.Epoch, r.record.Epoch)
	if r.record.Time.After(s.Latest) {
		s.Latest = r.record.Time
	}
	return fault, nil
}

// before is the index of the last record, nil where there is none.
func (s *stream) before() *uint64 {
	if s.Next == 0 {
		return nil
	}
	return at(s.Index)
}

// again tells what a record is whose number was used or passed over before.
func (s *stream) again(r *found) (*misplaced, error) {
	seq := r.record.Sequence
	hash, index, ok, err := s.at(seq)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		here := frame(r.hash, r.index)
		s.file.set(seq, here[:])
		return misplace(evidence.CodeReordered, s.before(), "record %d comes after record %d", seq, s.Next-1).of(s.Next - 1), nil
	case hash == r.hash && index == r.index:
		return nil, nil // read before a crash
	case hash == r.hash:
		return misplace(evidence.CodeDuplicate, at(index), "record %d again", seq).of(seq), nil
	}
	return misplace(evidence.CodeConflict, at(index), "the server signed two records %d", seq).of(seq), nil
}

// judge tells what is wrong with a record that has a number of its own. Of several faults it names the first.
func (s *stream) judge(m *Monitor, r *found) *misplaced {
	rec := r.record
	full := s.Full
	open := s.settle(m, r)
	missing := rec.Sequence - s.Next
	told := missing > 0 && m.claim(s.before(), r.index, missing)
	switch {
	case s.Next == 0 && rec.Genesis == nil && !told:
		return misplace(evidence.CodeGenesisMissing, nil, "the stream begins with record %d", rec.Sequence)
	case missing > 0 && !told:
		return misplace(evidence.CodeGap, s.before(), "the records from %d to %d are missing before it", s.Next, rec.Sequence-1)
	case s.Next > 0 && missing == 0 && rec.Previous != s.Head:
		return misplace(evidence.CodePreviousMismatch, s.before(), "follows a record with the hash %s, the one before it has %s", rec.Previous, s.Head)
	case rec.Epoch < s.Epoch:
		return misplace(evidence.CodeEpochReversed, s.before(), "of epoch %d, after epoch %d", rec.Epoch, s.Epoch)
	case rec.Time.Before(s.Latest.Add(-m.cfg.Tolerance)):
		return misplace(evidence.CodeTimeReversed, s.before(), "%v earlier than a record before it", s.Latest.Sub(rec.Time))
	case !open:
		return misplace(evidence.CodeOutcomeUnmatched, nil, "no decision %d with the id %s waits for an outcome",
			rec.Outcome.DecisionSequence, rec.Outcome.DecisionID)
	case s.Full && !full:
		return misplace(evidence.Code(CodeLimit), nil, "more decisions wait for an outcome than are followed: whether every outcome belongs to one is not told from here on")
	}
	return nil
}

// settle notes a decision that opens a call, and the outcome that ends one; false means that there was none to end.
func (s *stream) settle(m *Monitor, r *found) bool {
	if d := r.record.Decision; d != nil && opens(d) {
		if len(s.Open) < MaxOpen && m.open < MaxOpenAll {
			s.Open[r.record.Sequence] = r.record.ID
			m.open++
		} else {
			s.Full = true
		}
	}
	o := r.record.Outcome
	if o == nil {
		return true
	}
	id, ok := s.Open[o.DecisionSequence]
	if ok {
		delete(s.Open, o.DecisionSequence)
		m.open--
		return id == o.DecisionID
	}
	if o.DecisionSequence >= s.Next {
		return false
	}
	if s.Full {
		return true // it may be one that was not noted
	}
	// Whether a decision that is missing opened a call cannot be told.
	_, _, there, err := s.at(o.DecisionSequence)
	return err == nil && !there
}

// opens reports whether a decision let a call run, which then has an outcome (spec/evidence.md section 2.3).
func opens(d *evidence.Decision) bool { return (d.Kind.Allows() || d.Shadow) && d.Shown == nil }

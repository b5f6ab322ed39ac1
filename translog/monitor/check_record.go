package monitor

import (
	"github.com/touchmark-dev/touchmark/evidence"
)

// checkRecord needs an entry in the log, and for its place in a chain mostly another one.
func (p *proof) checkRecord() error {
	if p.fault.Index == nil && p.fault.Word != "" {
		return p.checkKept()
	}
	entry, err := p.entry(fileEntry, fileEntryProof, p.fault.Index)
	if err != nil {
		return err
	}
	e, err := evidence.ParseEntry(entry)
	if err == nil {
		_, err = e.Verify(p.keys)
	}
	if err != nil || !chained(evidence.Code(p.fault.Code)) {
		if got := codeOf(err); got != p.fault.Code {
			return unshown("the entry gives %q, not %q", got, p.fault.Code)
		}
		return nil
	}
	return p.checkPlace(e.Record, entry)
}

// checkKept needs an entry that is said to be in a journal.
func (p *proof) checkKept() error {
	entry, err := p.read(fileEntry)
	if err != nil {
		return err
	}
	e, err := evidence.ParseEntry(entry)
	if err == nil {
		_, err = e.Verify(p.keys)
	}
	if codeOf(err) != p.fault.Code {
		return unshown("the entry gives %q, not %q", codeOf(err), p.fault.Code)
	}
	return nil
}

// chained reports whether a code is about the place of a record, which is itself in order.
func chained(code evidence.Code) bool {
	switch code {
	case evidence.CodeGenesisMissing, evidence.CodeStreamMismatch, evidence.CodeServerMismatch, evidence.CodeGap, evidence.CodeReordered,
		evidence.CodeDuplicate, evidence.CodeConflict, evidence.CodePreviousMismatch, evidence.CodeTimeReversed,
		evidence.CodeEpochReversed, evidence.CodeOutcomeUnmatched, evidence.CodeGenesisRepeated:
		return true
	}
	return false
}

// names refuses a fault that names another place in a stream than the record which it is about.
func (p *proof) names(stream evidence.StreamID, seq uint64) error {
	if f := p.fault; f.Stream != stream.String() || f.Sequence == nil || *f.Sequence != seq {
		return unshown("the fault names another stream or number than its files, which are of record %d of stream %s", seq, stream)
	}
	return nil
}

func (p *proof) checkPlace(r *evidence.Record, entry []byte) error {
	if err := p.names(r.Stream, r.Sequence); err != nil {
		return err
	}
	code := evidence.Code(p.fault.Code)
	alone := code == evidence.CodeGenesisMissing || code == evidence.CodeOutcomeUnmatched || code == evidence.CodeGap && p.fault.Other == nil
	if alone {
		shown := code == evidence.CodeGenesisMissing && r.Genesis == nil || code == evidence.CodeOutcomeUnmatched && r.Outcome != nil ||
			code == evidence.CodeGap && r.Sequence > 0
		if !shown {
			return unshown("a record of the kind %q cannot be this fault", r.Kind())
		}
		return nil
	}
	if leaf := p.bare(fileOther, fileOtherProof, p.fault.Other); leaf != nil {
		if !p.later() || string(leaf) == string(evidence.FormDigest.Leaf(entry)) {
			return unshown("other is not the digest of another record before entry")
		}
		return nil
	}
	data, err := p.entry(fileOther, fileOtherProof, p.fault.Other)
	if err != nil {
		return err
	}
	v, err := p.verified(data, fileOther)
	if err != nil {
		return err
	}
	o := v.Record()
	if o.Stream != r.Stream {
		return unshown("the two records are of two streams")
	}
	if !p.shows(code, r, v) {
		return unshown("records %d and %d do not show %s", o.Sequence, r.Sequence, code)
	}
	return nil
}

// shows reports whether a record, after another one of its stream, is in the fault that a code names.
func (p *proof) shows(code evidence.Code, r *evidence.Record, before *evidence.VerifiedEntry) bool {
	o := before.Record()
	if !p.later() {
		return false
	}
	switch code {
	case evidence.CodeServerMismatch:
		return o.Server != r.Server
	case evidence.CodeGap:
		return r.Sequence > o.Sequence+1
	case evidence.CodeReordered:
		return r.Sequence < o.Sequence
	case evidence.CodeDuplicate, evidence.CodeConflict, evidence.CodeGenesisRepeated:
		m, err := r.Message()
		same := err == nil && m.Hash() == before.RecordHash()
		return r.Sequence == o.Sequence && same == (code == evidence.CodeDuplicate)
	case evidence.CodePreviousMismatch:
		return r.Sequence == o.Sequence+1 && r.Previous != before.RecordHash()
	case evidence.CodeEpochReversed:
		return r.Epoch < o.Epoch
	case evidence.CodeTimeReversed:
		return r.Time.Before(o.Time)
	}
	return false
}

// later reports whether the fault names the place of other before that of entry.
func (p *proof) later() bool {
	return p.fault.Index != nil && p.fault.Other != nil && *p.fault.Index > *p.fault.Other
}

// checkOmitted needs an entry of a server, and a checkpoint of a tree that is said to lack it.
func (p *proof) checkOmitted() error {
	entry, err := p.read(fileEntry)
	if err != nil {
		return err
	}
	v, err := p.verified(entry, fileEntry)
	if err != nil {
		return err
	}
	if err := p.names(v.Record().Stream, v.Record().Sequence); err != nil {
		return err
	}
	_, err = p.checkpoint(fileCheckpoint)
	return err
}

// checkJournal needs an entry in the log, and if the journal has another one at its place, that one.
func (p *proof) checkJournal() error {
	if leaf := p.bare(fileOther, fileOtherProof, p.fault.Other); leaf != nil {
		return p.checkJournalBare(leaf)
	}
	data, err := p.entry(fileOther, fileOtherProof, p.fault.Other)
	if err != nil {
		return err
	}
	v, err := p.verified(data, fileOther)
	if err != nil {
		return err
	}
	logged := v.Record()
	entry, err := p.read(fileEntry)
	if err != nil {
		if _, ok := err.(*ProofError); !ok { //nolint:errorlint // ours, from read
			return err
		}
		// The journal ends before: its word.
		if f := p.fault; f.Stream != logged.Stream.String() || f.Sequence == nil || *f.Sequence > logged.Sequence {
			return unshown("the fault names another stream or number than other, which is record %d of stream %s", logged.Sequence, logged.Stream)
		}
		return nil
	}
	if err := p.names(logged.Stream, logged.Sequence); err != nil {
		return err
	}
	e, err := evidence.ParseEntry(entry)
	if err != nil {
		return nil // no record at all in its place
	}
	r := e.Record
	if r.Stream != logged.Stream || r.Sequence != logged.Sequence || string(entry) == string(data) {
		return unshown("the two entries are not different ones of one place")
	}
	return nil
}

// checkJournalBare needs a record in the place of one of which there is only the digest. A fault that names no place needs
// none: what the journal lacks is the word of the monitor.
func (p *proof) checkJournalBare(leaf []byte) error {
	if p.fault.Stream == "" && p.fault.Sequence == nil {
		return nil
	}
	entry, err := p.read(fileEntry)
	if err != nil {
		return err
	}
	v, err := p.verified(entry, fileEntry)
	if err != nil {
		return err
	}
	if string(leaf) == string(evidence.FormDigest.Leaf(entry)) {
		return unshown("other is the digest of entry")
	}
	return p.names(v.Record().Stream, v.Record().Sequence)
}

// checkPromise needs a promise, and the entry at its place, or a checkpoint after its deadline.
func (p *proof) checkPromise() error {
	token, err := p.read(filePromise)
	if err != nil {
		return err
	}
	v, err := evidence.VerifyPromise(string(token), p.keys)
	if err != nil {
		return unshown("%s: %v", filePromise, err)
	}
	if err := p.names(v.Promise().Stream, v.Promise().Sequence); err != nil {
		return err
	}
	if p.fault.Code == CodePromiseBroken {
		if !p.fault.Found.After(v.Promise().Deadline) {
			return unshown("the deadline had not passed")
		}
		_, err := p.checkpoint(fileCheckpoint)
		return err
	}
	if leaf := p.bare(fileEntry, fileEntryProof, p.fault.Index); leaf != nil {
		if evidence.FormRecord.LeafHash(leaf) == v.Promise().LeafHash {
			return unshown("the entry is what was promised")
		}
		return nil
	}
	entry, err := p.entry(fileEntry, fileEntryProof, p.fault.Index)
	if err != nil {
		return err
	}
	e, err := p.verified(entry, fileEntry)
	if err != nil {
		return err
	}
	r, promised := e.Record(), v.Promise()
	if r.Server != promised.Server || r.Stream != promised.Stream || r.Sequence != promised.Sequence || p.fault.form().LeafHash(entry) == promised.LeafHash {
		return unshown("the entry is not another one at the place of the promise")
	}
	return nil
}

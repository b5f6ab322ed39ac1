package export

import (
	"fmt"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/evidence"
)

// A View checks entries that are a part of a stream, as those of one tenant are: that the server signed each, that they
// are of one stream and in its order, and of the tenant. What lies between them it does not know, nor whether anything of
// the tenant was left out: each entry's receipt shows that it is in the log, and the whole stream that nothing is missing
// ([evidence.VerifyChain]).
type View struct {
	Keys   evidence.Keys
	Tenant string // whose decisions, and outcomes of these, are alone in the view; empty: everybody's

	last    *evidence.VerifiedEntry
	open    map[uint64]string // decisions in the view whose outcome is to come, by number: their ids
	summary Summary
}

// A Summary says what a [View] has.
type Summary struct {
	Stream      evidence.StreamID
	Server      did.DID
	First, Last uint64
	Records     uint64
	Gaps        uint64 // places where records lie between two of the view
	Unknown     uint64 // records with members that this version does not know
}

// Add checks the next entry. The errors are those of package evidence; another tenant's record has the code
// [evidence.CodeTenantMismatch].
func (v *View) Add(entry []byte) (*evidence.VerifiedEntry, error) {
	u, err := evidence.ParseEntry(entry)
	if err != nil {
		return nil, err
	}
	e, err := u.Verify(v.Keys)
	if err != nil {
		return nil, err
	}
	r := e.Record()
	if v.last != nil {
		if err := v.follows(e); err != nil {
			return nil, err
		}
	} else {
		v.summary.Stream, v.summary.Server, v.summary.First = r.Stream, r.Server, r.Sequence
		v.open = make(map[uint64]string)
	}
	if v.Tenant != "" {
		if err := v.ofTenant(e); err != nil {
			return nil, err
		}
	}
	v.last = e
	v.summary.Last = r.Sequence
	v.summary.Records++
	if len(r.Unknown) > 0 {
		v.summary.Unknown++
	}
	return e, nil
}

// Summary describes the entries so far.
func (v *View) Summary() Summary { return v.summary }

func (v *View) follows(e *evidence.VerifiedEntry) error {
	r, last := e.Record(), v.last.Record()
	switch {
	case r.Stream != last.Stream:
		return v.refuse(e, evidence.CodeStreamMismatch, "of stream %s, the view is of stream %s", r.Stream, last.Stream)
	case r.Server != last.Server:
		return v.refuse(e, evidence.CodeServerMismatch, "of server %q, the view is of %q", r.Server, last.Server)
	case r.Sequence == last.Sequence && e.RecordHash() == v.last.RecordHash():
		return v.refuse(e, evidence.CodeDuplicate, "the same record again")
	case r.Sequence == last.Sequence:
		return v.refuse(e, evidence.CodeConflict, "the server signed two records with this number")
	case r.Sequence < last.Sequence:
		return v.refuse(e, evidence.CodeReordered, "it stands behind record %d", last.Sequence)
	case r.Sequence == last.Sequence+1 && r.Previous != v.last.RecordHash():
		return v.refuse(e, evidence.CodePreviousMismatch, "follows a record with the hash %s, the record before it has %s", r.Previous, v.last.RecordHash())
	case r.Sequence > last.Sequence+1:
		v.summary.Gaps++
	}
	return nil
}

// ofTenant checks that a record is in the view by right.
func (v *View) ofTenant(e *evidence.VerifiedEntry) error {
	r := e.Record()
	if d := r.Decision; d != nil && d.Tenant == v.Tenant {
		if d.Opens() {
			v.open[r.Sequence] = r.ID
		}
		return nil
	}
	if o := r.Outcome; o != nil {
		if id, ok := v.open[o.DecisionSequence]; ok && id == o.DecisionID {
			delete(v.open, o.DecisionSequence)
			return nil
		}
	}
	return v.refuse(e, evidence.CodeTenantMismatch, "it is no decision for the tenant %q, and no outcome of one in the view", v.Tenant)
}

func (v *View) refuse(e *evidence.VerifiedEntry, code evidence.Code, format string, args ...any) error {
	err := &evidence.ChainError{Code: code, Sequence: e.Record().Sequence, Reason: fmt.Sprintf(format, args...), Entry: e.Bytes()}
	if v.last != nil {
		err.Last = v.last.Bytes()
	}
	return err
}

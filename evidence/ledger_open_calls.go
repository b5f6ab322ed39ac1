package evidence

import (
	"maps"
	"slices"
)

// openCalls are the decisions whose outcome is to come.
type openCalls struct {
	starting int               // placed and not yet given to the journal
	ids      map[uint64]string // of those given to the journal, by sequence number
	closing  map[uint64]bool   // those of ids whose outcome has its place
	order    []uint64          // the keys of ids, in order, among some that are gone
}

func newOpenCalls() openCalls {
	return openCalls{ids: map[uint64]string{}, closing: map[uint64]bool{}}
}

func (o *openCalls) len() int { return o.starting + len(o.ids) }

// check refuses an outcome that belongs to no open decision.
func (o *openCalls) check(outcome *Outcome) error {
	id, ok := o.ids[outcome.DecisionSequence]
	if !ok || id != outcome.DecisionID || o.closing[outcome.DecisionSequence] {
		return reject(CodeOutcomeUnmatched, "no decision %d with the id %.40q waits for an outcome", outcome.DecisionSequence, outcome.DecisionID)
	}
	return nil
}

// begin notes that a record has got its place.
func (o *openCalls) begin(s *slot) {
	if s.opens {
		o.starting++
	}
	if s.record.Outcome != nil {
		o.closing[s.record.Outcome.DecisionSequence] = true
	}
}

// cancel notes that a record has lost its place again.
func (o *openCalls) cancel(s *slot) {
	if s.opens {
		o.starting--
	}
	if s.record.Outcome != nil {
		delete(o.closing, s.record.Outcome.DecisionSequence)
	}
}

// commit notes that a record is given to the journal, and returns the number of the oldest decision that is
// open then, or that of the record when there is none.
func (o *openCalls) commit(s *slot) uint64 {
	seq := s.record.Sequence
	if s.opens {
		o.starting--
		o.add(seq, s.record.ID)
	}
	if s.record.Outcome != nil {
		delete(o.ids, s.record.Outcome.DecisionSequence)
		delete(o.closing, s.record.Outcome.DecisionSequence)
	}
	for len(o.order) > 0 {
		if _, ok := o.ids[o.order[0]]; ok {
			return o.order[0]
		}
		o.order = o.order[1:]
	}
	return seq
}

// add must be called with growing numbers.
func (o *openCalls) add(seq uint64, id string) {
	if len(o.order) >= 2*len(o.ids)+64 { // one call that stays open must not keep the numbers of all later ones
		o.order = slices.DeleteFunc(o.order, func(seq uint64) bool { _, open := o.ids[seq]; return !open })
	}
	o.ids[seq] = id
	o.order = append(o.order, seq)
}

// waiting returns the decisions for which no outcome is on its way, in order.
func (o *openCalls) waiting() []uint64 {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(o.ids)), func(seq uint64) bool { return o.closing[seq] })
}

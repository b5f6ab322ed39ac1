package index

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"

	"github.com/touchmark-dev/touchmark/evidence"
)

// MaxNewest is the largest limit that [Scan] takes with the newest first: it keeps as many records.
const MaxNewest = 10_000

// ErrNewest says that [Scan] was asked for more of the newest records than it can keep.
var ErrNewest = fmt.Errorf("index: without an index, the newest records come first only with a limit of at most %d", MaxNewest)

// Scan answers like [Index.Find] by reading the journal from its beginning, without an index: nothing beside the journal
// can keep a record from being found.
func Scan(ctx context.Context, journal string, q *Query) iter.Seq2[*Hit, error] {
	return func(yield func(*Hit, error) bool) {
		s := &scan{query: q, open: make(map[uint64]*evidence.Record)}
		var err error
		switch {
		case q.Newest && (q.Limit <= 0 || q.Limit > MaxNewest):
			err = ErrNewest
		case q.Newest:
			err = s.newest(ctx, journal, yield)
		default:
			err = s.oldest(ctx, journal, yield)
		}
		if err != nil && !errors.Is(err, errStopped) {
			yield(nil, err)
		}
	}
}

// errStopped ends a scan of which nobody wants more.
var errStopped = errors.New("index: stopped")

type scan struct {
	query *Query
	open  map[uint64]*evidence.Record // decisions that the filter is about and that wait for an outcome
}

func (s *scan) oldest(ctx context.Context, journal string, yield func(*Hit, error) bool) error {
	left := s.query.Limit
	return s.each(ctx, journal, s.query.start(), math.MaxUint64, func(h *Hit) error {
		if !yield(h, nil) {
			return errStopped
		}
		if left--; left == 0 {
			return errStopped
		}
		return nil
	})
}

func (s *scan) newest(ctx context.Context, journal string, yield func(*Hit, error) bool) error {
	var last []*Hit // a ring, of which at is the oldest
	at := 0
	err := s.each(ctx, journal, 0, s.query.start(), func(h *Hit) error {
		if len(last) < s.query.Limit {
			last = append(last, h)
			return nil
		}
		last[at] = h
		at = (at + 1) % len(last)
		return nil
	})
	if err != nil {
		return err
	}
	for i := range last {
		if !yield(last[(at+len(last)-1-i)%len(last)], nil) {
			return errStopped
		}
	}
	return nil
}

// each calls use with the records that are wanted from one sequence number to another.
func (s *scan) each(ctx context.Context, journal string, from, to uint64, use func(*Hit) error) error {
	segments, err := evidence.Segments(journal)
	if err != nil {
		return err
	}
	begin := 0
	if !s.query.ofDecisions() { // nobody asks which decision an outcome belongs to
		for begin+1 < len(segments) && segments[begin+1].First <= from {
			begin++
		}
	}
	first := segments[begin]
	for e, err := range evidence.EntriesFrom(journal, evidence.Place{Segment: first.Number}, first.First) {
		if err != nil {
			return err
		}
		if e.Sequence > to {
			return nil
		}
		if e.Sequence%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		h, err := s.look(e.Entry)
		if err == nil && h != nil && e.Sequence >= from {
			err = use(h)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// look returns an entry if it is wanted.
func (s *scan) look(entry []byte) (*Hit, error) {
	e, err := evidence.ParseEntry(entry)
	if err != nil {
		return nil, err
	}
	r := e.Record
	h := &Hit{Entry: e, Bytes: e.Bytes(), Record: r}
	if d := r.Decision; opens(d) && s.query.ofDecisions() && s.query.matchDecision(d) {
		s.open[r.Sequence] = r
	}
	if o := r.Outcome; o != nil {
		h.Of = s.open[o.DecisionSequence]
		delete(s.open, o.DecisionSequence)
	}
	if !s.query.Match(r, h.Of) {
		return nil, nil
	}
	return h, nil
}

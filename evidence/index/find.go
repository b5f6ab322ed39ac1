package index

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"math"
	"os"
	"sort"

	"github.com/touchmark-dev/touchmark/evidence"
)

// A Query asks for records, in which order and from where.
type Query struct {
	Filter

	// From is the sequence number to begin with, if HasFrom: to go on behind a page, one more than that of its last record,
	// or one less with Newest.
	From    uint64
	HasFrom bool

	Newest bool // the newest first, and not the oldest
	Limit  int  // how many records at most; 0 for all
}

// A Hit is a record that was asked for, as the journal has it. Its signature was not checked.
type Hit struct {
	Entry  *evidence.UnverifiedEntry
	Bytes  []byte           // of the entry
	Record *evidence.Record // of the entry
	Of     *evidence.Record // of an outcome: the decision, where it was looked for and is there
}

// Find returns the records that a query asks for. Those that were written after the last [Index.Update] are not among
// them. A pair with an error is the last one.
func (x *Index) Find(ctx context.Context, q *Query) iter.Seq2[*Hit, error] {
	return func(yield func(*Hit, error) bool) {
		s := &search{index: x, query: q, yield: yield, at: q.start(), left: q.Limit}
		for {
			c := s.chunk()
			if c == nil {
				return
			}
			more, err := s.in(ctx, c)
			if err != nil {
				yield(nil, err)
			}
			if !more || err != nil {
				return
			}
		}
	}
}

func (q *Query) start() uint64 {
	switch {
	case q.HasFrom:
		return q.From
	case q.Newest:
		return math.MaxUint64
	}
	return 0
}

// A search is a query under way.
type search struct {
	index *Index
	query *Query
	yield func(*Hit, error) bool

	at     uint64  // the next record to be looked at
	ended  bool    // there is none
	left   int     // of the limit
	healed *uint64 // the record for which the index was last made again
}

// chunk returns the next chunk to look into, nil if there is none.
func (s *search) chunk() *chunk {
	all := s.index.chunks
	i := sort.Search(len(all), func(i int) bool { return all[i].end() > s.at }) // the first that ends behind it
	if s.query.Newest && (i == len(all) || all[i].first > s.at) {
		i--
	}
	if s.ended || i < 0 || i >= len(all) {
		return nil
	}
	return all[i]
}

// step goes on behind a record.
func (s *search) step(seq uint64) {
	switch {
	case !s.query.Newest:
		s.at = seq + 1
	case seq == 0:
		s.ended = true
	default:
		s.at = seq - 1
	}
}

// in looks into a chunk. More is false when nothing else is wanted.
func (s *search) in(ctx context.Context, c *chunk) (more bool, err error) {
	set, some, err := c.find(&s.query.Filter)
	if err != nil {
		return s.heal(ctx, c, s.at, err)
	}
	newest := s.query.Newest
	row, last := 0, c.end()-1
	if s.at > c.first {
		row = int(min(s.at, last) - c.first) //nolint:gosec // less than maxRows
	}
	for row = set.next(row, newest); some && row >= 0; row = next(set, row, newest) {
		seq := c.first + uint64(row) //nolint:gosec // not negative
		wanted, err := c.inTime(row, &s.query.Filter)
		if err == nil && !wanted {
			continue
		}
		var hit *Hit
		if err == nil {
			hit, err = s.read(c, row, seq)
		}
		if err != nil {
			s.at = seq
			return s.heal(ctx, c, seq, err)
		}
		if hit == nil {
			continue
		}
		if !s.yield(hit, nil) {
			return false, nil
		}
		if s.left--; s.left == 0 {
			return false, nil
		}
		if err := ctx.Err(); err != nil {
			return false, err
		}
	}
	if s.query.Newest {
		s.step(c.first)
	} else {
		s.step(last)
	}
	return true, nil
}

func next(set *rowSet, row int, back bool) int {
	if back {
		return set.next(row-1, true)
	}
	return set.next(row+1, false)
}

// errStale says that the journal has not what the index says.
var errStale = errors.New("index: the journal has another record at this place")

// read reads the record of a row from the journal. It is nil if it is not wanted.
func (s *search) read(c *chunk, row int, seq uint64) (*Hit, error) {
	x := s.index
	at, err := c.place(row)
	if err != nil {
		return nil, err
	}
	e, err := x.entryAt(seq, at)
	if err != nil {
		return nil, err
	}
	if e == nil {
		return nil, errStale
	}
	hit := &Hit{Entry: e, Bytes: e.Bytes(), Record: e.Record}
	if o := e.Record.Outcome; o != nil && s.query.ofDecisions() {
		if hit.Of, err = x.decision(o.DecisionSequence); err != nil {
			return nil, err
		}
	}
	if !s.query.Match(hit.Record, hit.Of) {
		return nil, nil
	}
	return hit, nil
}

// heal makes a chunk again that is damaged, or does not fit the journal, as after a segment was removed or rewritten.
// What is wrong a second time is not the index.
func (s *search) heal(ctx context.Context, c *chunk, seq uint64, why error) (more bool, err error) {
	if !isDamaged(why) && !errors.Is(why, errStale) || s.healed != nil && *s.healed == seq {
		return false, why
	}
	s.healed = &seq
	if err := os.Remove(c.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("index: %w", err)
	}
	return true, s.index.Update(ctx)
}

package evidence

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/touchmark-dev/touchmark/did"
)

// A ChainError says that an entry, valid by itself, does not belong where it stands. It carries the signed
// entries: they show to anyone what it says.
type ChainError struct {
	Code     Code
	Sequence uint64 // of the entry refused
	Reason   string

	Entry []byte // the entry refused
	Last  []byte // the last entry accepted before it; nil when there is none
}

func (e *ChainError) Error() string {
	return fmt.Sprintf("evidence: record %d: %s: %s", e.Sequence, e.Code, e.Reason)
}

// ChainConfig says what a [Chain] goes by.
type ChainConfig struct {
	Keys Keys // of the server, by kid; required

	// Tolerance is how much earlier than the latest record before it a record may be. Zero is not at all:
	// a ledger never writes a time before the last one it wrote.
	Tolerance time.Duration

	// AllowPartial lets the stream begin with any record, whose `prev` is then not checked, and lets outcomes
	// belong to decisions before it.
	AllowPartial bool
}

// A Chain checks the entries of one stream, one after the other, by the steps of spec/evidence.md section 6.
// It keeps 32 bytes for each entry, and the ids of decisions whose outcome has not come; of a part of a stream
// also the number of each decision before it whose outcome has.
type Chain struct {
	cfg    ChainConfig
	last   *VerifiedEntry
	first  uint64
	hashes []Hash // of the records accepted, from first on
	latest time.Time
	open   map[uint64]string // ids of decisions without outcome, by sequence number
	before map[uint64]bool   // decisions before the part whose outcome has come
}

// NewChain refuses a configuration without keys, which could accept nothing.
func NewChain(cfg *ChainConfig) (*Chain, error) {
	if len(cfg.Keys) == 0 {
		return nil, errors.New("evidence: no keys: set ChainConfig.Keys to the server's public keys by kid")
	}
	if cfg.Tolerance < 0 {
		return nil, fmt.Errorf("evidence: a tolerance of %v: want none or a positive one", cfg.Tolerance)
	}
	return &Chain{cfg: *cfg, open: make(map[uint64]string), before: make(map[uint64]bool)}, nil
}

// Add checks the next entry. After an error ([*RejectedError] for the entry by itself, [*ChainError] for its
// place) the chain is as it was before.
func (c *Chain) Add(entry []byte) (*VerifiedEntry, error) {
	e, err := ParseEntry(entry)
	if err != nil {
		return nil, err
	}
	v, err := e.Verify(c.cfg.Keys)
	if err != nil {
		return nil, err
	}
	if err := c.checkPlace(v); err != nil {
		return nil, err
	}
	c.accept(v)
	return v, nil
}

func (c *Chain) refuse(e *VerifiedEntry, code Code, format string, args ...any) error {
	err := &ChainError{Code: code, Sequence: e.Record().Sequence, Reason: fmt.Sprintf(format, args...), Entry: e.Bytes()}
	if c.last != nil {
		err.Last = c.last.Bytes()
	}
	return err
}

func (c *Chain) checkPlace(e *VerifiedEntry) error {
	r := e.Record()
	if c.last == nil {
		if r.Genesis == nil && !c.cfg.AllowPartial {
			return c.refuse(e, CodeGenesisMissing, "the stream does not begin with its genesis record")
		}
		return c.checkOutcome(e)
	}
	last := c.last.Record()
	switch {
	case r.Stream != last.Stream:
		return c.refuse(e, CodeStreamMismatch, "of stream %s, this is stream %s", r.Stream, last.Stream)
	case r.Server != last.Server:
		return c.refuse(e, CodeServerMismatch, "of server %q, this is the stream of %q", r.Server, last.Server)
	}
	if err := c.checkSequence(e); err != nil {
		return err
	}
	switch {
	case r.Previous != c.last.RecordHash():
		return c.refuse(e, CodePreviousMismatch, "follows a record with the hash %s, the record before it has %s", r.Previous, c.last.RecordHash())
	case r.Epoch < last.Epoch:
		return c.refuse(e, CodeEpochReversed, "of epoch %d, after epoch %d", r.Epoch, last.Epoch)
	case r.Time.Before(c.latest.Add(-c.cfg.Tolerance)):
		return c.refuse(e, CodeTimeReversed, "of %s, %v earlier than a record before it", r.Time.Format(timeLayout), c.latest.Sub(r.Time))
	}
	return c.checkOutcome(e)
}

// checkSequence tells what is wrong with a number that is not the next one.
func (c *Chain) checkSequence(e *VerifiedEntry) error {
	seq, want := e.Record().Sequence, c.last.Record().Sequence+1
	switch {
	case seq == want:
		return nil
	case seq > want:
		return c.refuse(e, CodeGap, "the records from %d to %d are missing before it", want, seq-1)
	case seq >= c.first && e.RecordHash() == c.hashes[seq-c.first]:
		return c.refuse(e, CodeDuplicate, "the same record again")
	case seq < c.first:
		return c.refuse(e, CodeReordered, "from before record %d, with which the part to be checked begins", c.first)
	case e.Record().Genesis != nil:
		return c.refuse(e, CodeGenesisRepeated, "a second genesis record")
	default:
		return c.refuse(e, CodeConflict, "the server signed two records with this number")
	}
}

func (c *Chain) checkOutcome(e *VerifiedEntry) error {
	o := e.Record().Outcome
	if o == nil {
		return nil
	}
	if c.cfg.AllowPartial && (c.last == nil || o.DecisionSequence < c.first) {
		if c.before[o.DecisionSequence] {
			return c.refuse(e, CodeOutcomeUnmatched, "decision %d has an outcome already", o.DecisionSequence)
		}
		return nil
	}
	if id, ok := c.open[o.DecisionSequence]; !ok || id != o.DecisionID {
		return c.refuse(e, CodeOutcomeUnmatched, "no decision %d with the id %s waits for an outcome", o.DecisionSequence, o.DecisionID)
	}
	return nil
}

func (c *Chain) accept(e *VerifiedEntry) {
	r := e.Record()
	if c.last == nil {
		c.first = r.Sequence
	}
	c.last = e
	c.hashes = append(c.hashes, e.RecordHash())
	if r.Time.After(c.latest) {
		c.latest = r.Time
	}
	if d := r.Decision; d != nil && d.Opens() {
		c.open[r.Sequence] = r.ID
	}
	if o := r.Outcome; o != nil {
		delete(c.open, o.DecisionSequence)
		if o.DecisionSequence < c.first {
			c.before[o.DecisionSequence] = true
		}
	}
}

// A ChainSummary says what a chain of entries consists of.
type ChainSummary struct {
	Stream  StreamID
	Server  did.DID
	First   uint64 // sequence numbers
	Last    uint64
	Records uint64
	Head    Hash      // hash of the last record
	Latest  time.Time // the latest time of any record

	// Open are the sequence numbers of decisions that let a call run and have no outcome yet. The list says
	// that calls were running when the last record was written; a server that was stopped closes them with
	// unknown outcomes when it starts again.
	Open []uint64
}

// Summary describes the entries accepted so far. It is the zero summary when there are none.
func (c *Chain) Summary() ChainSummary {
	if c.last == nil {
		return ChainSummary{}
	}
	r := c.last.Record()
	return ChainSummary{
		Stream:  r.Stream,
		Server:  r.Server,
		First:   c.first,
		Last:    r.Sequence,
		Records: uint64(len(c.hashes)),
		Head:    c.last.RecordHash(),
		Latest:  c.latest,
		Open:    slices.Sorted(maps.Keys(c.open)),
	}
}

// VerifyChain checks the entries of one stream, all of them in their order. What it accepts is complete from
// the first to the last entry given; that nothing is missing after the last one only the log can say, or a
// [Promise] that somebody holds. No entries at all are refused.
func VerifyChain(entries [][]byte, cfg *ChainConfig) (*ChainSummary, error) {
	c, err := NewChain(cfg)
	if err != nil {
		return nil, err
	}
	for i, entry := range entries {
		if _, err := c.Add(entry); err != nil {
			return nil, c.explain(err, entries[i+1:])
		}
	}
	if c.last == nil {
		return nil, &ChainError{Code: CodeGenesisMissing, Reason: "no entries"}
	}
	summary := c.Summary()
	return &summary, nil
}

// explain turns a gap into a reordering when what is missing comes later.
func (c *Chain) explain(err error, rest [][]byte) error {
	var gap *ChainError
	if !errors.As(err, &gap) || gap.Code != CodeGap {
		return err
	}
	want := c.last.Record().Sequence + 1
	for _, entry := range rest {
		e, err := ParseEntry(entry)
		if err != nil || e.Record.Sequence != want || e.Record.Stream != c.last.Record().Stream {
			continue
		}
		if _, err := e.Verify(c.cfg.Keys); err == nil {
			gap.Code = CodeReordered
			gap.Reason = fmt.Sprintf("record %d comes after it", want)
			return gap
		}
	}
	return gap
}

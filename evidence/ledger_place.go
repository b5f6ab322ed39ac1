package evidence

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime/debug"
)

// outcomeSpace is what is kept free on a full disk for each outcome that is still to come: the block that one
// takes when it is alone in its batch.
const outcomeSpace = blockBytes

// privateBytes is more than a private part takes beside its tokens and parameters, sealed or not.
const privateBytes = 64 + SealedBytes + sealScratch

// A slot is a record on its way into the journal.
type slot struct {
	record  *Record
	private *Private
	opens   bool // a decision whose outcome is to come
	settles bool // written by the ledger itself, to be taken while it is being closed
	left    bool // an outcome that nobody waits for

	// Set before the record has its place.
	sealer     Sealer // nil: the private part is stored in clear
	template   *template
	entryBytes int           // at most, until the entry is made
	space      int64         // that the payload takes in the journal, at most
	placed     chan struct{} // closed when commit or err is set

	// Set under the ledger's lock when the record gets its place.
	message Message
	before  head // the chain before this record

	// Set by the goroutine that signs.
	payload []byte
	leaf    Hash
	entry   []byte // for the acknowledgement, where the log will not have it

	// Set under the ledger's lock before placed is closed.
	ready  bool
	commit *commit
	err    error
}

// wait returns nil when the record is durable, the error of ctx when that ends first, and else why it is not durable.
func (s *slot) wait(ctx context.Context) error {
	select {
	case <-s.placed:
	case <-ctx.Done():
		return ctx.Err()
	}
	if s.err != nil {
		return s.err
	}
	select {
	case <-s.commit.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	if s.commit.err != nil {
		return journalError(s.commit.err)
	}
	return nil
}

// prepare does what can be done before the record has its place.
func (l *Ledger) prepare(s *slot) (err error) {
	s.placed = make(chan struct{})
	s.opens = s.record.Decision != nil && s.record.Decision.Opens()
	if err := l.findSealer(s); err != nil {
		return err
	}
	s.record.Header = Header{ID: newRecordID(), Stream: l.stream, Epoch: l.epoch, Server: l.cfg.Server}
	if s.template, err = s.record.template(l.messages.get(messageBytes)); err != nil {
		return err
	}
	entry := len(s.template.message.Record()) + l.sealed
	if entry > MaxEntryBytes {
		return reject(CodeTooLarge, "entry of %d bytes, the limit is %d", entry, MaxEntryBytes)
	}
	s.entryBytes = entry
	s.space = loneSpace(s.payloadBytes())
	return nil
}

// payloadBytes is at least how long the payload of the record will be.
func (s *slot) payloadBytes() int {
	return framePrefix + s.entryBytes + privateBytes + s.private.bytes()
}

// place puts the record at the end of the chain. It waits while the journal is making space.
func (l *Ledger) place(ctx context.Context, s *slot) error {
	for {
		wait, err := l.tryPlace(s)
		if err != nil || wait == nil {
			return err
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return unavailable(CodeCanceled, ctx.Err(), "the context ended before the record had its place: %v", ctx.Err())
		}
	}
}

// tryPlace is one attempt of place; wait is not nil when there should be another.
func (l *Ledger) tryPlace(s *slot) (wait <-chan struct{}, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.admit(s); err != nil {
		return nil, err
	}
	now := l.cfg.Time().UTC().Round(0)
	if now.Before(l.head.time) {
		now = l.head.time // a clock that went back does not turn the stream around
	}
	if wait, err := l.journal.tryReserve(s.space, l.keep(s)); wait != nil || err != nil {
		if errors.Is(err, errQuota) {
			l.hurryHouse()
		}
		return wait, journalError(err)
	}
	s.before = l.head
	if s.message, err = s.template.fill(s.record, l.head.next, l.head.previous, now); err != nil {
		l.journal.release(s.space)
		return nil, err
	}
	l.head.next++
	l.head.previous = s.message.Hash()
	l.head.time = now
	l.open.begin(s)
	l.queue = append(l.queue, s)
	l.inflight.Add(1)
	return nil, nil
}

// admit refuses what the ledger cannot take now.
func (l *Ledger) admit(s *slot) error {
	if l.err != nil && (!s.settles || !errors.Is(l.err, errLedgerClosed)) {
		return l.err
	}
	if o := s.record.Outcome; o != nil {
		return l.open.check(o) // its place in the backlog was set aside when the decision was taken
	}
	if s.opens && l.open.len() >= l.cfg.OpenCalls {
		return unavailable(CodeOpenCallsFull, nil, "%d calls have no outcome yet, the limit is %d", l.open.len(), l.cfg.OpenCalls)
	}
	if s.settles || !l.cfg.hasLog() {
		return nil
	}
	return l.backlog.check(&l.cfg, l.head.next, uint64(l.open.len())) //nolint:gosec // not negative
}

// keep is the space to leave for outcomes when the disk is full. Outcomes themselves leave none, nor does what the
// ledger writes when it starts, whatever the quota.
func (l *Ledger) keep(s *slot) int64 {
	switch {
	case s.settles:
		return beyondQuota
	case s.record.Outcome != nil:
		return 0
	}
	return int64(l.open.len()+1) * outcomeSpace
}

// deliver takes a signed record, or learns that it could not be signed.
func (l *Ledger) deliver(s *slot, err error) {
	defer l.inflight.Done()
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case s.err != nil: // withdrawn together with one before it
	case err != nil:
		l.withdraw(s, err)
	default:
		s.ready = true
	}
	l.promote()
}

// withdraw takes back a record that could not be signed, and all that came after it: none of them was given to
// the journal, so the chain goes on from the one before. Who waits for one of them is told; an outcome that was
// left to the ledger becomes an unknown one.
func (l *Ledger) withdraw(s *slot, cause error) {
	i := 0
	for l.queue[i] != s {
		i++
	}
	l.head = s.before
	for _, later := range l.queue[i:] {
		l.journal.release(later.space)
		l.open.cancel(later)
		later.refuse(unavailable(CodeSigningFailed, cause, "record %d could not be signed: %v", s.record.Sequence, cause))
		if later.left && later != s && !l.closed {
			l.background.Go(func() { l.giveUp(later.record.Outcome.DecisionSequence) })
		}
	}
	clear(l.queue[i:])
	l.queue = l.queue[:i]
}

// refuse ends a slot that the journal has not got.
func (s *slot) refuse(err error) {
	s.err = err
	close(s.placed)
}

// promote gives the journal what is signed, up to the first record that is not.
func (l *Ledger) promote() {
	n := 0
	for n < len(l.queue) && l.queue[n].ready {
		n++
	}
	if n == 0 {
		return
	}
	ready := l.queue[:n]
	payloads := make([][]byte, n)
	var reserved int64
	for i, s := range ready {
		binary.LittleEndian.PutUint64(s.payload[frameOldestOpen:], l.open.commit(s))
		payloads[i] = s.payload
		reserved += s.space
	}
	c, err := l.journal.append(reserved, payloads...)
	for _, s := range ready {
		if err != nil {
			s.refuse(journalError(err))
			continue
		}
		if l.cfg.hasLog() {
			l.backlog.add(s.record.Sequence, s.record.Time, s.entryBytes, l.cfg.BacklogAge/backlogMarks)
		}
		s.commit = c
		close(s.placed)
	}
	clear(ready)
	l.queue = l.queue[n:]
}

var errLedgerClosed = unavailable(CodeClosed, nil, "the ledger was closed")

// journalError says what an error of the journal means to those who record.
func journalError(err error) error {
	var full *noSpaceError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errQuota):
		return unavailable(CodeJournalFull, err, "%v", err)
	case errors.As(err, &full):
		return unavailable(CodeDiskFull, err, "%v", err)
	case errors.Is(err, errJournalClosed):
		return errLedgerClosed
	}
	return unavailable(CodeJournalFailed, err, "%v", err)
}

func panicked(p any) error { return fmt.Errorf("panic: %v\n%s", p, debug.Stack()) }

package evidence

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"
)

// closeGrace is how long Close waits at least for a log that does not return from an append when it is told to end.
const closeGrace = 2 * time.Second

// startFeeder compares the log with the journal and begins to ship what it lacks. ctx is for the comparison.
func (l *Ledger) startFeeder(ctx, running context.Context) error {
	f := &feeder{ledger: l, urgent: make(chan struct{}, 1), done: make(chan struct{})}
	f.log, _ = l.cfg.Log.(feederLog) // check has looked
	var err error
	if f.shipped, err = l.checkLog(ctx, f.log); err != nil {
		return err
	}
	if f.keeper, err = openKeeper(ctx, &l.cfg, f.shipped); err != nil {
		return err
	}
	if f.keeper != nil {
		l.origin = f.keeper.last.Origin()
	}
	l.backlog.shipped, l.backlog.added = f.shipped, f.shipped
	records, _, _ := l.journal.position()
	err = l.eachFrame(f.shipped, records, func(seq uint64, frame *frame) error {
		l.backlog.add(seq, frame.time, len(frame.entry), l.cfg.BacklogAge/backlogMarks)
		return nil
	})
	if err != nil {
		return err
	}
	if f.in, err = openJournalReader(l.cfg.fs, l.cfg.Dir, f.shipped); err != nil {
		return err
	}
	l.feeder = f
	go f.run(running)
	return nil
}

// stopFeeder waits until the feeder has returned, for closeGrace and then until ctx ends. Call stop before.
func (l *Ledger) stopFeeder(ctx context.Context) error {
	if l.feeder == nil {
		return nil
	}
	timer := time.NewTimer(closeGrace)
	defer timer.Stop()
	select {
	case <-l.feeder.done:
	case <-timer.C:
		select {
		case <-l.feeder.done:
		case <-ctx.Done():
			return errors.New("evidence: the log does not return from an append")
		}
	}
	if s := l.feeder.shared; s != nil {
		return errors.Join(s.close(), s.in.close())
	}
	return l.feeder.in.close()
}

// Flush waits until everything recorded and enqueued before it was called is in the log.
func (l *Ledger) Flush(ctx context.Context) error {
	if l.feeder == nil {
		return errors.New("evidence: the ledger has no log")
	}
	target, err := l.sync(ctx)
	if err != nil {
		return err
	}
	return l.drain(ctx, target)
}

// sync waits until what has a place now is durable, and returns how many records that are.
func (l *Ledger) sync(ctx context.Context) (uint64, error) {
	target := uint64(math.MaxUint64)
	for {
		durable, changed, failed := l.journal.position()
		l.mu.Lock()
		target = min(target, l.head.next) // it goes back when a record cannot be signed
		l.mu.Unlock()
		if durable >= target {
			return target, nil
		}
		if failed != nil {
			return 0, journalError(failed)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, fmt.Errorf("evidence: %d records are not durable: %w", target-durable, ctx.Err())
		}
	}
}

// drain waits until the log has this many entries.
func (l *Ledger) drain(ctx context.Context, target uint64) error {
	for {
		l.mu.Lock()
		shipped, changed := l.backlog.shipped, l.backlog.changed
		l.mu.Unlock()
		if shipped >= target {
			return nil
		}
		l.feeder.hurry()
		select {
		case <-changed:
		case <-l.feeder.done:
			return fmt.Errorf("evidence: %d records are not in the log: the feeder has stopped", target-shipped)
		case <-ctx.Done():
			return fmt.Errorf("evidence: %d records are not in the log: %w", target-shipped, ctx.Err())
		}
	}
}

// LogIndex waits until the log has a record, and returns its index there. In a shared log it is known of the last 65,536
// records, as long as the ledger is open. It is where the ledger saw the record: whoever must be certain has it proven.
func (l *Ledger) LogIndex(ctx context.Context, seq uint64) (uint64, error) {
	if l.feeder == nil {
		return 0, errors.New("evidence: the ledger has no log")
	}
	if l.feeder.shared == nil {
		return seq, l.drain(ctx, seq+1)
	}
	for {
		l.mu.Lock()
		index, found := l.indexes[seq]
		shipped, changed := l.backlog.shipped, l.backlog.changed
		l.mu.Unlock()
		switch {
		case found:
			return index, nil
		case seq < shipped:
			return 0, fmt.Errorf("evidence: record %d is in the log, and where it is is not known any more", seq)
		}
		select { // and the feeder is not hurried: each call may wait here, also while a log that fails is left alone
		case <-changed:
		case <-l.feeder.done:
			return 0, fmt.Errorf("evidence: record %d is not in the log: the feeder has stopped", seq)
		case <-ctx.Done():
			return 0, fmt.Errorf("evidence: record %d is not in the log: %w", seq, ctx.Err())
		}
	}
}

// Close takes no more records, waits for those under way, enqueued ones among them, records an unknown outcome for
// each call that has none, waits until ctx ends for the log to take what it lacks, and releases the directory. An
// error says what could not be done; what is not in the log then is shipped after the next Open.
func (l *Ledger) Close(ctx context.Context) error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return errLedgerClosed
	}
	l.closed = true
	failed := l.err
	if l.err == nil {
		l.err = errLedgerClosed
	}
	l.mu.Unlock()
	err := waitFor(ctx, &l.inflight)
	if err == nil && failed == nil {
		err = l.finish(ctx)
	}
	l.dropQueue()
	l.stop()
	err = errors.Join(failed, err, l.stopFeeder(ctx))
	err = errors.Join(err, journalError(l.closeJournal()))
	l.background.Wait() // whoever waited for the journal knows now
	return err
}

// closeJournal closes the journal when nobody changes its files. Call stop before.
func (l *Ledger) closeJournal() error {
	l.house.Lock()
	defer l.house.Unlock()
	return l.journal.close()
}

// dropQueue refuses what is still being signed.
func (l *Ledger) dropQueue() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.queue {
		s.refuse(errLedgerClosed)
	}
	l.queue = nil
}

// finish settles what is open and ships what can be shipped.
func (l *Ledger) finish(ctx context.Context) error {
	l.mu.Lock()
	waiting := l.open.waiting()
	l.mu.Unlock()
	if err := l.settle(ctx, waiting...); err != nil {
		return err
	}
	if l.feeder == nil {
		return nil
	}
	l.mu.Lock()
	next := l.head.next
	l.mu.Unlock()
	return l.drain(ctx, next)
}

// waitFor waits for a group, or until ctx ends.
func waitFor(ctx context.Context, group *sync.WaitGroup) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		group.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("evidence: records are still being signed: %w", ctx.Err())
	}
}

// Status says how a ledger is doing.
type Status struct {
	Stream  StreamID
	Records uint64        // that are durable in the journal
	Logged  uint64        // of those, in the log
	Waiting time.Duration // how long about the oldest record that is not in the log has waited
	Open    int           // calls without an outcome
	Err     error         // why nothing is taken any more; nil while all is well
}

// Status returns the state of the ledger at this moment.
func (l *Ledger) Status() Status {
	durable, _, failed := l.journal.position()
	l.mu.Lock()
	defer l.mu.Unlock()
	s := Status{
		Stream: l.stream, Records: durable, Logged: l.backlog.shipped, Waiting: l.backlog.age(l.cfg.Time()),
		Open: l.open.len(), Err: l.err,
	}
	if s.Err == nil {
		s.Err = journalError(failed)
	}
	return s
}

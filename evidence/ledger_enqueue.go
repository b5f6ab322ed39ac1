package evidence

import "context"

// Enqueue makes a record of the draft of an outcome, and does not wait for the disk. When it returns nil the record
// has its place in the chain, is signed, and is durable at the latest when any record after it is acknowledged.
// What it is refused for are the reasons for which [Ledger.Record] refuses an outcome before it waits.
//
// When the process stops, or the disk fails, before the record is durable, the next [Open] records that the outcome
// is unknown. After a disk that failed every further record is refused. When a record before this one cannot be
// signed after all, the outcome becomes an unknown one at once. [Ledger.Close] and [Ledger.Flush] wait for what was
// enqueued.
//
// Drafts of other kinds are refused: what a decision lets happen must not happen before it is durable.
func (l *Ledger) Enqueue(ctx context.Context, draft *Draft) error {
	if draft.Outcome == nil {
		return invalid("kind", "only an outcome may be left to the ledger; use Record")
	}
	s, err := l.accept(ctx, draft)
	if err != nil {
		return err
	}
	s.left = true
	if err := l.begin(ctx, s); err != nil {
		return err
	}
	return s.refused()
}

// refused returns why the record is not going to be durable, as far as that is known now.
func (s *slot) refused() error {
	select {
	case <-s.placed:
		return s.err
	default:
		return nil // one before it is being signed
	}
}

// giveUp records that nobody is going to say how a call ended. When that fails, Close or the next Open does it.
func (l *Ledger) giveUp(decision uint64) {
	_ = l.begin(context.Background(), l.unknown(decision))
}

// unknown makes the slot of an outcome that says so.
func (l *Ledger) unknown(decision uint64) *slot {
	l.mu.Lock()
	defer l.mu.Unlock()
	return &slot{private: new(Private), record: &Record{
		Outcome: &Outcome{DecisionID: l.open.ids[decision], DecisionSequence: decision, Status: OutcomeUnknown},
	}}
}

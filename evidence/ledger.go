package evidence

import "context"

// A Ledger turns drafts into records that are numbered, chained, signed and durable, and ships them to a log.
// It is safe for concurrent use. Make one with [Open].
type Ledger struct{ cfg LedgerConfig }

// An Ack says that a record is durable.
type Ack struct {
	ID       string // of the record
	Sequence uint64 // of the record, and its index in the log
	LeafHash Hash   // RFC 6962 hash of the entry
	Promise  string // signed promise that the record will be in the log; empty unless configured
}

// Open recovers the journal in cfg.Dir, or begins a new one, and checks that the log is its beginning.
func Open(ctx context.Context, cfg *LedgerConfig) (*Ledger, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	return &Ledger{cfg: cfg.withDefaults()}, nil
}

// Record makes a record of a draft. When it returns nil the record is durable: it survives a crash of this
// process and a power failure, and will be in the log. The error is an [*UnavailableError] when the record is
// not known to be durable, and a [*RejectedError] when the draft cannot be a record. Either way the caller
// must not do what the record is about.
//
// A context that ends while the record waits for its turn withdraws it; later the answer is an
// UnavailableError with Pending set.
func (l *Ledger) Record(ctx context.Context, draft *Draft) (*Ack, error) {
	return nil, unavailable(CodeClosed, nil, "the ledger is closed")
}

// Flush waits until everything recorded so far is in the log.
func (l *Ledger) Flush(ctx context.Context) error { return nil }

// Close records an unknown outcome for each call that has none, waits until ctx ends for the log to take
// what it lacks, and releases the directory. What is not in the log then is shipped after the next Open.
func (l *Ledger) Close(ctx context.Context) error { return nil }

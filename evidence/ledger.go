package evidence

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// A Ledger turns drafts into records that are numbered, chained, signed and durable, and ships them to a log.
// It is safe for concurrent use. Make one with [Open].
//
// A record gets its number, its time and the hash of the one before it under one lock. It is signed in the
// goroutine of the caller, and written by the journal's flusher together with what else is waiting. Another
// goroutine, the feeder, reads the journal and appends to the log, in the same order.
type Ledger struct {
	cfg     LedgerConfig
	journal *journal
	stream  StreamID
	epoch   uint64
	origin  string // of the log, for promises
	secret  []byte // of the identities in a shared log; nil: there is none
	sealed  int    // bytes of an entry beside its record
	feeder  *feeder
	sealer  atomic.Pointer[Sealer] // the last one that the vault gave

	messages, payloads buffers

	stop       context.CancelFunc // of the feeder, the heartbeat and who keeps house
	background sync.WaitGroup     // the heartbeat, who keeps house, and whoever settles abandoned decisions
	house      sync.Mutex         // held while files of the journal are removed or compacted
	full       chan struct{}      // has room for one: the journal is as large as it may be
	inflight   sync.WaitGroup     // slots that have a place and were not delivered

	mu      sync.Mutex
	err     error // why nothing is taken any more
	closed  bool
	head    head
	queue   []*slot // placed and not yet given to the journal, in order
	open    openCalls
	backlog backlog
	indexes map[uint64]uint64 // in a shared log, of the records found last, by sequence number
}

// A head is the end of the chain.
type head struct {
	next     uint64 // sequence number of the next record
	previous Hash
	time     time.Time // of the last record
}

// An Ack says that a record is durable.
type Ack struct {
	ID       string // of the record
	Sequence uint64 // of the record, and its index in a log that no other ledger appends to
	LeafHash Hash   // RFC 6962 hash of the leaf that the log is to hold of the entry
	Promise  string // signed promise that the record will be in the log; empty unless configured

	// Entry is the entry, where the log holds its digest alone: nobody finds it there. Nil otherwise.
	Entry []byte
}

// Record makes a record of a draft. When it returns nil the record is durable: it survives a crash of this
// process and a power failure, and will be in the log. The error is an [*UnavailableError] when the record is
// not known to be durable, and a [*RejectedError] when the draft cannot be a record. Either way the caller
// must not do what the record is about.
//
// A context that ends while the record waits for its turn withdraws it. When it ends later, the answer is an
// UnavailableError with Pending set; should the record become durable all the same, and be a decision that
// lets a call run, the ledger records an unknown outcome for it.
func (l *Ledger) Record(ctx context.Context, draft *Draft) (*Ack, error) {
	s, err := l.accept(ctx, draft)
	if err != nil {
		return nil, err
	}
	if err := l.begin(ctx, s); err != nil {
		return nil, err
	}
	return l.await(ctx, s)
}

// accept makes a slot of a draft.
func (l *Ledger) accept(ctx context.Context, draft *Draft) (*slot, error) {
	if err := ctx.Err(); err != nil {
		return nil, unavailable(CodeCanceled, err, "the context ended before the record had its place: %v", err)
	}
	record, private, err := draft.prepare(l.cfg.PlainHash)
	if err != nil {
		return nil, err
	}
	if l.cfg.KeepParameters {
		private.keep(draft)
	}
	return &slot{record: record, private: private}, nil
}

// begin gives the record its place, signs it and hands it to the journal.
func (l *Ledger) begin(ctx context.Context, s *slot) error {
	if err := l.prepare(s); err != nil {
		return err
	}
	if err := l.place(ctx, s); err != nil {
		return err
	}
	// From here on others follow this record, whatever becomes of ctx.
	err := l.seal(s)
	l.deliver(s, err)
	return nil
}

// seal signs the record. A key may be anything that can sign, so it is not trusted to return.
func (l *Ledger) seal(s *slot) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
		}
	}()
	// The payload is made in place: its prefix, the entry, the private part.
	payload, err := s.message.appendSealed(l.payloads.get(s.payloadBytes())[:framePrefix], l.cfg.KeyID, l.cfg.Key)
	if err != nil {
		return err
	}
	entry := payload[framePrefix:]
	if _, ours := l.cfg.Key.(ed25519.PrivateKey); ours {
		l.messages.put(s.message)
		s.message, s.template = nil, nil
	} else if err := l.checkSeal(entry); err != nil {
		return err
	}
	s.leaf = l.cfg.LogForm.LeafHash(entry)
	if l.cfg.LogForm == FormDigest {
		s.entry = bytes.Clone(entry)
	}
	s.entryBytes = len(entry)
	f := frame{opens: s.opens, closes: s.record.Outcome != nil, time: s.record.Time, entry: entry}
	if f.closes {
		f.reference = s.record.Outcome.DecisionSequence
	}
	f.appendPrefix(payload[:0])
	if s.payload, err = l.appendPrivate(payload, s); err == nil && len(s.payload) > s.payloadBytes() {
		err = fmt.Errorf("the vault adds more than %d bytes to a private part", SealedBytes) // and there may be no space for it
	}
	return err
}

// checkSeal verifies what a key outside this process has signed: an entry that nobody can verify is no evidence.
func (l *Ledger) checkSeal(entry []byte) error {
	e, err := ParseEntry(entry)
	if err != nil {
		return err
	}
	_, err = e.Verify(Keys{l.cfg.KeyID: l.cfg.Key.Public().(ed25519.PublicKey)})
	return err
}

// await waits until the record is durable or refused.
func (l *Ledger) await(ctx context.Context, s *slot) (*Ack, error) {
	promise, err := l.promise(s)
	if err != nil {
		l.abandon(s)
		failed := unavailable(CodeSigningFailed, err, "the promise could not be signed: %v", err)
		failed.Pending = true
		return nil, failed
	}
	if err := s.wait(ctx); err != nil {
		if ctx.Err() == nil || !errors.Is(err, ctx.Err()) {
			return nil, err
		}
		l.abandon(s)
		return nil, &UnavailableError{Code: CodeCanceled, Pending: true, err: err,
			Reason: "the context ended before the record was known to be durable: " + err.Error()}
	}
	return &Ack{ID: s.record.ID, Sequence: s.record.Sequence, LeafHash: s.leaf, Promise: promise, Entry: s.entry}, nil
}

// promise signs the promise for a record while the disk is at work. Nobody sees it before the record is durable.
func (l *Ledger) promise(s *slot) (token string, err error) {
	if !l.cfg.Promise || s.leaf.IsZero() {
		return "", nil
	}
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
		}
	}()
	issued := s.record.Time.Truncate(time.Second)
	p := &Promise{
		Server: l.cfg.Server, LeafHash: s.leaf, Stream: l.stream, Sequence: s.record.Sequence, LogOrigin: l.origin,
		IssuedAt: issued, Deadline: issued.Add(l.cfg.BacklogAge + 2*time.Second - 1).Truncate(time.Second),
	}
	return p.Sign(l.cfg.KeyID, l.cfg.Key)
}

// abandon sees to it that a decision that nobody acted on gets an outcome, should it become durable.
func (l *Ledger) abandon(s *slot) {
	if !s.opens {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return // Close settles what is open
	}
	l.background.Go(func() {
		if s.wait(context.Background()) == nil {
			l.giveUp(s.record.Sequence)
		}
	})
}

// fail refuses everything from now on. The first reason stays.
func (l *Ledger) fail(reason error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = reason
	}
	l.backlog.announce()
}

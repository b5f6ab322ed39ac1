package evidence

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/touchmark-dev/touchmark/internal/durable"
)

// Open recovers the journal in cfg.Dir, or begins a new one with a genesis record, and checks that the log is
// its beginning. It records an unknown outcome for every decision that the ledger before left open.
//
// The errors are [*CorruptError] for a journal that is damaged, [*UnavailableError] with [CodeLogDiverged] for a
// log that is not its own, and what the system says, for example that somebody else has the directory open.
func Open(ctx context.Context, cfg *LedgerConfig) (_ *Ledger, err error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	l := &Ledger{cfg: cfg.withDefaults(), open: newOpenCalls(), full: make(chan struct{}, 1)}
	l.backlog.changed = make(chan struct{})
	l.sealed = len(appendEntry(nil, cfg.KeyID, nil, make([]byte, ed25519.SignatureSize)))
	if err := durable.MkdirAll(l.cfg.fs, l.cfg.Dir); err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	l.journal, err = openJournal(journalConfig{
		fs: l.cfg.fs, dir: l.cfg.Dir, segmentBytes: cfg.segmentBytes(), now: l.cfg.Time,
		quota: l.cfg.MaxJournalBytes, written: l.payloads.put,
	})
	if err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	if err := l.start(ctx); err != nil {
		return nil, errors.Join(err, l.abort(ctx))
	}
	return l, nil
}

// start does what is left to do when the journal is open.
func (l *Ledger) start(ctx context.Context) error {
	if err := l.resume(); err != nil {
		return err
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	l.stop = stop
	if err := l.startFeeding(ctx, running); err != nil {
		return err
	}
	if l.cfg.Promise && l.origin == "" {
		return errors.New("evidence: promises name the log they are about; Log must be a Checkpointer")
	}
	if err := l.begins(ctx); err != nil {
		return err
	}
	if err := l.settle(ctx, l.open.waiting()...); err != nil {
		return err
	}
	if l.cfg.Retention > 0 || l.cfg.PrivateRetention > 0 {
		l.background.Go(func() { l.keepHouse(running) })
	}
	if l.cfg.Heartbeat > 0 {
		l.background.Go(func() { l.beat(running) })
	}
	return nil
}

func (l *Ledger) startFeeding(ctx, running context.Context) error {
	switch {
	case l.cfg.Shared != nil:
		return l.startShared(ctx, running)
	case l.cfg.Log != nil:
		return l.startFeeder(ctx, running)
	}
	return nil
}

// abort undoes an Open that failed.
func (l *Ledger) abort(ctx context.Context) error {
	if l.stop != nil {
		l.stop()
	}
	l.inflight.Wait()
	ctx, cancel := context.WithTimeout(ctx, closeGrace) // the error of Open does not wait for a log
	defer cancel()
	return errors.Join(l.stopFeeder(ctx), l.closeJournal())
}

// begins writes the first record of this run: the genesis record, or a heartbeat with the new epoch.
func (l *Ledger) begins(ctx context.Context) error {
	s := &slot{record: new(Record), private: new(Private), settles: true}
	if l.head.next == 0 {
		s.record.Genesis = &Genesis{LogOrigin: l.origin, LogForm: l.cfg.LogForm, Software: l.cfg.Software}
	}
	if err := l.begin(ctx, s); err != nil {
		return err
	}
	return s.wait(ctx)
}

// resume reads from the journal where the chain ends, and which decisions are open.
func (l *Ledger) resume() error {
	records, _, err := l.journal.position()
	if err != nil {
		return err
	}
	if records == 0 {
		l.stream, l.epoch = NewStreamID(), 1
		return nil
	}
	f, err := l.lastFrame(records)
	if err != nil {
		return fmt.Errorf("evidence: the last record of %q: %w", l.cfg.Dir, err)
	}
	if err := l.adopt(f, records); err != nil {
		return fmt.Errorf("evidence: the last record of %q: %w", l.cfg.Dir, err)
	}
	return l.findOpen(min(f.oldestOpen, records-1), records)
}

// eachFrame calls do for each record from sequence number from on and before to.
func (l *Ledger) eachFrame(from, to uint64, do func(seq uint64, f *frame) error) error {
	return eachFrame(l.cfg.fs, l.cfg.Dir, from, to, do)
}

func eachFrame(fsys durable.FS, dir string, from, to uint64, do func(seq uint64, f *frame) error) (err error) {
	r, err := openJournalReader(fsys, dir, from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	for r.index < to {
		seq, payload, err := r.next()
		if err != nil {
			return err
		}
		f, err := parseFrame(payload)
		if err != nil {
			return err
		}
		if err := do(seq, f); err != nil {
			return err
		}
	}
	return nil
}

func (l *Ledger) lastFrame(records uint64) (last *frame, err error) {
	err = l.eachFrame(records-1, records, func(_ uint64, f *frame) error {
		last = f
		last.entry = slices.Clone(f.entry)
		return nil
	})
	return last, err
}

// adopt takes over the chain that ends with f.
func (l *Ledger) adopt(f *frame, records uint64) error {
	e, err := ParseEntry(f.entry)
	if err != nil {
		return err
	}
	if e.KeyID == l.cfg.KeyID {
		if _, err := e.Verify(Keys{e.KeyID: l.cfg.Key.Public().(ed25519.PublicKey)}); err != nil {
			return err
		}
	}
	r := e.Record
	if r.Server != l.cfg.Server {
		return fmt.Errorf("the journal is that of server %q, not of %q; each server has a directory of its own", r.Server, l.cfg.Server)
	}
	if r.Sequence != records-1 {
		return fmt.Errorf("it has the sequence number %d, and is at place %d", r.Sequence, records-1)
	}
	l.stream, l.epoch = r.Stream, r.Epoch+1
	l.head = head{next: records, previous: e.RecordHash(), time: r.Time}
	return nil
}

// findOpen finds the decisions that have no outcome, none of which is before from.
func (l *Ledger) findOpen(from, records uint64) error {
	open := map[uint64]bool{}
	err := l.eachFrame(from, records, func(seq uint64, f *frame) error {
		if f.opens {
			open[seq] = true
		}
		if f.closes {
			delete(open, f.reference)
		}
		return nil
	})
	if err != nil || len(open) == 0 {
		return err
	}
	return l.eachFrame(slices.Min(slices.Collect(maps.Keys(open))), records, func(seq uint64, f *frame) error {
		if !open[seq] {
			return nil
		}
		e, err := ParseEntry(f.entry)
		if err != nil {
			return fmt.Errorf("evidence: record %d of %q: %w", seq, l.cfg.Dir, err)
		}
		l.open.add(seq, e.Record.ID)
		return nil
	})
}

// settle records an unknown outcome for each of these decisions and waits for all of them.
func (l *Ledger) settle(ctx context.Context, decisions ...uint64) error {
	slots := make([]*slot, 0, len(decisions))
	for _, seq := range decisions {
		s := l.unknown(seq)
		s.settles = true
		if err := l.begin(ctx, s); err != nil {
			return err
		}
		slots = append(slots, s)
	}
	for _, s := range slots {
		if err := s.wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// beat records a heartbeat whenever nothing was recorded for a while.
func (l *Ledger) beat(ctx context.Context) {
	timer := time.NewTimer(l.cfg.Heartbeat)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		l.mu.Lock()
		quiet := l.cfg.Time().Sub(l.head.time)
		l.mu.Unlock()
		if quiet >= l.cfg.Heartbeat {
			s := &slot{record: new(Record), private: new(Private)}
			_ = l.begin(ctx, s) // a ledger that takes nothing takes no heartbeat either
			quiet = 0
		}
		timer.Reset(max(l.cfg.Heartbeat-quiet, time.Millisecond))
	}
}

package evidence

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"github.com/touchmark-dev/touchmark/translog"
)

const (
	// feedEntries and feedBytes bound one append to the log. Full batches end at
	// an index that feedAlign divides, where tiles are full, too.
	feedEntries = 512
	feedAlign   = 256
	feedBytes   = 4 << 20
	// feedInterval is the least time between two appends while the log is not far behind: each append costs
	// an engine the same few syncs, however many entries it brings.
	feedInterval = 50 * time.Millisecond
	// feedRetry and feedRetryMax are the first and the longest time to wait after an append that failed.
	feedRetry    = 100 * time.Millisecond
	feedRetryMax = 30 * time.Second
)

// feederLog is what the feeder asks of a log.
type feederLog interface {
	translog.Appender
	LogReader
}

// A feeder appends what is durable in the journal to the log, in order. The log is a prefix of the journal at
// all times, so its size alone says what it lacks.
type feeder struct {
	ledger *Ledger
	log    feederLog
	in     *journalReader
	keeper *keeper
	shared *sharedFeed // of a shared log, which has neither log nor keeper; else nil

	shipped uint64   // entries in the log
	batch   [][]byte // leaves of the next ones
	sizes   []int64  // of their entries
	unsure  bool     // what became of the batch: an append failed, and the log has not said

	urgent chan struct{} // has room for one: do not wait for more
	done   chan struct{} // closed when the feeder has returned
}

// run is the feeder. Whatever stops it, the ledger refuses from then on.
func (f *feeder) run(ctx context.Context) {
	defer close(f.done)
	defer func() {
		if p := recover(); p != nil {
			f.ledger.fail(unavailable(CodeLogFailed, panicked(p), "the feeder panicked: %v", p))
		}
	}()
	retry := feedRetry
	for ctx.Err() == nil {
		progress, err := f.step(ctx)
		switch {
		case err == nil && progress:
			retry = feedRetry
			f.pause(ctx, feedInterval)
		case err == nil:
			f.idle(ctx)
		case isFatal(err):
			f.ledger.fail(err)
			return
		case f.pause(ctx, retry):
			retry = feedRetry // somebody waits since now, and may not for long
		default:
			retry = min(2*retry, feedRetryMax)
		}
	}
}

// step ships one batch if there is anything to ship.
func (f *feeder) step(ctx context.Context) (progress bool, err error) {
	if f.shared != nil {
		return f.shared.step(ctx)
	}
	if err := f.fill(); err != nil {
		return false, err
	}
	if len(f.batch) > 0 {
		if err := f.ship(ctx); err != nil {
			return false, err
		}
		progress = true
	}
	return progress, f.keeper.keep(ctx, f.shipped)
}

// fill reads the next batch from the journal, no further than it is durable.
func (f *feeder) fill() error {
	durable, _, _ := f.ledger.journal.position()
	size := sum(f.sizes)
	limit := feedEntries - int(f.shipped%feedAlign)
	for f.shipped+uint64(len(f.batch)) < durable && len(f.batch) < limit && size < feedBytes {
		_, payload, err := f.in.next()
		if errors.Is(err, io.EOF) {
			err = &CorruptError{File: f.in.dir, Reason: "records that were durable are gone"}
		}
		if err != nil {
			return unavailable(CodeJournalFailed, err, "reading the journal: %v", err)
		}
		frame, err := parseFrame(payload)
		if err != nil {
			return unavailable(CodeJournalFailed, err, "reading the journal: %v", err)
		}
		f.batch = append(f.batch, f.ledger.cfg.LogForm.Leaf(bytes.Clone(frame.entry)))
		f.sizes = append(f.sizes, int64(len(frame.entry)))
		size += int64(len(frame.entry))
	}
	return nil
}

// ship appends the batch. When that fails, the log says how much of it arrived, before anything more is appended: a log
// that does not answer may have it all.
func (f *feeder) ship(ctx context.Context) error {
	if f.unsure {
		return f.sync(ctx)
	}
	first, err := f.log.Append(ctx, f.batch)
	switch {
	case err != nil:
		f.unsure = true
		if serr := f.sync(ctx); serr != nil {
			return serr
		}
		return err
	case first != f.shipped:
		return diverged(&DivergedError{Index: f.shipped, Journal: f.batch[0],
			Reason: "the log gave another place to the entry; something else appends to it"})
	}
	f.advance(len(f.batch))
	return nil
}

// sync compares the log with the batch that was being appended, and goes on behind what arrived.
func (f *feeder) sync(ctx context.Context) error {
	size, err := f.log.Size(ctx)
	if err != nil {
		return err
	}
	if size < f.shipped || size > f.shipped+uint64(len(f.batch)) {
		return diverged(&DivergedError{Index: min(size, f.shipped), Reason: "the log changed its size by itself"})
	}
	n := int(size - f.shipped) //nolint:gosec // not more than the batch has
	for i, leaf := range f.batch[:n] {
		if err := sameLeaf(ctx, f.log, f.shipped+uint64(i), leaf); err != nil {
			return err
		}
	}
	f.advance(n)
	f.unsure = false
	return nil
}

// advance goes on behind what arrived. Of nothing nobody is told: who waits hurries the feeder when something has changed.
func (f *feeder) advance(n int) {
	if n == 0 {
		return
	}
	size := sum(f.sizes[:n])
	f.batch = append(f.batch[:0], f.batch[n:]...)
	f.sizes = append(f.sizes[:0], f.sizes[n:]...)
	f.shipped += uint64(n) //nolint:gosec // not negative
	l := f.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	l.backlog.ship(n, size)
}

func sum(sizes []int64) (n int64) {
	for _, size := range sizes {
		n += size
	}
	return n
}

// idle waits until there is something to ship or a checkpoint to keep.
func (f *feeder) idle(ctx context.Context) {
	if f.shared != nil {
		f.shared.idle(ctx)
		return
	}
	durable, changed, _ := f.ledger.journal.position()
	if durable > f.shipped {
		return
	}
	var keep <-chan time.Time
	if f.keeper.behind(f.shipped) {
		timer := time.NewTimer(keepInterval)
		defer timer.Stop()
		keep = timer.C
	}
	select {
	case <-changed:
	case <-keep:
	case <-ctx.Done():
	}
}

// pause waits, unless the log is far behind or somebody waits for it, and reports whether it is that.
func (f *feeder) pause(ctx context.Context, d time.Duration) (hurried bool) {
	if durable, _, _ := f.ledger.journal.position(); d == feedInterval && durable-f.shipped >= feedEntries {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return false
	case <-f.urgent:
		return true
	case <-ctx.Done():
		return false
	}
}

// hurry ends a pause, now or the next one.
func (f *feeder) hurry() {
	select {
	case f.urgent <- struct{}{}:
	default:
	}
}

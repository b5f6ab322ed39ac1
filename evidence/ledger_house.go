package evidence

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// MinJournalBytes is the smallest [LedgerConfig.MaxJournalBytes] for files of the default size.
const MinJournalBytes = 2 * idleSegmentBytes

// houseInterval is the time between two attempts to remove and erase what is due.
const houseInterval = time.Minute

// checkHouse refuses retentions that nothing can keep.
func (c *LedgerConfig) checkHouse() error {
	_, proves := c.Log.(Prover)
	if c.Shared != nil {
		_, proves = c.Shared.(SharedProver)
	}
	_, forgets := c.Vault.(Forgetter)
	switch {
	case c.Retention < 0 || c.PrivateRetention < 0 || c.MaxJournalBytes < 0:
		return errors.New("evidence: a bound of the ledger is negative")
	case c.Retention > 0 && !proves:
		return errors.New("evidence: records are removed only when the log proves that it has them; Retention needs a Log that is a Prover, or a Shared that is a SharedProver")
	case c.Retention > 0 && c.LogForm == FormDigest && !c.AllowRecordLoss:
		return errRecordLoss
	case c.PrivateRetention > 0 && !forgets:
		return errors.New("evidence: PrivateRetention needs a Vault that is a Forgetter")
	case c.MaxJournalBytes > 0 && c.MaxJournalBytes < 2*c.segmentBytes():
		return fmt.Errorf("evidence: a journal of %d bytes does not hold two segments of %d; make MaxJournalBytes larger or SegmentBytes smaller",
			c.MaxJournalBytes, c.segmentBytes())
	}
	return nil
}

// segmentBytes returns the size of the journal's files: small enough that some of them make up the journal.
func (c *LedgerConfig) segmentBytes() int64 {
	if c.SegmentBytes != 0 || c.MaxJournalBytes == 0 {
		return c.SegmentBytes
	}
	return min(defaultSegmentBytes, max(c.MaxJournalBytes/8/blockBytes*blockBytes, idleSegmentBytes))
}

// keepHouse removes and erases what is due, now and then, and soon when the journal is full.
func (l *Ledger) keepHouse(ctx context.Context) {
	log, _ := l.cfg.Log.(Prover)
	shared, _ := l.cfg.Shared.(SharedProver)
	r := &retention{journal: l.journal, log: log, shared: shared, form: l.cfg.LogForm, local: &l.house}
	vault, _ := l.cfg.Vault.(Forgetter)
	f := &forgetting{ledger: l, vault: vault}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-l.full:
		case <-ctx.Done():
			return
		}
		if err := l.tidy(ctx, r, f); err != nil && ctx.Err() == nil && l.cfg.Notice != nil {
			l.cfg.Notice(err)
		}
		select { // not again at once, however full it is
		case <-time.After(spareRetry):
		case <-ctx.Done():
			return
		}
		timer.Reset(houseInterval)
	}
}

// tidy does it once.
func (l *Ledger) tidy(ctx context.Context, r *retention, f *forgetting) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
		}
	}()
	if l.cfg.Retention > 0 {
		if _, rerr := r.run(ctx, l.cfg.Time().Add(-l.cfg.Retention), l.removable()); rerr != nil {
			err = fmt.Errorf("evidence: removing records that are in the log: %w", rerr)
			if isFatal(rerr) { // the log is not that of this journal: nothing more is acknowledged
				l.fail(rerr)
			}
		}
	}
	if l.cfg.PrivateRetention == 0 {
		return err
	}
	if ferr := f.run(ctx); ferr != nil {
		err = errors.Join(err, fmt.Errorf("evidence: erasing private parts: %w", ferr))
	}
	return err
}

// removable returns the sequence number before which nobody needs a record.
func (l *Ledger) removable() uint64 {
	records, _, _ := l.journal.position()
	l.mu.Lock()
	defer l.mu.Unlock()
	limit := min(l.backlog.shipped, records-min(records, tailEntries))
	for seq := range l.open.ids {
		limit = min(limit, seq)
	}
	return limit
}

// hurryHouse makes space be looked for soon.
func (l *Ledger) hurryHouse() {
	select {
	case l.full <- struct{}{}:
	default:
	}
}

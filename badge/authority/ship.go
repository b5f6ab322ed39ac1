package authority

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"sync"
	"time"

	"github.com/touchmark-dev/touchmark/badge/authority/internal/store"
)

const (
	shipBatch     = 256
	shipInterval  = 250 * time.Millisecond // between two looks when there was nothing to ship
	shipRetry     = 2 * time.Second
	pruneInterval = 10 * time.Minute
	badgeMemory   = 30 * 24 * time.Hour
	lateFresh     = time.Second // how long an answer about the log's delay is used again
)

// Run does what the authority does by itself, until ctx ends: it ships entries to the log, retires keys whose place a
// newer one took, and forgets what is long over. It returns early, with an error, only when going on would fork the
// log: the database, or the log, is an older copy.
func (a *Authority) Run(ctx context.Context) error {
	var tasks sync.WaitGroup
	defer tasks.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // before the wait
	tasks.Go(func() { a.keepHouse(ctx) })
	if a.cfg.Log == nil {
		<-ctx.Done()
		return nil
	}
	for {
		wait := shipInterval
		n, err := a.Ship(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, store.ErrConflict):
			return fmt.Errorf("authority: the database and the log are not of one history, one is an older copy: nothing was shipped: %w", err)
		case err != nil:
			a.log.ErrorContext(ctx, "shipping to the log failed", "err", err)
			wait = shipRetry
		case n > 0:
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// Ship appends entries that the log does not have yet, a bounded number, and returns how many.
func (a *Authority) Ship(ctx context.Context) (int, error) {
	size, err := a.cfg.Log.Size(ctx)
	if err != nil {
		return 0, err
	}
	end := store.LogEnd{Size: size}
	if size > 0 {
		if end.Last, err = a.cfg.Log.Entry(ctx, size-1); err != nil {
			return 0, err
		}
	}
	rows, err := a.store.ClaimOutbox(ctx, end, shipBatch)
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	entries := make([][]byte, len(rows))
	for i := range rows {
		entries[i] = rows[i].Entry
	}
	first, err := a.cfg.Log.Append(ctx, entries)
	switch {
	case err != nil:
		return 0, err
	case first != rows[0].Position:
		return 0, &store.Error{What: "log position", ID: "of another writer", Kind: store.ErrConflict}
	}
	return len(rows), nil
}

// keepHouse retires and prunes now and then.
func (a *Authority) keepHouse(ctx context.Context) {
	pruned := time.Time{}
	for {
		if err := a.RetireKeys(ctx); err != nil && ctx.Err() == nil {
			a.log.ErrorContext(ctx, "retiring keys failed", "err", err)
		}
		if now := a.now(); now.Sub(pruned) >= pruneInterval {
			pruned = now
			if err := a.prune(ctx, now); err != nil && ctx.Err() == nil {
				a.log.ErrorContext(ctx, "forgetting what is over failed", "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
	}
}

func (a *Authority) prune(ctx context.Context, now time.Time) error {
	p := &store.Prune{Now: now, Badges: badgeMemory, AllowUnlogged: a.cfg.AllowNoLog}
	if a.cfg.Log != nil {
		size, err := a.cfg.Log.Size(ctx)
		if err != nil {
			return err
		}
		p.Shipped = size
	}
	for {
		n, err := a.store.Prune(ctx, p)
		if err != nil || n == 0 {
			return err
		}
	}
}

// A lateLog remembers for a moment whether the log was late.
type lateLog struct {
	mu   sync.Mutex
	read time.Time
	late bool
}

// logInTime refuses when entries wait for the log for too long: what nobody can see is not issued.
func (a *Authority) logInTime(ctx context.Context) error {
	if a.cfg.AllowNoLog {
		return nil
	}
	l := &a.logLate
	l.mu.Lock()
	defer l.mu.Unlock()
	now := a.now()
	if age := now.Sub(l.read); l.read.IsZero() || age < 0 || age >= lateFresh {
		oldest, err := a.oldestUnshipped(ctx)
		if err != nil {
			return err
		}
		l.read, l.late = now, !oldest.IsZero() && now.Sub(oldest) > a.cfg.MaxLogDelay
	}
	if l.late {
		e := refuse(http.StatusServiceUnavailable, CodeUnavailable, "the transparency log is behind: nothing is issued until it has caught up")
		e.RetryAfter = shipRetry
		return e
	}
	return nil
}

func (a *Authority) oldestUnshipped(ctx context.Context) (time.Time, error) {
	// A node without the log sees which entries nobody has claimed for it yet.
	size := uint64(math.MaxInt64)
	if a.cfg.Log != nil {
		var err error
		if size, err = a.cfg.Log.Size(ctx); err != nil {
			return time.Time{}, err
		}
	}
	_, oldest, err := a.store.Unshipped(ctx, size)
	return oldest, err
}

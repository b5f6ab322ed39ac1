package pglimit

import (
	"context"
	"time"

	"github.com/touchmark-dev/touchmark/internal/limitkey"
)

// A leaseID names one call under way.
type leaseID [16]byte

// sweepMost is how many rows that count no longer a node removes at a time.
const sweepMost = 10_000

func (l *Limiter) hold(id leaseID, key limitkey.Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running[id] = key
}

// release ends a lease before the call is answered, so that the caller's next call finds its place. If the database does
// not answer, that is tried again later.
func (l *Limiter) release(id leaseID) {
	l.forget(id)
	ctx, cancel := context.WithTimeout(context.Background(), l.timeout)
	defer cancel()
	if err := l.end(ctx, [][]byte{id[:]}); err != nil {
		l.log.Warn("pglimit: release", "error", err)
	}
}

// forget notes that a lease is to end.
func (l *Limiter) forget(id leaseID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.running, id)
	l.ended[id] = time.Now()
}

// end removes leases from the database, and then from what is to be removed.
func (l *Limiter) end(ctx context.Context, ids [][]byte) error {
	if len(ids) == 0 {
		return nil
	}
	if _, err := l.db.Exec(ctx, `DELETE FROM leases WHERE id = ANY(?)`, ids); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		delete(l.ended, leaseID(id))
	}
	return nil
}

// keep puts off the leases of this node until ctx ends, and sweeps.
func (l *Limiter) keep(ctx context.Context) {
	defer close(l.done)
	tick := time.NewTicker(l.lease / 4)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := l.beat(ctx); err != nil && ctx.Err() == nil {
			l.log.Warn("pglimit: calls under way could not be kept counted", "error", err)
		}
	}
}

func (l *Limiter) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.lease/4)
	defer cancel()
	held, keys := l.held()
	if len(held) > 0 {
		if _, err := l.db.Exec(ctx, `SELECT renew(?, ?, ?)`, held, keys, l.lease.Microseconds()); err != nil {
			return err
		}
	}
	if err := l.end(ctx, l.over(held)); err != nil {
		return err
	}
	for swept := int64(sweepMost); swept >= sweepMost; {
		if err := l.db.Row(ctx, `SELECT sweep(?)`, sweepMost).Scan(&swept); err != nil {
			return err
		}
	}
	return nil
}

func (l *Limiter) held() (ids, keys [][]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, key := range l.running {
		ids, keys = append(ids, id[:]), append(keys, key[:])
	}
	return ids, keys
}

// over returns the leases that have to end: also those that ended while they were renewed, which may be there again.
func (l *Limiter) over(renewed [][]byte) (ids [][]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range renewed {
		if _, ok := l.running[leaseID(id)]; !ok {
			l.ended[leaseID(id)] = time.Now()
		}
	}
	for id, at := range l.ended {
		if time.Since(at) > 2*l.lease {
			delete(l.ended, id) // it has ended by itself
			continue
		}
		ids = append(ids, id[:])
	}
	return ids
}

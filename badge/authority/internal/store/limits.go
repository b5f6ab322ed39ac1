package store

import (
	"context"
	"time"

	"github.com/touchmark-dev/touchmark/internal/sqlstore"
)

// Allow counts one attempt at at, if fewer than w.Max were counted within w.Length before it: *LimitError. The
// windows are the same for all processes.
func (s *Store) Allow(ctx context.Context, w *Window, at time.Time) error {
	return s.db.Tx(ctx, func(tx *sqlstore.Tx) error {
		if err := tx.Lock(ctx, "attempts "+w.Kind+" "+w.Subject); err != nil {
			return err
		}
		var n int
		var oldest time.Time
		err := tx.Row(ctx, `SELECT count(*), min(tried_at) FROM (SELECT tried_at FROM attempts
			WHERE kind = ? AND subject = ? AND tried_at > ? ORDER BY tried_at DESC LIMIT ?) AS latest`,
			w.Kind, w.Subject, sqlstore.Micros(at.Add(-w.Length)), w.Max).Scan(&n, sqlstore.Time(&oldest))
		if err != nil {
			return err
		}
		if n >= w.Max {
			wait := w.Length
			if n > 0 {
				wait = oldest.Add(w.Length).Sub(at)
			}
			return limited(w.Kind, w.Subject, w.Max, wait)
		}
		_, err = tx.Exec(ctx, `INSERT INTO attempts (kind, subject, tried_at, expires_at) VALUES (?, ?, ?, ?)`,
			w.Kind, w.Subject, sqlstore.Micros(at), sqlstore.Micros(at.Add(w.Length)))
		return err
	})
}

// UseProof remembers that a proof was seen: ErrUsed when it was seen before. Issue does that itself for minting.
func (s *Store) UseProof(ctx context.Context, r *Replay) error {
	return s.db.Tx(ctx, func(tx *sqlstore.Tx) error { return useProof(ctx, tx, r) })
}

func useProof(ctx context.Context, tx *sqlstore.Tx, r *Replay) error {
	n, err := tx.Exec(ctx, `INSERT INTO replays (replay_key, expires_at) VALUES (?, ?) ON CONFLICT DO NOTHING`,
		r.Key, r.Until.UnixMicro())
	if err == nil && n == 0 {
		return refuse("proof", r.Key, ErrUsed)
	}
	return err
}

// A Lease is a role that one process has for a time. It spares work: what must be exact does not rest on it.
type Lease struct {
	Name, Holder string
	Length       time.Duration
}

// Lease gives a role, such as that of shipping the log, to l.Holder until l.Length after now, if nobody else has it,
// and reports whether the holder has it. Renew it well before its end; end it early with a length of 0.
func (s *Store) Lease(ctx context.Context, l *Lease, now time.Time) (bool, error) {
	until := now.Add(l.Length).UnixMicro()
	var n int64
	err := s.db.Tx(ctx, func(tx *sqlstore.Tx) (err error) {
		n, err = tx.Exec(ctx, `INSERT INTO leases (name, holder, expires_at) VALUES (?, ?, ?)
			ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
			WHERE leases.holder = excluded.holder OR leases.expires_at <= ?`,
			l.Name, l.Holder, until, now.UnixMicro())
		return err
	})
	return n == 1, err
}

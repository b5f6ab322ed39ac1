package store

import (
	"context"
	"time"

	"github.com/touchmark-dev/touchmark/internal/sqlstore"
)

const (
	// MinBadgeMemory is how long a badge is remembered at least after it has expired.
	MinBadgeMemory = 24 * time.Hour
	// pruneBatch bounds how long a transaction of Prune keeps the others waiting.
	pruneBatch = 1000

	challengeMemory = time.Hour
	orderMemory     = 24 * time.Hour
)

// Prune says what may be forgotten.
type Prune struct {
	Now time.Time
	// Badges is how long a badge is remembered after it has expired; less than MinBadgeMemory means that.
	Badges time.Duration
	// Shipped is the size of the log that is safe: the entries before it are dropped when they are as old as Badges, but
	// for the last, by which a log is known.
	Shipped uint64
	// AllowUnlogged also forgets badges and entries that old that never had a position: for an authority without a log.
	AllowUnlogged bool
}

// Prune forgets, a bounded number of rows of each kind at a call: challenges an hour after their end, orders a day
// after theirs, badges and shipped entries as p says, and proofs and attempts that no longer matter. Badges whose
// issuance has no position in the log stay, unless p allows otherwise. Revocations, with their numbers and the chain, are kept for ever, and so
// are grants. It returns how many rows it removed: call it again until that is 0.
func (s *Store) Prune(ctx context.Context, p *Prune) (removed int64, err error) {
	now, memory := p.Now, max(p.Badges, MinBadgeMemory)
	logged, shipped := ` AND log_position IS NOT NULL`, `created_at < ? AND position < ?`
	if p.AllowUnlogged {
		logged, shipped = "", `created_at < ? AND coalesce(position, -1) < ?`
	}
	for _, step := range []struct {
		table, key, where string
		args              []any
	}{
		{"challenges", "id", `expires_at < ?`, []any{now.Add(-challengeMemory).UnixMicro()}},
		{"orders", "id", `expires_at < ?`, []any{now.Add(-orderMemory).UnixMicro()}},
		{"replays", "replay_key", `expires_at < ?`, []any{now.UnixMicro()}},
		{"attempts", "id", `expires_at < ?`, []any{now.UnixMicro()}},
		{"issued", "minute", `minute < ?`, []any{minute(now.Add(-2 * limitWindow))}},
		{"badges", "id", `expires_at < ?` + logged, []any{now.Add(-memory).UnixMicro()}},
		{"outbox", "sequence", shipped, []any{now.Add(-memory).UnixMicro(), max(p.Shipped, 1) - 1}},
	} {
		err = s.db.Tx(ctx, func(tx *sqlstore.Tx) error {
			n, err := tx.Exec(ctx, `DELETE FROM `+step.table+` WHERE `+step.key+` IN (SELECT `+step.key+` FROM `+
				step.table+` WHERE `+step.where+` LIMIT ?)`, append(step.args, pruneBatch)...)
			removed += n
			return err
		})
		if err != nil {
			return removed, err
		}
	}
	return removed, nil
}

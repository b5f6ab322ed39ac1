package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"strconv"
	"time"

	"github.com/touchmark-dev/touchmark/internal/sqlstore"
)

// A LogEnd is where a log ends: how many entries it has, and the last of them, if any.
type LogEnd struct {
	Size uint64
	Last []byte
}

// ClaimOutbox gives the oldest entries without a position the next positions and returns, in order, at most n
// entries whose position is end.Size or more. end is that of the log as the caller sees it: append what is returned,
// then ask with the new one. After a crash or a failed append the same call returns the same entries again, so that
// the log is always a prefix of the entries that have positions, each once; that takes a log with one writer at a
// time, which the log's own lock or a [Store.Lease] provides.
//
// ErrConflict: the log is longer than what was ever given out, its last entry is not the one that was given that
// position, or the entries after it were pruned. The database or the log is an old copy: stop, since anything appended
// would be another history. Nothing was given a position then.
func (s *Store) ClaimOutbox(ctx context.Context, end LogEnd, n int) ([]Outboxed, error) {
	var claimed []Outboxed
	next := end.Size
	err := s.db.Tx(ctx, func(tx *sqlstore.Tx) error {
		// Whoever has the counter gives out positions.
		var given uint64
		err := tx.Row(ctx, `SELECT value FROM counters WHERE name = 'outbox' FOR UPDATE`).Scan(&given)
		if err != nil {
			return err
		}
		if next > given {
			return refuse("log position", formatUint(next), ErrConflict)
		}
		if err := end.check(ctx, tx); err != nil {
			return err
		}
		if wanted := next + uint64(max(n, 0)); wanted > given { //nolint:gosec // not negative
			if err := givePositions(ctx, tx, given, wanted-given); err != nil {
				return err
			}
		}
		rows, err := tx.Rows(ctx, `SELECT position, entry, badge_id, created_at FROM outbox WHERE position >= ?
			ORDER BY position LIMIT ?`, next, n)
		claimed, err = collect(rows, err, scanOutboxed)
		if err != nil {
			return err
		}
		return contiguous(claimed, next, given)
	})
	if err != nil {
		return nil, err
	}
	return claimed, nil
}

// check refuses a log that ends with something else than what was given that position.
func (e *LogEnd) check(ctx context.Context, tx *sqlstore.Tx) error {
	if e.Size == 0 {
		return nil
	}
	var given []byte
	err := tx.Row(ctx, `SELECT entry FROM outbox WHERE position = ?`, e.Size-1).Scan(&given)
	if errors.Is(err, sql.ErrNoRows) || err == nil && !bytes.Equal(given, e.Last) {
		return refuse("last entry of the log, at position", formatUint(e.Size-1), ErrConflict)
	}
	return err
}

func formatUint(n uint64) string { return strconv.FormatUint(n, 10) }

func scanOutboxed(row scanner, o *Outboxed) error {
	return row.Scan(&o.Position, &o.Entry, sqlstore.String(&o.BadgeID), sqlstore.Time(&o.At))
}

// contiguous refuses entries that do not follow each other from next on, of which given had positions before.
func contiguous(claimed []Outboxed, next, given uint64) error {
	if len(claimed) == 0 && next < given {
		return refuse("log position", formatUint(next), ErrConflict)
	}
	for i, o := range claimed {
		if o.Position != next+uint64(i) { //nolint:gosec // an index
			return refuse("log position", formatUint(next+uint64(i)), ErrConflict) //nolint:gosec // the same
		}
	}
	return nil
}

// givePositions gives at most n of the entries that wait the positions from given on.
func givePositions(ctx context.Context, tx *sqlstore.Tx, given, n uint64) error {
	const oldest = `SELECT sequence, row_number() OVER (ORDER BY sequence) AS place FROM
		(SELECT sequence FROM outbox WHERE position IS NULL ORDER BY sequence LIMIT ?) AS waiting`
	changed, err := tx.Exec(ctx, `UPDATE outbox SET position = ? + chosen.place - 1
		FROM (`+oldest+`) AS chosen WHERE outbox.sequence = chosen.sequence`, given, n)
	if err != nil || changed == 0 {
		return err
	}
	end := given + uint64(changed) //nolint:gosec // a number of rows
	if _, err := tx.Exec(ctx, `UPDATE counters SET value = ? WHERE name = 'outbox'`, end); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE badges SET log_position = outbox.position FROM outbox
		WHERE outbox.badge_id = badges.id AND outbox.position >= ? AND outbox.position < ?`, given, end)
	return err
}

// Unshipped returns how many entries have a position of next or more, or none yet, and the time of the oldest.
func (s *Store) Unshipped(ctx context.Context, next uint64) (n int, oldest time.Time, err error) {
	err = s.db.Row(ctx, `SELECT count(*), min(created_at) FROM (
		SELECT created_at FROM outbox WHERE position IS NULL UNION ALL
		SELECT created_at FROM outbox WHERE position >= ?) AS waiting`, next).Scan(&n, sqlstore.Time(&oldest))
	return n, oldest, err
}

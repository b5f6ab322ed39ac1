package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"time"

	"github.com/touchmark-dev/touchmark/internal/sqlstore"
)

// listMargin is how long a revocation stays on the lists after its badge has expired: verifiers' clocks, and the skew
// that they allow, may make the badge live a little longer.
const listMargin = 10 * time.Minute

const revocationColumns = `SELECT number, badge_id, subject, revoked_at, reason, revoked_by, head, badge_expires_at
	FROM revocations `

func scanRevocation(row scanner, r *Revocation) error {
	return row.Scan(&r.Number, &r.BadgeID, &r.Subject, sqlstore.Time(&r.RevokedAt), &r.Reason, &r.By,
		sqlstore.Hash(&r.Head), sqlstore.Time(&r.BadgeExpiresAt))
}

// Revoke revokes a badge and returns its revocation; when it was revoked before, that one, and nothing is changed or
// logged. ErrNotFound.
func (s *Store) Revoke(ctx context.Context, badgeID, reason string, act Act) (*Revocation, error) {
	if err := act.check(); err != nil {
		return nil, err
	}
	var r *Revocation
	err := s.db.Tx(ctx, func(tx *sqlstore.Tx) error {
		// Whoever has the counter has the end of the chain: numbers follow the order of commits, without a gap.
		number, head, err := lockChain(ctx, tx)
		if err != nil {
			return err
		}
		if r, err = revocation(ctx, tx, badgeID); err != nil || r != nil {
			return err
		}
		r = &Revocation{Number: number + 1, BadgeID: badgeID, RevokedAt: trim(act.At), Reason: reason, By: act.By}
		r.Head = sha256.Sum256(append(head[:], badgeID...))
		err = tx.Row(ctx, `SELECT subject, expires_at FROM badges WHERE id = ?`, badgeID).
			Scan(&r.Subject, sqlstore.Time(&r.BadgeExpiresAt))
		if err != nil {
			return found("badge", badgeID, err)
		}
		if err := insertRevocation(ctx, tx, r); err != nil {
			return err
		}
		return post(ctx, tx, act, "")
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// trim returns a time as the database gives it back.
func trim(t time.Time) time.Time { return time.UnixMicro(t.UnixMicro()).UTC() }

// lockChain returns the number of revocations and the head of their chain, and keeps others from both.
func lockChain(ctx context.Context, tx *sqlstore.Tx) (number uint64, head [sha256.Size]byte, err error) {
	err = tx.Row(ctx, `SELECT value, head FROM counters WHERE name = 'revocations' FOR UPDATE`).
		Scan(&number, sqlstore.Hash(&head))
	if errors.Is(err, sql.ErrNoRows) {
		err = errors.New("store: BindIssuer was not called: without an issuer there is no chain of revocations")
	}
	return number, head, err
}

func insertRevocation(ctx context.Context, tx *sqlstore.Tx, r *Revocation) error {
	_, err := tx.Exec(ctx, `INSERT INTO revocations (number, badge_id, subject, revoked_at, reason, revoked_by, head,
		badge_expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, r.Number, r.BadgeID, r.Subject, sqlstore.Micros(r.RevokedAt),
		r.Reason, r.By, r.Head[:], sqlstore.Micros(r.BadgeExpiresAt))
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE counters SET value = ?, head = ? WHERE name = 'revocations'`, r.Number, r.Head[:])
	return err
}

// Revocations returns at most limit revocations after number since, in order. A number beyond the last is
// ErrNotFound: the caller has seen more than this database has.
func (s *Store) Revocations(ctx context.Context, since uint64, limit int) ([]Revocation, error) {
	var all []Revocation
	err := s.db.View(ctx, func(tx *sqlstore.Tx) error {
		var last uint64
		if err := tx.Row(ctx, `SELECT coalesce(max(number), 0) FROM revocations`).Scan(&last); err != nil {
			return err
		}
		if since > last {
			return refuse("revocation number", formatUint(since), ErrNotFound)
		}
		rows, err := tx.Rows(ctx, revocationColumns+`WHERE number > ? ORDER BY number LIMIT ?`, since, limit)
		all, err = collect(rows, err, scanRevocation)
		return err
	})
	return all, err
}

// RevocationsSince returns the number from which Revocations continues with all that were made at t or later.
func (s *Store) RevocationsSince(ctx context.Context, t time.Time) (uint64, error) {
	// Nodes' clocks may disagree, so numbers need not follow times: begin before the first that is late enough.
	var n uint64
	err := s.db.Row(ctx, `SELECT coalesce((SELECT min(number) - 1 FROM revocations WHERE revoked_at >= ?),
		(SELECT max(number) FROM revocations), 0)`, t.UnixMicro()).Scan(&n)
	return n, err
}

// RevocationSnapshot returns what a revocation list as of now states, all from one state of the database. Revocations
// of badges that expired some minutes ago are left out at the front, and so are agents all of whose badges did.
func (s *Store) RevocationSnapshot(ctx context.Context, now time.Time) (*RevocationSnapshot, error) {
	var list *RevocationSnapshot
	err := s.db.View(ctx, func(tx *sqlstore.Tx) (err error) {
		list = &RevocationSnapshot{AsOf: now}
		if err := list.readChain(ctx, tx); err != nil {
			return err
		}
		rows, err := tx.Rows(ctx, `SELECT badge_id FROM revocations WHERE number > ? ORDER BY number`, list.From)
		if list.Revoked, err = collect(rows, err, scanText); err != nil {
			return err
		}
		// Those of which no badge is left need not be named: there can be any number of them.
		rows, err = tx.Rows(ctx, `SELECT did FROM agents WHERE status <> 'active' AND EXISTS (SELECT 1 FROM badges
			WHERE subject = agents.did AND expires_at > ?) ORDER BY did`, sqlstore.Micros(now.Add(-listMargin)))
		if list.DisabledAgents, err = collect(rows, err, scanText); err != nil {
			return err
		}
		rows, err = tx.Rows(ctx, `SELECT id FROM ca_keys WHERE withdrawn_at IS NOT NULL ORDER BY id`)
		list.WithdrawnKeys, err = collect(rows, err, scanText)
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

func scanText(row scanner, s *string) error { return row.Scan(s) }

// readChain reads where the list begins and ends.
func (l *RevocationSnapshot) readChain(ctx context.Context, tx *sqlstore.Tx) error {
	err := tx.Row(ctx, `SELECT value, head FROM counters WHERE name = 'revocations'`).Scan(&l.To, sqlstore.Hash(&l.Head))
	if errors.Is(err, sql.ErrNoRows) {
		return errors.New("store: BindIssuer was not called: without an issuer there is no chain of revocations")
	}
	if err != nil {
		return err
	}
	err = tx.Row(ctx, `SELECT coalesce(min(number) - 1, ?) FROM revocations WHERE badge_expires_at > ?`, l.To,
		sqlstore.Micros(l.AsOf.Add(-listMargin))).Scan(&l.From)
	if err != nil {
		return err
	}
	if l.From > 0 {
		return tx.Row(ctx, `SELECT head FROM revocations WHERE number = ?`, l.From).Scan(sqlstore.Hash(&l.Base))
	}
	var issuer string
	err = tx.Row(ctx, `SELECT value FROM settings WHERE name = 'issuer'`).Scan(&issuer)
	l.Base = firstHead(issuer)
	return err
}

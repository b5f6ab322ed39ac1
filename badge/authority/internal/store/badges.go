package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/touchmark-dev/touchmark/internal/sqlstore"
)

const badgeColumns = `SELECT id, subject, account_id, level, assurance, domain, key_id, issued_at, expires_at,
	token_hash, challenge_id, grant_id, log_position FROM badges `

func scanBadge(row scanner, b *Badge) error {
	return row.Scan(&b.ID, &b.Subject, sqlstore.String(&b.AccountID), &b.Level, &b.Assurance, sqlstore.String(&b.Domain),
		&b.KeyID, sqlstore.Time(&b.IssuedAt), sqlstore.Time(&b.ExpiresAt), sqlstore.Hash(&b.TokenHash),
		sqlstore.String(&b.ChallengeID), sqlstore.String(&b.GrantID), &b.LogPosition)
}

// Badge: ErrNotFound, also some time after it has expired.
func (s *Store) Badge(ctx context.Context, id string) (*Badge, error) {
	var b Badge
	if err := scanBadge(s.db.Row(ctx, badgeColumns+`WHERE id = ?`, id), &b); err != nil {
		return nil, found("badge", id, err)
	}
	return &b, nil
}

// BadgesOf returns the latest badges of a subject, newest first.
func (s *Store) BadgesOf(ctx context.Context, subject string, limit int) ([]Badge, error) {
	rows, err := s.db.Rows(ctx, badgeColumns+`WHERE subject = ? ORDER BY issued_at DESC, id LIMIT ?`, subject, limit)
	return collect(rows, err, scanBadge)
}

// BadgeStatus: ErrNotFound. A badge that was revoked, has expired and is forgotten still answers, with nothing of the
// badge but ID, Subject and ExpiresAt.
func (s *Store) BadgeStatus(ctx context.Context, id string) (*BadgeStatus, error) {
	var status *BadgeStatus
	err := s.db.View(ctx, func(tx *sqlstore.Tx) (err error) {
		status, err = badgeStatus(ctx, tx, id)
		return err
	})
	return status, err
}

func badgeStatus(ctx context.Context, tx *sqlstore.Tx, id string) (*BadgeStatus, error) {
	var st BadgeStatus
	r, err := revocation(ctx, tx, id)
	if err != nil {
		return nil, err
	}
	st.Revocation = r
	err = scanBadge(tx.Row(ctx, badgeColumns+`WHERE id = ?`, id), &st.Badge)
	if errors.Is(err, sql.ErrNoRows) && r != nil {
		st.Badge = Badge{ID: id, Subject: r.Subject, ExpiresAt: r.BadgeExpiresAt}
		err = nil
	}
	if err != nil {
		return nil, found("badge", id, err)
	}
	err = tx.Row(ctx, `SELECT (SELECT status FROM agents WHERE did = ?),
		EXISTS (SELECT 1 FROM ca_keys WHERE id = ? AND withdrawn_at IS NOT NULL)`, st.Badge.Subject, st.Badge.KeyID).
		Scan(sqlstore.String(&st.AgentStatus), &st.KeyWithdrawn)
	return &st, err
}

// revocation returns the revocation of a badge, nil if there is none.
func revocation(ctx context.Context, tx *sqlstore.Tx, badgeID string) (*Revocation, error) {
	var r Revocation
	err := scanRevocation(tx.Row(ctx, revocationColumns+`WHERE badge_id = ?`, badgeID), &r)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return &r, err
}

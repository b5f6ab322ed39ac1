package store

import (
	"context"
	"encoding/json"
	"time"

	"github.com/touchmark-dev/touchmark/internal/sqlstore"
)

// AddChallenge stores a challenge. It is no act: nothing is logged. ErrExists, and ErrNotFound, ErrInactive, ErrOwner,
// ErrLevel as Issue has them.
func (s *Store) AddChallenge(ctx context.Context, c *Challenge) error {
	audience, err := json.Marshal(c.BadgeAudience)
	if err != nil {
		return err
	}
	// One statement, since most are not refused; then only it is asked why.
	n, err := s.db.Exec(ctx, `INSERT INTO challenges (id, did, account_id, nonce, created_at, expires_at, proof_aud, htu,
		htm, badge_aud, badge_ttl, level, domain) SELECT ?, a.did, a.account_id, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM agents a
		WHERE a.did = ? AND a.account_id = ? AND a.status = ? AND ? BETWEEN 1 AND a.level AND (? = '' OR a.domain = ?)`,
		c.ID, c.Nonce, sqlstore.Micros(c.CreatedAt), sqlstore.Micros(c.ExpiresAt), c.ProofAudience, c.HTTPURI, c.HTTPMethod,
		string(audience), int64(c.BadgeTTL/time.Second), c.Level, sqlstore.Text(c.Domain),
		c.DID, c.AccountID, StatusActive, c.Level, c.Domain, c.Domain)
	switch {
	case sqlstore.IsUnique(err):
		return refuse("challenge", c.ID, ErrExists)
	case err != nil || n == 1:
		return err
	}
	wanted := entitlement{c.DID, c.AccountID, c.Domain, c.Level}
	if err := s.db.Tx(ctx, func(tx *sqlstore.Tx) error { return wanted.check(ctx, tx, "") }); err != nil {
		return err
	}
	return refuse("agent", c.DID, ErrConflict) // it was changed, and back, meanwhile
}

// Challenge returns a challenge whatever its state: ErrNotFound.
func (s *Store) Challenge(ctx context.Context, id string) (*Challenge, error) {
	var c Challenge
	var audience string
	var seconds int64
	err := s.db.Row(ctx, `SELECT id, did, account_id, nonce, created_at, expires_at, proof_aud, htu, htm, badge_aud,
		badge_ttl, level, domain, used_at FROM challenges WHERE id = ?`, id).
		Scan(&c.ID, &c.DID, &c.AccountID, &c.Nonce, sqlstore.Time(&c.CreatedAt), sqlstore.Time(&c.ExpiresAt),
			&c.ProofAudience, &c.HTTPURI, &c.HTTPMethod, &audience, &seconds, &c.Level,
			sqlstore.String(&c.Domain), sqlstore.Time(&c.UsedAt))
	if err != nil {
		return nil, found("challenge", id, err)
	}
	c.BadgeTTL = time.Duration(seconds) * time.Second
	return &c, json.Unmarshal([]byte(audience), &c.BadgeAudience)
}

// useChallenge uses up the challenge of a badge.
func useChallenge(ctx context.Context, tx *sqlstore.Tx, b *Badge) error {
	now := sqlstore.Micros(b.IssuedAt)
	n, err := tx.Exec(ctx, `UPDATE challenges SET used_at = ?
		WHERE id = ? AND did = ? AND used_at IS NULL AND expires_at > ?`, now, b.ChallengeID, b.Subject, now)
	if err != nil || n == 1 {
		return err
	}
	var did string
	var used time.Time
	err = tx.Row(ctx, `SELECT did, used_at FROM challenges WHERE id = ?`, b.ChallengeID).Scan(&did, sqlstore.Time(&used))
	switch {
	case err != nil:
		return found("challenge", b.ChallengeID, err)
	case did != b.Subject:
		return refuse("challenge", b.ChallengeID, ErrOwner)
	case !used.IsZero():
		return refuse("challenge", b.ChallengeID, ErrUsed)
	}
	return refuse("challenge", b.ChallengeID, ErrExpired)
}

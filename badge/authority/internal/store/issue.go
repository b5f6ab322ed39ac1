package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/touchmark-dev/touchmark/internal/sqlstore"
)

// Issue records a signed badge, if it may still be handed out, all in one transaction:
//
//   - with Badge.ChallengeID, the challenge is of that subject and is used up: ErrNotFound, ErrOwner, ErrUsed,
//     ErrExpired;
//   - with Badge.GrantID, the grant is of that account and domain and neither revoked nor over, and Replay is used up:
//     ErrNotFound, ErrOwner, ErrLevel (the domain), ErrRevoked, ErrExpired, ErrUsed. The subject need not be registered,
//     but when it is it must be active (ErrInactive), and so must the account, if any;
//   - without a grant the subject is registered, active, of that account, which is active too, and has that level and
//     domain: ErrNotFound, ErrInactive, ErrOwner, ErrLevel;
//   - the authority's key signs: ErrNotFound, ErrRevoked (retired or withdrawn), ErrConflict (not active yet);
//   - the limits of the subject and of the account allow one more: *LimitError.
//
// Badge.IssuedAt is the time for which all that is judged. After any error the badge must be thrown away.
func (s *Store) Issue(ctx context.Context, i *Issuance) error {
	if err := i.check(); err != nil {
		return err
	}
	// Those of an account wait for each other only near its limit. SQLite has one transaction at a time anyway.
	err := s.issue(ctx, i, s.db.Dialect() == sqlstore.SQLite)
	if errors.Is(err, errCrowded) {
		return s.issue(ctx, i, true)
	}
	return err
}

// issue takes locks in the order that all do: challenge or grant, subject, account, signing key, count.
func (s *Store) issue(ctx context.Context, i *Issuance, alone bool) error {
	return s.db.Tx(ctx, func(tx *sqlstore.Tx) error {
		if err := i.entitle(ctx, tx); err != nil {
			return err
		}
		if err := i.hold(ctx, tx, alone); err != nil {
			return err
		}
		if err := i.judge(ctx, tx, alone); err != nil {
			return err
		}
		if err := insertBadge(ctx, tx, &i.Badge); err != nil {
			return err
		}
		if err := countIssued(ctx, tx, &i.Badge); err != nil {
			return err
		}
		return post(ctx, tx, i.Act, i.Badge.ID)
	})
}

func (i *Issuance) check() error {
	b := &i.Badge
	switch {
	case b.ChallengeID != "" && b.GrantID != "":
		return errors.New("store: a badge is issued for a challenge or for a grant")
	case b.GrantID != "" && i.Replay == nil:
		return errors.New("store: a badge that is minted from a grant needs the proof that it uses up")
	case b.GrantID == "" && b.AccountID == "":
		return errors.New("store: a badge without a grant needs an account")
	case b.IssuedAt.IsZero() || !b.ExpiresAt.After(b.IssuedAt):
		return fmt.Errorf("store: badge %q expires before it is issued", b.ID)
	case i.Limits.PerAgent < 0 || i.Limits.PerAccount < 0:
		return errors.New("store: a limit is negative")
	}
	return i.Act.check()
}

// entitle checks what entitles the subject to the badge, and uses it up.
func (i *Issuance) entitle(ctx context.Context, tx *sqlstore.Tx) error {
	b := &i.Badge
	if b.GrantID != "" {
		return i.entitleByGrant(ctx, tx)
	}
	if b.ChallengeID != "" {
		if err := useChallenge(ctx, tx, b); err != nil {
			return err
		}
	}
	wanted := entitlement{b.Subject, b.AccountID, b.Domain, b.Level}
	return wanted.check(ctx, tx, " FOR NO KEY UPDATE")
}

func (i *Issuance) entitleByGrant(ctx context.Context, tx *sqlstore.Tx) error {
	b := &i.Badge
	var g Grant
	if err := scanGrant(tx.Row(ctx, grantColumns+`WHERE id = ? FOR SHARE`, b.GrantID), &g); err != nil {
		return found("grant", b.GrantID, err)
	}
	switch {
	case g.AccountID != b.AccountID:
		return refuse("grant", g.ID, ErrOwner)
	case g.Domain != b.Domain:
		return refuse("grant", g.ID, ErrLevel)
	case !g.RevokedAt.IsZero():
		return refuse("grant", g.ID, ErrRevoked)
	case !g.ExpiresAt.After(b.IssuedAt):
		return refuse("grant", g.ID, ErrExpired)
	}
	if err := useProof(ctx, tx, i.Replay); err != nil {
		return err
	}
	var status string
	err := tx.Row(ctx, `SELECT status FROM agents WHERE did = ? FOR NO KEY UPDATE`, b.Subject).Scan(&status)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		// Nothing to lock: those of an unregistered subject wait for each other, for its limit.
		return tx.Lock(ctx, "subject "+b.Subject)
	case err == nil && status != StatusActive:
		return refuse("agent", b.Subject, ErrInactive)
	}
	return err
}

// An entitlement is what a registered subject is to have at least.
type entitlement struct {
	did, account, domain string
	level                int
}

// check refuses what the registration does not give. With a lock that stays so until the transaction ends, and the
// issuances for the subject wait for each other.
func (e *entitlement) check(ctx context.Context, tx *sqlstore.Tx, lock string) error {
	var status string
	var have entitlement
	err := tx.Row(ctx, `SELECT account_id, status, level, domain FROM agents WHERE did = ?`+lock, e.did).
		Scan(&have.account, &status, &have.level, sqlstore.String(&have.domain))
	switch {
	case err != nil:
		return found("agent", e.did, err)
	case have.account != e.account:
		return refuse("agent", e.did, ErrOwner)
	case status != StatusActive:
		return refuse("agent", e.did, ErrInactive)
	case e.level < 1 || e.level > have.level || e.domain != "" && e.domain != have.domain:
		return refuse("agent", e.did, ErrLevel)
	}
	return nil
}

func insertBadge(ctx context.Context, tx *sqlstore.Tx, b *Badge) error {
	return insert(ctx, tx, "badge", b.ID, `INSERT INTO badges (id, subject, account_id, level, assurance, domain, key_id,
		issued_at, expires_at, token_hash, challenge_id, grant_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		b.ID, b.Subject, sqlstore.Text(b.AccountID), b.Level, b.Assurance, sqlstore.Text(b.Domain), b.KeyID,
		sqlstore.Micros(b.IssuedAt), sqlstore.Micros(b.ExpiresAt), b.TokenHash[:], sqlstore.Text(b.ChallengeID),
		sqlstore.Text(b.GrantID))
}

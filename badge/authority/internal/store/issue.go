package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/touchmark-dev/touchmark/internal/sqlstore"
)

// limitWindow is the time within which badges are counted.
const limitWindow = time.Hour

// limitSlack is how near to its limit an account's issuances begin to wait for each other. Further from it they are
// counted side by side, so that the count may miss as many as are under way at once; all connections of all nodes
// together are fewer.
const limitSlack = 512

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
	// Locks are taken in this order everywhere: challenge or grant, subject, account, signing key, count.
	return s.db.Tx(ctx, func(tx *sqlstore.Tx) error {
		if err := i.entitle(ctx, tx); err != nil {
			return err
		}
		if err := i.limit(ctx, tx); err != nil {
			return err
		}
		if err := holdCAKey(ctx, tx, i.Badge.KeyID, i.Badge.IssuedAt); err != nil {
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

// limit counts the badges of the hour before, and holds the account.
func (i *Issuance) limit(ctx context.Context, tx *sqlstore.Tx) error {
	perAgent, perAccount := i.Limits.PerAgent, i.Limits.PerAccount
	if perAgent == 0 {
		perAgent = DefaultPerAgent
	}
	if perAccount == 0 {
		perAccount = DefaultPerAccount
	}
	if err := i.limitAgent(ctx, tx, perAgent); err != nil {
		return err
	}
	account := i.Badge.AccountID
	if account == "" {
		return nil
	}
	n, err := i.limitAccount(ctx, tx, perAccount)
	if err != nil {
		return err
	}
	if n+limitSlack <= perAccount {
		return holdAccount(ctx, tx, account)
	}
	if err := lockAccount(ctx, tx, account); err != nil {
		return err
	}
	_, err = i.limitAccount(ctx, tx, perAccount)
	return err
}

// limitAgent refuses the badge if its subject has had as many as it may in the hour before.
func (i *Issuance) limitAgent(ctx context.Context, tx *sqlstore.Tx, most int) error {
	b := &i.Badge
	var n int
	var oldest time.Time
	err := tx.Row(ctx, `SELECT count(*), min(issued_at) FROM (SELECT issued_at FROM badges
		WHERE subject = ? AND issued_at > ? ORDER BY issued_at DESC LIMIT ?) AS latest`,
		b.Subject, sqlstore.Micros(b.IssuedAt.Add(-limitWindow)), most).Scan(&n, sqlstore.Time(&oldest))
	if err == nil && n >= most {
		return limited("agent", b.Subject, most, oldest.Add(limitWindow).Sub(b.IssuedAt))
	}
	return err
}

// limitAccount returns how many badges an account has had in the hour before, and in the rest of the minute in which
// that begins; or a *LimitError if it may have no more.
func (i *Issuance) limitAccount(ctx context.Context, tx *sqlstore.Tx, most int) (n int, err error) {
	b := &i.Badge
	var oldest int64
	err = tx.Row(ctx, `SELECT coalesce(sum(number), 0), coalesce(min(minute), 0) FROM issued
		WHERE account_id = ? AND minute >= ?`, b.AccountID, minute(b.IssuedAt.Add(-limitWindow))).Scan(&n, &oldest)
	if err == nil && n >= most {
		until := time.Unix(60*(oldest+1), 0).Add(limitWindow)
		return n, limited("account", b.AccountID, most, until.Sub(b.IssuedAt))
	}
	return n, err
}

// minute returns in which minute a time is.
func minute(t time.Time) int64 { return t.Unix() / 60 }

// issuedParts is over how many rows the badges of an account and a minute are spread.
const issuedParts = 16

// countIssued counts the badge for its account. It comes late in the transaction, because others wait for its row.
func countIssued(ctx context.Context, tx *sqlstore.Tx, b *Badge) error {
	if b.AccountID == "" {
		return nil
	}
	hash := sha256.Sum256([]byte(b.Subject))
	_, err := tx.Exec(ctx, `INSERT INTO issued (account_id, minute, part, number) VALUES (?, ?, ?, 1)
		ON CONFLICT (account_id, minute, part) DO UPDATE SET number = issued.number + 1`,
		b.AccountID, minute(b.IssuedAt), int(hash[0])%issuedParts)
	return err
}

func limited(what, id string, most int, after time.Duration) error {
	after = max(after.Round(time.Second), time.Second)
	return &LimitError{What: what, ID: id, Max: most, RetryAfter: after}
}

func insertBadge(ctx context.Context, tx *sqlstore.Tx, b *Badge) error {
	return insert(ctx, tx, "badge", b.ID, `INSERT INTO badges (id, subject, account_id, level, assurance, domain, key_id,
		issued_at, expires_at, token_hash, challenge_id, grant_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		b.ID, b.Subject, sqlstore.Text(b.AccountID), b.Level, b.Assurance, sqlstore.Text(b.Domain), b.KeyID,
		sqlstore.Micros(b.IssuedAt), sqlstore.Micros(b.ExpiresAt), b.TokenHash[:], sqlstore.Text(b.ChallengeID),
		sqlstore.Text(b.GrantID))
}

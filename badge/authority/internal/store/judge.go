package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/touchmark-dev/touchmark/internal/sqlstore"
)

// limitWindow is the time within which badges are counted.
const limitWindow = time.Hour

// limitSlack is how near to its limit an account's issuances begin to wait for each other. Further from it they are
// counted side by side, so that the count may miss as many as are under way at once; all connections of all nodes
// together are fewer.
const limitSlack = 512

// errCrowded is when an account is that near to its limit, and the transaction does not have it alone.
var errCrowded = errors.New("store: near the limit of the account")

// hold makes sure that the account and the signing key stay as they are until the transaction ends.
func (i *Issuance) hold(ctx context.Context, tx *sqlstore.Tx, alone bool) error {
	account, key := accountLock(i.Badge.AccountID), keyLock(i.Badge.KeyID)
	switch {
	case i.Badge.AccountID == "":
		return tx.LockShared(ctx, key)
	case !alone:
		return tx.LockShared(ctx, account, key)
	}
	if err := tx.Lock(ctx, account); err != nil {
		return err
	}
	return tx.LockShared(ctx, key)
}

// standing is all that an issuance depends on besides what entitles to it, and how much was issued before.
const standing = `SELECT k.active_from, k.retired_at, k.withdrawn_at, a.id, a.disabled_at,
	(SELECT count(*) FROM badges WHERE subject = ? AND issued_at > ?),
	(SELECT coalesce(sum(number), 0) FROM issued WHERE account_id = ? AND minute >= ?)
	FROM ca_keys k LEFT JOIN accounts a ON a.id = ? WHERE k.id = ?`

// judge refuses what the limits, the account or the signing key do not allow.
func (i *Issuance) judge(ctx context.Context, tx *sqlstore.Tx, alone bool) error {
	b := &i.Badge
	most := i.Limits.orDefault()
	var active, retired, withdrawn, disabled time.Time
	var account string
	var ofAgent, ofAccount int
	since := b.IssuedAt.Add(-limitWindow)
	err := tx.Row(ctx, standing, b.Subject, sqlstore.Micros(since), b.AccountID, minute(since), b.AccountID, b.KeyID).
		Scan(sqlstore.Time(&active), sqlstore.Time(&retired), sqlstore.Time(&withdrawn), sqlstore.String(&account),
			sqlstore.Time(&disabled), &ofAgent, &ofAccount)
	switch {
	case err != nil:
		return found("signing key", b.KeyID, err)
	case ofAgent >= most.PerAgent:
		return i.limitAgent(ctx, tx, most.PerAgent)
	case b.AccountID == "":
	case account == "":
		return refuse("account", b.AccountID, ErrNotFound)
	case !disabled.IsZero():
		return refuse("account", b.AccountID, ErrInactive)
	case !alone && ofAccount+limitSlack > most.PerAccount:
		return errCrowded
	case ofAccount >= most.PerAccount:
		return i.limitAccount(ctx, tx, most.PerAccount)
	}
	switch {
	case !retired.IsZero() || !withdrawn.IsZero():
		return refuse("signing key", b.KeyID, ErrRevoked)
	case active.After(b.IssuedAt):
		return refuse("signing key not active yet", b.KeyID, ErrConflict)
	}
	return nil
}

// orDefault puts the defaults in the place of zeros.
func (l Limits) orDefault() Limits {
	if l.PerAgent == 0 {
		l.PerAgent = DefaultPerAgent
	}
	if l.PerAccount == 0 {
		l.PerAccount = DefaultPerAccount
	}
	return l
}

// limitAgent says when a subject that has had as many badges as it may in the hour before may have one more.
func (i *Issuance) limitAgent(ctx context.Context, tx *sqlstore.Tx, most int) error {
	b := &i.Badge
	var oldest time.Time
	err := tx.Row(ctx, `SELECT min(issued_at) FROM (SELECT issued_at FROM badges
		WHERE subject = ? AND issued_at > ? ORDER BY issued_at DESC LIMIT ?) AS latest`,
		b.Subject, sqlstore.Micros(b.IssuedAt.Add(-limitWindow)), most).Scan(sqlstore.Time(&oldest))
	if err != nil {
		return err
	}
	return limited("agent", b.Subject, most, oldest.Add(limitWindow).Sub(b.IssuedAt))
}

// limitAccount says when an account may have one more: its badges are counted from the minute on in which the hour
// before begins.
func (i *Issuance) limitAccount(ctx context.Context, tx *sqlstore.Tx, most int) error {
	b := &i.Badge
	var oldest int64
	err := tx.Row(ctx, `SELECT coalesce(min(minute), 0) FROM issued WHERE account_id = ? AND minute >= ?`,
		b.AccountID, minute(b.IssuedAt.Add(-limitWindow))).Scan(&oldest)
	if err != nil {
		return err
	}
	until := time.Unix(60*(oldest+1), 0).Add(limitWindow)
	return limited("account", b.AccountID, most, until.Sub(b.IssuedAt))
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

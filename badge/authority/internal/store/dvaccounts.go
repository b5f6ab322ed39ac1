package store

import (
	"context"
	"time"

	"github.com/touchmark-dev/touchmark/internal/sqlstore"
)

// MaxDVAccounts is how many persistent domain validation accounts an account may have that are not revoked.
const MaxDVAccounts = 100

const dvAccountColumns = `SELECT id, account_id, domain, thumbprint, key_jwk, status, created_at, verified_at,
	verified_via, revoked_at, reason FROM dv_accounts `

func scanDVAccount(row scanner, d *DVAccount) error {
	var key string
	err := row.Scan(&d.ID, &d.AccountID, &d.Domain, &d.Thumbprint, &key, &d.Status, sqlstore.Time(&d.CreatedAt),
		sqlstore.Time(&d.VerifiedAt), &d.VerifiedVia, sqlstore.Time(&d.RevokedAt), &d.Reason)
	d.KeyJWK = []byte(key)
	return err
}

// AddDVAccount stores a persistent account, pending: ErrExists (the account has one of that domain and key, revoked or
// not), ErrNotFound and ErrInactive (the account), *LimitError
// beyond MaxDVAccounts.
func (s *Store) AddDVAccount(ctx context.Context, d *DVAccount, act Act) error {
	return s.act(ctx, act, func(tx *sqlstore.Tx) error {
		if err := lockAccount(ctx, tx, d.AccountID); err != nil {
			return err
		}
		var n, same int
		err := tx.Row(ctx, `SELECT coalesce(sum(CASE WHEN status <> 'revoked' THEN 1 ELSE 0 END), 0),
			coalesce(sum(CASE WHEN domain = ? AND thumbprint = ? THEN 1 ELSE 0 END), 0)
			FROM dv_accounts WHERE account_id = ?`, d.Domain, d.Thumbprint, d.AccountID).Scan(&n, &same)
		switch {
		case err != nil:
			return err
		case same > 0:
			return refuse("domain validation account", d.ID, ErrExists)
		case n >= MaxDVAccounts:
			return limited("account's domain validation accounts", d.AccountID, MaxDVAccounts, time.Hour)
		}
		return insert(ctx, tx, "domain validation account", d.ID, `INSERT INTO dv_accounts (id, account_id, domain,
			thumbprint, key_jwk, status, created_at, verified_via, reason) VALUES (?, ?, ?, ?, ?, 'pending', ?, '', '')`,
			d.ID, d.AccountID, d.Domain, d.Thumbprint, string(d.KeyJWK), sqlstore.Micros(d.CreatedAt))
	})
}

// DVAccount: ErrNotFound.
func (s *Store) DVAccount(ctx context.Context, id string) (*DVAccount, error) {
	var d DVAccount
	if err := scanDVAccount(s.db.Row(ctx, dvAccountColumns+`WHERE id = ?`, id), &d); err != nil {
		return nil, found("domain validation account", id, err)
	}
	return &d, nil
}

// lockDVAccount locks a persistent account that is not revoked: ErrNotFound, ErrRevoked.
func lockDVAccount(ctx context.Context, tx *sqlstore.Tx, id string) (*DVAccount, error) {
	var d DVAccount
	err := scanDVAccount(tx.Row(ctx, dvAccountColumns+`WHERE id = ? FOR NO KEY UPDATE`, id), &d)
	if err != nil {
		return nil, found("domain validation account", id, err)
	}
	if d.Status == DVRevoked {
		return nil, refuse("domain validation account", id, ErrRevoked)
	}
	return &d, nil
}

// VerifyDVAccount marks a persistent account verified by via, HTTP01 or DNS01: ErrNotFound, ErrRevoked.
func (s *Store) VerifyDVAccount(ctx context.Context, id, via string, act Act) error {
	return s.changeDVAccount(ctx, id, act, func(tx *sqlstore.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE dv_accounts SET status = 'verified', verified_at = ?, verified_via = ?
			WHERE id = ?`, sqlstore.Micros(act.At), via, id)
		return err
	})
}

// RecoverDVAccount gives a persistent account to another account: ErrNotFound, ErrRevoked, and ErrNotFound or
// ErrInactive for that other account.
func (s *Store) RecoverDVAccount(ctx context.Context, id, account string, act Act) error {
	return s.changeDVAccount(ctx, id, act, func(tx *sqlstore.Tx) error {
		if err := holdAccount(ctx, tx, account); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE dv_accounts SET account_id = ? WHERE id = ?`, account, id)
		return err
	})
}

// RevokeDVAccount: ErrNotFound, ErrRevoked (before). Grants are left as they are.
func (s *Store) RevokeDVAccount(ctx context.Context, id, reason string, act Act) error {
	return s.changeDVAccount(ctx, id, act, func(tx *sqlstore.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE dv_accounts SET status = 'revoked', revoked_at = ?, reason = ? WHERE id = ?`,
			sqlstore.Micros(act.At), reason, id)
		return err
	})
}

func (s *Store) changeDVAccount(ctx context.Context, id string, act Act, f func(*sqlstore.Tx) error) error {
	return s.act(ctx, act, func(tx *sqlstore.Tx) error {
		if _, err := lockDVAccount(ctx, tx, id); err != nil {
			return err
		}
		return f(tx)
	})
}

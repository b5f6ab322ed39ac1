package store

import (
	"context"
	"strings"
	"time"

	"github.com/touchmark-dev/touchmark/internal/sqlstore"
)

// AddAccount: ErrExists.
func (s *Store) AddAccount(ctx context.Context, a *Account, act Act) error {
	return s.act(ctx, act, func(tx *sqlstore.Tx) error {
		return insert(ctx, tx, "account", a.ID, `INSERT INTO accounts (id, name, created_at, disabled_at)
			VALUES (?, ?, ?, ?)`, a.ID, a.Name, sqlstore.Micros(a.CreatedAt), sqlstore.Micros(a.DisabledAt))
	})
}

const accountColumns = `SELECT id, name, created_at, disabled_at FROM accounts `

func scanAccount(row scanner, a *Account) error {
	return row.Scan(&a.ID, &a.Name, sqlstore.Time(&a.CreatedAt), sqlstore.Time(&a.DisabledAt))
}

// Account: ErrNotFound.
func (s *Store) Account(ctx context.Context, id string) (*Account, error) {
	var a Account
	err := scanAccount(s.db.Row(ctx, accountColumns+`WHERE id = ?`, id), &a)
	if err != nil {
		return nil, found("account", id, err)
	}
	return &a, nil
}

// Accounts returns all accounts, oldest first.
func (s *Store) Accounts(ctx context.Context) ([]Account, error) {
	rows, err := s.db.Rows(ctx, accountColumns+`ORDER BY created_at, id`)
	return collect(rows, err, scanAccount)
}

// DisableAccount stops an account, its keys and the issuance for its agents: ErrNotFound, ErrInactive (disabled
// before).
func (s *Store) DisableAccount(ctx context.Context, id string, act Act) error {
	return s.act(ctx, act, func(tx *sqlstore.Tx) error {
		if err := lockAccount(ctx, tx, id); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE accounts SET disabled_at = ? WHERE id = ?`, sqlstore.Micros(act.At), id)
		return err
	})
}

// EnableAccount ends what DisableAccount began: ErrNotFound, ErrConflict (not disabled).
func (s *Store) EnableAccount(ctx context.Context, id string, act Act) error {
	return s.act(ctx, act, func(tx *sqlstore.Tx) error {
		if err := tx.Lock(ctx, accountLock(id)); err != nil {
			return err
		}
		disabled, err := accountDisabled(ctx, tx, id)
		if err != nil {
			return err
		}
		if disabled.IsZero() {
			return refuse("active account", id, ErrConflict)
		}
		_, err = tx.Exec(ctx, `UPDATE accounts SET disabled_at = NULL WHERE id = ?`, id)
		return err
	})
}

// accountDisabled returns when an account was disabled.
func accountDisabled(ctx context.Context, tx *sqlstore.Tx, id string) (at time.Time, err error) {
	err = tx.Row(ctx, `SELECT disabled_at FROM accounts WHERE id = ?`, id).Scan(sqlstore.Time(&at))
	return at, found("account", id, err)
}

// accountLock is the name that who acts for an account shares, and who changes it has alone.
func accountLock(id string) string { return "account " + id }

// lockAccount has an active account for this transaction alone.
func lockAccount(ctx context.Context, tx *sqlstore.Tx, id string) error {
	if err := tx.Lock(ctx, accountLock(id)); err != nil {
		return err
	}
	return requireAccount(ctx, tx, id)
}

// holdAccount makes sure that an account stays active until the transaction ends.
func holdAccount(ctx context.Context, tx *sqlstore.Tx, id string) error {
	if err := tx.LockShared(ctx, accountLock(id)); err != nil {
		return err
	}
	return requireAccount(ctx, tx, id)
}

func requireAccount(ctx context.Context, tx *sqlstore.Tx, id string) error {
	disabled, err := accountDisabled(ctx, tx, id)
	if err == nil && !disabled.IsZero() {
		return refuse("account", id, ErrInactive)
	}
	return err
}

// AddAccountKey: ErrExists, ErrNotFound (the account), ErrInactive (the account).
func (s *Store) AddAccountKey(ctx context.Context, k *AccountKey, act Act) error {
	return s.act(ctx, act, func(tx *sqlstore.Tx) error { return addAccountKey(ctx, tx, k) })
}

func addAccountKey(ctx context.Context, tx *sqlstore.Tx, k *AccountKey) error {
	if err := holdAccount(ctx, tx, k.AccountID); err != nil {
		return err
	}
	return insert(ctx, tx, "account key", k.ID, `INSERT INTO account_keys
		(id, account_id, secret_hash, scopes, label, created_at, expires_at, revoked_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		k.ID, k.AccountID, k.SecretHash[:], strings.Join(k.Scopes, " "), k.Label,
		sqlstore.Micros(k.CreatedAt), sqlstore.Micros(k.ExpiresAt), sqlstore.Micros(k.RevokedAt))
}

// A Rotation replaces an account key by another of the same account.
type Rotation struct {
	Old   string
	Until time.Time // when Old ends, if it does not end sooner
	Next  *AccountKey
}

// RotateAccountKey adds a key and lets the one before end. Refusals: those of AddAccountKey, and for the old one
// ErrNotFound, ErrRevoked, ErrOwner.
func (s *Store) RotateAccountKey(ctx context.Context, r *Rotation, act Act) error {
	return s.act(ctx, act, func(tx *sqlstore.Tx) error {
		if err := addAccountKey(ctx, tx, r.Next); err != nil {
			return err
		}
		old, err := lockAccountKey(ctx, tx, r.Old)
		if err != nil {
			return err
		}
		if old.AccountID != r.Next.AccountID {
			return refuse("account key", r.Old, ErrOwner)
		}
		until := sqlstore.Micros(r.Until)
		_, err = tx.Exec(ctx, `UPDATE account_keys SET expires_at = ?
			WHERE id = ? AND (expires_at IS NULL OR expires_at > ?)`, until, r.Old, until)
		return err
	})
}

// RevokeAccountKey: ErrNotFound, ErrRevoked (before).
func (s *Store) RevokeAccountKey(ctx context.Context, id string, act Act) error {
	return s.act(ctx, act, func(tx *sqlstore.Tx) error {
		if _, err := lockAccountKey(ctx, tx, id); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE account_keys SET revoked_at = ? WHERE id = ?`, sqlstore.Micros(act.At), id)
		return err
	})
}

// lockAccountKey locks a key that is not revoked.
func lockAccountKey(ctx context.Context, tx *sqlstore.Tx, id string) (*AccountKey, error) {
	k := &AccountKey{ID: id}
	err := tx.Row(ctx, `SELECT account_id, revoked_at FROM account_keys WHERE id = ? FOR NO KEY UPDATE`, id).
		Scan(&k.AccountID, sqlstore.Time(&k.RevokedAt))
	if err != nil {
		return nil, found("account key", id, err)
	}
	if !k.RevokedAt.IsZero() {
		return nil, refuse("account key", id, ErrRevoked)
	}
	return k, nil
}

const accountKeyColumns = `SELECT k.id, k.account_id, k.secret_hash, k.scopes, k.label, k.created_at, k.expires_at,
	k.revoked_at, a.disabled_at FROM account_keys k JOIN accounts a ON a.id = k.account_id `

func scanAccountKey(row scanner, k *AccountKey) error {
	var scopes string
	err := row.Scan(&k.ID, &k.AccountID, sqlstore.Hash(&k.SecretHash), &scopes, &k.Label, sqlstore.Time(&k.CreatedAt),
		sqlstore.Time(&k.ExpiresAt), sqlstore.Time(&k.RevokedAt), sqlstore.Time(&k.AccountDisabledAt))
	k.Scopes = strings.Fields(scopes)
	return err
}

// AccountKey returns a key whatever its state, with its account's: ErrNotFound. The caller compares the hash, and
// judges ExpiresAt, RevokedAt and AccountDisabledAt.
func (s *Store) AccountKey(ctx context.Context, id string) (*AccountKey, error) {
	var k AccountKey
	if err := scanAccountKey(s.db.Row(ctx, accountKeyColumns+`WHERE k.id = ?`, id), &k); err != nil {
		return nil, found("account key", id, err)
	}
	return &k, nil
}

// AccountKeys returns all keys of an account, oldest first.
func (s *Store) AccountKeys(ctx context.Context, account string) ([]AccountKey, error) {
	rows, err := s.db.Rows(ctx, accountKeyColumns+`WHERE k.account_id = ? ORDER BY k.created_at, k.id`, account)
	return collect(rows, err, scanAccountKey)
}

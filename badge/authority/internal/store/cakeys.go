package store

import (
	"context"
	"time"

	"github.com/touchmark-dev/touchmark/internal/sqlstore"
)

// AddCAKey publishes a signing key: ErrExists.
func (s *Store) AddCAKey(ctx context.Context, k *CAKey, act Act) error {
	return s.act(ctx, act, func(tx *sqlstore.Tx) error {
		return insert(ctx, tx, "signing key", k.ID, `INSERT INTO ca_keys (id, public_key, created_at, active_from,
			retired_at, withdrawn_at, reason) VALUES (?, ?, ?, ?, ?, ?, ?)`, k.ID, string(k.PublicKey),
			sqlstore.Micros(k.CreatedAt), sqlstore.Micros(k.ActiveFrom), sqlstore.Micros(k.RetiredAt),
			sqlstore.Micros(k.WithdrawnAt), k.Reason)
	})
}

// CAKeys returns all signing keys, oldest first.
func (s *Store) CAKeys(ctx context.Context) ([]CAKey, error) {
	rows, err := s.db.Rows(ctx, `SELECT k.id, k.public_key, k.created_at, k.active_from, k.retired_at, k.withdrawn_at,
		k.reason, (SELECT max(b.expires_at) FROM badges b WHERE b.key_id = k.id) FROM ca_keys k
		ORDER BY k.created_at, k.id`)
	return collect(rows, err, func(row scanner, k *CAKey) error {
		var key string
		err := row.Scan(&k.ID, &key, sqlstore.Time(&k.CreatedAt), sqlstore.Time(&k.ActiveFrom),
			sqlstore.Time(&k.RetiredAt), sqlstore.Time(&k.WithdrawnAt), &k.Reason, sqlstore.Time(&k.LastBadgeExpires))
		k.PublicKey = []byte(key)
		return err
	})
}

// RetireCAKey lets a key sign no more: ErrNotFound, ErrRevoked (retired or withdrawn before). When it returns, no
// issuance with the key is under way in any process, and LastBadgeExpires is final.
func (s *Store) RetireCAKey(ctx context.Context, id string, act Act) error {
	return s.act(ctx, act, func(tx *sqlstore.Tx) error {
		retired, withdrawn, err := lockCAKey(ctx, tx, id)
		if err != nil {
			return err
		}
		if !retired.IsZero() || !withdrawn.IsZero() {
			return refuse("signing key", id, ErrRevoked)
		}
		_, err = tx.Exec(ctx, `UPDATE ca_keys SET retired_at = ? WHERE id = ?`, sqlstore.Micros(act.At), id)
		return err
	})
}

// WithdrawCAKey says that nothing a key signed is to be believed: ErrNotFound, ErrRevoked (withdrawn before). It need
// not have been retired.
func (s *Store) WithdrawCAKey(ctx context.Context, id, reason string, act Act) error {
	return s.act(ctx, act, func(tx *sqlstore.Tx) error {
		_, withdrawn, err := lockCAKey(ctx, tx, id)
		if err != nil {
			return err
		}
		if !withdrawn.IsZero() {
			return refuse("signing key", id, ErrRevoked)
		}
		_, err = tx.Exec(ctx, `UPDATE ca_keys SET withdrawn_at = ?, reason = ? WHERE id = ?`,
			sqlstore.Micros(act.At), reason, id)
		return err
	})
}

// lockCAKey waits for the issuances with a key, and keeps new ones waiting.
func lockCAKey(ctx context.Context, tx *sqlstore.Tx, id string) (retired, withdrawn time.Time, err error) {
	if err := tx.Lock(ctx, keyLock(id)); err != nil {
		return retired, withdrawn, err
	}
	err = tx.Row(ctx, `SELECT retired_at, withdrawn_at FROM ca_keys WHERE id = ?`, id).
		Scan(sqlstore.Time(&retired), sqlstore.Time(&withdrawn))
	return retired, withdrawn, found("signing key", id, err)
}

// keyLock is the name that who uses a signing key shares, and who ends it has alone.
func keyLock(id string) string { return "signing key " + id }

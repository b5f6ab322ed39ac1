package store

import (
	"context"
	"time"

	"github.com/touchmark-dev/touchmark/internal/sqlstore"
)

// OrderLimits bound the orders of one account that are neither decided nor over; 0 means 5 for a domain and 20 for all.
// Those of nobody's account count together. One account's do not keep another from ordering.
type OrderLimits struct{ PerDomain, PerAccount int }

const orderColumns = `SELECT id, account_id, creator_key, dv_account_id, domain, type, token, thumbprint, key_jwk,
	created_at, expires_at, status, attempts, grant_id FROM orders `

func scanOrder(row scanner, o *Order) error {
	var key string
	err := row.Scan(&o.ID, sqlstore.String(&o.AccountID), sqlstore.String(&o.CreatorKey), sqlstore.String(&o.DVAccountID),
		&o.Domain, &o.Type, sqlstore.String(&o.Token), &o.Thumbprint, &key, sqlstore.Time(&o.CreatedAt),
		sqlstore.Time(&o.ExpiresAt), &o.Status, &o.Attempts, sqlstore.String(&o.GrantID))
	o.KeyJWK = []byte(key)
	return err
}

// AddOrder stores an order, pending or ready: ErrExists, *LimitError; ErrNotFound and ErrInactive for its account; for
// a persistent account ErrNotFound, ErrOwner, ErrRevoked, ErrConflict (not verified, or another domain).
func (s *Store) AddOrder(ctx context.Context, o *Order, limits OrderLimits, act Act) error {
	return s.act(ctx, act, func(tx *sqlstore.Tx) error {
		if err := o.mayBe(ctx, tx); err != nil {
			return err
		}
		if err := o.limit(ctx, tx, limits); err != nil {
			return err
		}
		return insert(ctx, tx, "order", o.ID, `INSERT INTO orders (id, account_id, creator_key, dv_account_id, domain,
			type, token, thumbprint, key_jwk, created_at, expires_at, status, attempts)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)`, o.ID, sqlstore.Text(o.AccountID), sqlstore.Text(o.CreatorKey),
			sqlstore.Text(o.DVAccountID), o.Domain, o.Type, sqlstore.Text(o.Token), o.Thumbprint, string(o.KeyJWK),
			sqlstore.Micros(o.CreatedAt), sqlstore.Micros(o.ExpiresAt), o.Status)
	})
}

// mayBe checks the accounts of an order.
func (o *Order) mayBe(ctx context.Context, tx *sqlstore.Tx) error {
	if o.DVAccountID != "" {
		d, err := lockDVAccount(ctx, tx, o.DVAccountID)
		switch {
		case err != nil:
			return err
		case d.AccountID != o.AccountID:
			return refuse("domain validation account", d.ID, ErrOwner)
		case d.Status != DVVerified || d.Domain != o.Domain:
			return refuse("domain validation account", d.ID, ErrConflict)
		}
	} else if o.Status != OrderPending {
		return refuse("order without a persistent account", o.ID, ErrConflict)
	}
	if o.AccountID == "" {
		return nil
	}
	return holdAccount(ctx, tx, o.AccountID)
}

// limit counts the open orders of the account, and those for the domain, which wait for each other.
func (o *Order) limit(ctx context.Context, tx *sqlstore.Tx, limits OrderLimits) error {
	for _, bound := range []struct {
		what, id, rows string
		of             []any
		most, given    int
	}{
		{"account's open orders", o.AccountID, `account_id = ?`, []any{o.AccountID}, 20, limits.PerAccount},
		{"domain's open orders", o.Domain, `domain = ? AND coalesce(account_id, '') = ?`, []any{o.Domain, o.AccountID}, 5, limits.PerDomain},
	} {
		if bound.given > 0 {
			bound.most = bound.given
		}
		if bound.id == "" {
			continue
		}
		if err := tx.Lock(ctx, bound.what+" "+bound.id); err != nil {
			return err
		}
		var n int
		var first time.Time
		err := tx.Row(ctx, `SELECT count(*), min(expires_at) FROM orders WHERE `+bound.rows+`
			AND expires_at > ? AND status IN ('pending', 'ready')`, append(bound.of, sqlstore.Micros(o.CreatedAt))...).
			Scan(&n, sqlstore.Time(&first))
		if err != nil {
			return err
		}
		if n >= bound.most {
			return limited(bound.what, bound.id, bound.most, first.Sub(o.CreatedAt))
		}
	}
	return nil
}

// Order: ErrNotFound.
func (s *Store) Order(ctx context.Context, id string) (*Order, error) {
	var o Order
	if err := scanOrder(s.db.Row(ctx, orderColumns+`WHERE id = ?`, id), &o); err != nil {
		return nil, found("order", id, err)
	}
	return &o, nil
}

// lockOrder locks an order that is not decided: ErrNotFound, ErrUsed (valid), ErrConflict (invalid).
func lockOrder(ctx context.Context, tx *sqlstore.Tx, id string) (*Order, error) {
	var o Order
	if err := scanOrder(tx.Row(ctx, orderColumns+`WHERE id = ? FOR NO KEY UPDATE`, id), &o); err != nil {
		return nil, found("order", id, err)
	}
	switch o.Status {
	case OrderPending, OrderReady:
		return &o, nil
	case OrderValid:
		return nil, refuse("order", id, ErrUsed)
	}
	return nil, refuse("order", id, ErrConflict)
}

// A Try is one attempt to finalize an order.
type Try struct {
	OrderID string
	Max     int // attempts that an order has
	At      time.Time
}

// TryOrder counts an attempt and returns the order: ErrNotFound, ErrUsed (valid already), ErrConflict (invalid),
// ErrExpired, *LimitError when it had as many attempts as it may have.
func (s *Store) TryOrder(ctx context.Context, t Try) (*Order, error) {
	var o *Order
	err := s.db.Tx(ctx, func(tx *sqlstore.Tx) (err error) {
		if o, err = lockOrder(ctx, tx, t.OrderID); err != nil {
			return err
		}
		if !o.ExpiresAt.After(t.At) {
			return refuse("order", t.OrderID, ErrExpired)
		}
		if o.Attempts >= t.Max {
			return limited("attempts of order", t.OrderID, t.Max, o.ExpiresAt.Sub(t.At))
		}
		o.Attempts++
		_, err = tx.Exec(ctx, `UPDATE orders SET attempts = ? WHERE id = ?`, o.Attempts, t.OrderID)
		return err
	})
	if err != nil {
		return nil, err
	}
	return o, nil
}

// FailOrder gives an order up: ErrNotFound, ErrUsed (valid), ErrConflict (invalid already).
func (s *Store) FailOrder(ctx context.Context, id string, act Act) error {
	return s.act(ctx, act, func(tx *sqlstore.Tx) error {
		if _, err := lockOrder(ctx, tx, id); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE orders SET status = 'invalid' WHERE id = ?`, id)
		return err
	})
}

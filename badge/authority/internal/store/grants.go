package store

import (
	"context"

	"github.com/touchmark-dev/touchmark/internal/sqlstore"
)

const grantColumns = `SELECT id, domain, thumbprint, account_id, order_id, issued_at, expires_at, revoked_at, reason
	FROM grants `

func scanGrant(row scanner, g *Grant) error {
	return row.Scan(&g.ID, &g.Domain, &g.Thumbprint, sqlstore.String(&g.AccountID), &g.OrderID,
		sqlstore.Time(&g.IssuedAt), sqlstore.Time(&g.ExpiresAt), sqlstore.Time(&g.RevokedAt), &g.Reason)
}

// AddGrant issues the grant of an order, which becomes valid by it: ErrNotFound, ErrExpired, ErrUsed (valid before),
// ErrConflict (the order is invalid, or not of this domain, key or account), ErrExists, what AddOrder says about the
// accounts of the order, which may have ended since it was made, and ErrOwner when another
// account has a grant for the domain that is neither over nor revoked; an administrator can revoke that one.
func (s *Store) AddGrant(ctx context.Context, g *Grant, act Act) error {
	return s.act(ctx, act, func(tx *sqlstore.Tx) error {
		o, err := lockOrder(ctx, tx, g.OrderID)
		if err != nil {
			return err
		}
		switch {
		case !o.ExpiresAt.After(g.IssuedAt):
			return refuse("order", o.ID, ErrExpired)
		case o.Domain != g.Domain || o.Thumbprint != g.Thumbprint || o.AccountID != g.AccountID:
			return refuse("order of another grant", o.ID, ErrConflict)
		}
		if err := o.mayBe(ctx, tx); err != nil {
			return err
		}
		if err := g.haveDomain(ctx, tx); err != nil {
			return err
		}
		err = insert(ctx, tx, "grant", g.ID, `INSERT INTO grants (id, domain, thumbprint, account_id, order_id,
			issued_at, expires_at, reason) VALUES (?, ?, ?, ?, ?, ?, ?, '')`, g.ID, g.Domain, g.Thumbprint,
			sqlstore.Text(g.AccountID), g.OrderID, sqlstore.Micros(g.IssuedAt), sqlstore.Micros(g.ExpiresAt))
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE orders SET status = 'valid', grant_id = ? WHERE id = ?`, g.ID, g.OrderID)
		return err
	})
}

// haveDomain refuses a domain that is another account's. The grants of a domain wait for each other.
func (g *Grant) haveDomain(ctx context.Context, tx *sqlstore.Tx) error {
	if err := tx.Lock(ctx, "grants of "+g.Domain); err != nil {
		return err
	}
	var others int
	err := tx.Row(ctx, `SELECT count(*) FROM grants WHERE domain = ? AND expires_at > ? AND revoked_at IS NULL
		AND coalesce(account_id, '') <> ?`, g.Domain, sqlstore.Micros(g.IssuedAt), g.AccountID).Scan(&others)
	if err == nil && others > 0 {
		return refuse("domain", g.Domain, ErrOwner)
	}
	return err
}

// Grant: ErrNotFound.
func (s *Store) Grant(ctx context.Context, id string) (*Grant, error) {
	var g Grant
	if err := scanGrant(s.db.Row(ctx, grantColumns+`WHERE id = ?`, id), &g); err != nil {
		return nil, found("grant", id, err)
	}
	return &g, nil
}

// GrantsOf returns the grants for a domain, newest first.
func (s *Store) GrantsOf(ctx context.Context, domain string) ([]Grant, error) {
	rows, err := s.db.Rows(ctx, grantColumns+`WHERE domain = ? ORDER BY issued_at DESC, id`, domain)
	return collect(rows, err, scanGrant)
}

// RevokeGrant revokes a grant and returns it; when it was revoked before nothing is changed or logged. ErrNotFound.
// When it returns, no badge is being minted from the grant in any process.
func (s *Store) RevokeGrant(ctx context.Context, id, reason string, act Act) (*Grant, error) {
	if err := act.check(); err != nil {
		return nil, err
	}
	var g Grant
	err := s.db.Tx(ctx, func(tx *sqlstore.Tx) error {
		g = Grant{}
		if err := scanGrant(tx.Row(ctx, grantColumns+`WHERE id = ? FOR NO KEY UPDATE`, id), &g); err != nil {
			return found("grant", id, err)
		}
		if !g.RevokedAt.IsZero() {
			return nil
		}
		g.RevokedAt, g.Reason = trim(act.At), reason
		_, err := tx.Exec(ctx, `UPDATE grants SET revoked_at = ?, reason = ? WHERE id = ?`,
			sqlstore.Micros(g.RevokedAt), reason, id)
		if err != nil {
			return err
		}
		return post(ctx, tx, act, "")
	})
	if err != nil {
		return nil, err
	}
	return &g, nil
}

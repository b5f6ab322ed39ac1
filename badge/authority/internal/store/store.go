package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/touchmark-dev/touchmark/internal/sqlstore"
)

//go:embed migrations/*.sql
var migrations embed.FS

// A Store is one process's access to the database. It is safe for concurrent use.
type Store struct{ db *sqlstore.DB }

// Open opens, and if needed makes or migrates, the database at url: "sqlite:PATH" or "postgres://..." (see
// sqlstore.Open). It refuses one that a newer version of the program has migrated.
func Open(ctx context.Context, url string) (*Store, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	db, err := sqlstore.Open(ctx, url, files)
	if err != nil {
		return nil, err
	}
	return &Store{db: db}, nil
}

// Close releases the connections.
func (s *Store) Close() error { return s.db.Close() }

// Ping returns nil when the database answers.
func (s *Store) Ping(ctx context.Context) error { return s.db.Ping(ctx) }

// BindIssuer records, the first time, whose database this is, and refuses another issuer later (ErrConflict). Call
// it once after Open: the chain of revocations begins with the issuer's name, and Revoke refuses before.
func (s *Store) BindIssuer(ctx context.Context, issuer string) error {
	return s.db.Tx(ctx, func(tx *sqlstore.Tx) error {
		n, err := tx.Exec(ctx, `INSERT INTO settings (name, value) VALUES ('issuer', ?) ON CONFLICT DO NOTHING`, issuer)
		if err != nil {
			return err
		}
		if n == 1 {
			head := firstHead(issuer)
			_, err := tx.Exec(ctx, `INSERT INTO counters (name, value, head) VALUES ('revocations', 0, ?)`, head[:])
			return err
		}
		var bound string
		if err := tx.Row(ctx, `SELECT value FROM settings WHERE name = 'issuer'`).Scan(&bound); err != nil {
			return err
		}
		if bound != issuer {
			return refuse("database of issuer", bound, ErrConflict)
		}
		return nil
	})
}

// act runs f in a transaction, at whose end the act's entry is in the outbox.
func (s *Store) act(ctx context.Context, act Act, f func(tx *sqlstore.Tx) error) error {
	if err := act.check(); err != nil {
		return err
	}
	return s.db.Tx(ctx, func(tx *sqlstore.Tx) error {
		if err := f(tx); err != nil {
			return err
		}
		return post(ctx, tx, act, "")
	})
}

func (a *Act) check() error {
	switch {
	case a.At.IsZero():
		return errors.New("store: an act needs a time")
	case len(a.Entry) == 0 || len(a.Entry) > MaxEntryBytes:
		return fmt.Errorf("store: the log entry of an act has %d bytes: want 1 to %d", len(a.Entry), MaxEntryBytes)
	}
	return nil
}

// post puts the entry of an act into the outbox.
func post(ctx context.Context, tx *sqlstore.Tx, act Act, badgeID string) error {
	_, err := tx.Exec(ctx, `INSERT INTO outbox (badge_id, entry, created_at) VALUES (?, ?, ?)`,
		sqlstore.Text(badgeID), act.Entry, sqlstore.Micros(act.At))
	return err
}

// insert runs an INSERT and says ErrExists when there is such a row.
func insert(ctx context.Context, tx *sqlstore.Tx, what, id string, query string, args ...any) error {
	_, err := tx.Exec(ctx, query, args...)
	if sqlstore.IsUnique(err) {
		return refuse(what, id, ErrExists)
	}
	return err
}

// found turns the absence of a row into ErrNotFound.
func found(what, id string, err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return refuse(what, id, ErrNotFound)
	}
	return err
}

// scanner is a row or the current one of several.
type scanner interface{ Scan(dest ...any) error }

// collect reads all rows.
func collect[T any](rows *sql.Rows, err error, scan func(scanner, *T) error) ([]T, error) {
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // rows.Err says what matters
	var all []T
	for rows.Next() {
		var one T
		if err := scan(rows, &one); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

// firstHead is where the chain of revocations of an issuer begins, as package badge defines it.
func firstHead(issuer string) [sha256.Size]byte {
	return sha256.Sum256([]byte("touchmark/revocations/v1\n" + issuer))
}

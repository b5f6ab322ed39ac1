package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	sqlite "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// maxTries bounds how often a transaction is run that other transactions got in the way of.
const maxTries = 8

// A Tx is a transaction under way.
type Tx struct {
	run runner
	db  *DB
}

// runner is what runs the statements of a transaction.
type runner interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Tx runs f in a transaction that may write, and commits it when f returns nil. On PostgreSQL it sees what others
// commit while it runs: read with FOR UPDATE or FOR SHARE what must stay as it is, always in the same order. If other
// transactions got in the way (a deadlock, a busy database), it is rolled back and run again a few times, so f must
// change nothing else; it may be run by another goroutine. After an error of f nothing has happened; after one of the
// commit that is not known.
func (db *DB) Tx(ctx context.Context, f func(*Tx) error) error {
	return db.retry(ctx, func() error {
		if db.writer != nil {
			return db.writer.do(ctx, db, f)
		}
		return db.run(ctx, db.write, nil, f)
	})
}

// View runs f in a transaction that only reads, all of it from one state of the database.
func (db *DB) View(ctx context.Context, f func(*Tx) error) error {
	options := &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead}
	if db.dialect == SQLite {
		options = nil // its connections only read, and every transaction has a snapshot
	}
	return db.retry(ctx, func() error { return db.run(ctx, db.read, options, f) })
}

func (db *DB) retry(ctx context.Context, run func() error) error {
	wait := 5 * time.Millisecond
	for try := 1; ; try++ {
		err := run()
		if err == nil || try == maxTries || !inTheWay(err) || !waitRandom(ctx, wait) {
			return err
		}
		wait *= 2
	}
}

func (db *DB) run(ctx context.Context, pool *sql.DB, options *sql.TxOptions, f func(*Tx) error) error {
	tx, err := pool.BeginTx(ctx, options)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // also when f panics; after Commit it does nothing
	if err := f(&Tx{run: tx, db: db}); err != nil {
		return err
	}
	return tx.Commit()
}

// inTheWay reports whether a transaction certainly did not happen, because of others.
func inTheWay(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == "40001" || pg.Code == "40P01" // serialization failure, deadlock
	}
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		primary := lite.Code() & 0xff
		return primary == sqlite3.SQLITE_BUSY || primary == sqlite3.SQLITE_LOCKED
	}
	return false
}

// IsUnique reports whether an error says that a row with such a key exists. The transaction cannot go on after it.
func IsUnique(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == "23505"
	}
	var lite *sqlite.Error
	return errors.As(err, &lite) &&
		(lite.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || lite.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
}

// IsBadText reports whether an error says that a text has what the engine does not hold: for PostgreSQL, a NUL or what
// is not UTF-8. SQLite holds anything.
func IsBadText(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "22021"
}

// Exec runs a statement and returns how many rows it changed.
func (tx *Tx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	result, err := tx.run.ExecContext(ctx, tx.db.text(query), args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// Row runs a query for one row.
func (tx *Tx) Row(ctx context.Context, query string, args ...any) *sql.Row {
	return tx.run.QueryRowContext(ctx, tx.db.text(query), args...)
}

// Rows runs a query. Read all its rows before the next: a transaction has one connection.
func (tx *Tx) Rows(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return tx.run.QueryContext(ctx, tx.db.text(query), args...)
}

// Lock lets this transaction alone have a name until its end, and waits for the others that have it. Unlike a row,
// which those who share it can keep from one who wants it alone, names are given in the order of asking. What is read
// by the next query is as those left it who had the name before.
func (tx *Tx) Lock(ctx context.Context, name string) error {
	return tx.lock(ctx, "SELECT pg_advisory_xact_lock(hashtextextended(?, 0))", name)
}

// LockShared is like Lock, but others can have the names by LockShared at the same time.
func (tx *Tx) LockShared(ctx context.Context, names ...string) error {
	const one = ", pg_advisory_xact_lock_shared(hashtextextended(?, 0))"
	args := make([]any, len(names))
	for i, name := range names {
		args[i] = name
	}
	return tx.lock(ctx, "SELECT "+strings.Repeat(one, len(names))[len(", "):], args...)
}

func (tx *Tx) lock(ctx context.Context, query string, args ...any) error {
	if tx.db.dialect == SQLite {
		return nil
	}
	_, err := tx.Exec(ctx, query, args...)
	return err
}

package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
)

const (
	versionTable = "schema_version"
	// migrateLock is the key of the advisory lock under which a PostgreSQL database is migrated.
	migrateLock = 0x746f756368 // "touch"
)

// A NewerSchemaError refuses a database that a newer version of the program has migrated.
type NewerSchemaError struct {
	Have, Known int64 // the newest migration that was applied, and that the program knows
}

func (e *NewerSchemaError) Error() string {
	return fmt.Sprintf("database: its schema is version %d and this program knows only up to %d: use a newer program",
		e.Have, e.Known)
}

// errApplied ends a migration that another process applied meanwhile.
var errApplied = errors.New("applied meanwhile")

func (db *DB) migrate(ctx context.Context, files fs.FS) error {
	migrations, err := db.readMigrations(files)
	if err != nil {
		return fmt.Errorf("database: migrations: %w", err)
	}
	unlock, err := db.lockMigrations(ctx)
	if err != nil {
		return fmt.Errorf("database: wait for another process's migration: %w", err)
	}
	// SQLite has no lock that outlives a transaction: processes that start at once on a new file may get in each
	// other's way, each migration still being applied once.
	for range openTries {
		if err = db.up(ctx, migrations); err == nil || ctx.Err() != nil || errors.As(err, new(*NewerSchemaError)) {
			break
		}
		if db.dialect != SQLite || !waitRandom(ctx, 50*time.Millisecond) {
			break
		}
	}
	return errors.Join(err, unlock())
}

func (db *DB) up(ctx context.Context, migrations []*goose.Migration) error {
	dialect := goose.DialectSQLite3
	if db.dialect == PostgreSQL {
		dialect = goose.DialectPostgres
	}
	p, err := goose.NewProvider(dialect, db.write, nil, goose.WithGoMigrations(migrations...),
		goose.WithDisableGlobalRegistry(true), goose.WithTableName(versionTable), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return fmt.Errorf("database: migrations: %w", err)
	}
	have, known, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("database: schema version: %w", err)
	}
	if have > known {
		return &NewerSchemaError{Have: have, Known: known}
	}
	if have == known {
		return nil
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("database: migrate: %w", err)
	}
	return nil
}

// readMigrations makes the files into migrations of the dialect.
func (db *DB) readMigrations(files fs.FS) ([]*goose.Migration, error) {
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	tokens := []string{"{{serial}}", "INTEGER PRIMARY KEY AUTOINCREMENT", "{{bytes}}", "BLOB"}
	if db.dialect == PostgreSQL {
		tokens = []string{"{{serial}}", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "{{bytes}}", "BYTEA"}
	}
	var all []*goose.Migration
	for _, name := range names {
		version, err := goose.NumericComponent(name)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", name, err)
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		all = append(all, db.migration(version, strings.NewReplacer(tokens...).Replace(string(text))))
	}
	return all, nil
}

func (db *DB) migration(version int64, text string) *goose.Migration {
	applied := db.text("SELECT count(*) FROM " + versionTable + " WHERE version_id = ?")
	up := func(ctx context.Context, tx *sql.Tx) error {
		var n int
		if err := tx.QueryRowContext(ctx, applied, version).Scan(&n); err != nil {
			return err
		}
		if n > 0 {
			return errApplied
		}
		// Without arguments both drivers run a text of several statements.
		_, err := tx.ExecContext(ctx, text)
		return err
	}
	return goose.NewGoMigration(version, &goose.GoFunc{RunTx: up}, nil)
}

// lockMigrations lets one process at a time migrate a PostgreSQL database.
func (db *DB) lockMigrations(ctx context.Context) (unlock func() error, err error) {
	if db.dialect != PostgreSQL {
		return func() error { return nil }, nil
	}
	tx, err := db.write.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	for _, query := range []string{
		"SET LOCAL lock_timeout = 0",
		"SET LOCAL statement_timeout = 0",
		"SET LOCAL idle_in_transaction_session_timeout = 0",
		fmt.Sprintf("SELECT pg_advisory_xact_lock(%d)", migrateLock),
	} {
		if _, err := tx.ExecContext(ctx, query); err != nil {
			return nil, errors.Join(err, tx.Rollback())
		}
	}
	return tx.Rollback, nil
}

// waitRandom waits for up to max, and reports false when ctx ended first.
func waitRandom(ctx context.Context, longest time.Duration) bool {
	timer := time.NewTimer(rand.N(longest) + 1) //nolint:gosec // no secret
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"strings"
	"sync"
)

// A Dialect is one of the engines.
type Dialect string

// The engines.
const (
	SQLite     Dialect = "sqlite"
	PostgreSQL Dialect = "postgres"
)

// A DB is a database that [Open] has found in order. It is safe for concurrent use.
type DB struct {
	dialect Dialect
	write   *sql.DB
	read    *sql.DB  // PostgreSQL: the same as write
	writer  *writer  // SQLite: has the one connection of write
	queries sync.Map // from a query to its text in the dialect; as many as the program has
	stmts   sync.Map // SQLite: from a query to a *sql.Stmt of read

	closing sync.Once
	closed  error
}

// Open opens the database at url, makes it if it is a file that does not exist, and applies the migrations that it
// lacks: the files NUMBER_NAME.sql of migrations, each in a transaction of its own, forward only. It refuses, with a
// [*NewerSchemaError], a database with migrations that are not among these.
//
// The url is "sqlite:PATH", for a file that is made with mode 0600 and must not be open to other users, or
// "postgres://..." as pgx reads it. For tests that need no durability, "unsafe_no_fsync=true" among the parameters of
// the latter accepts a server without fsync. Errors do not contain passwords.
func Open(ctx context.Context, url string, migrations fs.FS) (*DB, error) {
	db, err := connect(ctx, url)
	if err != nil {
		return nil, err
	}
	if err := db.migrate(ctx, migrations); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if db.dialect == SQLite {
		if db.writer, err = newWriter(ctx, db.write); err != nil {
			return nil, errors.Join(err, db.Close())
		}
	}
	return db, nil
}

func connect(ctx context.Context, url string) (*DB, error) {
	scheme, rest, _ := strings.Cut(url, ":")
	switch scheme {
	case "sqlite":
		return openSQLite(ctx, rest)
	case "postgres", "postgresql":
		return openPostgreSQL(ctx, url)
	}
	return nil, errors.New(`database: the URL begins neither with "sqlite:" nor with "postgres://"`)
}

// Dialect returns which engine it is.
func (db *DB) Dialect() Dialect { return db.dialect }

// Ping returns nil when the database answers.
func (db *DB) Ping(ctx context.Context) error { return db.read.PingContext(ctx) }

// Close releases the connections, when no transaction is under way. A second call does nothing.
func (db *DB) Close() error {
	db.closing.Do(func() { db.closed = db.close() })
	return db.closed
}

func (db *DB) close() error {
	if db.read == db.write {
		return db.write.Close()
	}
	var err error
	if db.writer != nil {
		err = db.writer.close()
	}
	db.stmts.Range(func(_, stmt any) bool {
		err = errors.Join(err, stmt.(*sql.Stmt).Close())
		return true
	})
	return errors.Join(err, db.read.Close(), db.write.Close())
}

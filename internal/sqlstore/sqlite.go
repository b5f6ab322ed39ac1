package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/touchmark-dev/touchmark/internal/durable"
)

const (
	sqliteReaders = 8
	// busyTimeout is how long, in milliseconds, a connection waits for another process, but for the writer's, which
	// does that itself.
	busyTimeout = "5000"
	// openTries is how often a new file is tried that other processes open at the same time.
	openTries = 50
)

func openSQLite(ctx context.Context, path string) (*DB, error) {
	if path == "" || strings.HasPrefix(path, ":") {
		return nil, fmt.Errorf("database: %q is not the path of a file", path)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	if err := createPrivate(path); err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	// Every transaction of the writer begins IMMEDIATE: one that read first and wrote later could find that
	// another process had written between, which no waiting mends.
	db := &DB{dialect: SQLite}
	if db.write, err = sql.Open("sqlite", sqliteDSN(path, url.Values{"_txlock": {"immediate"}})); err != nil {
		return nil, fmt.Errorf("database %q: %w", path, err)
	}
	if db.read, err = sql.Open("sqlite", sqliteDSN(path, url.Values{"_query_only": {"true"}})); err != nil {
		return nil, errors.Join(fmt.Errorf("database %q: %w", path, err), db.write.Close())
	}
	for pool, size := range map[*sql.DB]int{db.write: 1, db.read: sqliteReaders} {
		pool.SetMaxOpenConns(size)
		pool.SetMaxIdleConns(size)
	}
	for _, pool := range []*sql.DB{db.write, db.read} {
		if err := settleSQLite(ctx, pool); err != nil {
			return nil, errors.Join(fmt.Errorf("database %q: %w", path, err), db.Close())
		}
	}
	return db, nil
}

// createPrivate makes the file if there is none, so that SQLite need not, which would make it readable by others.
// The files beside it (-wal, -shm) get its mode.
func createPrivate(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the name is the operator's
	if err == nil {
		if err := f.Close(); err != nil {
			return err
		}
		return durable.OS{}.SyncDir(filepath.Dir(path))
	}
	if !errors.Is(err, os.ErrExist) {
		return err
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%q is not a file", path)
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("%q can be read or written by other users: run chmod 600 on it", path)
	}
	return nil
}

func sqliteDSN(path string, more url.Values) string {
	q := url.Values{
		"_busy_timeout": {busyTimeout},
		"_foreign_keys": {"true"},
		"_journal_mode": {"WAL"},
		"_synchronous":  {"FULL"},
		"_dqs":          {"0"},
		// fullfsync matters on macOS only; the limit cuts a WAL that grew while a reader was slow.
		"_pragma": {"fullfsync(1)", "trusted_schema(0)", "journal_size_limit(67108864)"},
	}
	for name, values := range more {
		q[name] = values
	}
	return "file:" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath() + "?" + q.Encode()
}

// settleSQLite waits until no other process turns the same new file to WAL, for which SQLite does not wait itself.
func settleSQLite(ctx context.Context, pool *sql.DB) error {
	for try := 1; ; try++ {
		err := checkSQLite(ctx, pool)
		if err == nil || !inTheWay(err) || try == openTries || !waitRandom(ctx, 50*time.Millisecond) {
			return err
		}
	}
}

// checkSQLite asks what is in force: WAL cannot be had on every file system, and is then silently not.
func checkSQLite(ctx context.Context, pool *sql.DB) error {
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1"} {
		var got string
		if err := pool.QueryRowContext(ctx, "PRAGMA "+pragma).Scan(&got); err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("PRAGMA %s is %q instead of %q: put the file on a local file system", pragma, got, want)
		}
	}
	return nil
}

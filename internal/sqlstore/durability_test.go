package sqlstore

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/touchmark-dev/touchmark/internal/sqlstore/sqltest"
)

func one() fstest.MapFS {
	return fstest.MapFS{"1_x.sql": {Data: []byte(`CREATE TABLE things (id BIGINT)`)}}
}

// TestSQLiteSettings asks every connection what is in force.
func TestSQLiteSettings(t *testing.T) {
	db, err := Open(t.Context(), sqltest.SQLite(t), one())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	for range 3 {
		for pragma, want := range map[string][2]string{ // of the writer, of a reader
			"journal_mode":   {"wal", "wal"},
			"synchronous":    {"2", "2"}, // FULL
			"fullfsync":      {"1", "1"},
			"foreign_keys":   {"1", "1"},
			"busy_timeout":   {"0", "5000"}, // the writer waits by itself
			"query_only":     {"0", "1"},
			"trusted_schema": {"0", "0"},
		} {
			for i, pool := range []interface {
				QueryRowContext(context.Context, string, ...any) *sql.Row
			}{db.writer.conn, db.read} {
				var got string
				if err := pool.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil {
					t.Fatal(err)
				}
				if got != want[i] {
					t.Errorf("pool %d: %s is %q, want %q", i, pragma, got, want[i])
				}
			}
		}
	}
	if n := db.write.Stats().MaxOpenConnections; n != 1 {
		t.Errorf("%d connections may write", n)
	}
}

func TestSQLiteFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "with space ?&#%.db")
	db, err := Open(t.Context(), "sqlite:"+path, one())
	if err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%q has mode %v", suffix, info.Mode())
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	names, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(names) != 1 {
		t.Errorf("%v, %v", names, err)
	}
	// A file that others may read is refused, whoever made it so.
	if err := os.Chmod(path, 0o640); err != nil { //nolint:gosec // to be refused
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), "sqlite:"+path, one()); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("got %v", err)
	}
}

func TestPostgreSQLSettings(t *testing.T) {
	url := sqltest.PostgreSQL(t)
	if strings.Contains(url, "unsafe_no_fsync") && os.Getenv("TOUCHMARK_POSTGRES") == "" {
		if _, err := Open(t.Context(), strings.Replace(url, "unsafe_no_fsync", "x.y", 1), one()); err == nil ||
			!strings.Contains(err.Error(), "fsync=off") {
			t.Errorf("without fsync: got %v", err)
		}
	}
	for setting, want := range map[string]string{
		"synchronous_commit=off":                         "synchronous_commit=off",
		"default_transaction_isolation=serializable":     "default_transaction_isolation",
		"default_transaction_isolation=read%20committed": "",
		"synchronous_commit=remote_write":                "",
	} {
		db, err := Open(t.Context(), url+"&"+setting, one())
		if err == nil {
			err = db.Close()
		}
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", setting, err)
		}
	}
	db, err := Open(t.Context(), url, one())
	if err != nil {
		t.Fatal(err)
	}
	for setting, want := range map[string]string{
		"synchronous_commit": "on", "lock_timeout": "10s", "statement_timeout": "30s",
		"idle_in_transaction_session_timeout": "30s",
	} {
		var got string
		if err := db.write.QueryRowContext(t.Context(), "SHOW "+setting).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %q, %v; want %q", setting, got, err, want)
		}
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

func TestTranslate(t *testing.T) {
	for _, test := range []struct{ query, sqlite, postgres string }{
		{"SELECT ?, ?", "SELECT ?, ?", "SELECT $1, $2"},
		{"SELECT '?', ?", "SELECT '?', ?", "SELECT '?', $1"},
		{"SELECT 'it''s ?', ?", "SELECT 'it''s ?', ?", "SELECT 'it''s ?', $1"},
		{"SELECT a FOR UPDATE", "SELECT a", "SELECT a FOR UPDATE"},
		{"SELECT a FOR NO KEY UPDATE", "SELECT a", "SELECT a FOR NO KEY UPDATE"},
		{"SELECT a FOR SHARE", "SELECT a", "SELECT a FOR SHARE"},
	} {
		if got := translate(SQLite, test.query); got != test.sqlite {
			t.Errorf("SQLite: got %q, want %q", got, test.sqlite)
		}
		if got := translate(PostgreSQL, test.query); got != test.postgres {
			t.Errorf("PostgreSQL: got %q, want %q", got, test.postgres)
		}
	}
}

// Package sqltest runs tests on both engines of package sqlstore. Use [Each].
//
// PostgreSQL is a server that the test process starts for itself, from the programs that are installed, in a temporary
// directory, on a unix socket alone; it ends with the test process, whatever ends that. With TOUCHMARK_POSTGRES set to a
// URL, databases are made on that server instead.
package sqltest

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

// Each runs f as a subtest on a new database of each engine. The URL is for sqlstore.Open, as often as the test
// likes.
func Each(t *testing.T, f func(t *testing.T, url string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { f(t, SQLite(t)) })
	t.Run("postgres", func(t *testing.T) { f(t, PostgreSQL(t)) })
}

// SQLite returns the URL of a new file. It is as durable as any.
func SQLite(t testing.TB) string {
	t.Helper()
	return "sqlite:" + filepath.Join(t.TempDir(), "test.db")
}

// PostgreSQL returns the URL of a new database on a server without fsync, which the test's end drops. Where no server
// is installed, the test is skipped, or fails if TOUCHMARK_REQUIRE_PEERS is set.
func PostgreSQL(t testing.TB) string {
	t.Helper()
	return newDatabase(t, &quick, false)
}

// DurablePostgreSQL is like [PostgreSQL] with a server of its own that has fsync on, for measurements.
func DurablePostgreSQL(t testing.TB) string {
	t.Helper()
	return newDatabase(t, &safe, true)
}

// The servers of this test process, started when first asked for.
var quick, safe server

type server struct {
	once sync.Once
	url  *url.URL // of its administration database
	err  error

	mu sync.Mutex
	n  int // databases made so far
}

func newDatabase(t testing.TB, s *server, fsync bool) string {
	t.Helper()
	s.once.Do(func() { s.url, s.err = find(fsync) })
	if s.err != nil {
		if os.Getenv("TOUCHMARK_REQUIRE_PEERS") == "" && s.url == nil {
			t.Skip(s.err)
		}
		t.Fatal(s.err)
	}
	admin, err := sql.Open("pgx", s.url.String())
	if err != nil {
		t.Fatal(err)
	}
	name := s.nextName()
	if _, err := admin.ExecContext(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := admin.ExecContext(ctx, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Error(err)
		}
		if err := admin.Close(); err != nil {
			t.Error(err)
		}
	})
	made := *s.url
	made.Path = "/" + name
	if !fsync {
		q := made.Query()
		q.Set("unsafe_no_fsync", "true")
		made.RawQuery = q.Encode()
	}
	return made.String()
}

func (s *server) nextName() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	return fmt.Sprintf("touchmark_test_%d_%d_%d", os.Getpid(), time.Now().UnixNano(), s.n)
}

// find returns the server to use.
func find(fsync bool) (*url.URL, error) {
	if given := os.Getenv("TOUCHMARK_POSTGRES"); given != "" {
		u, err := url.Parse(given)
		if err != nil {
			return &url.URL{}, fmt.Errorf("TOUCHMARK_POSTGRES is no URL")
		}
		return u, nil
	}
	return start(fsync)
}

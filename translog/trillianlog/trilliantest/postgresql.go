package trilliantest

import (
	"context"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/touchmark-dev/touchmark/internal/sqlstore/sqltest"
)

// PostgreSQL returns a new database on a server of the test's own, without fsync.
func PostgreSQL(t testing.TB) *Database { return postgresql(t, sqltest.PostgreSQL(t)) }

// DurablePostgreSQL is like PostgreSQL, with fsync, for measurements.
func DurablePostgreSQL(t testing.TB) *Database { return postgresql(t, sqltest.DurablePostgreSQL(t)) }

// Empty returns the URL of a new database without tables.
func Empty(t testing.TB) string {
	t.Helper()
	return plain(t, sqltest.PostgreSQL(t)).String()
}

// Exec runs a statement on the database at a URL.
func Exec(t testing.TB, location, statement string, args ...any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, location)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx) //nolint:errcheck // done with
	if _, err := conn.Exec(ctx, statement, args...); err != nil {
		t.Fatal(err)
	}
}

// plain drops from the URL of a database what is for package sqlstore.
func plain(t testing.TB, location string) *url.URL {
	t.Helper()
	u, err := url.Parse(location)
	if err != nil {
		t.Fatal(err)
	}
	u.RawQuery = url.Values{"host": {u.Query().Get("host")}}.Encode()
	return u
}

// PostgreSQLAt makes what Trillian wants in an empty database of the test's own.
func PostgreSQLAt(t testing.TB, location string) *Database { return postgresql(t, location) }

func postgresql(t testing.TB, location string) *Database {
	t.Helper()
	Program(t, serverProgram) // skips
	u := plain(t, location)
	location = u.String()
	run := func(t testing.TB, statements string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		conn, err := pgx.Connect(ctx, location)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(ctx) //nolint:errcheck // done with
		if err := conn.PgConn().Exec(ctx, statements).Close(); err != nil {
			t.Fatal(err)
		}
	}
	run(t, schema(t, "postgresql"))
	q := u.Query()
	q.Set("pool_max_conns", "20")
	u.RawQuery = q.Encode()
	return &Database{System: "postgresql", URI: location, args: []string{"--postgresql_uri=" + u.String()}, run: run}
}

// Analyze has PostgreSQL look at Trillian's tables anew.
func (d *Database) Analyze(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, d.URI)
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // done with
	_, err = conn.Exec(ctx, "ANALYZE leafdata, sequencedleafdata")
	return err
}

package pglimit_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/limit/pglimit"
	"github.com/touchmark-dev/touchmark/internal/sqlstore/sqltest"
)

// childURL has this test process run calls, instead of tests, until it is killed.
const childURL = "TOUCHMARK_TEST_LIMIT_NODE"

var one = &guard.Constraints{MaxConcurrent: 1}

func shortLease() *pglimit.Config {
	return &pglimit.Config{Timeout: time.Minute, Lease: 8 * time.Second}
}

func TestMain(m *testing.M) {
	url := os.Getenv(childURL)
	if url == "" {
		os.Exit(m.Run())
	}
	l, err := pglimit.Open(context.Background(), url, shortLease())
	if err == nil {
		_, err = l.Acquire(context.Background(), key("a", "x", 0), one)
	}
	fmt.Println(err)
	select {}
}

// TestNodeKilled: the place of a call counts as long as its node lives, however long that is, and comes back when the node
// was killed.
func TestNodeKilled(t *testing.T) {
	of := sqltest.PostgreSQL(t)
	l := nodes(t, of, 1, shortLease())[0]
	node := exec.Command(os.Args[0]) //nolint:gosec // this test
	node.Env = append(os.Environ(), childURL+"="+of)
	node.Stderr = os.Stderr
	out, err := node.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	kill := func() { _, _ = node.Process.Kill(), node.Wait() }
	defer kill()
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "<nil>\n" {
		t.Fatalf("%q, %v", line, err)
	}
	db := direct(t, of)
	var first int64
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) { // its node puts off the end of the lease
		var until int64
		if err := db.QueryRowContext(t.Context(), "SELECT coalesce(max(until), 0) FROM leases").Scan(&until); err != nil {
			t.Fatal(err)
		}
		if first == 0 {
			first = until
		}
		if until > first+int64(time.Second/time.Microsecond) {
			break
		}
		if time.Since(began) > time.Minute {
			t.Fatal("the lease is not renewed")
		}
	}
	if _, err := l.Acquire(t.Context(), key("a", "x", 0), one); causeOf(err) != guard.CauseConcurrency {
		t.Fatal(err)
	}
	kill()
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		_, err := l.Acquire(t.Context(), key("a", "x", 0), one)
		if err == nil {
			return
		}
		if causeOf(err) != guard.CauseConcurrency || time.Since(began) > time.Minute {
			t.Fatal(err)
		}
	}
}

// direct opens a database as it is.
func direct(t *testing.T, of string) *sql.DB {
	t.Helper()
	u, err := url.Parse(of)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Del("unsafe_no_fsync")
	u.RawQuery = q.Encode()
	db, err := sql.Open("pgx", u.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// admin reaches the server of a database by way of another one.
func admin(t *testing.T, of string) (db *sql.DB, name string) {
	t.Helper()
	u, err := url.Parse(of)
	if err != nil {
		t.Fatal(err)
	}
	name = path.Base(u.Path)
	u.Path = "/postgres"
	return direct(t, u.String()), name
}

func run(t *testing.T, db *sql.DB, query string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

type rated struct{}

func (rated) Decide(context.Context, *guard.Input) (guard.Decision, error) {
	return guard.Decision{
		Kind: guard.AllowWithConstraints, Rule: "rated", Anonymous: true,
		Constraints: &guard.Constraints{RatePerMinute: 1000, MaxConcurrent: 10},
	}, nil
}

// TestDatabaseDown: without the database every call is refused and recorded, and calls go on when it is back.
func TestDatabaseDown(t *testing.T) {
	of := sqltest.PostgreSQL(t)
	l := nodes(t, of, 1, &pglimit.Config{Timeout: 10 * time.Second})[0]
	w := guardtest.New(t)
	g := w.Guard(func(c *guard.Config) { c.Policy, c.Limiter = rated{}, l })
	call := func() error {
		_, err := guard.Do(t.Context(), g, guardtest.Call("x", `{}`), func(context.Context) (int, error) { return 1, nil })
		return err
	}
	if err := call(); err != nil {
		t.Fatal(err)
	}
	server, name := admin(t, of)
	run(t, server, "ALTER DATABASE "+name+" ALLOW_CONNECTIONS false")
	run(t, server, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '"+name+"'")
	for range 3 {
		refusal := guard.RefusalOf(call())
		if refusal.Code != guard.CodeConstraintIndeterminate || refusal.EvidenceID == "" {
			t.Fatalf("%+v", refusal)
		}
		all := w.Recorder.Decisions()
		if last := all[len(all)-1]; last.DenyReason != string(guard.CodeConstraintIndeterminate) || last.Kind.Allows() {
			t.Fatalf("%+v", last)
		}
	}
	run(t, server, "ALTER DATABASE "+name+" ALLOW_CONNECTIONS true")
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		err := call()
		if err == nil {
			break
		}
		if time.Since(began) > time.Minute {
			t.Fatal(err)
		}
	}
}

// TestDatabaseHangs: a call waits for the database no longer than it may.
func TestDatabaseHangs(t *testing.T) {
	of := sqltest.PostgreSQL(t)
	l := nodes(t, of, 1, &pglimit.Config{Timeout: 200 * time.Millisecond})[0]
	db := direct(t, of)
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), "LOCK counts, leases IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := l.Acquire(context.Background(), key("a", "x", 0), &guard.Constraints{RatePerMinute: 5, MaxConcurrent: 1})
		ended <- err
	}()
	select {
	case err := <-ended:
		if err == nil || causeOf(err) != "" {
			t.Errorf("got %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("it waits")
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		_, err := l.Acquire(t.Context(), key("a", "x", 0), &guard.Constraints{MaxConcurrent: 1})
		if err == nil {
			return
		}
		if time.Since(began) > time.Minute {
			t.Fatal(err)
		}
	}
}

package sqlstore_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/touchmark-dev/touchmark/internal/sqlstore"
	"github.com/touchmark-dev/touchmark/internal/sqlstore/sqltest"
)

func files(texts ...string) fstest.MapFS {
	all := fstest.MapFS{}
	for i, text := range texts {
		all[string(rune('1'+i))+"_step.sql"] = &fstest.MapFile{Data: []byte(text)}
	}
	return all
}

const (
	things = `CREATE TABLE things (id {{serial}}, name TEXT UNIQUE, data {{bytes}}, made_at BIGINT);
		INSERT INTO things (name) VALUES ('a?b');`
	more = `ALTER TABLE things ADD COLUMN size BIGINT;`
)

func open(t *testing.T, url string, migrations fstest.MapFS) *sqlstore.DB {
	t.Helper()
	db, err := sqlstore.Open(t.Context(), url, migrations)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestMigrations(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, url string) {
		if _, err := sqlstore.Open(t.Context(), url, files(things, `CREATE TABLE broken (`)); err == nil {
			t.Fatal("a broken migration was applied")
		}
		open(t, url, files(things))
		db := open(t, url, files(things, more)) // goes on after the first, which was applied
		must(t, db.Ping(t.Context()))
		var n int
		must(t, db.Row(t.Context(), `SELECT count(*) FROM things WHERE size IS NULL AND name = 'a?b' AND id > ?`, 0).Scan(&n))
		if n != 1 {
			t.Errorf("%d rows", n)
		}
		var newer *sqlstore.NewerSchemaError
		if _, err := sqlstore.Open(t.Context(), url, files(things)); !errors.As(err, &newer) {
			t.Fatalf("got %v, want a *NewerSchemaError", err)
		}
		if newer.Have != 2 || newer.Known != 1 {
			t.Errorf("got %+v", newer)
		}
	})
}

func TestMigrationNames(t *testing.T) {
	for name, bad := range map[string]fstest.MapFS{
		"none": {}, "no number": {"x.sql": &fstest.MapFile{}}, "not sql": {"1_x.txt": &fstest.MapFile{}},
	} {
		if _, err := sqlstore.Open(t.Context(), sqltest.SQLite(t), bad); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
}

func TestValues(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, url string) {
		db := open(t, url, files(things))
		ctx := t.Context()
		when := time.Date(2026, 11, 21, 1, 2, 3, 4567, time.FixedZone("x", 3600))
		hash := [32]byte{31: 9}
		for name, value := range map[string]time.Time{"set": when, "unset": {}} {
			must(t, db.Tx(ctx, func(tx *sqlstore.Tx) error {
				n, err := tx.Exec(ctx, `INSERT INTO things (name, data, made_at) VALUES (?, ?, ?)`,
					sqlstore.Text(name), hash[:], sqlstore.Micros(value))
				if err == nil && n != 1 {
					t.Errorf("%d rows", n)
				}
				return err
			}))
			var got time.Time
			var gotName string
			var gotHash [32]byte
			must(t, db.Row(ctx, `SELECT name, data, made_at FROM things WHERE name = ?`, name).
				Scan(sqlstore.String(&gotName), sqlstore.Hash(&gotHash), sqlstore.Time(&got)))
			if want := value.Truncate(time.Microsecond).UTC(); !got.Equal(want) || got.Location() != time.UTC {
				t.Errorf("got %v, want %v", got, want)
			}
			if gotName != name || gotHash != hash {
				t.Errorf("got %q, %x", gotName, gotHash)
			}
		}
		var s string
		var h [32]byte
		var at time.Time
		row := func() interface{ Scan(...any) error } {
			return db.Row(ctx, `SELECT name, data FROM things WHERE name = 'a?b'`)
		}
		if row().Scan(&s, sqlstore.Hash(&h)) == nil || row().Scan(sqlstore.Time(&at), new(any)) == nil {
			t.Error("NULL was read as a hash, or a text as a time")
		}
		if db.Row(ctx, `SELECT id FROM things`).Scan(sqlstore.String(&s)) == nil {
			t.Error("a number was read as a text")
		}
	})
}

func TestTxRollsBack(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, url string) {
		db := open(t, url, files(things))
		ctx := t.Context()
		add := func(tx *sqlstore.Tx, name string) error {
			_, err := tx.Exec(ctx, `INSERT INTO things (name) VALUES (?)`, name)
			return err
		}
		own := errors.New("mine")
		err := db.Tx(ctx, func(tx *sqlstore.Tx) error { return errors.Join(add(tx, "x"), own) })
		if !errors.Is(err, own) {
			t.Errorf("got %v", err)
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed")
				}
			}()
			_ = db.Tx(ctx, func(tx *sqlstore.Tx) error { // it panics
				must(t, add(tx, "y"))
				panic("bug")
			})
		}()
		err = db.Tx(ctx, func(tx *sqlstore.Tx) error { return add(tx, "a?b") })
		if !sqlstore.IsUnique(err) || sqlstore.IsUnique(own) {
			t.Errorf("got %v", err)
		}
		err = db.View(ctx, func(tx *sqlstore.Tx) error { return add(tx, "z") })
		if err == nil {
			t.Error("a View wrote")
		}
		var n int
		must(t, db.Row(ctx, `SELECT count(*) FROM things`).Scan(&n))
		if n != 1 {
			t.Errorf("%d rows", n)
		}
	})
}

// TestView reads twice while another connection writes between.
func TestView(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, url string) {
		db, other := open(t, url, files(things)), open(t, url, files(things))
		ctx := t.Context()
		count := func(tx *sqlstore.Tx) (n int) {
			must(t, tx.Row(ctx, `SELECT count(*) FROM things`).Scan(&n))
			return n
		}
		must(t, db.View(ctx, func(tx *sqlstore.Tx) error {
			before := count(tx)
			must(t, other.Tx(ctx, func(tx *sqlstore.Tx) error {
				_, err := tx.Exec(ctx, `INSERT INTO things (name) VALUES ('new')`)
				return err
			}))
			if after := count(tx); after != before {
				t.Errorf("%d rows, then %d", before, after)
			}
			return nil
		}))
		rows, err := db.Rows(ctx, `SELECT name FROM things ORDER BY id LIMIT ?`, 10)
		must(t, err)
		var names []string
		for rows.Next() {
			var name string
			must(t, rows.Scan(&name))
			names = append(names, name)
		}
		must(t, errors.Join(rows.Err(), rows.Close()))
		if got := strings.Join(names, " "); got != "a?b new" {
			t.Errorf("got %q", got)
		}
	})
}

const sized = `UPDATE things SET size = 0; INSERT INTO things (name, size) VALUES ('b', 0)`

// grow adds one to the size of a thing.
func grow(ctx context.Context, tx *sqlstore.Tx, name string) error {
	var size int
	err := tx.Row(ctx, `SELECT size FROM things WHERE name = ? FOR UPDATE`, name).Scan(&size)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE things SET size = ? WHERE name = ?`, size+1, name)
	return err
}

func total(t *testing.T, db *sqlstore.DB) (sum int) {
	t.Helper()
	must(t, db.Row(t.Context(), `SELECT sum(size) FROM things`).Scan(&sum))
	return sum
}

// TestNoLostUpdate reads and writes one row from several connections and processes.
func TestNoLostUpdate(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, url string) {
		dbs := []*sqlstore.DB{open(t, url, files(things, more, sized)), open(t, url, files(things, more, sized))}
		ctx := t.Context()
		var group sync.WaitGroup
		for n := range 8 {
			group.Go(func() {
				for range 10 {
					err := dbs[n%2].Tx(ctx, func(tx *sqlstore.Tx) error { return grow(ctx, tx, "b") })
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
		if sum := total(t, dbs[0]); sum != 80 {
			t.Errorf("%d updates, want 80", sum)
		}
	})
}

// TestDeadlock: of two transactions that wait for each other one is run again.
func TestDeadlock(t *testing.T) {
	db := open(t, sqltest.PostgreSQL(t), files(things, more, sized))
	ctx := t.Context()
	var group, first sync.WaitGroup
	first.Add(2)
	runs := make([]int, 2)
	for n, order := range [][]string{{"a?b", "b"}, {"b", "a?b"}} {
		group.Go(func() {
			err := db.Tx(ctx, func(tx *sqlstore.Tx) error {
				if err := grow(ctx, tx, order[0]); err != nil {
					return err
				}
				if runs[n]++; runs[n] == 1 {
					first.Done()
					first.Wait()
				}
				return grow(ctx, tx, order[1])
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if sum := total(t, db); sum != 4 || runs[0]+runs[1] < 3 {
		t.Errorf("%d updates in %d and %d runs", sum, runs[0], runs[1])
	}
}

// TestLock: one has a name alone, or several share it.
func TestLock(t *testing.T) {
	db := open(t, sqltest.PostgreSQL(t), files(things))
	ctx := t.Context()
	for name, test := range map[string]struct {
		second func(*sqlstore.Tx) error
		waits  bool
	}{
		"alone":      {func(tx *sqlstore.Tx) error { return tx.Lock(ctx, "x") }, true},
		"shared":     {func(tx *sqlstore.Tx) error { return tx.LockShared(ctx, "x") }, false},
		"other name": {func(tx *sqlstore.Tx) error { return tx.Lock(ctx, "y") }, false},
	} {
		must(t, db.Tx(ctx, func(tx *sqlstore.Tx) error {
			must(t, tx.LockShared(ctx, "x"))
			err := db.Tx(ctx, func(tx *sqlstore.Tx) error {
				_, err := tx.Exec(ctx, "SET LOCAL lock_timeout = '200ms'")
				return errors.Join(err, test.second(tx))
			})
			if (err != nil) != test.waits {
				t.Errorf("%s: got %v", name, err)
			}
			return nil
		}))
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	readable := filepath.Join(dir, "readable.db")
	must(t, os.WriteFile(readable, nil, 0o644)) //nolint:gosec // to be refused
	garbage := filepath.Join(dir, "garbage.db")
	must(t, os.WriteFile(garbage, []byte(strings.Repeat("no database ", 1000)), 0o600))
	for _, url := range []string{
		"", "x", "mysql://h/d", "sqlite:", "sqlite::memory:", "sqlite:" + dir, "sqlite:" + dir + "/none/x.db",
		"sqlite:" + readable, "sqlite:" + garbage,
		"postgres://user:pa%20ss@host:none/db", "postgres://user:secret@127.0.0.1:1/db?connect_timeout=1",
	} {
		_, err := sqlstore.Open(t.Context(), url, files(things))
		if err == nil {
			t.Errorf("%q was opened", url)
			continue
		}
		if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "pa ss") ||
			strings.Contains(err.Error(), "pa%20ss") {
			t.Errorf("the password is in %q", err)
		}
	}
}

func TestOpenCanceled(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, url string) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := sqlstore.Open(ctx, url, files(things)); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

func TestCloseTwice(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, url string) {
		db := open(t, url, files(things)) // which closes it again
		must(t, db.Row(t.Context(), `SELECT count(*) FROM things`).Scan(new(int)))
		must(t, db.Close())
		must(t, db.Close())
		if db.Row(t.Context(), `SELECT count(*) FROM things`).Scan(new(int)) == nil {
			t.Error("it was read after the end")
		}
	})
}

func TestExec(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, url string) {
		db, ctx := open(t, url, files(things)), t.Context()
		for want, query := range []string{
			`UPDATE things SET made_at = ? WHERE name = 'none'`, `INSERT INTO things (name, made_at) VALUES ('b', ?)`,
			`UPDATE things SET made_at = ?`,
		} {
			if n, err := db.Exec(ctx, query, 5); err != nil || n != int64(want) {
				t.Errorf("%s: %d rows, %v; want %d", query, n, err, want)
			}
		}
		if _, err := db.Exec(ctx, `INSERT INTO things (name) VALUES (?)`, "b"); !sqlstore.IsUnique(err) {
			t.Errorf("got %v", err)
		}
		canceled, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := db.Exec(canceled, `DELETE FROM things`); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		var n int
		for range 2 { // the second time it is prepared
			must(t, db.Row(ctx, `SELECT count(*) FROM things WHERE made_at = ?`, 5).Scan(&n))
			if err := db.Row(canceled, `SELECT count(*) FROM things WHERE made_at = ?`, 5).Scan(new(int)); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		}
		if n != 2 {
			t.Errorf("%d rows", n)
		}
	})
}

package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/touchmark-dev/touchmark/internal/sqlstore/sqltest"
)

func openThings(t *testing.T) *DB {
	t.Helper()
	db, err := Open(t.Context(), sqltest.SQLite(t), fstest.MapFS{"1_x.sql": {Data: []byte(`
		CREATE TABLE things (name TEXT PRIMARY KEY, of TEXT REFERENCES things (name) DEFERRABLE INITIALLY DEFERRED)`)}})
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

func add(tx *Tx, name string, of any) error {
	_, err := tx.Exec(context.Background(), `INSERT INTO things (name, of) VALUES (?, ?)`, name, of)
	return err
}

func names(t *testing.T, db *DB) (all string) {
	t.Helper()
	query := `SELECT coalesce(group_concat(name, ' '), '') FROM (SELECT name FROM things ORDER BY name)`
	if err := db.Row(t.Context(), query).Scan(&all); err != nil {
		t.Fatal(err)
	}
	return all
}

// together runs transactions in one batch, and returns their errors. Each is recovered from.
func together(t *testing.T, db *DB, contexts map[int]context.Context, all ...func(*Tx) error) []error {
	t.Helper()
	begun, release := make(chan struct{}), make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		err := db.Tx(context.Background(), func(*Tx) error {
			close(begun)
			<-release
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-begun
	errs := make([]error, len(all))
	for i, f := range all {
		ctx := contexts[i]
		if ctx == nil {
			ctx = context.Background()
		}
		group.Go(func() {
			defer func() {
				if v := recover(); v != nil {
					errs[i] = fmt.Errorf("panic: %v", v)
				}
			}()
			errs[i] = errors.New("its goroutine ended")
			errs[i] = db.Tx(ctx, f)
		})
		for waiting := 0; waiting <= i; { // in this order
			runtime.Gosched()
			db.writer.mu.Lock()
			waiting = len(db.writer.waiting)
			db.writer.mu.Unlock()
		}
	}
	close(release)
	group.Wait()
	return errs
}

func TestBatch(t *testing.T) {
	db := openThings(t)
	canceled, cancel := context.WithCancel(context.Background())
	own := errors.New("mine")
	errs := together(t, db, map[int]context.Context{5: canceled},
		func(tx *Tx) error { return add(tx, "a", nil) },
		func(tx *Tx) error { return errors.Join(add(tx, "b", nil), own) },
		func(tx *Tx) error { return add(tx, "a", nil) },
		func(tx *Tx) error {
			if err := add(tx, "c", nil); err != nil {
				return err
			}
			panic("bug")
		},
		func(tx *Tx) error { cancel(); return add(tx, "d", nil) },
		func(tx *Tx) error { return add(tx, "e", nil) },
		func(tx *Tx) error { return add(tx, "f", "a") },
	)
	for _, i := range []int{0, 4, 6} {
		if errs[i] != nil {
			t.Errorf("%d: %v", i, errs[i])
		}
	}
	if !errors.Is(errs[1], own) || !IsUnique(errs[2]) || fmt.Sprint(errs[3]) != "panic: bug" ||
		!errors.Is(errs[5], context.Canceled) {
		t.Errorf("got %v", errs)
	}
	if got := names(t, db); got != "a d f" {
		t.Errorf("got %q", got)
	}
}

// TestBatchFails: when the commit fails nobody is told that anything happened, or that it was refused for what others
// did.
func TestBatchFails(t *testing.T) {
	db := openThings(t)
	for _, last := range []func(*Tx) error{
		func(tx *Tx) error { return add(tx, "x", "nothing") }, // found at the commit
		func(*Tx) error { runtime.Goexit(); return nil },
		func(tx *Tx) error { return tx.run.(*writer).exec("ROLLBACK") }, // as SQLite does when the disk is full
	} {
		errs := together(t, db, nil,
			func(tx *Tx) error { return add(tx, "a", nil) },
			func(tx *Tx) error { return add(tx, "a", nil) },
			last,
		)
		for i, err := range errs {
			if err == nil || IsUnique(err) {
				t.Errorf("%d: got %v", i, err)
			}
		}
		if got := names(t, db); got != "" {
			t.Errorf("got %q", got)
		}
	}
	// It goes on afterwards.
	if err := db.Tx(t.Context(), func(tx *Tx) error { return add(tx, "a", nil) }); err != nil || names(t, db) != "a" {
		t.Error(err)
	}
}

// TestWaitingIsCanceled: a transaction that has not begun ends with its context.
func TestWaitingIsCanceled(t *testing.T) {
	db := openThings(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := db.Tx(t.Context(), func(*Tx) error {
		var group sync.WaitGroup
		group.Go(func() {
			ran := func(*Tx) error { t.Error("it ran"); return nil }
			if err := db.Tx(ctx, ran); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		})
		cancel()
		group.Wait()
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestBigBatch has more waiting than a batch takes.
func TestBigBatch(t *testing.T) {
	db := openThings(t)
	var all []func(*Tx) error
	for n := range 2*maxBatch + 5 {
		all = append(all, func(tx *Tx) error { return add(tx, fmt.Sprint(n), nil) })
	}
	if err := errors.Join(together(t, db, nil, all...)...); err != nil {
		t.Error(err)
	}
	var n int
	if err := db.Row(t.Context(), `SELECT count(*) FROM things`).Scan(&n); err != nil || n != len(all) {
		t.Errorf("%d rows, %v", n, err)
	}
}

package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"sync"
	"time"
)

// maxBatch bounds how many transactions share a commit, so that none waits long for others.
const maxBatch = 64

// A writer of another process that never rests leaves gaps of some microseconds between its transactions. SQLite's own
// waiting sleeps for up to a tenth of a second and can miss them for long, so the writer asks again much sooner.
const (
	busyWait  = 10 * time.Second
	busySleep = 2 * time.Millisecond
)

// A writer runs the writing transactions of a process on SQLite, which has one at a time. Those that wait while one is
// committed are run together: one after the other as ever, each undone alone if it fails, but with one sync for all.
// None is answered before that. Whoever waits first runs the batch; there is no goroutine to be stopped.
type writer struct {
	conn   *sql.Conn
	leader chan struct{} // holds one value while a batch runs
	// stmts are the prepared statements of conn, as many as the program has queries; the leader's.
	stmts map[string]*sql.Stmt

	mu      sync.Mutex
	waiting []*job
}

// A job is a transaction that somebody waits for. After done is closed err and panicked are settled.
type job struct {
	ctx      context.Context
	f        func(*Tx) error
	done     chan struct{}
	err      error
	panicked any
}

// errAborted is what the transactions of a batch get that another one's end of its goroutine took along.
var errAborted = errors.New("sqlstore: the transaction was aborted")

func newWriter(ctx context.Context, pool *sql.DB) (*writer, error) {
	conn, err := pool.Conn(ctx)
	if err != nil {
		return nil, err
	}
	w := &writer{conn: conn, leader: make(chan struct{}, 1), stmts: map[string]*sql.Stmt{}}
	if err := w.exec("PRAGMA busy_timeout = 0"); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return w, nil
}

func (w *writer) close() error {
	w.leader <- struct{}{} // for good
	var errs []error
	for _, stmt := range w.stmts {
		errs = append(errs, stmt.Close())
	}
	return errors.Join(append(errs, w.conn.Close())...)
}

// do runs f in a transaction.
func (w *writer) do(ctx context.Context, db *DB, f func(*Tx) error) error {
	j := &job{ctx: ctx, f: f, done: make(chan struct{})}
	w.mu.Lock()
	w.waiting = append(w.waiting, j)
	w.mu.Unlock()
	ended := ctx.Done()
	for {
		select {
		case <-j.done:
			if j.panicked != nil {
				panic(j.panicked)
			}
			return j.err
		case <-ended:
			if w.withdraw(j) {
				return ctx.Err()
			}
			ended = nil // it runs already
		case w.leader <- struct{}{}:
			w.lead(db)
		}
	}
}

// withdraw takes back a job that has not begun.
func (w *writer) withdraw(j *job) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.Index(w.waiting, j)
	if i < 0 {
		return false
	}
	w.waiting = slices.Delete(w.waiting, i, i+1)
	return true
}

// lead runs one batch.
func (w *writer) lead(db *DB) {
	defer func() { <-w.leader }()
	w.mu.Lock()
	n := min(len(w.waiting), maxBatch)
	jobs := slices.Clone(w.waiting[:n])
	w.waiting = slices.Delete(w.waiting, 0, n)
	w.mu.Unlock()
	if n == 0 {
		return
	}
	err := errAborted // unless the end of batch is reached
	defer func() {
		if err != nil {
			_ = w.exec("ROLLBACK") // there may be nothing to roll back
		}
		for _, j := range jobs {
			// A refusal saw what others of the batch had done; when that is lost, it is none.
			if err != nil && j.panicked == nil && (j.err == nil || len(jobs) > 1) {
				j.err = err
			}
			close(j.done)
		}
	}()
	err = w.batch(&Tx{run: w, db: db}, jobs)
}

// batch runs the jobs and commits. After an error nothing of any has happened, or that is not known.
func (w *writer) batch(tx *Tx, jobs []*job) error {
	if err := w.begin(); err != nil {
		return err
	}
	if len(jobs) == 1 {
		if jobs[0].call(tx); jobs[0].err != nil || jobs[0].panicked != nil {
			return w.exec("ROLLBACK")
		}
		return w.exec("COMMIT")
	}
	for _, j := range jobs {
		if err := w.exec("SAVEPOINT job"); err != nil {
			return err
		}
		if j.call(tx); j.err != nil || j.panicked != nil {
			// That fails when the whole transaction was rolled back, as it is when the disk is full.
			if err := w.exec("ROLLBACK TO job"); err != nil {
				return errors.Join(j.err, err)
			}
		}
		if err := w.exec("RELEASE job"); err != nil {
			return err
		}
	}
	return w.exec("COMMIT")
}

// begin begins a transaction when no other process has one.
func (w *writer) begin() error {
	ctx, cancel := context.WithTimeout(context.Background(), busyWait)
	defer cancel()
	for {
		err := w.exec("BEGIN IMMEDIATE")
		if err == nil || !inTheWay(err) || !waitRandom(ctx, busySleep) {
			return err
		}
	}
}

func (j *job) call(tx *Tx) {
	defer func() { j.panicked = recover() }()
	if j.err = j.ctx.Err(); j.err == nil {
		j.err = j.f(tx)
	}
}

// stmt returns a prepared statement, or nil if it cannot be prepared.
func (w *writer) stmt(query string) *sql.Stmt {
	if stmt := w.stmts[query]; stmt != nil {
		return stmt
	}
	stmt, err := w.conn.PrepareContext(context.Background(), query)
	if err != nil {
		return nil
	}
	w.stmts[query] = stmt
	return stmt
}

func (w *writer) exec(query string) error {
	_, err := w.ExecContext(context.Background(), query)
	return err
}

// Statements run to their end whatever becomes of the context: an interrupted one would roll back the whole batch.

// ExecContext implements runner.
func (w *writer) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	ctx = context.WithoutCancel(ctx)
	if stmt := w.stmt(query); stmt != nil {
		return stmt.ExecContext(ctx, args...)
	}
	return w.conn.ExecContext(ctx, query, args...)
}

// QueryContext implements runner.
func (w *writer) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	ctx = context.WithoutCancel(ctx)
	if stmt := w.stmt(query); stmt != nil {
		return stmt.QueryContext(ctx, args...)
	}
	return w.conn.QueryContext(ctx, query, args...)
}

// QueryRowContext implements runner.
func (w *writer) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	ctx = context.WithoutCancel(ctx)
	if stmt := w.stmt(query); stmt != nil {
		return stmt.QueryRowContext(ctx, args...)
	}
	return w.conn.QueryRowContext(ctx, query, args...)
}

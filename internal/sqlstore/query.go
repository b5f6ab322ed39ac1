package sqlstore

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
)

// Exec runs one statement in a transaction of its own, and returns how many rows it changed. It spares the round trips
// of [DB.Tx].
func (db *DB) Exec(ctx context.Context, query string, args ...any) (changed int64, err error) {
	exec := func(ctx context.Context, run runner) (err error) {
		changed, err = (&Tx{run: run, db: db}).Exec(ctx, query, args...)
		return err
	}
	if db.writer != nil {
		err = db.Tx(ctx, func(tx *Tx) error { return exec(ctx, tx.run) })
	} else {
		err = db.retry(ctx, func() error { return exec(ctx, db.write) })
	}
	return changed, err
}

// Row runs a query for one row outside of any transaction. It waits for a connection of its own: not to be called from
// within one.
func (db *DB) Row(ctx context.Context, query string, args ...any) *sql.Row {
	if stmt := db.stmt(ctx, query); stmt != nil {
		return stmt.QueryRowContext(context.WithoutCancel(ctx), args...)
	}
	return db.read.QueryRowContext(ctx, db.text(query), args...)
}

// Rows runs a query outside of any transaction, as Row does.
func (db *DB) Rows(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if stmt := db.stmt(ctx, query); stmt != nil {
		return stmt.QueryContext(context.WithoutCancel(ctx), args...)
	}
	return db.read.QueryContext(ctx, db.text(query), args...)
}

// stmt returns a query prepared on the readers of SQLite, where preparing takes longer than running; pgx prepares by
// itself. It is nil when it cannot be prepared. What is prepared runs without the context, whose watching takes as long
// again: readers wait for nobody.
func (db *DB) stmt(ctx context.Context, query string) *sql.Stmt {
	if db.dialect != SQLite || ctx.Err() != nil {
		return nil
	}
	if stmt, ok := db.stmts.Load(query); ok {
		return stmt.(*sql.Stmt)
	}
	stmt, err := db.read.PrepareContext(ctx, db.text(query))
	if err != nil {
		return nil
	}
	if first, ok := db.stmts.LoadOrStore(query, stmt); ok {
		_ = stmt.Close() // another was as quick
		return first.(*sql.Stmt)
	}
	return stmt
}

// text returns a query in the dialect.
func (db *DB) text(query string) string {
	if text, ok := db.queries.Load(query); ok {
		return text.(string)
	}
	text := translate(db.dialect, query)
	db.queries.Store(query, text)
	return text
}

// translate numbers the placeholders for PostgreSQL, and drops the locking clause for SQLite. Literals in quotes may
// contain a question mark.
func translate(d Dialect, query string) string {
	if d == SQLite {
		for _, clause := range []string{" FOR UPDATE", " FOR NO KEY UPDATE", " FOR SHARE"} {
			query = strings.TrimSuffix(query, clause)
		}
		return query
	}
	var b strings.Builder
	quoted, n := false, 0
	for _, r := range query {
		switch {
		case r == '\'':
			quoted = !quoted
		case r == '?' && !quoted:
			n++
			b.WriteString("$" + strconv.Itoa(n))
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Package pgstate keeps what was signed last for a log, and who signs next, in a PostgreSQL: the trillianlog.State of
// publishers on several machines. Use [Open].
//
// It must be another database than Trillian's, which is not backed up and restored together with it: the state is what
// tells that Trillian's database was rolled back. One database serves any number of logs.
package pgstate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/touchmark-dev/touchmark/translog/trillianlog"
)

// One row for each log: the mark is in the row that Swap changes, so that one of the two comes first. The times are those of
// the database's clock alone.
const schema = `CREATE TABLE IF NOT EXISTS touchmark_signed (
	origin text PRIMARY KEY,
	checkpoint bytea NOT NULL,
	term bigint NOT NULL DEFAULT 0,
	holder text NOT NULL DEFAULT '',
	expires timestamptz NOT NULL DEFAULT '-infinity',
	halt bytea
)`

// A table that was made before there were marks has no column for them.
const addHalt = `ALTER TABLE touchmark_signed ADD COLUMN IF NOT EXISTS halt bytea`

const ( // of the codes of PostgreSQL
	undefinedTable  = "42P01"
	undefinedColumn = "42703"
)

// A State is the row of one log. It is safe for concurrent use.
type State struct {
	config *pgx.ConnConfig
	origin string

	mu   sync.Mutex
	conn *pgx.Conn // nil: connect
}

var _ trillianlog.State = (*State)(nil)

// Open returns the state of the log of this origin in the database at a URL, postgresql://USER@HOST/DATABASE. It connects
// when it is first asked, and Begin makes its table; one
// of an earlier version gets the column that it lacks, for which the user must own it. Of several hosts in the URL, and in any case, it
// asks one that takes changes: a standby may be behind.
func Open(url, origin string) (*State, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("pgstate: %w", err)
	}
	if origin == "" {
		return nil, errors.New("pgstate: the state of a log needs the log's origin")
	}
	if config.RuntimeParams["synchronous_commit"] == "" {
		config.RuntimeParams["synchronous_commit"] = "on" // whatever the server's default is: a checkpoint kept must stay
	}
	config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite // a replica that lags tells of an older one
	return &State{config: config, origin: origin}, nil
}

// Close ends the connection.
func (s *State) Close(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil {
		return nil
	}
	conn := s.conn
	s.conn = nil
	return conn.Close(ctx)
}

// do runs something on the connection, which does not outlive an error.
func (s *State) do(ctx context.Context, run func(*pgx.Conn) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil {
		conn, err := pgx.ConnectConfig(ctx, s.config)
		if err != nil {
			return fmt.Errorf("pgstate: %w", err)
		}
		s.conn = conn
	}
	err := run(s.conn)
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == undefinedColumn {
		if _, err = s.conn.Exec(ctx, addHalt); err == nil {
			err = run(s.conn)
		}
	}
	if err == nil || errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	_ = s.conn.Close(context.WithoutCancel(ctx)) // the error says why
	s.conn = nil
	return fmt.Errorf("pgstate: %w", err)
}

// Begin implements trillianlog.State.
func (s *State) Begin(ctx context.Context, note []byte) (kept []byte, err error) {
	err = s.do(ctx, func(conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, schema); err != nil {
			return err
		}
		_, err := conn.Exec(ctx, `INSERT INTO touchmark_signed (origin, checkpoint) VALUES ($1, $2) ON CONFLICT DO NOTHING`, s.origin, note)
		if err != nil {
			return err
		}
		return conn.QueryRow(ctx, `SELECT checkpoint FROM touchmark_signed WHERE origin = $1`, s.origin).Scan(&kept)
	})
	return kept, err
}

// Read implements trillianlog.State.
func (s *State) Read(ctx context.Context) (kept []byte, err error) {
	err = s.do(ctx, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `SELECT checkpoint FROM touchmark_signed WHERE origin = $1`, s.origin).Scan(&kept)
	})
	return kept, s.missing(err)
}

func (s *State) missing(err error) error {
	var pg *pgconn.PgError
	if errors.Is(err, pgx.ErrNoRows) || errors.As(err, &pg) && pg.Code == undefinedTable {
		return fmt.Errorf("pgstate: no log %q was begun: %w", s.origin, fs.ErrNotExist)
	}
	return err
}

// Claim implements trillianlog.State.
func (s *State) Claim(ctx context.Context, candidate string, lease time.Duration) (term uint64, elected bool, err error) {
	err = s.do(ctx, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `UPDATE touchmark_signed
			SET term = CASE WHEN holder = $2 THEN term ELSE term + 1 END, holder = $2, expires = clock_timestamp() + $3::interval
			WHERE origin = $1 AND halt IS NULL AND (holder = $2 OR expires < clock_timestamp())
			RETURNING term`, s.origin, candidate, lease).Scan(&term)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, false, s.free(ctx)
	}
	return term, err == nil, err
}

// Swap implements trillianlog.State.
func (s *State) Swap(ctx context.Context, term uint64, older, newer []byte) error {
	err := s.change(ctx, trillianlog.ErrNotElected, `UPDATE touchmark_signed SET checkpoint = $4
		WHERE origin = $1 AND halt IS NULL AND term = $2 AND term > 0 AND checkpoint = $3`, s.origin, term, older, newer)
	if errors.Is(err, trillianlog.ErrNotElected) {
		if halted := s.free(ctx); halted != nil {
			return halted
		}
	}
	return err
}

// change runs a statement that changes the row. The error is otherwise if it did not.
func (s *State) change(ctx context.Context, otherwise error, statement string, args ...any) error {
	return s.do(ctx, func(conn *pgx.Conn) error {
		tag, err := conn.Exec(ctx, statement, args...)
		if err == nil && tag.RowsAffected() == 0 {
			err = otherwise
		}
		return err
	})
}

// free returns trillianlog.ErrHalted if there is a mark.
func (s *State) free(ctx context.Context) error {
	mark, err := s.Halted(ctx)
	switch {
	case errors.Is(err, fs.ErrNotExist): // no log was begun: there is nothing to claim either
		return nil
	case err == nil && mark != nil:
		return trillianlog.ErrHalted
	}
	return err
}

// Halt implements trillianlog.State.
func (s *State) Halt(ctx context.Context, older, mark []byte) error {
	err := s.change(ctx, errOtherMark, `UPDATE touchmark_signed SET halt = $3 WHERE origin = $1 AND halt IS NOT DISTINCT FROM $2`, s.origin, older, mark)
	if errors.Is(err, errOtherMark) {
		if _, missing := s.Halted(ctx); missing != nil {
			return missing
		}
	}
	return s.missing(err)
}

// Halted implements trillianlog.State.
func (s *State) Halted(ctx context.Context) (mark []byte, err error) {
	err = s.do(ctx, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `SELECT halt FROM touchmark_signed WHERE origin = $1`, s.origin).Scan(&mark)
	})
	return mark, s.missing(err)
}

var errOtherMark = errors.New("another mark is there, or none, or another checkpoint")

// Resume implements trillianlog.State.
func (s *State) Resume(ctx context.Context, mark, older, newer []byte) error {
	return s.change(ctx, errOtherMark, `UPDATE touchmark_signed SET halt = NULL, checkpoint = $4
		WHERE origin = $1 AND halt = $2 AND checkpoint = $3`, s.origin, mark, older, newer)
}

// Release implements trillianlog.State.
func (s *State) Release(ctx context.Context, term uint64) error {
	return s.do(ctx, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, `UPDATE touchmark_signed SET holder = '', expires = '-infinity' WHERE origin = $1 AND term = $2`, s.origin, term)
		return err
	})
}

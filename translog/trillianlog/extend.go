package trillianlog

import (
	"context"
	"fmt"
	"time"

	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/internal/tiles"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
)

const (
	firstAnalysis = 1000                   // entries
	slowRead      = 300 * time.Millisecond // for readLeaves entries: milliseconds, unless the planner has gone astray
	analysisPause = time.Minute
)

// extend makes the tiles of the entries up to a tree of the database, and holds the tree against them.
func extend(ctx context.Context, w *tiles.Writer, tree translog.Tree,
	read func(ctx context.Context, from, end uint64) ([][]byte, error),
	verdict func(code translog.Code, tree translog.Tree, format string, args ...any) error,
) error {
	for w.Size() < tree.Size {
		entries, err := read(ctx, w.Size(), tree.Size)
		if err != nil {
			return err
		}
		if err := translog.CheckEntries(entries); err != nil {
			return verdict(translog.CodeEntryInvalid, tree, "entries from %d on: %v", w.Size(), err)
		}
		for _, entry := range entries {
			if err := w.Add(entry); err != nil {
				return err
			}
		}
		if err := w.FlushFull(maxHeld); err != nil {
			return err
		}
	}
	got, err := w.Tree()
	if err != nil {
		return err
	}
	if got != tree {
		return verdict(translog.CodeConsistencyInvalid, tree, "the entries of the database have the root %x", got.Root)
	}
	return w.Flush()
}

// collect removes the partial tiles of the entries from one on to before another that there are full ones of. These are
// those of a tree that is shown: what lies beyond it may be written again.
func collect(w *tiles.Writer, from, shown uint64) error {
	for n := from / tlogclient.BundleWidth; (n+1)*tlogclient.BundleWidth <= shown; n++ {
		if err := w.Collect(n); err != nil {
			return err
		}
	}
	return nil
}

// An entrySource reads entries from the database, and watches over its planner: a PostgreSQL that does not know a new
// tree yet reads whole tables for a few entries.
type entrySource struct {
	remote *remote
	cfg    *Config

	next     uint64    // size at which the database is to look at its tables anew
	analyzed time.Time // the last time that was asked for, or told to be missing
}

// read returns entries from an index on, of those before end, at least one.
func (s *entrySource) read(ctx context.Context, from, end uint64) ([][]byte, error) {
	began := time.Now()
	entries, err := s.remote.entries(ctx, from, min(end-from, readLeaves))
	if took := time.Since(began); took > slowRead && time.Since(s.analyzed) > analysisPause {
		s.cfg.Notice(fmt.Errorf("trillianlog: reading %d entries took %v: the planner of PostgreSQL does not know the tree; run ANALYZE leafdata, sequencedleafdata", len(entries), took.Round(time.Millisecond)))
		s.analyze(ctx)
	}
	if err == nil && len(entries) == 0 {
		err = fmt.Errorf("trillianlog: the server does not answer with entry %d, which is in its tree", from)
	}
	return entries, err
}

// grown has the tables looked at when the log has grown to 1,000 entries, and tenfold from there.
func (s *entrySource) grown(ctx context.Context, size uint64) {
	if s.next == 0 {
		s.next = firstAnalysis
	}
	if size < s.next {
		return
	}
	for s.next <= size {
		s.next *= 10
	}
	s.analyze(ctx)
}

func (s *entrySource) analyze(ctx context.Context) {
	s.analyzed = time.Now()
	if s.cfg.Analyze == nil {
		return
	}
	if err := s.cfg.Analyze(ctx); err != nil {
		s.cfg.Notice(fmt.Errorf("trillianlog: analyze: %w", err))
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/evidence/index"
)

// maxJournals bounds how many journals are read at once.
const maxJournals = 64

// filterFlags say which records of which journals are wanted.
func filterFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "evidence", Usage: "the directory of a journal, `DIR`"},
		&cli.Uint64Flag{Name: "from", Usage: "begin with sequence number `N`"},
		&cli.StringFlag{Name: "since", Usage: "records of `TIME` and later: Unix seconds or RFC 3339"},
		&cli.StringFlag{Name: "until", Usage: "records from before `TIME`"},
		&cli.StringFlag{Name: "kind", Usage: "records of the kind `K` alone: genesis, decision, outcome, heartbeat, change, refusals"},
		&cli.StringFlag{Name: "id", Usage: "the record with this id, `ID`"},
		&cli.StringFlag{Name: "caller", Usage: "decisions about the caller `WHO` alone: a DID, whom the channel authenticated, or anonymous"},
		&cli.StringFlag{Name: "tool", Usage: "decisions about the tool `NAME` alone"},
		&cli.StringFlag{Name: "target", Usage: "decisions about the target `NAME` alone: a tool, a prompt, the URI of a resource"},
		&cli.StringFlag{Name: "capability", Usage: "decisions about capabilities of the kind `KIND` alone"},
		&cli.StringFlag{Name: "decision", Usage: "decisions `D` alone: allow, deny, require_approval, allow_with_constraints"},
		&cli.StringFlag{Name: "reason", Usage: "denials with the reason or the cause `CODE` alone"},
		&cli.StringFlag{Name: "rule", Usage: "decisions by the rule `ID` alone"},
		&cli.StringFlag{Name: "tenant", Usage: "decisions for the tenant `NAME` alone"},
		&cli.BoolFlag{Name: "outcomes", Usage: "with what is about decisions: their outcomes, too"},
		&cli.BoolFlag{Name: "newest", Usage: "the newest first"},
		&cli.Uint64Flag{Name: "limit", Usage: "no more than `N` records"},
		&cli.BoolFlag{Name: "no-index", Usage: "read the journal from its beginning, and believe no index"},
		&cli.PathFlag{Name: "index", Usage: "keep the index in `DIR` instead of the journal's directory"},
	}
}

// readQuery reads what the flags ask for.
func readQuery(ctx *cli.Context) (q *index.Query, err error) {
	q = &index.Query{
		Filter: index.Filter{
			Kind: evidence.Kind(ctx.String("kind")), ID: ctx.String("id"), Caller: ctx.String("caller"), Target: ctx.String("target"),
			Capability: ctx.String("capability"), Decision: evidence.DecisionKind(ctx.String("decision")), Reason: ctx.String("reason"),
			Rule: ctx.String("rule"), Tenant: ctx.String("tenant"), Outcomes: ctx.Bool("outcomes"),
		},
		From: ctx.Uint64("from"), HasFrom: ctx.IsSet("from"), Newest: ctx.Bool("newest"), Limit: int(min(ctx.Uint64("limit"), 1<<62)), //nolint:gosec // bounded
	}
	if tool := ctx.String("tool"); tool != "" {
		if q.Target != "" || q.Capability != "" {
			return nil, usagef("--tool says what --target and --capability say: give it or them")
		}
		q.Target, q.Capability = tool, "tool"
	}
	decisions := []evidence.DecisionKind{evidence.Allow, evidence.Deny, evidence.RequireApproval, evidence.AllowWithConstraints}
	if q.Decision != "" && !slices.Contains(decisions, q.Decision) {
		return nil, usagef("--decision %q is none of %q: the list would be empty whatever was decided", q.Decision, decisions)
	}
	kinds := []evidence.Kind{
		evidence.KindGenesis, evidence.KindDecision, evidence.KindOutcome, evidence.KindHeartbeat, evidence.KindChange, evidence.KindRefusals,
	}
	if q.Kind != "" && !slices.Contains(kinds, q.Kind) {
		return nil, usagef("--kind %q is none of %q: the list would be empty whatever there is", q.Kind, kinds)
	}
	if ctx.IsSet("limit") && q.Limit == 0 {
		return nil, usagef("--limit 0 shows nothing: without it all records are shown")
	}
	for flag, t := range map[string]*time.Time{"since": &q.Since, "until": &q.Until} {
		if *t, err = readTime(flag, ctx.String(flag)); err != nil {
			return nil, err
		}
	}
	return q, nil
}

// readTime reads Unix seconds or RFC 3339.
func readTime(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return t, nil
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, usagef("--%s %q is neither Unix seconds nor RFC 3339", flag, text)
	}
	return time.Unix(seconds, 0), nil
}

// A finder answers a query about journals.
type finder struct {
	con      *console
	journals []string
	query    *index.Query
	indexes  []*index.Index // nil of a journal that is read
}

func newFinder(ctx *cli.Context) (_ *finder, err error) {
	if err := required(ctx, "evidence"); err != nil {
		return nil, err
	}
	f := &finder{con: consoleOf(ctx), journals: ctx.StringSlice("evidence")}
	if f.query, err = readQuery(ctx); err != nil {
		return nil, err
	}
	switch n := len(f.journals); {
	case n > maxJournals:
		return nil, usagef("%d journals: no more than %d are read at once", n, maxJournals)
	case n > 1 && f.query.HasFrom:
		return nil, hint(usagef("--from is a number in one journal, and there are %d", n), "go on by time: --since, or --until with --newest")
	case n > 1 && ctx.IsSet("index"):
		return nil, usagef("--index is for one journal, and there are %d", n)
	}
	f.indexes = make([]*index.Index, len(f.journals))
	for i, dir := range f.journals {
		if ctx.Bool("no-index") {
			break
		}
		cfg := &index.Config{Journal: dir, Dir: filepath.Clean(ctx.Path("index"))}
		if !ctx.IsSet("index") {
			cfg.Dir = ""
		}
		if f.indexes[i], err = openIndex(ctx.Context, f.con, cfg); err != nil {
			f.close()
			return nil, err
		}
	}
	if t := f.query.Tenant; t != "" {
		f.con.note("for the tenant %q alone: records of others are in the stream and are not shown. What is shown verifies record by record, "+
			"with receipts; that nothing of the tenant is left out, the whole stream shows", t)
	}
	return f, nil
}

// openIndex opens the index over a journal. Where there can be none, it says why, and the journal is read.
func openIndex(ctx context.Context, con *console, cfg *index.Config) (*index.Index, error) {
	if _, err := evidence.Segments(cfg.Journal); err != nil {
		return nil, err
	}
	x, err := index.Open(ctx, cfg)
	if err != nil && ctx.Err() != nil {
		return nil, err
	}
	if err != nil {
		con.note("the journal is read without an index: %v", err)
		return nil, nil
	}
	if n := x.Indexed(); n >= 1_000_000 {
		con.note("%d records are new in the index", n)
	}
	return x, nil
}

func (f *finder) close() {
	for i, x := range f.indexes {
		if x == nil {
			continue
		}
		if err := x.Close(); err != nil {
			f.con.note("closing the index of %s: %v", f.journals[i], err)
		}
	}
}

// find returns what the query asks for.
func (f *finder) find(ctx context.Context) iter.Seq2[*index.Found, error] {
	answers := make([]iter.Seq2[*index.Hit, error], len(f.journals))
	for i, dir := range f.journals {
		if x := f.indexes[i]; x != nil {
			answers[i] = x.Find(ctx, f.query)
		} else {
			answers[i] = index.Scan(ctx, dir, f.query)
		}
	}
	return func(yield func(*index.Found, error) bool) {
		left := f.query.Limit
		for found, err := range index.Merge(f.query.Newest, answers...) {
			if errors.Is(err, index.ErrNewest) {
				err = hint(usagef("%v", err), "use the index, or name a limit: --limit %d", index.MaxNewest)
			}
			if !yield(found, err) {
				return
			}
			if left--; left == 0 {
				return
			}
		}
	}
}

// summary says where to go on.
func (f *finder) summary(n int, last uint64) string {
	text := fmt.Sprintf("%d records", n)
	if n > 0 && len(f.journals) == 1 && !f.query.Newest {
		text += fmt.Sprintf(", the last one is %d: go on with --from %d", last, last+1)
	}
	return text
}

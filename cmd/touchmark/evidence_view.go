package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/evidence/export"
)

// verifyView checks entries that are a part of a stream.
func verifyView(ctx *cli.Context, keys evidence.Keys) error {
	if ctx.Bool("partial") {
		return usagef("--each takes entries from anywhere: --partial says nothing more")
	}
	con := consoleOf(ctx)
	view := &export.View{Keys: keys, Tenant: ctx.String("tenant")}
	for entry, err := range entriesOf(ctx) {
		if err == nil {
			_, err = view.Add(entry)
		}
		if err != nil {
			return err
		}
	}
	s := view.Summary()
	if s.Records == 0 {
		return undeterminedf("there are no records to verify")
	}
	if s.Unknown > 0 {
		con.note("%d records have members that this version does not know and says nothing about", s.Unknown)
	}
	whose := ""
	if view.Tenant != "" {
		whose = fmt.Sprintf(", all of the tenant %q", view.Tenant)
	}
	return con.result(map[string]any{
		"verdict": "accepted", "records": s.Records, "first": s.First, "last": s.Last, "server": s.Server.String(),
		"stream": s.Stream.String(), "gaps": s.Gaps, "complete": false, "unknown_members": s.Unknown,
	}, fmt.Sprintf("accepted: %d records of %s between %d and %d, each signed%s; records between them are in %d places, and whether any of "+
		"these belong here is not known", s.Records, s.Server, s.First, s.Last, whose, s.Gaps))
}

// A tenantCount counts the records of a tenant among those of a whole stream.
type tenantCount struct {
	tenant string
	open   map[uint64]bool
	n      uint64
}

func (c *tenantCount) add(r *evidence.Record) {
	switch {
	case c.tenant == "":
	case r.Decision != nil && r.Decision.Tenant == c.tenant:
		if c.open == nil {
			c.open = make(map[uint64]bool)
		}
		if r.Decision.Opens() {
			c.open[r.Sequence] = true
		}
		c.n++
	case r.Outcome != nil && c.open[r.Outcome.DecisionSequence]:
		delete(c.open, r.Outcome.DecisionSequence)
		c.n++
	}
}

// in adds the count to a result.
func (c *tenantCount) in(result map[string]any) map[string]any {
	if c.tenant != "" {
		result["tenant"], result["tenant_records"] = c.tenant, c.n
	}
	return result
}

func (c *tenantCount) note(con *console, all uint64) {
	if c.tenant != "" {
		con.note("%d of the records are of the tenant %q; the other %d are in the stream, were verified with it, and are of others or of nobody", c.n, c.tenant, all-c.n)
	}
}

// eachLine gives the lines of a file to yield, and reports whether more is wanted.
func eachLine(con *console, name string, yield func([]byte, error) bool) bool {
	in, err := con.openInput(name)
	if err != nil {
		yield(nil, err)
		return false
	}
	defer in.Close()
	lines := bufio.NewReaderSize(in, evidence.MaxEntryBytes+1)
	for n := 1; ; n++ {
		line, err := lines.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF) && len(line) == 0:
			return true
		case errors.Is(err, bufio.ErrBufferFull):
			yield(nil, usagef("%s: line %d is longer than an entry may be, %d bytes", name, n, evidence.MaxEntryBytes))
			return false
		case err != nil && !errors.Is(err, io.EOF):
			yield(nil, err)
			return false
		}
		if err == nil {
			line = line[:len(line)-1]
		}
		if !yield(line, nil) {
			return false
		}
		if err != nil {
			return true
		}
	}
}

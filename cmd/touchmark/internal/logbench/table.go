package logbench

import (
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// columns are those of the tables, in their order.
var columns = []struct {
	head string
	cell func(*Stage) string
}{
	{"records", func(s *Stage) string { return thousands(s.Records) }},
	{"acknowledged/s", func(s *Stage) string { return thousands(uint64(s.Acknowledged)) }},
	{"provable/s", func(s *Stage) string { return thousands(uint64(s.Provable)) }},
	{"acknowledge p50", func(s *Stage) string { return short(s.Acknowledge.P50) }},
	{"p99", func(s *Stage) string { return short(s.Acknowledge.P99) }},
	{"inclusion p50", func(s *Stage) string { return short(s.Inclusion.P50) }},
	{"p99", func(s *Stage) string { return short(s.Inclusion.P99) }},
	{"journal B", func(s *Stage) string { return thousands(uint64(s.JournalBytes)) }},
	{"log B", func(s *Stage) string { return thousands(uint64(s.LogBytes)) }},
	{"database B", func(s *Stage) string { return known(uint64(s.DatabaseBytes), thousands) }},
	{"peak memory", func(s *Stage) string {
		return known(s.Memory, func(n uint64) string { return thousands(n>>20) + " MiB" })
	}},
	{"proof", func(s *Stage) string { return short(s.Proof.P50) }},
	{"verification", func(s *Stage) string { return short(s.Verification.P50) }},
}

// Conditions says what the figures of r hold for.
func (r *Report) Conditions() string {
	promise, plural := "", "s"
	if r.Promise {
		promise = ", promises signed"
	}
	if r.Writers == 1 {
		plural = ""
	}
	return fmt.Sprintf("%s log, %d writer%s, at most %s records ahead of the last checkpoint%s; %s, GOMAXPROCS %d. "+
		"Bytes are for each record, proof and verification are medians.",
		r.Engine, r.Writers, plural, thousands(uint64(r.Ahead)), promise, r.System, r.CPUs) //nolint:gosec // positive
}

// Markdown returns the table of r in Markdown.
func (r *Report) Markdown() string {
	var b strings.Builder
	for _, c := range columns {
		b.WriteString("| " + c.head + " ")
	}
	b.WriteString("|\n" + strings.Repeat("|--:", len(columns)) + "|\n")
	for i := range r.Stages {
		for _, c := range columns {
			b.WriteString("| " + c.cell(&r.Stages[i]) + " ")
		}
		b.WriteString("|\n")
	}
	return b.String() + "\n" + r.Conditions() + "\n"
}

// Text returns the table of r for a terminal.
func (r *Report) Text() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(cell func(i int) string) {
		for i := range columns {
			fmt.Fprint(w, cell(i), "\t") //nolint:errcheck // to memory
		}
		fmt.Fprintln(w) //nolint:errcheck // to memory
	}
	row(func(i int) string { return columns[i].head })
	for at := range r.Stages {
		row(func(i int) string { return columns[i].cell(&r.Stages[at]) })
	}
	_ = w.Flush() // to memory
	return b.String() + r.Conditions() + "\n"
}

func known(n uint64, text func(uint64) string) string {
	if n == 0 {
		return "-"
	}
	return text(n)
}

// thousands writes 1234567 as 1,234,567.
func thousands(n uint64) string {
	text := strconv.FormatUint(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// short writes a time with three digits.
func short(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%.3g µs", float64(d)/float64(time.Microsecond))
	case d < time.Second:
		return fmt.Sprintf("%.3g ms", float64(d)/float64(time.Millisecond))
	}
	return fmt.Sprintf("%.3g s", d.Seconds())
}

package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/evidence"
)

func evidenceListCommand() *cli.Command {
	return &cli.Command{
		Name: "list", Usage: "list the records of one or several journals, oldest first",
		Description: "The records are as the journal has them, and nothing about them is verified: see evidence verify.\n\n" +
			"They are found by an index, which is kept in the directory index of the journal and made again where it is missing or\n" +
			"damaged. Who can write there can keep records from being found; --no-index reads the journal instead. Records of\n" +
			"several journals are put in the order of their times.\n\n" +
			"EXAMPLES\n  touchmark evidence list --evidence journal --tool write_file --decision deny --newest --limit 20\n" +
			"  touchmark evidence list --evidence journal --tenant acme --outcomes --since 2026-11-01T00:00:00Z\n" +
			"  touchmark evidence list --evidence acme/journal --evidence globex/journal --caller did:web:agents.example:ada",
		Flags:  filterFlags(),
		Action: evidenceList,
	}
}

// A recordLine is a record in a list.
type recordLine struct {
	Sequence uint64 `json:"seq"`
	Time     string `json:"time"`
	ID       string `json:"id"`
	Kind     string `json:"kind"`
	Journal  string `json:"journal,omitempty"` // of several: its directory
	Decision string `json:"decision,omitempty"`
	Tenant   string `json:"tenant,omitempty"`
	Rule     string `json:"rule,omitempty"`
	Method   string `json:"method,omitempty"`
	Target   string `json:"target,omitempty"`
	Caller   string `json:"caller,omitempty"`
	Reason   string `json:"reason,omitempty"`
	Outcome  string `json:"outcome,omitempty"`
	Of       string `json:"decision_id,omitempty"`

	// Of a record of refusals.
	Count  uint64   `json:"count,omitempty"`
	From   string   `json:"from,omitempty"`
	To     string   `json:"to,omitempty"`
	Groups []string `json:"groups,omitempty"` // spec/evidence.md section 2.6
}

// listTime is how a list shows times.
const listTime = "2006-01-02T15:04:05.000Z"

func describeRecord(r *evidence.Record) *recordLine {
	l := &recordLine{
		Sequence: r.Sequence, Time: r.Time.UTC().Format(listTime), ID: r.ID, Kind: string(r.Kind()),
	}
	if d := r.Decision; d != nil {
		l.Decision, l.Method, l.Target, l.Reason = string(d.Kind), d.Method, d.Target, d.DenyReason
		l.Tenant, l.Rule = d.Tenant, d.Rule
		l.Caller = string(d.Caller.Auth)
		if d.Caller.Auth == evidence.AuthBadge {
			l.Caller = d.Caller.DID.String()
		}
		if d.DenyCause != "" {
			l.Reason += "/" + d.DenyCause
		}
	}
	if n := r.Refusals; n != nil {
		l.Count, l.From, l.To = n.Count, n.From.UTC().Format(listTime), n.To.UTC().Format(listTime)
		for i := range n.Groups {
			l.Groups = append(l.Groups, n.Groups[i].String())
		}
	}
	if o := r.Outcome; o != nil {
		l.Outcome, l.Of = strings.TrimSuffix(string(o.Status)+" "+o.ErrorClass, " "), o.DecisionID
	}
	return l
}

func (l *recordLine) text() string {
	what := l.Outcome
	switch l.Kind {
	case string(evidence.KindDecision):
		what = strings.TrimSpace(fmt.Sprintf("%s %s %q %s %s", l.Decision, quoteUnlessWord(l.Method), l.Target, l.Caller, l.Reason))
		if l.Tenant != "" {
			what += fmt.Sprintf(" for %q", l.Tenant)
		}
	case string(evidence.KindRefusals):
		what = fmt.Sprintf("%d attempts from %s to %s: %q", l.Count, l.From, l.To, l.Groups)
	}
	if l.Journal != "" {
		what += " in " + strconv.Quote(l.Journal)
	}
	return strings.TrimSpace(fmt.Sprintf("%6d %s %s %-9s %s", l.Sequence, l.Time, l.ID, l.Kind, what))
}

// quoteUnlessWord keeps a method that a caller made up from passing for the columns behind it.
func quoteUnlessWord(s string) string {
	if quoted := strconv.Quote(s); strings.ContainsAny(s, " \u00a0") || quoted != `"`+s+`"` {
		return quoted
	}
	return s
}

func evidenceList(ctx *cli.Context) error {
	if err := wantArgs(ctx); err != nil {
		return err
	}
	f, err := newFinder(ctx)
	if err != nil {
		return err
	}
	defer f.close()
	con := consoleOf(ctx)
	for found, err := range f.find(ctx.Context) {
		if err != nil {
			return err
		}
		l := describeRecord(found.Record)
		if len(f.journals) > 1 {
			l.Journal = f.journals[found.Journal]
		}
		if err := con.result(l, l.text()); err != nil {
			return err
		}
	}
	return nil
}

package main

import (
	"crypto/ed25519"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/evidence"
)

func evidenceFlag() cli.Flag {
	return &cli.PathFlag{Name: "evidence", Usage: "the directory of the journal, `DIR`"}
}

func evidenceCommand() *cli.Command {
	return &cli.Command{
		Name: "evidence", Usage: "read and verify the records of what was decided",
		Subcommands: []*cli.Command{
			{
				Name: "list", Usage: "list the records of a journal, oldest first",
				Description: "The records are as the journal has them, and nothing about them is verified: see evidence verify.\n\n" +
					"EXAMPLE\n  touchmark evidence list --evidence journal --tool write_file",
				Flags: []cli.Flag{
					evidenceFlag(),
					&cli.Uint64Flag{Name: "from", Usage: "begin with sequence number `N`"},
					&cli.StringFlag{Name: "tool", Usage: "decisions about the target `NAME` alone"},
					&cli.StringFlag{Name: "decision", Usage: "decisions `D` alone: allow, deny, require_approval, allow_with_constraints"},
				},
				Action: evidenceList,
			},
			{
				Name: "show", Usage: "print the entry of a record, as it is in the log", ArgsUsage: "ID",
				Description: "EXAMPLE\n  touchmark evidence show --evidence journal --out record.json 0190...",
				Flags: []cli.Flag{
					evidenceFlag(),
					&cli.PathFlag{Name: "out", Usage: "write to `FILE` instead of standard output"},
					forceFlag(),
				},
				Action: evidenceShow,
			},
			{
				Name: "verify", Usage: "check signatures, and the chain of a stream; or what a disclosure shows", ArgsUsage: "[FILE...]",
				Description: "FILEs hold one entry each, in the order of the stream; without them the journal is read. With --disclosure\n" +
					"the file that evidence disclose made is checked, and what it shows printed.\n\nEXAMPLES\n" +
					"  touchmark evidence verify --did-document server.did.json --disclosure shown.json --log-policy log.policy\n" +
					"  touchmark evidence verify --did-document server.did.json receipts/*.json\n" +
					"  touchmark evidence verify --did-document server.did.json --partial record.json",
				Flags: []cli.Flag{
					evidenceFlag(),
					&cli.StringSliceFlag{Name: "did-document", Usage: "the server's DID document, from `FILE`"},
					&cli.BoolFlag{Name: "partial", Usage: "the stream may begin anywhere: what came before is not missed"},
					&cli.PathFlag{Name: "disclosure", Usage: "check the disclosures in `FILE`"},
					&cli.PathFlag{Name: "log-policy", Aliases: []string{"policy"}, Usage: "whom to trust about the receipt in it, `FILE`"},
					&cli.BoolFlag{Name: "allow-no-receipt", Usage: "and do with a file that does not show that the record is in a log"},
				},
				Action: evidenceVerify,
			},
			discloseCommand(),
		},
	}
}

// A recordLine is a record in a list.
type recordLine struct {
	Sequence uint64 `json:"seq"`
	Time     string `json:"time"`
	ID       string `json:"id"`
	Kind     string `json:"kind"`
	Decision string `json:"decision,omitempty"`
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
		what = fmt.Sprintf("%s %s %q %s %s", l.Decision, quoteUnlessWord(l.Method), l.Target, l.Caller, l.Reason)
	case string(evidence.KindRefusals):
		what = fmt.Sprintf("%d attempts from %s to %s: %q", l.Count, l.From, l.To, l.Groups)
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
	if err := required(ctx, "evidence"); err != nil {
		return err
	}
	kinds := []evidence.DecisionKind{evidence.Allow, evidence.Deny, evidence.RequireApproval, evidence.AllowWithConstraints}
	if d := ctx.String("decision"); d != "" && !slices.Contains(kinds, evidence.DecisionKind(d)) {
		return usagef("--decision %q is none of %q: the list would be empty whatever was decided", d, kinds)
	}
	con := consoleOf(ctx)
	for stored, err := range evidence.ReadJournal(ctx.Path("evidence"), ctx.Uint64("from")) {
		if err != nil {
			return err
		}
		e, err := evidence.ParseEntry(stored.Entry)
		if err != nil {
			return err
		}
		l := describeRecord(e.Record)
		if t := ctx.String("tool"); t != "" && l.Target != t {
			continue
		}
		if d := ctx.String("decision"); d != "" && l.Decision != d {
			continue
		}
		if err := con.result(l, l.text()); err != nil {
			return err
		}
	}
	return nil
}

func evidenceShow(ctx *cli.Context) error {
	if err := wantArgs(ctx, "ID"); err != nil {
		return err
	}
	if err := required(ctx, "evidence"); err != nil {
		return err
	}
	stored, err := evidence.FindRecord(ctx.Path("evidence"), ctx.Args().First())
	if err != nil {
		if codeOf(err) == exitInternal { // not the id of any record
			err = malformed(err)
		}
		return hint(err, "list the records with: touchmark evidence list --evidence %s", ctx.Path("evidence"))
	}
	// The entry is written to the octet: its hash is in the log.
	return consoleOf(ctx).writeOutput(ctx.Path("out"), stored.Entry, modePublic, ctx.Bool("force"))
}

func evidenceVerify(ctx *cli.Context) error {
	if err := required(ctx, "did-document"); err != nil {
		return err
	}
	if ctx.IsSet("disclosure") {
		return verifyDisclosure(ctx)
	}
	con := consoleOf(ctx)
	keys, err := evidenceKeys(ctx)
	if err != nil {
		return err
	}
	chain, err := evidence.NewChain(&evidence.ChainConfig{Keys: keys, AllowPartial: ctx.Bool("partial")})
	if err != nil {
		return malformed(err)
	}
	later := 0 // records with members of a later version
	for entry, err := range entriesOf(ctx) {
		var v *evidence.VerifiedEntry
		if err == nil {
			v, err = chain.Add(entry)
		}
		if err != nil {
			return err
		}
		if len(v.Record().Unknown) > 0 {
			later++
		}
	}
	s := chain.Summary()
	if s.Records == 0 {
		return undeterminedf("there are no records to verify")
	}
	if later > 0 {
		con.note("%d records have members that this version does not know and says nothing about", later)
	}
	return con.result(map[string]any{
		"verdict": "accepted", "records": s.Records, "first": s.First, "last": s.Last, "server": s.Server.String(),
		"stream": s.Stream.String(), "head": s.Head.String(), "open": len(s.Open),
		"unknown_members": later,
	}, fmt.Sprintf("accepted: %d records of %s, %d to %d, signed and without a gap; %d calls without an outcome",
		s.Records, s.Server, s.First, s.Last, len(s.Open)))
}

func evidenceKeys(ctx *cli.Context) (evidence.Keys, error) {
	keys := evidence.Keys{}
	for _, name := range ctx.StringSlice("did-document") {
		doc, err := readDocument(consoleOf(ctx), name)
		if err != nil {
			return nil, err
		}
		addKeys(keys, doc)
	}
	if len(keys) == 0 {
		return nil, usagef("the documents hold no Ed25519 key")
	}
	return keys, nil
}

func addKeys(keys evidence.Keys, doc *did.Document) {
	for _, m := range doc.Methods {
		if key, ok := m.Key.(ed25519.PublicKey); ok {
			keys[m.ID.String()] = key
		}
	}
}

// entriesOf returns the entries in the files named, or else in the journal.
func entriesOf(ctx *cli.Context) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		if !ctx.Args().Present() {
			if err := required(ctx, "evidence"); err != nil {
				yield(nil, hint(err, "or name files that hold entries"))
				return
			}
			for stored, err := range evidence.ReadJournal(ctx.Path("evidence"), 0) {
				if err != nil {
					yield(nil, err)
					return
				}
				if !yield(stored.Entry, nil) {
					return
				}
			}
			return
		}
		for _, name := range ctx.Args().Slice() {
			entry, err := consoleOf(ctx).readInput(name)
			if !yield(entry, err) || err != nil {
				return
			}
		}
	}
}

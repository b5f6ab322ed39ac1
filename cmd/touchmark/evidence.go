package main

import (
	"crypto/ed25519"
	"fmt"
	"iter"

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
		Subcommands: append(retainCommands(), []*cli.Command{
			evidenceListCommand(), evidenceExportCommand(), evidenceImportCommand(),
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
				Description: "FILEs hold one entry each, in the order of the stream, or with --lines one on each line; without them the journal\n" +
					"is read. With --tenant it says how many of the records are the tenant's; and of entries that are a part of the stream,\n" +
					"with --each, that they are the tenant's alone. With --disclosure the file that evidence disclose made is checked, and\n" +
					"what it shows printed.\n\nEXAMPLES\n" +
					"  touchmark evidence verify --did-document server.did.json --disclosure shown.json --log-policy log.policy\n" +
					"  touchmark evidence verify --did-document server.did.json receipts/*.json\n" +
					"  touchmark evidence verify --did-document server.did.json --each --lines --tenant acme acme.jsonl\n" +
					"  touchmark evidence verify --did-document server.did.json --partial record.json",
				Flags: []cli.Flag{
					evidenceFlag(),
					&cli.StringSliceFlag{Name: "did-document", Usage: "the server's DID document, from `FILE`"},
					&cli.BoolFlag{Name: "partial", Usage: "the stream may begin anywhere: what came before is not missed"},
					&cli.BoolFlag{Name: "each", Usage: "each entry by itself, in its order: what lies between them is not missed"},
					&cli.BoolFlag{Name: "lines", Usage: "FILEs hold an entry on each line, as evidence export writes them"},
					&cli.StringFlag{Name: "tenant", Usage: "the records of the tenant `NAME`: decisions, and the outcomes of these"},
					&cli.PathFlag{Name: "disclosure", Usage: "check the disclosures in `FILE`"},
					&cli.PathFlag{Name: "log-policy", Aliases: []string{"policy"}, Usage: "whom to trust about the receipt in it, or of records that were removed from the journal, `FILE`"},
					&cli.BoolFlag{Name: "allow-no-receipt", Usage: "and do with a file that does not show that the record is in a log"},
				},
				Action: evidenceVerify,
			},
			discloseCommand(),
		}...),
	}
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
	// The entry is written to the octet: its hash is in the log. Of a log of digests that is all that others can see.
	return consoleOf(ctx).writeOutput(ctx.Path("out"), stored.Entry, modeSecret, ctx.Bool("force"))
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
	if ctx.Bool("each") {
		return verifyView(ctx, keys)
	}
	chain, kept, err := beginChain(ctx, keys)
	if err != nil {
		return err
	}
	later := 0 // records with members of a later version
	mine := tenantCount{tenant: ctx.String("tenant")}
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
		mine.add(v.Record())
	}
	s := chain.Summary()
	kept.without(&s)
	if s.Records == 0 {
		return undeterminedf("there are no records to verify")
	}
	if later > 0 {
		con.note("%d records have members that this version does not know and says nothing about", later)
	}
	mine.note(con, s.Records)
	return con.result(mine.in(kept.members(map[string]any{
		"verdict": "accepted", "records": s.Records, "first": s.First, "last": s.Last, "server": s.Server.String(),
		"stream": s.Stream.String(), "head": s.Head.String(), "open": len(s.Open),
		"unknown_members": later,
	})), fmt.Sprintf("accepted: %d records of %s, %d to %d, signed and without a gap; %d calls without an outcome%s",
		s.Records, s.Server, s.First, s.Last, len(s.Open), kept.text()))
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
			if ctx.Bool("lines") {
				if !eachLine(consoleOf(ctx), name, yield) {
					return
				}
				continue
			}
			entry, err := consoleOf(ctx).readInput(name)
			if !yield(entry, err) || err != nil {
				return
			}
		}
	}
}

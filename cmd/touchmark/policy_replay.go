package main

import (
	"bufio"
	"fmt"
	"iter"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard/policy"
)

func policyReplayCommand() *cli.Command {
	return &cli.Command{
		Name: "replay", Usage: "say what a policy would have made of recorded decisions", ArgsUsage: "FILE [ENTRIES]",
		Description: "The records come from a journal (--evidence), or from the file ENTRIES with one entry to a line. They hold\n" +
			"hashes of arguments, and nothing of the claims of tokens: a decision that depends on them is reported as one\n" +
			"that cannot be told, and is not guessed. With --strict the exit code is 1 if an answer changes, and 3 if none\n" +
			"does and one cannot be told.\n\n" +
			"EXAMPLES\n  touchmark policy replay next.yaml --before policy.yaml --evidence journal\n" +
			"  touchmark policy replay next.yaml --did-document server.did.json --strict entries.jsonl",
		Flags: []cli.Flag{
			enforcesFlag(),
			evidenceFlag(),
			&cli.StringSliceFlag{Name: "did-document", Usage: "verify signatures by the server's DID document, from `FILE`"},
			&cli.PathFlag{Name: "before", Usage: "the policy that was in force, from `FILE`: it helps to tell classes of actors"},
			&cli.StringFlag{Name: "server-name", Usage: "the `NAME` that the gateway had for the server"},
			&cli.StringFlag{Name: "environment", Usage: "the environment `E` that the gateway ran in"},
			&cli.BoolFlag{Name: "annotations", Usage: "capabilities of the server have minimum levels beside them"},
			&cli.BoolFlag{Name: "strict", Usage: "refuse a policy that answers otherwise, or of which it cannot be told"},
		},
		Action: policyReplay,
	}
}

// codePolicyReplay is the verdict on a policy that would have answered otherwise.
const codePolicyReplay = "POLICY_REPLAY_CHANGED"

func policyReplay(ctx *cli.Context) error {
	if n := ctx.Args().Len(); n != 2 && (n != 1 || ctx.Path("evidence") == "") || n == 2 && ctx.Path("evidence") != "" {
		return usagef("it takes FILE, and either --evidence DIR or ENTRIES")
	}
	con := consoleOf(ctx)
	cfg := &policy.Config{Enforces: ctx.StringSlice("enforces"), Server: ctx.String("server-name"), Environment: ctx.String("environment")}
	p, err := readRulesAs(con, cfg, ctx.Args().First())
	if err != nil {
		return err
	}
	rc := &policy.ReplayConfig{Annotations: ctx.Bool("annotations")}
	if name := ctx.Path("before"); name != "" {
		if rc.Before, err = readRulesAs(con, &policy.Config{Enforces: policy.ConstraintNames()}, name); err != nil {
			return err
		}
	}
	records, err := recordsOf(ctx)
	if err != nil {
		return err
	}
	r, err := p.Replay(records, rc)
	if err != nil {
		return err
	}
	if r.Records == 0 {
		return undeterminedf("there are no records")
	}
	return printReplay(ctx, p, r)
}

func readRulesAs(con *console, cfg *policy.Config, name string) (*policy.Policy, error) {
	text, err := con.readInput(name)
	if err != nil {
		return nil, err
	}
	p, err := cfg.Parse(text)
	return p, inFile(name, err)
}

// recordsOf returns the records that a replay is about, verified if there are keys.
func recordsOf(ctx *cli.Context) (iter.Seq2[*evidence.Record, error], error) {
	var keys evidence.Keys
	var err error
	if ctx.IsSet("did-document") {
		if keys, err = evidenceKeys(ctx); err != nil {
			return nil, err
		}
	}
	entries := journalEntries(ctx.Path("evidence"))
	if name := ctx.Args().Get(1); name != "" {
		entries = entryLines(consoleOf(ctx), name)
	}
	return func(yield func(*evidence.Record, error) bool) {
		n := 0
		for entry, err := range entries {
			n++
			if err != nil {
				yield(nil, err)
				return
			}
			e, err := evidence.ParseEntry(entry)
			if err == nil && keys != nil {
				_, err = e.Verify(keys)
			}
			if err != nil {
				yield(nil, fmt.Errorf("entry %d: %w", n, err))
				return
			}
			if !yield(e.Record, nil) {
				return
			}
		}
	}, nil
}

func journalEntries(dir string) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for stored, err := range evidence.ReadJournal(dir, 0) {
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(stored.Entry, nil) {
				return
			}
		}
	}
}

// entryLines reads a file of entries, one to a line.
func entryLines(con *console, name string) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		from := con.in
		if name != "-" {
			f, err := os.Open(name)
			if err != nil {
				yield(nil, err)
				return
			}
			defer f.Close()
			from = f
		} else if con.read {
			yield(nil, usagef("standard input can be read once: give one of the files a name"))
			return
		}
		lines := bufio.NewScanner(from)
		lines.Buffer(nil, evidence.MaxEntryBytes+2)
		for lines.Scan() {
			if !yield(lines.Bytes(), nil) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(nil, fmt.Errorf("%s: %w", name, err))
		}
	}
}

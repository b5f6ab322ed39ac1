package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/cmd/touchmark/internal/logs"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
)

func logFlags(extra ...cli.Flag) []cli.Flag {
	return append([]cli.Flag{
		&cli.StringFlag{Name: "log", Usage: "the log: its directory, or the URL that it is served at, `DIR|URL`"},
		&cli.PathFlag{Name: "log-policy", Aliases: []string{"policy"}, Usage: "whom to trust: the policy `FILE` with the keys of log and witnesses"},
	}, extra...)
}

func outFlag() cli.Flag {
	return &cli.PathFlag{Name: "out", Usage: "write to `FILE` instead of standard output"}
}

func logCommand() *cli.Command {
	return &cli.Command{
		Name: "log", Usage: "keep, read and verify a transparency log",
		Subcommands: []*cli.Command{
			{
				Name: "init", Usage: "make a new log, its key and its policy", ArgsUsage: "DIR",
				Description: "Beside the directory of tiles DIR it makes DIR.key (secret), DIR.state (the last checkpoint\n" +
					"signed; never restore it from a backup) and DIR.policy (for those who verify). With --trillian the entries\n" +
					"are in a Trillian, where a tree is made for them, and DIR.trillian says where it is. A log of the form digest\n" +
					"holds hashes of records, for strangers to read, and DIR.form says so: the records stay in the journal.\n\nEXAMPLES\n" +
					"  touchmark log init --origin log.example.com/calls log\n" +
					"  touchmark log init --origin log.example.com/calls --trillian 127.0.0.1:8090 log\n" +
					"  touchmark log init --origin log.example.com/calls --trillian 127.0.0.1:8090 --shared log\n" +
					"  touchmark log init --origin log.example.com/calls --form digest log",
				Flags: append([]cli.Flag{
					&cli.StringFlag{Name: "origin", Usage: "the log's name, a URL without scheme, `NAME`"},
					&cli.StringFlag{Name: "form", Usage: "what it holds of each record: `FORM` record or digest", Value: evidence.FormRecord.String()},
				}, trillianFlags()...),
				Action: logInit,
			},
			logServeCommand(),
			logPublishCommand(),
			logResumeCommand(),
			logMigrateCommand(),
			logBenchCommand(),
			logWatchCommand(),
			logFaultCommand(),
			{Name: "checkpoint", Usage: "print the latest checkpoint, verified", Flags: logFlags(outFlag(), forceFlag()), Action: logCheckpoint},
			{
				Name: "prove", Usage: "write the proof that an entry is in the log",
				Description: "EXAMPLE\n  touchmark log prove --entry record.json --log log --policy log.policy --out record.tlog-proof",
				Flags: logFlags(&cli.PathFlag{Name: "entry", Usage: "the entry, in `FILE`"},
					&cli.Uint64Flag{Name: "index", Usage: "look for it from index `N` on"}, outFlag(), forceFlag()),
				Action: logProve,
			},
			{
				Name: "verify", Usage: "verify, offline, that an entry is in the log",
				Description: "The log may hold the entry or its digest: which it is, is told, and with --form must be that.\n\n" +
					"EXAMPLE\n  touchmark log verify --entry record.json --proof record.tlog-proof --policy log.policy",
				Flags: []cli.Flag{
					&cli.StringFlag{Name: "form", Usage: "what the log has to hold: `FORM` record or digest; either by default"},
					&cli.PathFlag{Name: "entry", Usage: "the entry, in `FILE`"},
					&cli.PathFlag{Name: "proof", Usage: "its proof, in `FILE`"},
					&cli.PathFlag{Name: "log-policy", Aliases: []string{"policy"}, Usage: "whom to trust, `FILE`"},
				},
				Action: logVerify,
			},
			{
				Name: "consistency", Usage: "verify that the log continues an older checkpoint",
				Description: "EXAMPLE\n  touchmark log consistency --older checkpoint.old --log https://log.example.com/calls --policy log.policy",
				Flags: logFlags(&cli.PathFlag{Name: "older", Usage: "the older checkpoint, in `FILE`"},
					&cli.PathFlag{Name: "newer", Usage: "the newer one, in `FILE`; the log's latest by default"}),
				Action: logConsistency,
			},
			logMonitorCommand(),
			logPageCommand(),
			logWitnessCommand(),
		},
	}
}

// trillianFlags say that a new log is to be in Trillian.
func trillianFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "trillian", Usage: "keep the entries in the Trillian whose log server is at `HOST:PORT`"},
		&cli.PathFlag{Name: "trillian-ca", Usage: "meet it with TLS, and verify it with the PEM certificates in `FILE`; needed beyond loopback"},
		&cli.PathFlag{Name: "trillian-cert", Usage: "show it the certificate chain, PEM in `FILE`"},
		&cli.PathFlag{Name: "trillian-key", Usage: "whose key is in `FILE`, PEM"},
		&cli.BoolFlag{Name: "shared", Usage: "let several gateways append to it; then touchmark log publish signs for it"},
		&cli.StringFlag{Name: "state", Usage: "keep what was signed last, and who signs, in the PostgreSQL at `URL`, for several publishers of a --shared log; else DIR.state does"},
		&cli.StringFlag{Name: "url", Usage: "where the --shared log will be served, `URL`: gateways without its directory read it there"},
	}
}

// newPlace is where a new log is to be. In Trillian it has a tree then.
func newPlace(ctx *cli.Context, dir, origin string) (*logs.Place, error) {
	p := &logs.Place{Dir: dir}
	if !ctx.IsSet("trillian") {
		if ctx.Bool("shared") {
			return nil, usagef("--shared needs --trillian: the embedded engine has one writer")
		}
		if ctx.IsSet("trillian-ca") || ctx.IsSet("trillian-cert") || ctx.IsSet("trillian-key") {
			return nil, usagef("--trillian-ca, --trillian-cert and --trillian-key need --trillian")
		}
		return p, nil
	}
	if !ctx.Bool("shared") && (ctx.IsSet("state") || ctx.IsSet("url")) {
		return nil, usagef("--state and --url are about a --shared log")
	}
	p.Trillian = &logs.Trillian{
		Server: ctx.String("trillian"), Shared: ctx.Bool("shared"), State: ctx.String("state"), URL: ctx.String("url"),
	}
	for flag, file := range map[string]*string{"trillian-ca": &p.Trillian.CA, "trillian-cert": &p.Trillian.Cert, "trillian-key": &p.Trillian.Key} {
		if !ctx.IsSet(flag) {
			continue
		}
		var err error
		if *file, err = filepath.Abs(ctx.Path(flag)); err != nil {
			return nil, err
		}
	}
	return p, logError(p.Trillian.MakeTree(ctx.Context, origin))
}

// logPlace finds the log at DIR or at a trillian:// URL, and its key.
func logPlace(where string) (*logs.Place, *translog.Signer, error) {
	p, err := logs.At(where)
	if err != nil {
		return nil, nil, logError(err)
	}
	text, err := os.ReadFile(p.Dir + ".key")
	if err != nil {
		return nil, nil, hint(err, "make a log with: touchmark log init --origin NAME %s", p.Dir)
	}
	signer, err := translog.ParseSigner(strings.TrimSpace(string(text)))
	return p, signer, malformed(err)
}

// logError is for errors of package logs: what no package has a type for is the configuration's.
func logError(err error) error {
	if codeOf(err) == exitInternal {
		return malformed(err)
	}
	return err
}

func logInit(ctx *cli.Context) error {
	if err := wantArgs(ctx, "DIR"); err != nil {
		return err
	}
	if err := required(ctx, "origin"); err != nil {
		return err
	}
	form, err := evidence.ParseLogForm(ctx.String("form"))
	if err != nil {
		return usagef("--form: %w", err)
	}
	con, dir := consoleOf(ctx), strings.TrimRight(ctx.Args().First(), "/")
	if err := checkNewLog(dir); err != nil {
		return err
	}
	vkey, err := makeLog(ctx, dir, ctx.String("origin"))
	if err != nil {
		return err
	}
	if err := logs.WriteForm(dir, form); err != nil {
		return err
	}
	return con.result(map[string]string{"origin": ctx.String("origin"), "vkey": vkey, "dir": dir, "form": form.String()},
		fmt.Sprintf("log    %s in %s\nkey    %s.key\npolicy %s.policy", ctx.String("origin"), dir, dir, dir))
}

// makeLog makes a log in dir and its files beside it, and returns its public key.
func makeLog(ctx *cli.Context, dir, origin string) (vkey string, err error) {
	con := consoleOf(ctx)
	skey, vkey, err := translog.GenerateKey(origin)
	if err != nil {
		return "", malformed(err)
	}
	place, err := newPlace(ctx, dir, origin)
	if err != nil {
		return "", err
	}
	if place.Trillian != nil {
		text, err := place.Trillian.Text()
		if err == nil {
			err = con.writeOutput(dir+logs.Suffix, text, modeSecret, false)
		}
		if err != nil {
			return "", err
		}
	}
	if err := con.writeOutput(dir+".key", []byte(skey+"\n"), modeSecret, false); err != nil {
		return "", err
	}
	policy := "log " + vkey + "\nquorum none\n"
	if err := con.writeOutput(dir+".policy", []byte(policy), modePublic, false); err != nil {
		return "", err
	}
	signer, err := translog.ParseSigner(skey)
	if err != nil {
		return "", err
	}
	return vkey, place.Create(ctx.Context, signer)
}

// checkNewLog refuses a place for a log where something is, before anything is
// made there.
func checkNewLog(dir string) error {
	for _, suffix := range []string{".key", ".policy", ".state", logs.Suffix, logs.FormSuffix} {
		if _, err := os.Lstat(dir + suffix); err == nil {
			return hint(usagef("%s%s is there already", dir, suffix), "a log is begun once: choose another DIR")
		}
	}
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case len(entries) > 0:
		return hint(usagef("%s is not empty", dir), "choose a DIR that does not exist")
	}
	return nil
}

// readPolicy reads the policy that --policy names.
func readPolicy(ctx *cli.Context) (*translog.Policy, error) {
	if err := required(ctx, "log-policy"); err != nil {
		return nil, err
	}
	text, err := consoleOf(ctx).readInput(ctx.Path("log-policy"))
	if err != nil {
		return nil, err
	}
	p, err := translog.ParsePolicy(text)
	return p, malformed(err)
}

// openLogClient reads the log that --log names, under the policy.
func openLogClient(ctx *cli.Context) (*tlogclient.Client, *translog.Policy, error) {
	policy, err := readPolicy(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err := required(ctx, "log"); err != nil {
		return nil, nil, err
	}
	source, err := sourceAt(ctx.String("log"))
	if err != nil {
		return nil, nil, err
	}
	return tlogclient.New(source, policy), policy, nil
}

func logCheckpoint(ctx *cli.Context) error {
	if err := wantArgs(ctx); err != nil {
		return err
	}
	client, _, err := openLogClient(ctx)
	if err != nil {
		return err
	}
	con := consoleOf(ctx)
	cp, err := client.Checkpoint(ctx.Context)
	if err != nil {
		return err
	}
	return con.artifact(ctx, cp.Note(), map[string]any{
		"verdict": verdictAccepted, "origin": cp.Origin(), "size": cp.Size(), "note": string(cp.Note()),
	})
}

func logProve(ctx *cli.Context) error {
	if err := wantArgs(ctx); err != nil {
		return err
	}
	if err := required(ctx, "entry"); err != nil {
		return err
	}
	client, _, err := openLogClient(ctx)
	if err != nil {
		return err
	}
	con := consoleOf(ctx)
	entry, err := con.readInput(ctx.Path("entry"))
	if err != nil {
		return err
	}
	cp, err := client.Checkpoint(ctx.Context)
	if err != nil {
		return err
	}
	proof, err := client.ProveEntry(ctx.Context, cp, entry, ctx.Uint64("index"))
	if errors.Is(err, tlogclient.ErrNotFound) {
		proof, err = client.ProveEntry(ctx.Context, cp, evidence.FormDigest.Leaf(entry), ctx.Uint64("index"))
	}
	if err != nil {
		if errors.Is(err, tlogclient.ErrNotFound) {
			err = hint(fmt.Errorf("the log of %d entries does not hold this entry: %w", cp.Size(), err),
				"a record that was just made is in the log after its next checkpoint")
		}
		return err
	}
	text, err := proof.MarshalText()
	if err != nil {
		return err
	}
	return con.artifact(ctx, text, map[string]any{
		"verdict": verdictAccepted, "origin": cp.Origin(), "size": cp.Size(), "proof": string(text),
	})
}

func logVerify(ctx *cli.Context) error {
	if err := wantArgs(ctx); err != nil {
		return err
	}
	if err := required(ctx, "entry", "proof"); err != nil {
		return err
	}
	policy, err := readPolicy(ctx)
	if err != nil {
		return err
	}
	con := consoleOf(ctx)
	entry, err := con.readInput(ctx.Path("entry"))
	if err != nil {
		return err
	}
	text, err := con.readInput(ctx.Path("proof"))
	if err != nil {
		return err
	}
	proof, err := translog.ParseProof(text)
	if err != nil {
		return err
	}
	in, form, err := verifyReceipt(ctx.String("form"), policy, entry, proof)
	if err != nil {
		return err
	}
	cp, what := in.Checkpoint(), "entry"
	if form == evidence.FormDigest {
		what = "digest"
	}
	return con.result(map[string]any{
		"verdict": "accepted", "origin": cp.Origin(), "index": in.Index(), "size": cp.Size(), "cosignatures": len(cp.Cosignatures()),
		"form": form.String(),
	}, fmt.Sprintf("accepted: %s %d of %d in %s", what, in.Index(), cp.Size(), cp.Origin()))
}

// verifyReceipt verifies a receipt from a log of a form, or with "" of either.
func verifyReceipt(form string, policy *translog.Policy, entry []byte, receipt *translog.Proof) (*translog.Inclusion, evidence.LogForm, error) {
	if form == "" {
		return evidence.VerifyReceipt(policy, entry, receipt)
	}
	want, err := evidence.ParseLogForm(form)
	if err != nil {
		return nil, want, usagef("--form: %w", err)
	}
	in, err := want.VerifyReceipt(policy, entry, receipt)
	return in, want, err
}

func logConsistency(ctx *cli.Context) error {
	if err := wantArgs(ctx); err != nil {
		return err
	}
	if err := required(ctx, "older"); err != nil {
		return err
	}
	client, policy, err := openLogClient(ctx)
	if err != nil {
		return err
	}
	con := consoleOf(ctx)
	older, err := readCheckpoint(con, policy, ctx.Path("older"))
	if err != nil {
		return err
	}
	newer, err := client.Checkpoint(ctx.Context)
	if name := ctx.Path("newer"); name != "" {
		newer, err = readCheckpoint(con, policy, name)
	}
	if err == nil {
		_, err = client.Consistency(ctx.Context, older, newer)
	}
	if err != nil {
		return err
	}
	return con.result(map[string]any{"verdict": "accepted", "origin": newer.Origin(), "older": older.Size(), "newer": newer.Size()},
		fmt.Sprintf("accepted: the log of %d entries continues the log of %d", newer.Size(), older.Size()))
}

func readCheckpoint(con *console, policy *translog.Policy, name string) (*translog.Checkpoint, error) {
	text, err := con.readInput(name)
	if err != nil {
		return nil, err
	}
	return policy.VerifyCheckpoint(text)
}

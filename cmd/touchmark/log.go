package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tesseralog"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
	"github.com/touchmark-dev/touchmark/translog/witness"
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
					"signed; never restore it from a backup) and DIR.policy (for those who verify).\n\nEXAMPLE\n" +
					"  touchmark log init --origin log.example.com/calls log",
				Flags:  []cli.Flag{&cli.StringFlag{Name: "origin", Usage: "the log's name, a URL without scheme, `NAME`"}},
				Action: logInit,
			},
			{
				Name: "serve", Usage: "serve a log's tiles to readers", ArgsUsage: "DIR",
				Description: "With --cosign, the witnesses of that policy are asked to cosign the log's checkpoints; what a quorum has\n" +
					"cosigned is served beside the log's own checkpoint.",
				Flags: []cli.Flag{
					&cli.StringFlag{Name: "listen", Usage: "the `ADDR` to listen at", Value: "127.0.0.1:8480"},
					&cli.PathFlag{Name: "cosign", Usage: "have checkpoints cosigned by the witnesses of the policy `FILE`"},
					&cli.DurationFlag{Name: "cosign-interval", Usage: "how often", Value: witness.DefaultInterval},
				},
				Action: logServe,
			},
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
				Description: "EXAMPLE\n  touchmark log verify --entry record.json --proof record.tlog-proof --policy log.policy",
				Flags: []cli.Flag{
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
			logWitnessCommand(),
		},
	}
}

// logConfig is the log in dir, with its files beside it.
func logConfig(dir string) (*tesseralog.Config, error) {
	dir = strings.TrimRight(dir, "/")
	text, err := os.ReadFile(dir + ".key")
	if err != nil {
		return nil, hint(err, "make a log with: touchmark log init --origin NAME %s", dir)
	}
	signer, err := translog.ParseSigner(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, malformed(err)
	}
	return &tesseralog.Config{Dir: dir, StatePath: dir + ".state", Signer: signer}, nil
}

func logInit(ctx *cli.Context) error {
	if err := wantArgs(ctx, "DIR"); err != nil {
		return err
	}
	if err := required(ctx, "origin"); err != nil {
		return err
	}
	con, dir := consoleOf(ctx), strings.TrimRight(ctx.Args().First(), "/")
	if err := checkNewLog(dir); err != nil {
		return err
	}
	vkey, err := makeLog(ctx, dir, ctx.String("origin"))
	if err != nil {
		return err
	}
	return con.result(map[string]string{"origin": ctx.String("origin"), "vkey": vkey, "dir": dir},
		fmt.Sprintf("log    %s in %s\nkey    %s.key\npolicy %s.policy", ctx.String("origin"), dir, dir, dir))
}

// makeLog makes a log in dir and its files beside it, and returns its public key.
func makeLog(ctx *cli.Context, dir, origin string) (vkey string, err error) {
	con := consoleOf(ctx)
	skey, vkey, err := translog.GenerateKey(origin)
	if err != nil {
		return "", malformed(err)
	}
	if err := con.writeOutput(dir+".key", []byte(skey+"\n"), modeSecret, false); err != nil {
		return "", err
	}
	policy := "log " + vkey + "\nquorum none\n"
	if err := con.writeOutput(dir+".policy", []byte(policy), modePublic, false); err != nil {
		return "", err
	}
	cfg, err := logConfig(dir)
	if err != nil {
		return "", err
	}
	return vkey, tesseralog.Create(ctx.Context, cfg)
}

// checkNewLog refuses a place for a log where something is, before anything is
// made there.
func checkNewLog(dir string) error {
	for _, suffix := range []string{".key", ".policy", ".state"} {
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

// Bounds of the server of tiles, which anybody may reach.
const (
	readTimeout     = 10 * time.Second
	writeTimeout    = time.Minute
	idleTimeout     = 30 * time.Second
	maxHeaderBytes  = 16 << 10
	shutdownTimeout = 5 * time.Second
)

func tileServer(dir string) *http.Server {
	return &http.Server{
		Handler: tlogclient.Handler(dir), MaxHeaderBytes: maxHeaderBytes,
		ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
	}
}

func logServe(ctx *cli.Context) error {
	if err := wantArgs(ctx, "DIR"); err != nil {
		return err
	}
	con, dir := consoleOf(ctx), ctx.Args().First()
	if _, err := os.Stat(filepath.Join(dir, "checkpoint")); err != nil {
		return hint(fmt.Errorf("%s holds no log: %w", dir, err), "make one with: touchmark log init --origin NAME %s", dir)
	}
	policy, err := cosigningPolicy(ctx)
	if err != nil {
		return err
	}
	if policy != nil {
		cosigning, cancel := context.WithCancel(ctx.Context)
		wait, err := startCosigning(cosigning, con, dir, policy, ctx.Duration("cosign-interval"))
		if err != nil {
			cancel()
			return err
		}
		defer func() { cancel(); wait() }()
	}
	ln, err := net.Listen("tcp", ctx.String("listen"))
	if err != nil {
		return err
	}
	if con.json {
		if err := con.line(map[string]string{"url": "http://" + ln.Addr().String()}); err != nil {
			return errors.Join(err, ln.Close())
		}
	}
	con.note("serving %s at http://%s", dir, ln.Addr())
	return serveUntilDone(ctx.Context, ln, tileServer(dir))
}

// cosigningPolicy reads the policy that --cosign names, nil without it.
func cosigningPolicy(ctx *cli.Context) (*translog.Policy, error) {
	if !ctx.IsSet("cosign") {
		if ctx.IsSet("cosign-interval") {
			return nil, usagef("--cosign-interval without --cosign")
		}
		return nil, nil //nolint:nilnil // as documented
	}
	text, err := consoleOf(ctx).readInput(ctx.Path("cosign"))
	if err != nil {
		return nil, err
	}
	p, err := translog.ParsePolicy(text)
	return p, malformed(err)
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
	where := ctx.String("log")
	if !strings.Contains(where, "://") {
		return tlogclient.New(tlogclient.Dir(where), policy), policy, nil
	}
	source, err := tlogclient.HTTP(&tlogclient.HTTPConfig{Prefix: where})
	if err != nil {
		return nil, nil, malformed(err)
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
	in, err := policy.Verify(entry, proof)
	if err != nil {
		return err
	}
	cp := in.Checkpoint()
	return con.result(map[string]any{
		"verdict": "accepted", "origin": cp.Origin(), "index": in.Index(), "size": cp.Size(), "cosignatures": len(cp.Cosignatures()),
	}, fmt.Sprintf("accepted: entry %d of %d in %s", in.Index(), cp.Size(), cp.Origin()))
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

package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/cmd/touchmark/internal/logbench"
	"github.com/touchmark-dev/touchmark/cmd/touchmark/internal/logs"
	"github.com/touchmark-dev/touchmark/translog"
)

const (
	benchOrigin   = "bench.example/calls"
	journalSuffix = ".journal"
)

func logBenchCommand() *cli.Command {
	return &cli.Command{
		Name: "bench", Usage: "measure a guard, its evidence and its log as the log grows",
		Description: "Callers with badges and call proofs call a guard, whose decisions and their outcomes go to a journal and from\n" +
			"there to a log; callers, guard and log share this machine. Whenever the log has grown tenfold, from 1,000\n" +
			"records on, a line is measured. Without --log everything is in a temporary directory (TMPDIR), which must be on a\n" +
			"disk to tell anything of disks. --log DIR makes a log and leaves it, with the journal in DIR.journal, or takes\n" +
			"one of log init without entries; --log trillian://HOST:PORT makes a tree there.\n\nEXAMPLES\n" +
			"  touchmark log bench\n" +
			"  touchmark log bench --records 1000000 --markdown --plot growth.svg\n" +
			"  touchmark log bench --log trillian://127.0.0.1:8090 --json",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "log", Usage: "the log: `DIR|trillian://HOST:PORT`"},
			&cli.IntFlag{Name: "records", Usage: "how many records `N` the log has in the end", Value: 100_000},
			&cli.IntFlag{Name: "writers", Usage: "how many `N` callers call at once", Value: 256},
			&cli.IntFlag{Name: "ahead", Usage: "how many records `N` callers may be ahead of the last checkpoint", Value: 20_000},
			&cli.BoolFlag{Name: "promise", Usage: "sign a promise with each decision, as a gateway does"},
			&cli.StringFlag{Name: "analyze", Usage: "the PostgreSQL that the Trillian is on, to make its statistics anew and ask for its size, `URL`"},
			&cli.PathFlag{Name: "plot", Usage: "draw the figures into `FILE`, as SVG"},
			&cli.BoolFlag{Name: "markdown", Usage: "print the table in Markdown"},
			forceFlag(),
		},
		Action: logBench,
	}
}

func logBench(ctx *cli.Context) (err error) {
	if err := wantArgs(ctx); err != nil {
		return err
	}
	con := consoleOf(ctx)
	cfg := &logbench.Config{
		Records: ctx.Int("records"), Writers: ctx.Int("writers"), Ahead: ctx.Int("ahead"), Promise: ctx.Bool("promise"),
		Notice: func(err error) { con.note("%v", err) },
		Stage:  func(s *logbench.Stage) { con.note("%d records: %.0f a second", s.Records, s.Provable) },
	}
	if err := cfg.Check(); err != nil {
		return malformed(err)
	}
	plot := ctx.Path("plot")
	if plot != "" {
		if err := free(plot, ctx.Bool("force")); err != nil {
			return err
		}
	}
	remove, err := benchPlace(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	r, err := logbench.Run(ctx.Context, cfg)
	switch {
	case errors.Is(err, logbench.ErrNotEmpty):
		return malformed(err)
	case err != nil:
		return migrateError(err)
	}
	if plot != "" {
		if err := con.writeOutput(plot, []byte(r.SVG()), modePublic, ctx.Bool("force")); err != nil {
			return err
		}
	}
	if ctx.Bool("markdown") {
		return con.result(r, r.Markdown())
	}
	return con.result(r, r.Text())
}

// benchPlace finds or makes the log that --log asks for. remove takes away what was made for the time being.
func benchPlace(ctx *cli.Context, cfg *logbench.Config) (remove func() error, err error) {
	where := ctx.String("log")
	server, trillian := strings.CutPrefix(where, "trillian://")
	if ctx.IsSet("analyze") && !trillian {
		return nil, usagef("--analyze needs --log trillian://HOST:PORT; of another log its file DIR%s says it", logs.Suffix)
	}
	if where != "" && !trillian {
		cfg.Journal = strings.TrimRight(where, "/") + journalSuffix
		if _, err := os.Lstat(cfg.Journal); err == nil {
			return nil, usagef("%s is there already: a log is measured from its beginning", cfg.Journal)
		}
		return func() error { return nil }, benchLog(ctx, cfg, strings.TrimRight(where, "/"))
	}
	dir, err := os.MkdirTemp("", "touchmark-bench-")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	cfg.Place, cfg.Journal = &logs.Place{Dir: filepath.Join(dir, "log")}, filepath.Join(dir, "journal")
	if trillian {
		cfg.Place.Trillian = &logs.Trillian{Server: server, Analyze: ctx.String("analyze")}
		if err := cfg.Place.Trillian.MakeTree(ctx.Context, benchOrigin); err != nil {
			return nil, logError(err)
		}
	}
	skey, _, err := translog.GenerateKey(benchOrigin)
	if err != nil {
		return nil, err
	}
	if cfg.Signer, err = translog.ParseSigner(skey); err != nil {
		return nil, err
	}
	return func() error { return os.RemoveAll(dir) }, cfg.Place.Create(ctx.Context, cfg.Signer)
}

// benchLog makes a log in dir, unless log init did.
func benchLog(ctx *cli.Context, cfg *logbench.Config, dir string) (err error) {
	if _, err := os.Lstat(dir + ".key"); err != nil {
		if err := checkNewLog(dir); err != nil {
			return err
		}
		if _, err := makeLog(ctx, dir, benchOrigin); err != nil {
			return err
		}
	}
	cfg.Place, cfg.Signer, err = logPlace(dir)
	return err
}

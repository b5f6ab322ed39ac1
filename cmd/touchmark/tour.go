package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/cmd/touchmark/internal/logs"
	"github.com/touchmark-dev/touchmark/cmd/touchmark/internal/tour"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/translog"
)

func tourCommand() *cli.Command {
	return &cli.Command{
		Name: "tour", Usage: "see the whole chain, and the attacks on it, on this machine (a DEMO)",
		Description: "It makes an issuer, three agents, a server with a guard and a log; calls, attacks, and verifies\n" +
			"everything offline. Only loopback is used. Exit code 0 means that every step held.\n\nEXAMPLES\n" +
			"  touchmark tour\n  touchmark tour --keep demo\n  touchmark tour --log trillian://127.0.0.1:8090\n  touchmark tour --form digest",
		Flags: []cli.Flag{
			&cli.PathFlag{Name: "keep", Usage: "leave everything it made in `DIR`, which must not exist"},
			&cli.StringFlag{Name: "trillian", Aliases: []string{"log"}, Usage: "keep the log in the Trillian at `trillian://HOST:PORT`, in a tree of its own"},
			&cli.StringFlag{Name: "form", Usage: "what the log holds of each record: `FORM` record or digest", Value: evidence.FormRecord.String()},
		},
		Action: runTour,
	}
}

func runTour(ctx *cli.Context) (err error) {
	if err := wantArgs(ctx); err != nil {
		return err
	}
	form, err := evidence.ParseLogForm(ctx.String("form"))
	if err != nil {
		return usagef("--form: %w", err)
	}
	con := consoleOf(ctx)
	dir := ctx.Path("keep")
	if dir != "" {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return hint(err, "--keep makes the directory itself")
		}
	} else {
		if dir, err = os.MkdirTemp("", "touchmark-tour-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	o := &tour.Options{Dir: dir, Out: con.out, LogForm: form}
	if err := logs.WriteForm(filepath.Join(dir, "log"), form); err != nil {
		return err
	}
	if ctx.IsSet("trillian") {
		o.OpenLog = tourLog(strings.TrimPrefix(ctx.String("trillian"), "trillian://"))
	}
	if con.json {
		o.Out = nil
		o.OnStep = func(s tour.StepResult) { err = errors.Join(err, con.line(s)) }
	}
	if runErr := tour.Run(ctx.Context, o); runErr != nil {
		runErr = errors.Join(err, rejectedf("%w", runErr))
		if con.json && con.printed { // after the steps that held
			runErr = errors.Join(runErr, con.line(verdictOf(runErr)))
		}
		return runErr
	}
	if con.json {
		return errors.Join(err, con.line(map[string]string{"verdict": "accepted", "label": tour.Banner}))
	}
	return err
}

// tourLog makes a log in Trillian, with the files beside it that other commands want.
func tourLog(server string) func(context.Context, string, *translog.Signer) (logs.Log, error) {
	return func(ctx context.Context, dir string, signer *translog.Signer) (logs.Log, error) {
		p := &logs.Place{Dir: dir, Trillian: &logs.Trillian{Server: server}}
		if err := p.Trillian.MakeTree(ctx, signer.Name()); err != nil {
			return nil, err
		}
		text, err := p.Trillian.Text()
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(dir+logs.Suffix, text, modeSecret); err != nil {
			return nil, err
		}
		if err := p.Create(ctx, signer); err != nil {
			return nil, err
		}
		return p.Open(ctx, signer, &logs.Options{CheckpointInterval: 200 * time.Millisecond})
	}
}

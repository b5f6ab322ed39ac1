package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/client"
	"github.com/touchmark-dev/touchmark/internal/jwk"
	"github.com/touchmark-dev/touchmark/internal/safehttp"
)

func badgeSyncCommand() *cli.Command {
	return &cli.Command{
		Name: "sync", Usage: "fetch the signed revocation list, to verify badges without the authority",
		Description: "The list is verified before it takes the place of an older one, which it has to continue. It is good for\n" +
			"five minutes: after that badges that it does not name are of unknown status, which refuses them.\n" +
			"With --keep it is fetched every minute until the command is ended, and so is the key set; files are\n" +
			"replaced in one step, systemd is told when the first list is there (Type=notify), and an authority or a\n" +
			"mirror that cannot be reached, or whose list goes back, is told of and asked again.\n\nEXAMPLES\n" +
			"  touchmark badge sync --issuer https://registry.example --out list.jwt --keys-out jwks.json\n" +
			"  touchmark badge verify --issuer https://registry.example=jwks.json --revocations list.jwt agent.badge\n" +
			"  touchmark badge sync --issuer https://registry.example --keep --out /run/trust/list.jwt --keys-out /run/trust/jwks.json",
		Flags: registryFlags(
			&cli.PathFlag{Name: "out", Usage: "keep the list in `FILE`"},
			&cli.PathFlag{Name: "keys-out", Usage: "write the authority's key set to `FILE` too, replacing what is there"},
			&cli.StringSliceFlag{Name: "mirror", Usage: "fetch the list from `URL` instead of the authority"},
			&cli.BoolFlag{Name: "keep", Usage: "go on until the command is ended"},
			&cli.DurationFlag{Name: "interval", Usage: "with --keep: the time between two fetches, 1s to 2m30s", Value: client.DefaultSyncInterval},
		), Action: badgeSync,
	}
}

// A syncer keeps the revocation list of an authority, and its key set, in files.
type syncer struct {
	ctx      *cli.Context
	con      *console
	from     *registry
	out      string
	keysFile string // empty for none
	list     *client.RevocationSync
}

func badgeSync(ctx *cli.Context) error {
	if err := wantArgs(ctx); err != nil {
		return err
	}
	if err := required(ctx, "out"); err != nil {
		return err
	}
	from, err := openRegistry(ctx, false)
	if err != nil {
		return err
	}
	s := &syncer{ctx: ctx, con: consoleOf(ctx), from: from, out: ctx.Path("out"), keysFile: ctx.Path("keys-out")}
	if s.out == "-" {
		return usagef("a list is kept in a file, not on standard output")
	}
	keys, done, err := from.keys(ctx)
	if err != nil {
		return err
	}
	defer done()
	cfg := &client.SyncConfig{
		Issuer: from.issuer, Keys: keys, Mirrors: ctx.StringSlice("mirror"), File: s.out, Interval: ctx.Duration("interval"),
		UnsafeAllowLoopback: ctx.Bool("insecure-loopback"), RootCAs: from.roots,
	}
	if ctx.Bool("keep") {
		cfg.OnList, cfg.OnError = s.newList, s.failed
	}
	if s.list, err = client.NewRevocationSync(cfg); err != nil {
		return malformed(err)
	}
	defer s.list.Close()
	if ctx.Bool("keep") {
		return s.keep()
	}
	return s.once()
}

func (s *syncer) once() error {
	if err := s.saveKeys(s.ctx.Context); err != nil {
		return err
	}
	if err := s.list.Sync(s.ctx.Context); err != nil {
		if is[*client.HistoryError](err) {
			return rejectedf("%w", err)
		}
		return undeterminedf("%w", err)
	}
	v, text := s.describe(s.list.List())
	return s.con.result(v, text)
}

func (s *syncer) describe(l *badge.RevocationList) (v map[string]string, text string) {
	asOf := moment(l.AsOf())
	return map[string]string{"issuer": s.from.issuer, "as_of": asOf, "revocations": s.out},
		fmt.Sprintf("revocations of %s as of %s in %s", s.from.issuer, asOf, s.out)
}

// keep goes on until the command is ended.
func (s *syncer) keep() error {
	ctx := s.ctx.Context
	go s.notifyWhenFresh(ctx)
	s.list.Run(ctx)
	s.con.notify(notifyStopping)
	return nil
}

// newList is told of each list before it is in its file. The keys are written
// first, one of which may be needed to read it.
func (s *syncer) newList(l *badge.RevocationList) {
	if err := s.saveKeys(s.ctx.Context); err != nil {
		s.con.note("%v", err)
	}
	v, text := s.describe(l)
	if s.con.json {
		if err := s.con.line(v); err == nil {
			return
		}
	}
	s.con.note("%s", text)
}

func (s *syncer) failed(err error, wait time.Duration) {
	what := "no list"
	if is[*client.HistoryError](err) {
		what = "a list that contradicts the one in use, which an operator has to look at"
	}
	s.con.note("%s: %v; again in %v", what, err, wait.Round(time.Second))
	if err := s.list.Fresh(); is[*client.StaleError](err) {
		s.con.note("%v", err)
	}
}

// notifyWhenFresh tells systemd once a list that counts is in its file.
func (s *syncer) notifyWhenFresh(ctx context.Context) {
	for s.list.Fresh() != nil {
		select {
		case <-ctx.Done():
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
	s.con.notify(notifyReady)
}

// saveKeys fetches the authority's key set and writes it as it came, unless it is
// there already.
func (s *syncer) saveKeys(ctx context.Context) error {
	if s.keysFile == "" {
		return nil
	}
	text, err := safehttp.Get(ctx, s.from.http, s.from.issuer+"/.well-known/jwks.json", jwk.MaxSetBytes)
	if err != nil {
		return undeterminedf("key set of %s: %w", s.from.issuer, err)
	}
	keys, err := client.ParseKeys(text)
	if err == nil && len(keys) == 0 {
		err = errors.New("it has no key")
	}
	if err != nil {
		return undeterminedf("key set of %s: %w", s.from.issuer, err)
	}
	text = append(bytes.TrimSpace(text), '\n')
	if old, err := os.ReadFile(s.keysFile); err == nil && bytes.Equal(old, text) {
		return nil
	}
	return s.con.writeOutput(s.keysFile, text, modePublic, true)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/client"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jwk"
)

func requestFlags(extra ...cli.Flag) []cli.Flag {
	return append(registryFlags(accountKeyFlag(),
		&cli.StringFlag{Name: "subject", Usage: "the agent that the badge is for, a registered `DID`"},
		&cli.PathFlag{Name: "key", Usage: "the agent's key in `FILE`; for --ial 0 its public half is enough"},
		&cli.StringFlag{Name: "key-id", Usage: "the key's `DID-URL` in the agent's document, #key-1 by default"},
		&cli.StringFlag{Name: "ial", Usage: "1: the key signs a challenge; 0: the account key alone answers for it", Value: "1"},
		&cli.StringSliceFlag{Name: "aud", Usage: "a verifier that may accept the badge; none means any"},
		&cli.DurationFlag{Name: "ttl", Usage: "time to expiry, 60s to 1h; the authority's default without it"},
		&cli.StringFlag{Name: "min-level", Usage: "refuse a badge below level `N`", Value: "1"},
		&cli.PathFlag{Name: "grant", Usage: "by the grant in `FILE`, instead of an account key: see badge domain"},
	), extra...)
}

func badgeRequestCommand() *cli.Command {
	return &cli.Command{
		Name: "request", Usage: "get a badge from an authority",
		Description: "The badge is checked before it is written: that it is the one asked for, and the authority's signature.\n\nEXAMPLE\n" +
			"  touchmark badge request --issuer https://registry.example --account-key-file acme.key \\\n" +
			"      --subject did:web:registry.example:agents:ada --key agent.jwk --out agent.badge",
		Flags: requestFlags(&cli.PathFlag{Name: "out", Usage: "write to `FILE` instead of standard output"}, forceFlag()), Action: badgeRequest,
	}
}

func badgeKeepCommand() *cli.Command {
	return &cli.Command{
		Name: "keep", Usage: "keep a fresh badge in a file, until it is ended",
		Description: "FILE always has the newest badge: it is replaced, in one step, between half and three quarters of a badge's\n" +
			"lifetime. systemd is told when the first one is there (Type=notify). It ends with exit code 1 when the\n" +
			"authority refuses for good.\n\nEXAMPLE\n" +
			"  touchmark badge keep --issuer https://registry.example --account-key-file acme.key \\\n" +
			"      --subject did:web:registry.example:agents:ada --key agent.jwk --out /run/agent/agent.badge",
		Flags: requestFlags(&cli.PathFlag{Name: "out", Usage: "keep the badge in `FILE`, replacing what is there"}), Action: badgeKeep,
	}
}

// openRequester returns what asks for the badge that the flags describe. done
// ends what it started.
func openRequester(ctx *cli.Context) (r *client.Requester, done func(), err error) {
	if err := required(ctx, "subject", "key"); err != nil {
		return nil, nil, err
	}
	minted := ctx.Path("grant") != ""
	from, err := openRegistry(ctx, !minted)
	if err != nil {
		return nil, nil, err
	}
	cfg := &client.RequesterConfig{
		Issuer: from.issuer, RootCAs: from.roots, KeyID: ctx.String("key-id"), Assurance: badge.Assurance(ctx.String("ial")),
		Audience: ctx.StringSlice("aud"), TTL: ctx.Duration("ttl"), UnsafeAllowLoopback: ctx.Bool("insecure-loopback"),
	}
	if !minted {
		if cfg.AccountKey, err = client.NewAccountKey(from.key); err != nil {
			return nil, nil, malformed(err)
		}
	}
	if cfg.Subject, err = did.Parse(ctx.String("subject")); err != nil {
		return nil, nil, malformed(err)
	}
	if cfg.MinLevel, err = badge.ParseLevel(ctx.String("min-level")); err != nil {
		return nil, nil, malformed(err)
	}
	if minted {
		if err := checkMinting(ctx, cfg); err != nil {
			return nil, nil, err
		}
	}
	if err := requestKey(ctx, cfg); err != nil {
		return nil, nil, err
	}
	if cfg.Keys, done, err = from.keys(ctx); err != nil {
		return nil, nil, err
	}
	r, err = client.NewRequester(cfg)
	if err != nil {
		done()
		return nil, nil, malformed(err)
	}
	return r, done, nil
}

// requestKey reads the agent's key.
func requestKey(ctx *cli.Context, cfg *client.RequesterConfig) error {
	data, err := consoleOf(ctx).readInput(ctx.Path("key"))
	if err != nil {
		return hint(err, "make a key with: touchmark key new --out FILE")
	}
	if private, err := jwk.ParsePrivate(data); err == nil {
		cfg.Key = private.Key
		return nil
	}
	pub, _, err := publicHalf(data)
	if err != nil {
		return usagef("%s: %v", ctx.Path("key"), err)
	}
	cfg.PublicKey = pub
	return nil
}

// keys returns the authority's keys: fetched, or with --issuer URL=FILE from a
// file.
func (r *registry) keys(ctx *cli.Context) (badge.KeySource, func(), error) {
	if issuer, file := issuerAndFile(ctx); file != "" {
		keys, err := client.FileKeys(map[string]string{issuer: file})
		if err != nil {
			return nil, nil, keySetError(err)
		}
		return keys, func() {}, nil
	}
	c, err := client.New(&client.Config{Issuers: []string{r.issuer}, UnsafeAllowLoopback: ctx.Bool("insecure-loopback"), RootCAs: r.roots})
	if err != nil {
		return nil, nil, malformed(err)
	}
	return c, c.Close, nil
}

// An issuedBadge tells which badge was issued, without it.
type issuedBadge struct {
	ID        string   `json:"jti"`
	Subject   string   `json:"subject"`
	Issuer    string   `json:"issuer"`
	Level     string   `json:"level"`
	Assurance string   `json:"assurance"`
	Domain    string   `json:"domain,omitempty"`
	Audience  []string `json:"audience,omitempty"`
	Expires   string   `json:"expires"`
	Badge     string   `json:"badge,omitempty"` // where it goes to no file
}

func describeIssued(b *client.Issued) *issuedBadge {
	return &issuedBadge{
		ID: b.ID, Subject: b.Subject.String(), Issuer: b.Issuer, Level: b.Level.String(), Assurance: string(b.Assurance),
		Domain: b.Domain, Audience: b.Audience, Expires: moment(b.ExpiresAt),
	}
}

func badgeRequest(ctx *cli.Context) error {
	if err := wantArgs(ctx); err != nil {
		return err
	}
	con, out := consoleOf(ctx), ctx.Path("out")
	if out != "" && out != "-" {
		if err := free(out, ctx.Bool("force")); err != nil {
			return err // before a badge is issued for nothing
		}
	}
	r, done, err := openRequester(ctx)
	if err != nil {
		return err
	}
	defer done()
	b, err := r.Request(ctx.Context)
	if err != nil {
		return err
	}
	d := describeIssued(b)
	if con.json && (out == "" || out == "-") {
		d.Badge = b.Token()
		return con.line(d)
	}
	if err := con.writeOutput(out, []byte(b.Token()+"\n"), modeSecret, ctx.Bool("force")); err != nil || out == "" || out == "-" {
		return err
	}
	return con.result(d, fmt.Sprintf("badge %s of level %s until %s in %s", d.ID, d.Level, d.Expires, out))
}

func badgeKeep(ctx *cli.Context) error {
	if err := wantArgs(ctx); err != nil {
		return err
	}
	if err := required(ctx, "out"); err != nil {
		return err
	}
	if ctx.Path("out") == "-" {
		return usagef("a badge is kept in a file, not on standard output")
	}
	r, done, err := openRequester(ctx)
	if err != nil {
		return err
	}
	defer done()
	con := consoleOf(ctx)
	k, err := client.NewKeeper(&client.KeeperConfig{
		Requester: r, File: ctx.Path("out"),
		OnBadge: con.kept,
		OnError: func(err error, wait time.Duration) {
			con.note("no badge: %v; again in %v", err, wait.Round(time.Second))
		},
	})
	if err != nil {
		return malformed(err)
	}
	running, cancel := context.WithCancel(ctx.Context)
	defer cancel()
	go con.notifyWhenKept(running, k, ctx.Path("out"))
	err = k.Run(running)
	con.notify(notifyStopping)
	return err
}

// kept tells of a new badge.
func (con *console) kept(b *client.Issued) {
	if con.json {
		if err := con.line(describeIssued(b)); err == nil {
			return
		}
	}
	con.note("badge %s of level %s until %s", b.ID, b.Level, moment(b.ExpiresAt))
}

// notifyWhenKept tells systemd once the first badge is in its file, which is
// shortly after there is one.
func (con *console) notifyWhenKept(ctx context.Context, k *client.Keeper, file string) {
	b, err := k.Current(ctx)
	for err == nil && ctx.Err() == nil {
		text, readErr := os.ReadFile(file)
		if readErr == nil && strings.TrimSpace(string(text)) == b.Token() {
			con.notify(notifyReady)
			return
		}
		if readErr != nil && !errors.Is(readErr, os.ErrNotExist) {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
		b, err = k.Current(ctx)
	}
}

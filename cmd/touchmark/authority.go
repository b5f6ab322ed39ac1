package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/badge/authority"
	"github.com/touchmark-dev/touchmark/did"
)

const (
	authorityName = "authority"

	// Files of an authority's directory.
	authorityConfig   = "authority.yaml"
	authorityDatabase = "authority.db"
	authorityKeys     = "keys"
	authorityLog      = "log"
	authorityAdmin    = "admin.key"
)

func authorityCommand() *cli.Command {
	return &cli.Command{
		Name: authorityName, Usage: "run an authority that issues badges",
		Subcommands: []*cli.Command{
			authorityInitCommand(), authorityServeCommand(), authorityKeyCommand(), authorityAccountCommand(),
		},
	}
}

// authorityFlags are the flags of the commands that work on an authority's
// directory.
func authorityFlags(extra ...cli.Flag) []cli.Flag {
	return append([]cli.Flag{
		&cli.StringFlag{Name: "issuer", Usage: "the authority's https origin, `URL`"},
		&cli.StringFlag{Name: "database", Usage: "sqlite:PATH, or postgres://... without a password, which PGPASSFILE or PGPASSWORD has, `URL`"},
		&cli.PathFlag{Name: "passphrase-file", Usage: "the passphrase of the signing keys, in `FILE`"},
	}, extra...)
}

// An authorityHome is the directory of an authority and what its configuration
// says.
type authorityHome struct {
	ctx              *cli.Context
	dir              string
	issuer, database string
	passphrase       func() (string, error) // of the signing keys; "" for none
}

// atAuthority fills in from the configuration of an authority what was not
// given.
func atAuthority(ctx *cli.Context, dir string, path []string, inherited bool) error {
	if dir == "" || len(path) > 1 && path[1] == "init" {
		return nil
	}
	name := filepath.Join(dir, authorityConfig)
	if _, err := os.Stat(name); err != nil {
		return hint(fmt.Errorf("--home: %w", err), "an authority is made by: touchmark authority init --out DIR --issuer URL")
	}
	c := &configFile{name: name, app: ctx.App, relative: dir, inherited: inherited}
	return c.apply(ctx, path)
}

// readAuthority returns the directory that --home names.
func readAuthority(ctx *cli.Context) (*authorityHome, error) {
	dir := consoleOf(ctx).home
	if dir == "" {
		return nil, hint(usagef("%s needs --home DIR", commandName(ctx)), "an authority is made by: touchmark authority init --out DIR --issuer URL")
	}
	return newAuthorityHome(ctx, dir)
}

func newAuthorityHome(ctx *cli.Context, dir string) (*authorityHome, error) {
	if err := required(ctx, "issuer"); err != nil {
		return nil, err
	}
	h := &authorityHome{ctx: ctx, dir: dir, issuer: ctx.String("issuer"), database: ctx.String("database")}
	h.passphrase = sync.OnceValues(func() (string, error) { return readPassphrase(ctx) })
	if err := checkIssuer(h.issuer); err != nil {
		return nil, err
	}
	if h.database == "" {
		h.database = "sqlite:" + h.file(authorityDatabase)
	}
	return h, checkDatabase("database", h.database)
}

func checkIssuer(issuer string) error {
	d, err := did.FromWebURL(issuer)
	if err == nil {
		var origin string
		if origin, err = d.Origin(); err == nil && origin != issuer {
			err = fmt.Errorf("it is written %q", origin)
		}
	}
	if err != nil {
		return hint(usagef("--issuer %q is no https origin: %v", issuer, err), "as in: --issuer https://registry.example")
	}
	return nil
}

// checkDatabase refuses a password where everybody on the machine can read it.
func checkDatabase(flag, database string) error {
	if strings.HasPrefix(database, "sqlite:") {
		return nil
	}
	u, err := url.Parse(database)
	if err != nil {
		return usagef("--%s is no URL", flag) // the error would repeat it
	}
	_, password := u.User.Password()
	if password || u.Query().Has("password") {
		return hint(usagef("--%s has a password in it, which others could read", flag),
			"leave it out, and keep the password in the file that PGPASSFILE names, or in PGPASSWORD")
	}
	return nil
}

func (h *authorityHome) file(name string) string { return filepath.Join(h.dir, name) }

// keyFiles opens the signing keys.
func (h *authorityHome) keyFiles() (*authority.KeyFiles, error) {
	return authority.OpenKeyFiles(h.file(authorityKeys), func(context.Context, string) (string, error) {
		text, err := h.passphrase()
		if err == nil && text == "" {
			err = errors.New("the key is encrypted: give --passphrase-file FILE")
		}
		return text, err
	})
}

// readPassphrase returns what --passphrase-file has, "" without it.
func readPassphrase(ctx *cli.Context) (string, error) {
	name := ctx.Path("passphrase-file")
	if name == "" {
		return "", nil
	}
	text, err := consoleOf(ctx).readInput(name)
	if err != nil {
		return "", err
	}
	passphrase := strings.TrimRight(string(text), "\r\n")
	if passphrase == "" {
		return "", usagef("--passphrase-file %s is empty", name)
	}
	return passphrase, nil
}

// open opens the authority. log is nil where another process ships to it.
func (h *authorityHome) open(log authority.Log, change func(*authority.Config)) (*authority.Authority, error) {
	keys, err := h.keyFiles()
	if err != nil {
		return nil, err
	}
	t, err := newTrust(h.ctx)
	if err != nil {
		return nil, err
	}
	cfg := &authority.Config{
		Issuer: h.issuer, Database: h.database, Signers: keys, Resolver: t.resolver, Log: log, LogElsewhere: log == nil,
		Logger: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(cfg)
	}
	a, err := authority.New(h.ctx.Context, cfg)
	if err != nil {
		return nil, undeterminedf("opening the authority: %w", err)
	}
	return a, nil
}

// withAuthority runs an act on the authority that --home names, whether it is
// being served or not.
func withAuthority(ctx *cli.Context, act func(h *authorityHome, a *authority.Authority) error) error {
	return changeAuthority(ctx, nil, act)
}

// changeAuthority is withAuthority with another configuration.
func changeAuthority(ctx *cli.Context, change func(*authority.Config), act func(h *authorityHome, a *authority.Authority) error) error {
	h, err := readAuthority(ctx)
	if err != nil {
		return err
	}
	a, err := h.open(nil, change)
	if err != nil {
		return err
	}
	err = act(h, a)
	switch {
	case authority.IsNotFound(err):
		err = malformed(err)
	case authority.IsConflict(err):
		err = rejectedf("%w", err)
	}
	return errors.Join(err, a.Close())
}

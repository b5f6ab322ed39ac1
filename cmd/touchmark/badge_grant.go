package main

import (
	"crypto"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/client"
	"github.com/touchmark-dev/touchmark/internal/jwk"
)

// A shownGrant tells of a grant, without it.
type shownGrant struct {
	ID         string `json:"grant_jti"`
	Issuer     string `json:"issuer"`
	Domain     string `json:"domain"`
	Thumbprint string `json:"agent_key_thumbprint"`
	Expires    string `json:"expires"`
}

func showGrant(g *client.Grant) *shownGrant {
	return &shownGrant{ID: g.ID, Issuer: g.Issuer, Domain: g.Domain, Thumbprint: g.Thumbprint, Expires: moment(g.ExpiresAt)}
}

// readGrant reads the grant in a file.
func readGrant(con *console, name string) (*client.Grant, error) {
	text, err := con.readToken(name)
	if err != nil {
		return nil, err
	}
	g, err := client.ParseGrant(text)
	if err != nil {
		return nil, hint(usagef("%s is no grant: %v", name, err), "a grant is had by: touchmark badge domain finalize")
	}
	return g, nil
}

// readGrantKey reads --key, nil when it is not given.
func readGrantKey(ctx *cli.Context) (crypto.Signer, error) {
	name := ctx.Path("key")
	if name == "" {
		return nil, nil
	}
	data, err := consoleOf(ctx).readInput(name)
	if err != nil {
		return nil, err
	}
	key, err := jwk.ParsePrivate(data)
	if err != nil {
		return nil, usagef("%s: %v", name, err)
	}
	return key.Key, nil
}

// A grantState is what an authority says about a grant.
type grantState struct {
	Verdict string `json:"verdict"`
	Code    string `json:"code,omitempty"`
	shownGrant
	client.GrantStatus
}

func domainStatus(ctx *cli.Context) error {
	if err := wantArgs(ctx, "GRANT"); err != nil {
		return err
	}
	if err := required(ctx, "key"); err != nil {
		return err
	}
	return withGrant(ctx, func(d *client.Domains, g *client.Grant, key crypto.Signer) error {
		s, err := d.Status(ctx.Context, g, key)
		if err != nil {
			return err
		}
		state := &grantState{Verdict: verdictAccepted, shownGrant: *showGrant(g), GrantStatus: *s}
		var no error
		if s.Status != "valid" {
			state.Verdict, state.Code = verdictRejected, "GRANT_"+strings.ToUpper(s.Status)
			no = rejectedf("grant %s is %s", g.ID, s.Status)
		}
		text := fmt.Sprintf("grant    %s\ndomain   %s\nstatus   %s\nexpires  %s", g.ID, g.Domain, s.Status, state.Expires)
		return errors.Join(consoleOf(ctx).result(state, text), no)
	})
}

func domainRevoke(ctx *cli.Context) error {
	if err := wantArgs(ctx, "GRANT"); err != nil {
		return err
	}
	if (ctx.Path("key") == "") == (ctx.Path("account-key-file") == "") {
		return usagef("%s needs one of --key FILE and --account-key-file FILE", commandName(ctx))
	}
	return withGrant(ctx, func(d *client.Domains, g *client.Grant, key crypto.Signer) error {
		s, err := d.Revoke(ctx.Context, g, key, ctx.String("reason"))
		if err != nil {
			return err
		}
		return consoleOf(ctx).result(&struct {
			*shownGrant
			*client.GrantStatus
		}{showGrant(g), s}, fmt.Sprintf("grant %s is revoked since %s", g.ID, s.RevokedAt))
	})
}

// withGrant asks the authority about the grant that is the argument.
func withGrant(ctx *cli.Context, ask func(*client.Domains, *client.Grant, crypto.Signer) error) error {
	g, err := readGrant(consoleOf(ctx), ctx.Args().First())
	if err != nil {
		return err
	}
	key, err := readGrantKey(ctx)
	if err != nil {
		return err
	}
	d, done, err := openDomains(ctx)
	if err != nil {
		return err
	}
	defer done()
	if issuer, _ := issuerAndFile(ctx); g.Issuer != issuer {
		return usagef("%s is a grant of %q, not of --issuer %q", ctx.Args().First(), g.Issuer, issuer)
	}
	return ask(d, g, key)
}

// checkMinting fills in what a badge is minted from.
func checkMinting(ctx *cli.Context, cfg *client.RequesterConfig) (err error) {
	if ctx.IsSet("ial") && cfg.Assurance != badge.AssurancePossession {
		return usagef("with --grant the badge has --ial 1")
	}
	if !ctx.IsSet("min-level") {
		cfg.MinLevel = badge.LevelNone // what a grant gives
	}
	cfg.Grant, err = readGrant(consoleOf(ctx), ctx.Path("grant"))
	return err
}

package main

import (
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/badge/client"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

func badgeDomainCommand() *cli.Command {
	return &cli.Command{
		Name: "domain", Usage: "show control of a domain, and get badges of level 2 for it",
		Description: "order says what to publish; finalize has the authority look at it, and keeps the grant, which binds the\n" +
			"domain to the agent's key for 90 days; mint gets badges by the grant, without an account.",
		Subcommands: []*cli.Command{
			domainOrderCommand(), domainFinalizeCommand(), domainMintCommand(), domainStatusCommand(), domainRevokeCommand(),
		},
	}
}

func domainOrderCommand() *cli.Command {
	return &cli.Command{
		Name: "order", Usage: "order a validation, and say what to publish for it", ArgsUsage: "DOMAIN",
		Description: "With http-01 that is a file, which DOMAIN serves over plain HTTP, on port 80 and without a redirect; with\n" +
			"dns-01 a TXT record. The order is good for 10 and 30 minutes. Some authorities want no account key.\n\nEXAMPLES\n" +
			"  touchmark badge domain order --issuer https://registry.example --account-key-file acme.key --key agent.jwk \\\n" +
			"      --type http-01 --webroot /var/www/acme.com --out order.json acme.com\n" +
			"  touchmark badge domain order --issuer https://registry.example --account-key-file acme.key --key agent.jwk \\\n" +
			"      --type dns-01 --out order.json acme.com",
		Flags: registryFlags(accountKeyFlag(),
			&cli.PathFlag{Name: "key", Usage: "the agent's Ed25519 key, private or public, in `FILE`; the public half is sent"},
			&cli.StringFlag{Name: "type", Usage: "http-01 or dns-01", Value: client.ChallengeHTTP01},
			&cli.PathFlag{Name: "webroot", Usage: "with http-01: write the file below `DIR`, which the domain serves"},
			&cli.PathFlag{Name: "out", Usage: "write the order, for finalize, to `FILE`"},
			forceFlag(),
		),
		Action: domainOrder,
	}
}

func domainFinalizeCommand() *cli.Command {
	return &cli.Command{
		Name: "finalize", Usage: "have the authority look at what the domain shows, and get the grant", ArgsUsage: "ORDER",
		Description: "It ends with exit code 1 while the domain does not show it: an order may be tried ten times.\n\nEXAMPLE\n" +
			"  touchmark badge domain finalize --issuer https://registry.example --account-key-file acme.key --out acme.grant order.json",
		Flags: registryFlags(accountKeyFlag(),
			&cli.PathFlag{Name: "out", Usage: "write the grant to `FILE`"},
			forceFlag(),
		),
		Action: domainFinalize,
	}
}

func domainMintCommand() *cli.Command {
	return &cli.Command{
		Name: "mint", Usage: "get a badge by a grant",
		Description: "The subject is a did:web of the grant's domain, whose document lists the key under authentication. badge keep\n" +
			"takes --grant too.\n\nEXAMPLE\n" +
			"  touchmark badge domain mint --issuer https://registry.example --grant acme.grant \\\n" +
			"      --subject did:web:acme.com --key agent.jwk --out agent.badge",
		Flags: requestFlags(&cli.PathFlag{Name: "out", Usage: "write to `FILE` instead of standard output"}, forceFlag()),
		Action: func(ctx *cli.Context) error {
			if err := required(ctx, "grant"); err != nil {
				return err
			}
			return badgeRequest(ctx)
		},
	}
}

func domainStatusCommand() *cli.Command {
	return &cli.Command{
		Name: "status", Usage: "ask the authority whether a grant still counts", ArgsUsage: "GRANT",
		Description: "EXAMPLE\n  touchmark badge domain status --issuer https://registry.example --key agent.jwk acme.grant",
		Flags:       registryFlags(grantKeyFlag()), Action: domainStatus,
	}
}

func domainRevokeCommand() *cli.Command {
	return &cli.Command{
		Name: "revoke", Usage: "revoke a grant, for good", ArgsUsage: "GRANT",
		Description: "It takes the grant's key, or the account key of whoever ordered it, or of an administrator. Badges that were\n" +
			"minted go on until they expire: badge revoke ends them.\n\nEXAMPLE\n" +
			"  touchmark badge domain revoke --issuer https://registry.example --key agent.jwk --reason \"sold\" acme.grant",
		Flags:  registryFlags(accountKeyFlag(), grantKeyFlag(), reasonFlag()),
		Action: domainRevoke,
	}
}

func grantKeyFlag() cli.Flag {
	return &cli.PathFlag{Name: "key", Usage: "the private key that the grant is bound to, in `FILE`"}
}

// openDomains returns the authority that the flags name, as one that validates
// domains. done ends what it started.
func openDomains(ctx *cli.Context) (d *client.Domains, done func(), err error) {
	r, err := openRegistry(ctx, false)
	if err != nil {
		return nil, nil, err
	}
	cfg := &client.DomainsConfig{Issuer: r.issuer, RootCAs: r.roots, UnsafeAllowLoopback: ctx.Bool("insecure-loopback")}
	if ctx.Path("account-key-file") != "" {
		text, err := readAccountKey(ctx)
		if err != nil {
			return nil, nil, err
		}
		if cfg.AccountKey, err = client.NewAccountKey(text); err != nil {
			return nil, nil, malformed(err)
		}
	}
	if cfg.Keys, done, err = r.keys(ctx); err != nil {
		return nil, nil, err
	}
	if d, err = client.NewDomains(cfg); err != nil {
		done()
		return nil, nil, malformed(err)
	}
	return d, done, nil
}

func domainOrder(ctx *cli.Context) error {
	if err := wantArgs(ctx, "DOMAIN"); err != nil {
		return err
	}
	if err := required(ctx, "key", "out"); err != nil {
		return err
	}
	con, kind, root := consoleOf(ctx), ctx.String("type"), ctx.Path("webroot")
	switch {
	case kind != client.ChallengeHTTP01 && kind != client.ChallengeDNS01:
		return usagef("--type %q is neither http-01 nor dns-01", kind)
	case root != "" && kind != client.ChallengeHTTP01:
		return usagef("--webroot goes with --type http-01")
	}
	if err := free(ctx.Path("out"), ctx.Bool("force")); err != nil {
		return err
	}
	key, err := readPublicKey(ctx)
	if err != nil {
		return err
	}
	d, done, err := openDomains(ctx)
	if err != nil {
		return err
	}
	defer done()
	o, err := d.Order(ctx.Context, ctx.Args().First(), kind, key)
	if err != nil {
		return err
	}
	if root != "" {
		if err := publishBelow(root, o); err != nil {
			return err
		}
	}
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if err := con.writeOutput(ctx.Path("out"), text, modePublic, ctx.Bool("force")); err != nil {
		return err
	}
	return con.result(o, whatToPublish(o, root))
}

func whatToPublish(o *client.DomainOrder, root string) string {
	what := "serve at  " + o.URL + "\nthe line  " + o.Content
	switch {
	case o.Type == client.ChallengeDNS01:
		what = "TXT record  " + o.Record + "\nwith text   " + o.Content
	case root != "":
		what = "written below " + root + ", to be served at  " + o.URL
	}
	return fmt.Sprintf("%s\n\nuntil %s, then: touchmark badge domain finalize", what, moment(o.ExpiresAt))
}

// publishBelow writes what an order wants to be served.
func publishBelow(root string, o *client.DomainOrder) error {
	u, err := url.Parse(o.URL)
	if err != nil {
		return err
	}
	name := filepath.Join(root, filepath.FromSlash(strings.TrimPrefix(u.Path, "/")))
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil { //nolint:gosec // it is served to everybody
		return err
	}
	return replaceFile(name, []byte(o.Content+"\n"), modePublic)
}

// readPublicKey reads the public half of --key.
func readPublicKey(ctx *cli.Context) (crypto.PublicKey, error) {
	data, err := consoleOf(ctx).readInput(ctx.Path("key"))
	if err != nil {
		return nil, hint(err, "make a key with: touchmark key new --out FILE")
	}
	pub, _, err := publicHalf(data)
	if err != nil {
		return nil, usagef("%s: %v", ctx.Path("key"), err)
	}
	return pub, nil
}

func domainFinalize(ctx *cli.Context) error {
	if err := wantArgs(ctx, "ORDER"); err != nil {
		return err
	}
	if err := required(ctx, "out"); err != nil {
		return err
	}
	con, out := consoleOf(ctx), ctx.Path("out")
	if err := free(out, ctx.Bool("force")); err != nil {
		return err // before the order is used up for nothing
	}
	text, err := con.readInput(ctx.Args().First())
	if err != nil {
		return err
	}
	var o client.DomainOrder
	if err := strictjson.UnmarshalStrict(text, &o); err != nil {
		return hint(usagef("%s is no order: %v", ctx.Args().First(), err), "an order is made by: touchmark badge domain order")
	}
	d, done, err := openDomains(ctx)
	if err != nil {
		return err
	}
	defer done()
	g, err := d.Finalize(ctx.Context, &o)
	if refused := (*client.RefusedError)(nil); errors.As(err, &refused) && refused.Code == "CHALLENGE_FAILED" {
		return hint(err, "%s", strings.Split(whatToPublish(&o, ""), "\n\n")[0])
	}
	if err != nil {
		return err
	}
	if err := con.writeOutput(out, []byte(g.Token()+"\n"), modeSecret, ctx.Bool("force")); err != nil {
		return err
	}
	return con.result(showGrant(g), fmt.Sprintf("grant %s for %s until %s in %s", g.ID, g.Domain, moment(g.ExpiresAt), out))
}

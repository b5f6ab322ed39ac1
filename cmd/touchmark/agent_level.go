package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/did"
)

func agentGrantCommand() *cli.Command {
	return &cli.Command{
		Name: "grant", Usage: "let badges of an agent say level 2, 3 or 4, as an administrator who examined it", ArgsUsage: "DID",
		Description: "What was granted before is replaced. The reason stands in the issuance log, for everybody and for ever. An owner\n" +
			"of a domain needs no administrator for level 2: see touchmark help badge domain.\n\nEXAMPLE\n" +
			"  touchmark agent grant --issuer https://registry.example --account-key-file admin.key --level 3 --domain acme.com \\\n" +
			"      --reason \"commercial register extract of 2026-11-20\" did:web:acme.com",
		Flags: registryFlags(accountKeyFlag(), levelReasonFlag(),
			&cli.StringFlag{Name: "level", Usage: "2 domain, 3 organisation, 4 extended validated"},
			&cli.StringFlag{Name: "domain", Usage: "the domain `NAME` that was examined, which its badges name"},
		),
		Action: agentGrant,
	}
}

func agentWithdrawCommand() *cli.Command {
	return &cli.Command{
		Name: "withdraw", Usage: "take back what was granted: badges of the agent say level 1 from now on", ArgsUsage: "DID",
		Description: "Badges that it has keep their level until they expire, an hour at most: badge revoke ends one, agent disable all.\n\nEXAMPLE\n" +
			"  touchmark agent withdraw --issuer https://registry.example --account-key-file admin.key \\\n" +
			"      --reason \"struck off the register\" did:web:acme.com",
		Flags: registryFlags(accountKeyFlag(), levelReasonFlag()),
		Action: func(ctx *cli.Context) error {
			return setLevel(ctx, badge.LevelRegistered, "")
		},
	}
}

func levelReasonFlag() cli.Flag {
	return &cli.StringFlag{Name: "reason", Usage: "why, for the issuance log, `TEXT`; required"}
}

func agentGrant(ctx *cli.Context) error {
	if err := wantArgs(ctx, "DID"); err != nil {
		return err
	}
	if err := required(ctx, "level", "domain"); err != nil {
		return err
	}
	level, err := badge.ParseLevel(ctx.String("level"))
	if err != nil {
		return malformed(err)
	}
	if !level.AtLeast(badge.LevelDomain) {
		return hint(usagef("--level %v is none that is granted: 2, 3 or 4", level), "level 1 is had by: touchmark agent withdraw")
	}
	return setLevel(ctx, level, ctx.String("domain"))
}

// setLevel has an authority grant an agent a level, and nothing above it.
func setLevel(ctx *cli.Context, level badge.Level, domain string) error {
	if err := wantArgs(ctx, "DID"); err != nil {
		return err
	}
	if err := required(ctx, "reason"); err != nil {
		return err
	}
	d, err := did.Parse(ctx.Args().First())
	if err != nil {
		return malformed(err)
	}
	r, err := openRegistry(ctx, true)
	if err != nil {
		return err
	}
	var is struct {
		DID    string `json:"did"`
		Level  string `json:"level"`
		Domain string `json:"domain,omitempty"`
	}
	body := map[string]string{"level": level.String(), "domain": domain, "reason": ctx.String("reason")}
	if err := r.post(ctx.Context, agentPath(d, "/level"), body, &is); err != nil {
		return err
	}
	if is.DID != d.String() || is.Level != level.String() {
		return undeterminedf("the authority's answer does not say that %s has level %v", d, level)
	}
	return consoleOf(ctx).result(&is, fmt.Sprintf("%s may have badges up to level %s", is.DID, is.Level))
}

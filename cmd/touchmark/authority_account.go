package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/badge/authority"
)

func authorityAccountCommand() *cli.Command {
	return &cli.Command{
		Name: "account", Usage: "who may register agents and get badges for them",
		Subcommands: []*cli.Command{
			{
				Name: "add", Usage: "add an account, with a first key",
				Description: "EXAMPLE\n  touchmark authority account add --home registry --name Acme --out acme.key",
				Flags:       authorityFlags(append(newKeyFlags(), &cli.StringFlag{Name: "name", Usage: "whose it is, `NAME`"})...),
				Action:      authorityAccountAdd,
			},
			{
				Name: "list", Usage: "list the accounts",
				Description: "EXAMPLE\n  touchmark authority account list --home registry",
				Flags:       authorityFlags(), Action: authorityAccountList,
			},
			{
				Name: "disable", Usage: "stop an account: its keys count no more, and its agents get no badges", ArgsUsage: "ACCOUNT",
				Description: "Badges that its agents have go on until they expire: agent disable ends them at once.\n\nEXAMPLE\n" +
					"  touchmark authority account disable --home registry acc-7f1c5c3e-6b1d-4a55-9d0e-0b7c8f3f0f11",
				Flags: authorityFlags(), Action: authorityAccountDisable,
			},
			{
				Name: "enable", Usage: "end that", ArgsUsage: "ACCOUNT",
				Description: "EXAMPLE\n  touchmark authority account enable --home registry acc-7f1c5c3e-6b1d-4a55-9d0e-0b7c8f3f0f11",
				Flags:       authorityFlags(), Action: authorityAccountEnable,
			},
			authorityAccountKeyCommand(),
		},
	}
}

// newKeyFlags are the flags of the commands that make an account key.
func newKeyFlags() []cli.Flag {
	return []cli.Flag{
		&cli.PathFlag{Name: "out", Usage: "write the account key, which is shown this once, to `FILE`"},
		&cli.BoolFlag{Name: "admin", Usage: "let it do everything, for everybody"},
		forceFlag(),
	}
}

// keyOutput returns the file that a new account key goes to, before there is
// one.
func keyOutput(ctx *cli.Context) (string, error) {
	if err := required(ctx, "out"); err != nil {
		return "", err
	}
	out := ctx.Path("out")
	if out == "-" {
		return "", hint(usagef("an account key is not printed"), "give --out a file")
	}
	return out, free(out, ctx.Bool("force"))
}

func scopeOf(ctx *cli.Context) string {
	if ctx.Bool("admin") {
		return authority.ScopeAdmin
	}
	return authority.ScopeIssue
}

// A madeKey tells of a new account key, without it.
type madeKey struct {
	Account string `json:"account,omitempty"`
	KeyID   string `json:"key_id"`
	Scope   string `json:"scope,omitempty"`
	File    string `json:"account_key_file"`
	Ends    string `json:"old_key_ends_at,omitempty"`
}

// saveKey writes an account key to its file, and tells of it.
func saveKey(ctx *cli.Context, m *madeKey, key, text string) error {
	con := consoleOf(ctx)
	if err := con.writeOutput(m.File, []byte(key+"\n"), modeSecret, ctx.Bool("force")); err != nil {
		return hint(err, "the key %s is lost: end it with: touchmark authority account key disable %s", m.KeyID, m.KeyID)
	}
	return con.result(m, text)
}

func authorityAccountAdd(ctx *cli.Context) error {
	if err := wantArgs(ctx); err != nil {
		return err
	}
	if err := required(ctx, "name"); err != nil {
		return err
	}
	out, err := keyOutput(ctx)
	if err != nil {
		return err
	}
	return withAuthority(ctx, func(_ *authorityHome, a *authority.Authority) error {
		id, key, err := a.AddAccount(ctx.Context, ctx.String("name"), scopeOf(ctx))
		if err != nil {
			return err
		}
		return saveKey(ctx, &madeKey{Account: id, KeyID: key.ID(), Scope: scopeOf(ctx), File: out}, key.Reveal(), id)
	})
}

func authorityAccountList(ctx *cli.Context) error {
	if err := wantArgs(ctx); err != nil {
		return err
	}
	return withAuthority(ctx, func(_ *authorityHome, a *authority.Authority) error {
		accounts, err := a.Accounts(ctx.Context)
		if err != nil {
			return err
		}
		con, text := consoleOf(ctx), strings.Builder{}
		for _, acc := range accounts {
			if con.json {
				if err := con.line(map[string]string{
					"account": acc.ID, "name": acc.Name, "created_at": moment(acc.CreatedAt), "disabled_at": moment(acc.DisabledAt),
				}); err != nil {
					return err
				}
			}
			fmt.Fprintf(&text, "%s  %q", acc.ID, acc.Name)
			if !acc.DisabledAt.IsZero() {
				fmt.Fprintf(&text, "  disabled since %s", moment(acc.DisabledAt))
			}
			text.WriteByte('\n')
		}
		if con.json {
			return nil
		}
		return con.result(nil, text.String())
	})
}

func authorityAccountDisable(ctx *cli.Context) error {
	return setAccount(ctx, "disabled")
}

func authorityAccountEnable(ctx *cli.Context) error {
	return setAccount(ctx, "active")
}

func setAccount(ctx *cli.Context, status string) error {
	if err := wantArgs(ctx, "ACCOUNT"); err != nil {
		return err
	}
	id := ctx.Args().First()
	return withAuthority(ctx, func(_ *authorityHome, a *authority.Authority) (err error) {
		if status == "disabled" {
			err = a.DisableAccount(ctx.Context, id)
		} else {
			err = a.EnableAccount(ctx.Context, id)
		}
		if err != nil {
			return err
		}
		return consoleOf(ctx).result(map[string]string{"account": id, "status": status}, id+" is "+status)
	})
}

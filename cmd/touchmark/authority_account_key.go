package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/badge/authority"
)

const (
	accountKeyOverlap    = time.Hour
	maxAccountKeyOverlap = 24 * time.Hour
)

func authorityAccountKeyCommand() *cli.Command {
	return &cli.Command{
		Name: "key", Usage: "the keys of accounts",
		Subcommands: []*cli.Command{
			{
				Name: "add", Usage: "give an account one more key", ArgsUsage: "ACCOUNT",
				Description: "EXAMPLE\n  touchmark authority account key add --home registry --out second.key acc-7f1c5c3e-6b1d-4a55-9d0e-0b7c8f3f0f11",
				Flags:       authorityFlags(newKeyFlags()...), Action: accountKeyAdd,
			},
			{
				Name: "list", Usage: "list the keys of an account, without their secrets", ArgsUsage: "ACCOUNT",
				Description: "EXAMPLE\n  touchmark authority account key list --home registry acc-7f1c5c3e-6b1d-4a55-9d0e-0b7c8f3f0f11",
				Flags:       authorityFlags(), Action: accountKeyList,
			},
			{
				Name: "rotate", Usage: "replace an account key by a new one with the same scope", ArgsUsage: "[KEY-ID]",
				Description: "Both count for as long as --overlap says. The operator names a key by its id; whoever has a key replaces it\n" +
					"over the network, with --account-key-file.\n\nEXAMPLES\n" +
					"  touchmark authority account key rotate --home registry --out next.key FzQp0c3XvSdx\n" +
					"  touchmark authority account key rotate --issuer https://registry.example --account-key-file acme.key --out next.key",
				Flags: authorityFlags(accountKeyFlag(),
					&cli.PathFlag{Name: "out", Usage: "write the account key, which is shown this once, to `FILE`"},
					&cli.DurationFlag{Name: "overlap", Usage: "how long the old key still counts, at most 24h", Value: accountKeyOverlap},
					&cli.StringFlag{Name: "ca-file", Usage: "verify the authority's server with the PEM certificates in `FILE` instead of the system's"},
					&cli.BoolFlag{Name: "insecure-loopback", Usage: "allow an authority at a loopback address, for development"},
					forceFlag(),
				), Action: accountKeyRotate,
			},
			{
				Name: "disable", Usage: "end an account key, at once and for good", ArgsUsage: "KEY-ID",
				Description: "EXAMPLE\n  touchmark authority account key disable --home registry FzQp0c3XvSdx",
				Flags:       authorityFlags(), Action: accountKeyDisable,
			},
		},
	}
}

func accountKeyAdd(ctx *cli.Context) error {
	if err := wantArgs(ctx, "ACCOUNT"); err != nil {
		return err
	}
	out, err := keyOutput(ctx)
	if err != nil {
		return err
	}
	id := ctx.Args().First()
	return withAuthority(ctx, func(_ *authorityHome, a *authority.Authority) error {
		key, err := a.AddAccountKey(ctx.Context, id, scopeOf(ctx))
		if err != nil {
			return err
		}
		return saveKey(ctx, &madeKey{Account: id, KeyID: key.ID(), Scope: scopeOf(ctx), File: out}, key.Reveal(), key.ID())
	})
}

// A shownAccountKey is what is told about an account key.
type shownAccountKey struct {
	ID        string `json:"key_id"`
	Scope     string `json:"scope"`
	State     string `json:"state"` // counts, disabled, over
	CreatedAt string `json:"created_at"`
	ExpiresAt string `json:"expires_at,omitempty"`
	EndedAt   string `json:"disabled_at,omitempty"`
}

func showAccountKey(k *authority.AccountKey, now time.Time) *shownAccountKey {
	out := &shownAccountKey{
		ID: k.ID, Scope: strings.Join(k.Scopes, " "), State: "counts", CreatedAt: moment(k.CreatedAt),
		ExpiresAt: moment(k.ExpiresAt), EndedAt: moment(k.RevokedAt),
	}
	switch {
	case !k.RevokedAt.IsZero():
		out.State = "disabled"
	case !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt):
		out.State = "over"
	}
	return out
}

func accountKeyList(ctx *cli.Context) error {
	if err := wantArgs(ctx, "ACCOUNT"); err != nil {
		return err
	}
	id := ctx.Args().First()
	return withAuthority(ctx, func(_ *authorityHome, a *authority.Authority) error {
		if err := knownAccount(ctx, a, id); err != nil {
			return err
		}
		keys, err := a.AccountKeys(ctx.Context, id)
		if err != nil {
			return err
		}
		con, text := consoleOf(ctx), strings.Builder{}
		for i := range keys {
			k := showAccountKey(&keys[i], time.Now())
			if con.json {
				if err := con.line(k); err != nil {
					return err
				}
			}
			fmt.Fprintf(&text, "%s  %-6s %-9s from %s\n", k.ID, k.Scope, k.State, k.CreatedAt)
		}
		if con.json {
			return nil
		}
		return con.result(nil, text.String())
	})
}

// knownAccount refuses an account that there is not: one without keys has an
// empty list.
func knownAccount(ctx *cli.Context, a *authority.Authority, id string) error {
	accounts, err := a.Accounts(ctx.Context)
	if err == nil && !slices.ContainsFunc(accounts, func(acc authority.Account) bool { return acc.ID == id }) {
		err = hint(usagef("there is no account %q", id), "see: touchmark authority account list")
	}
	return err
}

func accountKeyRotate(ctx *cli.Context) error {
	if d := ctx.Duration("overlap"); d < 0 || d > maxAccountKeyOverlap || d%time.Second != 0 {
		return usagef("--overlap %v is not whole seconds from 0 to %v", d, maxAccountKeyOverlap)
	}
	out, err := keyOutput(ctx)
	if err != nil {
		return err
	}
	if ctx.NArg() == 0 {
		return rotateOwnKey(ctx, out)
	}
	if err := wantArgs(ctx, "KEY-ID"); err != nil {
		return err
	}
	return withAuthority(ctx, func(_ *authorityHome, a *authority.Authority) error {
		overlap := ctx.Duration("overlap")
		key, err := a.RotateAccountKey(ctx.Context, ctx.Args().First(), overlap)
		if err != nil {
			return err
		}
		m := &madeKey{KeyID: key.ID(), File: out, Ends: moment(time.Now().Add(overlap))}
		return saveKey(ctx, m, key.Reveal(), fmt.Sprintf("%s in %s; the old key ends %s", m.KeyID, out, m.Ends))
	})
}

// rotateOwnKey has the authority replace the account key that the request is
// sent with.
func rotateOwnKey(ctx *cli.Context, out string) error {
	if ctx.Path("account-key-file") == "" {
		return hint(usagef("%s needs KEY-ID, or --account-key-file FILE", commandName(ctx)),
			"an operator names the key: touchmark authority account key rotate --home DIR --out FILE KEY-ID")
	}
	r, err := openRegistry(ctx, true)
	if err != nil {
		return err
	}
	var made struct {
		Key   string `json:"key"`
		KeyID string `json:"key_id"`
		Ends  string `json:"old_key_ends_at"`
	}
	body := map[string]int64{"overlap_seconds": int64(ctx.Duration("overlap") / time.Second)}
	if err := r.post(ctx.Context, "/v1/account/keys/rotate", body, &made); err != nil {
		return err
	}
	if made.Key == "" || made.KeyID == "" {
		return undeterminedf("the authority's answer has no account key: rotate again")
	}
	m := &madeKey{KeyID: made.KeyID, File: out, Ends: made.Ends}
	return saveKey(ctx, m, made.Key, fmt.Sprintf("%s in %s; the old key ends %s", m.KeyID, out, m.Ends))
}

func accountKeyDisable(ctx *cli.Context) error {
	if err := wantArgs(ctx, "KEY-ID"); err != nil {
		return err
	}
	id := ctx.Args().First()
	return withAuthority(ctx, func(_ *authorityHome, a *authority.Authority) error {
		if err := a.RevokeAccountKey(ctx.Context, id); err != nil {
			return err
		}
		return consoleOf(ctx).result(map[string]string{"key_id": id, "state": "disabled"}, id+" is disabled")
	})
}

package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/badge/authority"
)

func authorityKeyCommand() *cli.Command {
	return &cli.Command{
		Name: "key", Usage: "the keys that an authority signs with",
		Subcommands: []*cli.Command{
			{
				Name: "add", Aliases: []string{"rotate"}, Usage: "make a key, publish it, and have it sign in the place of the others",
				Description: "The key signs after ten minutes, when verifiers know it; the one before it stays published until its\n" +
					"last badge has expired. With several nodes, copy the new file in keys/ to the others before that.\n" +
					"It is called rotate as well.\n\nEXAMPLE\n" +
					"  touchmark authority key add --home registry",
				Flags: authorityFlags(
					&cli.DurationFlag{Name: "lead", Usage: "how long the key is published before it signs; verifiers keep a key set for some minutes", Value: authority.DefaultKeyLead},
					&cli.BoolFlag{Name: "now", Usage: "sign at once: verifiers that do not know the key yet refuse its badges for some minutes"},
				),
				Action: authorityKeyAdd,
			},
			{
				Name: "list", Usage: "list the keys, and which of them sign, are published, retired or withdrawn",
				Description: "EXAMPLE\n  touchmark authority key list --home registry",
				Flags:       authorityFlags(), Action: authorityKeyList,
			},
			{
				Name: "withdraw", Usage: "in an emergency: have everything that a key signed refused", ArgsUsage: "KID",
				Description: "Add another key with --now first, or nothing can be issued.\n\nEXAMPLE\n" +
					"  touchmark authority key withdraw --home registry --reason \"the file was copied\" ca-2026-11-21-5f0c",
				Flags:  authorityFlags(&cli.StringFlag{Name: "reason", Usage: "why, for the issuance log, `TEXT`"}),
				Action: authorityKeyWithdraw,
			},
		},
	}
}

func authorityKeyAdd(ctx *cli.Context) error {
	if err := wantArgs(ctx); err != nil {
		return err
	}
	lead := ctx.Duration("lead")
	switch {
	case ctx.Bool("now") && ctx.IsSet("lead"):
		return usagef("--now and --lead exclude each other")
	case lead < time.Second:
		return hint(usagef("--lead %v is less than a second", lead), "--now has the key sign at once")
	}
	change := func(cfg *authority.Config) { cfg.KeyLead = lead }
	return changeAuthority(ctx, change, func(h *authorityHome, a *authority.Authority) error {
		passphrase, err := h.passphrase()
		if err != nil {
			return err
		}
		keys, err := h.keyFiles()
		if err != nil {
			return err
		}
		id, err := keys.Create(passphrase)
		if err != nil {
			return err
		}
		// a reads the file by itself: it has to be one that serving nodes can read as well.
		if err := a.AddKey(ctx.Context, id, ctx.Bool("now")); err != nil {
			return err
		}
		states, err := a.Keys(ctx.Context)
		if err != nil {
			return err
		}
		for i := range states {
			if states[i].ID == id {
				k := showKey(&states[i])
				return consoleOf(ctx).result(k, k.ID+"  signs from "+k.ActiveFrom)
			}
		}
		return fmt.Errorf("internal error: key %q was added and is not there", id)
	})
}

// A shownKey is what is told about a signing key.
type shownKey struct {
	ID          string `json:"kid"`
	State       string `json:"state"` // waiting, signs, published, over, withdrawn
	CreatedAt   string `json:"created_at"`
	ActiveFrom  string `json:"active_from"`
	RetiredAt   string `json:"retired_at,omitempty"`
	WithdrawnAt string `json:"withdrawn_at,omitempty"`
	LastExpires string `json:"last_badge_expires,omitempty"`
}

func showKey(k *authority.KeyState) *shownKey {
	out := &shownKey{
		ID: k.ID, State: "over", CreatedAt: moment(k.CreatedAt), ActiveFrom: moment(k.ActiveFrom),
		RetiredAt: moment(k.RetiredAt), WithdrawnAt: moment(k.WithdrawnAt), LastExpires: moment(k.LastBadgeExpires),
	}
	switch {
	case !k.WithdrawnAt.IsZero():
		out.State = "withdrawn"
	case k.Signs:
		out.State = "signs"
	case k.Published && k.RetiredAt.IsZero() && k.ActiveFrom.After(time.Now()):
		out.State = "waiting"
	case k.Published:
		out.State = "published"
	}
	return out
}

// moment is a time as it is shown, "" for none.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func authorityKeyList(ctx *cli.Context) error {
	if err := wantArgs(ctx); err != nil {
		return err
	}
	return withAuthority(ctx, func(_ *authorityHome, a *authority.Authority) error {
		states, err := a.Keys(ctx.Context)
		if err != nil {
			return err
		}
		con, text := consoleOf(ctx), strings.Builder{}
		for i := range states {
			k := showKey(&states[i])
			if con.json {
				if err := con.line(k); err != nil {
					return err
				}
			}
			fmt.Fprintf(&text, "%-20s %-10s from %s\n", k.ID, k.State, k.ActiveFrom)
		}
		if con.json {
			return nil
		}
		return con.result(nil, text.String())
	})
}

func authorityKeyWithdraw(ctx *cli.Context) error {
	if err := wantArgs(ctx, "KID"); err != nil {
		return err
	}
	if err := required(ctx, "reason"); err != nil {
		return err
	}
	return withAuthority(ctx, func(_ *authorityHome, a *authority.Authority) error {
		id := ctx.Args().First()
		if err := a.WithdrawKey(ctx.Context, id, ctx.String("reason")); err != nil {
			return err
		}
		return consoleOf(ctx).result(map[string]string{"kid": id, "state": "withdrawn"},
			id+" is withdrawn: verifiers refuse its badges as soon as they ask, or sync their lists")
	})
}

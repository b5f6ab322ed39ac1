package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/badge/client"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jwk"
)

func agentCommand() *cli.Command {
	return &cli.Command{
		Name: "agent", Usage: "the agents and servers that an authority issues badges for",
		Subcommands: []*cli.Command{
			{
				Name: "add", Usage: "register an agent with its public key",
				Description: "With --name the authority publishes its DID document; with --did it is published already.\n\nEXAMPLES\n" +
					"  touchmark agent add --issuer https://registry.example --account-key-file acme.key --name ada --key agent.jwk\n" +
					"  touchmark agent add --issuer https://registry.example --account-key-file acme.key \\\n" +
					"      --did did:web:agent.example --key agent.jwk",
				Flags: registryFlags(accountKeyFlag(),
					&cli.StringFlag{Name: "name", Usage: "call it `NAME` below the authority's own name"},
					&cli.StringFlag{Name: "did", Usage: "it is `DID`, whose document has the key"},
					&cli.StringFlag{Name: "kind", Usage: "agent or server", Value: "agent"},
					&cli.PathFlag{Name: "key", Usage: "its key, private or public, in `FILE`; the public half is sent"},
					&cli.StringFlag{Name: "key-id", Usage: "the key's `DID-URL` in the document, #key-1 by default"},
				),
				Action: agentAdd,
			},
			{
				Name: "list", Usage: "list the agents of the account, of all accounts for an administrator",
				Description: "EXAMPLE\n  touchmark agent list --issuer https://registry.example --account-key-file acme.key --json",
				Flags:       registryFlags(accountKeyFlag()), Action: agentList,
			},
			{
				Name: "disable", Usage: "have the badges of an agent refused, and no new ones issued", ArgsUsage: "DID",
				Description: "EXAMPLE\n  touchmark agent disable --issuer https://registry.example --account-key-file acme.key did:web:agent.example",
				Flags:       registryFlags(accountKeyFlag(), reasonFlag()), Action: func(ctx *cli.Context) error { return agentStatus(ctx, "/disable") },
			},
			{
				Name: "enable", Usage: "end that, as an administrator", ArgsUsage: "DID",
				Description: "EXAMPLE\n  touchmark agent enable --issuer https://registry.example --account-key-file admin.key did:web:agent.example",
				Flags:       registryFlags(accountKeyFlag(), reasonFlag()), Action: func(ctx *cli.Context) error { return agentStatus(ctx, "/enable") },
			},
			agentGrantCommand(), agentWithdrawCommand(),
		},
	}
}

func reasonFlag() cli.Flag {
	return &cli.StringFlag{Name: "reason", Usage: "why, for the authority's records, `TEXT`"}
}

// A shownAgent is what an authority tells about an agent.
type shownAgent struct {
	DID     string `json:"did"`
	Kind    string `json:"kind,omitempty"`
	Account string `json:"account,omitempty"`
	KeyID   string `json:"key_id,omitempty"`
	Level   string `json:"level,omitempty"`
	Domain  string `json:"domain,omitempty"`
	Status  string `json:"status"`
	Reason  string `json:"reason,omitempty"`
	Created string `json:"created_at,omitempty"`
}

func agentAdd(ctx *cli.Context) error {
	if err := wantArgs(ctx); err != nil {
		return err
	}
	if err := required(ctx, "key"); err != nil {
		return err
	}
	if (ctx.String("name") == "") == (ctx.String("did") == "") {
		return usagef("%s needs one of --name NAME and --did DID", commandName(ctx))
	}
	con := consoleOf(ctx)
	data, err := con.readInput(ctx.Path("key"))
	if err != nil {
		return err
	}
	pub, _, err := publicHalf(data)
	if err != nil {
		return usagef("%s: %v", ctx.Path("key"), err)
	}
	key, err := jwk.Marshal(pub, "")
	if err != nil {
		return err
	}
	r, err := openRegistry(ctx, true)
	if err != nil {
		return err
	}
	body := map[string]any{"kind": ctx.String("kind"), "public_key_jwk": json.RawMessage(key)}
	for member, flag := range map[string]string{"name": "name", "did": "did", "key_id": "key-id"} {
		if text := ctx.String(flag); text != "" {
			body[member] = text
		}
	}
	var made shownAgent
	if err := r.post(ctx.Context, "/v1/agents", body, &made); err != nil {
		return err
	}
	return con.result(&made, made.DID)
}

// agentsAtOnce is how many agents are asked for in one request.
const agentsAtOnce = "500"

func agentList(ctx *cli.Context) error {
	if err := wantArgs(ctx); err != nil {
		return err
	}
	r, err := openRegistry(ctx, true)
	if err != nil {
		return err
	}
	con, text, after, seen := consoleOf(ctx), strings.Builder{}, "", map[string]bool{}
	for {
		page, err := r.agents(ctx.Context, after, seen)
		if err != nil {
			return err
		}
		for i := range page {
			a := &page[i]
			if con.json {
				if err := con.line(a); err != nil {
					return err
				}
			}
			fmt.Fprintf(&text, "%-10s level %s  %s\n", a.Status, a.Level, a.DID)
			after = a.DID
		}
		if len(page) > 0 {
			continue
		}
		if con.json {
			return nil
		}
		return con.result(nil, text.String())
	}
}

// agents returns the agents behind one, in the authority's order, which depends
// on its database, and adds them to those that were seen.
func (r *registry) agents(ctx context.Context, after string, seen map[string]bool) ([]shownAgent, error) {
	var page struct {
		Agents []shownAgent `json:"agents"`
	}
	query := url.Values{"limit": {agentsAtOnce}, "after": {after}}
	if err := r.get(ctx, "/v1/agents?"+query.Encode(), &page); err != nil {
		return nil, err
	}
	for i := range page.Agents {
		d := page.Agents[i].DID
		if seen[d] {
			return nil, &client.AnswerError{Issuer: r.issuer, Status: http.StatusOK, Reason: fmt.Sprintf("the list has %.300q twice", d)}
		}
		seen[d] = true
	}
	return page.Agents, nil
}

func agentStatus(ctx *cli.Context, act string) error {
	if err := wantArgs(ctx, "DID"); err != nil {
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
	var is shownAgent
	if err := r.post(ctx.Context, agentPath(d, act), map[string]string{"reason": ctx.String("reason")}, &is); err != nil {
		return err
	}
	return consoleOf(ctx).result(&is, is.DID+" is "+is.Status)
}

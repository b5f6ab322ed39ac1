package main

import (
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/cmd/touchmark/internal/agent"
	"github.com/touchmark-dev/touchmark/serververify"
)

func serverCommand() *cli.Command {
	return &cli.Command{
		Name: "server", Usage: "disclose a server's identity, and verify another's",
		Subcommands: []*cli.Command{
			serverIdentityCommand(),
			serverVerifyCommand(),
		},
	}
}

func serverVerifyCommand() *cli.Command {
	return &cli.Command{
		Name: "verify", Usage: "establish who a server is, before anything is sent to it", ArgsUsage: "URL | -- CMD ARGS",
		Description: "EXAMPLES\n  touchmark server verify https://mcp.example.com/mcp --issuer https://registry.example --min-level 2\n" +
			"  touchmark server verify --trust-self-signed did:key:z6Mk... --min-level 0 -- ./server",
		Flags:  append(trustFlags(), minLevelFlag()),
		Action: serverVerify,
	}
}

func minLevelFlag() cli.Flag {
	return &cli.StringFlag{Name: "min-level", Usage: "refuse servers below level `N`", Value: "1"}
}

// A serverVerdict is what was established about a server.
type serverVerdict struct {
	Verdict string `json:"verdict"`
	State   string `json:"state"`
	DID     string `json:"did"`
	Level   string `json:"level"`
	Binding string `json:"binding"`
	BadgeID string `json:"badge_jti"`
	Expires string `json:"expires"`
}

func describeServer(s *serververify.Server) *serverVerdict {
	return &serverVerdict{
		Verdict: "accepted", State: string(s.State), DID: s.DID.String(), Level: s.Level.String(),
		Binding: string(s.Binding), BadgeID: s.BadgeID, Expires: s.Expires.UTC().Format(time.RFC3339),
	}
}

func serverVerify(ctx *cli.Context) error {
	target, _, err := targetOf(ctx, 0)
	if err != nil {
		return err
	}
	con := consoleOf(ctx)
	t, err := newTrust(ctx)
	if err != nil {
		return err
	}
	defer t.close()
	v, err := t.servers()
	if err != nil {
		return err
	}
	var srv *serververify.Server
	if target.URL != "" {
		srv, err = v.Verify(ctx.Context, target.URL)
	} else {
		var s *agent.Session
		if s, err = agent.Connect(ctx.Context, &agent.Config{Target: *target, Verifier: v, Version: readVersion().Version}); err == nil {
			srv = s.Server
			defer s.Close()
		}
	}
	if err != nil {
		return err
	}
	d := describeServer(srv)
	return con.result(d, fmt.Sprintf("%s\ndid      %s\nlevel    %s\nbound to %s\nbadge    %s, expires %s",
		d.State, d.DID, d.Level, d.Binding, d.BadgeID, d.Expires))
}

package main

import (
	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/cmd/touchmark/internal/agent"
	"github.com/touchmark-dev/touchmark/serververify"
)

func connectCommand() *cli.Command {
	return &cli.Command{
		Name: "connect", Usage: "let an unmodified MCP client talk to a verified server", ArgsUsage: "URL | -- CMD ARGS",
		Description: "The client launches it and talks to it on standard input and output, in either generation of the protocol.\n" +
			"It verifies the server before anything is sent there, presents the badge, and signs every request. A\n" +
			"badge that is replaced in its file, by touchmark badge keep, is used from the next request on.\n\n" +
			"In the configuration of a desktop client it is an entry such as:\n\n" +
			connectEntry + "\n\nEXAMPLES\n" +
			"  touchmark connect --home . https://mcp.example.com/mcp\n" +
			"  touchmark connect --key agent.jwk --badge agent.badge --issuer https://registry.example unix:/run/mcp/files.sock",
		Flags: append(append(serverTrustFlags(), callerFlags()...),
			metricsFlag(),
			&cli.BoolFlag{Name: "refuse-server-requests", Usage: "let the server ask the client for nothing: not for its model, its user or its files"},
		),
		Action: connect,
	}
}

// connectEntry is what a desktop client is configured with.
const connectEntry = `  {
    "mcpServers": {
      "files": {
        "command": "touchmark",
        "args": ["connect", "--home", "/home/ada/touchmark", "https://mcp.example.com/mcp"]
      }
    }
  }`

func connect(ctx *cli.Context) error {
	con := consoleOf(ctx)
	con.stream = true // standard output belongs to the protocol
	target, _, err := targetOf(ctx, 0)
	if err != nil {
		return err
	}
	if !con.quiet {
		target.Stderr = con.err // where the client keeps it, as it would without a bridge
	}
	t, err := newTrust(ctx)
	if err != nil {
		return err
	}
	defer t.close()
	p, err := t.place(target)
	if err != nil {
		return err
	}
	cfg, err := t.session(target, p)
	if err != nil {
		return err
	}
	if cfg.Badge, cfg.Key, err = readCaller(ctx); err != nil {
		return err
	}
	return agent.Bridge(ctx.Context, cfg, &agent.BridgeOptions{
		RefuseServerRequests: ctx.Bool("refuse-server-requests"),
		OnServer:             func(s *serververify.Server) { con.note("server %s", introduce(s)) },
		OnError:              func(err error) { con.note("%v", err) },
	})
}

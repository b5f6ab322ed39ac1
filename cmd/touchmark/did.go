package main

import (
	"encoding/json"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/did"
)

func didCommand() *cli.Command {
	return &cli.Command{
		Name: "did", Usage: "resolve identifiers and make their documents",
		Subcommands: []*cli.Command{
			{
				Name: "resolve", Usage: "print the document of a DID", ArgsUsage: "DID",
				Description: "EXAMPLE\n  touchmark did resolve did:web:mcp.example.com",
				Flags: []cli.Flag{
					&cli.BoolFlag{Name: "insecure-loopback", Usage: "allow servers at loopback addresses, for development"},
					&cli.StringFlag{Name: "ca-file", Usage: "verify TLS servers with the PEM certificates in `FILE` instead of the system's"},
					&cli.StringSliceFlag{Name: "did-document", Usage: "take the document from `FILE`"},
				},
				Action: didResolve,
			},
			{
				Name: "document", Usage: "make the document that publishes a key",
				Description: "EXAMPLE\n  touchmark did document --key server.jwk --did did:web:mcp.example.com --out did.json",
				Flags: []cli.Flag{
					&cli.PathFlag{Name: "key", Usage: "the key, private or public, in `FILE`"},
					&cli.StringFlag{Name: "did", Usage: "the `DID` of the document"},
					&cli.PathFlag{Name: "out", Usage: "write to `FILE` instead of standard output"},
					forceFlag(),
				},
				Action: didDocument,
			},
		},
	}
}

func didResolve(ctx *cli.Context) error {
	if err := wantArgs(ctx, "DID"); err != nil {
		return err
	}
	d, err := did.Parse(ctx.Args().First())
	if err != nil {
		return malformed(err)
	}
	t, err := newTrust(ctx)
	if err != nil {
		return err
	}
	defer t.close()
	doc, err := t.resolver.Resolve(ctx.Context, d)
	if err != nil {
		return err
	}
	text, err := doc.MarshalJSON()
	if err != nil {
		return err
	}
	return consoleOf(ctx).result(json.RawMessage(text), string(text))
}

func didDocument(ctx *cli.Context) error {
	if err := wantArgs(ctx); err != nil {
		return err
	}
	if err := required(ctx, "key", "did"); err != nil {
		return err
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
	d, err := did.Parse(ctx.String("did"))
	if err != nil {
		return malformed(err)
	}
	doc, err := did.NewDocument(d, did.DocumentKey{Key: pub})
	if err != nil {
		return malformed(err)
	}
	text, err := doc.MarshalJSON()
	if err != nil {
		return err
	}
	return con.writeOutput(ctx.Path("out"), append(text, '\n'), modePublic, ctx.Bool("force"))
}

package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jwk"
)

func keyCommand() *cli.Command {
	return &cli.Command{
		Name: "key", Usage: "make and show keys",
		Subcommands: []*cli.Command{
			{
				Name: "new", Usage: "make an Ed25519 key, in a file that only its owner can read",
				Description: "EXAMPLE\n  touchmark key new --out agent.jwk",
				Flags: []cli.Flag{
					&cli.PathFlag{Name: "out", Usage: "write the key to `FILE`"},
					&cli.StringFlag{Name: "kid", Usage: "name the key `K`"},
					forceFlag(),
				},
				Action: keyNew,
			},
			{
				Name: "show", Usage: "show the public half of a key", ArgsUsage: "FILE",
				Description: "EXAMPLE\n  touchmark key show agent.jwk",
				Action:      keyShow,
			},
		},
	}
}

func forceFlag() cli.Flag {
	return &cli.BoolFlag{Name: "force", Usage: "replace a file that is there already"}
}

// A keyDescription is what there is to know of a key without its private half.
type keyDescription struct {
	DID        string          `json:"did"`
	Thumbprint string          `json:"thumbprint"`
	JWK        json.RawMessage `json:"jwk"`
}

func describeKey(pub ed25519.PublicKey, kid string) (*keyDescription, error) {
	text, err := jwk.Marshal(pub, kid)
	if err != nil {
		return nil, err
	}
	thumbprint, err := jwk.Thumbprint(pub)
	if err != nil {
		return nil, err
	}
	return &keyDescription{DID: did.FromKey(pub).String(), Thumbprint: thumbprint, JWK: text}, nil
}

func keyNew(ctx *cli.Context) error {
	if err := wantArgs(ctx); err != nil {
		return err
	}
	if err := required(ctx, "out"); err != nil {
		return err
	}
	con := consoleOf(ctx)
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	text, err := jwk.MarshalPrivate(&jwk.Private{Key: key, KeyID: ctx.String("kid")})
	if err != nil {
		return malformed(err)
	}
	out := ctx.Path("out")
	if out == "-" { // required refuses "", which is standard output as well
		return hint(usagef("a private key is not printed"), "give --out a file")
	}
	if err := con.writeOutput(out, append(text, '\n'), modeSecret, ctx.Bool("force")); err != nil {
		return err
	}
	d, err := describeKey(pub, ctx.String("kid"))
	if err != nil {
		return err
	}
	return con.result(d, d.DID)
}

func keyShow(ctx *cli.Context) error {
	if err := wantArgs(ctx, "FILE"); err != nil {
		return err
	}
	con := consoleOf(ctx)
	data, err := con.readInput(ctx.Args().First())
	if err != nil {
		return err
	}
	pub, kid, err := publicHalf(data)
	if err != nil {
		return usagef("%s: %v", ctx.Args().First(), err)
	}
	d, err := describeKey(pub, kid)
	if err != nil {
		return err
	}
	return con.result(d, fmt.Sprintf("did         %s\nthumbprint  %s\njwk         %s", d.DID, d.Thumbprint, d.JWK))
}

// publicHalf reads a private or a public Ed25519 key.
func publicHalf(data []byte) (ed25519.PublicKey, string, error) {
	if private, err := jwk.ParsePrivate(data); err == nil {
		return private.Key.Public().(ed25519.PublicKey), private.KeyID, nil
	}
	public, err := jwk.ParsePublic(data)
	if err != nil {
		return nil, "", err
	}
	pub, ok := public.Key.(ed25519.PublicKey)
	if !ok {
		return nil, "", fmt.Errorf("want an Ed25519 key, not one of type %T", public.Key)
	}
	return pub, public.KeyID, nil
}

// readKey reads a private key from a file.
func readKey(con *console, name string) (*jwk.Private, error) {
	data, err := con.readInput(name)
	if err != nil {
		return nil, hint(err, "make a key with: touchmark key new --out FILE")
	}
	key, err := jwk.ParsePrivate(data)
	if err != nil {
		return nil, usagef("%s holds no private key: %v", name, err)
	}
	return key, nil
}

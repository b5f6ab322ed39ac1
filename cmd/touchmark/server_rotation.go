package main

import (
	"crypto/ed25519"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/serververify/pin"
)

func serverRotationCommand() *cli.Command {
	return &cli.Command{
		Name: "rotation", Usage: "state with the old key of one's own server which key is the next",
		Description: "Whoever pinned the server takes the statement with: touchmark server pin rotate --statement\n\nEXAMPLE\n" +
			"  touchmark server rotation --key old.jwk --next next.jwk --did did:web:mcp.example.com --out rotation.jwt",
		Flags: []cli.Flag{
			&cli.PathFlag{Name: "key", Usage: "the key that is pinned, in `FILE`"},
			&cli.PathFlag{Name: "next", Usage: "the next key in `FILE`; its public half is enough"},
			&cli.StringFlag{Name: "did", Usage: "the server's `DID`; the did:key of --key by default"},
			&cli.PathFlag{Name: "out", Usage: "write to `FILE` instead of standard output"},
			forceFlag(),
		},
		Action: serverRotation,
	}
}

func serverRotation(ctx *cli.Context) error {
	if err := wantArgs(ctx); err != nil {
		return err
	}
	if err := required(ctx, "key", "next"); err != nil {
		return err
	}
	con := consoleOf(ctx)
	key, own, err := readOwn(ctx)
	if err != nil {
		return err
	}
	data, err := con.readInput(ctx.Path("next"))
	if err != nil {
		return err
	}
	next, _, err := publicHalf(data)
	if err != nil {
		return usagef("%s: %v", ctx.Path("next"), err)
	}
	statement, err := pin.SignRotation(key.Key, own, next, time.Now())
	if err != nil {
		return malformed(err)
	}
	old, err := describeKey(key.Key.Public().(ed25519.PublicKey), "")
	if err != nil {
		return err
	}
	upcoming, err := describeKey(next, "")
	if err != nil {
		return err
	}
	made := map[string]string{
		"statement": statement, "did": own.String(), "old_key": old.Thumbprint, "new_key": upcoming.Thumbprint,
		"expires": timeText(time.Now().Add(pin.RotationLifetime)),
	}
	return con.artifact(ctx, []byte(statement+"\n"), made)
}

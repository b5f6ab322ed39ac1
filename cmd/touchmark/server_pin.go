package main

import (
	"errors"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/durable"
	"github.com/touchmark-dev/touchmark/serververify/pin"
)

const endpointUsage = "ENDPOINT | -- CMD ARGS"

func serverPinCommand() *cli.Command {
	return &cli.Command{
		Name: "pin", Usage: "keep the file of known servers, and of their approved tools",
		Description: "See: touchmark help pins",
		Subcommands: []*cli.Command{
			{
				Name: "list", Usage: "print the pins, one a line: endpoint did key first-seen last-seen tools expires",
				Description: "EXAMPLE\n  touchmark server pin list --pins known-servers",
				Flags:       []cli.Flag{pinsFlag()}, Action: pinList,
			},
			pinAddCommand(),
			{
				Name: "remove", Usage: "remove a pin", ArgsUsage: endpointUsage,
				Description: "EXAMPLE\n  touchmark server pin remove --pins known-servers https://mcp.example.com/mcp",
				Flags:       []cli.Flag{pinsFlag()}, Action: pinRemove,
			},
			pinRotateCommand(),
			pinApproveCommand(),
		},
	}
}

func pinAddCommand() *cli.Command {
	return &cli.Command{
		Name: "add", Usage: "pin a server that was verified, or one that was named by its key", ArgsUsage: endpointUsage,
		Description: "Without --did the server is verified first, as server verify does, and pinned with the key that it has.\n" +
			"Its tools are approved later, with server pin approve.\n\nEXAMPLES\n" +
			"  touchmark server pin add --pins known-servers --issuer https://registry.example https://mcp.example.com/mcp\n" +
			"  touchmark server pin add --pins known-servers --did did:web:mcp.example.com --key-thumbprint V1s... https://mcp.example.com/mcp",
		Flags: append(append(verifyFlags(), serverListFlags()...), pinsFlag(),
			&cli.StringFlag{Name: "did", Usage: "pin the server as `DID`, without asking it"},
			&cli.StringFlag{Name: "key-thumbprint", Aliases: []string{"key"}, Usage: "with --did: pin the key with this RFC 7638 `THUMBPRINT`; any for all keys of the DID"},
			&cli.BoolFlag{Name: "no-identity", Usage: "pin the tools of a server that has no identity, such as one behind a gateway"},
			&cli.StringFlag{Name: "tools", Usage: "approve the tools with this `DIGEST`, which were refused before; any for whatever it offers"},
			&cli.DurationFlag{Name: "for", Usage: "end the pin after this time"},
			&cli.BoolFlag{Name: "forget", Usage: "with --for: when the pin has ended, the server is as one never met"},
		),
		Action: pinAdd,
	}
}

func pinRotateCommand() *cli.Command {
	return &cli.Command{
		Name: "rotate", Usage: "replace the key of a pin", ArgsUsage: endpointUsage,
		Description: "With --statement the old key vouches for the new one, and without it whoever gives the command. The\n" +
			"owner of the server makes a statement with server rotation.\n\nEXAMPLE\n" +
			"  touchmark server pin rotate --pins known-servers --old-key V1s... --new-key kPr... https://mcp.example.com/mcp",
		Flags: []cli.Flag{
			pinsFlag(),
			&cli.StringFlag{Name: "old-key", Usage: "the `THUMBPRINT` that is pinned now"},
			&cli.StringFlag{Name: "new-key", Usage: "the `THUMBPRINT` from now on"},
			&cli.PathFlag{Name: "statement", Usage: "the statement about the new key, in `FILE`"},
		},
		Action: pinRotate,
	}
}

func pinsFlag() cli.Flag {
	return &cli.PathFlag{Name: "pins", Usage: "the `FILE` of known servers (see: touchmark help pins)"}
}

// pinFile opens the file that --pins names. When it is to be there it is an error that
// it is not.
func pinFile(ctx *cli.Context, there bool) (*pin.Store, error) {
	if err := required(ctx, "pins"); err != nil {
		return nil, err
	}
	name := ctx.Path("pins")
	if there {
		if _, err := os.Stat(name); err != nil {
			return nil, err
		}
	}
	store, err := pin.Open(name, nil)
	return store, pinError(err)
}

// pinError tells a file that cannot be had, now, from one that cannot be read
// and from what is asked for in vain.
func pinError(err error) error {
	if err == nil || codeOf(err) == exitUndetermined {
		return err
	}
	if errors.Is(err, durable.ErrLocked) {
		return undeterminedf("%w", err)
	}
	return malformed(err)
}

// pinnedEndpoint reads off the command line whose pin is meant.
func pinnedEndpoint(ctx *cli.Context) (string, error) {
	con := consoleOf(ctx)
	if con.child != nil {
		if len(con.child) == 0 {
			return "", usagef("no command after --")
		}
		if err := wantArgs(ctx); err != nil {
			return "", err
		}
		at, err := pin.LaunchEndpoint(con.child)
		return at, malformed(err)
	}
	if err := wantArgs(ctx, "ENDPOINT"); err != nil {
		return "", err
	}
	at, err := pin.CanonicalEndpoint(ctx.Args().First())
	return at, hint(malformed(err), "an endpoint is https://HOST/PATH, unix:/PATH, or -- and a command line")
}

// openPin opens the file and finds the pin that is meant, which has to be there.
func openPin(ctx *cli.Context) (store *pin.Store, p pin.Pin, err error) {
	at, err := pinnedEndpoint(ctx)
	if err != nil {
		return nil, p, err
	}
	if store, err = pinFile(ctx, true); err != nil {
		return nil, p, err
	}
	p, ok, err := store.Find(at)
	if err == nil && !ok {
		err = hint(rejectedf("%s has no pin for %s", store.Path(), at), "see: touchmark server pin list --pins %s", store.Path())
	}
	return store, p, err
}

// A pinLine is a pin as --json prints it.
type pinLine struct {
	Endpoint  string `json:"endpoint"`
	DID       string `json:"did,omitempty"`
	Key       string `json:"key_thumbprint,omitempty"`
	FirstSeen string `json:"first_seen"`
	LastSeen  string `json:"last_seen,omitempty"`
	Tools     string `json:"tools,omitempty"`
	Expires   string `json:"expires,omitempty"`
	Forgotten bool   `json:"forgotten_then,omitempty"`
}

func printPin(con *console, p *pin.Pin) error {
	line := pinLine{
		Endpoint: p.Endpoint, Key: p.Key, Tools: p.Tools, Forgotten: p.Forgotten,
		FirstSeen: timeText(p.FirstSeen), LastSeen: timeText(p.LastSeen), Expires: timeText(p.Expires),
	}
	if !p.DID.IsZero() {
		line.DID = p.DID.String()
	}
	return con.result(line, p.String())
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// printPinned prints the pin of an endpoint as it is in the file now.
func printPinned(ctx *cli.Context, store *pin.Store, at string) error {
	p, ok, err := store.Find(at)
	if err != nil || !ok {
		return pinError(err)
	}
	return printPin(consoleOf(ctx), &p)
}

func pinList(ctx *cli.Context) error {
	if err := wantArgs(ctx); err != nil {
		return err
	}
	store, err := pinFile(ctx, true)
	if err != nil {
		return err
	}
	pins, err := store.List()
	if err != nil {
		return pinError(err)
	}
	for i := range pins {
		if err := printPin(consoleOf(ctx), &pins[i]); err != nil {
			return err
		}
	}
	return nil
}

func pinAdd(ctx *cli.Context) error {
	at, err := pinnedEndpoint(ctx)
	if err != nil {
		return err
	}
	store, err := pinFile(ctx, false)
	if err != nil {
		return err
	}
	p, ok, err := store.Find(at)
	if err != nil {
		return pinError(err)
	}
	if ok {
		return hint(usagef("%s has a pin already: %s", at, &p), "change it with server pin rotate and approve, or remove it first")
	}
	p = pin.Pin{Endpoint: at, Tools: ctx.String("tools")}
	if err := pinUntil(ctx, &p); err != nil {
		return err
	}
	if strings.HasPrefix(p.Tools, "sha256:") {
		if _, err := store.Definitions(p.Tools); err != nil {
			return pinError(err)
		}
	}
	if err := pinWho(ctx, &p); err != nil {
		return err
	}
	if err := store.Add(ctx.Context, p); err != nil {
		return pinError(err)
	}
	return printPinned(ctx, store, at)
}

// pinUntil reads how long a pin is to last.
func pinUntil(ctx *cli.Context, p *pin.Pin) error {
	switch d := ctx.Duration("for"); {
	case d < 0 || ctx.IsSet("for") && d < time.Second:
		return usagef("--for %s: want a second or more", d)
	case d > 0:
		p.Expires, p.Forgotten = time.Now().Add(d), ctx.Bool("forget")
	case ctx.Bool("forget"):
		return usagef("--forget is about the end of a pin: give it one with --for")
	}
	return nil
}

// pinWho fills in who the server is: nobody, who the flags say, or whom it
// proves to be.
func pinWho(ctx *cli.Context, p *pin.Pin) error {
	named, thumbprint := ctx.String("did"), ctx.String("key-thumbprint")
	switch {
	case ctx.Bool("no-identity") && named+thumbprint != "":
		return usagef("--no-identity is for a server that has neither --did nor --key-thumbprint")
	case ctx.Bool("no-identity"):
		return nil
	case named != "" && thumbprint == "":
		return hint(usagef("--did needs --key-thumbprint"), "touchmark key show prints it; any stands for all keys of the DID")
	case named == "" && thumbprint != "":
		return usagef("--key-thumbprint needs --did")
	case named != "":
		d, err := did.Parse(named)
		p.DID, p.Key = d, thumbprint
		return malformed(err)
	}
	target, _, err := targetOf(ctx, 0)
	if err != nil {
		return err
	}
	t, err := newTrust(ctx)
	if err != nil {
		return err
	}
	defer t.close()
	pl := &place{}
	if err := t.openServerList(pl, target); err != nil {
		return err
	}
	srv, done, err := t.verify(target, pl)
	if err != nil {
		return err
	}
	defer done()
	consoleOf(ctx).note("server %s", introduce(srv))
	now := time.Now()
	p.DID, p.Key, p.FirstSeen, p.LastSeen = srv.DID, srv.KeyThumbprint, now, now
	return nil
}

func pinRemove(ctx *cli.Context) error {
	store, p, err := openPin(ctx)
	if err != nil {
		return err
	}
	if err := store.Remove(ctx.Context, p.Endpoint); err != nil {
		return pinError(err)
	}
	return printPin(consoleOf(ctx), &p)
}

func pinRotate(ctx *cli.Context) error {
	if err := required(ctx, "old-key", "new-key"); err != nil {
		return err
	}
	store, p, err := openPin(ctx)
	if err != nil {
		return err
	}
	r := &pin.Rotation{Endpoint: p.Endpoint, OldKey: ctx.String("old-key"), NewKey: ctx.String("new-key")}
	if name := ctx.Path("statement"); name != "" {
		if r.Statement, err = consoleOf(ctx).readToken(name); err != nil {
			return err
		}
		if r.Statement == "" {
			return usagef("%s is empty", name)
		}
	}
	if err := store.Rotate(ctx.Context, r); err != nil {
		if codeOf(pinError(err)) == exitUndetermined {
			return pinError(err)
		}
		return rejectedf("%w", err)
	}
	return printPinned(ctx, store, p.Endpoint)
}

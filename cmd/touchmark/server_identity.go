package main

import (
	"crypto"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jwk"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
)

func serverIdentityCommand() *cli.Command {
	return &cli.Command{
		Name: "identity", Usage: "make the files of one's own server's identity",
		Description: "It makes in DIR: did.json, the DID document, and mcp-server.json, the discovery document, to be\n" +
			"served where it says; and for a gateway server.jwk, server.badge and server.did.json.\n" +
			"To change a key, put the next one into the document first, with --also-key; when resolvers have\n" +
			"seen it, make the identity of the next key, with the old one as --also-key.\n\nEXAMPLES\n" +
			"  touchmark server identity --key server.jwk --badge server.badge --did did:web:mcp.example.com --out identity\n" +
			"  touchmark server identity --key server.jwk --out identity",
		Flags: []cli.Flag{
			&cli.PathFlag{Name: "key", Usage: "the server's key in `FILE`"},
			&cli.PathFlag{Name: "badge", Usage: "the server's badge in `FILE`; without one a did:key server signs its own"},
			&cli.StringFlag{Name: "did", Usage: "the server's `DID`; the did:key of its key by default"},
			&cli.StringSliceFlag{Name: "also-key", Usage: "put the key in `FILE`, a public half is enough, into the DID document as well"},
			&cli.PathFlag{Name: "out", Usage: "the `DIR` to make the files in"},
			forceFlag(),
		},
		Action: serverIdentity,
	}
}

func serverIdentity(ctx *cli.Context) error {
	if err := wantArgs(ctx); err != nil {
		return err
	}
	if err := required(ctx, "key", "out"); err != nil {
		return err
	}
	con := consoleOf(ctx)
	key, own, err := readOwn(ctx)
	if err != nil {
		return err
	}
	doc, err := ownDocument(ctx, own, key)
	if err != nil {
		return err
	}
	token, level, err := ownBadge(ctx, own, key.Key)
	if err != nil {
		return err
	}
	if err := checkBadgeKey(token, key.Key); err != nil {
		return hint(err, "--key is the key that the badge was issued for")
	}
	if err := writeIdentity(ctx, key, doc, token, level); err != nil {
		return err
	}
	made := map[string]string{"did": own.String(), "level": level, "dir": ctx.Path("out")}
	text := fmt.Sprintf("%s, level %s, in %s", own, level, ctx.Path("out"))
	if own.Method() == did.MethodWeb { // a did:key is found nowhere, and wherever it answers
		if made["did_document_url"], err = own.DocumentURL(); err != nil {
			return err
		}
		origin, err := own.Origin()
		if err != nil {
			return err
		}
		made["discovery_url"] = origin + mcpwire.DiscoveryPath
		text += fmt.Sprintf("\ndid.json is to be at         %s\nmcp-server.json is to be at  %s", made["did_document_url"], made["discovery_url"])
	}
	return con.result(made, text)
}

// ownDocument is the DID document of the server's key, and of the keys that it
// had or will have beside it.
func ownDocument(ctx *cli.Context, own did.DID, key *jwk.Private) (*did.Document, error) {
	keys := []did.DocumentKey{{Key: key.Key.Public()}}
	for _, name := range ctx.StringSlice("also-key") {
		data, err := consoleOf(ctx).readInput(name)
		if err != nil {
			return nil, err
		}
		pub, _, err := publicHalf(data)
		if err != nil {
			return nil, usagef("%s: %v", name, err)
		}
		keys = append(keys, did.DocumentKey{Key: pub})
	}
	doc, err := did.NewDocument(own, keys...)
	return doc, malformed(err)
}

// A discoveryDocument is /.well-known/capiscio/mcp-server.json.
type discoveryDocument struct {
	DID     string `json:"server_did"`
	Badge   string `json:"server_badge"`
	Level   string `json:"trust_level"`
	Updated string `json:"updated_at"`
}

func writeIdentity(ctx *cli.Context, key *jwk.Private, doc *did.Document, token, level string) error {
	con, dir, force := consoleOf(ctx), ctx.Path("out"), ctx.Bool("force")
	if err := makeDir(dir); err != nil {
		return err
	}
	document, err := doc.MarshalJSON()
	if err != nil {
		return err
	}
	discovery, err := json.Marshal(discoveryDocument{
		DID: doc.ID.String(), Badge: token, Level: level, Updated: time.Now().UTC().Format(time.RFC3339),
	})
	if err != nil {
		return err
	}
	private, err := jwk.MarshalPrivate(key)
	if err != nil {
		return err
	}
	files := []struct {
		name string
		data []byte
		mode os.FileMode
	}{
		{"did.json", append(document, '\n'), modePublic},
		{"server.did.json", append(document, '\n'), modePublic},
		{"mcp-server.json", append(discovery, '\n'), modePublic},
		{"server.badge", []byte(token + "\n"), modeSecret},
		{"server.jwk", append(private, '\n'), modeSecret},
	}
	for _, f := range files { // all of them, or none
		if err := free(filepath.Join(dir, f.name), force); err != nil {
			return err
		}
	}
	for _, f := range files {
		if err := con.writeOutput(filepath.Join(dir, f.name), f.data, f.mode, force); err != nil {
			return err
		}
	}
	return nil
}

// checkBadgeKey refuses a badge that was issued for another key: whoever is
// shown it would refuse the proof that goes with it.
func checkBadgeKey(token string, key crypto.Signer) error {
	u, err := badge.Inspect(token)
	if err != nil {
		return malformed(err)
	}
	var claims struct {
		Key json.RawMessage `json:"key"`
	}
	if err := json.Unmarshal(u.Payload, &claims); err != nil {
		return malformed(err)
	}
	confirmed, err := jwk.ParsePublic(claims.Key)
	if err != nil {
		return usagef("the badge names no key: %v", err)
	}
	own, err := jwk.Thumbprint(key.Public())
	if err != nil {
		return err
	}
	theirs, err := jwk.Thumbprint(confirmed.Key)
	if err != nil {
		return err
	}
	if own != theirs {
		return usagef("the badge is for the key with thumbprint %s, and the key given has %s", theirs, own)
	}
	return nil
}

// ownBadge reads the badge that --badge names, or signs one of level 0.
func ownBadge(ctx *cli.Context, own did.DID, key crypto.Signer) (token, level string, err error) {
	if name := ctx.Path("badge"); name != "" {
		if token, err = consoleOf(ctx).readToken(name); err != nil {
			return "", "", err
		}
		if token == "" {
			return "", "", usagef("%s is empty", name)
		}
	} else if own.Method() == did.MethodKey {
		if token, err = badge.SelfSign(key, &badge.Template{TTL: badge.MaxTTL}); err != nil {
			return "", "", err
		}
	} else {
		return "", "", hint(usagef("a did:web server needs a badge"), "give it with --badge FILE; an authority issues one: touchmark badge request")
	}
	u, err := badge.Inspect(token)
	if err == nil {
		err = u.Problem
	}
	if err != nil {
		return "", "", malformed(err)
	}
	if u.Subject != own {
		return "", "", usagef("the badge is about %q and not about %q", u.Subject, own)
	}
	return token, u.Level.String(), nil
}

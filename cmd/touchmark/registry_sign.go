package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/urfave/cli/v2"
	"go.yaml.in/yaml/v3"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/safehttp"
	"github.com/touchmark-dev/touchmark/serververify/pin"
	serverlist "github.com/touchmark-dev/touchmark/serververify/registry"
)

func registrySignCommand() *cli.Command {
	return &cli.Command{
		Name: "sign", Usage: "sign a list of approved servers", ArgsUsage: "FILE",
		Description: "FILE is YAML. What each member means is in spec/registry.md; commands are the command lines of servers that\n" +
			"are launched, and an entry is valid as long as the list unless it has valid_from and valid_until:\n\n" + registryExample + "\n\nEXAMPLE\n" +
			"  touchmark registry sign --key registry.jwk --name https://registry.example/servers --out servers.jwt servers.yaml",
		Flags: []cli.Flag{
			&cli.PathFlag{Name: "key", Usage: "the key that signs, in `FILE`"},
			&cli.StringFlag{Name: "name", Usage: "`NAME` is what the list calls itself: the same for each new list of the same servers"},
			&cli.Uint64Flag{Name: "serial", Usage: "the `NUMBER` of the list, greater than that of the one before; the seconds of the Unix clock by default"},
			&cli.DurationFlag{Name: "ttl", Usage: "time to the end of the list", Value: 30 * 24 * time.Hour},
			&cli.PathFlag{Name: "out", Usage: "write to `FILE` instead of standard output"},
			forceFlag(),
		},
		Action: registrySign,
	}
}

// registryExample is a list in the form that registry sign reads.
const registryExample = `  servers:
    - did: did:web:mcp.example.com
      environment: production
      owner: files team
      endpoints: [https://mcp.example.com/mcp]
      versions: ["1.4.0", "1.4.1"]
      tools: [read_file, list_files]
    - did: did:key:z6Mk...
      commands: [[files-server, --read-only, /data]]
      versions: ["*"]
      tools: ["*"]`

// A serverFile is the file that registry sign reads.
type serverFile struct {
	Servers []struct {
		serverLine `yaml:",inline"`

		// Commands are command lines, in the place of their digests in Launch.
		Commands [][]string `yaml:"commands"`
	} `yaml:"servers"`
}

func registrySign(ctx *cli.Context) error {
	if err := wantArgs(ctx, "FILE"); err != nil {
		return err
	}
	if err := required(ctx, "key", "name"); err != nil {
		return err
	}
	con := consoleOf(ctx)
	key, err := readKey(con, ctx.Path("key"))
	if err != nil {
		return err
	}
	data, err := con.readInput(ctx.Args().First())
	if err != nil {
		return err
	}
	now := time.Now().Truncate(time.Second)
	d := &serverlist.Document{
		Issuer: ctx.String("name"), Serial: ctx.Uint64("serial"), IssuedAt: now, Expires: now.Add(ctx.Duration("ttl")),
	}
	if !ctx.IsSet("serial") {
		d.Serial = uint64(now.Unix()) //nolint:gosec // after 1970
	}
	if d.Servers, err = parseServers(data, d); err != nil {
		return usagef("%s: %v", ctx.Args().First(), err)
	}
	token, err := serverlist.Sign(key.Key, d)
	if err != nil {
		return malformed(err)
	}
	return con.artifact(ctx, []byte(token+"\n"), map[string]any{
		"registry": token, "issuer": d.Issuer, "serial": d.Serial, "servers": len(d.Servers), "expires": timeText(d.Expires),
	})
}

// parseServers reads the entries of a list.
func parseServers(data []byte, d *serverlist.Document) ([]serverlist.Entry, error) {
	var f serverFile
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&f); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("it is empty")
		}
		return nil, err
	}
	var second yaml.Node
	if err := dec.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, errors.New("want one document")
	}
	entries := make([]serverlist.Entry, 0, len(f.Servers))
	for i := range f.Servers {
		s := &f.Servers[i]
		for _, argv := range s.Commands {
			digest, err := serverlist.LaunchDigest(argv)
			if err != nil {
				return nil, fmt.Errorf("server %d: %w", i+1, err)
			}
			s.Launch = append(s.Launch, digest)
		}
		e, err := s.entry(d)
		if err != nil {
			return nil, fmt.Errorf("server %d: %w", i+1, err)
		}
		entries = append(entries, *e)
	}
	return entries, nil
}

func (l *serverLine) entry(list *serverlist.Document) (*serverlist.Entry, error) {
	d, err := did.Parse(l.DID)
	if err != nil {
		return nil, err
	}
	e := &serverlist.Entry{
		DID: d, Environment: l.Environment, Owner: l.Owner, Endpoints: slices.Clone(l.Endpoints), Launch: l.Launch,
		Keys: l.Keys, Versions: l.Versions, Tools: l.Tools,
	}
	for i, at := range e.Endpoints {
		if at == serverlist.Any {
			continue
		}
		if e.Endpoints[i], err = pin.CanonicalEndpoint(at); err != nil {
			return nil, err
		}
	}
	if e.ValidFrom, err = timeOr(l.ValidFrom, list.IssuedAt); err == nil {
		e.ValidUntil, err = timeOr(l.ValidUntil, list.Expires)
	}
	return e, err
}

func timeOr(text string, otherwise time.Time) (time.Time, error) {
	if text == "" {
		return otherwise, nil
	}
	return time.Parse(time.RFC3339, text)
}

// registryError tells a list that cannot be had, now, from one that does not
// hold.
func registryError(err error) error {
	if err == nil || codeOf(err) == exitUndetermined {
		return err
	}
	if is[*safehttp.StatusError](err) || is[*safehttp.AddrError](err) || is[*safehttp.TooLargeError](err) {
		return undeterminedf("%w", err)
	}
	return rejectedf("%w", err)
}

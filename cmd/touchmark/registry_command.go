package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	serverlist "github.com/touchmark-dev/touchmark/serververify/registry"
)

func registryCommand() *cli.Command {
	return &cli.Command{
		Name: "registry", Usage: "sign and read lists of approved servers",
		Description: registryTopic,
		Subcommands: []*cli.Command{
			registrySignCommand(),
			{
				Name: "verify", Usage: "judge a signed list", ArgsUsage: "FILE|URL",
				Description: "EXAMPLE\n  touchmark registry verify --registry-key registry.pub.jwk servers.jwt",
				Flags:       signedListFlags(), Action: registryVerify,
			},
			{
				Name: "list", Usage: "print the servers of a signed list that holds", ArgsUsage: "FILE|URL",
				Description: "EXAMPLE\n  touchmark registry list --registry-key registry.pub.jwk --environment production servers.jwt",
				Flags: append(signedListFlags(),
					&cli.StringFlag{Name: "environment", Usage: "print the entries for `NAME` only"}),
				Action: registryList,
			},
		},
	}
}

func signedListFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "registry-key", Usage: "the public key in `FILE` may sign the list"},
		&cli.StringFlag{Name: "at", Usage: "judge a file as of `TIME`, Unix seconds or RFC 3339"},
		&cli.StringFlag{Name: "ca-file", Usage: "verify the server of a URL with the PEM certificates in `FILE` instead of the system's"},
		&cli.BoolFlag{Name: "insecure-loopback", Usage: "allow a URL at a loopback address, for development"},
	}
}

// signedList reads a signed list and judges it.
func signedList(ctx *cli.Context) (*serverlist.Document, error) {
	if err := wantArgs(ctx, "FILE|URL"); err != nil {
		return nil, err
	}
	keys, err := registryKeys(ctx)
	if err != nil {
		return nil, err
	}
	from := ctx.Args().First()
	if !strings.Contains(from, "://") {
		now, err := judgedAt(ctx)
		if err != nil {
			return nil, err
		}
		token, err := consoleOf(ctx).readToken(from)
		if err != nil {
			return nil, err
		}
		doc, err := serverlist.Verify(token, keys, now)
		return doc, registryError(err)
	}
	if ctx.IsSet("at") {
		return nil, usagef("--at is about a file: a URL is asked for the list of now")
	}
	t, err := newTrust(ctx)
	if err != nil {
		return nil, err
	}
	defer t.close()
	r, err := serverlist.Open(ctx.Context, &serverlist.Config{
		URL: from, Keys: keys, UnsafeNoState: true, RootCAs: t.roots, UnsafeAllowLoopback: ctx.Bool("insecure-loopback"),
	})
	if err != nil {
		return nil, registryError(err)
	}
	return r.Document(), nil
}

func judgedAt(ctx *cli.Context) (time.Time, error) {
	clock, err := clockAt(ctx.String("at"))
	if err != nil || clock == nil {
		return time.Now(), err
	}
	return clock(), nil
}

// A listVerdict is what was found of a signed list.
type listVerdict struct {
	Verdict string `json:"verdict"`
	Issuer  string `json:"issuer"`
	Serial  uint64 `json:"serial"`
	Servers int    `json:"servers"`
	Issued  string `json:"issued"`
	Expires string `json:"expires"`
}

func registryVerify(ctx *cli.Context) error {
	d, err := signedList(ctx)
	if err != nil {
		return err
	}
	v := &listVerdict{
		Verdict: verdictAccepted, Issuer: d.Issuer, Serial: d.Serial, Servers: len(d.Servers),
		Issued: timeText(d.IssuedAt), Expires: timeText(d.Expires),
	}
	return consoleOf(ctx).result(v, fmt.Sprintf("accepted: list %d of %s, %d servers, until %s", v.Serial, v.Issuer, v.Servers, v.Expires))
}

// A serverLine is an approved server as it is printed, and as registry sign reads
// it.
type serverLine struct {
	DID         string   `json:"did" yaml:"did"`
	Environment string   `json:"environment,omitempty" yaml:"environment"`
	Owner       string   `json:"owner,omitempty" yaml:"owner"`
	Endpoints   []string `json:"endpoints,omitempty" yaml:"endpoints"`
	Launch      []string `json:"launch,omitempty" yaml:"launch"`
	Keys        []string `json:"keys,omitempty" yaml:"keys"`
	Versions    []string `json:"versions,omitempty" yaml:"versions"`
	Tools       []string `json:"tools,omitempty" yaml:"tools"`
	ValidFrom   string   `json:"valid_from,omitempty" yaml:"valid_from"`
	ValidUntil  string   `json:"valid_until,omitempty" yaml:"valid_until"`
}

func registryList(ctx *cli.Context) error {
	d, err := signedList(ctx)
	if err != nil {
		return err
	}
	for i := range d.Servers {
		e := &d.Servers[i]
		if ctx.IsSet("environment") && e.Environment != ctx.String("environment") {
			continue
		}
		line := serverLine{
			DID: e.DID.String(), Environment: e.Environment, Owner: e.Owner, Endpoints: e.Endpoints, Launch: e.Launch,
			Keys: e.Keys, Versions: e.Versions, Tools: e.Tools, ValidFrom: timeText(e.ValidFrom), ValidUntil: timeText(e.ValidUntil),
		}
		if err := consoleOf(ctx).result(line, line.text()); err != nil {
			return err
		}
	}
	return nil
}

// text is an entry in one line: who, for which environment, where, and what may
// be called.
func (l *serverLine) text() string {
	words := []string{l.DID, dash(l.Environment), dash(strings.Join(append(l.Endpoints, l.Launch...), ",")), dash(strings.Join(l.Tools, ","))}
	return strings.Join(words, " ")
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

package main

import (
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/cmd/touchmark/internal/agent"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/serververify"
)

func serverCommand() *cli.Command {
	return &cli.Command{
		Name: "server", Usage: "disclose a server's identity, and verify another's",
		Subcommands: []*cli.Command{
			serverIdentityCommand(),
			serverVerifyCommand(),
			serverPinCommand(),
			serverRotationCommand(),
		},
	}
}

func serverVerifyCommand() *cli.Command {
	return &cli.Command{
		Name: "verify", Usage: "establish who a server is, before anything is sent to it", ArgsUsage: "URL | -- CMD ARGS",
		Description: "EXAMPLES\n  touchmark server verify https://mcp.example.com/mcp --issuer https://registry.example --min-level 2\n" +
			"  touchmark server verify --trust-self-signed did:key:z6Mk... --min-level 0 -- ./server",
		Flags:  serverTrustFlags(),
		Action: serverVerify,
	}
}

// A serverVerdict is what was established about a server.
type serverVerdict struct {
	Verdict string `json:"verdict"`
	State   string `json:"state"`
	DID     string `json:"did"`
	Level   string `json:"level"`
	Binding string `json:"binding"`
	KeyID   string `json:"key_id"`
	Key     string `json:"key_thumbprint"`
	BadgeID string `json:"badge_jti"`
	Expires string `json:"expires"`

	// Of the process behind a unix socket, and of the certificate of a TLS server.
	Peer        *peerVerdict `json:"peer,omitempty"`
	Certificate string       `json:"certificate_sha256,omitempty"`
}

type peerVerdict struct {
	PID int    `json:"pid"`
	UID uint32 `json:"uid"`
	GID uint32 `json:"gid"`
}

func describeServer(s *serververify.Server) *serverVerdict {
	v := &serverVerdict{
		Verdict: verdictAccepted, State: string(s.State), DID: s.DID.String(), Level: s.Level.String(),
		Binding: string(s.Binding), KeyID: s.KeyID, Key: s.KeyThumbprint,
		BadgeID: s.BadgeID, Expires: s.Expires.UTC().Format(time.RFC3339),
	}
	if s.Peer != nil {
		v.Peer = &peerVerdict{s.Peer.PID, s.Peer.UID, s.Peer.GID}
	}
	if s.Certificate != nil {
		v.Certificate = evidence.Hash(s.Certificate.SHA256).String()
	}
	return v
}

func (v *serverVerdict) text() string {
	text := fmt.Sprintf("%s\ndid      %s\nlevel    %s\nbound to %s\nkey      %s\nbadge    %s, expires %s",
		v.State, v.DID, v.Level, v.Binding, v.Key, v.BadgeID, v.Expires)
	if v.Peer != nil {
		text += fmt.Sprintf("\nprocess  %d of user %d, group %d", v.Peer.PID, v.Peer.UID, v.Peer.GID)
	}
	return text
}

func serverVerify(ctx *cli.Context) error {
	target, _, err := targetOf(ctx, 0)
	if err != nil {
		return err
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
	srv, done, err := t.verify(target, p)
	if err != nil {
		return err
	}
	defer done()
	v := describeServer(srv)
	return consoleOf(ctx).result(v, v.text())
}

// verify establishes who a target is. A command is launched for that, and runs
// until done.
func (t *trust) verify(target *agent.Target, p *place) (srv *serververify.Server, done func(), err error) {
	cfg, err := t.session(target, p)
	if err != nil {
		return nil, nil, err
	}
	if target.URL != "" {
		srv, err = cfg.Verifier.Verify(t.ctx.Context, target.URL)
		return srv, func() {}, err
	}
	s, err := agent.Connect(t.ctx.Context, cfg)
	if err != nil {
		return nil, nil, err
	}
	return s.Server, func() { s.Close() }, nil
}

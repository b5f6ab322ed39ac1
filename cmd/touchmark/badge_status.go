package main

import (
	"errors"
	"fmt"
	"net/url"

	"github.com/google/uuid"
	"github.com/urfave/cli/v2"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/did"
)

func badgeStatusCommand() *cli.Command {
	return &cli.Command{
		Name: "status", Usage: "ask an authority whether a badge still stands", ArgsUsage: "JTI|BADGE",
		Description: "The badge is not verified: for that there is badge verify.\n\nEXAMPLE\n" +
			"  touchmark badge status --issuer https://registry.example agent.badge",
		Flags: registryFlags(), Action: badgeStatus,
	}
}

func badgeRevokeCommand() *cli.Command {
	return &cli.Command{
		Name: "revoke", Usage: "revoke a badge, for good", ArgsUsage: "JTI|BADGE",
		Description: "EXAMPLE\n  touchmark badge revoke --issuer https://registry.example --account-key-file acme.key \\\n" +
			"      --reason \"the key was copied\" 3f2b7a4e-9c1d-4e7a-8b55-0d6f1a2c3e4f",
		Flags: registryFlags(accountKeyFlag(), &cli.StringFlag{Name: "reason", Usage: "why, for everybody to see, `TEXT`"}), Action: badgeRevoke,
	}
}

// badgeID reads a badge's id: the argument itself, or that of the badge in a
// file.
func badgeID(ctx *cli.Context) (string, error) {
	if err := wantArgs(ctx, "JTI|BADGE"); err != nil {
		return "", err
	}
	arg := ctx.Args().First()
	if uuid.Validate(arg) == nil {
		return arg, nil
	}
	token, err := consoleOf(ctx).readToken(arg)
	if err != nil {
		return "", hint(err, "the argument is the id of a badge, a UUID, or a file with a badge")
	}
	u, err := badge.Inspect(token)
	if err != nil {
		return "", malformed(err)
	}
	return u.BadgeID, nil
}

// A badgeState is what an authority says about a badge.
type badgeState struct {
	Verdict     string  `json:"verdict"`
	Code        string  `json:"code,omitempty"`
	ID          string  `json:"jti"`
	Subject     string  `json:"sub,omitempty"`
	Revoked     *bool   `json:"revoked"`
	Reason      string  `json:"reason,omitempty"`
	RevokedAt   string  `json:"revokedAt,omitempty"`
	ExpiresAt   string  `json:"expires_at,omitempty"`
	LogIndex    *uint64 `json:"log_index,omitempty"`
	AgentStatus string  `json:"agent_status,omitempty"`
}

func badgeStatus(ctx *cli.Context) error {
	id, err := badgeID(ctx)
	if err != nil {
		return err
	}
	r, err := openRegistry(ctx, false)
	if err != nil {
		return err
	}
	s, err := r.badgeState(ctx, id)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("badge    %s\nsubject  %s, %s\nexpires  %s", s.ID, s.Subject, s.AgentStatus, s.ExpiresAt)
	s.Verdict = verdictAccepted
	var no error
	switch {
	case *s.Revoked:
		s.Code, no = string(badge.CodeRevoked), rejectedf("badge %s was revoked: %q", s.ID, s.Reason)
	case s.AgentStatus != "active":
		s.Code, no = string(badge.CodeAgentDisabled), rejectedf("the subject of badge %s is %s", s.ID, s.AgentStatus)
	}
	if no != nil {
		s.Verdict = verdictRejected
	}
	return errors.Join(consoleOf(ctx).result(s, text), no)
}

func (r *registry) badgeState(ctx *cli.Context, id string) (*badgeState, error) {
	var s badgeState
	if err := r.get(ctx.Context, "/v1/badges/"+url.PathEscape(id)+"/status", &s); err != nil {
		return nil, err
	}
	d, err := did.Parse(s.Subject)
	if err != nil || s.ID != id || s.Revoked == nil {
		return nil, undeterminedf("the authority's answer is not about badge %s", id)
	}
	var agent shownAgent
	if err := r.get(ctx.Context, agentPath(d, "/status"), &agent); err != nil {
		return nil, err
	}
	if agent.DID != s.Subject || agent.Status == "" {
		return nil, undeterminedf("the authority's answer is not about agent %s", s.Subject)
	}
	s.AgentStatus = agent.Status
	return &s, nil
}

func badgeRevoke(ctx *cli.Context) error {
	id, err := badgeID(ctx)
	if err != nil {
		return err
	}
	r, err := openRegistry(ctx, true)
	if err != nil {
		return err
	}
	var out struct {
		ID        string `json:"jti"`
		Revoked   bool   `json:"revoked"`
		Reason    string `json:"reason,omitempty"`
		RevokedAt string `json:"revokedAt"`
	}
	if err := r.post(ctx.Context, "/v1/badges/"+url.PathEscape(id)+"/revoke", map[string]string{"reason": ctx.String("reason")}, &out); err != nil {
		return err
	}
	if out.ID != id || !out.Revoked {
		return undeterminedf("the authority's answer does not say that badge %s is revoked", id)
	}
	return consoleOf(ctx).result(&out, fmt.Sprintf("badge %s is revoked since %s", out.ID, out.RevokedAt))
}

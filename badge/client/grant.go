package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/internal/jws"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

const (
	grantType     = "capiscio.dvgrant+jwt"
	maxGrantBytes = 4 << 10
)

// A Grant says that an authority saw control of a domain by whoever has a key
// (spec/domain-validation.md). Its owner has it from [Domains.Finalize], or from
// where that was kept by [ParseGrant]. It is of no use without the key.
type Grant struct {
	ID                  string // the claim jti
	Issuer              string
	Domain              string
	Thumbprint          string // RFC 7638, of the key
	IssuedAt, ExpiresAt time.Time

	token, keyID string
}

// Token returns the grant itself.
func (g *Grant) Token() string { return g.token }

// String returns the id.
func (g *Grant) String() string { return g.ID }

// GoString hides the grant from %#v.
func (g *Grant) GoString() string { return g.ID }

// LogValue hides the grant from log/slog.
func (g *Grant) LogValue() slog.Value { return slog.StringValue(g.ID) }

// ParseGrant reads a grant without verifying it: the authority that it is sent
// to does that. White space around it is left out.
func ParseGrant(token string) (*Grant, error) {
	token = strings.TrimSpace(token)
	m, err := jws.ParseMax(token, maxGrantBytes)
	if err != nil {
		return nil, fmt.Errorf("badge/client: grant: %w", err)
	}
	if m.Typ != grantType {
		return nil, fmt.Errorf("badge/client: grant: its typ is %.40q, and not %q", m.Typ, grantType)
	}
	var c struct {
		Issuer  string `json:"iss"`
		Domain  string `json:"sub"`
		ID      string `json:"jti"`
		Issued  int64  `json:"iat"`
		Expires int64  `json:"exp"`
		Confirm struct {
			Thumbprint string `json:"jkt"`
		} `json:"cnf"`
	}
	if err := strictjson.Unmarshal(m.Payload, &c); err != nil {
		return nil, fmt.Errorf("badge/client: grant: %w", err)
	}
	if c.Issuer == "" || c.Domain == "" || !isGrantID(c.ID) || c.Confirm.Thumbprint == "" || c.Issued <= 0 || c.Expires <= c.Issued {
		return nil, errors.New("badge/client: grant: a claim is missing or wrong")
	}
	return &Grant{
		ID: c.ID, Issuer: c.Issuer, Domain: c.Domain, Thumbprint: c.Confirm.Thumbprint,
		IssuedAt: time.Unix(c.Issued, 0).UTC(), ExpiresAt: time.Unix(c.Expires, 0).UTC(), token: token, keyID: m.Kid,
	}, nil
}

// isGrantID keeps what is more than an id out of URLs.
func isGrantID(id string) bool {
	rest, ok := strings.CutPrefix(id, "grant-")
	return ok && isCode(rest)
}

// checkGrant refuses a grant that no badge of this kind could be minted from.
func (c *RequesterConfig) checkGrant(thumbprint string) error {
	if c.Grant == nil {
		return nil
	}
	origin, err := c.Subject.Origin()
	switch {
	case c.Assurance != badge.AssurancePossession:
		return errors.New("badge/client: badges are minted from a Grant by proof of possession: leave Assurance empty")
	case c.Grant.Issuer != c.Issuer:
		return fmt.Errorf("badge/client: Grant is of %q, not of Issuer %q", c.Grant.Issuer, c.Issuer)
	case err != nil || origin != "https://"+c.Grant.Domain:
		return fmt.Errorf("badge/client: Subject %q is not a did:web of %q, which Grant is for", c.Subject, c.Grant.Domain)
	case c.Grant.Thumbprint != thumbprint:
		return fmt.Errorf("badge/client: Grant is bound to another key, %.100q", c.Grant.Thumbprint)
	case c.MinLevel > badge.LevelDomain:
		return fmt.Errorf("badge/client: no badge of level %v is minted from a Grant", c.MinLevel)
	}
	return nil
}

type mintRequest struct {
	Grant string      `json:"grant"`
	Proof string      `json:"proof"`
	Badge mintedBadge `json:"badge_request"`
}

type mintedBadge struct {
	Subject  string   `json:"sub"`
	Audience []string `json:"aud,omitempty"`
	Seconds  int64    `json:"exp_seconds,omitempty"`
}

// mint asks for a badge by the grant.
func (r *Requester) mint(ctx context.Context) (*Issued, error) {
	asked, to := r.cfg.Time(), pop.MintRequest(r.cfg.Issuer)
	proof, err := pop.SignGrantProof(r.cfg.Key, &pop.GrantProof{Request: to, Subject: r.cfg.Subject, KeyID: r.cfg.KeyID}, asked)
	if err != nil {
		return nil, fmt.Errorf("badge/client: %w", err)
	}
	answer, err := r.post(ctx, to.URI, &mintRequest{
		Grant: r.cfg.Grant.token, Proof: proof,
		Badge: mintedBadge{Subject: r.cfg.Subject.String(), Audience: r.cfg.Audience, Seconds: int64(r.cfg.TTL / time.Second)},
	}, false)
	if err != nil {
		return nil, err
	}
	b, err := r.read(ctx, answer, "", asked)
	if err == nil && b.Domain != r.cfg.Grant.Domain {
		return nil, r.unusable("the badge: its domain is %.200q, and that of the grant %q", b.Domain, r.cfg.Grant.Domain)
	}
	return b, err
}

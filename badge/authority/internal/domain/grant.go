package domain

import (
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/touchmark-dev/touchmark/internal/jcs"
	"github.com/touchmark-dev/touchmark/internal/jws"
)

const (
	grantTyp      = "capiscio.dvgrant+jwt"
	grantAudience = "capiscio:mint"
	grantPrefix   = "grant-"
)

// ScopeBadge is the scope of a grant that badges are minted from, and the one scope there is.
const ScopeBadge = "badge:dv"

// Lifetimes and sizes of a grant.
const (
	MaxGrantTTL   = 90 * 24 * time.Hour
	MaxGrantBytes = 4 << 10
)

// A GrantTemplate is what a grant will say.
type GrantTemplate struct {
	ID         string // "grant-" and a random UUID in lower case; see [NewGrantID]
	Domain     string // that was validated, as [CheckDomain] returned it
	Thumbprint string // RFC 7638, of the Ed25519 key that the grant is bound to
	IssuedAt   time.Time
	TTL        time.Duration // in whole seconds; 0 stands for MaxGrantTTL, which is also the limit
}

// A GrantSigner is the authority as it signs grants.
type GrantSigner struct {
	Issuer string // https origin
	KeyID  string // kid in the authority's key set
	Key    crypto.Signer
}

// grantClaims is the payload of a grant. It is written in canonical form.
type grantClaims struct {
	Audience     string       `json:"aud"`
	Confirmation confirmation `json:"cnf"`
	Expires      int64        `json:"exp"`
	IssuedAt     int64        `json:"iat"`
	Issuer       string       `json:"iss"`
	ID           string       `json:"jti"`
	Scope        []string     `json:"scope"`
	Subject      string       `json:"sub"`
}

type confirmation struct {
	Thumbprint string `json:"jkt"`
}

// NewGrantID returns the id for a new grant.
func NewGrantID() string { return grantPrefix + newUUID() }

// SignGrant signs a grant with an Ed25519 key. It refuses, with the same codes, what [ParseGrant] would refuse.
func SignGrant(s *GrantSigner, t *GrantTemplate) (string, error) {
	if s == nil || t == nil || s.Key == nil || s.KeyID == "" || s.Issuer == "" {
		return "", errors.New("domain validation: a grant needs an issuer, a key with its id, and a template")
	}
	if _, ok := s.Key.Public().(ed25519.PublicKey); !ok {
		return "", fmt.Errorf("domain validation: grants are signed with Ed25519, not with a key of type %T", s.Key.Public())
	}
	ttl := t.TTL
	if ttl == 0 {
		ttl = MaxGrantTTL
	}
	if ttl%time.Second != 0 {
		return "", refuseClaim(CodeGrantClaimsInvalid, "exp", "a TTL of %v: want whole seconds", ttl)
	}
	c := &grantClaims{
		Audience:     grantAudience,
		Confirmation: confirmation{Thumbprint: t.Thumbprint},
		Expires:      t.IssuedAt.Unix() + int64(ttl/time.Second),
		IssuedAt:     t.IssuedAt.Unix(),
		Issuer:       s.Issuer,
		ID:           t.ID,
		Scope:        []string{ScopeBadge},
		Subject:      t.Domain,
	}
	if err := c.check(); err != nil {
		return "", err
	}
	payload, err := jcs.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("domain validation: %w", err)
	}
	return jws.SignMax(jws.Header{Typ: grantTyp, Kid: s.KeyID}, payload, s.Key, MaxGrantBytes)
}

// check judges what does not depend on the time. It is done when signing, too.
func (c *grantClaims) check() error {
	switch ttl := c.Expires - c.IssuedAt; {
	case !isGrantID(c.ID):
		return refuseClaim(CodeGrantClaimsInvalid, "jti", `want "grant-" and a UUID of version 4 in lower case`)
	case c.IssuedAt <= 0:
		return refuseClaim(CodeGrantMissingIssuedAt, "iat", "want a time in Unix seconds")
	case ttl <= 0 || ttl > int64(MaxGrantTTL/time.Second):
		return refuseClaim(CodeGrantClaimsInvalid, "exp", "want a time after iat, and at most %v after it", MaxGrantTTL)
	case !isThumbprint(c.Confirmation.Thumbprint):
		return refuseClaim(CodeGrantClaimsInvalid, "cnf.jkt", "want an RFC 7638 thumbprint: 43 characters of base64url, without prefix")
	case !slices.Contains(c.Scope, ScopeBadge):
		return refuseClaim(CodeGrantScope, "scope", "want %q in it", ScopeBadge)
	}
	if err := checkDomain(c.Subject); err != nil {
		return refuseClaim(CodeGrantClaimsInvalid, "sub", "%v", err).because(err)
	}
	return nil
}

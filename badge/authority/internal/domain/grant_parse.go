package domain

import (
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/internal/jws"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// A GrantCheck is what a grant is judged by.
type GrantCheck struct {
	Issuer string      // that the grant must be of: this authority
	Keys   []badge.Key // the keys it signs with, and signed with: grants outlive rotations
	Now    time.Time
	Skew   time.Duration // by which iat may be ahead; negative stands for none, as 0 does
}

// A Grant is a grant whose signature, claims and times hold: only [ParseGrant] makes one that says anything.
// Whether it was revoked, the caller asks its storage.
type Grant struct {
	claims grantClaims
	keyID  string
}

// ID returns the claim jti.
func (g *Grant) ID() string { return g.claims.ID }

// Domain returns the claim sub: the domain that was validated.
func (g *Grant) Domain() string { return g.claims.Subject }

// Thumbprint returns the claim cnf.jkt: of the key that the grant is bound to.
func (g *Grant) Thumbprint() string { return g.claims.Confirmation.Thumbprint }

// KeyID returns the kid of the key that signed the grant.
func (g *Grant) KeyID() string { return g.keyID }

// IssuedAt returns the claim iat.
func (g *Grant) IssuedAt() time.Time { return time.Unix(g.claims.IssuedAt, 0).UTC() }

// ExpiresAt returns the claim exp.
func (g *Grant) ExpiresAt() time.Time { return time.Unix(g.claims.Expires, 0).UTC() }

// ParseGrant reads and judges a grant by the steps of spec/domain-validation.md section 5.3, in their order.
// Every error is an *[Error] with a GRANT code. There is a Grant only with a nil error.
func ParseGrant(token string, check *GrantCheck) (*Grant, error) {
	m, err := jws.ParseMax(token, MaxGrantBytes)
	if err != nil {
		return nil, refuse(CodeGrantMalformed, "%v", err).because(err)
	}
	v, err := m.PayloadValue()
	if err != nil {
		return nil, refuse(CodeGrantMalformed, "payload: %v", err).because(err)
	}
	if err := verifyGrant(m, check.Keys); err != nil {
		return nil, err
	}
	if m.Typ != grantTyp {
		return nil, refuse(CodeGrantInvalidType, "header member typ is %.40q: want %q", m.Typ, grantTyp)
	}
	g := &Grant{keyID: m.Kid}
	if err := g.claims.read(v); err != nil {
		return nil, err
	}
	if err := g.claims.judge(check); err != nil {
		return nil, err
	}
	return g, nil
}

// verifyGrant checks the signature with the one key that the header names.
func verifyGrant(m *jws.Message, keys []badge.Key) error {
	if m.Alg != jws.EdDSA {
		return refuse(CodeGrantMalformed, "header member alg is %.20q: want %q", m.Alg, jws.EdDSA)
	}
	if m.Kid == "" {
		return refuse(CodeGrantMalformed, "the header has no kid")
	}
	for _, key := range keys {
		if key.ID != m.Kid {
			continue
		}
		if err := m.Verify(key.Public); err != nil {
			return refuse(CodeGrantSignatureInvalid, "not signed by key %.80q", m.Kid).because(err)
		}
		return nil
	}
	return refuse(CodeGrantSignatureInvalid, "there is no key %.80q", m.Kid)
}

// judge compares the claims with the check, in the order of RFC-002 section 7.2.5, phase 1.
func (c *grantClaims) judge(check *GrantCheck) error {
	now, skew := check.Now.Unix(), max(0, int64(check.Skew/time.Second))
	switch {
	case c.Audience != grantAudience:
		return refuseClaim(CodeGrantInvalidAudience, "aud", "want the string %q", grantAudience)
	case c.IssuedAt == 0:
		return refuseClaim(CodeGrantMissingIssuedAt, "iat", "missing")
	case c.IssuedAt > now+skew:
		return refuseClaim(CodeGrantNotYetValid, "iat", "issued %d s from now", c.IssuedAt-now)
	case c.Expires == 0:
		return refuseClaim(CodeGrantClaimsInvalid, "exp", "missing")
	case c.Expires <= now:
		return refuseClaim(CodeGrantExpired, "exp", "expired %d s ago: validate the domain again", now-c.Expires)
	case c.Issuer == "" || c.Issuer != check.Issuer:
		return refuseClaim(CodeGrantIssuerMismatch, "iss", "of %.200q, this is %.200q", c.Issuer, check.Issuer)
	}
	return c.check()
}

// read takes the claims out of the payload. A claim that is not known is refused: whoever wrote it meant to
// restrict something, and the writer is an authority of this kind.
func (c *grantClaims) read(v strictjson.Value) error {
	if v.Kind() != '{' {
		return refuse(CodeGrantMalformed, "the payload is not a JSON object")
	}
	c.Scope = []string{ScopeBadge} // RFC-002 section 7.2.3: when there is none
	for m := v.Members(); m.Next(); {
		if err := c.readMember(m.Name, m.Value); err != nil {
			return err
		}
	}
	return nil
}

func (c *grantClaims) readMember(name string, v strictjson.Value) error {
	var ok bool
	code := CodeGrantClaimsInvalid
	switch name {
	case "aud":
		c.Audience, ok = v.Text()
		code = CodeGrantInvalidAudience
	case "cnf":
		c.Confirmation.Thumbprint, ok = readConfirmation(v)
	case "exp":
		c.Expires, ok = readTime(v)
	case "iat":
		c.IssuedAt, ok = readTime(v)
		code = CodeGrantMissingIssuedAt
	case "iss":
		c.Issuer, ok = v.Text()
	case "jti":
		c.ID, ok = v.Text()
	case "scope":
		c.Scope, ok = readScope(v)
	case "sub":
		c.Subject, ok = v.Text()
	default:
		return refuse(code, "claim %.40q is not known", name)
	}
	if !ok {
		return refuseClaim(code, name, "not of the claim's type")
	}
	return nil
}

func readTime(v strictjson.Value) (int64, bool) {
	n, ok := v.Uint()
	return int64(n), ok && n > 0 && n <= maxUnix
}

func readConfirmation(v strictjson.Value) (thumbprint string, ok bool) {
	if v.Kind() != '{' {
		return "", false
	}
	for m := v.Members(); m.Next(); {
		if m.Name != "jkt" {
			return "", false
		}
		thumbprint, ok = m.Value.Text()
	}
	return thumbprint, ok
}

// maxScopes bounds the scopes of a grant.
const maxScopes = 16

func readScope(v strictjson.Value) ([]string, bool) {
	if v.Kind() != '[' {
		return nil, false
	}
	var scopes []string
	for it := v.Elements(); it.Next(); {
		s, ok := it.Value.Text()
		if !ok || s == "" || len(scopes) == maxScopes {
			return nil, false
		}
		scopes = append(scopes, s)
	}
	return scopes, true
}

package pop

import (
	"context"
	"crypto"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jws"
)

// issuanceSkew is how far clocks may be off unless configured, and at most (RFC-003 section 9.2).
const issuanceSkew = 60 * time.Second

// IssuanceConfig configures an [IssuanceVerifier].
type IssuanceConfig struct {
	// Resolver finds the document of the subject. Required. What it caches is how long a key that was removed from a
	// document still counts.
	Resolver did.Resolver

	// Skew is how far the clocks of agents may be off, at most 60 s; 0 stands for 60 s, anything negative for no
	// tolerance. It is for iat alone: exp is compared with the authority's clock as it is.
	Skew time.Duration

	Time func() time.Time // nil stands for time.Now
}

// An IssuanceVerifier checks issuance proofs for an authority. It keeps no state, and may be used by several
// goroutines: that a challenge is used once is for the authority's storage to ensure.
type IssuanceVerifier struct {
	resolver did.Resolver
	skew     int64 // seconds
	now      func() time.Time
}

// NewIssuanceVerifier refuses a configuration without a resolver.
func NewIssuanceVerifier(cfg *IssuanceConfig) (*IssuanceVerifier, error) {
	if cfg == nil || cfg.Resolver == nil {
		return nil, errors.New("issuance proof: IssuanceConfig needs a Resolver")
	}
	skew := cfg.Skew
	if skew == 0 {
		skew = issuanceSkew
	}
	if skew > issuanceSkew {
		return nil, fmt.Errorf("issuance proof: a skew of %v: want at most %v", skew, issuanceSkew)
	}
	v := &IssuanceVerifier{resolver: cfg.Resolver, skew: max(0, int64(skew/time.Second)), now: cfg.Time}
	if v.now == nil {
		v.now = time.Now
	}
	return v, nil
}

// An IssuanceProof says who had which key: only [IssuanceVerifier.Verify] makes one that says anything.
type IssuanceProof struct {
	ID       string           // the claim jti
	KeyID    string           // the DID URL of the key: the badge's cnf.kid
	Key      crypto.PublicKey // ed25519.PublicKey, or *ecdsa.PublicKey on P-256: the badge's key
	IssuedAt time.Time        // the claim iat
}

// Verify does steps 6 to 23 of spec/issuance.md, "Verifying a proof", in their order. c is the challenge as the
// authority stored it, and route the DID in the path of the request. The caller has done steps 1 to 5; step 24, which
// uses the challenge up, is the caller's as well. An [*IssuanceError] says what failed; any other error is one of the
// caller.
func (v *IssuanceVerifier) Verify(ctx context.Context, proof string, c *Challenge, route did.DID) (*IssuanceProof, error) {
	if c == nil || route.IsZero() || c.CreatedAt.Unix() <= 0 {
		return nil, errors.New("issuance proof: internal error: no challenge, or no route")
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("issuance proof: internal error: %w", err)
	}
	if c.Subject != route {
		return nil, refuseIssuance(IssuanceSubjectMismatch, 3, "the challenge is for another subject than %q", route)
	}
	m, claims, refused := parseIssuance(proof)
	if refused != nil {
		return nil, refused
	}
	if refused := claims.compare(c); refused != nil {
		return nil, refused
	}
	if refused := v.checkTimes(claims, c); refused != nil {
		return nil, refused
	}
	if claims.Subject != route.String() {
		return nil, refuseIssuance(IssuanceSubjectMismatch, 19, "sub is %.200q, the badge is for %q", claims.Subject, route)
	}
	key, refused := v.findKey(ctx, m, route)
	if refused != nil {
		return nil, refused
	}
	return &IssuanceProof{ID: claims.ID, KeyID: m.Kid, Key: key, IssuedAt: time.Unix(claims.IssuedAt, 0).UTC()}, nil
}

// compare is steps 8 to 12.
func (p *issuanceClaims) compare(c *Challenge) *IssuanceError {
	switch {
	case p.Challenge != c.ID:
		return refuseIssuance(IssuanceChallengeMismatch, 8, "cid is %.60q, the challenge is %q", p.Challenge, c.ID)
	case subtle.ConstantTimeCompare([]byte(p.Nonce), []byte(c.Nonce)) != 1:
		return refuseIssuance(IssuanceInvalidProof, 9, "nonce is not that of the challenge")
	case p.Audience != c.Audience:
		return refuseIssuance(IssuanceAudienceMismatch, 10, "aud is %.200q, this is %q", p.Audience, c.Audience)
	case p.URI != c.HTTPURI:
		return refuseIssuance(IssuanceURIMismatch, 11, "htu is %.200q: copy that of the challenge byte for byte", p.URI)
	case p.Method != c.HTTPMethod:
		return refuseIssuance(IssuanceInvalidProof, 12, "htm is %.40q: want %q", p.Method, c.HTTPMethod)
	}
	return nil
}

// checkTimes is steps 13 to 18.
func (v *IssuanceVerifier) checkTimes(p *issuanceClaims, c *Challenge) *IssuanceError {
	now, over := v.now().Unix(), c.ExpiresAt.Unix()
	switch {
	case p.IssuedAt > now+v.skew:
		return refuseIssuance(IssuanceIssuedAtInvalid, 13, "signed %d s from now: set the agent's clock", p.IssuedAt-now)
	case p.IssuedAt < c.CreatedAt.Unix()-v.skew:
		return refuseIssuance(IssuanceIssuedAtInvalid, 14, "signed %d s before the challenge was made: set the agent's clock", c.CreatedAt.Unix()-p.IssuedAt)
	case p.IssuedAt > over:
		return refuseIssuance(IssuanceIssuedAtInvalid, 15, "signed when the challenge was over: ask for a new one")
	case p.Expires > p.IssuedAt+int64(MaxIssuanceWindow/time.Second):
		return refuseIssuance(IssuanceTooLong, 16, "exp is %d s after iat: want at most %v", p.Expires-p.IssuedAt, MaxIssuanceWindow)
	case p.Expires <= now:
		return refuseIssuance(IssuanceExpired, 17, "expired %d s ago: send a proof when it is signed", now-p.Expires)
	case p.Expires > over:
		return refuseIssuance(IssuanceOutlivesChallenge, 18, "exp is %d s after the challenge is over", p.Expires-over)
	}
	return nil
}

// findKey is steps 20 to 23.
func (v *IssuanceVerifier) findKey(ctx context.Context, m *jws.Message, subject did.DID) (crypto.PublicKey, *IssuanceError) {
	doc, refused := v.document(ctx, subject)
	if refused != nil {
		return nil, refused
	}
	id, err := did.ParseURL(m.Kid)
	method, found := doc.Method(id)
	switch {
	case err != nil || !found || method.Key == nil:
		return nil, refuseIssuance(IssuanceKeyNotFound, 21, "the document of %q has no key %.200q", subject, m.Kid)
	case !doc.MayAuthenticate(id):
		return nil, refuseIssuance(IssuanceKeyNotAuthenticator, 22, "the document of %q does not let %.200q authenticate", subject, m.Kid)
	}
	if err := m.Verify(method.Key); err != nil {
		refused := refuseIssuance(IssuanceSignatureInvalid, 23, "not signed by %.200q", m.Kid)
		refused.err = err
		return nil, refused
	}
	return method.Key, nil
}

func (v *IssuanceVerifier) document(ctx context.Context, subject did.DID) (*did.Document, *IssuanceError) {
	doc, err := v.resolver.Resolve(ctx, subject)
	if refused, ok := errors.AsType[*did.DocumentError](err); ok {
		e := refuseIssuance(IssuanceDocumentInvalid, 20, "%v", refused)
		e.err = err
		return nil, e
	}
	if err != nil {
		e := refuseIssuance(IssuanceResolutionFailed, 20, "the document of %q could not be had", subject)
		e.Undetermined, e.err = true, err
		return nil, e
	}
	if doc == nil || doc.ID != subject {
		return nil, refuseIssuance(IssuanceDocumentInvalid, 20, "the resolver answered with the document of another DID")
	}
	return doc, nil
}

package domain

import (
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jcs"
	"github.com/touchmark-dev/touchmark/internal/jws"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

const proofTyp = "pop+jwt"

// Limits of a possession proof.
const (
	MaxProofBytes = 8 << 10
	MaxProofTTL   = 60 * time.Second // RFC-003 section 6.2

	maxProofID  = 128
	maxProofURI = 2048
)

// MintURI returns what the claims aud and htu of a proof for minting say.
func MintURI(issuer string) string { return issuer + "/v1/badges/mint" }

// GrantStatusURI is [MintURI] for the status of a grant.
func GrantStatusURI(issuer, grantID string) string {
	return issuer + "/v1/badges/dv/grants/" + grantID + "/status"
}

// GrantRevokeURI is [MintURI] for the revocation of a grant.
func GrantRevokeURI(issuer, grantID string) string {
	return issuer + "/v1/badges/dv/grants/" + grantID + "/revoke"
}

// A ProofTemplate is what a possession proof will say.
type ProofTemplate struct {
	KeyID   string  // a DID URL; for minting it may be empty
	Subject did.DID // whose key signs
	Method  string  // of the HTTP request
	URI     string  // of the HTTP request: [MintURI], [GrantStatusURI] or [GrantRevokeURI]
	Now     time.Time
	TTL     time.Duration // in whole seconds; 0 stands for MaxProofTTL, which is also the limit
}

// proofClaims is the payload of a possession proof. Members that it does not have are ignored, as RFC-003 has
// more.
type proofClaims struct {
	Audience string `json:"aud"`
	Expires  int64  `json:"exp"`
	Method   string `json:"htm"`
	URI      string `json:"htu"`
	IssuedAt int64  `json:"iat"`
	ID       string `json:"jti"`
	Subject  string `json:"sub"`
}

// SignProof makes a proof with an Ed25519 key. Each proof is for one request.
func SignProof(key crypto.Signer, t *ProofTemplate) (string, error) {
	if key == nil || t == nil {
		return "", errors.New("domain validation: a proof needs a key and a template")
	}
	if _, ok := key.Public().(ed25519.PublicKey); !ok {
		return "", fmt.Errorf("domain validation: proofs are signed with Ed25519, not with a key of type %T", key.Public())
	}
	ttl := t.TTL
	if ttl == 0 {
		ttl = MaxProofTTL
	}
	c := &proofClaims{
		Audience: t.URI,
		Expires:  t.Now.Unix() + int64(ttl/time.Second),
		Method:   t.Method,
		URI:      t.URI,
		IssuedAt: t.Now.Unix(),
		ID:       newUUID(),
		Subject:  t.Subject.String(),
	}
	if err := c.check(); err != nil {
		return "", err
	}
	payload, err := jcs.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("domain validation: %w", err)
	}
	return jws.SignMax(jws.Header{Typ: proofTyp, Kid: t.KeyID}, payload, key, MaxProofBytes)
}

// parseProof does the steps that need nothing but the proof: form, header and claims.
func parseProof(token string) (*jws.Message, *proofClaims, error) {
	m, err := jws.ParseMax(token, MaxProofBytes)
	if err != nil {
		return nil, nil, refuse(CodeProofMalformed, "%v", err).because(err)
	}
	if m.Typ != proofTyp {
		return nil, nil, refuse(CodeProofMalformed, "header member typ is %.40q: want %q", m.Typ, proofTyp)
	}
	if m.Alg != jws.EdDSA {
		return nil, nil, refuse(CodeProofMalformed, "header member alg is %.20q: want %q", m.Alg, jws.EdDSA)
	}
	v, err := m.PayloadValue()
	if err != nil {
		return nil, nil, refuse(CodeProofMalformed, "payload: %v", err).because(err)
	}
	c := new(proofClaims)
	if err := c.read(v); err != nil {
		return nil, nil, err
	}
	if err := c.check(); err != nil {
		return nil, nil, err
	}
	return m, c, nil
}

func (c *proofClaims) read(v strictjson.Value) error {
	if v.Kind() != '{' {
		return refuse(CodeProofMalformed, "the payload is not a JSON object")
	}
	for m := v.Members(); m.Next(); {
		ok := true
		switch m.Name {
		case "aud":
			c.Audience, ok = m.Value.Text()
		case "exp":
			c.Expires, ok = readTime(m.Value)
		case "htm":
			c.Method, ok = m.Value.Text()
		case "htu":
			c.URI, ok = m.Value.Text()
		case "iat":
			c.IssuedAt, ok = readTime(m.Value)
		case "jti":
			c.ID, ok = m.Value.Text()
		case "sub":
			c.Subject, ok = m.Value.Text()
		}
		if !ok {
			return refuseClaim(CodeProofClaimsInvalid, m.Name, "not of the claim's type")
		}
	}
	return nil
}

// check judges the form of the claims, and the lifetime, which the signer chose. It is done when signing, too.
func (c *proofClaims) check() error {
	ttl := c.Expires - c.IssuedAt
	for _, rule := range []struct {
		claim string
		ok    bool
		want  string
	}{
		{"jti", isVisible(c.ID, maxProofID), "1 to 128 visible ASCII characters"},
		{"sub", isVisible(c.Subject, did.MaxLength), "a DID"},
		{"aud", isVisible(c.Audience, maxProofURI), "the URI of the request, as one string"},
		{"htu", isVisible(c.URI, maxProofURI), "the URI of the request"},
		{"htm", isVisible(c.Method, maxProofID), "the method of the request"},
		{"iat", c.IssuedAt > 0, "a time in Unix seconds"},
		{"exp", ttl > 0 && ttl <= int64(MaxProofTTL/time.Second), "a time after iat, and at most 60 s after it"},
	} {
		if !rule.ok {
			return refuseClaim(CodeProofClaimsInvalid, rule.claim, "want %s", rule.want)
		}
	}
	return nil
}

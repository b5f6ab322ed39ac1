package domain

import (
	"time"

	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jws"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

const (
	proofTyp    = pop.GrantProofType
	maxProofTTL = int64(pop.MaxGrantProofWindow / time.Second)
	maxProofID  = 128
	maxProofURI = 2048
)

// proofClaims is the payload of a possession proof, which [pop.SignGrantProof] makes. Members that it does not have
// are ignored, as RFC-003 has more.
type proofClaims struct {
	Audience string `json:"aud"`
	Expires  int64  `json:"exp"`
	Method   string `json:"htm"`
	URI      string `json:"htu"`
	IssuedAt int64  `json:"iat"`
	ID       string `json:"jti"`
	Subject  string `json:"sub"`
}

// parseProof does the steps that need nothing but the proof: form, header and claims.
func parseProof(token string) (*jws.Message, *proofClaims, error) {
	m, err := jws.ParseMax(token, pop.MaxProofBytes)
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

// check judges the form of the claims, and the lifetime, which the signer chose.
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
		{"exp", ttl > 0 && ttl <= maxProofTTL, "a time after iat, and at most 60 s after it"},
	} {
		if !rule.ok {
			return refuseClaim(CodeProofClaimsInvalid, rule.claim, "want %s", rule.want)
		}
	}
	return nil
}

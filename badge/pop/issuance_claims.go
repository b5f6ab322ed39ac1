package pop

import (
	"strings"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jws"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// parseIssuance does the steps that need nothing but the proof: 6 and 7.
func parseIssuance(proof string) (*jws.Message, *issuanceClaims, *IssuanceError) {
	bad := func(format string, args ...any) (*jws.Message, *issuanceClaims, *IssuanceError) {
		return nil, nil, refuseIssuance(IssuanceInvalidProof, 6, format, args...)
	}
	m, err := jws.ParseMax(proof, MaxProofBytes)
	if err != nil {
		return bad("%v", err)
	}
	if m.Kid == "" {
		return bad("the header has no kid")
	}
	if strings.Contains(m.Kid, "?") {
		return bad("header member kid is %.200q: a key is named without a query", m.Kid)
	}
	v, err := m.PayloadValue()
	if err != nil {
		return bad("payload: %v", err)
	}
	c := new(issuanceClaims)
	if err := c.read(v); err != nil {
		return nil, nil, err
	}
	if err := c.check(); err != nil {
		return nil, nil, err
	}
	if m.Typ != issuanceTyp {
		return nil, nil, refuseIssuance(IssuanceInvalidProof, 7, "header member typ is %.40q: want %q", m.Typ, issuanceTyp)
	}
	return m, c, nil
}

// read takes the claims out of the payload. Claims that the specification does not name are ignored.
func (c *issuanceClaims) read(v strictjson.Value) *IssuanceError {
	if v.Kind() != '{' {
		return refuseIssuance(IssuanceInvalidProof, 6, "the payload is not a JSON object")
	}
	for m := v.Members(); m.Next(); {
		ok := true
		switch place := c.place(m.Name).(type) {
		case *string:
			*place, ok = m.Value.Text()
		case *int64:
			var n uint64
			n, ok = m.Value.Uint()
			*place = int64(n)
		}
		if !ok {
			return refuseIssuance(IssuanceInvalidProof, 6, "claim %s is not of its type", m.Name)
		}
	}
	return nil
}

// place returns where the claim of that name goes, nil for a claim that is ignored.
func (c *issuanceClaims) place(name string) any {
	switch name {
	case "aud":
		return &c.Audience
	case "cid":
		return &c.Challenge
	case "exp":
		return &c.Expires
	case "htm":
		return &c.Method
	case "htu":
		return &c.URI
	case "iat":
		return &c.IssuedAt
	case "jti":
		return &c.ID
	case "nonce":
		return &c.Nonce
	case "sub":
		return &c.Subject
	}
	return nil
}

// check judges the form of the claims.
func (c *issuanceClaims) check() *IssuanceError {
	for _, rule := range []struct {
		claim string
		ok    bool
		want  string
	}{
		{"cid", isVisible(c.Challenge, maxID), "the id of a challenge"},
		{"nonce", isVisible(c.Nonce, maxNonce), "the nonce of the challenge"},
		{"sub", isVisible(c.Subject, did.MaxLength), "a DID"},
		{"aud", isVisible(c.Audience, maxURI), "the proof_aud of the challenge, as one string"},
		{"htu", isVisible(c.URI, maxURI), "the htu of the challenge"},
		{"htm", isVisible(c.Method, maxID), "a method"},
		{"jti", isVisible(c.ID, maxID), "1 to 128 visible ASCII characters"},
		{"iat", 0 < c.IssuedAt && c.IssuedAt < maxTime, "a time in Unix seconds"},
		{"exp", c.IssuedAt < c.Expires && c.Expires < maxTime, "a time after iat, in Unix seconds"},
	} {
		if !rule.ok {
			return refuseIssuance(IssuanceInvalidProof, 6, "claim %s: want %s", rule.claim, rule.want)
		}
	}
	return nil
}

// maxTime, far in the future, keeps sums of times from overflowing.
const maxTime = 1 << 48

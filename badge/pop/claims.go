package pop

import (
	"strings"
	"time"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jws"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// Limits of a call proof, in bytes.
const (
	// MaxProofBytes is the length of the longest call proof that is read or written.
	MaxProofBytes = 8 << 10

	maxID  = 128  // of hop_id and txn_id
	maxURI = 4096 // of htu and target_aud
)

const (
	hashTextBytes = len(hashPrefix) + 43
	saltTextBytes = 43
)

// parse does the steps that need nothing but the proof: form, header and claims.
func parse(proof string, window time.Duration) (*jws.Message, *claims, *RejectedError) {
	m, err := jws.ParseMax(proof, MaxProofBytes)
	if err != nil {
		return nil, nil, &RejectedError{Code: CodeMalformed, Reason: err.Error(), err: err}
	}
	if m.Typ != headerTyp {
		return nil, nil, refuse(CodeMalformed, "", "header member typ is %.40q: want %q", m.Typ, headerTyp)
	}
	if m.Alg != jws.EdDSA {
		return nil, nil, refuse(CodeMalformed, "", "header member alg is %.20q: want %q", m.Alg, jws.EdDSA)
	}
	v, err := m.PayloadValue()
	if err != nil {
		return nil, nil, refuse(CodeMalformed, "", "payload: %v", err)
	}
	c := new(claims)
	if err := c.read(v); err != nil {
		return nil, nil, err
	}
	return m, c, c.check(window)
}

// read takes the claims out of the payload. Claims that the specification does not name are ignored, among
// them body_hash, of which RFC-004 says so.
func (c *claims) read(v strictjson.Value) *RejectedError {
	if v.Kind() != '{' {
		return refuse(CodeMalformed, "", "the payload is not a JSON object")
	}
	for m := v.Members(); m.Next(); {
		ok := true
		switch place := c.place(m.Name).(type) {
		case *string:
			if *place, ok = m.Value.Text(); *place == "" {
				ok = false
			}
		case *int64:
			var n uint64
			n, ok = m.Value.Uint()
			*place = int64(n)
		}
		if !ok {
			return c.refuse(CodeClaimsInvalid, m.Name, "not of the claim's type, or empty")
		}
	}
	return nil
}

// place returns where the claim of that name goes, nil for a claim that is ignored.
func (c *claims) place(name string) any {
	switch name {
	case "badge_jti":
		return &c.BadgeID
	case "call_hash":
		return &c.CallHash
	case "call_salt":
		return &c.CallSalt
	case "exp":
		return &c.Expires
	case "hop_id":
		return &c.HopID
	case "htm":
		return &c.HTTPMethod
	case "htu":
		return &c.HTTPURI
	case "iat":
		return &c.IssuedAt
	case "iss":
		return &c.Issuer
	case "parent_hop_hash":
		return &c.ParentHopHash
	case "srv":
		return &c.Server
	case "target_aud":
		return &c.Audience
	case "txn_id":
		return &c.TxnID
	}
	return nil
}

// check judges the form of the claims, and the window, which the signer chose. It is done when signing, too.
func (c *claims) check(window time.Duration) *RejectedError {
	for _, rule := range []struct {
		claim string
		ok    bool
		want  string
	}{
		{"hop_id", isVisible(c.HopID, maxID), "1 to 128 visible ASCII characters"},
		{"txn_id", isVisible(c.TxnID, maxID), "1 to 128 visible ASCII characters"},
		{"badge_jti", isVisible(c.BadgeID, maxID), "the id of a badge"},
		{"iss", isVisible(c.Issuer, did.MaxLength), "a DID"},
		{"srv", isVisible(c.Server, did.MaxLength), "the DID of a server"},
		{"target_aud", isVisible(c.Audience, maxURI), "the audience of the call"},
		{"htm", isVisible(c.HTTPMethod, maxID), "a method"},
		{"htu", isVisible(c.HTTPURI, maxURI), "a URI"},
		{"parent_hop_hash", c.ParentHopHash == "" || isHash(c.ParentHopHash), `"sha256:" and 43 characters of base64url`},
		{"call_hash", isHash(c.CallHash), `"sha256:" and 43 characters of base64url`},
		{"call_salt", isSalt(c.CallSalt), "32 bytes in unpadded base64url"},
		{"iat", c.IssuedAt > 0, "a time in Unix seconds"},
		{"exp", c.Expires > c.IssuedAt, "a time after iat, in Unix seconds"},
		{"exp", c.Expires-c.IssuedAt <= int64(window/time.Second), "a window of at most " + window.String()},
	} {
		if !rule.ok {
			return c.refuse(CodeClaimsInvalid, rule.claim, "want %s", rule.want)
		}
	}
	return nil
}

// refuse makes an error about this proof.
func (c *claims) refuse(code Code, claim, format string, args ...any) *RejectedError {
	err := refuse(code, claim, format, args...)
	if isVisible(c.HopID, maxID) {
		err.HopID = c.HopID
	}
	return err
}

func isVisible(s string, limit int) bool {
	if s == "" || len(s) > limit {
		return false
	}
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// salt decodes call_salt, which check has looked at.
func (c *claims) salt() (salt [32]byte) {
	raw, _ := b64.DecodeString(c.CallSalt)
	copy(salt[:], raw)
	return salt
}

func isHash(s string) bool {
	digest, ok := strings.CutPrefix(s, hashPrefix)
	return ok && len(s) == hashTextBytes && isSalt(digest)
}

// isSalt reports whether s is the one base64url spelling of 32 bytes. The decoder skips line breaks, but then
// the length is another.
func isSalt(s string) bool {
	var buf [33]byte
	if len(s) != saltTextBytes {
		return false
	}
	n, err := b64.Decode(buf[:], []byte(s))
	return err == nil && n == 32
}

package pop

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

const (
	// MaxIssuanceWindow is the longest time between iat and exp of an issuance proof.
	MaxIssuanceWindow = 60 * time.Second

	// MaxChallengeBytes is the length of the longest answer that [ParseChallenge] reads.
	MaxChallengeBytes = 64 << 10

	issuanceTyp     = "pop+jwt"
	issuanceMethod  = "POST"
	challengePrefix = "ch-"
	maxNonce        = 256
)

// A Challenge is what an authority asks the owner of a key to sign before it issues a badge of assurance 1: to the
// authority, what it stored; to an agent, what [ParseChallenge] made of the answer (spec/issuance.md, "Challenge").
type Challenge struct {
	ID         string  // "ch-" and a UUID
	Nonce      string  // compared as text
	Subject    did.DID // whose key is to sign
	Audience   string  // the authority's origin, which badges name as iss
	HTTPMethod string  // POST
	HTTPURI    string  // of the request that the proof will be sent with, in the authority's spelling

	CreatedAt time.Time // by the authority's clock; zero to an agent, who is not told
	ExpiresAt time.Time // whole seconds
}

// CheckChallengeID does step 1 of the verification: id is "ch-" and a UUID in lower case. The error is an
// [*IssuanceError].
func CheckChallengeID(id string) error {
	text, ok := strings.CutPrefix(id, challengePrefix)
	if !ok || !isUUID(text) {
		return refuseIssuance(IssuanceInvalidChallengeID, 1, "challenge_id is not %q and a UUID in lower case", challengePrefix)
	}
	return nil
}

// isUUID reports whether s is a UUID of any version in lower case.
func isUUID(s string) bool {
	const form = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"
	if len(s) != len(form) {
		return false
	}
	for i := range len(s) {
		isHex := '0' <= s[i] && s[i] <= '9' || 'a' <= s[i] && s[i] <= 'f'
		if isHex != (form[i] == 'x') || !isHex && s[i] != '-' {
			return false
		}
	}
	return true
}

// challengeAnswer is what an agent uses of an authority's answer.
type challengeAnswer struct {
	ID        string    `json:"challenge_id"`
	Nonce     string    `json:"nonce"`
	ExpiresAt time.Time `json:"challenge_expires_at"`
	Audience  string    `json:"proof_aud"`
	URI       string    `json:"htu"`
	Method    string    `json:"htm"`
}

// ParseChallenge reads an authority's answer to the request of a challenge. issuer is the origin of the authority
// that the agent means to ask, and subject the agent: a challenge of another authority is refused, which this one
// may have fetched to have it answered.
func ParseChallenge(answer []byte, issuer string, subject did.DID) (*Challenge, error) {
	if len(answer) > MaxChallengeBytes {
		return nil, fmt.Errorf("challenge: an answer of %d bytes: want at most %d", len(answer), MaxChallengeBytes)
	}
	var a challengeAnswer
	if err := strictjson.Unmarshal(answer, &a); err != nil {
		return nil, fmt.Errorf("challenge: %w", err)
	}
	c := &Challenge{
		ID: a.ID, Nonce: a.Nonce, Subject: subject, Audience: a.Audience, HTTPMethod: a.Method, HTTPURI: a.URI,
		ExpiresAt: a.ExpiresAt,
	}
	if a.Audience != issuer {
		return nil, fmt.Errorf("challenge: proof_aud is %.200q where %q was asked: a challenge of another authority is not signed", a.Audience, issuer)
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	return c, nil
}

// check judges what both sides know of a challenge.
func (c *Challenge) check() error {
	if c.Subject.IsZero() {
		return errors.New("challenge: no subject")
	}
	if err := CheckChallengeID(c.ID); err != nil {
		return fmt.Errorf("challenge: %w", err)
	}
	switch {
	case !isNonce(c.Nonce):
		return errors.New("challenge: the nonce is not 32 bytes or more in unpadded base64url")
	case !isOrigin(c.Audience):
		return fmt.Errorf("challenge: proof_aud is %.200q: want an https origin", c.Audience)
	case !isVisible(c.HTTPURI, maxURI) || !strings.HasPrefix(c.HTTPURI, c.Audience+"/"):
		return fmt.Errorf("challenge: htu is %.200q: want a URI of %q", c.HTTPURI, c.Audience)
	case c.HTTPMethod != issuanceMethod:
		return fmt.Errorf("challenge: htm is %.40q: want %q", c.HTTPMethod, issuanceMethod)
	case c.ExpiresAt.Unix() <= 0:
		return errors.New("challenge: no time at which it expires")
	}
	return nil
}

func isNonce(s string) bool {
	raw, err := b64.DecodeString(s)
	return err == nil && len(raw) >= 32 && isVisible(s, maxNonce)
}

// isOrigin reports whether s is an https origin in its one spelling.
func isOrigin(s string) bool {
	d, err := did.FromWebURL(s)
	if err != nil {
		return false
	}
	origin, err := d.Origin()
	return err == nil && origin == s
}

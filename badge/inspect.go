package badge

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/touchmark-dev/touchmark/did"
)

// Unverified is what a token says. Nothing of it was checked against a key, a clock or an issuer: it is for
// showing to people, never for deciding.
type Unverified struct {
	Algorithm string // header member alg
	Type      string // header member typ; empty when absent
	KeyID     string // header member kid; empty when absent

	// Payload is the JSON of the claims, as it was signed.
	Payload json.RawMessage

	// Problem is the [*RejectedError] with which any strict verifier would refuse these claims, or nil. The
	// fields below are set only when it is nil.
	Problem error

	BadgeID   string
	Issuer    string
	Subject   did.DID
	Level     Level
	Assurance Assurance
	Domain    string
	Audience  []string
	IssuedAt  time.Time
	NotBefore time.Time // zero when absent
	ExpiresAt time.Time
}

// Inspect reads a token without verifying it. The error is a [*RejectedError] with [CodeMalformed] when the
// token cannot be read at all; anything else against the token is in Problem. It reads what the compat
// profile reads, and reports that as a Problem too.
func Inspect(token string) (*Unverified, error) {
	m, rejected := parse(new(claims), token, true)
	if rejected != nil && rejected.Code == CodeMalformed {
		return nil, rejected
	}
	u := &Unverified{Algorithm: m.Alg, Type: m.Typ, KeyID: m.Kid, Payload: m.Payload}
	b := new(Badge)
	c := &b.claims
	if _, rejected := parse(c, token, false); rejected != nil {
		u.Problem = rejected
		return u, nil
	}
	u.BadgeID, u.Issuer, u.Subject, u.Level, u.Assurance = c.id, c.issuer, c.subject, c.level, c.assurance
	u.Domain, u.Audience = c.domain, slices.Clone(c.audience)
	u.IssuedAt, u.NotBefore, u.ExpiresAt = b.IssuedAt(), b.NotBefore(), b.ExpiresAt()
	return u, nil
}

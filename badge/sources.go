package badge

import (
	"context"
	"crypto"
	"fmt"
	"time"

	"github.com/touchmark-dev/touchmark/did"
)

// A Key is one key of an issuer.
type Key struct {
	ID     string           // kid; empty when the issuer's set does not name it
	Public crypto.PublicKey // ed25519.PublicKey, or *ecdsa.PublicKey on P-256
}

// A KeySource knows the current keys of issuers. It is asked at each use of a badge, so it answers from
// memory where it can, and only about issuers that the [Verifier] trusts. An error means that the keys could
// not be learned, which leaves the badge undetermined; an issuer without keys is an empty answer. The answer
// is not changed by either side.
type KeySource interface {
	IssuerKeys(ctx context.Context, issuer string) ([]Key, error)
}

// A KeyRefresher is a [KeySource] that can be asked to look again, when a badge names a key that the last
// answer did not have. Anybody can make such a badge: the source limits how often it really looks.
type KeyRefresher interface {
	RefreshIssuerKeys(ctx context.Context, issuer string) ([]Key, error)
}

// StaticKeys are keys given beforehand, by issuer.
type StaticKeys map[string][]Key

// IssuerKeys implements [KeySource].
func (s StaticKeys) IssuerKeys(_ context.Context, issuer string) ([]Key, error) {
	keys, ok := s[issuer]
	if !ok {
		return nil, fmt.Errorf("badge: no keys were given for issuer %q", issuer)
	}
	return keys, nil
}

// A StatusQuery asks whether a badge still stands.
type StatusQuery struct {
	Issuer      string
	BadgeID     string
	Subject     did.DID
	Level       Level
	IssuerKeyID string // the issuer's key that signed the badge; may be empty
}

// A Status answers a [StatusQuery].
type Status struct {
	Revoked       bool // the badge was revoked
	AgentDisabled bool // its subject is disabled or suspended
	KeyWithdrawn  bool // the issuer withdrew the key that signed it

	// AsOf is the time for which this is true. An answer older than [MaxStatusAge] is as good as none. It may
	// be zero only when Authoritative is true, and means now.
	AsOf time.Time

	// Authoritative says that the issuer itself gave this answer, not a list.
	Authoritative bool
}

// A StatusSource knows the status of badges: the issuer's online service (package badge/client), a
// [RevocationList], or several of them by issuer ([StatusByIssuer]). An error means that the status could not
// be learned. It is asked at each use of a badge.
type StatusSource interface {
	Status(ctx context.Context, q StatusQuery) (Status, error)
}

// StatusByIssuer asks the source of the badge's issuer.
type StatusByIssuer map[string]StatusSource

// Status implements [StatusSource].
func (s StatusByIssuer) Status(ctx context.Context, q StatusQuery) (Status, error) {
	source := s[q.Issuer]
	if source == nil {
		return Status{}, fmt.Errorf("badge: no status source for issuer %q", q.Issuer)
	}
	return source.Status(ctx, q)
}

package badge

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"encoding/base64"
	"slices"
	"time"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jwk"
)

// A Badge is a badge that was verified: only [Verifier.Verify] makes one that says anything. It was good at
// the time of that call; its holder may keep it for the length of the call that presented it, and no longer.
// Badges are immutable and shared. The zero Badge has [LevelNone] and no subject.
type Badge struct {
	claims
	issuerKeyID string
	tokenHash   [32]byte
}

// ID returns the claim jti, the only part of a badge that belongs in logs.
func (b *Badge) ID() string { return b.id }

// Issuer returns the claim iss: an https origin, or for level 0 the subject's own did:key.
func (b *Badge) Issuer() string { return b.issuer }

// IssuerKeyID names the issuer's key that the signature was verified with, as the issuer's key set does. It
// is empty when the set does not name it, and for level 0.
func (b *Badge) IssuerKeyID() string { return b.issuerKeyID }

// Subject returns whom the badge is about.
func (b *Badge) Subject() did.DID { return b.subject }

// Level returns the level. Compare it with [Level.AtLeast].
func (b *Badge) Level() Level { return b.level }

// Assurance returns the claim ial.
func (b *Badge) Assurance() Assurance { return b.assurance }

// Key returns the subject's public key, an ed25519.PublicKey or a *ecdsa.PublicKey on P-256. Whoever
// presents the badge has to prove possession of it: see package badge/pop.
func (b *Badge) Key() crypto.PublicKey {
	if key, ok := b.key.(ed25519.PublicKey); ok {
		return slices.Clone(key) // a slice: the caller's to change, the badge's to keep
	}
	return b.key
}

// KeyThumbprint returns the RFC 7638 thumbprint of [Badge.Key].
func (b *Badge) KeyThumbprint() string {
	text, err := jwk.Thumbprint(b.key)
	if err != nil {
		return "" // the zero Badge: verification admits only keys that have one
	}
	return text
}

// Audience returns the claim aud, nil when the badge is for any verifier.
func (b *Badge) Audience() []string { return slices.Clone(b.audience) }

// IssuedAt returns the claim iat.
func (b *Badge) IssuedAt() time.Time { return time.Unix(b.issuedAt, 0).UTC() }

// NotBefore returns the claim nbf, or the zero time when there is none.
func (b *Badge) NotBefore() time.Time {
	if !b.hasNotBefore {
		return time.Time{}
	}
	return time.Unix(b.notBefore, 0).UTC()
}

// ExpiresAt returns the claim exp.
func (b *Badge) ExpiresAt() time.Time { return time.Unix(b.expires, 0).UTC() }

// Domain returns the domain that the issuer validated; it is empty below [LevelDomain] unless the issuer
// gave one.
func (b *Badge) Domain() string { return b.domain }

// SelfSigned reports whether the subject is its own issuer, which is the case at level 0 and only there.
func (b *Badge) SelfSigned() bool { return b.level == LevelSelfSigned }

// TokenHash returns the SHA-256 of the badge as it was presented.
func (b *Badge) TokenHash() [32]byte { return b.tokenHash }

// ConfirmationKeyID returns the claim cnf.kid, the DID URL of [Badge.Key]; it is the zero URL unless the
// assurance is [AssurancePossession].
func (b *Badge) ConfirmationKeyID() did.URL { return b.confirmation }

// CertificateSHA256 returns the claim cnf.x5t#S256, the SHA-256 of the certificate of the one TLS client that
// may present the badge, and false when the badge is not bound to one. Whoever accepts the badge has to compare
// it with the channel (spec/badge.md, "Binding to a channel"); package guard does.
func (b *Badge) CertificateSHA256() (sum [32]byte, ok bool) {
	raw, err := base64.RawURLEncoding.DecodeString(b.certificate)
	if err != nil || len(raw) != len(sum) {
		return sum, false
	}
	return [32]byte(raw), true
}

// SPIFFEID returns the claim spiffe_id, the SPIFFE ID that the presenter's X.509-SVID has to have, or "" when
// the badge is not bound to one. Whoever accepts the badge has to compare it with the channel.
func (b *Badge) SPIFFEID() string { return b.spiffeID }

// IssuanceProfile returns how the badge was issued when it was by a grant: "registered" or "anonymous_dv".
func (b *Badge) IssuanceProfile() string { return b.profile }

// Actor returns the class of actor that the issuer vouches the subject to be: "human", "supervised_ai", "automation"
// or "service_account", and "" when it says nothing. A badge of level 0 never has one. What it is worth is for
// whoever trusts the issuer to say: see the actors of spec/policy.md.
func (b *Badge) Actor() string { return b.actor }

// AgentCardHash returns the claim agent_card_hash, or "".
func (b *Badge) AgentCardHash() string { return b.agentCardHash }

// DIDDocumentHash returns the claim did_doc_hash, or "". Verification does not compare it with a document.
func (b *Badge) DIDDocumentHash() string { return b.didDocHash }

// sameKey reports whether two public keys are equal. Keys of other kinds than ours equal nothing.
func sameKey(a, b crypto.PublicKey) bool {
	switch key := a.(type) {
	case ed25519.PublicKey:
		other, ok := b.(ed25519.PublicKey)
		return ok && len(key) == ed25519.PublicKeySize && bytes.Equal(key, other)
	case *ecdsa.PublicKey:
		other, ok := b.(*ecdsa.PublicKey)
		return ok && key != nil && other != nil && key.Equal(other)
	default:
		return false
	}
}

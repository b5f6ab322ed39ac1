package badge

import (
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jcs"
	"github.com/touchmark-dev/touchmark/internal/jwk"
	"github.com/touchmark-dev/touchmark/internal/jws"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// A Template says what a new badge is to state.
type Template struct {
	// Subject is whom the badge is about: a did:web. [SelfSign] sets it.
	Subject did.DID

	// SubjectKey is the subject's public key: ed25519.PublicKey, or *ecdsa.PublicKey on P-256. [SelfSign] sets
	// it.
	SubjectKey crypto.PublicKey

	// Level is LevelRegistered to LevelExtended. [SelfSign] sets it.
	Level Level

	// Domain is the domain that was validated: required from [LevelDomain] on.
	Domain string

	// Audience names the verifiers that may accept the badge; empty means any.
	Audience []string

	// TTL is the time from issue to expiry in whole seconds, from MinTTL to MaxTTL; zero means DefaultTTL.
	TTL time.Duration

	// ID is the claim jti; empty means a new random UUID.
	ID string

	// Assurance is how the issuer tied SubjectKey to Subject; empty means [AssuranceAccount].
	Assurance Assurance

	// ConfirmationKeyID is the DID URL of SubjectKey in the subject's document. It is required with
	// [AssurancePossession] and refused otherwise.
	ConfirmationKeyID string

	// CertificateSHA256 is the SHA-256 of the certificate (DER) of the one TLS client that may present the badge;
	// nil means any. It takes [AssurancePossession].
	CertificateSHA256 []byte

	// SPIFFEID is that of the one workload that may present the badge, by its X.509-SVID; empty means any.
	SPIFFEID string

	// IssuedAt is the claim iat, cut to whole seconds; zero means now.
	IssuedAt time.Time

	// NotBefore is the claim nbf, cut to whole seconds; zero means none.
	NotBefore time.Time

	// IssuanceProfile is [ProfileRegistered] or [ProfileAnonymousDV] for a badge issued by grant.
	IssuanceProfile string

	// Actor is the class of actor that the issuer vouches the subject to be: "human", "supervised_ai", "automation" or
	// "service_account"; empty means that it says nothing. [SelfSign] refuses it.
	Actor string

	// AgentCardHash and DIDDocumentHash are "sha256:" and the unpadded base64url of the SHA-256 of the RFC 8785
	// form; ChallengeID is the issuance challenge. All are optional.
	AgentCardHash, DIDDocumentHash, ChallengeID string
}

// An IssuerKey is a key with which an issuer signs badges.
type IssuerKey struct {
	Issuer string // https origin
	KeyID  string // the name of the key in the issuer's set; required
	Signer crypto.Signer
}

// Issue signs a badge of levels 1 to 4. It refuses to sign what [Verifier.Verify] would refuse.
func Issue(key *IssuerKey, t *Template) (string, error) {
	if t == nil {
		return "", errors.New("badge: no Template")
	}
	if key == nil || key.Signer == nil || key.KeyID == "" {
		return "", errors.New("badge: issuing takes an IssuerKey with KeyID and Signer")
	}
	if !t.Level.AtLeast(LevelRegistered) {
		return "", fmt.Errorf("badge: an issuer signs levels 1 to 4, not level %v: see SelfSign", t.Level)
	}
	if sameKey(key.Signer.Public(), t.SubjectKey) {
		return "", errors.New("badge: the subject's key is the issuer's key")
	}
	return sign(jws.Header{Typ: headerTyp, Kid: key.KeyID}, key.Issuer, t, key.Signer)
}

// SelfSign signs a badge of level 0 with an Ed25519 key about itself. Of the template it uses what may differ
// between such badges: Audience, TTL, ID, the times and the hashes.
func SelfSign(key crypto.Signer, t *Template) (string, error) {
	if t == nil {
		return "", errors.New("badge: no Template")
	}
	if key == nil {
		return "", errors.New("badge: self-signing takes a key")
	}
	pub, ok := key.Public().(ed25519.PublicKey)
	if !ok {
		return "", fmt.Errorf("badge: self-signing takes an Ed25519 key, not %T", key.Public())
	}
	own := did.FromKey(pub)
	if own.IsZero() {
		return "", errors.New("badge: the key has no did:key")
	}
	filled := *t
	filled.Subject, filled.SubjectKey, filled.Level = own, pub, LevelSelfSigned
	return sign(jws.Header{Typ: headerTyp, Kid: own.KeyURL()}, own.String(), &filled, key)
}

// payload is the JSON of a badge. Members are written in the order of RFC 8785 whatever the order here.
type payload struct {
	ID           string            `json:"jti"`
	Issuer       string            `json:"iss"`
	Subject      string            `json:"sub"`
	Audience     []string          `json:"aud,omitempty"`
	IssuedAt     int64             `json:"iat"`
	Expires      int64             `json:"exp"`
	NotBefore    *int64            `json:"nbf,omitempty"`
	Assurance    Assurance         `json:"ial"`
	Key          json.RawMessage   `json:"key"`
	Confirmation map[string]string `json:"cnf,omitempty"`
	Credential   credential        `json:"vc"`

	AgentCardHash   string `json:"agent_card_hash,omitempty"`
	DIDDocumentHash string `json:"did_doc_hash,omitempty"`
	ChallengeID     string `json:"pop_challenge_id,omitempty"`
	SPIFFEID        string `json:"spiffe_id,omitempty"`
}

type credential struct {
	Type    []string          `json:"type"`
	Subject credentialSubject `json:"credentialSubject"`
}

type credentialSubject struct {
	Level   Level  `json:"level"`
	Domain  string `json:"domain,omitempty"`
	Profile string `json:"issuance_profile,omitempty"`
	Actor   string `json:"actor,omitempty"`
}

func sign(h jws.Header, issuer string, t *Template, key crypto.Signer) (string, error) {
	p, err := newPayload(issuer, t)
	if err != nil {
		return "", err
	}
	text, err := jcs.Marshal(p)
	if err != nil {
		return "", fmt.Errorf("badge: %w", err)
	}
	v, err := strictjson.Parse(text)
	if err != nil {
		return "", fmt.Errorf("badge: %w", err)
	}
	if rejected := parseClaims(new(claims), v, false); rejected != nil {
		return "", fmt.Errorf("badge: not signed, for it would be refused: %w", rejected)
	}
	token, err := jws.Sign(h, text, key)
	if err != nil {
		return "", fmt.Errorf("badge: %w", err)
	}
	return token, nil
}

func newPayload(issuer string, t *Template) (*payload, error) {
	ttl := t.TTL
	if ttl == 0 {
		ttl = DefaultTTL
	}
	if ttl%time.Second != 0 {
		return nil, fmt.Errorf("badge: TTL %v is not whole seconds", ttl)
	}
	issued := t.IssuedAt
	if issued.IsZero() {
		issued = time.Now()
	}
	key, err := jwk.Marshal(t.SubjectKey, "")
	if err != nil {
		return nil, fmt.Errorf("badge: subject's key: %w", err)
	}
	p := &payload{
		ID: t.ID, Issuer: issuer, Subject: t.Subject.String(), Audience: t.Audience,
		IssuedAt: issued.Unix(), Expires: issued.Unix() + int64(ttl/time.Second),
		Assurance: t.Assurance, Key: key,
		Credential: credential{
			Type:    []string{typeCredential, typeIdentity},
			Subject: credentialSubject{Level: t.Level, Domain: t.Domain, Profile: t.IssuanceProfile, Actor: t.Actor},
		},
		AgentCardHash: t.AgentCardHash, DIDDocumentHash: t.DIDDocumentHash, ChallengeID: t.ChallengeID, SPIFFEID: t.SPIFFEID,
	}
	if !t.NotBefore.IsZero() {
		nbf := t.NotBefore.Unix()
		p.NotBefore = &nbf
	}
	if err := p.confirm(t); err != nil {
		return nil, err
	}
	if p.Assurance == "" {
		p.Assurance = AssuranceAccount
	}
	if p.ID == "" {
		id, err := uuid.NewRandom()
		if err != nil {
			return nil, fmt.Errorf("badge: %w", err)
		}
		p.ID = id.String()
	}
	return p, nil
}

// confirm writes the claim cnf.
func (p *payload) confirm(t *Template) error {
	if t.ConfirmationKeyID != "" {
		p.Confirmation = map[string]string{"kid": t.ConfirmationKeyID}
	}
	switch {
	case t.CertificateSHA256 == nil:
		return nil
	case len(t.CertificateSHA256) != sha256.Size:
		return fmt.Errorf("badge: CertificateSHA256 has %d bytes, not %d", len(t.CertificateSHA256), sha256.Size)
	case p.Confirmation == nil:
		return errors.New("badge: CertificateSHA256 takes a ConfirmationKeyID: cnf is for badges whose issuer saw a proof of possession")
	}
	p.Confirmation[memberCertificate] = base64.RawURLEncoding.EncodeToString(t.CertificateSHA256)
	return nil
}

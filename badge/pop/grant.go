package pop

import (
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jcs"
	"github.com/touchmark-dev/touchmark/internal/jws"
)

// GrantProofType is the typ of a proof of a grant's key, which is that of an issuance proof: RFC-003 has one.
const GrantProofType = issuanceTyp

// MaxGrantProofWindow is the longest time between iat and exp of a proof of a grant's key.
const MaxGrantProofWindow = 60 * time.Second

// A GrantRequest is one request to an authority that takes a proof of a grant's key (spec/domain-validation.md,
// "Proof of the key"): what [MintRequest], [GrantStatusRequest] and [GrantRevokeRequest] return.
type GrantRequest struct {
	Method string // of the HTTP request
	URI    string // of the HTTP request, in the authority's spelling
}

// MintRequest is a badge to be minted by the authority of an https origin.
func MintRequest(issuer string) GrantRequest {
	return GrantRequest{http.MethodPost, issuer + "/v1/badges/mint"}
}

// GrantStatusRequest asks for the status of a grant, which its jti names.
func GrantStatusRequest(issuer, grantID string) GrantRequest {
	return GrantRequest{http.MethodGet, issuer + grantPath + grantID + "/status"}
}

// GrantRevokeRequest revokes a grant.
func GrantRevokeRequest(issuer, grantID string) GrantRequest {
	return GrantRequest{http.MethodPost, issuer + grantPath + grantID + "/revoke"}
}

const (
	grantPath   = "/v1/badges/dv/grants/"
	maxGrantURI = 2048
)

// A GrantProof is what a proof of a grant's key will say.
type GrantProof struct {
	Request GrantRequest
	Subject did.DID       // whose key signs: to mint, the DID that the badge is for
	KeyID   string        // DID URL of the key in the document of Subject; empty is allowed to mint alone
	TTL     time.Duration // in whole seconds; 0 stands for MaxGrantProofWindow, which is also the most
}

// grantProofClaims is the payload. It is written in canonical form.
type grantProofClaims struct {
	Audience string `json:"aud"`
	Expires  int64  `json:"exp"`
	Method   string `json:"htm"`
	URI      string `json:"htu"`
	IssuedAt int64  `json:"iat"`
	ID       string `json:"jti"`
	Subject  string `json:"sub"`
}

// SignGrantProof proves possession of the Ed25519 key that a grant is bound to, for one request that is sent at once:
// each proof is accepted once.
func SignGrantProof(key crypto.Signer, p *GrantProof, now time.Time) (string, error) {
	if key == nil || p == nil {
		return "", errors.New("grant proof: signing takes a key and what to say")
	}
	if _, ok := key.Public().(ed25519.PublicKey); !ok {
		return "", fmt.Errorf("grant proof: grants are bound to Ed25519 keys, not to one of type %T", key.Public())
	}
	ttl := p.TTL
	if ttl == 0 {
		ttl = MaxGrantProofWindow
	}
	if err := p.check(ttl, now); err != nil {
		return "", err
	}
	iat := now.Unix()
	payload, err := jcs.Marshal(&grantProofClaims{
		Audience: p.Request.URI, Expires: iat + int64(ttl/time.Second), Method: p.Request.Method, URI: p.Request.URI,
		IssuedAt: iat, ID: newUUID(), Subject: p.Subject.String(),
	})
	if err != nil {
		return "", fmt.Errorf("grant proof: %w", err)
	}
	return jws.SignMax(jws.Header{Typ: GrantProofType, Kid: p.KeyID}, payload, key, MaxProofBytes)
}

func (p *GrantProof) check(ttl time.Duration, now time.Time) error {
	switch {
	case p.Subject.IsZero():
		return errors.New("grant proof: no Subject")
	case !isVisible(p.Request.URI, maxGrantURI) || !isVisible(p.Request.Method, maxID):
		return fmt.Errorf("grant proof: request %.20q %.200q has no method or no URI", p.Request.Method, p.Request.URI)
	case ttl < time.Second || ttl > MaxGrantProofWindow || ttl%time.Second != 0:
		return fmt.Errorf("grant proof: TTL %v is not whole seconds up to %v", p.TTL, MaxGrantProofWindow)
	case now.Unix() <= 0 || now.Unix() >= maxTime:
		return fmt.Errorf("grant proof: the time is %v: set the clock", now)
	case p.KeyID == "":
		return nil
	}
	if id, err := did.ParseURL(p.KeyID); err != nil || id.DID != p.Subject {
		return fmt.Errorf("grant proof: key id %.200q is not a DID URL of %q", p.KeyID, p.Subject)
	}
	return nil
}

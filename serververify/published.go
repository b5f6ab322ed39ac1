package serververify

import (
	"errors"
	"fmt"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jws"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
)

// A PublishedResult says what became of the published proof of possession,
// which signs a nonce and nothing else. It is "" when it was not looked at.
type PublishedResult string

// What a published proof is. Neither lifts or lowers a state: a valid one may
// have been relayed.
const (
	PublishedValid   PublishedResult = "valid"
	PublishedInvalid PublishedResult = "invalid"
)

var errPublishedOff = errors.New("serververify: a published challenge was not answered: IdentityConfig.UnsafeAnswerPublishedProof is not set")

// SignPublished answers the published challenge: the signature of the nonce
// alone, under a typ of its own. It fails unless the identity is configured with
// UnsafeAnswerPublishedProof, for what is not base64url of exactly 32 bytes, and
// when the key signs too often.
func (i *Identity) SignPublished(nonce string) (string, error) {
	if !i.cfg.UnsafeAnswerPublishedProof {
		return "", errPublishedOff
	}
	if _, err := mcpwire.DecodeNonce(nonce); err != nil {
		return "", fmt.Errorf("serververify: published challenge: %w", err)
	}
	if !i.limiter.Allow() {
		return "", errSignRate
	}
	by := i.credential()
	return jws.Sign(jws.Header{Typ: mcpwire.TypePublishedProof, Kid: by.keyID}, []byte(nonce), by.signer)
}

// CheckPublished judges a published proof that s gave for nonce, the one that
// this client made ([NewNonce]) and sent. The result is "" unless the client is
// configured with CheckPublishedProof; there is nothing that follows from it.
func (v *Verifier) CheckPublished(s *Server, nonce, proof string) PublishedResult {
	if !v.cfg.CheckPublishedProof || s.key == nil {
		return ""
	}
	return judgePublished(s.key, s.DID, nonce, proof)
}

// ChecksPublished reports whether v is configured with CheckPublishedProof, and
// so whether there is a use in sending the published challenge.
func (v *Verifier) ChecksPublished() bool { return v.cfg.CheckPublishedProof }

func judgePublished(key any, d did.DID, nonce, proof string) PublishedResult {
	if _, err := mcpwire.DecodeNonce(nonce); err != nil {
		return PublishedInvalid
	}
	m, err := jws.Parse(proof)
	if err != nil || m.Typ != mcpwire.TypePublishedProof || string(m.Payload) != nonce {
		return PublishedInvalid
	}
	if kid, err := did.ParseURL(m.Kid); err != nil || kid.DID != d {
		return PublishedInvalid
	}
	if m.Verify(key) != nil {
		return PublishedInvalid
	}
	return PublishedValid
}

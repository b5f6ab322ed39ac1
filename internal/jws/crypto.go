package jws

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"errors"
	"fmt"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/cryptosigner"
)

// ErrSignature is returned by [Message.Verify] when the signature is not that of the key over the token.
var ErrSignature = errors.New("jws: signature does not verify")

// AlgorithmOf returns the one algorithm that a key signs with.
func AlgorithmOf(pub crypto.PublicKey) (string, error) {
	switch key := pub.(type) {
	case ed25519.PublicKey:
		if len(key) != ed25519.PublicKeySize {
			return "", fmt.Errorf("jws: Ed25519 public key of %d bytes", len(key))
		}
		return EdDSA, nil
	case *ecdsa.PublicKey:
		if key == nil || key.Curve != elliptic.P256() {
			return "", errors.New("jws: ECDSA key is not on P-256")
		}
		return ES256, nil
	default:
		return "", fmt.Errorf("jws: key of type %T is neither Ed25519 nor P-256", pub)
	}
}

// Verify checks the signature with pub. The algorithm is the key's own: a header that names another is
// refused with [ErrSignature] before any arithmetic.
func (m *Message) Verify(pub crypto.PublicKey) error {
	alg, err := AlgorithmOf(pub)
	if err != nil {
		return err
	}
	if alg != m.Alg {
		return ErrSignature
	}
	algs := [...]jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)}
	parsed, err := jose.ParseSignedCompact(m.token, algs[:])
	if err != nil {
		return ErrSignature
	}
	payload, err := parsed.Verify(pub)
	if err != nil || !bytes.Equal(payload, m.Payload) {
		return ErrSignature
	}
	return nil
}

// Sign makes a token. Typ is required; Alg may be left empty and, when given, must be the key's own. key is
// an Ed25519 or P-256 key, or anything that signs as one, such as a handle to a hardware key.
func Sign(h Header, payload []byte, key crypto.Signer) (string, error) {
	return SignMax(h, payload, key, MaxTokenBytes)
}

// SignMax is [Sign] with a limit of its own, for kinds of token that are lists.
func SignMax(h Header, payload []byte, key crypto.Signer, maxBytes int) (string, error) {
	if key == nil {
		return "", errors.New("jws: no key to sign with")
	}
	alg, err := AlgorithmOf(key.Public())
	if err != nil {
		return "", err
	}
	if h.Alg != "" && h.Alg != alg {
		return "", fmt.Errorf("jws: alg %q for a key of %s", h.Alg, alg)
	}
	if h.Typ == "" {
		return "", errors.New("jws: no typ for the header")
	}
	token, err := sign(alg, h, payload, key)
	if err != nil {
		return "", err
	}
	if _, err := ParseMax(token, maxBytes); err != nil {
		return "", fmt.Errorf("jws: refusing to hand out what would not be read: %w", err)
	}
	return token, nil
}

func sign(alg string, h Header, payload []byte, key crypto.Signer) (string, error) {
	opts := (&jose.SignerOptions{}).WithType(jose.ContentType(h.Typ))
	if h.Kid != "" {
		opts = opts.WithHeader("kid", h.Kid)
	}
	signer, err := jose.NewSigner(jose.SigningKey{
		Algorithm: jose.SignatureAlgorithm(alg),
		Key:       signingKey(key),
	}, opts)
	if err != nil {
		return "", fmt.Errorf("jws: %w", err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("jws: %w", err)
	}
	return signed.CompactSerialize()
}

// signingKey hands go-jose the kinds it knows as they are, and any other signer through its adapter.
func signingKey(key crypto.Signer) any {
	switch k := key.(type) {
	case ed25519.PrivateKey, *ecdsa.PrivateKey:
		return k
	default:
		return cryptosigner.Opaque(key)
	}
}

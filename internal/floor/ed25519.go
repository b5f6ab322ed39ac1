package floor

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
)

// Ed25519 signs and verifies one message. It is safe for concurrent use.
type Ed25519 struct {
	public    ed25519.PublicKey
	private   ed25519.PrivateKey
	message   []byte
	signature []byte
}

// NewEd25519 makes a key and a random message of this many bytes.
func NewEd25519(messageBytes int) (*Ed25519, error) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	message := make([]byte, messageBytes)
	rand.Read(message) //nolint:errcheck // never fails, see crypto/rand
	return &Ed25519{public, private, message, ed25519.Sign(private, message)}, nil
}

// Sign makes one signature.
func (e *Ed25519) Sign() []byte { return ed25519.Sign(e.private, e.message) }

// Verify makes one verification.
func (e *Ed25519) Verify() error {
	if !ed25519.Verify(e.public, e.message, e.signature) {
		return errors.New("floor: the signature does not verify")
	}
	return nil
}

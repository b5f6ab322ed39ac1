package translog

import (
	"crypto"
	"crypto/ed25519"
	"errors"

	"golang.org/x/mod/sumdb/note"
)

// A Signer signs the checkpoints of one log. Its name is the log's origin. It
// is a note.Signer that also knows its public half.
type Signer struct {
	origin string
	hash   uint32
	vkey   string
	key    crypto.Signer
}

var _ note.Signer = (*Signer)(nil)

// GenerateKey makes an Ed25519 key for the log of this origin, which should be
// a URL without scheme such as "log.example.com/calls", and returns the secret
// signer key and the verifier key, in the encoding of C2SP signed-note.
func GenerateKey(origin string) (skey, vkey string, err error) {
	return "", "", errors.New("translog: not yet")
}

// ParseSigner reads a signer key as GenerateKey returns it. No error shows the key.
func ParseSigner(skey string) (*Signer, error) { return nil, errors.New("translog: not yet") }

// NewSigner signs for the log of this origin with an Ed25519 key that may live
// elsewhere, in an agent or in hardware.
func NewSigner(origin string, key crypto.Signer) (*Signer, error) {
	if _, ok := key.Public().(ed25519.PublicKey); !ok {
		return nil, reject(CodeKeyMalformed, "the key is a %T, want Ed25519", key.Public())
	}
	return nil, errors.New("translog: not yet")
}

// Name returns the log's origin.
func (s *Signer) Name() string { return s.origin }

// KeyHash returns the key's identifier in signature lines.
func (s *Signer) KeyHash() uint32 { return s.hash }

// Sign returns the raw Ed25519 signature over msg.
func (s *Signer) Sign(msg []byte) ([]byte, error) {
	return s.key.Sign(nil, msg, crypto.Hash(0))
}

// VerifierKey returns the public half, as a policy's log line wants it.
func (s *Signer) VerifierKey() string { return s.vkey }

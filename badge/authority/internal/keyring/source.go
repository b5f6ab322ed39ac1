package keyring

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"fmt"
	"io"
)

// A Source has the private halves of signing keys, by their ids: files in a [Ring], a PKCS#11 token, a key management
// service. It may be used by several goroutines.
type Source interface {
	// Signer returns the signer of an Ed25519 key. An error means that this node cannot sign with it.
	Signer(ctx context.Context, keyID string) (crypto.Signer, error)
}

// Signer returns the key of that id from a source, having made sure that it signs with the public key that was
// published for it. Badges that another key signed would be refused by everybody.
func Signer(ctx context.Context, s Source, keyID string, published ed25519.PublicKey) (crypto.Signer, error) {
	if s == nil {
		return nil, fmt.Errorf("keyring: key %q: no source of keys", keyID)
	}
	signer, err := s.Signer(ctx, keyID)
	if err != nil {
		return nil, err
	}
	if signer == nil || !published.Equal(signer.Public()) {
		return nil, fmt.Errorf("keyring: key %q: the source has another key than the one that was published", keyID)
	}
	return signer, nil
}

// A fileKey signs with a key from a file, and prints as its public half.
type fileKey struct {
	key ed25519.PrivateKey
}

func (k *fileKey) Public() crypto.PublicKey { return k.key.Public() }

func (k *fileKey) Sign(rand io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	return k.key.Sign(rand, message, opts)
}

func (k *fileKey) String() string { return fmt.Sprintf("Ed25519 key %x", k.key.Public()) }

func (k *fileKey) GoString() string { return k.String() }

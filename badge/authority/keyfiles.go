package authority

import (
	"context"
	"crypto"
	"time"

	"github.com/touchmark-dev/touchmark/badge/authority/internal/keyring"
)

// KeyFiles are signing keys in a directory, one file each, plain or encrypted with a passphrase in the format of age
// (spec/issuance.md, "Key files"). They are [Signers].
type KeyFiles struct{ ring *keyring.Ring }

// OpenKeyFiles opens a directory that exists and that nobody else may write to. passphrase tells the passphrase of a
// key, once for each that is used; nil refuses encrypted keys.
func OpenKeyFiles(dir string, passphrase func(ctx context.Context, keyID string) (string, error)) (*KeyFiles, error) {
	ring, err := keyring.Open(dir, passphrase)
	if err != nil {
		return nil, err
	}
	return &KeyFiles{ring}, nil
}

// Create makes a key, which survives a power failure when it returns, and returns its id. An empty passphrase leaves
// the file readable to whoever can read this user's files. [Authority.AddKey] puts the key to use.
func (f *KeyFiles) Create(passphrase string) (keyID string, err error) {
	return f.ring.Create(keyring.Options{Passphrase: passphrase, Time: time.Now})
}

// IDs returns the ids of the keys that there are files of, oldest first.
func (f *KeyFiles) IDs() ([]string, error) {
	files, err := f.ring.Files()
	ids := make([]string, len(files))
	for i := range files {
		ids[i] = files[i].KeyID
	}
	return ids, err
}

// Signer implements [Signers].
func (f *KeyFiles) Signer(ctx context.Context, keyID string) (crypto.Signer, error) {
	return f.ring.Signer(ctx, keyID)
}

var _ Signers = (*KeyFiles)(nil)

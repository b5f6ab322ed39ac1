package keyring

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"filippo.io/age"

	"github.com/touchmark-dev/touchmark/internal/jwk"
)

// Limits of key files.
const (
	// MaxFileBytes is the length of the longest key file that is read.
	MaxFileBytes = 8 << 10
	// MaxWorkFactor is the base 2 logarithm of the most work that the encryption of a file may ask for: 1 GiB of memory
	// and a few seconds.
	MaxWorkFactor = 20

	defaultWorkFactor = 18 // about a second
	maxKeyID          = 64
)

// hasModes says that files have permissions in the sense of POSIX.
const hasModes = runtime.GOOS != "windows"

// ErrPassphrase is wrapped by the errors of [Ring.Signer] about a passphrase that does not open the file.
var ErrPassphrase = errors.New("the passphrase is another one, or the file is not encrypted with a passphrase")

// CheckID accepts ids that can be the names of files: letters, digits, '-', '_' and '.', and a letter or digit first.
func CheckID(keyID string) error {
	ok := keyID != "" && len(keyID) <= maxKeyID
	for i := 0; ok && i < len(keyID); i++ {
		c := keyID[i]
		ok = 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
			i > 0 && (c == '-' || c == '_' || c == '.')
	}
	if !ok {
		return fmt.Errorf("keyring: key id %.80q: want 1 to %d letters, digits, '-', '_' and '.', a letter or digit first", keyID, maxKeyID)
	}
	return nil
}

func newID(now time.Time) string {
	var b [2]byte
	rand.Read(b[:]) //nolint:errcheck // never fails, see crypto/rand
	return fmt.Sprintf("ca-%s-%x", now.UTC().Format(time.DateOnly), b)
}

// readPrivate reads a file that only its owner may read. A symbolic link is followed, for secrets are often mounted as
// links; what counts is the file that was opened.
func readPrivate(name string) ([]byte, error) {
	if info, err := os.Stat(name); err != nil {
		return nil, err
	} else if err := checkPrivate(name, info); err != nil {
		return nil, err // before opening, which waits if it is a pipe
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if err := checkPrivate(name, info); err != nil {
		return nil, err
	}
	return readAll(f, MaxFileBytes)
}

func checkPrivate(name string, info os.FileInfo) error {
	switch {
	case !info.Mode().IsRegular():
		return fmt.Errorf("%q is not a file", name)
	case hasModes && info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("%q is open to others (mode %#o): run chmod 600, and make a new key if anybody may have read it", name, info.Mode().Perm())
	}
	return nil
}

func readAll(r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("the file has more than %d bytes", limit)
	}
	return data, err
}

// parse reads a key that calls itself what its file is called.
func parse(text []byte, keyID string) (*fileKey, error) {
	k, err := jwk.ParsePrivate(text)
	if err != nil {
		return nil, err
	}
	if k.KeyID != keyID {
		return nil, fmt.Errorf("the file has the key %.80q", k.KeyID)
	}
	return &fileKey{k.Key}, nil
}

// seal makes a key and the file that it is kept in.
func (r *Ring) seal(keyID, passphrase string) (name string, text []byte, k *fileKey, err error) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return "", nil, nil, err
	}
	if text, err = jwk.MarshalPrivate(&jwk.Private{Key: key, KeyID: keyID}); err != nil {
		return "", nil, nil, err
	}
	if passphrase == "" {
		return keyID + plainSuffix, text, &fileKey{key}, nil
	}
	text, err = encrypt(text, passphrase, r.workFactor)
	return keyID + encryptedSuffix, text, &fileKey{key}, err
}

func encrypt(text []byte, passphrase string, workFactor int) ([]byte, error) {
	recipient, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return nil, err
	}
	recipient.SetWorkFactor(workFactor)
	var out bytes.Buffer
	w, err := age.Encrypt(&out, recipient)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func decrypt(sealed []byte, passphrase string) ([]byte, error) {
	identity, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return nil, err // the passphrase is empty
	}
	identity.SetMaxWorkFactor(MaxWorkFactor)
	r, err := age.Decrypt(bytes.NewReader(sealed), identity)
	if errors.Is(err, age.ErrIncorrectIdentity) {
		return nil, ErrPassphrase
	}
	if err != nil {
		return nil, err
	}
	return readAll(r, MaxFileBytes)
}

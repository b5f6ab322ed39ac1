package keyring

import (
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/touchmark-dev/touchmark/internal/durable"
)

const (
	plainSuffix     = ".jwk"
	encryptedSuffix = ".jwk.age"

	// createTries is how often a new key is given other digits: there are 65536 a day.
	createTries = 8
)

// A Passphrase tells the passphrase of a key. It is asked for each key until it
// has opened it. One that did not open a file is not tried on it again.
type Passphrase func(ctx context.Context, keyID string) (string, error)

// A Ring is a directory of key files, KEYID.jwk or, encrypted with a passphrase, KEYID.jwk.age: a private JWK in age's
// format, which the command age reads as well. It is a [Source], and may be used by several goroutines. Once a key was
// read it stays in memory; a change of its file has no effect.
type Ring struct {
	dir        string
	passphrase Passphrase

	mu     sync.Mutex
	keys   map[string]*fileKey
	failed map[string]failure // what became of the last try at a key

	workFactor int
	newID      func(now time.Time) string
}

var _ Source = (*Ring)(nil)

// A failure is that of a passphrase with a file, which is the same each time and took a second of work.
type failure struct {
	of  [sha256.Size]byte
	err error
}

// Open opens a directory, which must exist, be nobody else's to write to, and may be empty. passphrase may be nil:
// encrypted keys are refused then.
func Open(dir string, passphrase Passphrase) (*Ring, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("keyring: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("keyring: %q is not a directory", dir)
	}
	if hasModes && info.Mode().Perm()&0o022 != 0 {
		return nil, fmt.Errorf("keyring: directory %q can be written by others (mode %#o): run chmod go-w", dir, info.Mode().Perm())
	}
	return &Ring{dir: dir, passphrase: passphrase, keys: make(map[string]*fileKey), failed: make(map[string]failure), workFactor: defaultWorkFactor, newID: newID}, nil
}

// A File is a key file in a [Ring].
type File struct {
	KeyID     string
	Encrypted bool
}

// Files returns the key files in the order of their ids, which is that of their dates. Other files are passed over.
func (r *Ring) Files() ([]File, error) {
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return nil, fmt.Errorf("keyring: %w", err)
	}
	var files []File
	for _, e := range entries {
		id, encrypted := strings.CutSuffix(e.Name(), encryptedSuffix)
		if !encrypted {
			var ok bool
			if id, ok = strings.CutSuffix(e.Name(), plainSuffix); !ok {
				continue
			}
		}
		if CheckID(id) == nil {
			files = append(files, File{id, encrypted})
		}
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.KeyID, b.KeyID) })
	return files, nil
}

// Signer implements [Source]. It refuses a key that others may read, and one whose file is there encrypted and plain.
func (r *Ring) Signer(ctx context.Context, keyID string) (crypto.Signer, error) {
	if err := CheckID(keyID); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if k := r.keys[keyID]; k != nil {
		return k, nil
	}
	k, err := r.load(ctx, keyID)
	if err != nil {
		return nil, fmt.Errorf("keyring: key %q: %w", keyID, err)
	}
	r.keys[keyID] = k
	return k, nil
}

func (r *Ring) load(ctx context.Context, keyID string) (*fileKey, error) {
	path := filepath.Join(r.dir, keyID)
	plain, plainErr := readPrivate(path + plainSuffix)
	sealed, sealedErr := readPrivate(path + encryptedSuffix)
	switch {
	case plainErr == nil && sealedErr == nil:
		return nil, fmt.Errorf("there are both %q and %q: remove one", keyID+plainSuffix, keyID+encryptedSuffix)
	case errors.Is(plainErr, fs.ErrNotExist) && errors.Is(sealedErr, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no such key in %q: %w", r.dir, fs.ErrNotExist)
	case plainErr != nil && !errors.Is(plainErr, fs.ErrNotExist):
		return nil, plainErr
	case sealedErr != nil && !errors.Is(sealedErr, fs.ErrNotExist):
		return nil, sealedErr
	}
	if plainErr == nil {
		return parse(plain, keyID)
	}
	if r.passphrase == nil {
		return nil, errors.New("the file is encrypted, and no passphrase was given")
	}
	passphrase, err := r.passphrase(ctx, keyID)
	if err != nil {
		return nil, fmt.Errorf("passphrase: %w", err)
	}
	return r.unseal(keyID, sealed, passphrase)
}

// unseal tries a passphrase that did not open the same file before: whoever asks for a signature could otherwise have
// the work done without end.
func (r *Ring) unseal(keyID string, sealed []byte, passphrase string) (*fileKey, error) {
	of := sha256.Sum256(append(binary.BigEndian.AppendUint64(nil, uint64(len(sealed))), string(sealed)+passphrase...))
	if last, ok := r.failed[keyID]; ok && last.of == of {
		return nil, last.err
	}
	text, err := decrypt(sealed, passphrase)
	var k *fileKey
	if err == nil {
		k, err = parse(text, keyID)
	}
	delete(r.failed, keyID)
	if err != nil {
		r.failed[keyID] = failure{of, err}
	}
	return k, err
}

// Options say how [Ring.Create] makes a key.
type Options struct {
	// Passphrase encrypts the file. Empty leaves the file readable to whoever can read files of this user.
	Passphrase string

	// Time tells the date in the id. Nil means time.Now.
	Time func() time.Time
}

// Create makes a key, keeps it, and returns its id: "ca-", the date in UTC, and four random hexadecimal digits. When it
// returns, the key survives a power failure. Digits that a key in the directory has are not given to another one. Nobody signs with it before its state says so: see [Set].
func (r *Ring) Create(opts Options) (string, error) {
	now := time.Now
	if opts.Time != nil {
		now = opts.Time
	}
	for try := 1; ; try++ {
		keyID, err := r.create(r.newID(now()), opts.Passphrase)
		if !errors.Is(err, fs.ErrExist) || try == createTries { // else it has the digits of another key of this day
			return keyID, err
		}
	}
}

func (r *Ring) create(keyID, passphrase string) (string, error) {
	for _, suffix := range []string{plainSuffix, encryptedSuffix} {
		if _, err := os.Lstat(filepath.Join(r.dir, keyID+suffix)); err == nil {
			return "", fmt.Errorf("keyring: %q: %w", keyID+suffix, fs.ErrExist)
		}
	}
	name, text, k, err := r.seal(keyID, passphrase)
	if err != nil {
		return "", fmt.Errorf("keyring: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	// The name is taken first, so that no key is ever replaced; a crash leaves an empty file, which is no key.
	f, err := os.OpenFile(filepath.Join(r.dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", fmt.Errorf("keyring: %w", err)
	}
	if err := f.Close(); err != nil {
		return "", fmt.Errorf("keyring: %w", err)
	}
	if err := durable.WriteFile(durable.OS{}, filepath.Join(r.dir, name), text); err != nil {
		return "", fmt.Errorf("keyring: %w", err)
	}
	r.keys[keyID] = k
	return keyID, nil
}

package vault

import (
	"context"
	"crypto/cipher"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/internal/durable"
)

// wrapPatience is how long a Wrapper may take.
const wrapPatience = 10 * time.Second

// A Wrapper encrypts the keys of a vault under a key that is kept elsewhere: in a file ([ParseMasterKey]), or in a key
// management service.
type Wrapper interface {
	Wrap(ctx context.Context, key []byte) ([]byte, error)
	// Unwrap returns what Wrap was given. A Wrapper that can only wrap returns an error; a vault with it makes keys
	// and seals, and opens nothing.
	Unwrap(ctx context.Context, wrapped []byte) ([]byte, error)
}

// Config describes a vault. Dir and Wrapper are needed.
type Config struct {
	// Dir is the directory of the keys. It is made if it is missing, and must not be that of a journal.
	Dir string
	// Wrapper protects the keys in Dir.
	Wrapper Wrapper
	// Time is the clock that EraseBefore is held against. Nil means time.Now.
	Time func() time.Time

	fs durable.FS // nil: durable.OS
}

// A Vault is a directory of keys. It is an [evidence.Vault], and safe for concurrent use; several processes may use one
// directory.
type Vault struct {
	cfg     Config
	current atomic.Pointer[sealer]
	making  sync.Mutex // of a key
}

// Open opens a vault, and makes an empty one where there is none.
func Open(cfg *Config) (*Vault, error) {
	v := &Vault{cfg: *cfg}
	if v.cfg.Dir == "" || v.cfg.Wrapper == nil {
		return nil, errors.New("vault: a directory and a wrapper for its keys are needed; set Dir and Wrapper")
	}
	if v.cfg.Time == nil {
		v.cfg.Time = time.Now
	}
	if v.cfg.fs == nil {
		v.cfg.fs = durable.OS{}
	}
	if err := durable.MkdirAll(v.cfg.fs, v.cfg.Dir); err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	return v, nil
}

// Sealer returns what seals the private parts of records of this day. A key is made, and is durable before it is used,
// where the day has none that this vault can unwrap.
func (v *Vault) Sealer(at time.Time) (evidence.Sealer, error) {
	d := dayOf(at)
	if s := v.current.Load(); s != nil && s.name.day == d && s.count.Load() < maxSeals {
		return s, nil
	}
	v.making.Lock()
	defer v.making.Unlock()
	if s := v.current.Load(); s != nil && s.name.day == d && s.count.Load() < maxSeals {
		return s, nil
	}
	name, key, err := v.keyOf(d)
	if err != nil {
		return nil, fmt.Errorf("vault %q: a key to seal with: %w", v.cfg.Dir, err)
	}
	s, err := newSealer(name, key)
	if err != nil {
		return nil, fmt.Errorf("vault %q: %w", v.cfg.Dir, err)
	}
	v.current.Store(s)
	return s, nil
}

// keyOf returns a key of the day, a new one if there is none that can be read, or the one in use is used up.
func (v *Vault) keyOf(d day) (keyName, *periodKey, error) {
	names, err := v.list()
	if err != nil {
		return keyName{}, nil, err
	}
	used := v.current.Load()
	for _, name := range names {
		if name.day != d || used != nil && used.name == name {
			continue
		}
		if key, err := v.read(name); err == nil {
			// The file was synced before it had its name. The name may be there since a moment ago, or since its directory
			// could not be synced.
			return name, key, v.cfg.fs.SyncDir(v.cfg.Dir)
		}
	}
	name, key := newKey(d)
	ctx, cancel := context.WithTimeout(context.Background(), wrapPatience)
	defer cancel()
	wrapped, err := v.cfg.Wrapper.Wrap(ctx, keyBytes(name, key))
	if err != nil {
		return keyName{}, nil, err
	}
	if err = durable.WriteFile(v.cfg.fs, v.path(name), appendFile(nil, wrapped)); err != nil {
		_ = v.cfg.fs.Remove(v.path(name) + tempSuffix) // the next attempt has another name
	}
	return name, key, err
}

func (v *Vault) path(name keyName) string { return filepath.Join(v.cfg.Dir, name.file()) }

// list returns the names of the keys, the oldest first.
func (v *Vault) list() ([]keyName, error) {
	files, err := v.cfg.fs.ReadDir(v.cfg.Dir)
	if err != nil {
		return nil, err
	}
	var out []keyName
	for _, file := range files {
		if name, ok := parseName(file); ok {
			out = append(out, name)
		}
	}
	return out, nil
}

// read returns a key of the directory.
func (v *Vault) read(name keyName) (*periodKey, error) {
	b, err := durable.ReadFile(v.cfg.fs, v.path(name), maxKeyFile)
	if err != nil {
		return nil, err
	}
	wrapped, err := parseFile(b)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), wrapPatience)
	defer cancel()
	plain, err := v.cfg.Wrapper.Unwrap(ctx, wrapped)
	if err != nil {
		return nil, err
	}
	return parseKey(plain, name)
}

// Open returns the private part that was sealed for a record. The error wraps [evidence.ErrPrivateErased] when its key
// was destroyed.
func (v *Vault) Open(journal evidence.JournalID, seq uint64, sealed []byte) ([]byte, error) {
	name, err := parseSealed(sealed)
	if err != nil {
		return nil, err
	}
	// It is read each time: another process may have destroyed it.
	key, err := v.read(name)
	if errors.Is(err, fs.ErrNotExist) {
		if gone, gerr := v.Erased(); gerr == nil && gone(sealed) {
			return nil, fmt.Errorf("key %q: %w", name.file(), evidence.ErrPrivateErased)
		}
		return nil, fmt.Errorf("the key %q is not in the vault %q: it is another vault, or the key was lost", name.file(), v.cfg.Dir)
	}
	if err != nil {
		return nil, fmt.Errorf("key %q of the vault %q: %w", name.file(), v.cfg.Dir, err)
	}
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	return open(aead, journal, seq, sealed)
}

func open(aead cipher.AEAD, journal evidence.JournalID, seq uint64, sealed []byte) ([]byte, error) {
	nonce := sealed[nonceOffset:evidence.SealedPrefix]
	plain, err := aead.Open(nil, nonce, sealed[evidence.SealedPrefix:], appendPlace(nil, &journal, seq))
	if err != nil {
		return nil, errors.New("vault: the private part was not sealed for this record, or was changed")
	}
	return plain, nil
}

var _ evidence.Forgetter = (*Vault)(nil)

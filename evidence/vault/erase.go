package vault

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/touchmark-dev/touchmark/internal/durable"
)

// A Key is a key of a vault, as far as anybody is told.
type Key struct {
	File     string // in the vault's directory
	From, To time.Time
	Erased   bool // it was destroyed
}

// List returns the keys in the directory of a vault and those that were destroyed, the oldest first. It needs no master
// key.
func List(dir string) ([]Key, error) { return list(durable.OS{}, dir) }

func list(fsys durable.FS, dir string) ([]Key, error) {
	files, err := fsys.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	var out []Key
	for _, file := range files {
		base, gone := strings.CutSuffix(file, goneSuffix)
		if gone {
			base += keySuffix
		}
		if n, ok := parseName(base); ok {
			out = append(out, Key{File: file, From: n.day.start(), To: n.day.end(), Erased: gone})
		}
	}
	return out, nil
}

// EraseBefore destroys the keys of all days that had ended at a time, which must not be to come, and returns them. When
// it returns nil, nobody who has no copy of a key can open what was sealed with it. The key of a day is destroyed as a
// whole or not at all: what was sealed on the day of the time itself stays. One that cannot be destroyed does not keep
// the others.
//
// A key's file is overwritten, synced, and replaced by an empty one that says that it was destroyed. A disk that writes
// to another place than it is told to, as solid state disks and some file systems do, may keep the wrapped key where it
// was; then the master key protects it. So a vault that must forget for good has its master key in another place, and is
// given a new one now and then.
func (v *Vault) EraseBefore(at time.Time) (erased []Key, err error) {
	if at.After(v.cfg.Time()) {
		return nil, fmt.Errorf("vault: %s is to come; erase what was before now", at.UTC().Format(time.RFC3339))
	}
	v.making.Lock()
	defer v.making.Unlock()
	files, err := v.cfg.fs.ReadDir(v.cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	for _, file := range files {
		n, ok := parseName(strings.TrimSuffix(file, tempSuffix))
		if !ok || n.day.end().After(at) {
			continue
		}
		if derr := v.destroy(n, file); derr != nil {
			err = errors.Join(err, fmt.Errorf("vault: destroy the key %q: %w", file, derr))
			continue
		}
		if n.file() == file {
			erased = append(erased, Key{File: n.gone(), From: n.day.start(), To: n.day.end(), Erased: true})
		}
		v.forget(map[keyName]bool{n: true})
	}
	if serr := v.cfg.fs.SyncDir(v.cfg.Dir); serr != nil {
		err = errors.Join(err, fmt.Errorf("vault: %w", serr))
	}
	return erased, err
}

// Forget is [Vault.EraseBefore] for a ledger, which wants to know how many keys of the vault are destroyed by now.
func (v *Vault) Forget(before time.Time) (destroyed int, err error) {
	_, err = v.EraseBefore(before)
	gone, gerr := v.gone()
	return len(gone), errors.Join(err, gerr)
}

// forget drops the key in use if it is one of those that were destroyed.
func (v *Vault) forget(gone map[keyName]bool) {
	if s := v.current.Load(); s != nil && gone[s.name] {
		v.current.CompareAndSwap(s, nil)
	}
}

// destroy wipes the file of a key, or what was to become one, and leaves an empty one under the name of a destroyed key.
func (v *Vault) destroy(n keyName, file string) error {
	name := filepath.Join(v.cfg.Dir, file)
	err := v.wipe(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil // somebody else did
	case err != nil:
		return err
	case file != n.file():
		return v.cfg.fs.Remove(name)
	}
	return v.cfg.fs.Rename(name, filepath.Join(v.cfg.Dir, n.gone()))
}

// wipe overwrites a file with what is not a key, waits until that is on the disk, and empties it.
func (v *Vault) wipe(name string) (err error) {
	f, err := v.cfg.fs.Open(name, os.O_RDWR)
	if err != nil {
		return err
	}
	size, err := f.Size()
	if err == nil {
		noise := make([]byte, min(size, maxKeyFile))
		rand.Read(noise) //nolint:errcheck // never fails, see crypto/rand
		if len(noise) > 0 {
			noise[0] = 0 // no file of a key begins like this
		}
		_, err = f.WriteAt(noise, 0)
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// Erased returns a function that reports whether what was sealed was sealed under a key that was destroyed, as far as
// that is known now. Of a key that is merely missing it says no.
func (v *Vault) Erased() (func(sealed []byte) bool, error) {
	gone, err := v.gone()
	if err != nil {
		return nil, err
	}
	v.forget(gone) // another process may have destroyed it
	return func(sealed []byte) bool {
		n, err := parseSealed(sealed)
		return err == nil && gone[n]
	}, nil
}

// gone returns the names of the keys that were destroyed.
func (v *Vault) gone() (map[keyName]bool, error) {
	files, err := v.cfg.fs.ReadDir(v.cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	gone := map[keyName]bool{}
	for _, file := range files {
		if base, ok := strings.CutSuffix(file, goneSuffix); ok {
			if n, ok := parseName(base + keySuffix); ok {
				gone[n] = true
			}
		}
	}
	return gone, nil
}

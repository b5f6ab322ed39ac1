// Package durable holds the file operations that evidence depends on, behind
// an interface small enough that a test can replay every one of them.
//
// Use [WriteFile] to replace a small file so that a crash leaves either the
// old or the new content, [MkdirAll] to make a directory that is still there
// after a power failure, and [OS] wherever an [FS] is asked for. The package
// durabletest has an FS in memory that records, tears, drops and fails
// operations.
//
// # What is relied on
//
// From the operating system and the disk, and nothing more:
//
//   - fdatasync and fsync return success only when the data written before,
//     and the file size needed to read it, survive a power failure. After
//     they have failed once, nothing about the file is known: the kernel may
//     have dropped the pages and marked them clean, so that a second call
//     reports success for data that is lost. Nobody in this module retries.
//   - rename within one directory replaces the target atomically, and is
//     itself durable only after an fsync of the directory.
//   - A write that is cut by a power failure may leave any part of the bytes
//     it was given, in units of a sector or less, in any order with other
//     writes since the last sync. It leaves bytes outside its 4096-byte blocks
//     alone.
//   - A file whose space was reserved and written with zeroes reads as
//     zeroes, or as what was written later; never as another file's bytes.
//   - flock is exclusive between open file descriptions. Where a network file
//     system makes it per process instead, the registry of this package still
//     keeps one process from taking a lock twice.
//
// What the references say: Pillai et al., "All File Systems Are Not Created
// Equal" (OSDI 2014); Rebello et al., "Can Applications Recover from fsync
// Failures?" (USENIX ATC 2020); open(2), fsync(2), rename(2), flock(2).
//
// On systems without flock [FS.Lock] refuses, so nothing that needs a single
// writer runs there.
package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrLocked is wrapped by errors of [FS.Lock] when somebody else holds the lock.
var ErrLocked = errors.New("locked by another writer")

// File is an open file. Offsets and sizes are in bytes.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer

	// Size returns the current length.
	Size() (int64, error)

	// Truncate sets the length.
	Truncate(size int64) error

	// Reserve takes disk space for the first size bytes and makes the file at
	// least that long. What was not written before reads as zeroes.
	Reserve(size int64) error

	// Sync returns when everything written so far, and the length, would
	// survive a power failure. It must not be called again after it failed.
	Sync() error
}

// FS is the set of operations on which durability rests. Names are paths of
// the operating system. Files are created with mode 0600, directories 0700.
type FS interface {
	// Open opens a file. flag is a combination of os.O_RDONLY, os.O_RDWR,
	// os.O_CREATE and os.O_EXCL.
	Open(name string, flag int) (File, error)

	// Mkdir makes one directory.
	Mkdir(name string) error

	// ReadDir returns the base names in a directory, sorted.
	ReadDir(name string) ([]string, error)

	// Rename replaces newName by oldName.
	Rename(oldName, newName string) error

	// Remove removes a file.
	Remove(name string) error

	// SyncDir returns when the directory's entries would survive a power failure.
	SyncDir(name string) error

	// Lock takes an exclusive lock on a file, which it creates if needed, and
	// returns at once with an error that wraps [ErrLocked] if it is taken.
	// Closing releases it.
	Lock(name string) (io.Closer, error)
}

// MkdirAll makes a directory and its missing parents, each 0700, and syncs
// the parent of each directory it made.
func MkdirAll(fsys FS, dir string) error {
	if _, err := fsys.ReadDir(dir); err == nil {
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := MkdirAll(fsys, parent); err != nil {
			return err
		}
	}
	if err := fsys.Mkdir(dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return fsys.SyncDir(parent)
}

// tempSuffix marks files that never became what they were meant to be. A
// crash may leave one behind; the next [WriteFile] of the name replaces it.
const tempSuffix = ".tmp"

// WriteFile replaces the content of a file, mode 0600: after a crash the file
// holds all of the old content or all of the new. It writes a sibling with
// the suffix ".tmp", syncs it, renames it and syncs the directory. Only one
// writer at a time may use a name.
func WriteFile(fsys FS, name string, data []byte) error {
	temp := name + tempSuffix
	if err := writeTemp(fsys, temp, data); err != nil {
		return err
	}
	if err := fsys.Rename(temp, name); err != nil {
		return err
	}
	return fsys.SyncDir(filepath.Dir(name))
}

// writeTemp leaves a synced file with the data under a name of no value.
func writeTemp(fsys FS, temp string, data []byte) (err error) {
	if err := fsys.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := fsys.Open(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	if _, err := f.WriteAt(data, 0); err != nil {
		return err
	}
	return f.Sync()
}

// ReadFile reads a whole file of at most limit bytes.
func ReadFile(fsys FS, name string, limit int64) (data []byte, err error) {
	f, err := fsys.Open(name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > limit {
		return nil, fmt.Errorf("%q has %d bytes, more than the %d allowed", name, size, limit)
	}
	data = make([]byte, size)
	if n, err := f.ReadAt(data, 0); err != nil && (!errors.Is(err, io.EOF) || int64(n) != size) {
		return nil, err
	}
	return data, nil
}

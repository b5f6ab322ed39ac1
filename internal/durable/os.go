package durable

import (
	"io"
	"os"
)

// OS is the operating system's file system.
type OS struct{}

var _ FS = OS{}

// Open opens a file of the operating system.
func (OS) Open(name string, flag int) (File, error) {
	f, err := os.OpenFile(name, flag, 0o600) //nolint:gosec // the name is the operator's
	if err != nil {
		return nil, err
	}
	return &osFile{f}, nil
}

// Mkdir makes a directory with mode 0700.
func (OS) Mkdir(name string) error { return os.Mkdir(name, 0o700) }

// ReadDir returns the sorted base names in a directory.
func (OS) ReadDir(name string) ([]string, error) {
	entries, err := os.ReadDir(name)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

// Rename is rename(2).
func (OS) Rename(oldName, newName string) error { return os.Rename(oldName, newName) }

// Remove removes a file.
func (OS) Remove(name string) error { return os.Remove(name) }

// SyncDir is fsync(2) on the directory.
func (OS) SyncDir(name string) error {
	d, err := os.Open(name) //nolint:gosec // the name is the operator's
	if err != nil {
		return err
	}
	if err := syncDir(d); err != nil {
		_ = d.Close() // the first error is the one that matters
		return err
	}
	return d.Close()
}

// Lock takes flock(2) on the file, and an entry in the registry of this process.
func (OS) Lock(name string) (io.Closer, error) { return lock(name) }

type osFile struct{ *os.File }

func (f *osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f *osFile) Reserve(size int64) error { return reserve(f.File, size) }

func (f *osFile) Sync() error { return syncData(f.File) }

// writeZeroes makes a file longer without changing what it holds.
func writeZeroes(f *os.File, size int64) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	zeroes := make([]byte, min(max(size-info.Size(), 0), 1<<20))
	for off := info.Size(); off < size; off += int64(len(zeroes)) {
		if _, err := f.WriteAt(zeroes[:min(int64(len(zeroes)), size-off)], off); err != nil {
			return err
		}
	}
	return nil
}

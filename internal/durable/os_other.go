//go:build !linux

package durable

import (
	"os"
	"runtime"
)

// syncData is fsync, which os makes F_FULLFSYNC where that is what it takes.
func syncData(f *os.File) error { return f.Sync() }

// reserve writes zeroes, which every system counts as space taken.
func reserve(f *os.File, size int64) error { return writeZeroes(f, size) }

// syncDir does nothing on Windows, which has no such call.
func syncDir(d *os.File) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	return d.Sync()
}

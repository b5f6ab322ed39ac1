//go:build unix

package durable

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// inode names a file whatever path leads to it.
type inode struct{ device, number uint64 }

// held lists the locks of this process. It is the one variable of the module
// that is shared by everything in the process, because that is the thing to
// be protected: where flock is emulated by per-process locks, a second writer
// in this process would otherwise be let in.
var held = struct {
	sync.Mutex
	files map[inode]bool
}{files: map[inode]bool{}}

type fileLock struct {
	file *os.File
	id   inode
	once sync.Once
	err  error
}

func lock(name string) (io.Closer, error) {
	held.Lock()
	defer held.Unlock()
	// The registry is asked before the file is opened: where locks are
	// emulated, closing a second descriptor would release the first one's.
	var st unix.Stat_t
	if unix.Stat(name, &st) == nil && held.files[inodeOf(&st)] {
		return nil, fmt.Errorf("lock %q: %w in this process", name, ErrLocked)
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the name is the operator's
	if err != nil {
		return nil, err
	}
	if err := flock(f, &st); err != nil {
		_ = f.Close() // nothing was written
		return nil, fmt.Errorf("lock %q: %w", name, err)
	}
	l := &fileLock{file: f, id: inodeOf(&st)}
	held.files[l.id] = true
	return l, nil
}

// flock locks f and says in st which file it is.
func flock(f *os.File, st *unix.Stat_t) error {
	if err := unix.Fstat(int(f.Fd()), st); err != nil {
		return err
	}
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return ErrLocked
	}
	return err
}

func inodeOf(st *unix.Stat_t) inode {
	return inode{uint64(st.Dev), uint64(st.Ino)} //nolint:unconvert // narrower on some systems
}

// Close releases the lock. The file stays, because removing it would let two
// writers lock two files of one name.
func (l *fileLock) Close() error {
	l.once.Do(func() {
		held.Lock()
		defer held.Unlock()
		delete(held.files, l.id)
		l.err = l.file.Close()
	})
	return l.err
}

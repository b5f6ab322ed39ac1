package durable

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// syncData is fdatasync(2): it leaves out what reading the data back does not
// need, such as the modification time.
func syncData(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var serr error
	if err := conn.Control(func(fd uintptr) { serr = retryEINTR(func() error { return unix.Fdatasync(int(fd)) }) }); err != nil {
		return err
	}
	return os.NewSyscallError("fdatasync", serr)
}

// reserve is fallocate(2), or zeroes written where the file system has none.
func reserve(f *os.File, size int64) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var serr error
	if err := conn.Control(func(fd uintptr) { serr = retryEINTR(func() error { return unix.Fallocate(int(fd), 0, 0, size) }) }); err != nil {
		return err
	}
	if errors.Is(serr, unix.EOPNOTSUPP) || errors.Is(serr, unix.ENOSYS) {
		return writeZeroes(f, size)
	}
	return os.NewSyscallError("fallocate", serr)
}

// retryEINTR repeats a call that a signal interrupted before it did anything.
// It is not a retry after a failure.
func retryEINTR(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func syncDir(d *os.File) error { return d.Sync() }

package durabletest

import (
	"errors"
	"io"
	"io/fs"
)

// A file is an open file of a Disk.
type file struct {
	disk     *Disk
	node     *node
	name     string
	readOnly bool
	closed   bool
}

var errReadOnly = errors.New("the file is open for reading alone")

// writable reports why the file cannot be changed. Call with the disk's lock held.
func (f *file) writable(op string) error {
	if f.closed {
		return pathError(op, f.name, fs.ErrClosed)
	}
	if f.readOnly {
		return pathError(op, f.name, errReadOnly)
	}
	return nil
}

func (f *file) change(op Op) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.writable(string(op.Kind)); err != nil {
		return err
	}
	op.Name, op.node = f.name, f.node
	if err := f.disk.do(op); err != nil {
		return pathError(string(op.Kind), f.name, err)
	}
	return nil
}

func (f *file) ReadAt(b []byte, off int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.closed {
		return 0, pathError("read", f.name, fs.ErrClosed)
	}
	if off >= int64(len(f.node.view)) {
		return 0, io.EOF
	}
	n := copy(b, f.node.view[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *file) WriteAt(b []byte, off int64) (int, error) {
	err := f.change(Op{Kind: OpWrite, Off: off, Data: append([]byte(nil), b...)})
	if short := (*ShortWrite)(nil); errors.As(err, &short) {
		return short.N, err
	}
	if err != nil {
		return 0, err
	}
	return len(b), nil
}

func (f *file) Truncate(size int64) error { return f.change(Op{Kind: OpTruncate, Off: size}) }

// Reserve makes the file longer if it is shorter.
func (f *file) Reserve(size int64) error {
	now, err := f.Size()
	if err != nil || now >= size {
		return err
	}
	return f.Truncate(size)
}

func (f *file) Sync() error { return f.change(Op{Kind: OpSync}) }

func (f *file) Size() (int64, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.closed {
		return 0, pathError("stat", f.name, fs.ErrClosed)
	}
	return int64(len(f.node.view)), nil
}

func (f *file) Close() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.closed {
		return pathError("close", f.name, fs.ErrClosed)
	}
	f.closed = true
	return nil
}

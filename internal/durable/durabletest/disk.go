// Package durabletest has a disk in memory for tests of what must survive a
// power failure.
//
// A [Disk] is a durable.FS that records every operation. [Disk.Crashes] then
// replays each prefix of them and makes, for each, the disks that a power
// failure at that moment may leave: what was synced is there, and of what was
// not, any part, sector by sector. [Disk.SetFault] makes operations fail.
package durabletest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/touchmark-dev/touchmark/internal/durable"
)

// SectorBytes is the unit that a power failure writes or does not write.
const SectorBytes = 512

// An OpKind is a kind of operation that changes a disk.
type OpKind string

// The operations that are recorded. Reads are not.
const (
	OpCreate   OpKind = "create"
	OpMkdir    OpKind = "mkdir"
	OpWrite    OpKind = "write"
	OpTruncate OpKind = "truncate" // and reserve, which is the same here
	OpSync     OpKind = "sync"
	OpRename   OpKind = "rename"
	OpRemove   OpKind = "remove"
	OpSyncDir  OpKind = "syncdir"
)

// An Op is an operation on a disk.
type Op struct {
	Kind   OpKind
	Name   string // of the file or directory when it was opened
	Target string // new name of a rename
	Off    int64  // of a write; size of a truncate
	Data   []byte // of a write

	node   *node // of operations on files
	failed bool  // of a sync that reported an error
}

// A Disk is a durable.FS in memory that starts empty but for one directory. It
// is safe for concurrent use.
type Disk struct {
	mu    sync.Mutex
	world *world
	base  *world          // what it was made with
	bases map[*node]*node // of world to those of base, for the files it was made with
	ops   []Op
	fault func(op Op) error
	locks map[string]bool
}

var _ durable.FS = (*Disk)(nil)

// NewDisk returns a disk with this directory.
func NewDisk(dir string) *Disk {
	w := newWorld()
	w.dirs[dir], w.durableDirs[dir] = true, true
	return diskOf(w)
}

func diskOf(w *world) *Disk {
	base, bases := w.clone()
	return &Disk{world: w, base: base, bases: bases, locks: map[string]bool{}}
}

// SetFault makes fault judge each operation before it happens, from now on:
// an error is returned instead. A write that fails with a [*ShortWrite] is done
// in part. After a sync that failed, what was to be synced is never written by
// a later one, though it can still be read.
func (d *Disk) SetFault(fault func(op Op) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = fault
}

// A ShortWrite as the error of a fault makes a write stop after N bytes.
type ShortWrite struct {
	N   int
	Err error
}

func (e *ShortWrite) Error() string { return e.Err.Error() }
func (e *ShortWrite) Unwrap() error { return e.Err }

// Len returns how many operations were recorded.
func (d *Disk) Len() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.ops)
}

// do judges, records and applies an operation. A nil node of an operation on a
// file means that it is found or made by name.
func (d *Disk) do(op Op) error {
	var err error
	if d.fault != nil {
		err = d.fault(op)
	}
	if short := (*ShortWrite)(nil); errors.As(err, &short) && op.Kind == OpWrite {
		op.Data = op.Data[:short.N]
	} else if err != nil && op.Kind == OpSync {
		op.failed = true
	} else if err != nil {
		return err
	}
	if aerr := d.world.apply(&op); aerr != nil {
		return aerr
	}
	d.ops = append(d.ops, op)
	return err
}

// Open implements durable.FS.
func (d *Disk) Open(name string, flag int) (durable.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.world.names[name]
	switch {
	case n == nil && flag&os.O_CREATE == 0:
		return nil, pathError("open", name, fs.ErrNotExist)
	case n != nil && flag&os.O_EXCL != 0:
		return nil, pathError("open", name, fs.ErrExist)
	case n == nil && !d.world.dirs[filepath.Dir(name)]:
		return nil, pathError("open", name, fs.ErrNotExist)
	case n == nil:
		if err := d.do(Op{Kind: OpCreate, Name: name}); err != nil {
			return nil, pathError("open", name, err)
		}
		n = d.world.names[name]
	}
	return &file{disk: d, node: n, name: name, readOnly: flag&os.O_RDWR == 0}, nil
}

// Mkdir implements durable.FS.
func (d *Disk) Mkdir(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.world.dirs[name] || d.world.names[name] != nil:
		return pathError("mkdir", name, fs.ErrExist)
	case !d.world.dirs[filepath.Dir(name)]:
		return pathError("mkdir", name, fs.ErrNotExist)
	}
	return d.do(Op{Kind: OpMkdir, Name: name})
}

// ReadDir implements durable.FS.
func (d *Disk) ReadDir(name string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.world.dirs[name] {
		return nil, pathError("readdir", name, fs.ErrNotExist)
	}
	return d.world.list(name), nil
}

// Rename implements durable.FS.
func (d *Disk) Rename(oldName, newName string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.world.names[oldName] == nil {
		return pathError("rename", oldName, fs.ErrNotExist)
	}
	return d.do(Op{Kind: OpRename, Name: oldName, Target: newName})
}

// Remove implements durable.FS.
func (d *Disk) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.world.names[name] == nil {
		return pathError("remove", name, fs.ErrNotExist)
	}
	return d.do(Op{Kind: OpRemove, Name: name})
}

// SyncDir implements durable.FS.
func (d *Disk) SyncDir(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.world.dirs[name] {
		return pathError("syncdir", name, fs.ErrNotExist)
	}
	return d.do(Op{Kind: OpSyncDir, Name: name})
}

// Lock implements durable.FS. Locks end with the disk: a crash releases them.
func (d *Disk) Lock(name string) (io.Closer, error) {
	f, err := d.Open(name, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.locks[name] {
		return nil, fmt.Errorf("lock %q: %w", name, durable.ErrLocked)
	}
	d.locks[name] = true
	return &lock{disk: d, name: name, file: f}, nil
}

type lock struct {
	disk *Disk
	name string
	file durable.File
}

func (l *lock) Close() error {
	l.disk.mu.Lock()
	delete(l.disk.locks, l.name)
	l.disk.mu.Unlock()
	return l.file.Close()
}

func pathError(op, name string, err error) error { return &fs.PathError{Op: op, Path: name, Err: err} }

// Ops returns the operations recorded so far.
func (d *Disk) Ops() []Op {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.ops)
}

// Names returns the sorted base names in a directory.
func (d *Disk) Names(dir string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.world.list(dir)
}

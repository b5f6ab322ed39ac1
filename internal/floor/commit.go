package floor

import (
	"errors"
	"os"
	"path/filepath"
	"sync"

	"github.com/touchmark-dev/touchmark/internal/durable"
)

// commitBytes is the size of the files that a GroupCommit writes. Their space is
// reserved before they are written.
const commitBytes = 64 << 20

// GroupCommit makes records of one size durable: one goroutine writes what has
// come together and syncs it, while callers wait. Every byte goes to new space,
// as the bytes of a log must: to overwrite the same warm blocks again and again
// is faster, and another job. It is safe for concurrent use.
type GroupCommit struct {
	dir    string
	record []byte
	wake   chan struct{}
	done   chan struct{}

	// The flusher's own.
	file durable.File
	off  int64
	buf  []byte

	mu     sync.Mutex
	next   *commit
	closed bool
}

type commit struct {
	records int
	done    chan struct{}
	err     error
}

// NewGroupCommit makes a file in dir for records of this many bytes.
func NewGroupCommit(dir string, recordBytes int) (*GroupCommit, error) {
	g := &GroupCommit{
		dir: dir, record: make([]byte, recordBytes),
		wake: make(chan struct{}, 1), done: make(chan struct{}), next: &commit{done: make(chan struct{})},
	}
	for i := range g.record {
		g.record[i] = byte(i)
	}
	if err := g.begin(); err != nil {
		return nil, err
	}
	go g.run()
	return g, nil
}

// begin goes on in a new file and removes the one before.
func (g *GroupCommit) begin() error {
	name := filepath.Join(g.dir, "floor")
	if g.file != nil {
		if err := errors.Join(g.file.Close(), os.Remove(name)); err != nil {
			return err
		}
	}
	f, err := (durable.OS{}).Open(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return err
	}
	g.file, g.off = f, 0
	return errors.Join(f.Reserve(commitBytes), f.Sync())
}

// Commit returns when one record is durable.
func (g *GroupCommit) Commit() error {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return os.ErrClosed
	}
	c := g.next
	c.records++
	g.mu.Unlock()
	g.signal()
	<-c.done
	return c.err
}

func (g *GroupCommit) signal() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

func (g *GroupCommit) run() {
	defer close(g.done)
	for range g.wake {
		g.mu.Lock()
		c, closed := g.next, g.closed
		g.next = &commit{done: make(chan struct{})}
		g.mu.Unlock()
		if c.records > 0 {
			c.err = g.write(c.records)
			close(c.done)
		}
		if closed {
			return
		}
	}
}

func (g *GroupCommit) write(records int) error {
	g.buf = g.buf[:0]
	for range records {
		g.buf = append(g.buf, g.record...)
	}
	if g.off+int64(len(g.buf)) > commitBytes {
		if err := g.begin(); err != nil {
			return err
		}
	}
	_, err := g.file.WriteAt(g.buf, g.off)
	g.off += int64(len(g.buf))
	return errors.Join(err, g.file.Sync())
}

// Close waits for what was begun and closes the file.
func (g *GroupCommit) Close() error {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.signal()
	<-g.done
	return g.file.Close()
}

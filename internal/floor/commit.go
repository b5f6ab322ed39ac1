package floor

import (
	"errors"
	"os"
	"path/filepath"
	"sync"

	"github.com/touchmark-dev/touchmark/internal/durable"
)

// commitBytes is the size of the file that a GroupCommit writes round and
// round. It is written full of zeroes first, because a sync of a file that
// has its final size and content everywhere is the cheapest there is.
const commitBytes = 64 << 20

// GroupCommit makes records of one size durable: one goroutine writes what has
// come together and syncs it, while callers wait. It is safe for concurrent use.
type GroupCommit struct {
	file   durable.File
	record []byte
	wake   chan struct{}
	done   chan struct{}

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
	f, err := (durable.OS{}).Open(filepath.Join(dir, "floor"), os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return nil, err
	}
	g := &GroupCommit{
		file: f, record: make([]byte, recordBytes),
		wake: make(chan struct{}, 1), done: make(chan struct{}), next: &commit{done: make(chan struct{})},
	}
	for i := range g.record {
		g.record[i] = byte(i)
	}
	if err := errors.Join(f.Reserve(commitBytes), fill(f), f.Sync()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	go g.run()
	return g, nil
}

func fill(f durable.File) error {
	zeroes := make([]byte, 1<<20)
	for off := int64(0); off < commitBytes; off += int64(len(zeroes)) {
		if _, err := f.WriteAt(zeroes, off); err != nil {
			return err
		}
	}
	return nil
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
	var off int64
	var buf []byte
	for range g.wake {
		g.mu.Lock()
		c, closed := g.next, g.closed
		g.next = &commit{done: make(chan struct{})}
		g.mu.Unlock()
		if c.records > 0 {
			buf = buf[:0]
			for range c.records {
				buf = append(buf, g.record...)
			}
			if off+int64(len(buf)) > commitBytes {
				off = 0
			}
			_, err := g.file.WriteAt(buf, off)
			off += int64(len(buf))
			c.err = errors.Join(err, g.file.Sync())
			close(c.done)
		}
		if closed {
			return
		}
	}
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

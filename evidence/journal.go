package evidence

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"time"

	"github.com/touchmark-dev/touchmark/internal/durable"
)

// defaultSegmentBytes is the size of a segment. A smaller one costs a change
// of file more often, a larger one more time and space at each start.
const defaultSegmentBytes = 64 << 20

// lockName is the file whose lock the one writer of a directory holds.
const lockName = "lock"

// errJournalClosed is why a closed journal takes nothing.
var errJournalClosed = errors.New("the journal is closed")

// A journalConfig describes a journal. The directory must exist.
type journalConfig struct {
	fs           durable.FS
	dir          string
	segmentBytes int64            // 0: defaultSegmentBytes
	maxPayload   int              // 0: maxFramePayload
	quota        int64            // bytes of all segments; 0: no bound
	now          func() time.Time // nil: time.Now
	written      func([]byte)     // is given each payload that nobody needs any more; may be nil
}

func (c *journalConfig) setDefaults() error {
	if c.segmentBytes == 0 {
		c.segmentBytes = defaultSegmentBytes
	}
	if c.maxPayload == 0 {
		c.maxPayload = maxFramePayload
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.quota != 0 && c.quota < 2*c.segmentBytes {
		return fmt.Errorf("a journal of %d bytes does not hold two segments of %d", c.quota, c.segmentBytes)
	}
	least := 2*blockBytes + 2*loneSpace(c.maxPayload)
	if c.maxPayload < 0 || c.maxPayload > maxFramePayload || c.segmentBytes < least ||
		c.segmentBytes > maxSegmentBytes || c.segmentBytes%blockBytes != 0 {
		return fmt.Errorf("segments of %d bytes do not fit payloads of %d; make them a multiple of %d and at least %d",
			c.segmentBytes, c.maxPayload, blockBytes, least)
	}
	return nil
}

// A journal is an append-only sequence of payloads in numbered files of one
// directory. What payloads mean is not its business.
//
// One goroutine, the flusher, writes. Whatever was appended while it was
// waiting for the disk is its next batch: one write, one sync. After a write
// or a sync that failed nothing more is written, because nothing is known any
// more about what is on the disk; the next openJournal finds out.
type journal struct {
	cfg    journalConfig
	id     JournalID
	begins uint64 // index of the first payload that was kept when it was opened
	lock   io.Closer

	// The flusher's own; anybody's when done is closed.
	file   durable.File
	head   *segmentHeader
	buf    []byte
	used   uint64 // frames in this segment
	zeroed int64  // end of what was written, zeroes or frames

	wake chan struct{} // has room for one: something was queued, or closing was set
	done chan struct{} // closed when the flusher has returned

	mu       sync.Mutex
	queue    []*commit
	current  *commit // what the flusher is at
	next     uint64  // index of the next payload that is appended
	synced   uint64  // payloads that are durable: all with a smaller index
	off      int64   // end of what was written in this segment
	promised int64   // bytes of space that were reserved and not used so far
	closed   int64   // bytes of the segments before this one
	spare    spare
	closing  bool
	err      error         // why nothing can be appended any more
	changed  chan struct{} // closed and replaced whenever synced, space or err change
}

// A commit is what callers wait for together.
type commit struct {
	first    uint64 // index of the first payload
	payloads [][]byte
	bytes    int64 // of frames
	reserved int64
	done     chan struct{}
	err      error // valid when done is closed
}

// openJournal recovers the journal in a directory and starts a new segment.
// It refuses a directory that has another writer, and a damaged journal.
func openJournal(cfg journalConfig) (_ *journal, err error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	lock, err := cfg.fs.Lock(filepath.Join(cfg.dir, lockName))
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, lock.Close())
		}
	}()
	head, left, err := recoverJournal(cfg.fs, cfg.dir)
	if err != nil {
		return nil, err
	}
	file, err := makeSegment(cfg.fs, cfg.dir, cfg.segmentBytes)
	if err != nil {
		return nil, errors.Join(err, left.wipe(head.previous))
	}
	err = nameSegment(cfg.fs, cfg.dir, file, head)
	if err = errors.Join(err, left.wipe(head.previous)); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	j := &journal{
		cfg: cfg, id: head.journal, lock: lock, file: file, head: head,
		next: head.first, synced: head.first, off: blockBytes, begins: left.begins, closed: left.bytes,
		wake: make(chan struct{}, 1), done: make(chan struct{}), changed: make(chan struct{}),
	}
	go j.run()
	return j, nil
}

// append queues payloads, in this order and together. It does not wait for the
// disk: the payloads are durable when done of the commit is closed and its err
// is nil. They must not be changed until then. reserved is the space that
// tryReserve granted for them.
func (j *journal) append(reserved int64, payloads ...[]byte) (*commit, error) {
	var space int64
	for _, p := range payloads {
		if len(p) == 0 || len(p) > j.cfg.maxPayload {
			return nil, fmt.Errorf("a payload of %d bytes is not between 1 and %d", len(p), j.cfg.maxPayload)
		}
		space += frameSpace(len(p))
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return nil, j.err
	}
	c := j.openCommit(space)
	c.payloads = append(c.payloads, payloads...)
	c.bytes += space
	c.reserved += reserved
	j.next += uint64(len(payloads))
	select {
	case j.wake <- struct{}{}:
	default:
	}
	return c, nil
}

// openCommit returns the last commit in the queue if it has this much room,
// and else a new one.
func (j *journal) openCommit(space int64) *commit {
	if n := len(j.queue); n > 0 && j.queue[n-1].bytes+space <= maxBatchBytes {
		return j.queue[n-1]
	}
	c := &commit{first: j.next, done: make(chan struct{})}
	j.queue = append(j.queue, c)
	return c
}

// announce tells everybody who waits that something changed. Call with mu held.
func (j *journal) announce() {
	close(j.changed)
	j.changed = make(chan struct{})
}

// position returns how many payloads are durable, and a channel that is closed
// when that or err changes.
func (j *journal) position() (synced uint64, changed <-chan struct{}, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.synced, j.changed, j.err
}

// poison refuses everything from now on, including what is under way and what
// is queued. The first reason stays.
func (j *journal) poison(reason error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err == nil || errors.Is(j.err, errJournalClosed) {
		j.err = reason
	}
	failed := j.queue
	if j.current != nil {
		failed = append(failed, j.current)
	}
	for _, c := range failed {
		c.err = j.err
		close(c.done)
	}
	j.queue, j.current = nil, nil
	j.announce()
}

// close makes durable what is queued, seals the segment and releases the
// directory. It returns what went wrong, now or before.
func (j *journal) close() error {
	j.mu.Lock()
	if j.closing {
		j.mu.Unlock()
		return errJournalClosed
	}
	j.closing = true
	if j.err == nil {
		j.err = errJournalClosed
	}
	j.announce()
	j.mu.Unlock()
	select {
	case j.wake <- struct{}{}:
	default:
	}
	<-j.done
	err := j.dropSpare()
	if _, _, failed := j.position(); !errors.Is(failed, errJournalClosed) {
		err = failed
	} else if err == nil {
		err = j.seal()
	}
	return errors.Join(err, j.file.Close(), j.lock.Close())
}

// seal says in the segment that nothing follows, and gives back the space that
// was not used. Every byte before a seal was durable when it was written.
func (j *journal) seal() error {
	block := appendZeroes(j.head.appendFrame(j.buf[:0], j.off, nil), blockBytes)
	if _, err := j.file.WriteAt(block, j.off); err != nil {
		return err
	}
	if err := j.file.Sync(); err != nil {
		return err
	}
	if err := j.file.Truncate(j.off + blockBytes); err != nil {
		return err
	}
	return j.file.Sync()
}

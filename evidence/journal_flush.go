package evidence

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
)

// run is the flusher. Whatever stops it, nobody is left waiting.
func (j *journal) run() {
	defer close(j.done)
	defer func() {
		if p := recover(); p != nil {
			j.poison(fmt.Errorf("journal %q: panic: %v\n%s", j.cfg.dir, p, debug.Stack()))
		}
	}()
	last := 0 // payloads in the last commit
	for {
		j.gather(last)
		c, more := j.take()
		switch {
		case c != nil:
			if err := j.flush(c); err != nil {
				j.poison(fmt.Errorf("journal %q: %w; what is on the disk is unknown until a restart has read it", j.cfg.dir, err))
				return
			}
			last = len(c.payloads)
			j.finish(c)
		case more:
			<-j.wake
		default:
			return
		}
	}
}

// gather lets others add to the batch where several record at a time. A sync may hold a processor until it returns, so
// that many small batches starve those who make the next one. The scheduler comes back after some sixty others at the
// latest, so that one time is not enough where hundreds record. Who records alone does not wait for those who do not: among
// goroutines that wake one another, a yield can take tenths of a second.
func (j *journal) gather(last int) {
	before := j.queued()
	if before <= 1 && last <= 1 {
		return
	}
	runtime.Gosched()
	if j.queued() > before {
		runtime.Gosched()
	}
}

// queued returns how many payloads wait to be flushed.
func (j *journal) queued() (n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, c := range j.queue {
		n += len(c.payloads)
	}
	return n
}

// take makes the first commit of the queue the current one. more says whether
// another can come when there is none.
func (j *journal) take() (c *commit, more bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.queue) == 0 {
		return nil, j.err == nil
	}
	c = j.queue[0]
	j.queue[0] = nil
	j.queue = j.queue[1:]
	j.current = c
	return c, true
}

// finish tells those who wait for a commit that it is durable.
func (j *journal) finish(c *commit) {
	j.mu.Lock()
	j.current = nil
	j.synced += uint64(len(c.payloads))
	j.promised -= c.reserved
	j.announce()
	j.mu.Unlock()
	close(c.done) // wakes many, who would wait for the lock
}

// flush makes a commit durable: as one batch, or as several where the segment
// or a batch is full.
func (j *journal) flush(c *commit) error {
	for rest := c.payloads; len(rest) > 0; {
		n := j.encode(rest)
		if n == 0 {
			if err := j.rotate(); err != nil {
				return err
			}
			continue
		}
		if err := j.writeBatch(); err != nil {
			return err
		}
		j.used += uint64(n) //nolint:gosec // n is positive
		rest = rest[n:]
	}
	for _, p := range c.payloads {
		if j.cfg.written != nil {
			j.cfg.written(p)
		}
	}
	return nil
}

// encode makes a batch of the first payloads, as many as have room in the
// segment, beside its seal, and returns their number.
func (j *journal) encode(payloads [][]byte) int {
	j.buf = j.buf[:0]
	room := min(j.cfg.segmentBytes-blockBytes-j.off, maxBatchBytes)
	for i, p := range payloads {
		if int64(len(j.buf))+frameSpace(len(p)) > room {
			return i
		}
		j.buf = j.head.appendFrame(j.buf, j.off, p)
	}
	return len(payloads)
}

const (
	// smallBatch is the size of a batch, in bytes, that does not pay for making
	// the file system's own tables durable. Space that was reserved and never
	// written costs that at each sync, about twice the time of a small one.
	smallBatch = 64 << 10
	// zeroAhead is how many zeroes are written behind a small batch when there
	// are none left, so that the syncs of those that follow are cheap.
	zeroAhead = 1 << 20
)

// writeBatch writes whole blocks, so that no later write touches a block that
// holds anything acknowledged.
func (j *journal) writeBatch() error {
	j.buf = appendZeroes(j.buf, blockBytes)
	end := j.off + int64(len(j.buf))
	if len(j.buf) < smallBatch && end > j.zeroed {
		j.zeroed = min(end+zeroAhead, j.cfg.segmentBytes)
		j.buf = append(j.buf, make([]byte, j.zeroed-end)...)
	}
	if _, err := j.file.WriteAt(j.buf, j.off); err != nil {
		return err
	}
	if err := j.file.Sync(); err != nil {
		return err
	}
	j.zeroed = max(j.zeroed, end)
	j.mu.Lock()
	j.off = end
	j.mu.Unlock()
	return nil
}

// rotate goes on in a new segment.
func (j *journal) rotate() error {
	file, err := j.takeSpare()
	if err != nil {
		return err
	}
	head := j.head.after(j.used, j.off)
	old, end := j.file, j.off
	// The rest of the old file is only space. Whoever finds the next segment finds this one as long as it is counted.
	if err := old.Truncate(end); err != nil {
		return errors.Join(err, file.Close())
	}
	if err := nameSegment(j.cfg.fs, j.cfg.dir, file, head); err != nil {
		return errors.Join(err, file.Close())
	}
	j.mu.Lock()
	j.file, j.head, j.used, j.off, j.zeroed = file, head, 0, blockBytes, 0
	j.closed += end
	j.spare.taken = false
	j.mu.Unlock()
	return old.Close()
}

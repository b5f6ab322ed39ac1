package evidence

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/touchmark-dev/touchmark/internal/durable"
)

// A spare is a segment that is made ahead of time, so that nothing is accepted
// for which there is no space.
type spare struct {
	file   durable.File // nil until it is made
	making bool
	taken  bool      // the flusher has it, still under the temporary name
	err    error     // why the last one could not be made
	retry  time.Time // before then no other is tried
}

// spareRetry is the time between two attempts to make a segment on a full disk.
const spareRetry = time.Second

// A noSpaceError says that there is no space for a payload.
type noSpaceError struct{ err error }

func (e *noSpaceError) Error() string {
	return "no space for another journal segment: " + e.err.Error()
}
func (e *noSpaceError) Unwrap() error { return e.err }

// errQuota is why there is no space on a disk that has some.
var errQuota = errors.New("the journal has the size that it may have; give it more, or let it end sooner")

// over reports whether the journal would be larger than it may, with this much beside the segments that are closed.
func (j *journal) over(bytes int64) bool { return j.cfg.quota > 0 && j.closed+bytes > j.cfg.quota }

// tryReserve sets space aside for one payload that takes n bytes (loneSpace),
// or returns a channel that is closed when it is worth trying again. Unless
// there is a spare segment it also wants keep bytes left over: on a full disk,
// decisions leave space for the outcomes that are still to come. With a keep
// of beyondQuota the journal may become larger than its quota.
func (j *journal) tryReserve(n, keep int64) (wait <-chan struct{}, err error) {
	beyond := keep == beyondQuota
	keep = max(keep, 0)
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return nil, j.err
	}
	room := j.room()
	if keep > 0 && j.cfg.quota > 0 && room+j.further() < n+keep {
		return nil, &noSpaceError{errQuota}
	}
	if room < max(j.cfg.segmentBytes/2, keep)+n {
		j.startSpare(beyond && room < n)
	}
	switch {
	case room >= n+keep, room >= n && j.spare.file != nil:
		j.promised += n
		return nil, nil
	case j.spare.err != nil && !j.spare.making:
		return nil, &noSpaceError{j.spare.err}
	}
	return j.changed, nil
}

// release gives back what tryReserve granted.
func (j *journal) release(n int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.promised -= n
	j.announce()
}

// room returns the space that is there for certain and not promised to anybody.
func (j *journal) room() int64 {
	waste := loneSpace(j.cfg.maxPayload) // at the end of a segment, where the next frame does not fit
	room := j.cfg.segmentBytes - blockBytes - j.off - waste
	if j.spare.file != nil {
		room += j.cfg.segmentBytes - 2*blockBytes - waste
	}
	return room - j.promised
}

// further returns the space of segments that may still be made, within the quota; it is negative in a journal that is
// larger than it may be.
func (j *journal) further() int64 {
	left := j.cfg.quota - j.closed - j.cfg.segmentBytes
	if j.spare.file != nil {
		left -= j.cfg.segmentBytes
	}
	if left < 0 {
		return -j.cfg.quota
	}
	return left / j.cfg.segmentBytes * (j.cfg.segmentBytes - 2*blockBytes - loneSpace(j.cfg.maxPayload))
}

// beyondQuota is for what has to be written before a journal can be used at all.
const beyondQuota = -1

// startSpare begins to make a spare segment unless there is one.
func (j *journal) startSpare(beyond bool) {
	s := &j.spare
	if s.file != nil || s.making || s.taken || j.cfg.now().Before(s.retry) {
		return
	}
	if !beyond && j.over(2*j.cfg.segmentBytes) {
		s.err = errQuota
		return
	}
	s.making = true
	go func() {
		file, err := j.makeSpare()
		j.mu.Lock()
		defer j.mu.Unlock()
		s.file, s.making, s.err = file, false, err
		if err != nil {
			s.retry = j.cfg.now().Add(spareRetry)
		}
		j.announce()
	}()
}

func (j *journal) makeSpare() (file durable.File, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return makeSegment(j.cfg.fs, j.cfg.dir, j.cfg.segmentBytes)
}

// takeSpare waits for a spare segment, which is the flusher's from then on.
func (j *journal) takeSpare() (durable.File, error) {
	for tried := false; ; tried = true {
		j.mu.Lock()
		s, changed := &j.spare, j.changed
		if file := s.file; file != nil {
			s.file, s.taken = nil, true
			j.mu.Unlock()
			return file, nil
		}
		if tried && !s.making {
			err := s.err
			j.mu.Unlock()
			return nil, &noSpaceError{err}
		}
		if !s.making {
			s.retry = time.Time{}
			j.startSpare(false)
		}
		j.mu.Unlock()
		<-changed
	}
}

// dropSpare removes the spare segment of a journal that is being closed.
func (j *journal) dropSpare() error {
	for {
		j.mu.Lock()
		s, changed := &j.spare, j.changed
		file, making := s.file, s.making
		if !making {
			s.file = nil
		}
		j.mu.Unlock()
		if making {
			<-changed
			continue
		}
		if file == nil {
			return nil
		}
		return errors.Join(file.Close(), remove(j.cfg.fs, filepath.Join(j.cfg.dir, tempName)))
	}
}

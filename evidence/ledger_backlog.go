package evidence

import "time"

// backlogMarks is about how many times within BacklogAge the time of a record is noted.
const backlogMarks = 64

// A backlog measures what is in the journal and not in the log.
type backlog struct {
	shipped uint64 // entries in the log
	added   uint64 // records given to the journal
	bytes   int64  // of the entries between the two
	marks   []mark // the first is of the oldest of them, or of one shortly before
	changed chan struct{}
}

type mark struct {
	sequence uint64
	time     time.Time
}

// check refuses one more record when the log is too far behind.
func (b *backlog) check(cfg *LedgerConfig, next, open uint64) error {
	records := next - b.shipped + open // each open call will have one more
	switch age := b.age(cfg.Time()); {
	case records >= uint64(cfg.Backlog): //nolint:gosec // config was checked
		return unavailable(CodeBacklogFull, nil, "%d records are not in the log, the limit is %d", records, cfg.Backlog)
	case b.bytes >= cfg.BacklogBytes:
		return unavailable(CodeBacklogFull, nil, "%d bytes of entries are not in the log, the limit is %d", b.bytes, cfg.BacklogBytes)
	case age > cfg.BacklogAge:
		return unavailable(CodeBacklogFull, nil, "a record has waited %v to be in the log, the limit is %v", age.Round(time.Second), cfg.BacklogAge)
	}
	return nil
}

func (b *backlog) age(now time.Time) time.Duration {
	if len(b.marks) == 0 {
		return 0
	}
	return now.Sub(b.marks[0].time)
}

// add counts a record that is given to the journal. step is the least time between two marks.
func (b *backlog) add(sequence uint64, at time.Time, bytes int, step time.Duration) {
	b.added = sequence + 1
	b.bytes += int64(bytes)
	if n := len(b.marks); n == 0 || at.Sub(b.marks[n-1].time) >= step {
		b.marks = append(b.marks, mark{sequence, at})
	}
}

// ship counts entries that are in the log now.
func (b *backlog) ship(entries int, bytes int64) {
	b.shipped += uint64(entries) //nolint:gosec // not negative
	b.bytes -= bytes
	for len(b.marks) > 1 && b.marks[1].sequence <= b.shipped {
		b.marks = b.marks[1:]
	}
	if b.shipped == b.added {
		b.marks = nil
	}
	b.announce()
}

// announce wakes those who wait for the log.
func (b *backlog) announce() {
	close(b.changed)
	b.changed = make(chan struct{})
}

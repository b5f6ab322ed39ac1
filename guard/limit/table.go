package limit

import (
	"container/heap"
	"time"

	"golang.org/x/time/rate"

	"github.com/touchmark-dev/touchmark/internal/limitkey"
)

// sweepEvery bounds how often a table that is full is searched for entries that count no longer.
const sweepEvery = time.Second

// giveUp is how many entries at most the caller with the most gives up at once.
const giveUp = 16

// A table holds the entries by caller.
type table struct {
	callers map[limitkey.Key]*caller
	heavy   weights // all callers, the one with the most entries first
	n       int     // entries
	sweepAt int     // the number of entries at which it is worth to look for those that count no longer
	swept   time.Time
}

// A caller is who has entries, or has given some up.
type caller struct {
	key     limitkey.Key
	entries map[limitkey.Key]*entry
	place   int       // in table.heavy
	owes    time.Time // until then it gets no entry that it does not have
	swept   time.Time
}

// An entry is one of three: a bucket, calls under way, or a call whose repeats are counted.
type entry struct {
	bucket  *rate.Limiter
	running int
	calls   int
	last    time.Time // of calls
}

func (c *caller) entry(k limitkey.Key) *entry {
	if c == nil {
		return nil
	}
	return c.entries[k]
}

func (c *caller) len() int {
	if c == nil {
		return 0
	}
	return len(c.entries)
}

// until returns when the entry stops to count, if nobody uses it. It is not to be asked of calls under way.
func (e *entry) until(now time.Time, window time.Duration) time.Time {
	if e.bucket == nil {
		return e.last.Add(window)
	}
	lacks := float64(e.bucket.Burst()) - e.bucket.TokensAt(now)
	return now.Add(time.Duration(lacks / float64(e.bucket.Limit()) * float64(time.Second)))
}

// idle reports whether the entry says no more than that there is none.
func (e *entry) idle(now time.Time, window time.Duration) bool {
	return e.running == 0 && !e.until(now, window).After(now)
}

// make returns the entry of the caller with a key, a new one if there is none.
func (x *call) make(k limitkey.Key) *entry {
	if x.who == nil {
		x.who = &caller{key: x.keys.Caller, entries: make(map[limitkey.Key]*entry)}
		x.callers[x.who.key] = x.who
		heap.Push(&x.heavy, x.who)
	}
	e := x.who.entries[k]
	if e == nil {
		e = &entry{}
		x.who.entries[k] = e
		x.n++
		heap.Fix(&x.heavy, x.who.place)
	}
	return e
}

func (t *table) drop(c *caller, k limitkey.Key) {
	delete(c.entries, k)
	t.n--
	heap.Fix(&t.heavy, c.place)
}

func (t *table) forget(c *caller) {
	heap.Remove(&t.heavy, c.place)
	delete(t.callers, c.key)
}

// makeRoom finds place for more entries of the caller.
func (x *call) makeRoom(more int) error {
	if more == 0 {
		return nil
	}
	if x.who != nil && x.now.Before(x.who.owes) {
		return ErrFull
	}
	if x.n >= x.sweepAt || x.n+more > x.maxEntries && x.now.Sub(x.swept) >= sweepEvery {
		x.sweep()
	}
	if x.who != nil && x.who.len()+more > x.maxPerCaller && x.now.Sub(x.who.swept) >= sweepEvery {
		x.who.swept = x.now
		x.sweepCaller(x.who)
	}
	if x.who.len()+more > x.maxPerCaller {
		return ErrFull
	}
	for x.n+more > x.maxEntries {
		if !x.takeAway(more) {
			return ErrFull
		}
	}
	return nil
}

// sweep forgets what counts no longer.
func (x *call) sweep() {
	x.swept = x.now
	for _, c := range x.callers {
		x.sweepCaller(c)
		if len(c.entries) == 0 && !x.now.Before(c.owes) && c != x.who {
			x.forget(c)
		}
	}
	x.sweepAt = min(max(1024, 2*x.n), x.maxEntries+1)
}

func (x *call) sweepCaller(c *caller) {
	for k, e := range c.entries {
		if e.idle(x.now, x.window) {
			x.drop(c, k)
		}
	}
}

// takeAway takes entries from the caller with the most, if that is more than this one will have. What it loses, and
// would profit from losing, it gets no new ones for.
func (x *call) takeAway(more int) bool {
	rich := x.heavy[0]
	if rich == x.who || rich.len() <= x.who.len()+more {
		return false
	}
	before := x.n
	for k, e := range rich.entries {
		if e.running > 0 {
			continue
		}
		if until := e.until(x.now, x.window); until.After(rich.owes) {
			rich.owes = until
		}
		delete(rich.entries, k)
		if x.n--; x.n+more <= x.maxEntries || before-x.n == giveUp {
			break
		}
	}
	heap.Fix(&x.heavy, rich.place)
	return x.n < before
}

// weights is a heap of callers by their entries.
type weights []*caller

// Len implements [heap.Interface].
func (w weights) Len() int { return len(w) }

// Less implements [heap.Interface].
func (w weights) Less(i, j int) bool { return len(w[i].entries) > len(w[j].entries) }

// Swap implements [heap.Interface].
func (w weights) Swap(i, j int) {
	w[i], w[j] = w[j], w[i]
	w[i].place, w[j].place = i, j
}

// Push implements [heap.Interface].
func (w *weights) Push(v any) {
	c := v.(*caller)
	c.place = len(*w)
	*w = append(*w, c)
}

// Pop implements [heap.Interface].
func (w *weights) Pop() any {
	last := len(*w) - 1
	c := (*w)[last]
	(*w)[last] = nil
	*w = (*w)[:last]
	return c
}

package tesseralog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/api/layout"

	"github.com/touchmark-dev/touchmark/translog"
)

// gatherWait is how long the writer waits for the callers it knows of to come
// back with their next entry. A lone feeder never waits.
const gatherWait = 5 * time.Millisecond

// Append implements [translog.Appender]. The entries of a call stay together;
// concurrent calls are gathered into common batches of up to 512 entries,
// which is also the size in which to feed the log. A batch that ends at an index
// that 256 divides costs half as much as one that does not. A context that ends
// before the batch begins withdraws the call without a trace; once the batch has
// begun Append returns what became of it, whatever the context says.
func (l *Log) Append(ctx context.Context, entries [][]byte) (uint64, error) {
	if err := translog.CheckEntries(entries); err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if err := l.guard.Verdict(); err != nil {
		return 0, err
	}
	// Hash here, where every caller has a processor, and not in the writer.
	r := &request{entries: make([]*tessera.Entry, len(entries)), done: make(chan struct{})}
	for i, e := range entries {
		r.entries[i] = tessera.NewEntry(bytes.Clone(e))
	}
	if err := l.appender.submit(r); err != nil {
		return 0, err
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		if l.appender.withdraw(r) {
			return 0, ctx.Err()
		}
		// Its batch has begun. To return now would leave open what becomes of it.
		<-r.done
	}
	return r.first, r.err
}

// A request is one call of Append. first and err are set before done is closed.
type request struct {
	entries []*tessera.Entry
	first   uint64
	err     error
	done    chan struct{}
}

func (r *request) finish(first uint64, err error) {
	r.first, r.err = first, err
	close(r.done)
}

// An appender is the only writer to Tessera. One batch is under way at a time:
// with two, the second could succeed after the first failed, and take its place.
type appender struct {
	engine *tessera.Appender
	size   func(context.Context) (uint64, error)

	mu      sync.Mutex
	pending []*request
	closed  bool
	want    int           // how many pending requests the writer waits for
	arrived chan struct{} // capacity 1: they are there, or closed is set

	// Owned by run.
	next    uint64 // index of the next entry
	callers int    // in the last batch, or waiting when it ended
	broken  error  // why nothing more is appended
	stopped chan struct{}
}

func newAppender(engine *tessera.Appender, size func(context.Context) (uint64, error), next uint64) *appender {
	return &appender{engine: engine, size: size, next: next, arrived: make(chan struct{}, 1), stopped: make(chan struct{})}
}

func (a *appender) submit(r *request) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return ErrClosed
	}
	a.pending = append(a.pending, r)
	if len(a.pending) >= a.want {
		a.wake()
	}
	return nil
}

// withdraw takes back a request, unless a batch has taken it or it is finished.
func (a *appender) withdraw(r *request) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	i := slices.Index(a.pending, r)
	if i < 0 {
		return false
	}
	a.pending = slices.Delete(a.pending, i, i+1)
	return true
}

func (a *appender) wake() {
	select {
	case a.arrived <- struct{}{}:
	default:
	}
}

// close refuses new requests and those that wait, and returns when the batch
// under way has been resolved: Tessera forgets entries whose future nobody asks.
func (a *appender) close() {
	a.mu.Lock()
	a.closed = true
	for _, r := range a.pending {
		r.finish(0, ErrClosed)
	}
	a.pending = nil
	a.wake()
	a.mu.Unlock()
	<-a.stopped
}

func (a *appender) run() {
	defer close(a.stopped)
	for {
		batch, ok := a.take()
		if !ok {
			return
		}
		if len(batch) > 0 {
			a.commit(batch)
		}
	}
}

// take waits for requests and returns those that make a batch. ok is false when
// the appender is closed.
//
// It gives callers whose last entry was just acknowledged time to come back with
// the next. Without it callers fall into two halves, and each waits for the
// batch of the other.
func (a *appender) take() (batch []*request, ok bool) {
	a.await(1, nil)
	if a.callers > 1 {
		timeout := time.NewTimer(gatherWait)
		a.await(a.callers, timeout.C)
		timeout.Stop()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil, false
	}
	n := a.fitting()
	batch, a.pending = a.pending[:n:n], a.pending[n:]
	return batch, true
}

// await returns when n requests are pending, or the appender is closed, or the
// timeout comes.
func (a *appender) await(n int, timeout <-chan time.Time) {
	for {
		a.mu.Lock()
		a.want = n
		enough := len(a.pending) >= n || a.closed
		a.mu.Unlock()
		if enough {
			return
		}
		select {
		case <-a.arrived: // or was, before the last batch
		case <-timeout:
			return
		}
	}
}

// fitting returns how many of the pending requests make the next batch, with mu
// held: as many as fit, but up to the end of a bundle when they reach beyond
// one. A batch that ends there writes half the files, and what is left over
// goes with the next.
func (a *appender) fitting() int {
	n, aligned, entries := 0, 0, uint64(0)
	for _, r := range a.pending {
		entries += uint64(len(r.entries))
		if n > 0 && entries > batchEntries {
			break
		}
		n++
		if (a.next+entries)%layout.EntryBundleWidth == 0 {
			aligned = n
		}
	}
	if aligned > 0 {
		return aligned
	}
	return n
}

// commit appends the batch and tells each request where it landed.
func (a *appender) commit(batch []*request) {
	var entries []*tessera.Entry
	for _, r := range batch {
		entries = append(entries, r.entries...)
	}
	first := a.next
	durable, err := a.append(entries)
	a.mu.Lock()
	a.callers = len(batch) + len(a.pending)
	a.mu.Unlock()
	for _, r := range batch {
		if durable >= len(r.entries) {
			r.finish(first, nil)
		} else {
			r.finish(0, err)
		}
		durable -= len(r.entries)
		first += uint64(len(r.entries))
	}
}

// append adds entries in portions of Tessera's batch size and returns how many,
// from the first on, are durable at the indexes that follow a.next.
func (a *appender) append(entries []*tessera.Entry) (durable int, err error) {
	for len(entries) > 0 {
		if a.broken != nil {
			return durable, a.broken
		}
		added, landed, err := a.portion(entries[:min(len(entries), batchEntries)])
		durable += landed
		if err != nil {
			a.resync(err)
			return durable, err
		}
		entries = entries[added:]
	}
	return durable, nil
}

// portion adds entries, as many as there is time for. It resolves every future,
// whatever the others say, and counts the entries that landed in order.
func (a *appender) portion(entries []*tessera.Entry) (added, landed int, err error) {
	ctx := context.Background() // see start; Add only puts it into traces
	futures := make([]tessera.IndexFuture, 0, len(entries))
	began := time.Now()
	for _, e := range entries {
		if len(futures) > 0 && time.Since(began) >= addingTime {
			break
		}
		futures = append(futures, a.engine.Add(ctx, e))
	}
	// The last one first: by then all are resolved, and asking the others does
	// not take turns with the goroutine that resolves them.
	_, _ = futures[len(futures)-1]()
	for _, future := range futures {
		index, failed := future()
		if failed != nil {
			err = errors.Join(err, fmt.Errorf("tesseralog: append: %w", failed))
			continue
		}
		if a.broken == nil && err == nil && index.Index == a.next && !index.IsDup {
			a.next++
			landed++
			continue
		}
		// What landed is no prefix of what was asked: the order is lost.
		if a.broken == nil {
			a.broken = fmt.Errorf("tesseralog: the engine gave index %d where %d was next", index.Index, a.next)
			err = errors.Join(err, a.broken)
		}
	}
	return len(futures), landed, err
}

// resync compares our count with the engine's after an error. The log goes on
// only when nothing but a prefix of the portion went in.
func (a *appender) resync(cause error) {
	if a.broken != nil {
		return
	}
	size, err := a.size(context.Background())
	if err != nil || size != a.next {
		a.broken = fmt.Errorf("tesseralog: the engine has %d entries where %d are known (%v), after: %w", size, a.next, err, cause) //nolint:errorlint // err may be nil
	}
}

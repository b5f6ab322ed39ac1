package tesseralog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/transparency-dev/tessera"

	"github.com/touchmark-dev/touchmark/translog"
)

// gatherWait is how long the writer waits for as many callers as the last batch
// had. A lone feeder never waits.
const gatherWait = time.Millisecond

// Append implements [translog.Appender]. The entries of a call stay together;
// concurrent calls are gathered into common batches of up to 1,024 entries,
// which is also the size in which to feed the log. A call that its context ends
// before its batch began leaves no trace; one that fails later may have.
func (l *Log) Append(ctx context.Context, entries [][]byte) (uint64, error) {
	if err := translog.CheckEntries(entries); err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if err := l.guard.verdictSoFar(); err != nil {
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
		return r.first, r.err
	case <-ctx.Done():
		l.appender.withdraw(r)
		return 0, ctx.Err()
	}
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
	arrived chan struct{} // capacity 1: pending or closed changed

	// Owned by run.
	next    uint64 // index of the next entry
	callers int    // in the last batch
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
	a.wake()
	return nil
}

// withdraw takes back a request that no batch has taken yet.
func (a *appender) withdraw(r *request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, p := range a.pending {
		if p == r {
			a.pending = append(a.pending[:i], a.pending[i+1:]...)
			return
		}
	}
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
			a.callers = len(batch)
			a.commit(batch)
		}
	}
}

// take waits for requests and returns those that fit a batch. ok is false when
// the appender is closed.
func (a *appender) take() (batch []*request, ok bool) {
	<-a.arrived
	a.gather()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil, false
	}
	entries := 0
	for len(a.pending) > 0 {
		r := a.pending[0]
		if entries += len(r.entries); len(batch) > 0 && entries > batchEntries {
			break
		}
		batch, a.pending = append(batch, r), a.pending[1:]
	}
	if len(a.pending) > 0 {
		a.wake()
	}
	return batch, true
}

// gather gives callers whose last entry was just acknowledged time to come back
// with the next. Without it batches alternate between a few entries and the rest.
func (a *appender) gather() {
	if a.callers < 2 {
		return
	}
	timeout := time.NewTimer(gatherWait)
	defer timeout.Stop()
	for {
		a.mu.Lock()
		enough := len(a.pending) >= a.callers || a.closed
		a.mu.Unlock()
		if enough {
			return
		}
		select {
		case <-a.arrived:
		case <-timeout.C:
			return
		}
	}
}

// commit appends the batch and tells each request where it landed.
func (a *appender) commit(batch []*request) {
	var entries []*tessera.Entry
	for _, r := range batch {
		entries = append(entries, r.entries...)
	}
	first := a.next
	durable, err := a.append(entries)
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
		portion := entries[:min(len(entries), batchEntries)]
		n, err := a.portion(portion)
		durable += n
		if err != nil {
			a.resync(err)
			return durable, err
		}
		entries = entries[len(portion):]
	}
	return durable, nil
}

// portion resolves every future, whatever the others say, and counts the
// entries that landed in order.
func (a *appender) portion(entries []*tessera.Entry) (landed int, err error) {
	ctx := context.Background() // see start; Add only puts it into traces
	futures := make([]tessera.IndexFuture, len(entries))
	for i, e := range entries {
		futures[i] = a.engine.Add(ctx, e)
	}
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
	return landed, err
}

// resync compares our count with the engine's after an error. The log goes on
// only when nothing but a prefix of the portion went in.
func (a *appender) resync(cause error) {
	if a.broken != nil {
		return
	}
	size, err := a.size(context.Background())
	if err != nil || size != a.next {
		a.broken = fmt.Errorf("tesseralog: the engine has %d entries where %d are known (%v), after: %w", size, a.next, err, cause)
	}
}

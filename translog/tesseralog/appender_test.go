package tesseralog

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/transparency-dev/tessera"

	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/translogtest"
)

// A scriptedEngine answers each Add with the next result.
type scriptedEngine struct {
	results []result
	size    uint64
	sizeErr error
	added   int
}

type result struct {
	index uint64
	dup   bool
	err   error
}

func (e *scriptedEngine) add(context.Context, *tessera.Entry) tessera.IndexFuture {
	r := e.results[e.added]
	e.added++
	return func() (tessera.Index, error) { return tessera.Index{Index: r.index, IsDup: r.dup}, r.err }
}

func entriesOf(n int) []*tessera.Entry {
	entries := make([]*tessera.Entry, n)
	for i := range entries {
		entries[i] = tessera.NewEntry([]byte{byte(i)})
	}
	return entries
}

// TestPitfallEngineErrors: what an append may believe when Tessera fails some
// entries of a batch, or gives indexes that do not follow.
func TestPitfallEngineErrors(t *testing.T) {
	full := errors.New("no space left on device")
	at := func(i uint64) result { return result{index: i} }
	for _, test := range []struct {
		name    string
		results []result
		size    uint64
		sizeErr error
		durable int
		broken  bool
	}{
		{name: "all well", results: []result{at(7), at(8), at(9)}, size: 10, durable: 3},
		{name: "all failed", results: []result{{err: full}, {err: full}, {err: full}}, size: 7, durable: 0},
		{name: "a prefix landed", results: []result{at(7), {err: full}, {err: full}}, size: 8, durable: 1},
		{name: "the rest overtook", results: []result{{err: full}, at(7), at(8)}, size: 9, durable: 0, broken: true},
		{name: "failed but landed", results: []result{at(7), {err: full}, {err: full}}, size: 10, durable: 1, broken: true},
		{name: "size unknown", results: []result{{err: full}, {err: full}, {err: full}}, sizeErr: full, durable: 0, broken: true},
		{name: "another writer", results: []result{at(7), at(9), at(10)}, size: 11, durable: 1, broken: true},
		{name: "deduplicated", results: []result{at(7), {index: 8, dup: true}, at(8)}, size: 9, durable: 1, broken: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // adding takes no time
				e := &scriptedEngine{results: test.results, size: test.size, sizeErr: test.sizeErr}
				a := newAppender(&tessera.Appender{Add: e.add}, func(context.Context) (uint64, error) { return e.size, e.sizeErr }, 7)
				durable, err := a.append(entriesOf(3))
				if durable != test.durable || (err == nil) != (test.durable == 3) {
					t.Errorf("append = %d, %v, want %d", durable, err, test.durable)
				}
				if (a.broken != nil) != test.broken {
					t.Errorf("broken = %v, want %t", a.broken, test.broken)
				}
				if e.added != 3 {
					t.Errorf("%d entries were added, want 3", e.added)
				}
				if test.broken {
					if n, err := a.append(entriesOf(1)); n != 0 || err == nil {
						t.Errorf("a broken log appended %d, %v", n, err)
					}
				}
			})
		})
	}
}

// TestBatchSharesItsFate: each request of a batch learns what became of its own entries.
func TestBatchSharesItsFate(t *testing.T) { synctest.Test(t, testBatchSharesItsFate) }

func testBatchSharesItsFate(t *testing.T) {
	full := errors.New("no space left on device")
	e := &scriptedEngine{results: []result{{index: 0}, {index: 1}, {index: 2}, {err: full}}, size: 3}
	a := newAppender(&tessera.Appender{Add: e.add}, func(context.Context) (uint64, error) { return e.size, nil }, 0)
	batch := []*request{
		{entries: entriesOf(2), done: make(chan struct{})},
		{entries: entriesOf(2), done: make(chan struct{})},
	}
	a.commit(batch)
	if batch[0].first != 0 || batch[0].err != nil {
		t.Errorf("first request: %d, %v", batch[0].first, batch[0].err)
	}
	if !errors.Is(batch[1].err, full) {
		t.Errorf("second request: %v, want %v", batch[1].err, full)
	}
}

// TestPortions: more entries than a Tessera batch go in one portion after another.
func TestPortions(t *testing.T) { synctest.Test(t, testPortions) }

func testPortions(t *testing.T) {
	const n = 2*batchEntries + 5
	e := &scriptedEngine{}
	for i := range uint64(n) {
		e.results = append(e.results, result{index: i})
	}
	e.results[batchEntries+3].err = errors.New("no space left on device")
	for i := range e.results[batchEntries+4:] {
		e.results[batchEntries+4+i].err = errors.New("no space left on device")
	}
	e.size = batchEntries + 3
	a := newAppender(&tessera.Appender{Add: e.add}, func(context.Context) (uint64, error) { return e.size, nil }, 0)
	if durable, err := a.append(entriesOf(n)); durable != batchEntries+3 || err == nil {
		t.Errorf("append = %d, %v", durable, err)
	}
	if e.added != 2*batchEntries {
		t.Errorf("%d entries were added: the portion after a failed one must not be", e.added)
	}
}

// A queue is Tessera's: it flushes by age, and what two flushes hand over comes in any order.
type queue struct {
	t       *testing.T
	first   time.Time // when the first entry was added that is not flushed
	waiting int
	next    uint64
	flushes int
}

func (q *queue) add(context.Context, *tessera.Entry) tessera.IndexFuture {
	if q.waiting == 0 {
		q.first = time.Now()
	}
	if time.Since(q.first) >= batchAge {
		q.t.Error("an entry was added after the age of its batch")
	}
	q.waiting++
	time.Sleep(7 * time.Microsecond) // somebody else has the processor
	index := q.next
	q.next++
	return func() (tessera.Index, error) {
		if q.waiting > 0 {
			q.waiting = 0
			q.flushes++
		}
		return tessera.Index{Index: index}, nil
	}
}

// TestAddingInTime: a portion that is added slowly does not become two batches of Tessera's.
func TestAddingInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &queue{t: t}
		a := newAppender(&tessera.Appender{Add: q.add}, nil, 0)
		if n, err := a.append(entriesOf(batchEntries)); n != batchEntries || err != nil {
			t.Fatal(n, err)
		}
		if q.flushes != 5 {
			t.Errorf("%d flushes", q.flushes)
		}
	})
}

func TestWithdraw(t *testing.T) {
	a := newAppender(nil, nil, 0)
	first := &request{entries: entriesOf(1), done: make(chan struct{})}
	second := &request{entries: entriesOf(1), done: make(chan struct{})}
	for _, r := range []*request{first, second} {
		if err := a.submit(r); err != nil {
			t.Fatal(err)
		}
	}
	if !a.withdraw(first) || a.withdraw(first) {
		t.Error("a pending request can be withdrawn once")
	}
	if batch, ok := a.take(); !ok || len(batch) != 1 || batch[0] != second {
		t.Errorf("take = %v, %t", batch, ok)
	}
	if a.withdraw(second) {
		t.Error("a request whose batch has begun was withdrawn")
	}
}

func TestFitting(t *testing.T) {
	for _, test := range []struct {
		name    string
		next    uint64
		pending []int // entries of each request
		want    int   // requests in the batch
	}{
		{"nothing", 0, nil, 0},
		{"all", 0, []int{1, 2, 3}, 3},
		{"up to the bundle's end", 250, []int{3, 3, 3}, 2},
		{"up to the last bundle's end", 0, []int{256, 256, 100}, 2},
		{"beyond a bundle without meeting its end", 250, []int{5, 5}, 2},
		{"one that is larger than a batch", 0, []int{5000, 1}, 1},
		{"no more than a batch", 1, []int{batchEntries - 24, 20, 5}, 2},
	} {
		a := newAppender(nil, nil, test.next)
		for _, n := range test.pending {
			a.pending = append(a.pending, &request{entries: make([]*tessera.Entry, n)})
		}
		if got := a.fitting(); got != test.want {
			t.Errorf("%s: %d requests, want %d", test.name, got, test.want)
		}
	}
}

func TestCloseFinishesThePending(t *testing.T) {
	a := newAppender(nil, nil, 0)
	close(a.stopped) // nobody runs it
	r := &request{entries: entriesOf(1), done: make(chan struct{})}
	if err := a.submit(r); err != nil {
		t.Fatal(err)
	}
	a.close()
	<-r.done
	if !errors.Is(r.err, ErrClosed) {
		t.Errorf("a pending request ends with %v, want ErrClosed", r.err)
	}
	if err := a.submit(r); !errors.Is(err, ErrClosed) {
		t.Errorf("submit = %v, want ErrClosed", err)
	}
}

// TestPitfallAwaiterDiesOfOneReadError: Tessera's awaiter hands one failed read
// of the checkpoint to everybody who waits.
func TestPitfallAwaiterDiesOfOneReadError(t *testing.T) {
	cp, err := translogtest.NewLog("log.example/await").Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	reads := 0
	w := newWatcher(func(context.Context) (*translog.Checkpoint, error) {
		if reads++; reads < 4 {
			return nil, errors.New("too many open files")
		}
		return cp, nil
	}, func() error { return nil }, minCheckpointInterval)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go w.run(ctx)
	if got, err := w.await(t.Context(), 0); err != nil || got != cp {
		t.Errorf("await = %v, %v after three failed reads", got, err)
	}
	cancel()
	if _, err := w.await(t.Context(), 1); !errors.Is(err, ErrClosed) {
		t.Errorf("await after the end = %v, want ErrClosed", err)
	}
}

func TestAwaitNamesTheLastError(t *testing.T) {
	w := newWatcher(func(context.Context) (*translog.Checkpoint, error) {
		return nil, errors.New("too many open files")
	}, func() error { return nil }, minCheckpointInterval)
	ctx, cancel := context.WithCancel(t.Context())
	go w.run(t.Context())
	go func() {
		// After the first read.
		w.mu.Lock()
		changed := w.changed
		w.mu.Unlock()
		<-changed
		cancel()
	}()
	if _, err := w.await(ctx, 1); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "too many open files") {
		t.Errorf("await = %v", err)
	}
}

package tesseralog

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/touchmark-dev/touchmark/translog"
)

// A watcher tells those who wait that a checkpoint was published. Tessera's own
// PublicationAwaiter fails everybody when it fails to read once; this one tries
// again until the context of each ends.
type watcher struct {
	read    func(context.Context) (*translog.Checkpoint, error)
	refused func() error
	period  time.Duration

	mu      sync.Mutex
	waiters int
	latest  *translog.Checkpoint // nil before the first read
	lastErr error                // of the last read
	changed chan struct{}        // closed at every read that changes anything
	stopped bool
}

func newWatcher(read func(context.Context) (*translog.Checkpoint, error), refused func() error, interval time.Duration) *watcher {
	period := min(max(interval/8, 10*time.Millisecond), 100*time.Millisecond)
	return &watcher{read: read, refused: refused, period: period, changed: make(chan struct{})}
}

// run reads the checkpoint again and again while somebody waits.
func (w *watcher) run(ctx context.Context) {
	tick := time.NewTicker(w.period)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			w.mu.Lock()
			w.stopped = true
			close(w.changed)
			w.mu.Unlock()
			return
		case <-tick.C:
			w.poll(ctx)
		}
	}
}

func (w *watcher) poll(ctx context.Context) {
	w.mu.Lock()
	idle := w.waiters == 0
	w.mu.Unlock()
	if idle {
		return
	}
	cp, err := w.read(ctx)
	if refused := w.refused(); refused != nil {
		err = refused
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lastErr = err
	if err == nil && (w.latest == nil || cp.Size() > w.latest.Size()) {
		w.latest = cp
	}
	close(w.changed)
	w.changed = make(chan struct{})
}

// await returns a published checkpoint of at least size entries.
func (w *watcher) await(ctx context.Context, size uint64) (*translog.Checkpoint, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiters++
	defer func() { w.waiters-- }()
	for {
		if w.latest != nil && w.latest.Size() >= size {
			return w.latest, nil
		}
		if w.stopped {
			return nil, ErrClosed
		}
		if err := w.refused(); err != nil {
			return nil, err
		}
		changed := w.changed
		w.mu.Unlock()
		select {
		case <-changed:
			w.mu.Lock()
		case <-ctx.Done():
			w.mu.Lock()
			if w.lastErr != nil {
				return nil, fmt.Errorf("tesseralog: waiting for the checkpoint of %d entries: %w (last read: %v)", size, ctx.Err(), w.lastErr) //nolint:errorlint // it may be nil
			}
			return nil, fmt.Errorf("tesseralog: waiting for the checkpoint of %d entries: %w", size, ctx.Err())
		}
	}
}

package trillianlog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/touchmark-dev/touchmark/translog"
)

// publish signs what the database has, once an interval, until its context ends.
func (l *Log) publish(ctx context.Context) {
	defer close(l.done)
	tick := time.NewTicker(l.cfg.CheckpointInterval)
	defer tick.Stop()
	for ctx.Err() == nil {
		l.source.grown(ctx, l.writer.Size())
		if err := l.publishOnce(ctx); err != nil && ctx.Err() == nil {
			if translog.CodeOf(err) != "" {
				l.fail(err)
				return
			}
			l.cfg.Notice(err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// publishOnce makes the tiles of what is new in the database, and signs and shows its tree.
func (l *Log) publishOnce(ctx context.Context) error {
	root, err := l.remote.root(ctx)
	if err != nil {
		return err
	}
	if root, err = atLeast(ctx, l.cfg, root, l.writer.Size()); err != nil {
		return err
	}
	if root.Size < l.writer.Size() {
		return l.verdict(translog.CodeRolledBack, root, "the database has %d entries, and had %d", root.Size, l.writer.Size())
	}
	l.mu.Lock()
	sent := l.sent
	l.mu.Unlock()
	if root.Size > sent {
		return fmt.Errorf("trillianlog: the database has %d entries, and was given %d: somebody else writes to tree %d, which is not signed", root.Size, sent, l.cfg.Tree)
	}
	from := l.writer.Size()
	if err := l.extend(ctx, root); err != nil {
		return err
	}
	l.mu.Lock()
	shown := l.published.Tree()
	l.mu.Unlock()
	if root == shown {
		return nil
	}
	cp, err := l.guard.SignTree(root)
	if err != nil {
		return err
	}
	if err := l.show(cp); err != nil {
		return err
	}
	return collect(l.writer, from, cp.Size())
}

// extend makes the tiles of the entries up to a tree of the database, and holds the tree against them.
func (l *Log) extend(ctx context.Context, root translog.Tree) error {
	return extend(ctx, l.writer, root, l.read, l.verdict)
}

// read returns entries from an index on, of those before end: from memory if this Log appended or sent them, so that the
// server cannot put others in their place, else from the server.
func (l *Log) read(ctx context.Context, from, end uint64) ([][]byte, error) {
	l.mu.Lock()
	var entries [][]byte
	for index := from; index < end && len(entries) < batchLeaves; index++ {
		entry := l.pending.get(index)
		if entry == nil {
			entry = l.flight.get(index)
		}
		if entry == nil {
			break
		}
		entries = append(entries, entry)
	}
	l.mu.Unlock()
	if len(entries) > 0 {
		return entries, nil
	}
	return l.source.read(ctx, from, end)
}

// fail ends signing and appending for good.
func (l *Log) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed == nil {
		l.failed = err
	}
	l.wakeWaiters()
}

// AwaitPublished waits until a published checkpoint covers the entry at index and returns that checkpoint. The error
// is ctx's, or [ErrClosed], or the verdict that ended signing.
func (l *Log) AwaitPublished(ctx context.Context, index uint64) (*translog.Checkpoint, error) {
	if index >= translog.MaxTreeSize {
		return nil, fmt.Errorf("trillianlog: no log can have an entry %d", index)
	}
	for {
		l.mu.Lock()
		cp, failed, closed, changed := l.published, l.failed, l.closed, l.changed
		l.mu.Unlock()
		switch {
		case cp.Size() > index:
			return cp, nil
		case failed != nil:
			return nil, failed
		case closed:
			return nil, ErrClosed
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("trillianlog: waiting for the checkpoint of %d entries: %w", index+1, ctx.Err())
		}
	}
}

// Close refuses further appends, waits until ctx ends for the checkpoint that covers what was appended, and releases
// the directory. The error says that the checkpoint did not come, or why none could be signed; the entries are durable
// all the same. Calls after the first return what it returned.
func (l *Log) Close(ctx context.Context) error {
	l.closeOnce.Do(func() { l.closeErr = l.close(ctx) })
	return l.closeErr
}

func (l *Log) close(ctx context.Context) error {
	size, err := l.Size(ctx)
	if err == nil && size > 0 {
		_, err = l.AwaitPublished(ctx, size-1)
	}
	l.mu.Lock()
	l.closed = true
	l.wakeWaiters()
	l.mu.Unlock()
	select { // an append that is under way
	case l.turn <- struct{}{}:
		l.end()
	case <-ctx.Done():
		err = errors.Join(err, ctx.Err())
	}
	l.stop()
	<-l.done
	l.guard.Dismiss()
	l.release()
	return err
}

package tesseralog

import (
	"context"
	"fmt"
	"time"

	"github.com/touchmark-dev/touchmark/translog"
)

// Size returns the number of entries that are durable in the log, published or not.
func (l *Log) Size(ctx context.Context) (uint64, error) { return l.integratedSize(ctx) }

// Entry returns the entry at index, published or not, as the log stores it.
func (l *Log) Entry(ctx context.Context, index uint64) ([]byte, error) {
	size, err := l.integratedSize(ctx)
	if err != nil {
		return nil, err
	}
	if index >= size {
		return nil, fmt.Errorf("tesseralog: no entry %d, the log has %d", index, size)
	}
	return l.client.StoredEntry(ctx, index, size)
}

// Origin returns the log's name.
func (l *Log) Origin() string { return l.guard.Name() }

// Policy returns the policy that trusts this log's key and asks for no witness.
func (l *Log) Policy() *translog.Policy { return l.policy }

// Checkpoint returns the last published checkpoint.
func (l *Log) Checkpoint(ctx context.Context) (*translog.Checkpoint, error) {
	return l.client.Checkpoint(ctx)
}

// AwaitPublished waits until a published checkpoint covers the entry at index
// and returns that checkpoint. A checkpoint that cannot be read now is read
// again; the error is ctx's, or [ErrClosed], or the verdict that ended signing.
func (l *Log) AwaitPublished(ctx context.Context, index uint64) (*translog.Checkpoint, error) {
	if index >= translog.MaxTreeSize {
		return nil, fmt.Errorf("tesseralog: no log can have an entry %d", index)
	}
	return l.watch.await(ctx, index+1)
}

// Prove returns the proof, already verified, that the entry at index is in cp's tree.
func (l *Log) Prove(ctx context.Context, cp *translog.Checkpoint, index uint64) (*translog.Proof, error) {
	if index >= cp.Size() {
		return nil, fmt.Errorf("tesseralog: no entry %d in a tree of %d", index, cp.Size())
	}
	entry, err := l.Entry(ctx, index)
	if err != nil {
		return nil, err
	}
	return l.client.Prove(ctx, cp, index, translog.LeafHash(entry))
}

// Consistency returns the proof, already verified, that newer's tree begins with older's.
func (l *Log) Consistency(ctx context.Context, older, newer *translog.Checkpoint) ([][32]byte, error) {
	return l.client.Consistency(ctx, older, newer)
}

// Close refuses further appends, waits for the batch under way and then, until
// ctx ends, for the checkpoint that covers all of it, and releases the
// directory. The error says that the checkpoint did not come, or why none could
// be signed; the entries are durable all the same. Calls after the first return
// what it returned.
func (l *Log) Close(ctx context.Context) error {
	l.closeOnce.Do(func() { l.closeErr = l.close(ctx) })
	return l.closeErr
}

func (l *Log) close(ctx context.Context) error {
	l.appender.close()
	err := l.awaitLast(ctx)
	last := l.guard.Dismiss()
	l.settle(last)
	l.stop()
	l.unlock()
	return err
}

// awaitLast waits for Tessera to publish what was appended, or for a verdict
// that says it never will.
func (l *Log) awaitLast(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- l.shutdown(ctx) }()
	tick := time.NewTicker(l.watch.period)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			if err != nil {
				return fmt.Errorf("tesseralog: the last checkpoint was not published: %w", err)
			}
			return nil
		case <-tick.C:
			if err := l.guard.Verdict(); err != nil {
				return err
			}
		}
	}
}

// settleTime bounds the wait for a file that Tessera is writing.
const settleTime = 2 * time.Second

// settle waits until what was signed last is the file that readers see. Tessera
// has no call that waits for its publisher, and a checkpoint that it writes
// after the directory is released could replace a newer one.
func (l *Log) settle(last *translog.Checkpoint) {
	ctx, cancel := context.WithTimeout(context.Background(), settleTime)
	defer cancel()
	for ctx.Err() == nil && l.guard.Verdict() == nil {
		published, err := l.client.Checkpoint(ctx)
		if err == nil && published.Tree() == last.Tree() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

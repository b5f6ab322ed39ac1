package trillianlog

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"

	"github.com/touchmark-dev/touchmark/internal/durable"
	"github.com/touchmark-dev/touchmark/translog"
)

// A batch is a part of an append that goes in one request.
type batch struct {
	first   uint64
	entries [][]byte
}

// get returns the entry at an index, nil if it is not in b, which may be nil.
func (b *batch) get(index uint64) []byte {
	if b == nil || index < b.first || index-b.first >= uint64(len(b.entries)) {
		return nil
	}
	return b.entries[index-b.first]
}

// pending are the entries from first to before next, which no checkpoint covers yet. Those that this Log did not
// append itself are nil, and read from the server when their turn comes.
type pending struct {
	first, next uint64
	entries     [][]byte
	bytes       int
}

func (p *pending) add(entries [][]byte) {
	if len(p.entries) == 0 {
		p.first = p.next
	}
	for _, e := range entries {
		p.entries = append(p.entries, e)
		p.bytes += len(e)
	}
	p.next += uint64(len(entries))
}

// skip goes on at an index without the entries before it.
func (p *pending) skip(next uint64) {
	if next > p.next {
		p.add(make([][]byte, next-p.next))
	}
}

// drop forgets the entries before an index.
func (p *pending) drop(size uint64) {
	for len(p.entries) > 0 && p.first < size {
		p.bytes -= len(p.entries[0])
		p.entries[0] = nil
		p.entries = p.entries[1:]
		p.first++
	}
}

// get returns the entry at an index, nil if it is not at hand.
func (p *pending) get(index uint64) []byte {
	if index < p.first || index >= p.first+uint64(len(p.entries)) {
		return nil
	}
	return p.entries[index-p.first]
}

func (p *pending) full() bool { return len(p.entries) >= maxPending || p.bytes >= maxPendingMem }

// Append implements [translog.Appender]. It waits while too much of what was appended before is not in a published
// checkpoint. A context that ends before the entries are sent withdraws them without a trace; then Append returns what
// became of them, whatever the context says. Where the server did not say, it is settled before the next Append, and
// before [Log.Size] answers.
func (l *Log) Append(ctx context.Context, entries [][]byte) (uint64, error) {
	if err := translog.CheckEntries(entries); err != nil {
		return 0, err
	}
	if err := l.begin(ctx); err != nil {
		return 0, err
	}
	defer l.end()
	if err := l.room(ctx); err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("trillianlog: append: %w", err)
	}
	first := l.next
	for from := 0; from < len(entries); {
		to, size := from, 0
		for to < len(entries) && to-from < batchLeaves && (to == from || size+len(entries[to]) <= batchBytes) {
			size += len(entries[to])
			to++
		}
		b := &batch{first: l.next, entries: make([][]byte, to-from)}
		for i, e := range entries[from:to] {
			b.entries[i] = bytes.Clone(e)
		}
		if err := l.send(ctx, b); err != nil {
			return 0, err
		}
		from = to
	}
	return first, nil
}

// begin takes the turn, and settles what an append before left open.
func (l *Log) begin(ctx context.Context) error {
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("trillianlog: %w", ctx.Err())
	}
	err := l.usable()
	if err == nil && l.lost != nil {
		err = l.send(ctx, l.lost)
	}
	if err != nil {
		l.end()
	}
	return err
}

func (l *Log) end() { <-l.turn }

// usable returns why the log takes nothing more.
func (l *Log) usable() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	return l.failed
}

// room waits until not too much is pending.
func (l *Log) room(ctx context.Context) error {
	for {
		l.mu.Lock()
		full, failed, changed := l.pending.full(), l.failed, l.changed
		l.mu.Unlock()
		if failed != nil || !full {
			return failed
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("trillianlog: %d entries wait for a checkpoint: %w", maxPending, ctx.Err())
		}
	}
}

// send makes a batch durable. Until it has, or a verdict has come, the batch is lost: the server may have it or not,
// and since it names each entry by its place and content, sending it again does no harm.
func (l *Log) send(ctx context.Context, b *batch) error {
	l.lost = b
	l.mu.Lock()
	l.flight, l.sent = b, max(l.sent, b.first+uint64(len(b.entries)))
	l.mu.Unlock()
	if b.first == 0 {
		if err := durable.WriteFile(durable.OS{}, filepath.Join(l.cfg.Dir, firstName), b.entries[0]); err != nil {
			return fmt.Errorf("trillianlog: %w", err)
		}
	}
	if err := l.remote.add(context.WithoutCancel(ctx), b.first, b.entries); err != nil {
		if translog.CodeOf(err) != "" {
			l.fail(err)
		}
		return err
	}
	l.lost = nil
	l.next = b.first + uint64(len(b.entries))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending.add(b.entries)
	l.flight = nil
	return nil
}

// Size returns the number of entries that are durable in the log, published or not. It first settles what became of an
// append that failed.
func (l *Log) Size(ctx context.Context) (uint64, error) {
	if err := l.begin(ctx); err != nil {
		return 0, err
	}
	defer l.end()
	return l.next, nil
}

// Entry returns the entry at index, published or not, as the log stores it.
func (l *Log) Entry(ctx context.Context, index uint64) ([]byte, error) {
	size, err := l.Size(ctx)
	if err != nil {
		return nil, err
	}
	if index >= size {
		return nil, fmt.Errorf("trillianlog: no entry %d, the log has %d", index, size)
	}
	l.mu.Lock()
	entry, published := l.pending.get(index), l.published.Size()
	l.mu.Unlock()
	if entry != nil {
		return bytes.Clone(entry), nil
	}
	if index < published {
		return l.client.StoredEntry(ctx, index, published)
	}
	return l.awaitEntry(ctx, index)
}

// awaitEntry reads an entry that is durable, and that another Log appended, when the tree has it.
func (l *Log) awaitEntry(ctx context.Context, index uint64) ([]byte, error) {
	cp, err := l.AwaitPublished(ctx, index)
	if err != nil {
		return nil, err
	}
	return l.client.StoredEntry(ctx, index, cp.Size())
}

package trillianlog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/google/trillian"

	"github.com/touchmark-dev/touchmark/internal/durable"
	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/internal/signing"
	"github.com/touchmark-dev/touchmark/translog/internal/tiles"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
)

// A Log is an open log. It is safe for concurrent use.
type Log struct {
	cfg    *Config
	remote *remote
	source *entrySource
	policy *translog.Policy
	guard  *signing.Guard
	client *tlogclient.Client
	unlock func()

	turn chan struct{} // held while something is appended
	next uint64        // index of the entry after the last one that is durable; with turn
	lost *batch        // was sent, and what became of it is not known; with turn

	mu        sync.Mutex
	pending   pending // entries that no checkpoint covers
	sent      uint64  // index of the entry after the last one that the server was given; it has no business to have more
	flight    *batch  // that is being sent, or is lost
	published *translog.Checkpoint
	failed    error         // the verdict that ended signing
	changed   chan struct{} // closed when any of these changes
	closed    bool

	writer *tiles.Writer // of the publisher alone
	stop   context.CancelFunc
	done   chan struct{} // closed when the publisher has ended

	closeOnce sync.Once
	closeErr  error
}

// Open opens the log that [Create] began. It refuses a tree that does not continue the last checkpoint signed, and a
// directory that another Log holds.
func Open(ctx context.Context, cfg *Config) (_ *Log, err error) {
	c, err := checked(cfg)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(c.StatePath); err != nil {
		return nil, fmt.Errorf("trillianlog: no trusted checkpoint (Create begins a log): %w", err)
	}
	policy, err := signing.Policy(c.Signer)
	if err != nil {
		return nil, err
	}
	l := &Log{
		cfg: c, policy: policy, client: tlogclient.New(tlogclient.Dir(c.Dir), policy), turn: make(chan struct{}, 1),
		changed: make(chan struct{}), done: make(chan struct{}),
	}
	if l.remote, err = newRemote(c); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			l.release()
		}
	}()
	l.source = &entrySource{remote: l.remote, cfg: c}
	if err := l.remote.check(ctx, trillian.TreeType_PREORDERED_LOG); err != nil {
		return nil, err
	}
	if l.unlock, err = lockBoth(c); err != nil {
		return nil, err
	}
	if err := l.resume(ctx); err != nil {
		return nil, err
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	l.stop = stop
	go l.publish(background)
	return l, nil
}

// lockBoth keeps every other Log away from the directory and from the state.
func lockBoth(c *Config) (unlock func(), err error) {
	if err := durable.MkdirAll(durable.OS{}, c.Dir); err != nil {
		return nil, fmt.Errorf("trillianlog: %w", err)
	}
	state, err := durable.OS{}.Lock(c.StatePath + ".lock")
	if err != nil {
		return nil, fmt.Errorf("trillianlog: state: %w", err)
	}
	dir, err := durable.OS{}.Lock(filepath.Join(c.Dir, lockName))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("trillianlog: directory: %w", err), state.Close())
	}
	return func() {
		_ = dir.Close()   // released
		_ = state.Close() // either way
	}, nil
}

func (l *Log) release() {
	l.remote.close()
	if l.unlock != nil {
		l.unlock()
	}
}

// resume finds the tree that was signed last in the tiles, makes the tiles of what the database has more, and judges it.
func (l *Log) resume(ctx context.Context) error {
	trusted, err := signing.ReadState(l.cfg.StatePath, l.policy)
	if err != nil {
		return err
	}
	if l.guard, err = signing.New(l.cfg.Signer, signing.File(l.cfg.StatePath), l.client, trusted); err != nil {
		return err
	}
	if l.writer, err = tiles.Open(ctx, l.cfg.Dir, trusted.Tree()); errors.Is(err, fs.ErrNotExist) {
		l.cfg.Notice(fmt.Errorf("trillianlog: tiles are missing, and made again: %w", err))
		l.writer, err = tiles.Open(ctx, l.cfg.Dir, tiles.Empty())
	}
	if err != nil {
		return err
	}
	root, err := l.remote.root(ctx)
	if err != nil {
		return err
	}
	if trusted.Size() == 0 {
		if root, err = l.begun(ctx, root); err != nil {
			return err
		}
	}
	if root, err = atLeast(ctx, l.cfg, root, trusted.Size()); err != nil {
		return err
	}
	if root.Size < trusted.Size() {
		return l.verdict(translog.CodeRolledBack, root, "the database has %d entries, a checkpoint of %d was signed", root.Size, trusted.Size())
	}
	if err := l.extend(ctx, root); err != nil {
		return err
	}
	if err := l.guard.Admit(root); err != nil {
		return err
	}
	if l.next, err = l.sequenced(ctx, root.Size); err != nil {
		return err
	}
	l.pending.next = root.Size
	l.pending.skip(l.next)
	l.sent = l.next
	return l.show(trusted)
}

// begun returns a tree that has an entry, if the log was ever given one, and that it has this one. Of a tree that is empty
// yet, Trillian does not tell what is durable behind it: the first entry is kept beside the tiles, and sent again.
func (l *Log) begun(ctx context.Context, root translog.Tree) (translog.Tree, error) {
	first, err := durable.ReadFile(durable.OS{}, filepath.Join(l.cfg.Dir, firstName), translog.MaxEntryBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return root, nil
	}
	if err != nil {
		return root, fmt.Errorf("trillianlog: %w", err)
	}
	if root.Size == 0 {
		if err := l.remote.add(ctx, 0, [][]byte{first}); err != nil {
			return root, err
		}
	}
	same, err := l.remote.await(ctx, 0, first)
	if err != nil {
		return root, err
	}
	if root, err = l.remote.root(ctx); err == nil && !same {
		err = l.verdict(translog.CodeForked, root, "the database has another first entry than it was given")
	}
	return root, err
}

// sequenced counts the entries that are durable behind those of the tree. The server tells of them only beside one that
// is in the tree.
func (l *Log) sequenced(ctx context.Context, size uint64) (uint64, error) {
	for n := uint64(readLeaves); size > 0; n *= 2 {
		entries, err := l.remote.entries(ctx, size-1, n)
		switch {
		case status.Code(err) == codes.ResourceExhausted: // more than an answer holds: the tree comes nearer
			if size, err = l.grown(ctx, size); err != nil {
				return 0, err
			}
			n = readLeaves / 2
		case err != nil:
			return 0, err
		case len(entries) == 0:
			return 0, fmt.Errorf("trillianlog: the server does not answer with entry %d", size-1)
		case uint64(len(entries)) < n:
			return size - 1 + uint64(len(entries)), nil
		}
	}
	return 0, nil
}

// grown waits until the tree has more than size entries.
func (l *Log) grown(ctx context.Context, size uint64) (uint64, error) {
	for {
		root, err := l.remote.root(ctx)
		if err != nil || root.Size > size {
			return root.Size, err
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("trillianlog: waiting for the tree of more than %d entries: %w", size, ctx.Err())
		case <-time.After(minInterval):
		}
	}
}

// show makes a checkpoint the one that readers see, if it is ahead of what they do.
func (l *Log) show(cp *translog.Checkpoint) error {
	if err := durable.WriteFile(durable.OS{}, filepath.Join(l.cfg.Dir, checkpoint), cp.Note()); err != nil {
		return fmt.Errorf("trillianlog: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.published = cp
	l.pending.drop(cp.Size())
	l.wakeWaiters()
	return nil
}

// wakeWaiters is called with mu.
func (l *Log) wakeWaiters() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// verdict is a refusal about a tree of the database.
func (l *Log) verdict(code translog.Code, tree translog.Tree, format string, args ...any) error {
	return &translog.RejectedError{
		Code: code, Reason: fmt.Sprintf(format, args...) + fmt.Sprintf(" (tree %d, root %x)", l.cfg.Tree, tree.Root),
		Older: l.guard.Trusted().Note(),
	}
}

// Origin returns the log's name.
func (l *Log) Origin() string { return l.guard.Name() }

// Policy returns the policy that trusts this log's key and asks for no witness.
func (l *Log) Policy() *translog.Policy { return l.policy }

// Checkpoint returns the last published checkpoint.
func (l *Log) Checkpoint(ctx context.Context) (*translog.Checkpoint, error) {
	return l.client.Checkpoint(ctx)
}

// Prove returns the proof, already verified, that the entry at index is in cp's tree.
func (l *Log) Prove(ctx context.Context, cp *translog.Checkpoint, index uint64) (*translog.Proof, error) {
	if index >= cp.Size() {
		return nil, fmt.Errorf("trillianlog: no entry %d in a tree of %d", index, cp.Size())
	}
	entry, err := l.client.StoredEntry(ctx, index, cp.Size())
	if err != nil {
		return nil, err
	}
	return l.client.Prove(ctx, cp, index, translog.LeafHash(entry))
}

// Consistency returns the proof, already verified, that newer's tree begins with older's.
func (l *Log) Consistency(ctx context.Context, older, newer *translog.Checkpoint) ([][32]byte, error) {
	return l.client.Consistency(ctx, older, newer)
}

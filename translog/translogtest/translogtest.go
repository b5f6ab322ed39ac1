// Package translogtest has a log in memory and a witness for tests, and the
// conformance test that every engine passes.
//
// [NewLog] is the engine to give to code that wants a translog.Appender. An
// engine's own test calls [TestEngine].
package translogtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/touchmark-dev/touchmark/translog"
)

// A Log is a log in memory that publishes a checkpoint at each append. It
// computes its tree with golang.org/x/mod/sumdb/tlog, an implementation that
// translog does not use, so that each checks the other. It is safe for
// concurrent use.
type Log struct {
	signer *translog.Signer
	policy *translog.Policy

	mu        sync.Mutex
	before    func(first uint64, entries [][]byte) error
	entries   [][]byte
	hashes    tlog.HashReader // over stored
	stored    []tlog.Hash
	published *translog.Checkpoint
	grown     chan struct{} // closed when published changes
	closed    bool
}

var _ Engine = (*Log)(nil)

// ErrClosed is the error of an append to a closed log.
var ErrClosed = errors.New("translogtest: the log is closed")

// NewLog returns an empty log of this origin under a fresh key. It panics when
// no log can have the origin.
func NewLog(origin string) *Log {
	skey, _, err := translog.GenerateKey(origin)
	if err != nil {
		panic(err)
	}
	signer, err := translog.ParseSigner(skey)
	if err != nil {
		panic(err)
	}
	return NewLogFor(signer)
}

// NewLogFor returns an empty log under a key of the test's choice.
func NewLogFor(signer *translog.Signer) *Log {
	policy, err := translog.ParsePolicy(fmt.Appendf(nil, "log %s\nquorum none\n", signer.VerifierKey()))
	if err != nil {
		panic(err)
	}
	l := &Log{signer: signer, policy: policy, grown: make(chan struct{})}
	l.hashes = tlog.HashReaderFunc(l.readHashes)
	if err := l.publish(); err != nil {
		panic(err)
	}
	return l
}

func (l *Log) readHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		hashes[i] = l.stored[index]
	}
	return hashes, nil
}

// BeforeAppend makes f judge each append from now on: its error is returned and
// the log stays as it was. A nil f judges nothing.
func (l *Log) BeforeAppend(f func(first uint64, entries [][]byte) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.before = f
}

// Append implements [translog.Appender].
func (l *Log) Append(ctx context.Context, entries [][]byte) (uint64, error) {
	if err := translog.CheckEntries(entries); err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if l.closed {
		return 0, ErrClosed
	}
	first := uint64(len(l.entries))
	if l.before != nil {
		if err := l.before(first, entries); err != nil {
			return 0, err
		}
	}
	for _, e := range entries {
		hashes, err := tlog.StoredHashes(int64(len(l.entries)), e, l.hashes)
		if err != nil {
			return 0, err
		}
		l.stored = append(l.stored, hashes...)
		l.entries = append(l.entries, bytes.Clone(e))
	}
	return first, l.publish()
}

// publish signs what is there, with mu held.
func (l *Log) publish() error {
	root, err := tlog.TreeHash(int64(len(l.entries)), l.hashes)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("%s\n%d\n%s\n", l.signer.Name(), len(l.entries), root)
	raw, err := note.Sign(&note.Note{Text: text}, l.signer)
	if err != nil {
		return err
	}
	l.published, err = l.policy.VerifyCheckpoint(raw)
	close(l.grown)
	l.grown = make(chan struct{})
	return err
}

// Size returns the number of entries.
func (l *Log) Size(ctx context.Context) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return uint64(len(l.entries)), ctx.Err()
}

// Entry returns the entry at index.
func (l *Log) Entry(ctx context.Context, index uint64) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if index >= uint64(len(l.entries)) {
		return nil, fmt.Errorf("translogtest: no entry %d, the log has %d", index, len(l.entries))
	}
	return bytes.Clone(l.entries[index]), ctx.Err()
}

// VerifierKey returns the log's verifier key, as a policy's log line wants it.
func (l *Log) VerifierKey() string { return l.signer.VerifierKey() }

// Policy returns the policy that trusts this log's key and asks for no witness.
func (l *Log) Policy() *translog.Policy { return l.policy }

// Checkpoint returns the checkpoint over all entries.
func (l *Log) Checkpoint(ctx context.Context) (*translog.Checkpoint, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.published, ctx.Err()
}

// AwaitPublished waits until there is an entry at index.
func (l *Log) AwaitPublished(ctx context.Context, index uint64) (*translog.Checkpoint, error) {
	for {
		l.mu.Lock()
		cp, grown := l.published, l.grown
		l.mu.Unlock()
		if cp.Size() > index {
			return cp, nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Prove returns the proof that the entry at index is in cp's tree.
func (l *Log) Prove(_ context.Context, cp *translog.Checkpoint, index uint64) (*translog.Proof, error) {
	if index >= cp.Size() {
		return nil, fmt.Errorf("translogtest: no entry %d in a tree of %d", index, cp.Size())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	hashes, err := tlog.ProveRecord(int64(cp.Size()), int64(index), l.hashes)
	if err != nil {
		return nil, err
	}
	proof := &translog.Proof{Index: index, Hashes: arrays(hashes), Checkpoint: cp.Note()}
	if _, err := l.policy.Verify(l.entries[index], proof); err != nil {
		return nil, err
	}
	return proof, nil
}

// Consistency returns the proof that newer's tree begins with older's.
func (l *Log) Consistency(_ context.Context, older, newer *translog.Checkpoint) ([][32]byte, error) {
	var hashes [][32]byte
	if 0 < older.Size() && older.Size() < newer.Size() {
		l.mu.Lock()
		defer l.mu.Unlock()
		proof, err := tlog.ProveTree(int64(newer.Size()), int64(older.Size()), l.hashes)
		if err != nil {
			return nil, err
		}
		hashes = arrays(proof)
	}
	return hashes, translog.VerifyConsistency(older, newer, hashes)
}

func arrays(hashes []tlog.Hash) [][32]byte {
	a := make([][32]byte, len(hashes))
	for i, h := range hashes {
		a[i] = h
	}
	return a
}

// Close refuses further appends; the log can still be read.
func (l *Log) Close(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	return nil
}

// Fork returns a second log with the same key and the same entries so far, which
// from here on goes its own way. Tests of monitors and of evidence want one.
func (l *Log) Fork() *Log {
	fork := NewLogFor(l.signer)
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.entries) > 0 {
		if _, err := fork.Append(context.Background(), l.entries); err != nil {
			panic(err)
		}
	}
	return fork
}

package trillianlog

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/google/trillian"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
)

// DefaultInFlight is how many entries a Shared has under way at once, unless its configuration says otherwise.
const DefaultInFlight = 64

// A BusyError says that Trillian takes nothing at the moment: its quota of entries that wait for the signer is used up.
// Nothing was taken; try again later.
type BusyError struct{ err error }

func (e *BusyError) Error() string {
	return "trillianlog: Trillian takes nothing now: " + e.err.Error()
}

// Unwrap returns what the server said.
func (e *BusyError) Unwrap() error { return e.err }

// A KindError says that a tree is of the other kind: the one that several append to, or the one with one writer.
type KindError struct {
	Tree   int64
	Shared bool // what it is
}

func (e *KindError) Error() string {
	if e.Shared {
		return fmt.Sprintf("trillianlog: tree %d is of the type LOG, which several append to: open it with OpenShared and sign for it with OpenPublisher, or make a tree with CreateTree", e.Tree)
	}
	return fmt.Sprintf("trillianlog: tree %d is of the type PREORDERED_LOG, which has one writer: open it with Open, or make a tree with CreateSharedTree", e.Tree)
}

// SharedConfig describes a log that several append to. Server, Tree, Source and Policy are needed. No key of the log is:
// a [Publisher] signs.
type SharedConfig struct {
	// Server, TLS, UnsafePlaintext and Timeout are those of [Config].
	Server          string
	TLS             *tls.Config
	UnsafePlaintext bool
	Timeout         time.Duration
	// Tree is the id of a tree of the type LOG: see [CreateSharedTree].
	Tree int64

	// Source is where a publisher shows the log, and Policy is whose checkpoints are believed.
	Source tlogclient.Source
	Policy *translog.Policy

	// InFlight bounds the entries that are under way to the server at once. 0 means [DefaultInFlight].
	InFlight int
	// Time is the clock of the statistics. Nil means time.Now.
	Time func() time.Time
}

// A Shared appends to a log that others append to as well. It is safe for concurrent use.
//
// An entry is in the log once, however often it is submitted, because Trillian knows it by an identity: one of the
// caller's, or its content. It has no index before a publisher has shown a checkpoint with it, which [Shared.Continue] finds.
type Shared struct {
	remote *remote
	policy *translog.Policy
	client *tlogclient.Client
	slots  chan struct{} // one for each entry under way
	stats  counters
	now    func() time.Time
}

// OpenShared opens a log for appending. It refuses a tree of another type than LOG with a [*KindError], and one that takes
// no entries.
func OpenShared(ctx context.Context, cfg *SharedConfig) (*Shared, error) {
	switch {
	case cfg == nil || cfg.Server == "" || cfg.Tree <= 0:
		return nil, errors.New("trillianlog: SharedConfig needs the address of a Server and the id of a Tree")
	case cfg.Source == nil || cfg.Policy == nil:
		return nil, errors.New("trillianlog: SharedConfig needs the Source and the Policy of its readers")
	case cfg.InFlight < 0 || cfg.Timeout < 0:
		return nil, errors.New("trillianlog: InFlight and Timeout must not be negative")
	}
	c := &Config{Server: cfg.Server, TLS: cfg.TLS, UnsafePlaintext: cfg.UnsafePlaintext, Tree: cfg.Tree, Timeout: cfg.Timeout}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	r, err := newRemote(c)
	if err != nil {
		return nil, err
	}
	if err := r.check(ctx, trillian.TreeType_LOG); err != nil {
		r.close()
		return nil, err
	}
	s := &Shared{remote: r, policy: cfg.Policy, client: tlogclient.New(cfg.Source, cfg.Policy), now: cfg.Time}
	if s.now == nil {
		s.now = time.Now
	}
	inFlight := cfg.InFlight
	if inFlight == 0 {
		inFlight = DefaultInFlight
	}
	s.slots = make(chan struct{}, inFlight)
	s.stats.waiting = make(map[[32]byte]time.Time)
	return s, nil
}

// Submit has the server take entries, in their order: an entry is sent when the one before it is durable there. It returns
// how many are; the error is about the one behind them, which the server may have all the same, and which is to
// be submitted again before anything that must come after it. Calls at the same time are in no order among each other.
// The error is a [*BusyError] when the server takes nothing at the moment.
//
// The order is that of the clock of the log server. A server whose clock is put back, or another one with another clock
// behind the same address, can put an entry before one that is still in its queue.
//
// Where identities is not nil, it has one for each entry: an entry is taken once under each, and an error that is a
// translog.RejectedError says that the log has another entry under one. Nobody else should be able to guess them. Entries
// without identities are known by their leaf hashes.
func (s *Shared) Submit(ctx context.Context, identities [][32]byte, entries [][]byte) (int, error) {
	if err := translog.CheckEntries(entries); err != nil {
		return 0, err
	}
	if identities != nil && len(identities) != len(entries) {
		return 0, fmt.Errorf("trillianlog: %d identities of %d entries", len(identities), len(entries))
	}
	for i, entry := range entries {
		leaf := translog.LeafHash(entry)
		identity := leaf
		if identities != nil {
			identity = identities[i]
		}
		if err := s.submit(ctx, identity, leaf, entry); err != nil {
			return i, err
		}
	}
	return len(entries), nil
}

func (s *Shared) submit(ctx context.Context, identity, leaf [32]byte, entry []byte) error {
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("trillianlog: %d entries are under way: %w", cap(s.slots), ctx.Err())
	}
	defer func() { <-s.slots }()
	there, err := s.remote.queue(ctx, identity, entry)
	s.stats.submitted(leaf, there, err, s.now())
	return err
}

// queue sends one entry, and reports whether it was there already.
func (r *remote) queue(ctx context.Context, identity [32]byte, entry []byte) (there bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	answer, err := r.log.QueueLeaf(ctx, &trillian.QueueLeafRequest{
		LogId: r.tree, Leaf: &trillian.LogLeaf{LeafValue: entry, LeafIdentityHash: identity[:]},
	})
	switch code := status.Code(err); {
	case code == codes.ResourceExhausted:
		return false, &BusyError{err: err}
	case err != nil:
		return false, fmt.Errorf("trillianlog: submit: %w", err)
	}
	queued := answer.GetQueuedLeaf()
	switch codes.Code(queued.GetStatus().GetCode()) { //nolint:gosec // a small enumeration
	case codes.OK:
		return false, nil
	case codes.AlreadyExists:
		if string(queued.GetLeaf().GetLeafValue()) != string(entry) {
			return false, &translog.RejectedError{Code: translog.CodeForked,
				Reason: fmt.Sprintf("tree %d has another entry under the identity %x", r.tree, identity)}
		}
		return true, nil
	}
	return false, fmt.Errorf("trillianlog: submit: %s", queued.GetStatus().GetMessage())
}

// Policy returns the policy under which checkpoints are believed.
func (s *Shared) Policy() *translog.Policy { return s.policy }

// Checkpoint returns the last published checkpoint.
func (s *Shared) Checkpoint(ctx context.Context) (*translog.Checkpoint, error) {
	return s.client.Checkpoint(ctx)
}

// Continue calls visit with the leaf hash of every entry that newer's tree has behind older's, as tlogclient.Client.Continue
// does: nothing is to be believed before it returns nil.
func (s *Shared) Continue(ctx context.Context, older, newer *translog.Checkpoint, visit func(index uint64, leaf [32]byte)) error {
	var seen [][32]byte
	err := s.client.Continue(ctx, older, newer, func(index uint64, leaf [32]byte) {
		if s.stats.isWaiting(leaf) {
			seen = append(seen, leaf)
		}
		visit(index, leaf)
	})
	if err == nil {
		s.stats.included(seen, s.now())
	}
	return err
}

// Leaves calls visit with leaf hashes that are proven to be in cp's tree, as tlogclient.Client.Leaves does.
func (s *Shared) Leaves(ctx context.Context, cp *translog.Checkpoint, from uint64, visit func(first uint64, leaves [][32]byte) bool) error {
	return s.client.Leaves(ctx, cp, from, visit)
}

// Prove builds the proof that a leaf is at an index of cp's tree.
func (s *Shared) Prove(ctx context.Context, cp *translog.Checkpoint, index uint64, leaf [32]byte) (*translog.Proof, error) {
	return s.client.Prove(ctx, cp, index, leaf)
}

// Close ends the connection to the server. What was submitted is in the log, or will be.
func (s *Shared) Close(context.Context) error {
	s.remote.close()
	return nil
}

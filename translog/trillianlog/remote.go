package trillianlog

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/google/trillian"
	"github.com/google/trillian/types"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/touchmark-dev/touchmark/translog"
)

// A remote is Trillian's log server, as far as one tree is concerned. Nothing that it says of the tree is believed.
type remote struct {
	conn    *grpc.ClientConn
	log     trillian.TrillianLogClient
	admin   trillian.TrillianAdminClient
	tree    int64
	timeout time.Duration
}

func noRootDuration() *durationpb.Duration { return durationpb.New(0) }

func newRemote(c *Config) (*remote, error) {
	conn, err := dial(c)
	if err != nil {
		return nil, err
	}
	return &remote{
		conn: conn, log: trillian.NewTrillianLogClient(conn), admin: trillian.NewTrillianAdminClient(conn),
		tree: c.Tree, timeout: c.Timeout,
	}, nil
}

func (r *remote) close() { _ = r.conn.Close() } // no request is under way

// check refuses a tree that is not what the log needs.
func (r *remote) check(ctx context.Context, want trillian.TreeType) error {
	tree, err := r.describe(ctx)
	switch {
	case err != nil:
		return err
	case tree.TreeType != want && tree.TreeType != trillian.TreeType_LOG && tree.TreeType != trillian.TreeType_PREORDERED_LOG:
		return fmt.Errorf("trillianlog: tree %d is a %v: make one with CreateTree or CreateSharedTree", r.tree, tree.TreeType)
	case tree.TreeType != want:
		return &KindError{Tree: r.tree, Shared: tree.TreeType == trillian.TreeType_LOG}
	case tree.TreeState != trillian.TreeState_ACTIVE || tree.Deleted:
		return fmt.Errorf("trillianlog: tree %d is %v: it takes no entries", r.tree, tree.TreeState)
	}
	return nil
}

func (r *remote) describe(ctx context.Context) (*trillian.Tree, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	tree, err := r.admin.GetTree(ctx, &trillian.GetTreeRequest{TreeId: r.tree}, grpc.WaitForReady(true))
	if err != nil {
		return nil, fmt.Errorf("trillianlog: tree %d: %w", r.tree, err)
	}
	return tree, nil
}

// root returns what the server says is its tree.
func (r *remote) root(ctx context.Context) (translog.Tree, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	answer, err := r.log.GetLatestSignedLogRoot(ctx, &trillian.GetLatestSignedLogRootRequest{LogId: r.tree}, grpc.WaitForReady(true))
	if err != nil {
		return translog.Tree{}, fmt.Errorf("trillianlog: root: %w", err)
	}
	return parseRoot(answer.GetSignedLogRoot())
}

// askedAgain is how often the server is asked again for a tree that it should have, and maxPause the longest pause before.
const (
	askedAgain = 5
	maxPause   = time.Second
)

// atLeast asks again, on connections of their own, for a tree of so many entries if the one that the server told of is
// smaller: one answer may be that of a replica that lags. It returns the last one.
func atLeast(ctx context.Context, c *Config, root translog.Tree, size uint64) (translog.Tree, error) {
	for n := 0; root.Size < size && n < askedAgain; n++ {
		select {
		case <-ctx.Done():
			return root, fmt.Errorf("trillianlog: root: %w", ctx.Err())
		case <-time.After(min(c.CheckpointInterval, maxPause)):
		}
		other, err := newRemote(c)
		if err != nil {
			return root, err
		}
		root, err = other.root(ctx)
		other.close()
		if err != nil {
			return root, err
		}
	}
	return root, nil
}

func parseRoot(signed *trillian.SignedLogRoot) (translog.Tree, error) {
	var root types.LogRootV1
	if err := root.UnmarshalBinary(signed.GetLogRoot()); err != nil {
		return translog.Tree{}, fmt.Errorf("trillianlog: root: %w", err)
	}
	if root.TreeSize > translog.MaxTreeSize || len(root.RootHash) != sha256.Size {
		return translog.Tree{}, fmt.Errorf("trillianlog: the server speaks of a tree of %d entries with a root of %d bytes", root.TreeSize, len(root.RootHash))
	}
	return translog.Tree{Size: root.TreeSize, Root: [32]byte(root.RootHash)}, nil
}

// add sends entries for the indexes from first on. Entries that are there already are there once.
func (r *remote) add(ctx context.Context, first uint64, entries [][]byte) error {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	leaves := make([]*trillian.LogLeaf, len(entries))
	for i, entry := range entries {
		index := first + uint64(i)                                                                                         //nolint:gosec // a count
		leaves[i] = &trillian.LogLeaf{LeafValue: entry, LeafIndex: int64(index), LeafIdentityHash: identity(index, entry)} //nolint:gosec // below MaxTreeSize
	}
	answer, err := r.log.AddSequencedLeaves(ctx, &trillian.AddSequencedLeavesRequest{LogId: r.tree, Leaves: leaves})
	if err != nil {
		return fmt.Errorf("trillianlog: append: %w", err)
	}
	if len(answer.GetResults()) != len(leaves) {
		return fmt.Errorf("trillianlog: append: the server answered about %d of %d entries", len(answer.GetResults()), len(leaves))
	}
	for i, result := range answer.GetResults() {
		switch codes.Code(result.GetStatus().GetCode()) { //nolint:gosec // a small enumeration
		case codes.OK, codes.AlreadyExists:
		case codes.FailedPrecondition:
			if err := r.same(ctx, first+uint64(i), entries[i], result); err != nil { //nolint:gosec // a count
				return err
			}
		default:
			return fmt.Errorf("trillianlog: append of entry %d: %s", first+uint64(i), result.GetStatus().GetMessage())
		}
	}
	return nil
}

// identity names an entry at its place.
func identity(index uint64, entry []byte) []byte {
	h := sha256.New()
	h.Write(binary.BigEndian.AppendUint64(nil, index))
	h.Write(entry)
	return h.Sum(nil)
}

// same tells an entry that was sent again from one whose place another has. The storages say which only in words, so
// it is looked up.
func (r *remote) same(ctx context.Context, index uint64, entry []byte, result *trillian.QueuedLogLeaf) error {
	there, err := r.stored(ctx, index, entry)
	if err != nil || there {
		return err
	}
	return &translog.RejectedError{
		Code:   translog.CodeForked,
		Reason: fmt.Sprintf("tree %d has another entry %d than is to be appended: %s", r.tree, index, result.GetStatus().GetMessage()),
	}
}

// stored reports whether the entry at an index is this one. An entry that is not in the tree yet is asked for by its
// neighbour that is: trees of this type answer with what follows it. In a tree that is empty yet, only the identity
// speaks for it, which the conflict was about.
func (r *remote) stored(ctx context.Context, index uint64, entry []byte) (bool, error) {
	root, err := r.root(ctx)
	if err != nil {
		return false, err
	}
	from := index
	if index >= root.Size {
		if root.Size == 0 {
			return r.await(ctx, index, entry)
		}
		from = root.Size - 1
	}
	entries, err := r.entries(ctx, from, index-from+1)
	if err != nil {
		return false, err
	}
	if uint64(len(entries)) <= index-from {
		return r.await(ctx, index, entry)
	}
	return string(entries[index-from]) == string(entry), nil
}

// await waits until the sequencer has put an index into the tree, and compares then.
func (r *remote) await(ctx context.Context, index uint64, entry []byte) (bool, error) {
	for {
		root, err := r.root(ctx)
		if err != nil {
			return false, err
		}
		if root.Size > index {
			entries, err := r.entries(ctx, index, 1)
			if err == nil && len(entries) == 0 {
				err = fmt.Errorf("trillianlog: the server does not answer with entry %d, which is in its tree", index)
			}
			if err != nil {
				return false, err
			}
			return string(entries[0]) == string(entry), nil
		}
		select {
		case <-ctx.Done():
			return false, fmt.Errorf("trillianlog: append of entry %d: %w", index, ctx.Err())
		case <-time.After(minInterval):
		}
	}
}

// entries returns up to n entries from an index on. The server may return fewer, and more than its tree has.
func (r *remote) entries(ctx context.Context, from, n uint64) ([][]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	answer, err := r.log.GetLeavesByRange(ctx, &trillian.GetLeavesByRangeRequest{
		LogId: r.tree, StartIndex: int64(from), Count: int64(n), //nolint:gosec // below MaxTreeSize
	})
	if err != nil {
		return nil, fmt.Errorf("trillianlog: entries from %d on: %w", from, err)
	}
	entries := make([][]byte, 0, len(answer.GetLeaves()))
	for i, leaf := range answer.GetLeaves() {
		if leaf.GetLeafIndex() != int64(from)+int64(i) || len(leaf.GetLeafValue()) > translog.MaxEntryBytes { //nolint:gosec // below MaxTreeSize
			return nil, fmt.Errorf("trillianlog: entries from %d on: the server answers with entry %d of %d bytes", from, leaf.GetLeafIndex(), len(leaf.GetLeafValue()))
		}
		entries = append(entries, leaf.GetLeafValue())
	}
	return entries, nil
}

package tlogclient

import (
	"context"
	"fmt"

	"github.com/transparency-dev/merkle/compact"

	"github.com/touchmark-dev/touchmark/translog"
)

// Continue calls visit with the leaf hash of every entry that newer's tree has behind older's, in order, from the bottom
// tiles: 32 bytes an entry. An older of nil is the empty tree.
//
// Nothing that visit is given is to be believed before Continue returns nil: only then is it known that newer's tree
// begins with older's, and that these are its other leaves.
func (c *Client) Continue(ctx context.Context, older, newer *translog.Checkpoint, visit func(index uint64, leaf [32]byte)) error {
	var size uint64
	if older != nil {
		size = older.Size()
	}
	if size > newer.Size() {
		return &translog.RejectedError{
			Code: translog.CodeRolledBack, Reason: fmt.Sprintf("a tree of %d entries after one of %d", newer.Size(), size),
			Older: older.Note(), Checkpoint: newer.Note(),
		}
	}
	leaves, err := c.before(ctx, newer, size)
	if err != nil {
		return err
	}
	if size > 0 && !roots(leaves, older.Root()) {
		return contradicts(older, newer, "the tiles of its first %d entries have another root than was signed before", size)
	}
	for leaves.End() < newer.Size() {
		if err := c.visitLeaves(ctx, newer.Size(), leaves, visit); err != nil {
			return err
		}
	}
	if newer.Size() > 0 && !roots(leaves, newer.Root()) {
		return contradicts(older, newer, "the %d leaf hashes behind the first %d do not add up to its root", newer.Size()-size, size)
	}
	return nil
}

// provenTiles is how many tiles of leaves Leaves proves at a time.
const provenTiles = 256

// Leaves calls visit with the leaf hashes of cp's tree, from an index on, in order and some ten thousand at a time, each
// time proven to be there before visit is given them. It ends when visit returns false.
func (c *Client) Leaves(ctx context.Context, cp *translog.Checkpoint, from uint64, visit func(first uint64, leaves [][32]byte) bool) error {
	if from > cp.Size() {
		return fmt.Errorf("tlogclient: no entry %d in a tree of %d", from, cp.Size())
	}
	leaves, err := c.before(ctx, cp, from)
	if err != nil {
		return err
	}
	for leaves.End() < cp.Size() {
		var proven [][32]byte
		first := leaves.End()
		for n := 0; n < provenTiles && leaves.End() < cp.Size(); n++ {
			if err := c.visitLeaves(ctx, cp.Size(), leaves, func(_ uint64, leaf [32]byte) { proven = append(proven, leaf) }); err != nil {
				return err
			}
		}
		root, err := leaves.GetRootHash(nil)
		if err != nil {
			return fmt.Errorf("tlogclient: %w", err)
		}
		if err := c.begins(ctx, translog.Tree{Size: leaves.End(), Root: [32]byte(root)}, cp); err != nil {
			return err
		}
		if !visit(first, proven) {
			return nil
		}
	}
	return nil
}

// visitLeaves visits the leaf hashes of the tile in which leaves ends, from there on, and appends them to leaves.
func (c *Client) visitLeaves(ctx context.Context, size uint64, leaves *compact.Range, visit func(uint64, [32]byte)) error {
	n := leaves.End() / BundleWidth
	hashes, err := c.StoredLeaves(ctx, n, size)
	if err != nil {
		return err
	}
	for _, leaf := range hashes[leaves.End()%BundleWidth:] {
		index := leaves.End()
		if err := leaves.Append(leaf[:], nil); err != nil {
			return fmt.Errorf("tlogclient: %w", err)
		}
		visit(index, leaf)
	}
	return nil
}

func roots(leaves *compact.Range, want [32]byte) bool {
	root, err := leaves.GetRootHash(nil)
	return err == nil && string(root) == string(want[:])
}

func contradicts(older, newer *translog.Checkpoint, format string, args ...any) error {
	rejected := &translog.RejectedError{
		Code: translog.CodeConsistencyInvalid, Reason: fmt.Sprintf("the log of %d entries: ", newer.Size()) + fmt.Sprintf(format, args...),
		Checkpoint: newer.Note(),
	}
	if older != nil {
		rejected.Older = older.Note()
	}
	return rejected
}

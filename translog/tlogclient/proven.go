package tlogclient

import (
	"context"
	"fmt"

	"github.com/touchmark-dev/touchmark/translog"
)

// Portions of ScanProven.
const (
	provenBundles = 16
	provenBytes   = 8 << 20
)

// ScanProven is like [Client.Scan], and proves each portion of entries before visit is given it: what visit is given
// is in cp's tree, whatever comes after it. A portion has a few thousand entries, and visit may keep it. It is for those
// who cannot take back what they do with an entry.
func (c *Client) ScanProven(ctx context.Context, cp *translog.Checkpoint, from uint64, visit func(first uint64, entries [][]byte) error) error {
	if from > cp.Size() {
		return fmt.Errorf("tlogclient: no entry %d in a tree of %d", from, cp.Size())
	}
	leaves, err := c.before(ctx, cp, from-from%BundleWidth)
	if err != nil {
		return err
	}
	for leaves.End() < cp.Size() {
		first, bytes := max(from, leaves.End()), 0
		var entries [][]byte
		for n := 0; n < provenBundles && bytes < provenBytes && leaves.End() < cp.Size(); n++ {
			err := c.visitBundle(ctx, cp, leaves, from, func(_ uint64, entry []byte) error {
				entries, bytes = append(entries, entry), bytes+len(entry)
				return nil
			})
			if err != nil {
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
		if len(entries) == 0 { // from is the end
			return nil
		}
		if err := visit(first, entries); err != nil {
			return err
		}
	}
	return nil
}

// begins proves that cp's tree begins with a tree that was computed from the source's entries.
func (c *Client) begins(ctx context.Context, tree translog.Tree, cp *translog.Checkpoint) error {
	var proof [][32]byte
	if tree.Size < cp.Size() {
		hashes, err := c.ConsistencyHashes(ctx, tree.Size, cp.Size())
		if err != nil {
			return err
		}
		proof = hashes
	}
	if err := translog.CheckConsistency(tree, cp.Tree(), proof); err != nil {
		return &translog.RejectedError{
			Code:       translog.CodeInclusionInvalid,
			Reason:     fmt.Sprintf("the first %d entries are not those of the tree of %d", tree.Size, cp.Size()),
			Checkpoint: cp.Note(),
		}
	}
	return nil
}

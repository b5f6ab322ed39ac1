package tlogclient

import (
	"context"
	"errors"
	"fmt"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api/layout"

	"github.com/touchmark-dev/touchmark/translog"
)

// ErrNotFound says that a tree does not hold an entry. It is as certain as the
// checkpoint: it is returned only when the leaf hashes searched add up to the
// tree's root.
var ErrNotFound = errors.New("tlogclient: no such entry in the tree")

// ProveEntry finds the entry in cp's tree, looking from index hint on and then
// before it, and builds its proof. An entry that was appended more than once is
// proven at one of its places. The error is [ErrNotFound] when the tree does
// not hold the entry.
func (c *Client) ProveEntry(ctx context.Context, cp *translog.Checkpoint, entry []byte, hint uint64) (*translog.Proof, error) {
	leaf := translog.LeafHash(entry)
	index, err := c.Find(ctx, cp, leaf, hint)
	if err != nil {
		return nil, err
	}
	return c.Prove(ctx, cp, index, leaf)
}

// Find returns the index of a leaf of cp's tree, looking from index hint on and
// then before it, through the leaf hashes of the bottom tiles: 32 bytes an
// entry. What it returns is where the source says the leaf is, which
// [Client.Prove] proves; what it does not find, the tree does not hold.
func (c *Client) Find(ctx context.Context, cp *translog.Checkpoint, leaf [32]byte, hint uint64) (uint64, error) {
	start := min(hint, cp.Size())
	start -= start % layout.TileWidth
	factory := &compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}
	behind, before := factory.NewEmptyRange(start), factory.NewEmptyRange(0)
	for _, part := range []struct {
		leaves *compact.Range
		end    uint64
	}{{behind, cp.Size()}, {before, start}} {
		index, err := c.scan(ctx, cp, leaf, part.leaves, part.end)
		if !errors.Is(err, ErrNotFound) {
			return index, err
		}
	}
	if err := before.AppendRange(behind, nil); err != nil {
		return 0, fmt.Errorf("tlogclient: %w", err)
	}
	root, err := before.GetRootHash(nil)
	if err != nil {
		return 0, fmt.Errorf("tlogclient: %w", err)
	}
	if cp.Size() > 0 && [32]byte(root) != cp.Root() {
		return 0, &translog.RejectedError{
			Code:       translog.CodeInclusionInvalid,
			Reason:     fmt.Sprintf("the %d leaf hashes of the tiles do not add up to the root", cp.Size()),
			Checkpoint: cp.Note(),
		}
	}
	return 0, ErrNotFound
}

// scan reads the leaf hashes from where leaves ends up to end, appends them to
// leaves, and stops at the leaf.
func (c *Client) scan(ctx context.Context, cp *translog.Checkpoint, leaf [32]byte, leaves *compact.Range, end uint64) (uint64, error) {
	for leaves.End() < end {
		n := leaves.End() / layout.TileWidth
		tile, err := c.tile(ctx, 0, n, layout.PartialTileSize(0, n, cp.Size()))
		if err != nil {
			return 0, unread(err, "tile %d", n)
		}
		width := min(layout.TileWidth, end-leaves.End())
		if uint64(len(tile)) < 32*width {
			return 0, unread(fmt.Errorf("%d bytes, want %d", len(tile), 32*width), "tile %d", n)
		}
		for i := range width {
			hash := tile[32*i : 32*(i+1)]
			if [32]byte(hash) == leaf {
				return leaves.End(), nil
			}
			if err := leaves.Append(hash, nil); err != nil {
				return 0, fmt.Errorf("tlogclient: %w", err)
			}
		}
	}
	return 0, ErrNotFound
}

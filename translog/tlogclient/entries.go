package tlogclient

import (
	"context"
	"fmt"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api/layout"
	"github.com/transparency-dev/tessera/client"

	"github.com/touchmark-dev/touchmark/translog"
)

// Scan calls visit with every entry of cp's tree from index from on, in order.
// It reads each bundle once and holds one at a time.
//
// Nothing that visit is given is to be believed before Scan returns nil: only
// then did all entries add up to the root of cp. A visit that fails ends it.
func (c *Client) Scan(ctx context.Context, cp *translog.Checkpoint, from uint64, visit func(index uint64, entry []byte) error) error {
	if from > cp.Size() {
		return fmt.Errorf("tlogclient: no entry %d in a tree of %d", from, cp.Size())
	}
	leaves, err := c.before(ctx, cp, from-from%layout.EntryBundleWidth)
	if err != nil {
		return err
	}
	for leaves.End() < cp.Size() {
		if err := c.visitBundle(ctx, cp, leaves, from, visit); err != nil {
			return err
		}
	}
	if cp.Size() == 0 {
		return nil
	}
	root, err := leaves.GetRootHash(nil)
	if err != nil {
		return fmt.Errorf("tlogclient: %w", err)
	}
	if [32]byte(root) != cp.Root() {
		return &translog.RejectedError{
			Code:       translog.CodeInclusionInvalid,
			Reason:     fmt.Sprintf("the entries from %d on do not add up to the root of %d", from, cp.Size()),
			Checkpoint: cp.Note(),
		}
	}
	return nil
}

// before returns the range of the first end leaves of cp's tree, from the hashes
// above them, as the source has it.
func (c *Client) before(ctx context.Context, cp *translog.Checkpoint, end uint64) (*compact.Range, error) {
	factory := &compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}
	if end == 0 {
		return factory.NewEmptyRange(0), nil
	}
	tiles := &tiles{client: c}
	nodes, err := client.FetchRangeNodes(ctx, end, func(ctx context.Context, level, index uint64, _ uint8) ([]byte, error) {
		// As wide as cp's tree has it: the narrower tile of the smaller tree may be gone.
		return tiles.fetch(ctx, level, index, layout.PartialTileSize(level, index, cp.Size()))
	})
	if err != nil {
		return nil, unread(tiles.because(err), "hashes of the first %d entries", end)
	}
	leaves, err := factory.NewRange(0, end, nodes)
	if err != nil {
		return nil, fmt.Errorf("tlogclient: %w", err)
	}
	return leaves, nil
}

// visitBundle visits the entries of the bundle that begins where leaves ends,
// and appends them to leaves.
func (c *Client) visitBundle(ctx context.Context, cp *translog.Checkpoint, leaves *compact.Range, from uint64, visit func(uint64, []byte) error) error {
	n := leaves.End() / layout.EntryBundleWidth
	bundle, err := withFallback(layout.PartialTileSize(0, n, cp.Size()), func(partial uint8) ([]byte, error) {
		return c.source.Entries(ctx, n, partial)
	})
	if err != nil {
		return unread(err, "entry bundle %d", n)
	}
	for range min(layout.EntryBundleWidth, cp.Size()-leaves.End()) {
		entry, err := entryAt(bundle, 0)
		if err != nil {
			return unread(err, "entry bundle %d", n)
		}
		bundle = bundle[2+len(entry):]
		index := leaves.End()
		hash := translog.LeafHash(entry)
		if err := leaves.Append(hash[:], nil); err != nil {
			return fmt.Errorf("tlogclient: %w", err)
		}
		if index < from {
			continue
		}
		if err := visit(index, entry); err != nil {
			return err
		}
	}
	return nil
}

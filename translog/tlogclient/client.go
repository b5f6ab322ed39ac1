// Package tlogclient reads a transparency log through its tiles (C2SP
// tlog-tiles), from a directory or over HTTP, and serves a directory of them.
//
// Make a [Client] from a [Source] and a policy of trust; all that it returns
// has been verified against that policy first, so the source may lie:
//
//	c := tlogclient.New(tlogclient.Dir("/var/lib/log"), policy)
//	cp, err := c.Checkpoint(ctx)
//	proof, err := c.ProveEntry(ctx, cp, entry, 0)
//
// An error that is a translog.RejectedError says that the log or the source
// contradicts itself; a [*SourceError], that the log could not be read.
package tlogclient

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api/layout"
	"github.com/transparency-dev/tessera/client"

	"github.com/touchmark-dev/touchmark/translog"
)

// A Client reads one log. It keeps nothing between calls and is safe for
// concurrent use.
type Client struct {
	source Source
	policy *translog.Policy
}

// A SourceError says that a log could not be read: the source did not answer, or
// with something that is no checkpoint, tile or bundle. It is no verdict. It wraps
// the source's error, so that it can be told that something is not there, or that
// a context ended.
type SourceError struct {
	What string // was to be read
	Err  error
}

func (e *SourceError) Error() string { return "tlogclient: " + e.What + ": " + e.Err.Error() }

// Unwrap returns the source's error.
func (e *SourceError) Unwrap() error { return e.Err }

func unread(err error, format string, args ...any) error {
	return &SourceError{What: fmt.Sprintf(format, args...), Err: err}
}

// New returns a client that believes policy, not source.
func New(source Source, policy *translog.Policy) *Client {
	return &Client{source: source, policy: policy}
}

// Checkpoint fetches the log's latest checkpoint: the cosigned one when the policy
// asks for witnesses and the log has one beside its own. Only a caller who
// compares it with one of before (see [Client.Consistency]) learns whether it is
// the latest.
func (c *Client) Checkpoint(ctx context.Context) (*translog.Checkpoint, error) {
	raw, err := c.latest(ctx)
	if err != nil {
		return nil, unread(err, "checkpoint")
	}
	return c.policy.VerifyCheckpoint(raw)
}

func (c *Client) latest(ctx context.Context) ([]byte, error) {
	if source, ok := c.source.(CosignedSource); ok && c.policy.NeedsWitnesses() {
		raw, err := source.CosignedCheckpoint(ctx)
		if !errors.Is(err, fs.ErrNotExist) {
			return raw, err
		}
	}
	return c.source.Checkpoint(ctx)
}

// Entry returns the entry at index of cp's tree, proven to be there.
func (c *Client) Entry(ctx context.Context, cp *translog.Checkpoint, index uint64) ([]byte, error) {
	if index >= cp.Size() {
		return nil, fmt.Errorf("tlogclient: no entry %d in a tree of %d", index, cp.Size())
	}
	entry, err := c.StoredEntry(ctx, index, cp.Size())
	if err != nil {
		return nil, err
	}
	if _, err := c.Prove(ctx, cp, index, translog.LeafHash(entry)); err != nil {
		return nil, err
	}
	return entry, nil
}

// StoredEntry returns the entry that the source holds at index when its log has
// size entries. Nothing is verified. It is for those who run the log and ask
// about entries that no checkpoint covers yet; most users want [Client.Entry].
func (c *Client) StoredEntry(ctx context.Context, index, size uint64) ([]byte, error) {
	n := index / layout.EntryBundleWidth
	bundle, err := withFallback(layout.PartialTileSize(0, n, size), func(partial uint8) ([]byte, error) {
		return c.source.Entries(ctx, n, partial)
	})
	if err != nil {
		return nil, unread(err, "entry bundle %d", n)
	}
	entry, err := entryAt(bundle, index%layout.EntryBundleWidth)
	if err != nil {
		return nil, unread(err, "entry bundle %d", n)
	}
	return entry, nil
}

// BundleWidth is the number of entries of a full bundle (C2SP tlog-tiles).
const BundleWidth = layout.EntryBundleWidth

// StoredBundle returns the entries that the source holds from index n times [BundleWidth] on, as many as a log
// of size entries has in that bundle. Nothing is verified. It is for those who hash every entry themselves; most
// users want [Client.Scan].
func (c *Client) StoredBundle(ctx context.Context, n, size uint64) ([][]byte, error) {
	if n > translog.MaxTreeSize/BundleWidth || size <= n*BundleWidth {
		return nil, fmt.Errorf("tlogclient: no bundle %d in a tree of %d", n, size)
	}
	bundle, err := withFallback(layout.PartialTileSize(0, n, size), func(partial uint8) ([]byte, error) {
		return c.source.Entries(ctx, n, partial)
	})
	if err != nil {
		return nil, unread(err, "entry bundle %d", n)
	}
	entries := make([][]byte, min(BundleWidth, size-n*BundleWidth))
	for i := range entries {
		if entries[i], err = entryAt(bundle, 0); err != nil {
			return nil, unread(err, "entry bundle %d", n)
		}
		bundle = bundle[2+len(entries[i]):]
	}
	return entries, nil
}

// StoredLeaves returns the leaf hashes that the source's bottom tile n holds for a log of size entries. Nothing is
// verified: a hash that [Client.Prove] proves is the log's.
func (c *Client) StoredLeaves(ctx context.Context, n, size uint64) ([][32]byte, error) {
	if n > translog.MaxTreeSize/BundleWidth || size <= n*BundleWidth {
		return nil, fmt.Errorf("tlogclient: no tile %d in a tree of %d", n, size)
	}
	data, err := c.tile(ctx, 0, n, layout.PartialTileSize(0, n, size))
	if err != nil {
		return nil, unread(err, "tile %d", n)
	}
	leaves := make([][32]byte, min(BundleWidth, size-n*BundleWidth))
	if len(data) < len(leaves)*32 {
		return nil, unread(errors.New("the tile is too short"), "tile %d", n)
	}
	for i := range leaves {
		leaves[i] = [32]byte(data[i*32:])
	}
	return leaves, nil
}

// entryAt walks to the n-th entry of a bundle. The reader of tessera's api
// package would build a slice of what may be millions of empty entries.
func entryAt(bundle []byte, n uint64) ([]byte, error) {
	for ; ; n-- {
		if len(bundle) < 2 {
			return nil, errors.New("the bundle ends before the entry")
		}
		size := int(binary.BigEndian.Uint16(bundle))
		if len(bundle) < 2+size {
			return nil, errors.New("the bundle ends within an entry")
		}
		if n == 0 {
			return bundle[2 : 2+size : 2+size], nil
		}
		bundle = bundle[2+size:]
	}
}

// Prove builds the proof that the leaf is at index of cp's tree.
func (c *Client) Prove(ctx context.Context, cp *translog.Checkpoint, index uint64, leaf [32]byte) (*translog.Proof, error) {
	if index >= cp.Size() {
		return nil, fmt.Errorf("tlogclient: no entry %d in a tree of %d", index, cp.Size())
	}
	// A builder's cache of nodes has no bound, so each serves one request.
	tiles := &tiles{client: c}
	builder, err := client.NewProofBuilder(ctx, cp.Size(), tiles.fetch)
	if err != nil {
		return nil, fmt.Errorf("tlogclient: %w", err)
	}
	hashes, err := builder.InclusionProof(ctx, index)
	if err != nil {
		return nil, unread(tiles.because(err), "proof of entry %d", index)
	}
	proof := &translog.Proof{Index: index, Hashes: arrays(hashes), Checkpoint: cp.Note()}
	if _, err := c.policy.VerifyLeaf(leaf, proof); err != nil {
		return nil, err
	}
	return proof, nil
}

// Consistency builds the proof that newer's tree begins with older's. The error
// of a log that was rolled back or forked keeps both checkpoints.
func (c *Client) Consistency(ctx context.Context, older, newer *translog.Checkpoint) ([][32]byte, error) {
	var hashes [][32]byte
	if 0 < older.Size() && older.Size() < newer.Size() {
		proof, err := c.ConsistencyHashes(ctx, older.Size(), newer.Size())
		if err != nil {
			return nil, err
		}
		hashes = proof
	}
	if err := translog.VerifyConsistency(older, newer, hashes); err != nil {
		return nil, err
	}
	return hashes, nil
}

// ConsistencyHashes builds a consistency proof between two sizes. Nothing is
// verified. It is for those who run the log and have no signed checkpoint yet;
// most users want [Client.Consistency].
func (c *Client) ConsistencyHashes(ctx context.Context, older, newer uint64) ([][32]byte, error) {
	tiles := &tiles{client: c}
	builder, err := client.NewProofBuilder(ctx, newer, tiles.fetch)
	if err != nil {
		return nil, fmt.Errorf("tlogclient: %w", err)
	}
	hashes, err := builder.ConsistencyProof(ctx, older, newer)
	if err != nil {
		return nil, unread(tiles.because(err), "consistency of %d and %d", older, newer)
	}
	return arrays(hashes), nil
}

// tiles fetches for tessera's client, whose errors do not wrap those of the source.
type tiles struct {
	client *Client
	failed error  // of the fetch that ended it
	within uint64 // size of the tree whose tiles are there; 0: of the one that is asked about
}

func (t *tiles) fetch(ctx context.Context, level, index uint64, partial uint8) ([]byte, error) {
	there := partial
	if t.within > 0 {
		there = layout.PartialTileSize(level, index, t.within)
	}
	data, err := t.client.tile(ctx, level, index, there)
	if err != nil {
		t.failed = err
	}
	if n := int(partial) * rfc6962.DefaultHasher.Size(); 0 < n && n < len(data) {
		data = data[:n]
	}
	return data, err
}

// because returns the error behind one of tessera's client.
func (t *tiles) because(err error) error {
	if t.failed != nil {
		return t.failed
	}
	return err
}

// tile fetches a tile as tessera's client asks for it.
func (c *Client) tile(ctx context.Context, level, index uint64, partial uint8) ([]byte, error) {
	return withFallback(partial, func(partial uint8) ([]byte, error) {
		return c.source.Tile(ctx, level, index, partial)
	})
}

// withFallback asks for the full resource when the partial one is gone, which
// it may be once the full one exists (C2SP tlog-tiles, "Partial Tiles").
func withFallback(partial uint8, fetch func(partial uint8) ([]byte, error)) ([]byte, error) {
	data, err := fetch(partial)
	if partial > 0 && errors.Is(err, fs.ErrNotExist) {
		return fetch(0)
	}
	return data, err
}

// arrays relies on tiles being a multiple of 32 bytes, which tessera checks.
func arrays(hashes [][]byte) [][32]byte {
	a := make([][32]byte, len(hashes))
	for i, h := range hashes {
		a[i] = [32]byte(h)
	}
	return a
}

// Root computes the root of the first size entries from the tiles. Nothing
// vouches for it. It is for those who run the log and must know what they are
// about to sign; most users want [Client.Checkpoint].
func (c *Client) Root(ctx context.Context, size uint64) ([32]byte, error) {
	return c.root(ctx, size, size)
}

// RootWithin is like [Client.Root], from the tiles of a larger tree: a log has no partial tiles of trees that it never
// published, and a log that forked did not publish what others did.
func (c *Client) RootWithin(ctx context.Context, size, larger uint64) ([32]byte, error) {
	return c.root(ctx, size, max(size, larger))
}

func (c *Client) root(ctx context.Context, size, larger uint64) ([32]byte, error) {
	if size == 0 {
		return [32]byte(rfc6962.DefaultHasher.EmptyRoot()), nil
	}
	tiles := &tiles{client: c, within: larger}
	nodes, err := client.FetchRangeNodes(ctx, size, tiles.fetch)
	if err != nil {
		return [32]byte{}, unread(tiles.because(err), "root of %d", size)
	}
	leaves, err := (&compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}).NewRange(0, size, nodes)
	if err != nil {
		return [32]byte{}, fmt.Errorf("tlogclient: root of %d: %w", size, err)
	}
	root, err := leaves.GetRootHash(nil)
	if err != nil {
		return [32]byte{}, fmt.Errorf("tlogclient: root of %d: %w", size, err)
	}
	return [32]byte(root), nil
}

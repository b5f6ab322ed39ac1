package translogtest

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
)

// everySize is one more than four full tiles.
const everySize = 1025

// duplicates appends the same entry again and again: each is a leaf of its own.
func (e *engineTest) duplicates() {
	same := []byte("the same")
	for i := range 3 {
		if first := e.mustAppend([][]byte{same, same}); first != uint64(2*i) {
			e.Fatalf("a duplicate has index %d, want %d", first, 2*i)
		}
	}
	e.mustSize(6)
	cp := e.mustAwait(5)
	e.checkRoot(cp)
	for index := range uint64(6) {
		e.checkProof(cp, index)
	}
}

// checkpointsGrow looks at the checkpoint all the while entries are appended.
func (e *engineTest) checkpointsGrow() {
	const batches, each = 40, 25
	tree := NewLog("translogtest.invalid/again")
	ctx, cancel := context.WithCancel(e.ctx)
	done, looked := make(chan struct{}), make(chan struct{})
	defer func() {
		cancel()
		<-done
	}()
	go func() {
		defer close(done)
		for i := range batches {
			select {
			case <-looked:
			case <-ctx.Done():
				return
			}
			if _, err := e.Append(e.ctx, numbered(i*each, each)); err != nil {
				e.Errorf("Append: %v", err)
				return
			}
		}
	}()
	for i := range batches {
		if _, err := tree.Append(e.ctx, numbered(i*each, each)); err != nil {
			e.Fatal(err)
		}
	}
	last, err := e.Checkpoint(e.ctx)
	for err == nil && last.Size() < batches*each {
		var cp *translog.Checkpoint
		if cp, err = e.Checkpoint(e.ctx); err != nil {
			break
		}
		select {
		case looked <- struct{}{}:
		default: // an append is under way
		}
		if root, failed := tree.rootAt(cp.Size()); failed != nil || root != cp.Root() {
			e.Fatalf("the checkpoint of %d entries has root %x, want %x (%v)", cp.Size(), cp.Root(), root, failed)
		}
		e.checkConsistency(e, last, cp)
		last = cp
	}
	if err != nil {
		e.Fatalf("Checkpoint: %v", err)
	}
}

// rootAt computes the root of the first size entries.
func (l *Log) rootAt(size uint64) ([32]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if size > uint64(len(l.entries)) {
		return [32]byte{}, fmt.Errorf("translogtest: no tree of %d entries", size)
	}
	return tlog.TreeHash(int64(size), l.hashes)
}

// signed signs the tree of the first size entries with the key of an engine.
func (l *Log) signed(size uint64, signer *translog.Signer, policy *translog.Policy) (*translog.Checkpoint, error) {
	root, err := l.rootAt(size)
	if err != nil {
		return nil, err
	}
	raw, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", signer.Name(), size, tlog.Hash(root))}, signer)
	if err != nil {
		return nil, err
	}
	return policy.VerifyCheckpoint(raw)
}

// proofsAtEverySize signs the tree of each size itself, and makes proofs in it from the engine's tiles: of an entry and from a
// tree before, or, with TOUCHMARK_SOAK set, of all of them.
func (e *engineTest) proofsAtEverySize() {
	tree := NewLog("translogtest.invalid/again")
	entries := numbered(0, everySize)
	for n := 0; n < everySize; n += 205 {
		e.mustAppend(entries[n : n+205])
		if _, err := tree.Append(e.ctx, entries[n:n+205]); err != nil {
			e.Fatal(err)
		}
	}
	e.mustAwait(everySize - 1)
	c := tlogclient.New(widest{e.in.Source}, e.Policy())
	trees := make([]*translog.Checkpoint, everySize+1)
	for size := range uint64(everySize + 1) {
		cp, err := tree.signed(size, e.in.Signer, e.Policy())
		if err != nil {
			e.Fatal(err)
		}
		trees[size] = cp
		for _, n := range chosen(size) {
			if n < size {
				e.checkInclusion(c, cp, n, entries[n])
			}
			e.checkConsistency(c, trees[n], cp)
		}
	}
}

// widest serves the tiles of trees that were never published, out of the tiles of the last one: a log keeps partial tiles
// for those that were.
type widest struct{ tlogclient.Source }

func (w widest) Tile(ctx context.Context, level, index uint64, partial uint8) ([]byte, error) {
	span := uint64(1) << (tileHeight * (level + 1)) // entries below a full tile
	last := uint8(0)
	if (index+1)*span > everySize {
		last = uint8((everySize - index*span) * tileWidth / span) //nolint:gosec // less than a full tile
	}
	data, err := w.Source.Tile(ctx, level, index, last)
	if n := 32 * int(partial); err == nil && 0 < n && n <= len(data) {
		data = data[:n]
	}
	return data, err
}

// A consistent is an engine or a client.
type consistent interface {
	Consistency(ctx context.Context, older, newer *translog.Checkpoint) ([][32]byte, error)
}

// checkInclusion verifies a proof with x/mod alone.
func (e *engineTest) checkInclusion(c *tlogclient.Client, cp *translog.Checkpoint, index uint64, entry []byte) {
	e.Helper()
	proof, err := c.Prove(e.ctx, cp, index, translog.LeafHash(entry))
	if err != nil {
		e.Fatalf("Prove(%d) in a tree of %d: %v", index, cp.Size(), err)
	}
	var record tlog.RecordProof
	for _, h := range proof.Hashes {
		record = append(record, h)
	}
	if err := tlog.CheckRecord(record, int64(cp.Size()), cp.Root(), int64(index), tlog.RecordHash(entry)); err != nil {
		e.Fatalf("x/mod refuses the proof of entry %d of %d: %v", index, cp.Size(), err)
	}
}

// chosen returns a number below size, the last one or one that moves; or all.
func chosen(size uint64) []uint64 {
	var all []uint64
	if os.Getenv("TOUCHMARK_SOAK") != "" {
		for n := range size {
			all = append(all, n)
		}
		return all
	}
	if size == 0 {
		return nil
	}
	if size%2 == 0 {
		return []uint64{size - 1}
	}
	return []uint64{size * 7919 % 1024 % size}
}

// checkConsistency verifies a proof with translog and with x/mod.
func (e *engineTest) checkConsistency(c consistent, older, newer *translog.Checkpoint) {
	e.Helper()
	if older.Size() == 0 {
		return // every tree continues the empty one
	}
	proof, err := c.Consistency(e.ctx, older, newer)
	if err == nil {
		err = translog.VerifyConsistency(older, newer, proof)
	}
	if err != nil {
		e.Fatalf("Consistency from %d to %d: %v", older.Size(), newer.Size(), err)
	}
	if older.Size() == newer.Size() {
		return // x/mod has no such proof
	}
	var hashes tlog.TreeProof
	for _, h := range proof {
		hashes = append(hashes, h)
	}
	if err := tlog.CheckTree(hashes, int64(newer.Size()), newer.Root(), int64(older.Size()), older.Root()); err != nil {
		e.Fatalf("x/mod refuses the proof from %d to %d: %v", older.Size(), newer.Size(), err)
	}
}

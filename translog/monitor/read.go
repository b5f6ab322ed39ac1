package monitor

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
)

var ranges = &compact.RangeFactory{Hash: hashChildren}

// hashChildren is the hash of a node of the tree (RFC 6962 section 2.1).
func hashChildren(l, r []byte) []byte {
	var b [1 + 2*hashBytes]byte
	b[0] = rfc6962.RFC6962NodeHashPrefix
	copy(b[1:], l)
	copy(b[1+hashBytes:], r)
	sum := sha256.Sum256(b[:])
	return sum[:]
}

// readNew reads what cp's tree has more than was read.
func (m *Monitor) readNew(ctx context.Context, cp *translog.Checkpoint) error {
	err := m.readChunks(ctx, cp)
	m.covers(cp)
	served := m.state.Size
	if err == nil && m.last.Late > 0 {
		served = cp.Size() // it is records that are late
	}
	m.serves(whatTree, served)
	return m.withheld(ctx, cp, err, stuck{What: whatTree, From: m.state.Size, Size: cp.Size()}, "")
}

// readChunks reads a chunk at a time: first its hashes must lead to the root, then its records are looked at, then both are
// durable.
func (m *Monitor) readChunks(ctx context.Context, cp *translog.Checkpoint) error {
	for m.state.Size < cp.Size() {
		from := m.state.Size
		end := min(from-from%chunk+chunk, cp.Size())
		entries, err := m.stored(ctx, from, end, cp.Size())
		if err != nil {
			return err
		}
		leaves, tree, err := m.extend(from, entries)
		if err != nil {
			return err
		}
		if ok, err := m.belongs(ctx, tree, cp); err != nil {
			return err
		} else if !ok {
			return m.blame(ctx, cp, from, entries)
		}
		more, err := m.readChunk(ctx, cp, entries, leaves, tree)
		if err != nil {
			return errors.Join(err, m.back()) // what was not told is found again
		}
		if err := m.save(); err != nil || !more {
			return err
		}
	}
	return nil
}

// readChunk looks at entries that are in cp's tree, and believes them. more is false when a record is late that the rest
// waits for.
func (m *Monitor) readChunk(ctx context.Context, cp *translog.Checkpoint, entries [][]byte, leaves [][32]byte, tree *compact.Range) (more bool, err error) {
	from := m.state.Size
	records, err := m.resolve(from, cp.Size(), entries, leaves)
	if err != nil {
		return false, err
	}
	if more = len(records) == len(entries); !more {
		m.last.Late = cp.Size() - from - uint64(len(records))
		if leaves, tree, err = m.extend(from, entries[:len(records)]); err != nil {
			return false, err
		}
	}
	if err := m.readRecords(ctx, cp, records); err != nil {
		return false, err
	}
	m.settled()
	for i := range records {
		m.shown(&records[i])
	}
	for _, leaf := range leaves {
		m.leaves.put(leaf[:])
		m.remember(leaf)
	}
	m.state.Size, m.state.Range = tree.End(), tree.Hashes()
	m.last.Read += tree.End() - from
	return more, nil
}

// stored reads the entries from an index to before end, or to one at which there are enough, from a log of size entries. Of
// what is not served, or does not come in half of the time that there is, it returns what comes before it, to be believed in
// the other half: a slow log is read, too.
func (m *Monitor) stored(ctx context.Context, from, end, size uint64) ([][]byte, error) {
	entries, bytes := make([][]byte, 0, end-from), 0
	early, cancel := context.WithCancel(ctx)
	if deadline, ok := ctx.Deadline(); ok {
		early, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
	}
	defer cancel()
	for n := from / tlogclient.BundleWidth; n*tlogclient.BundleWidth < end && bytes < chunkBytes; n++ {
		bundle, err := m.client.StoredBundle(ctx, n, size)
		if err != nil && len(entries) > 0 {
			return entries, nil
		} else if err != nil {
			return nil, err
		}
		ctx = early
		begin := n * tlogclient.BundleWidth
		for _, entry := range bundle[max(from, begin)-begin : min(end-begin, uint64(len(bundle)))] {
			entries = append(entries, entry)
			bytes += len(entry)
		}
	}
	return entries, nil
}

// extend returns the leaf hashes of entries, and the tree that has them after the first from.
func (m *Monitor) extend(from uint64, entries [][]byte) ([][32]byte, *compact.Range, error) {
	tree, err := ranges.NewRange(0, from, slices.Clone(m.state.Range)) // which it changes
	if err != nil {
		return nil, nil, fmt.Errorf("monitor: %q: %w", m.path(fileState), err)
	}
	leaves := make([][32]byte, len(entries))
	parallel(len(entries), func(i int) { leaves[i] = translog.LeafHash(entries[i]) })
	for i := range leaves {
		if err := tree.Append(leaves[i][:], nil); err != nil {
			return nil, nil, fmt.Errorf("monitor: %w", err)
		}
	}
	return leaves, tree, nil
}

// belongs reports whether cp's tree begins with this one.
func (m *Monitor) belongs(ctx context.Context, tree *compact.Range, cp *translog.Checkpoint) (bool, error) {
	root, err := tree.GetRootHash(nil)
	if err != nil {
		return false, fmt.Errorf("monitor: %w", err)
	}
	if tree.End() == cp.Size() {
		return [32]byte(root) == cp.Root(), nil
	}
	hashes, err := m.client.ConsistencyHashes(ctx, tree.End(), cp.Size())
	if err != nil {
		return false, err
	}
	return translog.CheckConsistency(translog.Tree{Size: tree.End(), Root: [32]byte(root)}, cp.Tree(), hashes) == nil, nil
}

// blame finds an entry that is not the one in cp's tree.
func (m *Monitor) blame(ctx context.Context, cp *translog.Checkpoint, from uint64, entries [][]byte) error {
	var leaves [][32]byte
	for i, entry := range entries {
		index := from + uint64(i) //nolint:gosec // counts
		if i == 0 || index%tlogclient.BundleWidth == 0 {
			var err error
			if leaves, err = m.client.StoredLeaves(ctx, index/tlogclient.BundleWidth, cp.Size()); err != nil {
				return err
			}
		}
		leaf := leaves[index%tlogclient.BundleWidth]
		if translog.LeafHash(entry) == leaf {
			continue
		}
		if fault := m.changed(ctx, cp, index, entry, leaf); fault != nil {
			return m.tell(ctx, nil, fault)
		}
	}
	return m.tell(ctx, nil, m.unfounded(cp, "the entries from %d on do not add up to the root of a checkpoint", from))
}

// changed is the fault of an entry that was served in the place of another, nil if the other is not proved.
func (m *Monitor) changed(ctx context.Context, cp *translog.Checkpoint, index uint64, entry []byte, leaf [32]byte) *Fault {
	proof, err := m.client.Prove(ctx, cp, index, leaf)
	if err != nil {
		return nil
	}
	text, err := proof.MarshalText()
	if err != nil {
		return nil
	}
	f := m.fault(CodeEntryChanged, "entry %d is served with another content than the tree has", index).
		says("the source of the log served entry").add(fileEntry, entry).add(fileEntryProof, text).add(fileCheckpoint, cp.Note())
	f.Index, f.Leaf = at(index), evidence.Hash(leaf).String()
	return f
}

// readRecords looks at records that are in cp's tree.
func (m *Monitor) readRecords(ctx context.Context, cp *translog.Checkpoint, records []found) error {
	for part := range slices.Chunk(records, 8*stride*runtime.GOMAXPROCS(0)) { // what was parsed is near when it is placed
		m.parse(part)
		for i := range part {
			faults, err := m.place(&part[i])
			if err != nil {
				return err
			}
			for _, fault := range faults {
				if err := m.tell(ctx, cp, fault); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// parse reads entries and checks their signatures, on all processors.
func (m *Monitor) parse(records []found) {
	parallel(len(records), func(i int) {
		if records[i].entry != nil {
			m.read(&records[i])
		}
	})
}

// stride is how many numbers one processor takes at a time.
const stride = 64

// parallel calls do with each number below n, on all processors.
func parallel(n int, do func(i int)) {
	workers := min(runtime.GOMAXPROCS(0), (n+stride-1)/stride)
	if workers <= 1 {
		for i := range n {
			do(i)
		}
		return
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for {
				end := int(next.Add(stride))
				for i := end - stride; i < min(end, n); i++ {
					do(i)
				}
				if end >= n {
					return
				}
			}
		})
	}
	wg.Wait()
}

func (m *Monitor) read(r *found) {
	e, err := evidence.ParseEntry(r.entry)
	if err != nil {
		r.err = err
		return
	}
	r.record = e.Record
	if !m.cfg.UnsafeSkipSignatures {
		var v *evidence.VerifiedEntry
		if v, r.err = e.Verify(m.cfg.Keys); r.err == nil {
			r.hash = v.RecordHash()
		}
		return
	}
	r.hash = e.RecordHash()
	if len(m.cfg.Keys[e.KeyID]) != ed25519.PublicKeySize {
		_, r.err = e.Verify(nil) // says that the key is not known
	}
}

// place tells what is wrong with a leaf and the record that belongs to it, and holds the record against its stream.
func (m *Monitor) place(r *found) ([]*Fault, error) {
	if r.entry == nil {
		return m.placeBare(r), nil
	}
	if r.err != nil {
		return []*Fault{m.faultAt(r, codeOf(r.err), "%v", r.err)}, nil
	}
	s, ok := m.streams[r.record.Stream]
	if ok {
		m.touch(s)
	}
	if !ok {
		if len(m.streams) >= MaxStreams {
			return []*Fault{m.faultAt(r, CodeLimit, "more than %d streams", MaxStreams).says(words[CodeLimit])}, nil
		}
		var err error
		if s, err = m.openStream(streamState{ID: r.record.Stream, Server: r.record.Server}); err != nil {
			return nil, err
		}
		m.touched = append(m.touched, touched{s: s, isNew: true})
		s.file.begin()
		s.touched = true
	}
	var faults []*Fault
	if g := r.record.Genesis; g != nil && g.LogForm != m.cfg.LogForm {
		faults = append(faults, m.faultAt(r, Code(evidence.CodeLogForm), "the stream is for a log of the form %q, and this is one of %q", g.LogForm, m.cfg.LogForm))
	}
	wrong, err := s.add(m, r)
	if wrong == nil || err != nil {
		return faults, err
	}
	word := words[Code(wrong.code)]
	if len(m.missed) > 0 && (wrong.code == evidence.CodeGap || wrong.code == evidence.CodeGenesisMissing) {
		word += ", or nobody has shown it: there are leaves without a record"
	}
	f := m.faultAt(r, Code(wrong.code), "%s", wrong.reason).says(word)
	f.Stream, f.Sequence, f.Other, f.otherSeq = r.record.Stream.String(), at(r.record.Sequence), wrong.other, wrong.otherSeq
	return append(faults, f), nil
}

// faultAt is a fault of a leaf, or of the record that belongs to it.
func (m *Monitor) faultAt(r *found, code Code, format string, args ...any) *Fault {
	f := m.fault(code, format, args...)
	f.Index, f.leafHash = at(r.index), r.leafHash
	if r.entry != nil {
		return f.add(fileEntry, r.entry)
	}
	return f.add(fileEntry, r.leaf)
}

package monitor

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/touchmark-dev/touchmark/evidence"
)

// MaxMissing is how many leaves without a record are remembered.
const MaxMissing = 1 << 16

// resolve finds the records of leaves that are in the tree, from an index on, in a log of size. It stops before a leaf whose
// record is late (see Config.RecordDelay).
func (m *Monitor) resolve(from, size uint64, leaves [][]byte, hashes [][32]byte) ([]found, error) {
	records := make([]found, len(leaves))
	repeated, err := m.repeated(from, hashes)
	if err != nil {
		return nil, err
	}
	for i := range records {
		r := &records[i]
		r.index, r.leaf, r.leafHash = from+uint64(i), leaves[i], hashes[i] //nolint:gosec // counts
		if r.form = m.cfg.LogForm.CheckLeaf(r.leaf); r.form != nil {
			continue
		}
		if !m.digests() {
			r.entry = r.leaf
			continue
		}
		if index, ok := repeated[i]; ok {
			r.repeated = at(index)
			continue
		}
		if m.library == nil {
			continue
		}
		digest, _ := evidence.ParseDigest(r.leaf)
		if r.volume = m.library.find(digest); r.volume != nil {
			r.entry = r.volume.entry
		} else if m.late(r.index, size) {
			return records[:i], nil
		}
	}
	return records, nil
}

// late reports whether a record that is missing may still come. While a source cannot be read, it may be there.
func (m *Monitor) late(index, size uint64) bool {
	delay := m.cfg.RecordDelay
	if len(m.broken) > 0 {
		delay = max(delay, m.cfg.MergeDelay)
	}
	if delay == 0 {
		return false
	}
	if w := m.state.Waits; w == nil || index >= w.Size {
		m.state.Waits = &waits{Size: size, Since: m.last.Time}
	}
	return m.last.Time.Sub(m.state.Waits.Since) < delay
}

// placeBare tells what is wrong with a leaf that no record belongs to.
func (m *Monitor) placeBare(r *found) []*Fault {
	switch {
	case r.form != nil:
		m.miss(r)
		word := fmt.Sprintf("the log was said to be of the form %q", m.cfg.LogForm)
		return []*Fault{m.faultAt(r, codeOf(r.form), "%v", r.form).says(word)}
	case r.repeated != nil:
		f := m.faultAt(r, CodeRepeated, "the digest of entry %d again", *r.repeated)
		f.Other = r.repeated
		return []*Fault{f}
	case m.library == nil:
		m.state.Unread++
		return nil
	}
	m.miss(r)
	word := words[CodeMissing]
	if len(m.broken) > 0 {
		word += ", as far as they could be read"
	}
	return []*Fault{m.faultAt(r, CodeMissing, "the digest of a record that is not there").says(word)}
}

func (m *Monitor) miss(r *found) {
	if m.digests() && len(m.state.Missing) < MaxMissing {
		m.state.Missing = append(m.state.Missing, lack{Index: r.index})
		m.missed[r.leafHash] = true
	}
}

// claim puts a gap of n records before an index, and after another one unless that is nil, down to leaves that no record
// belongs to: each was told by itself. It reports whether there are as many. Where several servers write to the log, nobody
// can tell whose the leaves are, and one server's excuse no gap of another one.
func (m *Monitor) claim(after *uint64, before, n uint64) bool {
	if m.servers > 1 {
		return false
	}
	var free []int
	for i := len(m.state.Missing) - 1; i >= 0 && uint64(len(free)) < n; i-- {
		l := m.state.Missing[i]
		if after != nil && l.Index <= *after {
			break
		}
		if l.Index < before && !l.Claimed {
			free = append(free, i)
		}
	}
	if uint64(len(free)) < n {
		return false
	}
	for _, i := range free {
		m.state.Missing[i].Claimed = true
	}
	m.claims = append(m.claims, free...)
	m.state.Excused += n
	return true
}

// short is how a leaf is remembered. Whether one is really there again, the file of all leaves says.
func short(leaf [32]byte) uint64 { return binary.BigEndian.Uint64(leaf[:]) }

func (m *Monitor) remember(leaf [32]byte) {
	if m.seen != nil {
		m.seen[short(leaf)] = true
	}
}

// recall remembers the leaves that were read before.
func (m *Monitor) recall() error {
	if m.seen == nil {
		return nil
	}
	for _, l := range m.state.Missing {
		leaf, err := m.leaves.get(l.Index)
		if err != nil {
			return err
		}
		m.missed[[32]byte(leaf)] = true
	}
	return m.leaves.each(func(_ uint64, leaf []byte) { m.remember([32]byte(leaf)) })
}

// places gives the first index of each of these leaves that was read before.
func (m *Monitor) places(leaves map[[32]byte][]int) (map[[32]byte]uint64, error) {
	if len(leaves) == 0 {
		return nil, nil
	}
	first := make(map[[32]byte]uint64)
	err := m.leaves.each(func(index uint64, leaf []byte) {
		if _, wanted := leaves[[32]byte(leaf)]; wanted {
			if _, ok := first[[32]byte(leaf)]; !ok {
				first[[32]byte(leaf)] = index
			}
		}
	})
	return first, err
}

// repeated finds leaves that the log of digests has before, and gives the index of the first for the place of each.
func (m *Monitor) repeated(from uint64, leaves [][32]byte) (map[int]uint64, error) {
	if !m.digests() {
		return nil, nil
	}
	suspects := make(map[[32]byte][]int)
	for i, leaf := range leaves {
		if m.seen[short(leaf)] {
			suspects[leaf] = append(suspects[leaf], i)
		}
	}
	first, err := m.places(suspects)
	if err != nil {
		return nil, err
	}
	repeated, here := make(map[int]uint64), make(map[uint64]int, len(leaves))
	for i, leaf := range leaves {
		if index, ok := first[leaf]; ok {
			repeated[i] = index
			continue
		}
		before, ok := here[short(leaf)]
		if !ok {
			here[short(leaf)] = i
			continue
		}
		if leaves[before] != leaf { // which only begins as this one does
			before = slices.Index(leaves[:i], leaf)
		}
		if before >= 0 {
			repeated[i] = from + uint64(before)
		}
	}
	return repeated, nil
}

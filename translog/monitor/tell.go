package monitor

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/internal/durable"
	"github.com/touchmark-dev/touchmark/translog"
)

// tempPrefix marks proofs that a crash left unfinished.
const tempPrefix = "tmp-"

// tell keeps the proof of a fault and reports it, unless it is known. With a checkpoint, it adds to the proof that the
// entries which the fault names are in that tree. Each code has its own number of proofs, so that cheap faults leave
// room for the proof of a fork.
func (m *Monitor) tell(ctx context.Context, cp *translog.Checkpoint, f *Fault) error {
	id := f.id()
	if m.known[id] {
		m.last.Known++
		return nil
	}
	if m.kept[f.Code] >= MaxFaults {
		m.total[f.Code]++
		if m.over[f.Code] {
			m.last.More++
			return nil
		}
		m.over[f.Code] = true
		f.files = nil
		m.found(f)
		return nil
	}
	if cp != nil {
		if err := m.prove(ctx, cp, f); err != nil {
			return err
		}
	}
	if err := m.keep(id, f); err != nil {
		return err
	}
	m.know(id)
	f.Dir, f.files = filepath.Join(dirFaults, id), nil
	m.total[f.Code]++
	m.found(f)
	return nil
}

func (m *Monitor) found(f *Fault) {
	m.last.Faults = append(m.last.Faults, f)
	if m.cfg.OnFault != nil {
		m.cfg.OnFault(f)
	}
}

// know notes the id of a fault whose proof is kept.
func (m *Monitor) know(id string) {
	m.known[id] = true
	m.kept[Code(id[:max(0, strings.LastIndexByte(id, '-'))])]++
}

// prove adds the proofs of the entries at f.Index and f.Other.
func (m *Monitor) prove(ctx context.Context, cp *translog.Checkpoint, f *Fault) error {
	f.add(fileCheckpoint, cp.Note())
	if f.Index != nil {
		if err := m.proveEntry(ctx, cp, f); err != nil {
			return err
		}
	}
	if f.Other == nil {
		return nil
	}
	leaf, err := m.addEntry(ctx, cp, f, fileOther, *f.Other, f.otherSeq)
	if err != nil {
		return err
	}
	if _, bare := evidence.ParseDigest(f.files[fileOther]); bare && f.Code == CodeJournal && f.files[fileEntry] == nil {
		f.Stream, f.Sequence = "", nil // no file shows which record it was that the journal lacks
	}
	return m.addProof(ctx, cp, *f.Other, leaf, f, fileOtherProof)
}

// proveEntry adds the proof of the entry at f.Index, and the entry if it is not there yet.
func (m *Monitor) proveEntry(ctx context.Context, cp *translog.Checkpoint, f *Fault) error {
	leaf := f.leafHash
	if f.files[fileEntry] == nil {
		var err error
		if leaf, err = m.addEntry(ctx, cp, f, fileEntry, *f.Index, *f.Sequence); err != nil {
			return err
		}
	}
	return m.addProof(ctx, cp, *f.Index, leaf, f, fileEntryProof)
}

// addEntry adds the entry at an index of the log, whose record has this number, and returns the hash of its leaf. Of a log
// of digests it adds the leaf itself where the fault is about that, and where nobody shows the record any more: who gives
// records away, and takes them back, must not make the monitor forget a fault.
func (m *Monitor) addEntry(ctx context.Context, cp *translog.Checkpoint, f *Fault, name string, index, seq uint64) ([32]byte, error) {
	leaf, err := m.client.StoredEntry(ctx, index, cp.Size())
	if err != nil {
		return [32]byte{}, err
	}
	hash := translog.LeafHash(leaf)
	digest, ok := evidence.ParseDigest(leaf)
	if !ok || f.Code == CodeRepeated || m.library == nil {
		f.add(name, leaf)
		return hash, nil
	}
	entry := m.library.at(seq, digest)
	if entry == nil {
		entry = leaf
		f.says(strings.TrimPrefix(fmt.Sprintf("%s; record %d was shown, and is not any more: %s is its digest", f.Word, seq, name), "; "))
	}
	f.add(name, entry)
	return hash, nil
}

// addProof adds the proof of a leaf.
func (m *Monitor) addProof(ctx context.Context, cp *translog.Checkpoint, index uint64, leaf [32]byte, f *Fault, name string) error {
	proof, err := m.client.Prove(ctx, cp, index, leaf)
	if err != nil {
		return err
	}
	text, err := proof.MarshalText()
	if err != nil {
		return fmt.Errorf("monitor: %w", err)
	}
	f.add(name, text)
	return nil
}

// keep writes a proof so that it is there whole or not at all.
func (m *Monitor) keep(id string, f *Fault) error {
	text, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("monitor: %w", err)
	}
	f.add(fileFault, append(text, '\n'))
	temp := m.path(filepath.Join(dirFaults, tempPrefix+id))
	if err := durable.MkdirAll(m.fsys, temp); err != nil {
		return fmt.Errorf("monitor: %w", err)
	}
	for name, data := range f.files {
		if err := durable.WriteFile(m.fsys, filepath.Join(temp, name), data); err != nil {
			return fmt.Errorf("monitor: %w", err)
		}
	}
	if err := m.fsys.Rename(temp, m.path(filepath.Join(dirFaults, id))); err != nil {
		return fmt.Errorf("monitor: %w", err)
	}
	if err := m.fsys.SyncDir(m.path(dirFaults)); err != nil {
		return fmt.Errorf("monitor: %w", err)
	}
	return nil
}

// Faults returns the number of faults found since Open, by code, in the order of the codes.
func (m *Monitor) Faults() []Count {
	counts := make([]Count, 0, len(m.total))
	for code, n := range m.total {
		counts = append(counts, Count{Code: code, N: n})
	}
	slices.SortFunc(counts, func(a, b Count) int { return strings.Compare(string(a.Code), string(b.Code)) })
	return counts
}

// A Count is how often there was a fault.
type Count struct {
	Code Code
	N    uint64
}

var b64 = base64.RawURLEncoding.Strict()

// formatConsistency writes the root of a smaller tree, and the hashes that lead from it to a larger one, a line each.
func formatConsistency(root [32]byte, hashes [][32]byte) []byte {
	var b strings.Builder
	for _, h := range append([][32]byte{root}, hashes...) {
		b.WriteString(b64.EncodeToString(h[:]))
		b.WriteByte('\n')
	}
	return []byte(b.String())
}

func parseConsistency(text []byte) (root [32]byte, hashes [][32]byte, err error) {
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if len(lines) > translog.MaxProofHashes+2 {
		return root, nil, fmt.Errorf("monitor: %s: more than %d lines", fileConsistency, translog.MaxProofHashes+2)
	}
	for _, line := range lines {
		h, err := b64.DecodeString(line)
		if err != nil || len(h) != hashBytes {
			return root, nil, fmt.Errorf("monitor: %s: want lines of %d bytes in unpadded base64url", fileConsistency, hashBytes)
		}
		hashes = append(hashes, [32]byte(h))
	}
	return hashes[0], hashes[1:], nil
}

package monitor

import (
	"context"
	"fmt"

	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
)

// reread reads entries once more, of those that were read before, and compares them and the bottom tiles with what
// was believed then: a log that served one thing to the monitor may serve another thing later.
func (m *Monitor) reread(ctx context.Context, cp *translog.Checkpoint) error {
	bundles := (m.state.Size + tlogclient.BundleWidth - 1) / tlogclient.BundleWidth
	if bundles == 0 {
		return nil
	}
	turn := min(bundles, (m.cfg.Reread+tlogclient.BundleWidth-1)/tlogclient.BundleWidth)
	for range turn {
		if m.state.Reread >= bundles {
			m.state.Reread = 0
		}
		if err := m.rereadBundle(ctx, cp, m.state.Reread); err != nil {
			from := m.state.Reread * tlogclient.BundleWidth
			return m.withheld(ctx, cp, err, stuck{What: whatReread, From: from}, fmt.Sprintf("the entries from %d on are not served again", from))
		}
		m.state.Reread++
	}
	m.serves(whatReread, 0)
	return nil
}

func (m *Monitor) rereadBundle(ctx context.Context, cp *translog.Checkpoint, n uint64) error {
	entries, err := m.client.StoredBundle(ctx, n, cp.Size()) // the narrower bundle of a smaller tree may not be there
	if err != nil {
		return err
	}
	leaves, err := m.client.StoredLeaves(ctx, n, cp.Size())
	if err != nil {
		return err
	}
	for i, entry := range entries[:min(uint64(len(entries)), m.state.Size-n*tlogclient.BundleWidth)] {
		index := n*tlogclient.BundleWidth + uint64(i) //nolint:gosec // counts
		raw, err := m.leaves.get(index)
		if err != nil {
			return err
		}
		leaf := [32]byte(raw)
		m.last.Reread++
		switch {
		case translog.LeafHash(entry) != leaf:
			fault := m.changed(ctx, cp, index, entry, leaf)
			if fault == nil {
				fault = m.unfounded(cp, "entry %d is served with another content than before, and the tiles no longer prove that", index)
			}
			return m.tell(ctx, nil, fault)
		case leaves[i] != leaf:
			return m.tell(ctx, nil, m.unfounded(cp, "the tiles have another hash of entry %d than the tree", index))
		}
	}
	return nil
}

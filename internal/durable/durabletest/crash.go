package durabletest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
)

// A fate is what becomes of a piece of what was not synced: a change of a
// directory, a change of a file's length, or one sector of a write.
type fate int

const (
	drop fate = iota
	keep
	garbage // of a sector: neither the old nor the new content
)

// Sampling says how many of the possible crashes to try at each moment. All
// lost and all kept are tried always.
type Sampling struct {
	// Seed makes the choice repeatable.
	Seed uint64
	// Singles is how many pieces are each kept alone, lost alone, and made the
	// place of a cut.
	Singles int
	// Random is how many random subsets are tried, once with the other pieces
	// lost and once with some of them garbage.
	Random int
}

// A Crash is a disk after a power failure.
type Crash struct {
	At   int    // how many operations had been done
	Plan string // what became of what was not synced
	Disk *Disk
}

// String says which crash it is.
func (c *Crash) String() string { return fmt.Sprintf("after operation %d, %s", c.At, c.Plan) }

// Crashes calls f with disks that a power failure may leave: for each prefix
// of the recorded operations, from the one that has from operations on, with
// all that was not synced lost, with all of it kept, with each piece of it kept
// alone and lost alone, and with random subsets and garbage. Any order in
// which the operations since a sync may reach the disk leaves one of these
// subsets. It stops when f returns false.
func (d *Disk) Crashes(from int, sample Sampling, f func(c *Crash) bool) {
	d.mu.Lock()
	ops := slices.Clone(d.ops)
	d.mu.Unlock()
	rng := rand.New(rand.NewPCG(sample.Seed, 0))
	w, copies := d.base.clone()
	nodes := map[*node]*node{}
	for n, base := range d.bases {
		nodes[n] = copies[base]
	}
	for at := 0; at <= len(ops); at++ {
		if at >= from {
			for _, p := range sample.plans(w.crash(nil, nil), rng) {
				crashed := w.clonedCrash(p.fate, rng)
				if !f(&Crash{At: at, Plan: p.name, Disk: diskOf(crashed)}) {
					return
				}
			}
		}
		if at < len(ops) {
			replay(w, nodes, ops[at])
		}
	}
}

// replay applies an operation that was recorded on other nodes.
func replay(w *world, nodes map[*node]*node, op Op) {
	recorded := op.node
	if op.node != nil {
		op.node = nodes[op.node]
	}
	_ = w.apply(&op) // it was possible when it was recorded
	if op.Kind == OpCreate {
		nodes[recorded] = op.node
	}
}

type plan struct {
	name string
	fate func(piece int) fate
}

// plans returns the fates to try for this many pieces.
func (s *Sampling) plans(pieces int, rng *rand.Rand) []plan {
	all := func(v fate) func(int) fate { return func(int) fate { return v } }
	out := []plan{{"nothing unsynced is kept", all(drop)}}
	if pieces == 0 {
		return out
	}
	out = append(out, plan{"all is kept", all(keep)})
	singles := rng.Perm(pieces)
	for _, i := range singles[:min(pieces, s.Singles)] {
		out = append(out,
			plan{fmt.Sprintf("piece %d of %d alone is kept", i, pieces), func(p int) fate { return only(p == i, keep, drop) }},
			plan{fmt.Sprintf("piece %d of %d alone is lost", i, pieces), func(p int) fate { return only(p == i, drop, keep) }},
			plan{fmt.Sprintf("only the pieces before %d of %d are kept", i, pieces), func(p int) fate { return only(p < i, keep, drop) }},
			plan{fmt.Sprintf("only the pieces from %d of %d on are kept", i, pieces), func(p int) fate { return only(p >= i, keep, drop) }},
		)
	}
	for range s.Random {
		out = append(out,
			plan{"a random half is kept", func(int) fate { return fate(rng.IntN(2)) }},
			plan{"random pieces are garbage", func(int) fate { return fate(rng.IntN(3)) }},
		)
	}
	return append(out, plan{"all sectors are garbage", all(garbage)})
}

func only(is bool, then, otherwise fate) fate {
	if is {
		return then
	}
	return otherwise
}

// clonedCrash returns what a power failure leaves of w.
func (w *world) clonedCrash(choose func(piece int) fate, rng *rand.Rand) *world {
	out, _ := w.clone()
	out.crash(choose, rng)
	return out
}

// crash lets the power fail, and returns the number of pieces whose fate was
// asked for. With a nil choose it only counts them.
func (w *world) crash(choose func(piece int) fate, rng *rand.Rand) int {
	c := &crasher{choose: choose, rng: rng}
	if choose == nil {
		w, _ = w.clone()
		c.choose = func(int) fate { return keep }
	}
	for _, op := range w.pending {
		if c.next() != drop {
			w.persist(&op)
		}
	}
	w.pending = nil
	w.names, w.dirs = w.durableNames, w.durableDirs
	w.durableNames, w.durableDirs = maps.Clone(w.names), maps.Clone(w.dirs)
	for _, name := range slices.Sorted(maps.Keys(w.names)) {
		c.file(w.names[name])
	}
	return c.pieces
}

type crasher struct {
	choose func(piece int) fate
	rng    *rand.Rand
	pieces int
}

func (c *crasher) next() fate {
	c.pieces++
	return c.choose(c.pieces - 1)
}

// file decides what is left of a file. What a failed sync has given up may have
// reached the disk or not, like everything else.
func (c *crasher) file(n *node) {
	for _, op := range append(n.limbo, n.pending...) {
		if op.Kind == OpTruncate {
			if c.next() != drop {
				n.synced = change(n.synced, &op)
			}
			continue
		}
		for start := op.Off; start < op.Off+int64(len(op.Data)); {
			end := min((start/SectorBytes+1)*SectorBytes, op.Off+int64(len(op.Data)))
			c.sector(n, start, op.Data[start-op.Off:end-op.Off])
			start = end
		}
	}
	n.limbo, n.pending = nil, nil
	n.view = slices.Clone(n.synced)
}

func (c *crasher) sector(n *node, off int64, data []byte) {
	switch c.next() {
	case drop:
		return
	case garbage:
		data = make([]byte, len(data))
		for i := range data {
			data[i] = byte(c.rng.Uint32())
		}
	}
	n.synced = change(n.synced, &Op{Kind: OpWrite, Off: off, Data: data})
}

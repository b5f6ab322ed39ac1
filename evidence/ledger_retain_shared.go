package evidence

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/touchmark-dev/touchmark/translog"
)

// A SharedProver is a [SharedLog] that proves its entries to be in it. To remove records from a journal the log must be one.
type SharedProver interface {
	SharedLog
	// Leaves calls visit with the leaf hashes of cp's tree from an index on, in their order and in portions, each of which
	// has been proven to be there. It ends when visit returns false.
	Leaves(ctx context.Context, cp *translog.Checkpoint, from uint64, visit func(first uint64, leaves [][32]byte) bool) error
	Prove(ctx context.Context, cp *translog.Checkpoint, index uint64, leaf [32]byte) (*translog.Proof, error)
}

// searchAhead is how many records are looked for at once, and how far before the last one that was removed the search
// begins: a log need not have them in their order.
const searchAhead = 1 << 16

// loggedShared returns the log's checkpoint, and how many records the ledger has found in the log. It has kept that
// durably: without the place it could not be opened when they are gone.
func (r *retention) loggedShared(ctx context.Context) (*translog.Checkpoint, uint64, error) {
	kept, err := readPlace(&LedgerConfig{fs: r.journal.cfg.fs, Dir: r.journal.cfg.dir, Shared: r.shared})
	if err != nil {
		return nil, 0, err
	}
	r.kept = kept
	cp, err := r.shared.Checkpoint(ctx)
	switch {
	case err != nil:
		return nil, 0, fmt.Errorf("checkpoint of the log: %w", err)
	case kept == nil:
		return cp, 0, nil
	case cp.Size() < kept.checkpoint.Size():
		return nil, 0, fmt.Errorf("the log shows %d entries, and has shown %d before", cp.Size(), kept.checkpoint.Size())
	}
	return cp, kept.records, nil
}

// continues returns an error unless the tree of the checkpoint begins with the one in which the ledger has found the records.
func (r *retention) continues(ctx context.Context, cp *translog.Checkpoint) error {
	older := r.kept.checkpoint
	var err error
	if cp.Size() == older.Size() {
		err = translog.VerifyConsistency(older, cp, nil)
	} else {
		err = r.shared.Continue(ctx, older, cp, func(uint64, [32]byte) {})
	}
	if err != nil && translog.CodeOf(err) != "" {
		return unavailable(CodeLogDiverged, err, "the log of %d entries does not continue that of %d: %v", cp.Size(), older.Size(), err)
	}
	return err
}

// proveShared makes the head of the journal that begins with a segment. It returns an error unless the log goes on from what
// it was, and each record before was found in the tree of the checkpoint.
func (r *retention) proveShared(ctx context.Context, old *JournalHead, cp *translog.Checkpoint, next *segmentHeader) (*JournalHead, error) {
	if err := r.continues(ctx, cp); err != nil {
		return nil, err
	}
	from := r.passed
	if old != nil {
		if proof, err := translog.ParseProof(old.Receipt); err == nil { // a hint: it is searched from 0 if it is wrong
			from = max(from, proof.Index-min(proof.Index, searchAhead))
		}
	}
	found, err := r.search(ctx, cp, min(from, cp.Size()), old.firstRecord(), next.first)
	if err != nil {
		return nil, err
	}
	if found.missing > 0 {
		return nil, unavailable(CodeLogDiverged, nil, "%d records are in the journal and not in the log, record %d among them", found.missing, found.sequence)
	}
	head, err := r.headAt(next)
	if err != nil {
		return nil, err
	}
	proof, err := r.shared.Prove(ctx, cp, found.index, r.form.LeafHash(head.Entry))
	if err != nil {
		return nil, fmt.Errorf("proof of record %d: %w", next.first-1, err)
	}
	if head.Receipt, err = proof.MarshalText(); err != nil {
		return nil, err
	}
	if _, err := r.form.VerifyReceipt(r.shared.Policy(), head.Entry, proof); err != nil {
		return nil, fmt.Errorf("proof of record %d: %w", next.first-1, err)
	}
	return head, nil
}

// A searched says what became of a search.
type searched struct {
	index    uint64 // of the last record
	missing  int    // of those that were looked for at the end
	sequence uint64 // of one of them
}

// search looks in the tree for all records from first on and before end, and begins at entry from. For those that it does not
// find it looks again from the beginning, until nothing more is found: they may be before, and also further ahead than it
// looked then.
func (r *retention) search(ctx context.Context, cp *translog.Checkpoint, from, first, end uint64) (out searched, err error) {
	in, err := openJournalReader(r.journal.cfg.fs, r.journal.cfg.dir, first)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	missing := make(map[Hash]uint64)
	var failed error
	fill := func() {
		for failed == nil && first < end && len(missing) < cmp.Or(r.ahead, searchAhead) {
			var f *frame
			if f, failed = r.nextFrame(in); failed == nil {
				missing[r.form.LeafHash(f.entry)] = first
				first++
			}
		}
	}
	fill()
	seen := false
	for again := true; again; {
		before := first - uint64(len(missing)) // records that were found
		err = r.shared.Leaves(ctx, cp, from, func(index uint64, leaves [][32]byte) bool {
			for _, leaf := range leaves {
				if seq, ok := missing[leaf]; ok {
					seen = true
					if delete(missing, leaf); seq == end-1 {
						out.index = index
					}
				}
				index++
			}
			if !seen {
				r.passed = index
			}
			fill()
			return failed == nil && len(missing) > 0
		})
		if err = errors.Join(err, failed); err != nil {
			return out, err
		}
		again = len(missing) > 0 && (from > 0 || first-uint64(len(missing)) > before)
		if again {
			from, r.passed = 0, 0
		}
	}
	if out.missing = len(missing); out.missing > 0 {
		out.sequence = slices.Min(slices.Collect(maps.Values(missing)))
	}
	return out, ctx.Err()
}

func (r *retention) nextFrame(in *journalReader) (*frame, error) {
	_, payload, err := in.next()
	if errors.Is(err, io.EOF) {
		return nil, &CorruptError{File: in.dir, Reason: "records that were durable are gone"}
	}
	if err != nil {
		return nil, err
	}
	return parseFrame(payload)
}

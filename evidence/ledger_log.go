package evidence

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/touchmark-dev/touchmark/internal/durable"
	"github.com/touchmark-dev/touchmark/translog"
)

// A LogReader is a log whose durable entries can be read back by the one who appends. It is required of
// [LedgerConfig.Log] beside its Append.
//
// Size and Entry speak of entries that are durable in the engine, published or not. After an Append that
// returned an error they must not answer before it is settled what became of its entries: one that
// enters the log after Size was asked would be appended twice.
type LogReader interface {
	Size(ctx context.Context) (uint64, error)
	Entry(ctx context.Context, index uint64) ([]byte, error)
}

// A Checkpointer is a log that signs checkpoints and proves them consistent. Where [LedgerConfig.Log] is one,
// the ledger keeps its last checkpoint beside the journal and refuses a log that does not continue it.
type Checkpointer interface {
	Policy() *translog.Policy
	Checkpoint(ctx context.Context) (*translog.Checkpoint, error)
	Consistency(ctx context.Context, older, newer *translog.Checkpoint) ([][32]byte, error)
}

const (
	// checkpointName is the file in the journal's directory that holds the last checkpoint seen of the log.
	checkpointName = "log-checkpoint"
	// keepInterval is the least time between two checkpoints kept.
	keepInterval = time.Second
	// tailEntries is how many of the log's last entries are compared with the journal at the start.
	tailEntries = 256
)

func diverged(err *DivergedError) error {
	return unavailable(CodeLogDiverged, err, "the log is not the beginning of the journal: %v", err)
}

// isFatal reports whether trying again cannot help.
func isFatal(err error) bool {
	var u *UnavailableError
	return errors.As(err, &u)
}

// sameLeaf compares a leaf of the log with the one that the journal's entry has.
func sameLeaf(ctx context.Context, log LogReader, index uint64, want []byte) error {
	got, err := log.Entry(ctx, index)
	if err != nil {
		return fmt.Errorf("read entry %d of the log: %w", index, err)
	}
	if !bytes.Equal(got, want) {
		return diverged(&DivergedError{Index: index, Reason: "the log and the journal have different entries there",
			Journal: bytes.Clone(want), Log: bytes.Clone(got)})
	}
	return nil
}

// checkLog compares the end of the log with the journal, and returns the log's size.
func (l *Ledger) checkLog(ctx context.Context, log LogReader) (size uint64, err error) {
	if size, err = log.Size(ctx); err != nil {
		return 0, fmt.Errorf("evidence: size of the log: %w", err)
	}
	records, _, _ := l.journal.position()
	if size > records {
		return 0, diverged(&DivergedError{Index: records,
			Reason: fmt.Sprintf("the log has %d entries and the journal %d records; the journal is an old copy, or another ledger uses the log", size, records)})
	}
	if first := l.journal.begins; size < first {
		return 0, diverged(&DivergedError{Index: size,
			Reason: fmt.Sprintf("the log has %d entries, and %d were removed from the journal because the log had them", size, first)})
	}
	if size == 0 {
		return 0, l.checkGenesis(records)
	}
	return size, l.eachFrame(size-min(size, tailEntries), size, func(index uint64, f *frame) error {
		err := sameLeaf(ctx, log, index, l.cfg.LogForm.Leaf(f.entry))
		var d *DivergedError
		if !errors.As(err, &d) {
			return err
		}
		if form, ferr := FormOf(f.entry, Hash(translog.LeafHash(d.Log))); ferr == nil {
			return unavailable(CodeLogForm, d, "the log is of the form %q, and the ledger was told %q", form, l.cfg.LogForm)
		}
		return err
	})
}

// checkGenesis holds the form of a log that is empty against what the journal says of it: nothing else says it.
func (l *Ledger) checkGenesis(records uint64) error {
	return l.eachFrame(0, min(records, 1), func(_ uint64, f *frame) error {
		e, err := ParseEntry(f.entry)
		if err != nil {
			return err
		}
		if g := e.Record.Genesis; g != nil && g.LogForm != l.cfg.LogForm {
			return unavailable(CodeLogForm, nil, "the journal is for a log of the form %q, and the ledger was told %q", g.LogForm, l.cfg.LogForm)
		}
		return nil
	})
}

// A keeper keeps the log's last checkpoint beside the journal. A nil keeper keeps nothing.
type keeper struct {
	fs   durable.FS
	dir  string
	log  Checkpointer
	now  func() time.Time
	last *translog.Checkpoint
	at   time.Time
}

// openKeeper reads the checkpoint that was kept and compares it with the log.
func openKeeper(ctx context.Context, cfg *LedgerConfig, size uint64) (*keeper, error) {
	log, ok := cfg.Log.(Checkpointer)
	if !ok {
		return nil, nil
	}
	k := &keeper{fs: cfg.fs, dir: cfg.Dir, log: log, now: cfg.Time}
	note, err := durable.ReadFile(k.fs, k.name(), translog.MaxCheckpointBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return k, k.update(ctx, size)
	}
	if err != nil {
		return nil, fmt.Errorf("evidence: read the checkpoint kept beside the journal: %w", err)
	}
	if k.last, err = log.Policy().VerifyCheckpoint(note); err != nil {
		return nil, fmt.Errorf("evidence: the checkpoint kept in %q is not one of this log: %w", k.name(), err)
	}
	if k.last.Size() > size {
		return nil, diverged(&DivergedError{Index: size,
			Reason: fmt.Sprintf("the log has %d entries, and signed a checkpoint of %d before; it is an old copy", size, k.last.Size())})
	}
	return k, k.update(ctx, size)
}

func (k *keeper) name() string { return filepath.Join(k.dir, checkpointName) }

// behind reports whether the log has entries that the checkpoint kept does not cover.
func (k *keeper) behind(shipped uint64) bool {
	return k != nil && (k.last == nil || k.last.Size() < shipped)
}

// keep updates the checkpoint kept, now and then. Only a log that contradicts itself is an error: one that
// cannot answer is asked again later.
func (k *keeper) keep(ctx context.Context, shipped uint64) error {
	if !k.behind(shipped) || k.now().Sub(k.at) < keepInterval {
		return nil
	}
	k.at = k.now()
	if err := k.update(ctx, shipped); isFatal(err) {
		return err
	}
	return nil
}

// update fetches the log's checkpoint, checks that it continues the one kept, and keeps it.
func (k *keeper) update(ctx context.Context, shipped uint64) error {
	cp, err := k.log.Checkpoint(ctx)
	if err != nil {
		return fmt.Errorf("evidence: checkpoint of the log: %w", err)
	}
	if cp.Size() > shipped {
		return diverged(&DivergedError{Index: shipped,
			Reason: fmt.Sprintf("the log signed a checkpoint of %d entries, and was given %d", cp.Size(), shipped)})
	}
	if k.last != nil && k.last.Size() > 0 {
		if err := k.follows(ctx, cp); err != nil {
			return err
		}
	}
	if k.last != nil && k.last.Size() == cp.Size() {
		return nil
	}
	if err := durable.WriteFile(k.fs, k.name(), cp.Note()); err != nil {
		return fmt.Errorf("evidence: keep the checkpoint of the log: %w", err)
	}
	k.last = cp
	return nil
}

// follows checks that the log's tree of cp begins with the one kept.
func (k *keeper) follows(ctx context.Context, cp *translog.Checkpoint) error {
	var proof [][32]byte
	if k.last.Size() < cp.Size() {
		var err error
		if proof, err = k.log.Consistency(ctx, k.last, cp); err != nil {
			return fmt.Errorf("evidence: consistency of the log: %w", err)
		}
	}
	if err := translog.VerifyConsistency(k.last, cp, proof); err != nil {
		return unavailable(CodeLogDiverged, err, "the log does not continue the checkpoint kept in %q: %v", k.name(), err)
	}
	return nil
}

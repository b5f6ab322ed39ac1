package evidence

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"time"

	"github.com/touchmark-dev/touchmark/internal/durable"
	"github.com/touchmark-dev/touchmark/translog"
)

// A Prover is a log that proves its entries to be in it. To remove records from a journal the log must be one.
type Prover interface {
	Checkpointer
	Prove(ctx context.Context, cp *translog.Checkpoint, index uint64) (*translog.Proof, error)
}

// A retention removes what is old and proven to be in the log from the beginning of a journal (spec/journal.md section
// 12). Only one goroutine at a time uses it.
type retention struct {
	journal *journal
	log     Prover
	shared  SharedProver // in place of log: a log that others append to as well
	form    LogForm
	times   map[uint64]time.Time // of the last record, by the number of the segment
	local   *sync.Mutex          // held while files are changed

	kept   *place // of a shared log, what the ledger kept before the checkpoint was read; nil: nothing
	passed uint64 // of a shared log, entries before which no record of the journal was found
	ahead  int    // of a shared log, how many records are looked for at once; 0: searchAhead
}

// A Removed says what was removed from a journal.
type Removed struct {
	Records uint64
	First   uint64 // sequence number of the first record that is kept
}

// run removes the segments whose records are all older than before, have sequence numbers smaller than limit, and are
// proven to be in the log.
func (r *retention) run(ctx context.Context, before time.Time, limit uint64) (*Removed, error) {
	list, err := listSegments(r.journal.cfg.fs, r.journal.cfg.dir)
	if err != nil {
		return nil, err
	}
	out := &Removed{First: list.head.firstRecord()}
	cp, shipped, err := r.logged(ctx, out.First)
	if err != nil {
		return out, err
	}
	next, err := r.oldest(list, before, min(limit, shipped))
	if next == nil || err != nil {
		return out, err
	}
	prove := r.prove
	if r.shared != nil {
		prove = r.proveShared
	}
	head, err := prove(ctx, list.head, cp, next)
	if err != nil {
		return out, err
	}
	r.local.Lock()
	defer r.local.Unlock()
	if err := ctx.Err(); err != nil {
		return out, err // perhaps the journal is being closed
	}
	if err := r.journal.drop(head); err != nil {
		return out, err
	}
	return &Removed{Records: head.First - out.First, First: head.First}, nil
}

// logged returns the log's checkpoint, and how many records are to be in its tree. first were removed.
func (r *retention) logged(ctx context.Context, first uint64) (*translog.Checkpoint, uint64, error) {
	if r.shared != nil {
		return r.loggedShared(ctx)
	}
	cp, err := r.log.Checkpoint(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("checkpoint of the log: %w", err)
	}
	if cp.Size() < first {
		return nil, 0, diverged(&DivergedError{Index: cp.Size(), Reason: fmt.Sprintf("the log has %d entries, and %d were removed from the journal", cp.Size(), first)})
	}
	return cp, cp.Size(), nil
}

// oldest returns the header of the first segment that stays, and nil if all do.
func (r *retention) oldest(list *listing, before time.Time, limit uint64) (stays *segmentHeader, err error) {
	in := &journalReader{fs: r.journal.cfg.fs, dir: r.journal.cfg.dir}
	for i := uint64(1); i < list.count; i++ {
		seg, err := in.open(list.number(i))
		if err != nil {
			return nil, err
		}
		head := seg.head
		if err := seg.file.Close(); err != nil {
			return nil, err
		}
		if head.first > limit || head.first == list.head.firstRecord() {
			if head.first > limit {
				break
			}
			continue // nothing is in it
		}
		last, err := r.lastTime(head)
		if err != nil {
			return nil, err
		}
		if !last.Before(before) {
			break
		}
		stays = head
	}
	return stays, nil
}

// lastTime returns the time of the last record before a segment.
func (r *retention) lastTime(head *segmentHeader) (at time.Time, err error) {
	if at, ok := r.times[head.number-1]; ok {
		return at, nil
	}
	err = r.each(head.first-1, head.first, func(f *frame) error {
		at = f.time
		return nil
	})
	if err == nil && at.IsZero() {
		err = fmt.Errorf("evidence: record %d, before segment %d, was not found", head.first-1, head.number)
	}
	if err != nil {
		return at, err // and not kept: it would be older than anything
	}
	if r.times == nil || len(r.times) > 1<<12 {
		r.times = map[uint64]time.Time{}
	}
	r.times[head.number-1] = at
	return at, nil
}

func (r *retention) each(from, to uint64, do func(f *frame) error) error {
	return eachFrame(r.journal.cfg.fs, r.journal.cfg.dir, from, to, func(_ uint64, f *frame) error { return do(f) })
}

// prove makes the head of the journal that begins with a segment. It returns an error unless the log is proven to hold
// all entries before, in their order, in the tree of the checkpoint.
func (r *retention) prove(ctx context.Context, old *JournalHead, cp *translog.Checkpoint, next *segmentHeader) (*JournalHead, error) {
	last := next.first - 1
	tree, err := old.forest(r.form)
	if err != nil {
		return nil, err
	}
	from := old.firstRecord()
	if err := r.each(from, last, func(f *frame) error {
		tree.add(r.form.LeafHash(f.entry))
		return ctx.Err()
	}); err != nil {
		return nil, err
	}
	head, err := r.headAt(next)
	if err != nil {
		return nil, err
	}
	proof, err := r.log.Prove(ctx, cp, last)
	if err != nil {
		return nil, fmt.Errorf("proof of entry %d: %w", last, err)
	}
	if head.Receipt, err = proof.MarshalText(); err != nil {
		return nil, err
	}
	in, err := r.form.VerifyReceipt(r.log.Policy(), head.Entry, proof)
	if err != nil {
		return nil, fmt.Errorf("proof of entry %d: %w", last, err)
	}
	left, err := leftOf(last, in.Checkpoint().Size(), proof.Hashes)
	if err != nil {
		return nil, err
	}
	if in.Index() != last || tree.size != last || !tree.same(left) {
		return nil, diverged(&DivergedError{Index: last, Reason: "the entries before are in the log in another form than in the journal", Journal: head.Entry})
	}
	return head, nil
}

// headAt makes the head of the journal that begins with a segment, without a receipt.
func (r *retention) headAt(next *segmentHeader) (*JournalHead, error) {
	head := &JournalHead{Journal: next.journal, Segment: next.number, First: next.first}
	return head, r.each(next.first-1, next.first, func(f *frame) error {
		head.Entry = bytes.Clone(f.entry)
		return nil
	})
}

// RetainConfig says what to remove from the beginning of a journal that no ledger has open. Dir, Before, and Log or Shared are
// needed.
type RetainConfig struct {
	Dir     string
	Log     Prover       // that of the ledger
	Shared  SharedProver // or that one
	LogForm LogForm      // of the log
	Before  time.Time    // records are removed when they are older

	AllowRecordLoss bool // a log of digests has none of the records: see [LedgerConfig.AllowRecordLoss]
}

// errRecordLoss is why records stay in the journal whose digests the log has.
var errRecordLoss = errors.New("evidence: the log has digests alone, and records that are removed from the journal are nowhere then; set AllowRecordLoss if they may be lost, or there are copies")

// Retain removes records that are older than a time and proven to be in the log, or in one of digests theirs, as a ledger with
// [LedgerConfig.Retention] does by itself. Whole files are removed, and the last 256 records stay. The error wraps
// fs.ErrNotExist when there is no journal.
func Retain(ctx context.Context, cfg *RetainConfig) (_ *Removed, err error) {
	if cfg.LogForm == FormDigest && !cfg.AllowRecordLoss {
		return nil, errRecordLoss
	}
	j, err := openIdle(cfg.Dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, j.close()) }()
	limit, err := removable(j)
	if err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	r := &retention{journal: j, log: cfg.Log, shared: cfg.Shared, form: cfg.LogForm, local: new(sync.Mutex)}
	out, err := r.run(ctx, cfg.Before, limit)
	if err != nil {
		return out, fmt.Errorf("evidence: %w", err)
	}
	return out, nil
}

// openIdle opens a journal to change its files, and not to write to it.
func openIdle(dir string) (*journal, error) {
	fsys := durable.OS{}
	list, err := listSegments(fsys, dir)
	if err == nil && list.count == 0 {
		err = fmt.Errorf("there is no journal in %q: %w", dir, fs.ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	j, err := openJournal(journalConfig{fs: fsys, dir: filepath.Clean(dir), segmentBytes: idleSegmentBytes})
	if err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	return j, nil
}

// idleSegmentBytes is the size of a segment that is opened, and closed without a record.
const idleSegmentBytes = 1 << 20

// removable returns the sequence number before which no record of a journal is needed to go on with it.
func removable(j *journal) (limit uint64, err error) {
	if j.next == 0 {
		return 0, nil
	}
	err = eachFrame(j.cfg.fs, j.cfg.dir, j.next-1, j.next, func(_ uint64, f *frame) error {
		limit = min(f.oldestOpen, j.next-min(j.next, tailEntries))
		return nil
	})
	return limit, err
}

package translogtest

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/touchmark-dev/touchmark/translog"
)

// An Engine is what the conformance test asks of an engine.
type Engine interface {
	translog.Appender
	// Size returns the number of entries that are durable, published or not.
	Size(ctx context.Context) (uint64, error)
	// Entry returns a durable entry.
	Entry(ctx context.Context, index uint64) ([]byte, error)
	// Policy trusts the engine's key alone.
	Policy() *translog.Policy
	// Checkpoint returns the last published checkpoint.
	Checkpoint(ctx context.Context) (*translog.Checkpoint, error)
	// AwaitPublished returns a published checkpoint that covers the index.
	AwaitPublished(ctx context.Context, index uint64) (*translog.Checkpoint, error)
	// Prove and Consistency return verified proofs.
	Prove(ctx context.Context, cp *translog.Checkpoint, index uint64) (*translog.Proof, error)
	Consistency(ctx context.Context, older, newer *translog.Checkpoint) ([][32]byte, error)
	// Close ends the engine after what was appended is published.
	Close(ctx context.Context) error
}

// patience is how long a check may take.
const patience = 2 * time.Minute

// TestEngine runs the part of the conformance test that needs no more than an open log: order, contiguity, refusals
// that leave no trace, proofs that other implementations accept. open returns a new, empty log, which the test closes.
// [TestInstallation] runs all of it.
func TestEngine(t *testing.T, open func(t *testing.T) Engine) {
	TestInstallation(t, func(t *testing.T) *Installation {
		return &Installation{Open: func(context.Context) (Engine, error) { return open(t), nil }}
	})
}

type engineTest struct {
	testing.TB
	Engine
	in  *Installation
	ctx context.Context
}

// numbered returns n entries of different lengths that name their index.
func numbered(first, n int) [][]byte {
	entries := make([][]byte, n)
	for i := range entries {
		entries[i] = fmt.Appendf(nil, "entry %d %s", first+i, bytes.Repeat([]byte{'x'}, i%50))
	}
	return entries
}

func (e *engineTest) mustAppend(entries [][]byte) uint64 {
	e.Helper()
	first, err := e.Append(e.ctx, entries)
	if err != nil {
		e.Fatalf("Append of %d entries: %v", len(entries), err)
	}
	return first
}

func (e *engineTest) mustSize(want uint64) {
	e.Helper()
	if size, err := e.Size(e.ctx); err != nil || size != want {
		e.Fatalf("Size = %d, %v, want %d", size, err, want)
	}
}

func (e *engineTest) mustAwait(index uint64) *translog.Checkpoint {
	e.Helper()
	cp, err := e.AwaitPublished(e.ctx, index)
	if err != nil {
		e.Fatalf("AwaitPublished(%d): %v", index, err)
	}
	if cp.Size() <= index {
		e.Fatalf("AwaitPublished(%d) returned a checkpoint of size %d", index, cp.Size())
	}
	return cp
}

func (e *engineTest) emptyLog() {
	e.mustSize(0)
	cp, err := e.Checkpoint(e.ctx)
	if err != nil || cp.Size() != 0 {
		e.Fatalf("Checkpoint of an empty log: %v, %v", cp, err)
	}
	if _, err := e.Entry(e.ctx, 0); err == nil {
		e.Error("Entry(0) of an empty log returned something")
	}
	if _, err := e.Prove(e.ctx, cp, 0); err == nil {
		e.Error("Prove(0) in an empty tree returned something")
	}
}

func (e *engineTest) appendKeepsOrder() {
	var all [][]byte
	for _, n := range []int{1, 2, 300, 255, 1, 513} {
		entries := numbered(len(all), n)
		if first := e.mustAppend(entries); first != uint64(len(all)) {
			e.Fatalf("Append returned index %d, want %d", first, len(all))
		}
		all = append(all, entries...)
		e.mustSize(uint64(len(all)))
	}
	for i, want := range all {
		got, err := e.Entry(e.ctx, uint64(i))
		if err != nil || !bytes.Equal(got, want) {
			e.Fatalf("Entry(%d) = %q, %v, want %q", i, got, err, want)
		}
	}
	if _, err := e.Entry(e.ctx, uint64(len(all))); err == nil {
		e.Error("Entry beyond the end returned something")
	}
}

func (e *engineTest) appendCopiesItsInput() {
	entries := [][]byte{[]byte("before")}
	e.mustAppend(entries)
	copy(entries[0], "after!")
	e.mustAppend([][]byte{[]byte("second")})
	if got, err := e.Entry(e.ctx, 0); err != nil || string(got) != "before" {
		e.Errorf("Entry(0) = %q, %v after the caller wrote to its slice", got, err)
	}
}

func (e *engineTest) refusedAppendLeavesNoTrace() {
	e.mustAppend(numbered(0, 3))
	for name, entries := range map[string][][]byte{
		"no entries":         nil,
		"an empty entry":     {[]byte("a"), {}},
		"an oversized entry": {[]byte("a"), make([]byte, translog.MaxEntryBytes+1)},
	} {
		if _, err := e.Append(e.ctx, entries); translog.CodeOf(err) != translog.CodeEntryInvalid {
			e.Errorf("Append of %s: %v, want %s", name, err, translog.CodeEntryInvalid)
		}
	}
	canceled, cancel := context.WithCancel(e.ctx)
	cancel()
	if _, err := e.Append(canceled, numbered(3, 1)); err == nil {
		e.Error("Append under a canceled context succeeded")
	}
	e.mustSize(3)
	if first := e.mustAppend(numbered(3, 1)); first != 3 {
		e.Errorf("the next entry has index %d, want 3", first)
	}
}

func (e *engineTest) largestEntry() {
	entry := bytes.Repeat([]byte{0xfe}, translog.MaxEntryBytes)
	e.mustAppend([][]byte{{0}, entry, {1}})
	cp := e.mustAwait(2)
	proof, err := e.Prove(e.ctx, cp, 1)
	if err != nil {
		e.Fatal(err)
	}
	if _, err := e.Policy().Verify(entry, proof); err != nil {
		e.Error(err)
	}
}

func (e *engineTest) concurrentAppendsStayTogether() {
	const callers, calls, each = 16, 4, 5
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for k := range calls {
				entries := make([][]byte, each)
				for i := range entries {
					entries[i] = fmt.Appendf(nil, "caller %d call %d entry %d", c, k, i)
				}
				first, err := e.Append(e.ctx, entries)
				if err != nil {
					e.Errorf("Append: %v", err)
					return
				}
				for i, want := range entries {
					if got, err := e.Entry(e.ctx, first+uint64(i)); err != nil || !bytes.Equal(got, want) {
						e.Errorf("Entry(%d) = %q, %v, want %q", first+uint64(i), got, err, want)
					}
				}
			}
		})
	}
	wg.Wait()
	e.mustSize(callers * calls * each)
}

// canceledAppendIsSettled feeds entries as a ledger does that trusts Size after
// an error: were an entry to arrive later, it would be there twice.
func (e *engineTest) canceledAppendIsSettled() {
	const total, each = 60, 3
	canceled := 0
	for next := 0; next < total; {
		ctx, cancel := context.WithTimeout(e.ctx, time.Duration(canceled%5)*time.Millisecond)
		_, err := e.Append(ctx, numbered(next, each))
		cancel()
		if err == nil {
			next += each
			continue
		}
		size, err := e.Size(e.ctx)
		if err != nil {
			e.Fatal(err)
		}
		next = int(size)
		if canceled++; canceled%7 == 0 {
			e.mustAppend(numbered(next, each))
			next += each
		}
	}
	for i := range total {
		want := fmt.Appendf(nil, "entry %d ", i)
		if got, err := e.Entry(e.ctx, uint64(i)); err != nil || !bytes.HasPrefix(got, want) {
			e.Fatalf("Entry(%d) = %q, %v, want %q", i, got, err, want)
		}
	}
	if canceled == 0 {
		e.Error("no append was canceled")
	}
}

func (e *engineTest) proofsVerify() {
	var checkpoints []*translog.Checkpoint
	total := 0
	for _, n := range []int{1, 6, 250, 300} {
		total += n
		e.mustAppend(numbered(total-n, n))
		checkpoints = append(checkpoints, e.mustAwait(uint64(total-1)))
	}
	for _, cp := range checkpoints {
		e.checkRoot(cp)
		for index := uint64(0); index < cp.Size(); index += 1 + index/7 {
			e.checkProof(cp, index)
		}
		e.checkProof(cp, cp.Size()-1)
		if _, err := e.Prove(e.ctx, cp, cp.Size()); err == nil {
			e.Errorf("Prove(%d) in a tree of that size returned something", cp.Size())
		}
	}
}

// checkProof verifies a proof from its text, with translog and with x/mod.
func (e *engineTest) checkProof(cp *translog.Checkpoint, index uint64) {
	e.Helper()
	made, err := e.Prove(e.ctx, cp, index)
	if err != nil {
		e.Fatalf("Prove(%d) in a tree of %d: %v", index, cp.Size(), err)
	}
	text, err := made.MarshalText()
	if err != nil {
		e.Fatal(err)
	}
	proof, err := translog.ParseProof(text)
	if err != nil {
		e.Fatal(err)
	}
	entry, err := e.Entry(e.ctx, index)
	if err != nil {
		e.Fatal(err)
	}
	in, err := e.Policy().Verify(entry, proof)
	if err != nil || in.Index() != index || in.Checkpoint().Tree() != cp.Tree() {
		e.Fatalf("Verify of entry %d of %d: %+v, %v", index, cp.Size(), in, err)
	}
	var record tlog.RecordProof
	for _, h := range proof.Hashes {
		record = append(record, h)
	}
	if err := tlog.CheckRecord(record, int64(cp.Size()), cp.Root(), int64(index), tlog.RecordHash(entry)); err != nil {
		e.Fatalf("x/mod refuses the proof of entry %d of %d: %v", index, cp.Size(), err)
	}
	if _, err := e.Policy().Verify(append(entry, '!'), proof); translog.CodeOf(err) != translog.CodeInclusionInvalid {
		e.Fatalf("Verify of another entry: %v, want %s", err, translog.CodeInclusionInvalid)
	}
}

// checkRoot compares the root with the one that x/mod computes from the entries.
func (e *engineTest) checkRoot(cp *translog.Checkpoint) {
	e.Helper()
	again := NewLog("translogtest.invalid/again")
	entries := make([][]byte, cp.Size())
	for i := range entries {
		entry, err := e.Entry(e.ctx, uint64(i))
		if err != nil {
			e.Fatal(err)
		}
		entries[i] = entry
	}
	if _, err := again.Append(e.ctx, entries); err != nil {
		e.Fatal(err)
	}
	if want, err := again.Checkpoint(e.ctx); err != nil || want.Tree() != cp.Tree() {
		e.Errorf("root of size %d differs from the one that x/mod computes", cp.Size())
	}
}

func (e *engineTest) consistencyVerifies() {
	var checkpoints []*translog.Checkpoint
	total := 0
	for _, n := range []int{1, 2, 5, 255, 260} {
		total += n
		e.mustAppend(numbered(total-n, n))
		checkpoints = append(checkpoints, e.mustAwait(uint64(total-1)))
	}
	for i, older := range checkpoints {
		for _, newer := range checkpoints[i:] {
			proof, err := e.Consistency(e.ctx, older, newer)
			if err == nil {
				err = translog.VerifyConsistency(older, newer, proof)
			}
			if err != nil {
				e.Errorf("Consistency from %d to %d: %v", older.Size(), newer.Size(), err)
			}
		}
	}
	if _, err := e.Consistency(e.ctx, checkpoints[4], checkpoints[0]); translog.CodeOf(err) != translog.CodeRolledBack {
		e.Errorf("Consistency backwards: %v, want %s", err, translog.CodeRolledBack)
	}
}

func (e *engineTest) awaitEndsWithContext() {
	e.mustAppend(numbered(0, 1))
	ctx, cancel := context.WithTimeout(e.ctx, 20*time.Millisecond)
	defer cancel()
	for _, index := range []uint64{1, 1<<63 - 1, 1<<64 - 1} {
		if _, err := e.AwaitPublished(ctx, index); err == nil {
			e.Errorf("AwaitPublished(%d), which nobody appended, returned", index)
		}
	}
}

func (e *engineTest) appendAfterClose() {
	e.mustAppend(numbered(0, 1))
	if err := e.Close(e.ctx); err != nil {
		e.Fatal(err)
	}
	if _, err := e.Append(e.ctx, numbered(1, 1)); err == nil {
		e.Error("Append after Close succeeded")
	}
}

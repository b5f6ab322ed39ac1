package evidence

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/translog"
)

// Leaves calls visit with all leaf hashes from an index on, in portions that do not begin where tiles do.
func (c *crowdedLog) Leaves(_ context.Context, cp *translog.Checkpoint, from uint64, visit func(uint64, [][32]byte) bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.from = append(c.from, from)
	for from < cp.Size() {
		var leaves [][32]byte
		for _, e := range c.entries[from:min(from+37, cp.Size())] {
			leaves = append(leaves, translog.LeafHash(e))
		}
		if !visit(from, leaves) {
			return nil
		}
		from += uint64(len(leaves))
	}
	return nil
}

func (c *crowdedLog) Prove(ctx context.Context, cp *translog.Checkpoint, index uint64, leaf [32]byte) (*translog.Proof, error) {
	proof, err := c.Log.Prove(ctx, cp, index)
	if err == nil {
		_, err = c.Policy().VerifyLeaf(leaf, proof)
	}
	return proof, err
}

// retainShared closes a ledger over a shared log, so that its place is that of all records, opens it again, and removes what
// is due.
func retainShared(t *testing.T, l **Ledger, log SharedProver) (*Removed, error) {
	t.Helper()
	mustClose(t, *l)
	*l = mustOpenLedger(t, &(*l).cfg)
	return retainOpen(t, *l, log)
}

func retainOpen(t *testing.T, l *Ledger, log SharedProver) (*Removed, error) {
	t.Helper()
	r := &retention{journal: l.journal, shared: log, form: l.cfg.LogForm, local: new(sync.Mutex)}
	return r.run(t.Context(), time.Now().Add(time.Hour), l.removable())
}

// checkShared verifies what is left of a journal: its head, and the chain behind it.
func checkShared(t *testing.T, cfg *LedgerConfig, first uint64) (records uint64) {
	t.Helper()
	keys := newTestSigner("ledger").keys
	head, err := ReadJournalHead(cfg.Dir)
	if err != nil || head == nil || head.First != first {
		t.Fatalf("the head is %+v, %v; want record %d", head, err, first)
	}
	in, err := head.Verify(keys, cfg.Shared.Policy())
	if err != nil || head.Alone(in) && !cfg.Shared.(*crowdedLog).reverse { // in another order it may be so by chance
		t.Fatalf("the head: %+v, %v", in, err)
	}
	chain, err := NewChain(&ChainConfig{Keys: keys, AllowPartial: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := chain.Add(head.Entry); err != nil {
		t.Fatal(err)
	}
	for r, err := range ReadJournal(cfg.Dir, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if _, err := chain.Add(r.Entry); err != nil {
			t.Fatalf("record %d: %v", r.Sequence, err)
		}
	}
	return chain.Summary().Last + 1
}

// TestSharedRetention removes records that were found in the log, whatever else is there and in which order; and goes on.
func TestSharedRetention(t *testing.T) {
	t.Parallel()
	for _, form := range []LogForm{FormRecord, FormDigest} {
		for _, reverse := range []bool{false, true} {
			cfg, log := sharedConfig(t)
			cfg.LogForm, log.reverse = form, reverse
			log.publishing(t)
			l := mustOpenLedger(t, cfg)
			recordLarge(t, l, 450)
			out, err := retainShared(t, &l, log)
			if err != nil || out.Records < 100 || out.First != out.Records {
				t.Fatalf("removed %+v, %v", out, err)
			}
			if n := checkShared(t, cfg, out.First); n != 452 {
				t.Errorf("%d records", n)
			}
			for range 2 {
				recordLarge(t, l, 120)
				more, err := retainShared(t, &l, log)
				if err != nil || more.Records == 0 || more.First != out.First+more.Records {
					t.Fatalf("removed %+v after %+v, %v", more, out, err)
				}
				out = more
				checkShared(t, cfg, out.First)
			}
			mustClose(t, l)
			if form == FormDigest {
				continue
			}
			idle, err := Retain(t.Context(), &RetainConfig{Dir: cfg.Dir, Shared: log, Before: time.Now().Add(time.Hour)})
			if err != nil || idle.First < out.First {
				t.Errorf("removed %+v after %+v, %v", idle, out, err)
			}
			mustClose(t, mustOpenLedger(t, cfg))
		}
	}
}

// TestSharedRetentionByLedger: a ledger that is told to removes records by itself.
func TestSharedRetentionByLedger(t *testing.T) {
	t.Parallel()
	cfg, log := sharedConfig(t)
	log.publishing(t)
	l := mustOpenLedger(t, cfg)
	recordLarge(t, l, 450)
	mustClose(t, l)
	cfg.Retention = time.Nanosecond
	cfg.Notice = func(err error) { t.Error(err) }
	l = mustOpenLedger(t, cfg)
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		head, err := ReadJournalHead(cfg.Dir)
		if err != nil || time.Since(began) > time.Minute {
			t.Fatalf("nothing is removed: %v", err)
		}
		if head != nil {
			break
		}
	}
	recordLarge(t, l, 10)
	mustClose(t, l)
	bare := *cfg
	bare.Shared = struct{ SharedLog }{log}
	if _, err := Open(t.Context(), &bare); err == nil {
		t.Error("a retention over a log that proves nothing")
	}
}

// TestSharedRetentionBegins where the last record that was removed is, and nowhere near the beginning of a large log.
func TestSharedRetentionBegins(t *testing.T) {
	t.Parallel()
	cfg, log := sharedConfig(t)
	var before [][]byte
	for range 3 * searchAhead {
		before = append(before, []byte("of somebody else, before"))
	}
	if _, err := log.Append(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	log.entries = append(log.entries, before...)
	log.publishing(t)
	l := mustOpenLedger(t, cfg)
	recordLarge(t, l, 450)
	if _, err := retainShared(t, &l, log); err != nil {
		t.Fatal(err)
	}
	recordLarge(t, l, 200)
	if out, err := retainShared(t, &l, log); err != nil || out.Records == 0 {
		t.Fatalf("removed %+v, %v", out, err)
	}
	log.mu.Lock()
	if len(log.from) != 2 || log.from[0] != 0 || log.from[1] < 2*searchAhead {
		t.Errorf("it was searched from %d", log.from)
	}
	log.mu.Unlock()
	mustClose(t, l)
}

// TestSharedRetentionFarAhead: a log may have records in any order, and those far ahead of one that is missing are found.
func TestSharedRetentionFarAhead(t *testing.T) {
	t.Parallel()
	cfg, log := sharedConfig(t)
	log.reverse = true
	l := mustOpenLedger(t, cfg)
	recordLarge(t, l, 450)
	for began := time.Now(); log.taken.Load() < 451 && time.Since(began) < time.Minute; time.Sleep(time.Millisecond) {
	}
	log.publish() // the last record is the first
	if err := l.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustClose(t, l)
	log.publishing(t)
	l = mustOpenLedger(t, cfg)
	r := &retention{journal: l.journal, shared: log, form: l.cfg.LogForm, local: new(sync.Mutex), ahead: 7}
	out, err := r.run(t.Context(), time.Now().Add(time.Hour), l.removable())
	if err != nil || out.Records == 0 {
		t.Fatalf("removed %+v, %v", out, err)
	}
	checkShared(t, cfg, out.First)
	mustClose(t, l)
}

// A lackingLog shows another tree to who removes records, or only its leaves.
type lackingLog struct {
	*crowdedLog
	of   *crowdedLog
	only bool
}

func (l *lackingLog) Continue(ctx context.Context, older, newer *translog.Checkpoint, visit func(uint64, [32]byte)) error {
	return l.of.Continue(ctx, older, newer, visit)
}

func (l *lackingLog) Leaves(ctx context.Context, cp *translog.Checkpoint, from uint64, visit func(uint64, [][32]byte) bool) error {
	return l.of.Leaves(ctx, cp, from, visit)
}

func (l *lackingLog) Prove(ctx context.Context, cp *translog.Checkpoint, index uint64, leaf [32]byte) (*translog.Proof, error) {
	return l.of.Prove(ctx, cp, index, leaf)
}

func (l *lackingLog) Checkpoint(ctx context.Context) (*translog.Checkpoint, error) {
	if l.only {
		return l.crowdedLog.Checkpoint(ctx)
	}
	return l.of.Checkpoint(ctx)
}

// TestSharedRetentionIsProven: nothing is removed before the place in the log is kept, nor what the log does not show to
// have, nor on the word of a log that is not the one in which it was found.
func TestSharedRetentionIsProven(t *testing.T) {
	t.Parallel()
	cfg, log := sharedConfig(t)
	log.publishing(t)
	l := mustOpenLedger(t, cfg)
	recordLarge(t, l, 450)
	if err := l.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustClose(t, l)
	retain := func(log SharedProver) (*Removed, error) {
		return Retain(t.Context(), &RetainConfig{Dir: cfg.Dir, Shared: log, Before: time.Now().Add(time.Hour)})
	}
	var first Hash
	for r, err := range ReadJournal(cfg.Dir, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Sequence == 3 {
			first = cfg.LogForm.LeafHash(r.Entry)
		}
	}
	log.mu.Lock()
	entries := slices.Clone(log.entries)
	log.mu.Unlock()
	without := func(e [][]byte) [][]byte {
		i := slices.IndexFunc(e, func(b []byte) bool { return Hash(translog.LeafHash(b)) == first })
		e[i] = []byte("another")
		return e
	}
	forked := func(e [][]byte) [][]byte { // it has all records
		e[0] = []byte("of somebody else, another time")
		return e
	}
	for name, test := range map[string]struct {
		edit func([][]byte) [][]byte
		only bool
		code Code
	}{
		"without a record":     {edit: without, code: CodeLogDiverged},
		"whose leaves lack it": {edit: without, only: true, code: CodeLogDiverged},
		"shorter":              {edit: func(e [][]byte) [][]byte { return e[:20] }},
		"forked":               {edit: forked, code: CodeLogDiverged},
		"forked, and longer":   {edit: func(e [][]byte) [][]byte { return append(forked(e), []byte("more")) }, code: CodeLogDiverged},
	} {
		other := newCrowdedLog(log.signer)
		other.entries = test.edit(slices.Clone(entries))
		if _, err := other.Append(t.Context(), other.entries); err != nil {
			t.Fatal(err)
		}
		out, err := retain(&lackingLog{crowdedLog: log, of: other, only: test.only})
		if err == nil || CodeOf(err) != test.code || out == nil || out.Records != 0 {
			t.Errorf("a log %s: removed %+v, %v", name, out, err)
		}
	}
	name := filepath.Join(cfg.Dir, placeFile)
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if out, err := retain(log); err != nil || out.Records != 0 {
		t.Errorf("without a place: removed %+v, %v", out, err)
	}
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := retain(log); err != nil || out.Records == 0 {
		t.Errorf("removed %+v, %v", out, err)
	}
	mustClose(t, mustOpenLedger(t, cfg))
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	openFails(t, "no place", cfg, CodeLogDiverged)
}

// TestSharedReadsOn: what was in the log before it was read from the journal may be gone from it.
func TestSharedReadsOn(t *testing.T) {
	t.Parallel()
	cfg, log := sharedConfig(t)
	log.publishing(t)
	l := mustOpenLedger(t, cfg)
	recordLarge(t, l, 450)
	out, err := retainShared(t, &l, log)
	if err != nil || out.Records == 0 {
		t.Fatalf("removed %+v, %v", out, err)
	}
	mustClose(t, l)
	l = mustOpenLedger(t, cfg)
	records := l.Status().Records
	if err := l.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.stop()
	<-l.feeder.done
	s := l.feeder.shared
	s.read = out.First - 1 // of a ledger that found all that it was to submit
	if err := s.fill(); err != nil || s.read != records {
		t.Errorf("read up to %d of %d, %v", s.read, records, err)
	}
	_ = l.Close(t.Context()) // the feeder has stopped
}

package evidence

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/internal/durable/durabletest"
	"github.com/touchmark-dev/touchmark/translog/translogtest"
)

// TestLedgerLifeCrashes lets the power fail at every operation of a ledger that removes records which its log is proven to
// have, destroys keys of its vault and erases what they sealed, and records on. The vault and the log are on other
// machines. After each crash the journal begins where it did or where its head says and proves, everything that was
// acknowledged and not removed is there, and the next ledger ends what was begun.
func TestLedgerLifeCrashes(t *testing.T) {
	t.Parallel()
	r := newForgetRun(t)
	log := r.cfg.Log.(*translogtest.Log)
	var logged []int // operations that had been done when the log got its nth entry
	log.BeforeAppend(func(_ uint64, entries [][]byte) error {
		for range entries {
			logged = append(logged, r.disk.Len())
		}
		return nil
	})
	for day := range 2 {
		r.at(day)
		r.cfg.Vault = r.vault
		l := mustOpenLedger(t, r.cfg)
		recordLarge(t, l, 45) // more than one file
		mustClose(t, l)
	}
	l, f := r.open(5)
	recordMany(t, l, tailEntries+40)
	old := r.clock.now().Add(-4*24*time.Hour - time.Hour) // of day 1, in the morning
	if err := l.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	began := r.disk.Len()
	out, err := retain(t, l, old)
	if err != nil || out.Records == 0 {
		t.Fatalf("removed %+v, %v", out, err)
	}
	removed := r.disk.Len()
	if err := f.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	erased := r.disk.Len()
	type acked struct {
		ops int
		seq uint64
	}
	acks := []acked{{began, uint64(len(logged)) - 1}}
	for range 3 {
		seq := mustRecord(t, l, decisionDraft(Deny, "read")).Sequence
		acks = append(acks, acked{r.disk.Len(), seq})
	}
	mustClose(t, l)
	r.want("without a crash", 0, 1)
	log.BeforeAppend(nil)
	entries := make([][]byte, len(logged))
	for i := range entries {
		entries[i], _ = log.Entry(t.Context(), uint64(i))
	}
	crashes := 0
	sample := sampling(23)
	if !soak() {
		sample.Singles, sample.Random = 1, 1
	}
	r.disk.Crashes(began, sample, func(crash *durabletest.Crash) bool {
		if crashes++; crashes%5 != 0 && !soak() {
			return true
		}
		after := *r
		cfg := *r.cfg
		after.cfg, after.disk = &cfg, crash.Disk
		n := 0
		for n < len(logged) && logged[n] <= crash.At {
			n++
		}
		then := translogtest.NewLog("log.example/test")
		if _, err := then.Append(context.Background(), entries[:n]); err != nil {
			t.Fatal(err)
		}
		cfg.fs, cfg.Log = crash.Disk, withoutCheckpoints{then}
		if crash.At >= erased {
			after.want(crash.String(), 0, 1)
		}
		first, next := journalIn(t, crash, log, log)
		if first != 0 && first != out.First || first == 0 && crash.At >= removed {
			t.Errorf("%v: the journal begins with %d, want %d", crash, first, out.First)
		}
		for _, ack := range acks {
			if ack.ops <= crash.At && ack.seq >= next {
				t.Errorf("%v: record %d was acknowledged, and the last is %d", crash, ack.seq, next-1)
			}
		}
		l, f := after.open(5)
		l.cfg.Log = then // which can prove
		if again, err := retain(t, l, old); err != nil || again.First != out.First {
			t.Errorf("%v: removed %+v, want to %d, %v", crash, again, out.First, err)
		}
		if err := f.run(t.Context()); err != nil {
			t.Errorf("%v: %v", crash, err)
		}
		after.want(crash.String(), 0, 1)
		mustClose(t, l)
		proves := log
		if first == 0 {
			proves = then // removed from the journal now
		}
		if first, end := journalIn(t, crash, then, proves); first != out.First || end <= next {
			t.Errorf("%v: in the end %d to %d, before to %d", crash, first, end, next)
		}
		return !t.Failed()
	})
	t.Logf("%d operations, %d crashes", r.disk.Len()-began, crashes)
}

// journalIn checks that a journal is what a log has, behind a head that the same log or another one proves. It returns the
// number of its first record and of the one behind its last.
func journalIn(t *testing.T, crash *durabletest.Crash, log, proves *translogtest.Log) (first, next uint64) {
	t.Helper()
	head, err := readHead(crash.Disk, crashDir)
	if err == nil && head != nil {
		_, err = head.Verify(newTestSigner("ledger").keys, proves.Policy())
	}
	if err != nil {
		t.Fatalf("%v: %v", crash, err)
	}
	first = head.firstRecord()
	next = first
	for s, err := range readJournal(crash.Disk, crashDir, 0) {
		if err != nil {
			t.Fatalf("%v: record %d: %v", crash, next, err)
		}
		entry, err := log.Entry(t.Context(), next)
		if err != nil || s.Sequence != next || !bytes.Equal(entry, s.Entry) {
			t.Fatalf("%v: record %d is another than %d in the log, %v", crash, s.Sequence, next, err)
		}
		next++
	}
	return first, next
}

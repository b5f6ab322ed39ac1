package evidence

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/translogtest"
)

// A settableClock is a clock that tests set forward.
type settableClock struct{ ahead atomic.Int64 }

func (c *settableClock) now() time.Time {
	return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC).Add(time.Duration(c.ahead.Load()))
}

// largeDraft makes records that fill segments of tests soon.
func largeDraft(kind DecisionKind) *Draft {
	d := decisionDraft(kind, "read")
	d.Badge = strings.Repeat("b", 6000)
	return d
}

func recordLarge(t testing.TB, l *Ledger, n int) {
	t.Helper()
	for range n {
		mustRecord(t, l, largeDraft(Deny))
	}
}

// retain removes what is due in a ledger.
func retain(t testing.TB, l *Ledger, before time.Time) (*Removed, error) {
	t.Helper()
	if l.feeder != nil {
		if err := l.Flush(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	r := &retention{journal: l.journal, log: l.cfg.Log.(Prover), form: l.cfg.LogForm, local: new(sync.Mutex)}
	return r.run(context.Background(), before, l.removable())
}

// checkKept verifies what is left of a journal: its head, the chain behind it, and that leaf n is record n.
func checkKept(t testing.TB, cfg *LedgerConfig, log *translogtest.Log, first uint64) (records uint64) {
	t.Helper()
	keys := newTestSigner("ledger").keys
	head, err := ReadJournalHead(cfg.Dir)
	if err != nil || head.firstRecord() != first {
		t.Fatalf("it begins with %d, %v; want %d", head.firstRecord(), err, first)
	}
	chain, err := NewChain(&ChainConfig{Keys: keys, AllowPartial: first > 0})
	if err != nil {
		t.Fatal(err)
	}
	if head != nil {
		if _, err := head.Verify(keys, log.Policy()); err != nil {
			t.Fatal(err)
		}
		if _, err := chain.Add(head.Entry); err != nil {
			t.Fatal(err)
		}
	}
	size, _ := log.Size(context.Background())
	next := first
	for r, err := range ReadJournal(cfg.Dir, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if _, err := chain.Add(r.Entry); err != nil || r.Sequence != next {
			t.Fatalf("record %d, want %d: %v", r.Sequence, next, err)
		}
		if next < size {
			if leaf, err := log.Entry(context.Background(), next); err != nil || !bytes.Equal(leaf, cfg.LogForm.Leaf(r.Entry)) {
				t.Fatalf("leaf %d is another, %v", next, err)
			}
		}
		next++
	}
	return next
}

func TestLedgerRetention(t *testing.T) {
	for _, form := range []LogForm{FormRecord, FormDigest} {
		t.Run(form.String(), func(t *testing.T) {
			clock := new(settableClock)
			cfg, log := ledgerConfig(t)
			cfg.Time, cfg.LogForm, cfg.BacklogAge = clock.now, form, 1000*time.Hour
			l := mustOpenLedger(t, cfg)
			recordLarge(t, l, 200)
			clock.ahead.Store(int64(time.Hour))
			recordLarge(t, l, 400)
			if out, err := retain(t, l, clock.now().Add(-2*time.Hour)); err != nil || out.Records != 0 {
				t.Errorf("removed %+v, %v; nothing is old", out, err)
			}
			out, err := retain(t, l, clock.now().Add(-time.Minute))
			if err != nil || out.Records < 100 || out.First != out.Records || out.First > 200 {
				t.Fatalf("removed %+v, %v", out, err)
			}
			records := checkKept(t, cfg, log, out.First)
			if again, err := retain(t, l, clock.now().Add(-time.Minute)); err != nil || again.Records != 0 || again.First != out.First {
				t.Errorf("removed again %+v, %v", again, err)
			}
			mustClose(t, l)
			clock.ahead.Store(int64(48 * time.Hour))
			for range 3 {
				l = mustOpenLedger(t, cfg)
				recordLarge(t, l, 70)
				more, err := retain(t, l, clock.now())
				if err != nil || more.Records == 0 || more.First != out.First+more.Records {
					t.Fatalf("removed %+v after %+v, %v", more, out, err)
				}
				mustClose(t, l)
				out = more
				if now := checkKept(t, cfg, log, out.First); now != records+71 || now-out.First < tailEntries {
					t.Errorf("%d to %d are left, %d were there", out.First, now, records)
				}
				records += 71
				clock.ahead.Add(int64(time.Hour))
			}
			first := out.First
			if form == FormDigest {
				if out, err := Retain(context.Background(), &RetainConfig{Dir: cfg.Dir, Log: log, LogForm: form, Before: clock.now()}); !errors.Is(err, errRecordLoss) {
					t.Errorf("removed %+v, which nobody has, %v", out, err)
				}
				cfg.Retention = time.Hour
				if l, err := Open(context.Background(), cfg); !errors.Is(err, errRecordLoss) {
					t.Errorf("opened %v with a retention of what nobody has, %v", l, err)
				}
				cfg.AllowRecordLoss = true
				mustClose(t, mustOpenLedger(t, cfg))
				if first, err := ReadJournalHead(cfg.Dir); err != nil || first.First < out.First {
					t.Errorf("the journal begins with %+v, %v", first, err)
				} else {
					out.First = first.First
				}
				first = out.First
			}
			if out, err = Retain(context.Background(), &RetainConfig{Dir: cfg.Dir, Log: log, LogForm: form, Before: clock.now(), AllowRecordLoss: true}); err != nil {
				t.Fatalf("removed %+v, %v", out, err)
			}
			if out.First < first {
				t.Errorf("removed %+v", out)
			}
			checkKept(t, cfg, log, out.First)
		})
	}
}

// A wrongLog says other things about a log than it should.
type wrongLog struct {
	*translogtest.Log
	other *translogtest.Log // proves instead
}

func (l *wrongLog) Checkpoint(ctx context.Context) (*translog.Checkpoint, error) {
	return l.other.Checkpoint(ctx)
}
func (l *wrongLog) Policy() *translog.Policy { return l.other.Policy() }
func (l *wrongLog) Prove(ctx context.Context, cp *translog.Checkpoint, index uint64) (*translog.Proof, error) {
	return l.other.Prove(ctx, cp, index)
}

// entriesOf returns the first n entries of a log.
func entriesOf(t *testing.T, log *translogtest.Log, n uint64) (entries [][]byte) {
	t.Helper()
	for i := range n {
		e, err := log.Entry(context.Background(), i)
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, e)
	}
	return entries
}

// TestLedgerRetentionIsProven: nothing is removed that the log does not prove to have, every entry of it.
func TestLedgerRetentionIsProven(t *testing.T) {
	cfg, log := ledgerConfig(t)
	l := mustOpenLedger(t, cfg)
	recordLarge(t, l, 450)
	if err := l.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	entries := entriesOf(t, log, 451)
	other := func(edit func(entries [][]byte) [][]byte) *wrongLog {
		o := translogtest.NewLog("log.example/other")
		if _, err := o.Append(context.Background(), edit(append([][]byte(nil), entries...))); err != nil {
			t.Fatal(err)
		}
		return &wrongLog{Log: log, other: o}
	}
	future := time.Now().Add(time.Hour)
	try := func(log Prover) (*Removed, error) {
		r := &retention{journal: l.journal, log: log, form: cfg.LogForm, local: new(sync.Mutex)}
		return r.run(context.Background(), future, l.removable())
	}
	for i := range uint64(195) { // wherever a file ends, this is before
		if i%13 != 0 && i > 3 {
			continue
		}
		w := other(func(e [][]byte) [][]byte { e[i] = []byte("another"); return e })
		var d *DivergedError
		if i > 150 {
			continue
		}
		if out, err := try(w); !errors.As(err, &d) || out.Records != 0 {
			t.Errorf("entry %d is another: removed %+v, %v", i, out, err)
		}
	}
	if out, err := try(other(func(e [][]byte) [][]byte { return e[:10] })); err != nil || out.Records != 0 {
		t.Errorf("a log of ten entries: removed %+v, %v", out, err)
	}
	if out, err := try(other(func(e [][]byte) [][]byte { return append([][]byte{[]byte("x")}, e...) })); err == nil || out.Records != 0 {
		t.Errorf("a log with another order: removed %+v, %v", out, err)
	}
	lying := &wrongLog{Log: log, other: log}
	if out, err := try(proverFunc{lying, func() error { return errors.New("no proof") }}); err == nil || out.Records != 0 {
		t.Errorf("a log without proofs: removed %+v, %v", out, err)
	}
	checkKept(t, cfg, log, 0)
	if out, err := try(log); err != nil || out.Records == 0 {
		t.Errorf("removed %+v, %v", out, err)
	}
	mustClose(t, l)
}

// TestHouseFindsAnotherLog: what keeps house and is shown the tree of another history ends the ledger, as what feeds the log does.
func TestHouseFindsAnotherLog(t *testing.T) {
	cfg, log := ledgerConfig(t)
	l := mustOpenLedger(t, cfg)
	defer l.Close(context.Background()) //nolint:errcheck // it has failed
	recordLarge(t, l, 450)
	if err := l.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	entries := entriesOf(t, log, 451)
	entries[1] = []byte("another")
	other := translogtest.NewLog("log.example/other")
	if _, err := other.Append(context.Background(), entries); err != nil {
		t.Fatal(err)
	}
	l.cfg.Retention, l.cfg.Time = time.Nanosecond, func() time.Time { return time.Now().Add(time.Hour) }
	tidy := func(log Prover) error {
		return l.tidy(context.Background(), &retention{journal: l.journal, log: log, form: cfg.LogForm, local: &l.house}, nil)
	}
	if err := tidy(proverFunc{log, func() error { return errors.New("no answer") }}); err == nil {
		t.Fatal("removed what is not proven")
	}
	mustRecord(t, l, largeDraft(Deny))
	if err := tidy(&wrongLog{Log: log, other: other}); CodeOf(err) != CodeLogDiverged {
		t.Fatal(err)
	}
	_, err := l.Record(context.Background(), largeDraft(Deny))
	wantUnavailable(t, "a ledger of another log", err, CodeLogDiverged)
}

type proverFunc struct {
	Prover
	err func() error
}

func (p proverFunc) Prove(context.Context, *translog.Checkpoint, uint64) (*translog.Proof, error) {
	return nil, p.err()
}

// TestLedgerRetentionWaits for calls under way and for the log.
func TestLedgerRetentionWaits(t *testing.T) {
	cfg, log := ledgerConfig(t)
	l := mustOpenLedger(t, cfg)
	recordLarge(t, l, 20)
	open := mustRecord(t, l, largeDraft(Allow))
	recordLarge(t, l, 450)
	future := time.Now().Add(time.Hour)
	if out, err := retain(t, l, future); err != nil || out.First > open.Sequence {
		t.Errorf("removed %+v, %v, and record %d waits for its outcome", out, err, open.Sequence)
	}
	log.BeforeAppend(func(uint64, [][]byte) error { return errors.New("not today") })
	mustRecord(t, l, outcomeDraft(open))
	r := &retention{journal: l.journal, log: log, local: new(sync.Mutex)}
	if err := l.Flush(ctxFor(t, 50*time.Millisecond)); err == nil {
		t.Error("flushed")
	}
	limit := l.removable()
	log.BeforeAppend(nil)
	size, _ := log.Size(context.Background())
	if limit > size {
		t.Errorf("%d records may go, and the log has %d", limit, size)
	}
	if out, err := r.run(context.Background(), future, l.removable()); err != nil || out.First <= open.Sequence {
		t.Errorf("removed %+v, %v", out, err)
	}
	mustClose(t, l)
}

func ctxFor(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// TestLedgerRefusesLogBehindHead: a log that lost what was removed from the journal is not continued.
func TestLedgerRefusesLogBehindHead(t *testing.T) {
	cfg, log := ledgerConfig(t)
	l := mustOpenLedger(t, cfg)
	recordLarge(t, l, 400)
	if out, err := retain(t, l, time.Now().Add(time.Hour)); err != nil || out.Records == 0 {
		t.Fatalf("removed %+v, %v", out, err)
	}
	mustClose(t, l)
	if err := os.Remove(filepath.Join(cfg.Dir, checkpointName)); err != nil {
		t.Fatal(err)
	}
	cfg.Log = translogtest.NewLog("log.example/test")
	_, err := Open(context.Background(), cfg)
	wantUnavailable(t, "opening", err, CodeLogDiverged)
	cfg.Log = log
	mustClose(t, mustOpenLedger(t, cfg))
}

// TestLedgerQuota: decisions are refused before anything is lost, outcomes are taken, and what is removed makes room.
func TestLedgerQuota(t *testing.T) {
	clock := new(settableClock)
	cfg, log := ledgerConfig(t)
	cfg.Time, cfg.MaxJournalBytes, cfg.Retention, cfg.BacklogAge = clock.now, 12*cfg.SegmentBytes, time.Hour, 1000*time.Hour
	l := mustOpenLedger(t, cfg)
	var open []*Ack
	fill := func() (err error) {
		for range 5000 {
			var ack *Ack
			if ack, err = l.Record(context.Background(), largeDraft([]DecisionKind{Deny, Allow}[len(open)%2])); err != nil {
				return err
			}
			open = append(open, ack)
			if len(open)%2 == 0 && len(open) < 150 {
				mustRecord(t, l, outcomeDraft(ack))
			}
		}
		return nil
	}
	wantUnavailable(t, "a full journal", fill(), CodeJournalFull)
	var total int64
	names, err := os.ReadDir(cfg.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if !strings.HasSuffix(name.Name(), segmentSuffix) {
			continue // and others come and go
		}
		info, err := name.Info()
		if err != nil {
			t.Fatal(err)
		}
		total += info.Size()
	}
	if total > cfg.MaxJournalBytes || total < cfg.MaxJournalBytes/2 {
		t.Errorf("%d bytes, %d are allowed", total, cfg.MaxJournalBytes)
	}
	outcomes := 0
	for i, ack := range open {
		if i%2 == 1 && i >= 149 {
			mustRecord(t, l, outcomeDraft(ack))
			outcomes++
		}
	}
	if outcomes == 0 {
		t.Error("no call was open")
	}
	clock.ahead.Store(int64(2 * time.Hour))
	taken := 0
	for last := time.Now(); taken < int(cfg.MaxJournalBytes)/8192*5/4; {
		_, err := l.Record(context.Background(), largeDraft(Deny))
		if err == nil {
			taken++
			last = time.Now()
			continue
		}
		wantUnavailable(t, "still full", err, CodeJournalFull)
		clock.ahead.Add(int64(time.Minute))
		time.Sleep(10 * time.Millisecond)
		if time.Since(last) > 2*time.Minute {
			t.Fatalf("no room is made after %d records", taken)
		}
	}
	mustClose(t, l)
	head, err := ReadJournalHead(cfg.Dir)
	if err != nil || head == nil {
		t.Fatal(head, err)
	}
	checkKept(t, cfg, log, head.First)
}

func TestLedgerHouseIsChecked(t *testing.T) {
	for what, edit := range map[string]func(*LedgerConfig){
		"retention without a log":         func(c *LedgerConfig) { c.Log, c.AllowNoLog, c.Retention = nil, true, 1 },
		"private retention without vault": func(c *LedgerConfig) { c.PrivateRetention = 1 },
		"vault that cannot forget":        func(c *LedgerConfig) { c.PrivateRetention, c.Vault = 1, new(dummyVault) },
		"negative":                        func(c *LedgerConfig) { c.Retention = -1 },
		"too small":                       func(c *LedgerConfig) { c.MaxJournalBytes = 100 },
		"too small by default":            func(c *LedgerConfig) { c.SegmentBytes, c.MaxJournalBytes = 0, 100 },
	} {
		cfg, _ := ledgerConfig(t)
		edit(cfg)
		if _, err := Open(context.Background(), cfg); err == nil {
			t.Errorf("%s is accepted", what)
		}
	}
	cfg, _ := ledgerConfig(t)
	cfg.SegmentBytes, cfg.MaxJournalBytes = 0, 100<<20
	if got := cfg.segmentBytes(); got > 13<<20 || got%blockBytes != 0 {
		t.Errorf("segments of %d bytes", got)
	}
}

// TestForest compares what the left of a proof says with the tree, for every entry of every small tree.
func TestForest(t *testing.T) {
	log := translogtest.NewLog("log.example/test")
	var entries [][]byte
	for n := range uint64(40) {
		entries = append(entries, []byte{1, byte(n)})
		if _, err := log.Append(context.Background(), entries[n:]); err != nil {
			t.Fatal(err)
		}
		cp, err := log.Checkpoint(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		tree := new(forest)
		for i := range n + 1 {
			proof, err := log.Prove(context.Background(), cp, i)
			if err != nil {
				t.Fatal(err)
			}
			left, err := leftOf(i, cp.Size(), proof.Hashes)
			if err != nil || !tree.same(left) {
				t.Fatalf("entry %d of %d: %v", i, cp.Size(), err)
			}
			if _, err := leftOf(i, cp.Size(), append(proof.Hashes, [32]byte{})); err == nil {
				t.Error("a proof with a hash too many is accepted")
			}
			if len(left) > 0 {
				left[0][0]++
				if tree.same(left) {
					t.Error("another hash is accepted")
				}
			}
			receipt, err := proof.MarshalText()
			if err != nil {
				t.Fatal(err)
			}
			tree.add(Hash(translog.LeafHash(entries[i])))
			again, err := (&JournalHead{First: i + 1, Entry: entries[i], Receipt: receipt}).forest(FormRecord)
			if err != nil || again.size != tree.size || len(again.roots) != len(tree.roots) || again.roots[0] != tree.roots[0] {
				t.Fatalf("from the head: %+v, %v; want %+v", again, err, tree)
			}
		}
	}
	if _, err := leftOf(3, 3, nil); err == nil {
		t.Error("an entry behind the tree is accepted")
	}
}

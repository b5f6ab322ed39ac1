package evidence

import (
	"context"
	"crypto"
	"errors"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/internal/durable"
	"github.com/touchmark-dev/touchmark/internal/durable/durabletest"
	"github.com/touchmark-dev/touchmark/translog/translogtest"
)

// onDisk moves a ledger to a disk in memory.
func onDisk(cfg *LedgerConfig) *durabletest.Disk {
	disk := durabletest.NewDisk("/")
	cfg.fs, cfg.Dir = disk, crashDir
	return disk
}

// failSyncs makes every sync from now on fail.
func failSyncs(op durabletest.Op) error {
	if op.Kind == durabletest.OpSync {
		return syscall.EIO
	}
	return nil
}

// holdSync makes one sync of a journal on the disk wait, the first one after arm was called: held is closed when it
// has begun, and release lets it end.
func holdSync(disk *durabletest.Disk) (arm, release func(), held <-chan struct{}) {
	var armed atomic.Bool
	begun, end := make(chan struct{}), make(chan struct{})
	disk.SetFault(func(op durabletest.Op) error {
		journal := !strings.Contains(op.Name, checkpointName)
		if op.Kind == durabletest.OpSync && journal && armed.CompareAndSwap(true, false) {
			close(begun)
			<-end
		}
		return nil
	})
	return func() { armed.Store(true) }, func() { close(end) }, begun
}

// TestKnownFault05EvidenceErrorsAreIgnored: in the published code a store that fails does not stop the call, records
// are dropped by a rate limit, and a batch is lost when the log answers with an error. Here each record is kept or
// refused: one that is refused says so, and one that is acknowledged is in the log in the end.
func TestKnownFault05EvidenceErrorsAreIgnored(t *testing.T) {
	t.Run("a failing store refuses", func(t *testing.T) {
		cfg, _ := ledgerConfig(t)
		disk := onDisk(cfg)
		l := mustOpenLedger(t, cfg)
		mustRecord(t, l, decisionDraft(Allow, "read"))
		disk.SetFault(failSyncs)
		_, err := l.Record(context.Background(), decisionDraft(Allow, "read"))
		wantUnavailable(t, "the record whose sync failed", err, CodeJournalFailed)
		if !errors.Is(err, syscall.EIO) {
			t.Errorf("the cause is hidden: %v", err)
		}
		disk.SetFault(nil)
		_, err = l.Record(context.Background(), decisionDraft(Allow, "read"))
		wantUnavailable(t, "the next record", err, CodeJournalFailed)
		if s := l.Status(); s.Err == nil {
			t.Error("the status says that all is well")
		}
		wantUnavailable(t, "closing", l.Close(context.Background()), CodeJournalFailed)
	})
	t.Run("nothing is rate-limited", func(t *testing.T) {
		cfg, log := ledgerConfig(t)
		l := mustOpenLedger(t, cfg)
		for range 3000 {
			s := &slot{}
			var err error
			if s.record, s.private, err = decisionDraft(Deny, "write").prepare(false); err != nil {
				t.Fatal(err)
			}
			if err := l.begin(context.Background(), s); err != nil {
				t.Fatal(err)
			}
		}
		mustClose(t, l)
		if size, _ := log.Size(context.Background()); size != 3001 {
			t.Errorf("the log has %d of 3001 entries", size)
		}
	})
	t.Run("a batch that the log refuses is not lost", func(t *testing.T) {
		cfg, log := ledgerConfig(t)
		var calls atomic.Int64
		log.BeforeAppend(func(uint64, [][]byte) error {
			if calls.Add(1) <= 3 {
				return errors.New("500 Internal Server Error")
			}
			return nil
		})
		l := mustOpenLedger(t, cfg)
		recordMany(t, l, 10)
		mustClose(t, l)
		if size, _ := log.Size(context.Background()); size != 11 {
			t.Errorf("the log has %d of 11 entries", size)
		}
	})
}

// TestLedgerCrashes lets the power fail at every operation of two ledgers on one disk. Every decision that was
// acknowledged is in the journal of the next ledger once, with its outcome if that was acknowledged or is before a
// record that was, else with an unknown one. The chain holds, and the log is the journal.
func TestLedgerCrashes(t *testing.T) {
	t.Parallel()
	cfg, log := ledgerConfig(t)
	disk := onDisk(cfg)
	type acked struct {
		ops int
		id  string
	}
	var acks []acked
	logged := []int{} // operations that had been done when the log got its nth entry
	log.BeforeAppend(func(_ uint64, entries [][]byte) error {
		for range entries {
			logged = append(logged, disk.Len())
		}
		return nil
	})
	for range 2 {
		l := mustOpenLedger(t, cfg)
		var enqueued []string
		for i := range 12 {
			ack := mustRecord(t, l, decisionDraft([]DecisionKind{Allow, Deny}[i%2], "read"))
			acks = append(acks, acked{disk.Len(), ack.ID})
			for _, id := range enqueued {
				acks = append(acks, acked{disk.Len(), outcomePrefix + id})
			}
			enqueued = nil
			switch i % 6 {
			case 0:
				mustRecord(t, l, outcomeDraft(ack))
				acks = append(acks, acked{disk.Len(), outcomePrefix + ack.ID})
			case 2:
				mustEnqueue(t, l, outcomeDraft(ack))
				enqueued = append(enqueued, ack.ID)
			}
		}
		mustClose(t, l)
	}
	entries := make([][]byte, len(logged))
	for i := range entries {
		entries[i], _ = log.Entry(context.Background(), uint64(i))
	}
	log.BeforeAppend(nil)
	crashes := 0
	disk.Crashes(0, durabletest.Sampling{Seed: 7, Singles: 1, Random: 1}, func(crash *durabletest.Crash) bool {
		crashes++
		if crashes%4 != 0 && !soak() {
			return true
		}
		want := map[string]bool{}
		for _, a := range acks {
			if a.ops <= crash.At {
				want[a.id] = true
			}
		}
		// The log as it was at that moment: it is on another machine.
		n := 0
		for n < len(logged) && logged[n] <= crash.At {
			n++
		}
		log := translogtest.NewLog("log.example/test")
		if n > 0 {
			if _, err := log.Append(context.Background(), entries[:n]); err != nil {
				t.Fatal(err)
			}
		}
		cfg := *cfg
		cfg.fs, cfg.Log = crash.Disk, withoutCheckpoints{log}
		checkAfterCrash(t, crash, &cfg, want)
		return !t.Failed()
	})
	t.Logf("%d operations, %d crashes", disk.Len(), crashes)
}

// outcomePrefix is put before the id of a decision to name its outcome.
const outcomePrefix = "outcome of "

// withoutCheckpoints hides the checkpoints of a log, whose key is new after each crash of the test.
type withoutCheckpoints struct{ feederLog }

func checkAfterCrash(t *testing.T, crash *durabletest.Crash, cfg *LedgerConfig, want map[string]bool) {
	t.Helper()
	l, err := Open(context.Background(), cfg)
	if err != nil {
		t.Fatalf("%v: %v", crash, err)
	}
	mustRecord(t, l, decisionDraft(Deny, "write"))
	mustClose(t, l)
	var journal [][]byte
	for r, err := range readJournal(crash.Disk, crashDir, 0) {
		if err != nil {
			t.Fatalf("%v: %v", crash, err)
		}
		journal = append(journal, r.Entry)
		e, err := ParseEntry(r.Entry)
		if err != nil {
			t.Fatalf("%v: %v", crash, err)
		}
		delete(want, e.Record.ID)
		if o := e.Record.Outcome; o != nil && o.Status != OutcomeUnknown {
			delete(want, outcomePrefix+o.DecisionID)
		}
	}
	if len(want) != 0 {
		t.Fatalf("%v: %d acknowledged records are gone", crash, len(want))
	}
	summary, err := VerifyChain(journal, &ChainConfig{Keys: newTestSigner("ledger").keys})
	if err != nil || len(summary.Open) != 0 {
		t.Fatalf("%v: %v, open %v", crash, err, summary)
	}
	log := cfg.Log.(withoutCheckpoints)
	if size, _ := log.Size(context.Background()); size != uint64(len(journal)) {
		t.Fatalf("%v: the log has %d entries, the journal %d", crash, size, len(journal))
	}
}

// TestLedgerFullDisk: decisions are refused while there is still space for the outcomes to come.
func TestLedgerFullDisk(t *testing.T) {
	cfg, log := ledgerConfig(t)
	disk := onDisk(cfg)
	l := mustOpenLedger(t, cfg)
	disk.SetFault(func(op durabletest.Op) error {
		if op.Kind == durabletest.OpTruncate && strings.HasSuffix(op.Name, tempName) {
			return syscall.ENOSPC
		}
		return nil
	})
	var open []*Ack
	var err error
	for err == nil {
		var ack *Ack
		if ack, err = l.Record(context.Background(), decisionDraft(Allow, "read")); err == nil {
			open = append(open, ack)
		}
	}
	wantUnavailable(t, "recording on a full disk", err, CodeDiskFull)
	for _, ack := range open {
		if _, err := l.Record(context.Background(), outcomeDraft(ack)); err != nil {
			t.Fatalf("an outcome on a full disk: %v", err)
		}
	}
	disk.SetFault(nil)
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) { // an attempt may have failed just now
		if _, err = l.Record(context.Background(), decisionDraft(Deny, "write")); err == nil {
			break
		}
		wantUnavailable(t, "recording before the next attempt", err, CodeDiskFull)
		if time.Since(began) > time.Minute {
			t.Fatal("the disk has space again, and nothing is taken")
		}
	}
	recordMany(t, l, 49)
	mustClose(t, l)
	if size, _ := log.Size(context.Background()); size != uint64(1+2*len(open)+50) {
		t.Errorf("the log has %d entries, want %d", size, 1+2*len(open)+50)
	}
}

// lyingSigner returns something else than a signature.
type lyingSigner struct{ crypto.Signer }

func (s lyingSigner) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	sig, err := s.Signer.Sign(rand, digest, opts)
	sig[7] ^= 1
	return sig, err
}

// TestSignaturesAreChecked: what a key outside the process signs is verified before anything rests on it.
func TestSignaturesAreChecked(t *testing.T) {
	cfg, log := ledgerConfig(t)
	cfg.Key = lyingSigner{cfg.Key}
	openFails(t, "a key that lies", cfg, CodeSigningFailed)
	if size, _ := log.Size(context.Background()); size != 0 {
		t.Errorf("the log has %d entries", size)
	}
}

// slowSigner waits before each signature.
type slowSigner struct {
	crypto.Signer
	wait chan struct{}
}

func (s *slowSigner) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	<-s.wait
	return s.Signer.Sign(rand, digest, opts)
}

// TestCanceledRecords: a caller that goes away before its record has a place leaves none; one that goes away later
// is told that the record may be there, and if it is, it gets an outcome.
func TestCanceledRecords(t *testing.T) {
	cfg, log := ledgerConfig(t)
	disk := onDisk(cfg)
	l := mustOpenLedger(t, cfg)
	ctx, cancel := context.WithCancel(context.Background())
	arm, release, held := holdSync(disk)
	arm()
	answer := make(chan error)
	go func() {
		_, err := l.Record(ctx, decisionDraft(Allow, "read"))
		answer <- err
	}()
	<-held
	cancel()
	err := <-answer
	var u *UnavailableError
	if !errors.As(err, &u) || u.Code != CodeCanceled || !u.Pending || !errors.Is(err, context.Canceled) {
		t.Errorf("canceled while the disk was busy: %v", err)
	}
	_, err = l.Record(ctx, decisionDraft(Allow, "read"))
	if !errors.As(err, &u) || u.Code != CodeCanceled || u.Pending {
		t.Errorf("canceled before: %v", err)
	}
	release()
	l.background.Wait()
	mustClose(t, l)
	var statuses []OutcomeStatus
	for r, err := range readJournal(disk, crashDir, 0) {
		if err != nil {
			t.Fatal(err)
		}
		e, err := ParseEntry(r.Entry)
		if err != nil {
			t.Fatal(err)
		}
		if e.Record.Outcome != nil {
			statuses = append(statuses, e.Record.Outcome.Status)
		}
	}
	if !slices.Equal(statuses, []OutcomeStatus{OutcomeUnknown}) {
		t.Errorf("outcomes %v", statuses)
	}
	if size, _ := log.Size(context.Background()); size != 3 {
		t.Errorf("the log has %d entries", size)
	}
}

// TestCloseWhileSigning: a key that hangs does not hang Close.
func TestCloseWhileSigning(t *testing.T) {
	cfg, _ := ledgerConfig(t)
	signer := &slowSigner{cfg.Key, make(chan struct{}, 1)}
	cfg.Key = signer
	signer.wait <- struct{}{} // for the genesis record
	l := mustOpenLedger(t, cfg)
	answer := make(chan error)
	for range 3 {
		go func() {
			_, err := l.Record(context.Background(), decisionDraft(Allow, "read"))
			answer <- err
		}()
	}
	for l.Status().Open < 3 {
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if err := l.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Close: %v", err)
	}
	close(signer.wait)
	for range 3 {
		wantUnavailable(t, "a record that was being signed", <-answer, CodeClosed)
	}
	cfg.Key = newTestSigner("ledger").key
	mustClose(t, mustOpenLedger(t, cfg))
}

// TestLedgerFlusherPanics: a panic below the journal is an answer, not a hang.
func TestLedgerFlusherPanics(t *testing.T) {
	cfg, _ := ledgerConfig(t)
	disk := onDisk(cfg)
	l := mustOpenLedger(t, cfg)
	disk.SetFault(func(op durabletest.Op) error {
		if op.Kind == durabletest.OpWrite && strings.HasSuffix(op.Name, tempName) { // a segment, by its first name
			panic("the file system")
		}
		return nil
	})
	for range 3 {
		_, err := l.Record(context.Background(), decisionDraft(Allow, "read"))
		wantUnavailable(t, "after a panic", err, CodeJournalFailed)
	}
	wantUnavailable(t, "closing", l.Close(context.Background()), CodeJournalFailed)
}

func TestOpenCallsAreBounded(t *testing.T) {
	cfg, log := ledgerConfig(t)
	cfg.OpenCalls = 3
	l := mustOpenLedger(t, cfg)
	var acks []*Ack
	for range 3 {
		acks = append(acks, mustRecord(t, l, decisionDraft(Allow, "read")))
	}
	_, err := l.Record(context.Background(), decisionDraft(Allow, "read"))
	wantUnavailable(t, "a fourth call", err, CodeOpenCallsFull)
	mustRecord(t, l, decisionDraft(Deny, "write"))
	list := decisionDraft(Allow, "")
	list.Decision.Shown, list.Decision.Withheld = new(uint64), new(uint64)
	mustRecord(t, l, list) // its answer is in the record
	shadowed := decisionDraft(Deny, "write")
	shadowed.Decision.Shadow = true
	_, err = l.Record(context.Background(), shadowed)
	wantUnavailable(t, "a call that runs although it was denied", err, CodeOpenCallsFull)
	mustRecord(t, l, outcomeDraft(acks[0]))
	mustRecord(t, l, shadowed)
	for _, wrong := range []*Ack{acks[0], {ID: acks[1].ID, Sequence: acks[2].Sequence}, {ID: newRecordID(), Sequence: 99}} {
		if _, err := l.Record(context.Background(), outcomeDraft(wrong)); CodeOf(err) != CodeOutcomeUnmatched {
			t.Errorf("an outcome that belongs to nothing: %v", err)
		}
	}
	mustClose(t, l)
	checkStream(t, cfg, log)
}

func TestHeartbeats(t *testing.T) {
	cfg, log := ledgerConfig(t)
	cfg.Heartbeat = 20 * time.Millisecond
	l := mustOpenLedger(t, cfg)
	for l.Status().Records < 4 {
		time.Sleep(5 * time.Millisecond)
	}
	mustClose(t, l)
	for i, r := range checkStream(t, cfg, log)[1:] {
		if r.Kind() != KindHeartbeat {
			t.Errorf("record %d is a %s", i+1, r.Kind())
		}
	}
}

// TestOpenCallsForgetTheClosed: one call that stays open does not keep the numbers of all that come and go after it.
func TestOpenCallsForgetTheClosed(t *testing.T) {
	o := newOpenCalls()
	o.add(1, "stays")
	for seq := uint64(2); seq < 5000; seq++ {
		o.add(seq, "goes")
		delete(o.ids, seq)
	}
	if len(o.order) > 100 || o.order[0] != 1 {
		t.Errorf("%d numbers kept, the first is %d", len(o.order), o.order[0])
	}
}

// TestClockGoesBack: time in a stream never does.
func TestClockGoesBack(t *testing.T) {
	cfg, log := ledgerConfig(t)
	var hours atomic.Int64
	cfg.Time = func() time.Time { return time.Unix(1_800_000_000-3600*hours.Add(1), 0) }
	l := mustOpenLedger(t, cfg)
	recordMany(t, l, 3)
	mustClose(t, l)
	checkStream(t, cfg, log)
}

func TestDraftsThatCannotBeRecords(t *testing.T) {
	cfg, log := ledgerConfig(t)
	l := mustOpenLedger(t, cfg)
	noPolicy := decisionDraft(Allow, "read")
	noPolicy.Decision.PolicyVersion = ""
	undecided := decisionDraft("", "read")
	for name, d := range map[string]*Draft{
		"empty": {}, "two kinds": {Decision: noPolicy.Decision, Change: &Change{}}, "no policy": noPolicy, "no answer": undecided,
	} {
		if _, err := l.Record(context.Background(), d); err == nil {
			t.Errorf("%s: recorded", name)
		}
	}
	mustRecord(t, l, decisionDraft(Deny, "write"))
	mustClose(t, l)
	if records := checkStream(t, cfg, log); len(records) != 2 {
		t.Errorf("%d records", len(records))
	}
}

var _ durable.FS = (*durabletest.Disk)(nil)

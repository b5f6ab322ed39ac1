package evidence

import (
	"context"
	"crypto"
	"errors"
	"io"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/touchmark-dev/touchmark/internal/durable"
	"github.com/touchmark-dev/touchmark/internal/durable/durabletest"
)

func mustEnqueue(t testing.TB, l *Ledger, d *Draft) {
	t.Helper()
	if err := l.Enqueue(context.Background(), d); err != nil {
		t.Fatal(err)
	}
}

// outcomes returns the status of the outcome of each decision, and checks the chain.
func outcomes(t testing.TB, fsys durable.FS, dir string) map[uint64]OutcomeStatus {
	t.Helper()
	out := map[uint64]OutcomeStatus{}
	var entries [][]byte
	for r, err := range readJournal(fsys, dir, 0) {
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, r.Entry)
		e, err := ParseEntry(r.Entry)
		if err != nil {
			t.Fatal(err)
		}
		if o := e.Record.Outcome; o != nil {
			out[o.DecisionSequence] = o.Status
		}
	}
	summary, err := VerifyChain(entries, &ChainConfig{Keys: newTestSigner("ledger").keys})
	if err != nil || len(summary.Open) != 0 {
		t.Fatalf("%v, open %v", err, summary)
	}
	return out
}

// TestEnqueue: an outcome that is enqueued does not wait for the disk, keeps its place, and is there in the end.
func TestEnqueue(t *testing.T) {
	cfg, log := ledgerConfig(t)
	disk := onDisk(cfg)
	l := mustOpenLedger(t, cfg)
	var acks []*Ack
	for range 3 {
		acks = append(acks, mustRecord(t, l, decisionDraft(Allow, "read")))
	}
	arm, release, held := holdSync(disk)
	arm()
	mustEnqueue(t, l, outcomeDraft(acks[0]))
	<-held // the sync of the first outcome does not return
	mustEnqueue(t, l, outcomeDraft(acks[1]))
	mustEnqueue(t, l, outcomeDraft(acks[2]))
	if s := l.Status(); s.Records != 4 || s.Open != 0 || s.Err != nil {
		t.Errorf("while the disk is busy: %+v", s)
	}
	flushed := make(chan error)
	go func() { flushed <- l.Flush(context.Background()) }()
	release()
	if err := <-flushed; err != nil {
		t.Fatal(err)
	}
	if size, _ := log.Size(context.Background()); size != 7 {
		t.Errorf("the log has %d entries after Flush", size)
	}
	mustClose(t, l)
	for seq, status := range outcomes(t, disk, crashDir) {
		if status != OutcomeOK || seq < 1 || seq > 3 {
			t.Errorf("outcome of %d: %s", seq, status)
		}
	}
}

// TestCloseWaitsForEnqueued: what was enqueued is durable when Close returns.
func TestCloseWaitsForEnqueued(t *testing.T) {
	cfg, log := ledgerConfig(t)
	l := mustOpenLedger(t, cfg)
	for range 50 {
		mustEnqueue(t, l, outcomeDraft(mustRecord(t, l, decisionDraft(Allow, "read"))))
	}
	mustClose(t, l)
	for seq, status := range outcomes(t, durable.OS{}, cfg.Dir) {
		if status != OutcomeOK {
			t.Errorf("outcome of %d: %s", seq, status)
		}
	}
	if size, _ := log.Size(context.Background()); size != 101 {
		t.Errorf("the log has %d entries", size)
	}
}

// TestEnqueuedIsLost: when the disk fails an outcome that was enqueued, everything after it is refused, and after a
// restart the outcome is unknown.
func TestEnqueuedIsLost(t *testing.T) {
	cfg, _ := ledgerConfig(t)
	disk := onDisk(cfg)
	l := mustOpenLedger(t, cfg)
	ack := mustRecord(t, l, decisionDraft(Allow, "read"))
	other := mustRecord(t, l, decisionDraft(Allow, "read"))
	disk.SetFault(func(op durabletest.Op) error {
		if op.Kind == durabletest.OpWrite {
			return syscall.EIO
		}
		return nil
	})
	mustEnqueue(t, l, outcomeDraft(ack))
	<-l.journal.done
	disk.SetFault(nil)
	_, err := l.Record(context.Background(), decisionDraft(Allow, "read"))
	wantUnavailable(t, "the next decision", err, CodeJournalFailed)
	wantUnavailable(t, "the next outcome", l.Enqueue(context.Background(), outcomeDraft(other)), CodeJournalFailed)
	wantUnavailable(t, "Flush", l.Flush(context.Background()), CodeJournalFailed)
	wantUnavailable(t, "Close", l.Close(context.Background()), CodeJournalFailed)
	mustClose(t, mustOpenLedger(t, cfg))
	got := outcomes(t, disk, crashDir)
	if len(got) != 2 || got[ack.Sequence] != OutcomeUnknown || got[other.Sequence] != OutcomeUnknown {
		t.Errorf("outcomes %v", got)
	}
}

func TestEnqueueRefuses(t *testing.T) {
	cfg, _ := ledgerConfig(t)
	signer := &failingSigner{Signer: cfg.Key}
	cfg.Key = signer
	l := mustOpenLedger(t, cfg)
	ack := mustRecord(t, l, decisionDraft(Allow, "read"))
	ctx := context.Background()
	for _, d := range []*Draft{{}, decisionDraft(Deny, "read"), decisionDraft(Allow, "read"), {Change: &Change{}}} {
		if err := l.Enqueue(ctx, d); CodeOf(err) != CodeRecordInvalid {
			t.Errorf("%+v: %v", d, err)
		}
	}
	if err := l.Enqueue(ctx, &Draft{Outcome: &Outcome{}, Decision: &Decision{}}); err == nil {
		t.Error("enqueued a decision beside an outcome")
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	wantUnavailable(t, "a context that ended", l.Enqueue(ended, outcomeDraft(ack)), CodeCanceled)
	signer.fail = signer.n.Load() + 1
	wantUnavailable(t, "no signature", l.Enqueue(ctx, outcomeDraft(ack)), CodeSigningFailed)
	mustEnqueue(t, l, outcomeDraft(ack))
	if err := l.Enqueue(ctx, outcomeDraft(ack)); CodeOf(err) != CodeOutcomeUnmatched {
		t.Errorf("a second outcome: %v", err)
	}
	open := mustRecord(t, l, decisionDraft(Allow, "read"))
	mustClose(t, l)
	wantUnavailable(t, "a closed ledger", l.Enqueue(ctx, outcomeDraft(open)), CodeClosed)
	got := outcomes(t, durable.OS{}, cfg.Dir)
	if got[ack.Sequence] != OutcomeOK || got[open.Sequence] != OutcomeUnknown {
		t.Errorf("outcomes %v", got)
	}
}

// gatedSigner fails one signature when gate is closed, and makes the others meanwhile.
type gatedSigner struct {
	crypto.Signer
	shut atomic.Bool // the next signature waits at the gate
	at   chan struct{}
	gate chan struct{}
}

func (s *gatedSigner) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if s.shut.CompareAndSwap(true, false) {
		close(s.at)
		<-s.gate
		return nil, errors.New("the key is locked")
	}
	return s.Signer.Sign(rand, digest, opts)
}

// TestEnqueuedIsWithdrawn: an outcome behind a record that cannot be signed becomes an unknown one.
func TestEnqueuedIsWithdrawn(t *testing.T) {
	cfg, log := ledgerConfig(t)
	signer := &gatedSigner{Signer: cfg.Key, at: make(chan struct{}), gate: make(chan struct{})}
	cfg.Key = signer
	l := mustOpenLedger(t, cfg)
	ack := mustRecord(t, l, decisionDraft(Allow, "read"))
	signer.shut.Store(true)
	refused := make(chan error)
	go func() {
		_, err := l.Record(context.Background(), decisionDraft(Allow, "read"))
		refused <- err
	}()
	<-signer.at
	mustEnqueue(t, l, outcomeDraft(ack))
	close(signer.gate)
	wantUnavailable(t, "the record before it", <-refused, CodeSigningFailed)
	l.background.Wait()
	if s := l.Status(); s.Open != 0 || s.Err != nil {
		t.Errorf("the ledger: %+v", s)
	}
	mustRecord(t, l, decisionDraft(Deny, "read"))
	mustClose(t, l)
	if got := outcomes(t, durable.OS{}, cfg.Dir); len(got) != 1 || got[ack.Sequence] != OutcomeUnknown {
		t.Errorf("outcomes %v", got)
	}
	checkStream(t, cfg, log)
}

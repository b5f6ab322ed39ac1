package evidence

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/translog/translogtest"
)

// ledgerConfig is a ledger in a fresh directory with a fresh log.
func ledgerConfig(t testing.TB) (*LedgerConfig, *translogtest.Log) {
	s := newTestSigner("ledger")
	log := translogtest.NewLog("log.example/test")
	return &LedgerConfig{
		Dir: filepath.Join(t.TempDir(), "evidence"), Server: s.did, Key: s.key, KeyID: s.kid, Log: log,
		SegmentBytes: 256 << 10,
	}, log
}

func mustOpenLedger(t testing.TB, cfg *LedgerConfig) *Ledger {
	t.Helper()
	l, err := Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func mustClose(t testing.TB, l *Ledger) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if err := l.Close(ctx); err != nil {
		t.Fatal(err)
	}
}

func decisionDraft(kind DecisionKind, target string) *Draft {
	d := &Decision{
		Caller: Caller{Auth: AuthAnonymous}, Method: "tools/call", Capability: "tool", Target: target,
		Kind: kind, PolicyVersion: "v1",
	}
	if !kind.Allows() {
		d.DenyReason = "TOOL_POLICY_DENIED"
	}
	return &Draft{Decision: d, Arguments: []byte(`{"path":"/a"}`)}
}

func outcomeDraft(ack *Ack) *Draft {
	return &Draft{
		Outcome: &Outcome{DecisionID: ack.ID, DecisionSequence: ack.Sequence, Status: OutcomeOK, Duration: time.Millisecond},
		Result:  []byte("result"),
	}
}

func mustRecord(t testing.TB, l *Ledger, d *Draft) *Ack {
	t.Helper()
	ack, err := l.Record(context.Background(), d)
	if err != nil {
		t.Fatal(err)
	}
	return ack
}

// checkStream verifies the chain in the journal and, as far as it goes, that the log is its beginning. It
// returns the records.
func checkStream(t testing.TB, cfg *LedgerConfig, log LogReader) []*Record {
	t.Helper()
	var entries [][]byte
	var records []*Record
	for r, err := range ReadJournal(cfg.Dir, 0) {
		if err != nil {
			t.Fatal(err)
		}
		e, err := ParseEntry(r.Entry)
		if err != nil {
			t.Fatal(err)
		}
		entries, records = append(entries, r.Entry), append(records, e.Record)
	}
	if _, err := VerifyChain(entries, &ChainConfig{Keys: newTestSigner("ledger").keys}); err != nil {
		t.Fatal(err)
	}
	size, err := log.Size(context.Background())
	if err != nil || size > uint64(len(entries)) {
		t.Fatalf("the log has %d entries, %v; the journal %d", size, err, len(entries))
	}
	for i := range size {
		if got, err := log.Entry(context.Background(), i); err != nil || string(got) != string(entries[i]) {
			t.Fatalf("entry %d of the log is not that of the journal: %v", i, err)
		}
	}
	return records
}

func TestLedgerRecordsAndShips(t *testing.T) {
	cfg, log := ledgerConfig(t)
	cfg.Promise = true
	l := mustOpenLedger(t, cfg)
	ack := mustRecord(t, l, decisionDraft(Allow, "read"))
	mustRecord(t, l, decisionDraft(Deny, "write"))
	mustRecord(t, l, outcomeDraft(ack))
	if err := l.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	if s := l.Status(); s.Records != 4 || s.Logged != 4 || s.Open != 0 || s.Err != nil {
		t.Errorf("status %+v", s)
	}
	p, err := VerifyPromise(ack.Promise, newTestSigner("ledger").keys)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Promise(); got.LeafHash != ack.LeafHash || got.Sequence != 1 || got.LogOrigin != "log.example/test" {
		t.Errorf("promise %+v", got)
	}
	found, err := FindRecord(cfg.Dir, ack.ID)
	if err != nil || found.Sequence != ack.Sequence || mustOpenPrivate(t, found, nil).Salt == (Salt{}) {
		t.Errorf("found %+v, %v", found, err)
	}
	mustClose(t, l)

	l = mustOpenLedger(t, cfg)
	mustRecord(t, l, decisionDraft(Deny, "write"))
	mustClose(t, l)
	records := checkStream(t, cfg, log)
	kinds := make([]Kind, len(records))
	for i, r := range records {
		kinds[i] = r.Kind()
	}
	want := []Kind{KindGenesis, KindDecision, KindDecision, KindOutcome, KindHeartbeat, KindDecision}
	if !slices.Equal(kinds, want) || records[0].Epoch != 1 || records[4].Epoch != 2 {
		t.Errorf("kinds %v, epochs %d and %d", kinds, records[0].Epoch, records[4].Epoch)
	}
	if size, _ := log.Size(context.Background()); size != 6 {
		t.Errorf("the log has %d entries", size)
	}
}

func TestLedgerManyWriters(t *testing.T) {
	cfg, log := ledgerConfig(t)
	l := mustOpenLedger(t, cfg)
	const writers, each = 64, 20
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				ack, err := l.Record(context.Background(), decisionDraft(Allow, fmt.Sprintf("tool-%d-%d", w, i)))
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := l.Record(context.Background(), outcomeDraft(ack)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	mustClose(t, l)
	records := checkStream(t, cfg, log)
	if len(records) != 1+2*writers*each {
		t.Errorf("%d records", len(records))
	}
	if size, _ := log.Size(context.Background()); size != uint64(len(records)) {
		t.Errorf("the log has %d of %d entries", size, len(records))
	}
}

func TestLedgerSettlesOpenDecisions(t *testing.T) {
	cfg, log := ledgerConfig(t)
	l := mustOpenLedger(t, cfg)
	var acks []*Ack
	for range 5 {
		acks = append(acks, mustRecord(t, l, decisionDraft(Allow, "read")))
	}
	mustRecord(t, l, outcomeDraft(acks[1]))
	mustRecord(t, l, outcomeDraft(acks[0]))
	// As a crash leaves it: nothing is settled, nothing is sealed.
	crash(t, l)
	l = mustOpenLedger(t, cfg)
	if _, err := l.Record(context.Background(), outcomeDraft(acks[3])); CodeOf(err) != CodeOutcomeUnmatched {
		t.Errorf("an outcome after the unknown one: %v", err)
	}
	open := mustRecord(t, l, decisionDraft(AllowWithConstraints, "read"))
	mustClose(t, l)
	unknown := map[uint64]bool{}
	for _, r := range checkStream(t, cfg, log) {
		if r.Outcome != nil && r.Outcome.Status == OutcomeUnknown {
			unknown[r.Outcome.DecisionSequence] = true
		}
	}
	want := []uint64{acks[2].Sequence, acks[3].Sequence, acks[4].Sequence, open.Sequence}
	if len(unknown) != len(want) {
		t.Errorf("unknown outcomes of %v, want %v", unknown, want)
	}
	for _, seq := range want {
		if !unknown[seq] {
			t.Errorf("no unknown outcome of decision %d", seq)
		}
	}
}

// crash stops a ledger without letting it write anything more.
func crash(t testing.TB, l *Ledger) {
	t.Helper()
	l.fail(errors.New("crashed by the test"))
	l.stop()
	l.journal.poison(errors.New("crashed by the test"))
	_ = l.stopFeeder(context.Background())
	_ = l.journal.close()
}

// failingSigner fails the nth signature.
type failingSigner struct {
	crypto.Signer
	n     atomic.Int64
	fail  int64
	panic bool
}

func (s *failingSigner) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if s.n.Add(1) == s.fail {
		if s.panic {
			panic("signer")
		}
		return nil, errors.New("the key is locked")
	}
	return s.Signer.Sign(rand, digest, opts)
}

func TestLedgerSignerFails(t *testing.T) {
	for _, panics := range []bool{false, true} {
		cfg, log := ledgerConfig(t)
		signer := &failingSigner{Signer: cfg.Key, fail: 40, panic: panics}
		cfg.Key = signer
		l := mustOpenLedger(t, cfg)
		var wg sync.WaitGroup
		var refused, kept atomic.Int64
		for range 16 {
			wg.Go(func() {
				for range 10 {
					_, err := l.Record(context.Background(), decisionDraft(Deny, "write"))
					var u *UnavailableError
					switch {
					case err == nil:
						kept.Add(1)
					case errors.As(err, &u) && u.Code == CodeSigningFailed:
						refused.Add(1)
					default:
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		mustClose(t, l)
		records := checkStream(t, cfg, log)
		if refused.Load() == 0 || int64(len(records)) != 1+kept.Load() {
			t.Errorf("%d refused, %d kept, %d records", refused.Load(), kept.Load(), len(records))
		}
	}
}

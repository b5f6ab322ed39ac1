package confirm_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge/badgetest"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/confirm"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/policy"
	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tesseralog"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
	"github.com/touchmark-dev/touchmark/translog/witness"
)

const origin = "log.example/confirmed"

func signer(t *testing.T, name string, seed byte) *translog.Signer {
	t.Helper()
	s, err := translog.NewSigner(name, ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func parse(t *testing.T, text string) *translog.Policy {
	t.Helper()
	p, err := translog.ParsePolicy([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A setting is a ledger that feeds a log, which three witnesses watch: two of them are a quorum.
type setting struct {
	dir       string // of the journal
	logDir    string
	ledger    *evidence.Ledger
	policy    *translog.Policy
	witnesses []*httptest.Server
}

func newSetting(t *testing.T) *setting {
	t.Helper()
	dir := t.TempDir()
	s := &setting{dir: filepath.Join(dir, "journal"), logDir: filepath.Join(dir, "log")}
	cfg := &tesseralog.Config{
		Dir: s.logDir, StatePath: filepath.Join(dir, "state"), Signer: signer(t, origin, 1), CheckpointInterval: 100 * time.Millisecond,
	}
	if err := tesseralog.Create(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	log, err := tesseralog.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	server := badgetest.NewAgent(t)
	if s.ledger, err = evidence.Open(t.Context(), &evidence.LedgerConfig{
		Dir: s.dir, Server: server.DID, Key: server.Key, KeyID: server.DID.KeyURL(), Log: log,
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.ledger.Close(context.Background())
		_ = log.Close(context.Background())
		for range 100 { // what Tessera has under way in the background may outlast its log for a moment
			if os.RemoveAll(dir) == nil {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
	})
	text := "log " + cfg.Signer.VerifierKey() + "\n"
	for i := range 3 {
		vkey := s.witness(t, filepath.Join(dir, fmt.Sprint(i)), i, parse(t, text[:strings.Index(text, "\n")+1]+"quorum none\n"))
		text += fmt.Sprintf("witness w%d %s %s\n", i, vkey, s.witnesses[i].URL)
	}
	s.policy = parse(t, text+"group two 2 w0 w1 w2\nquorum two\n")
	return s
}

// witness starts a witness, and returns its key.
func (s *setting) witness(t *testing.T, dir string, i int, logs *translog.Policy) string {
	t.Helper()
	key, err := witness.NewKey(signer(t, fmt.Sprintf("w.example/%d", i), byte(10+i)))
	if err != nil {
		t.Fatal(err)
	}
	if err := witness.Create(dir, key); err != nil {
		t.Fatal(err)
	}
	w, err := witness.Open(&witness.Config{Dir: dir, Key: key, Logs: logs})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(w)
	t.Cleanup(func() { server.Close(); _ = w.Close() })
	s.witnesses = append(s.witnesses, server)
	return key.VerifierKey()
}

// publish has the log cosigned when somebody waits for it, until the test ends.
func (s *setting) publish(t *testing.T) (urge func()) {
	t.Helper()
	source := tlogclient.Dir(s.logDir)
	collector, err := witness.NewCollector(&witness.CollectorConfig{
		Policy: s.policy, Proof: tlogclient.New(source, s.policy).ConsistencyHashes, Grace: -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	wanted := make(chan struct{}, 1)
	p := &witness.Publisher{
		Log: source, Policy: s.policy, Collector: collector, Wanted: wanted, Interval: time.Hour,
		Path: filepath.Join(s.logDir, tlogclient.CosignedName),
	}
	ctx, cancel := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Go(func() { _ = p.Run(ctx) })
	t.Cleanup(func() { cancel(); ended.Wait() })
	return func() {
		select {
		case wanted <- struct{}{}:
		default:
		}
	}
}

// guard makes a guard whose rule demands cosignatures of one tool, and inclusion of another.
func (s *setting) guard(t *testing.T, seconds int) *guard.Guard {
	t.Helper()
	cfg := &guard.Config{Evidence: s.ledger}
	var err error
	cc := &confirm.Config{Log: tlogclient.Dir(s.logDir), Policy: s.policy, Urge: s.publish(t)}
	if cfg.Included, err = confirm.Included(cc); err != nil {
		t.Fatal(err)
	}
	if cfg.Cosigned, err = confirm.Cosigned(cc); err != nil {
		t.Fatal(err)
	}
	if cfg.Policy, err = (&policy.Config{Enforces: cfg.EnforcedConstraints()}).Parse(fmt.Appendf(nil, `version: 1
rules:
  - {id: pay, match: {tool: pay}, anonymous: true, decision: allow_with_constraints, constraints: {cosigned_within_sec: %d}}
  - {id: read, match: {tool: read}, anonymous: true, decision: allow_with_constraints, constraints: {included_within_sec: 60}}
`, seconds)); err != nil {
		t.Fatal(err)
	}
	g, err := guard.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func call(t *testing.T, g *guard.Guard, tool string) (ran bool, err error) {
	t.Helper()
	_, err = guard.Do(t.Context(), g, guardtest.Call(tool, "{}"), func(context.Context) (int, error) {
		ran = true
		return 0, nil
	})
	return ran, err
}

// outcomes returns status and class of the outcomes in the journal.
func (s *setting) outcomes(t *testing.T) (out []string) {
	t.Helper()
	for stored, err := range evidence.ReadJournal(s.dir, 0) {
		if err != nil {
			t.Fatal(err)
		}
		e, err := evidence.ParseEntry(stored.Entry)
		if err != nil {
			t.Fatal(err)
		}
		if o := e.Record.Outcome; o != nil {
			out = append(out, strings.TrimRight(string(o.Status)+" "+o.ErrorClass, " "))
		}
	}
	return out
}

// TestQuorum: a call that a rule wants cosigned runs while one of three witnesses is dead, and no more with two of them
// dead; what only has to be in the log runs all the while, and the log goes on.
func TestQuorum(t *testing.T) {
	s := newSetting(t)
	patient := s.guard(t, 60)
	if ran, err := call(t, patient, "pay"); err != nil || !ran {
		t.Fatalf("with three witnesses: %v, ran %v", err, ran)
	}
	s.witnesses[0].Close()
	if ran, err := call(t, patient, "pay"); err != nil || !ran {
		t.Fatalf("with two witnesses: %v, ran %v", err, ran)
	}
	cosigned, err := tlogclient.New(tlogclient.Dir(s.logDir), s.policy).Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.witnesses[1].Close()
	client := tlogclient.New(tlogclient.Dir(s.logDir), s.policy)
	own := tlogclient.New(tlogclient.Dir(s.logDir), s.policy.LogsOnly())
	// The records of the end of those calls may have been cosigned since, too.
	gone, err := own.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ran, err := call(t, s.guard(t, 1), "pay")
	refusal := guard.RefusalOf(err)
	if ran || refusal.Code != guard.CodeEvidenceUnconfirmed || refusal.Cause != guard.CauseNotCosigned || refusal.EvidenceID == "" {
		t.Fatalf("with one witness: %v, ran %v", err, ran)
	}
	if ran, err := call(t, patient, "read"); err != nil || !ran {
		t.Fatalf("what has to be in the log alone: %v, ran %v", err, ran)
	}
	if err := s.ledger.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(s.outcomes(t), ", "); got != "ok, ok, error not_cosigned, ok" {
		t.Errorf("the records say %s", got)
	}
	still, err := client.Checkpoint(t.Context())
	all, errAll := own.Checkpoint(t.Context())
	if err != nil || errAll != nil || still.Size() < cosigned.Size() || still.Size() > gone.Size() || all.Size() <= gone.Size() {
		t.Errorf("%v, %v: %d entries are cosigned, at least %d of %d were when the quorum went, the log has %d",
			err, errAll, still.Size(), cosigned.Size(), gone.Size(), all.Size())
	}
}

// TestUrgePanics: an Urge that panics ends nobody's wait, and is called again.
func TestUrgePanics(t *testing.T) {
	s := newSetting(t)
	urge, calls := s.publish(t), 0
	w, err := confirm.Cosigned(&confirm.Config{Log: tlogclient.Dir(s.logDir), Policy: s.policy, Interval: time.Millisecond, Urge: func() {
		if calls++; calls <= 3 {
			panic("urge")
		}
		urge()
	}})
	if err != nil {
		t.Fatal(err)
	}
	ack, err := s.ledger.Record(t.Context(), &evidence.Draft{Decision: &evidence.Decision{
		Caller: evidence.Caller{Auth: evidence.AuthAnonymous}, Method: "tools/call", Capability: "tool", Target: "x", Kind: evidence.Deny,
		DenyReason: "TOOL_POLICY_DENIED", PolicyVersion: "none",
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := w.Confirm(ctx, ack); err != nil {
		t.Fatal(err)
	}
}

// TestManyWait: who waits together looks together.
func TestManyWait(t *testing.T) {
	s := newSetting(t)
	g := s.guard(t, 60)
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			if ran, err := call(t, g, "pay"); err != nil || !ran {
				t.Errorf("%v, ran %v", err, ran)
			}
		})
	}
	all.Wait()
}

// A lying source shows what it likes.
type lying struct {
	tlogclient.Source
	checkpoint func(context.Context) ([]byte, error)
}

func (l lying) Checkpoint(ctx context.Context) ([]byte, error) { return l.checkpoint(ctx) }

// TestNotBelieved: neither a log that has another entry there, nor one that cannot be read, nor one whose key is not that of
// the policy confirms anything.
func TestNotBelieved(t *testing.T) {
	s := newSetting(t)
	ack, err := s.ledger.Record(t.Context(), &evidence.Draft{Decision: &evidence.Decision{
		Caller: evidence.Caller{Auth: evidence.AuthAnonymous}, Method: "tools/call", Capability: "tool", Target: "x", Kind: evidence.Deny,
		DenyReason: "TOOL_POLICY_DENIED", PolicyVersion: "none",
	}})
	if err != nil {
		t.Fatal(err)
	}
	source := tlogclient.Dir(s.logDir)
	wait := func(source tlogclient.Source, p *translog.Policy, ack *evidence.Ack, patience time.Duration) error {
		t.Helper()
		w, err := confirm.Included(&confirm.Config{Log: source, Policy: p})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		return w.Confirm(ctx, ack)
	}
	if err := wait(source, s.policy, ack, time.Minute); err != nil {
		t.Fatal(err)
	}
	other := *ack
	other.LeafHash[0] ^= 1
	if err := wait(source, s.policy, &other, time.Minute); translog.CodeOf(err) != translog.CodeInclusionInvalid {
		t.Errorf("another leaf: %v", err)
	}
	stranger := parse(t, "log "+signer(t, origin, 99).VerifierKey()+"\nquorum none\n")
	const short = 300 * time.Millisecond
	if err := wait(source, stranger, ack, short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("another key: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	unread, looks := errors.New("no route"), 0
	w, err := confirm.Included(&confirm.Config{Policy: s.policy, Log: lying{source, func(context.Context) ([]byte, error) {
		if looks++; looks > 1 { // of the first it is known what came of it
			cancel()
		}
		return nil, unread
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Confirm(ctx, ack); !errors.Is(err, context.Canceled) || !errors.Is(err, unread) {
		t.Errorf("no checkpoint: %v", err)
	}
	if err := wait(lying{source, func(context.Context) ([]byte, error) { panic("source") }}, s.policy, ack, short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a panic: %v", err)
	}
	if err := wait(tlogclient.Dir(filepath.Join(s.dir, "nowhere")), s.policy, ack, short); err == nil {
		t.Error("a log that is nowhere")
	}
}

// TestConfig: what could confirm nothing is refused.
func TestConfig(t *testing.T) {
	p := parse(t, "log "+signer(t, origin, 1).VerifierKey()+"\nquorum none\n")
	source := tlogclient.Dir(t.TempDir())
	for name, c := range map[string]*confirm.Config{
		"none": nil, "no log": {Policy: p}, "no policy": {Log: source}, "negative": {Log: source, Policy: p, Interval: -1},
	} {
		if _, err := confirm.Included(c); err == nil {
			t.Errorf("%s: included", name)
		}
		if _, err := confirm.Cosigned(c); err == nil {
			t.Errorf("%s: cosigned", name)
		}
	}
	if _, err := confirm.Cosigned(&confirm.Config{Log: source, Policy: p}); err == nil {
		t.Error("a quorum of none")
	}
}

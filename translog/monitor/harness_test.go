package monitor

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
	"github.com/touchmark-dev/touchmark/translog/translogtest"
)

// A server writes the records of one stream.
type server struct {
	t      testing.TB
	did    did.DID
	key    ed25519.PrivateKey
	kid    string
	header evidence.Header
	form   evidence.LogForm
}

func newServer(t testing.TB, name string) *server {
	seed := sha256.Sum256([]byte(name))
	s := &server{t: t, did: did.MustParse("did:web:" + name), key: ed25519.NewKeyFromSeed(seed[:])}
	s.kid = s.did.String() + "#key-1"
	s.header = evidence.Header{
		Stream: evidence.NewStreamID(), Epoch: 1, Time: time.Now().UTC().Add(-time.Minute), Server: s.did,
	}
	return s
}

func (s *server) keys() evidence.Keys {
	return evidence.Keys{s.kid: s.key.Public().(ed25519.PublicKey)}
}

// sign makes the entry of a record at the server's place, changed by change, and does not move on.
func (s *server) sign(r *evidence.Record, change func(*evidence.Record)) []byte {
	s.t.Helper()
	r.Header = s.header
	r.ID = uuid.NewString()
	if r.Genesis != nil {
		r.Genesis.LogForm = s.form
	}
	if change != nil {
		change(r)
	}
	entry, err := evidence.Sign(r, s.kid, s.key)
	if err != nil {
		s.t.Fatal(err)
	}
	return entry
}

// next makes the entry of the next record.
func (s *server) next(r *evidence.Record) []byte {
	s.t.Helper()
	entry := s.sign(r, nil)
	s.follow(entry)
	return entry
}

// follow makes the server go on after an entry.
func (s *server) follow(entry []byte) {
	s.t.Helper()
	e, err := evidence.ParseEntry(entry)
	if err != nil {
		s.t.Fatal(err)
	}
	s.header.Sequence = e.Record.Sequence + 1
	s.header.Previous = e.RecordHash()
	s.header.Time = s.header.Time.Add(time.Millisecond)
}

func genesis() *evidence.Record   { return &evidence.Record{Genesis: &evidence.Genesis{}} }
func heartbeat() *evidence.Record { return &evidence.Record{} }

func decision(kind evidence.DecisionKind) *evidence.Record {
	d := &evidence.Decision{
		Caller: evidence.Caller{Auth: evidence.AuthAnonymous}, Method: "tools/call", Capability: "tool", Target: "echo",
		Kind: kind, PolicyVersion: "none", ParamsForm: evidence.ParamsTree, ParamsCommitment: evidence.Hash{1},
	}
	if !kind.Allows() {
		d.DenyReason = "TOOL_POLICY_DENIED"
	}
	return &evidence.Record{Decision: d}
}

func outcome(of *evidence.Record) *evidence.Record {
	return &evidence.Record{Outcome: &evidence.Outcome{DecisionID: of.ID, DecisionSequence: of.Sequence, Status: evidence.OutcomeOK}}
}

// records makes n records from the genesis record on: calls with outcomes.
func (s *server) records(n int) [][]byte {
	s.t.Helper()
	entries := [][]byte{s.next(genesis())}
	for len(entries) < n {
		d := decision(evidence.Allow)
		entries = append(entries, s.next(d), s.next(outcome(d)))
	}
	return entries[:n]
}

// A fixture is a log, a server that writes to it, and a monitor that follows it.
type fixture struct {
	t      testing.TB
	log    *translogtest.Log
	signer *translog.Signer
	source *liar
	server *server
	cfg    *Config
	m      *Monitor

	stream     evidence.StreamID // first of the server
	own, other shelved           // of a log of digests: the records, of the server and of others
}

// A shelved is a source of records in memory.
type shelved struct{ entries [][]byte }

func (s *shelved) source(name string) RecordSource {
	return RecordSource{Name: name, ordered: true, Read: func(from uint64) iter.Seq2[*evidence.StoredRecord, error] {
		return func(yield func(*evidence.StoredRecord, error) bool) {
			for i := from; i < uint64(len(s.entries)); i++ {
				if !yield(&evidence.StoredRecord{Sequence: i, Entry: s.entries[i]}, nil) {
					return
				}
			}
		}
	}}
}

// digests makes the log of a fixture one of digests, whose records are at hand.
func (f *fixture) digests() {
	f.t.Helper()
	f.cfg.LogForm, f.cfg.Dir = evidence.FormDigest, f.t.TempDir()
	f.cfg.Records = []RecordSource{f.own.source("own"), f.other.source("other")}
	f.server.form, f.stream = evidence.FormDigest, f.server.header.Stream
	f.reopen()
}

// keep puts a record where the monitor finds it.
func (f *fixture) keep(entry []byte) {
	e, err := evidence.ParseEntry(entry)
	if err != nil || e.Record.Stream != f.stream {
		f.other.entries = append(f.other.entries, entry)
		return
	}
	f.own.entries = append(f.own.entries, entry)
}

func newFixture(t testing.TB, change func(*Config)) *fixture {
	t.Helper()
	skey, _, err := translog.GenerateKey("log.example/monitor")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := translog.ParseSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{t: t, log: translogtest.NewLogFor(signer), signer: signer, server: newServer(t, "mcp.example.com")}
	f.source = &liar{Source: f.log.Source()}
	f.cfg = &Config{Log: f.source, Policy: f.log.Policy(), Keys: f.server.keys(), Dir: t.TempDir()}
	if change != nil {
		change(f.cfg)
	}
	f.reopen()
	t.Cleanup(func() {
		if err := f.m.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func (f *fixture) reopen() {
	f.t.Helper()
	if f.m != nil {
		if err := f.m.Close(); err != nil {
			f.t.Fatal(err)
		}
	}
	m, err := Open(f.cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	f.m = m
}

func (f *fixture) append(entries ...[]byte) {
	f.t.Helper()
	if f.cfg.LogForm == evidence.FormDigest {
		entries = slices.Clone(entries)
		for i, entry := range entries {
			f.keep(entry)
			entries[i] = f.cfg.LogForm.Leaf(entry)
		}
	}
	f.leaves(entries...)
}

// leaves appends what may be anything.
func (f *fixture) leaves(entries ...[]byte) {
	f.t.Helper()
	if _, err := f.log.Append(f.t.Context(), entries); err != nil {
		f.t.Fatal(err)
	}
}

// look returns the codes of the faults that are found, each of whose proofs must hold elsewhere.
func (f *fixture) look() []Code {
	f.t.Helper()
	report, err := f.m.Look(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	codes := []Code{}
	for _, fault := range report.Faults {
		codes = append(codes, fault.Code)
		f.check(fault)
	}
	return codes
}

func (f *fixture) check(fault *Fault) {
	f.t.Helper()
	got, err := Check(os.DirFS(filepath.Join(f.cfg.Dir, fault.Dir)), f.log.Policy(), f.cfg.Keys)
	if err != nil {
		f.t.Errorf("the proof of %s (%s) does not hold: %v", fault.Code, fault.Reason, err)
	} else if got.Code != fault.Code || got.Reason != fault.Reason {
		f.t.Errorf("the proof of %+v reads %+v", fault, got)
	}
}

func (f *fixture) want(want ...Code) {
	f.t.Helper()
	if got := f.look(); !slices.Equal(got, want) {
		f.t.Errorf("found %q, want %q", got, want)
	}
}

// A liar is a source that serves other things when it is told to.
type liar struct {
	tlogclient.Source
	checkpoint func([]byte) []byte
	entries    func(n uint64, bundle []byte) []byte
	tile       func(level, n uint64, tile []byte) []byte
}

func (l *liar) Checkpoint(ctx context.Context) ([]byte, error) {
	b, err := l.Source.Checkpoint(ctx)
	if err == nil && l.checkpoint != nil {
		b = l.checkpoint(b)
	}
	return b, err
}

func (l *liar) Entries(ctx context.Context, n uint64, partial uint8) ([]byte, error) {
	b, err := l.Source.Entries(ctx, n, partial)
	if err == nil && l.entries != nil {
		b = l.entries(n, b)
	}
	return b, err
}

func (l *liar) Tile(ctx context.Context, level, n uint64, partial uint8) ([]byte, error) {
	b, err := l.Source.Tile(ctx, level, n, partial)
	if err == nil && l.tile != nil {
		b = l.tile(level, n, b)
	}
	return b, err
}

func newKey(t testing.TB) (ed25519.PublicKey, ed25519.PrivateKey, error) {
	t.Helper()
	return ed25519.GenerateKey(nil)
}

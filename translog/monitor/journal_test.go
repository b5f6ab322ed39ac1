package monitor

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/translog/translogtest"
)

// A ledgerFixture is a fixture whose records a real ledger writes.
type ledgerFixture struct {
	*fixture
	ledger *evidence.Ledger
	now    time.Time // of the monitor
}

func newLedgerFixture(t *testing.T) *ledgerFixture {
	l := &ledgerFixture{}
	l.fixture = newFixture(t, func(cfg *Config) {
		cfg.Journal = t.TempDir()
		cfg.Time = func() time.Time { return l.now }
	})
	l.now = time.Now()
	l.open()
	t.Cleanup(func() { l.ledger.Close(context.Background()) })
	return l
}

func (l *ledgerFixture) open() {
	l.t.Helper()
	ledger, err := evidence.Open(l.t.Context(), &evidence.LedgerConfig{
		Dir: l.cfg.Journal, Server: l.server.did, Key: l.server.key, KeyID: l.server.kid, Log: l.log, Promise: true,
	})
	if err != nil {
		l.t.Fatal(err)
	}
	l.ledger = ledger
}

// record records a decision and returns the promise.
func (l *ledgerFixture) record() string {
	l.t.Helper()
	d := decision(evidence.Deny).Decision
	d.ParamsCommitment, d.ParamsForm = evidence.Hash{}, ""
	ack, err := l.ledger.Record(l.t.Context(), &evidence.Draft{Decision: d})
	if err != nil {
		l.t.Fatal(err)
	}
	return ack.Promise
}

func (l *ledgerFixture) flush() {
	l.t.Helper()
	if err := l.ledger.Flush(l.t.Context()); err != nil {
		l.t.Fatal(err)
	}
}

func TestJournal(t *testing.T) {
	l := newLedgerFixture(t)
	for range 20 {
		l.record()
	}
	l.flush()
	l.want()
	if next := l.m.journal(l.cfg.Journal).Next; next != 21 {
		t.Errorf("the journal was compared up to %d", next)
	}
}

func TestOmitted(t *testing.T) {
	l := newLedgerFixture(t)
	l.record()
	l.flush()
	l.log.BeforeAppend(func(uint64, [][]byte) error { return errors.New("the log takes nothing") })
	promise := l.record()
	l.record()
	if err := l.m.AddPromise(promise); err != nil {
		t.Fatal(err)
	}
	l.want()
	if l.m.last.Waiting != 2 {
		t.Errorf("%d records wait", l.m.last.Waiting)
	}
	l.reopen() // the promise is not forgotten
	l.now = l.now.Add(DefaultMergeDelay - time.Minute)
	l.want()
	l.now = l.now.Add(24 * time.Hour)
	l.want(CodeOmitted, CodePromiseBroken)
	l.want()
	l.log.BeforeAppend(nil)
	l.flush()
	l.want()
}

// What a server acknowledged is dropped from its journal and from the log: the promise is what is left.
func TestPromiseOfAnother(t *testing.T) {
	l := newLedgerFixture(t)
	l.record()
	l.flush()
	kept := l.log.Fork() // the log as it is before the record that is dropped
	promise := l.record()
	other := l.server
	l.flush()
	l.log, l.source.Source = kept, kept.Source()
	first, err := kept.Entry(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	e, err := evidence.ParseEntry(first)
	if err != nil {
		t.Fatal(err)
	}
	other.header = e.Record.Header
	other.follow(first)
	l.append(other.next(heartbeat()))
	if err := l.m.AddPromise(promise); err != nil {
		t.Fatal(err)
	}
	l.want(CodeJournal, Code(evidence.CodePromiseMismatch))
	l.want()
}

func TestPromiseKept(t *testing.T) {
	l := newLedgerFixture(t)
	for range 3 {
		if err := l.m.AddPromise(l.record()); err != nil {
			t.Fatal(err)
		}
	}
	l.flush()
	l.want()
	l.now = l.now.Add(48 * time.Hour)
	l.want()
	if n := len(l.m.state.Promises); n != 0 {
		t.Errorf("%d promises wait", n)
	}
}

func TestPromiseRefused(t *testing.T) {
	l := newLedgerFixture(t)
	promise := l.record()
	l.cfg.Keys = newServer(t, "other.example.com").keys()
	l.reopen()
	if err := l.m.AddPromise(promise); evidence.CodeOf(err) != evidence.CodeKeyUnknown {
		t.Errorf("a promise of an unknown key: %v", err)
	}
	if err := l.m.AddPromise("x"); evidence.CodeOf(err) != evidence.CodePromiseMalformed {
		t.Errorf("no promise at all: %v", err)
	}
	about := &evidence.Promise{
		Server: l.server.did, LeafHash: evidence.Hash{1}, Stream: evidence.NewStreamID(), LogOrigin: "log.example/other",
		IssuedAt: time.Now(), Deadline: time.Now().Add(time.Hour),
	}
	token, err := about.Sign(l.server.kid, l.server.key)
	if err != nil {
		t.Fatal(err)
	}
	l.cfg.Keys = l.server.keys()
	l.reopen()
	if err := l.m.AddPromise(token); evidence.CodeOf(err) != evidence.CodePromiseMismatch {
		t.Errorf("a promise about another log: %v", err)
	}
}

// The number that the head of a journal names, which nobody signed, ends no comparison; and the record in it is one like others.
func TestJournalHead(t *testing.T) {
	l := newLedgerFixture(t)
	l.record()
	l.flush()
	l.want()
	var last []byte
	for stored, err := range evidence.ReadJournal(l.cfg.Journal, 0) {
		if err != nil {
			t.Fatal(err)
		}
		last = stored.Entry
	}
	e, err := evidence.ParseEntry(last)
	if err != nil {
		t.Fatal(err)
	}
	// The directory that the monitor looks at has the head, and of the journal as much as it says.
	live := l.cfg.Journal
	l.cfg.Journal = t.TempDir()
	copyDir(t, live, l.cfg.Journal)
	l.reopen()
	l.want()
	look := func(entry []byte, want ...Code) {
		t.Helper()
		head := &evidence.JournalHead{Segment: 2, First: 1_000_000_000, Entry: entry, Receipt: []byte("none")}
		text, err := head.MarshalText()
		if err == nil {
			err = os.WriteFile(filepath.Join(l.cfg.Journal, "head"), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		l.wantBroken([]string{l.cfg.Journal}, want...) // there is no segment 2
		l.wantBroken([]string{l.cfg.Journal})
		if next := l.m.journal(l.cfg.Journal).Next; next != 2 {
			t.Errorf("the journal was compared up to %d", next)
		}
	}
	look(last)
	look([]byte("{}"), Code(evidence.CodeMalformed))
	l.server.header = e.Record.Header
	stranger := newServer(t, "other.example.com")
	stranger.header.Sequence, stranger.header.Previous = 999_999_999, evidence.Hash{1}
	look(stranger.sign(heartbeat(), nil), Code(evidence.CodeKeyUnknown))
	look(l.server.sign(heartbeat(), nil), CodeJournal)
	later := l.server.sign(heartbeat(), func(r *evidence.Record) { r.Sequence = 999_999_999 })
	look(later)
	l.now = l.now.Add(24 * time.Hour)
	look(later, CodeOmitted)

	if err := os.Remove(filepath.Join(l.cfg.Journal, "head")); err != nil {
		t.Fatal(err)
	}
	l.log.BeforeAppend(func(uint64, [][]byte) error { return errors.New("the log takes nothing") })
	l.record()
	copyDir(t, live, l.cfg.Journal)
	l.now = l.now.Add(24 * time.Hour)
	l.want(CodeOmitted)
	l.log.BeforeAppend(nil)
	l.flush()
}

// What is in a journal and nobody signed is told as that, and the proof holds.
func TestJournalUnsigned(t *testing.T) {
	f := newDigestFixture(t)
	f.append(f.server.records(5)...)
	f.want()
	forged := newServer(t, "other.example.com")
	forged.did, forged.kid, forged.header = f.server.did, f.server.kid, f.server.header
	f.own.entries[4] = forged.sign(heartbeat(), func(r *evidence.Record) { r.Sequence = 4 })
	f.own.entries = append(f.own.entries, forged.sign(heartbeat(), func(r *evidence.Record) { r.Time = r.Time.Add(-time.Hour) }))
	f.want(Code(evidence.CodeSignatureInvalid), Code(evidence.CodeSignatureInvalid))
	f.want()
}

// A record is in the log, and the journal lost it: a backup was restored.
func TestJournalRestored(t *testing.T) {
	l := newLedgerFixture(t)
	l.record()
	l.flush()
	backup := t.TempDir()
	copyDir(t, l.cfg.Journal, backup)
	l.record()
	l.flush()
	l.want()
	l.cfg.Journal = backup
	l.reopen()
	l.want(CodeJournal)
	l.want()
}

// The log drops a record of the journal and goes on.
func TestDropped(t *testing.T) {
	l := newLedgerFixture(t)
	var entries [][]byte
	for range 4 {
		l.record()
	}
	for stored, err := range evidence.ReadJournal(l.cfg.Journal, 0) {
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, stored.Entry)
	}
	l.flush()
	if n, err := l.log.Size(t.Context()); err != nil || n != uint64(len(entries)) {
		t.Fatalf("%d of %d entries in the log: %v", n, len(entries), err)
	}
	empty := translogtest.NewLogFor(l.signer)
	l.source.Source = empty.Source()
	if _, err := empty.Append(t.Context(), slices.Delete(entries, 2, 3)); err != nil {
		t.Fatal(err)
	}
	l.want(Code(evidence.CodeGap), CodeOmitted)
	l.want()
}

// Where a journal of a log of digests ends too early, and nobody has the record any more, no file shows which one that was: it
// is the word of the monitor.
func TestDigestJournalRestored(t *testing.T) {
	l := &ledgerFixture{now: time.Now()}
	l.fixture = newFixture(t, func(cfg *Config) {
		cfg.LogForm, cfg.Journal, cfg.Time = evidence.FormDigest, t.TempDir(), func() time.Time { return l.now }
	})
	ledger, err := evidence.Open(t.Context(), &evidence.LedgerConfig{
		Dir: l.cfg.Journal, Server: l.server.did, Key: l.server.key, KeyID: l.server.kid, Log: l.log, LogForm: evidence.FormDigest,
	})
	if err != nil {
		t.Fatal(err)
	}
	l.ledger = ledger
	t.Cleanup(func() { _ = l.ledger.Close(context.Background()) })
	l.record()
	l.flush()
	live, backup := l.cfg.Journal, t.TempDir()
	copyDir(t, live, backup)
	l.record()
	l.flush()
	l.want()
	l.cfg.Journal = backup
	l.reopen()
	l.m.state.Journals[backup] = l.m.state.Journals[live]
	report, err := l.m.Look(t.Context())
	if err != nil || len(report.Faults) != 1 || report.Faults[0].Code != CodeJournal {
		t.Fatalf("%+v, %v", report.Faults, err)
	}
	fault := report.Faults[0]
	l.check(fault)
	stream := l.m.state.Streams[0].ID.String()
	if fault.Stream != "" || fault.Sequence != nil || !strings.Contains(fault.Word, stream) || !strings.Contains(fault.Word, "record 2 ") {
		t.Errorf("%+v", fault)
	}
	l.forge(fault, func(fault *Fault) { fault.Stream, fault.Sequence = stream, at(2) })
	l.forge(fault, func(fault *Fault) { fault.Word = "" })
	l.want()
}

// copyDir copies a directory of files whose writer may be at work: what it removes meanwhile is not in the copy.
func copyDir(t *testing.T, from, to string) {
	t.Helper()
	names, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range names {
		data, err := os.ReadFile(filepath.Join(from, e.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, e.Name()), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// A real ledger that ships digests: its journal has the records. Without it a promise is found by its digest alone.
func TestDigestLedger(t *testing.T) {
	for _, bare := range []bool{false, true} {
		l := &ledgerFixture{now: time.Now()}
		journal := t.TempDir()
		l.fixture = newFixture(t, func(cfg *Config) {
			cfg.LogForm, cfg.Time = evidence.FormDigest, func() time.Time { return l.now }
			if !bare {
				cfg.Journal = journal
			}
		})
		ledger, err := evidence.Open(t.Context(), &evidence.LedgerConfig{
			Dir: journal, Server: l.server.did, Key: l.server.key, KeyID: l.server.kid, Log: l.log, LogForm: evidence.FormDigest, Promise: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		l.ledger = ledger
		t.Cleanup(func() { _ = l.ledger.Close(context.Background()) })
		kept := l.record()
		l.flush()
		l.log.BeforeAppend(func(uint64, [][]byte) error { return errors.New("the log takes nothing") })
		broken := l.record()
		for _, promise := range []string{kept, broken} {
			if err := l.m.AddPromise(promise); err != nil {
				t.Fatal(err)
			}
		}
		l.want()
		if n := len(l.m.state.Promises); n != 1 {
			t.Errorf("%d promises wait, one was kept", n)
		}
		l.reopen()
		l.now = l.now.Add(24 * time.Hour)
		if bare {
			l.want(CodePromiseBroken)
		} else {
			l.want(CodeOmitted, CodePromiseBroken)
		}
		l.want()
		l.log.BeforeAppend(nil)
		l.flush()
		l.want()
	}
}

// FuzzReadLines: what is read from a file of entries is an entry of that file, and nothing is made of a part of one.
func FuzzReadLines(f *testing.F) {
	s := newServer(f, "mcp.example.com")
	text := append(bytes.Join(s.records(3), []byte("\n")), '\n')
	f.Add(text)
	f.Add(text[:len(text)-1])
	f.Add([]byte("\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for record, err := range readLines(bytes.NewReader(text)) {
			if err != nil {
				return
			}
			if _, err := evidence.ParseEntry(record.Entry); err != nil || !bytes.Contains(text, append(record.Entry, '\n')) {
				t.Fatalf("%q: %v", record.Entry, err)
			}
		}
	})
}

package evidence

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/translogtest"
)

// wantUnavailable checks the code of an *UnavailableError.
func wantUnavailable(t testing.TB, what string, err error, code Code) {
	t.Helper()
	var u *UnavailableError
	if !errors.As(err, &u) || u.Code != code {
		t.Errorf("%s: %v, want %s", what, err, code)
	}
}

// openFails opens a ledger that must refuse.
func openFails(t testing.TB, what string, cfg *LedgerConfig, code Code) {
	t.Helper()
	l, err := Open(context.Background(), cfg)
	if err == nil {
		mustClose(t, l)
	}
	wantUnavailable(t, what, err, code)
}

// recordMany records n denials.
func recordMany(t testing.TB, l *Ledger, n int) {
	t.Helper()
	for range n {
		mustRecord(t, l, decisionDraft(Deny, "write"))
	}
}

// TestFeederRetries: a log that fails, also after it has taken a part or all of a batch, gets every entry once.
func TestFeederRetries(t *testing.T) {
	cfg, log := ledgerConfig(t)
	flaky := &flakyLog{Log: log}
	cfg.Log = flaky
	l := mustOpenLedger(t, cfg)
	for range 10 {
		recordMany(t, l, 10)
		if err := l.Flush(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	mustClose(t, l)
	if records := checkStream(t, cfg, log); len(records) != 101 {
		t.Errorf("%d records", len(records))
	}
	if size, _ := log.Size(context.Background()); size != 101 {
		t.Errorf("the log has %d entries", size)
	}
	if flaky.failed.Load() < 5 {
		t.Errorf("the log failed only %d times", flaky.failed.Load())
	}
}

// flakyLog appends a part of what it is given and reports a failure, two times of three.
type flakyLog struct {
	*translogtest.Log
	calls, failed atomic.Int64
}

func (l *flakyLog) Append(ctx context.Context, entries [][]byte) (uint64, error) {
	n := int(l.calls.Add(1))
	if n%3 == 0 {
		return l.Log.Append(ctx, entries)
	}
	l.failed.Add(1)
	if part := len(entries) * (n % 4) / 3; part > 0 {
		if _, err := l.Log.Append(ctx, entries[:part]); err != nil {
			return 0, err
		}
	}
	return 0, errors.New("the connection was lost")
}

// TestFeederAsksBeforeItRepeats: a log that took a batch, and then answers nothing for a while, gets every entry once.
func TestFeederAsksBeforeItRepeats(t *testing.T) {
	cfg, log := ledgerConfig(t)
	mute := &muteLog{Log: log}
	cfg.Log = mute
	l := mustOpenLedger(t, cfg)
	if err := l.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	mute.lost.Store(3)
	recordMany(t, l, 10)
	if err := l.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustClose(t, l)
	if n := mute.lost.Load(); n > 0 {
		t.Errorf("%d answers were not lost", n)
	}
	if size, err := log.Size(t.Context()); size != 11 || err != nil {
		t.Errorf("the log has %d entries, %v", size, err)
	}
	checkStream(t, cfg, log)
}

// A muteLog does what it is asked, and loses its next answers.
type muteLog struct {
	*translogtest.Log
	lost atomic.Int64
}

func (l *muteLog) lose(err error) error {
	if err == nil && l.lost.Add(-1) >= 0 {
		return errors.New("the connection was lost")
	}
	return err
}

func (l *muteLog) Append(ctx context.Context, entries [][]byte) (uint64, error) {
	first, err := l.Log.Append(ctx, entries)
	return first, l.lose(err)
}

func (l *muteLog) Size(ctx context.Context) (uint64, error) {
	size, err := l.Log.Size(ctx)
	return size, l.lose(err)
}

// TestBacklogIsBounded: while the log is down records are kept, then refused; outcomes of calls that were let run
// are kept all the same; when the log is back everything reaches it.
func TestBacklogIsBounded(t *testing.T) {
	for _, test := range []struct {
		name string
		set  func(cfg *LedgerConfig, clock *atomic.Int64)
		want string
	}{
		{"records", func(cfg *LedgerConfig, _ *atomic.Int64) { cfg.Backlog = 20 }, "records are not in the log"},
		{"bytes", func(cfg *LedgerConfig, _ *atomic.Int64) { cfg.BacklogBytes = 20 << 10 }, "bytes of entries"},
		{"age", func(cfg *LedgerConfig, _ *atomic.Int64) { cfg.BacklogAge = time.Minute }, "has waited"},
	} {
		cfg, log := ledgerConfig(t)
		var clock atomic.Int64
		clock.Store(1_800_000_000)
		cfg.Time = func() time.Time { return time.Unix(clock.Load(), 0) }
		test.set(cfg, &clock)
		var down atomic.Bool
		log.BeforeAppend(func(uint64, [][]byte) error {
			if down.Load() {
				return errors.New("the log is down")
			}
			return nil
		})
		l := mustOpenLedger(t, cfg)
		if err := l.Flush(context.Background()); err != nil {
			t.Fatal(err)
		}
		down.Store(true)
		open := mustRecord(t, l, decisionDraft(Allow, "read"))
		kept := 0
		var err error
		for ; err == nil && kept < 1000; kept++ {
			_, err = l.Record(context.Background(), decisionDraft(Deny, "write"))
			clock.Add(5)
		}
		wantUnavailable(t, test.name, err, CodeBacklogFull)
		if kept < 3 || kept > 40 || err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: refused after %d: %v", test.name, kept, err)
		}
		mustRecord(t, l, outcomeDraft(open))
		down.Store(false)
		if err := l.Flush(context.Background()); err != nil {
			t.Fatal(err)
		}
		mustRecord(t, l, decisionDraft(Deny, "write"))
		mustClose(t, l)
		if records := checkStream(t, cfg, log); len(records) != kept+3 {
			t.Errorf("%s: %d records, want %d", test.name, len(records), kept+3)
		}
	}
}

// TestBacklogSurvivesRestart: what could not be shipped is counted and shipped by the next ledger.
func TestBacklogSurvivesRestart(t *testing.T) {
	synctest.Test(t, testBacklogSurvivesRestart) // its time passes when there is nothing left to do
}

func testBacklogSurvivesRestart(t *testing.T) {
	cfg, log := ledgerConfig(t)
	down := errors.New("the log is down")
	log.BeforeAppend(func(uint64, [][]byte) error { return down })
	l := mustOpenLedger(t, cfg)
	recordMany(t, l, 30)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := l.Close(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "31 records are not in the log") {
		t.Errorf("closing without the log: %v", err)
	}
	cfg.Backlog = 25
	l, err := Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	_, err = l.Record(context.Background(), decisionDraft(Deny, "write"))
	wantUnavailable(t, "recording with an old backlog", err, CodeBacklogFull)
	log.BeforeAppend(nil)
	if err := l.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	recordMany(t, l, 1)
	mustClose(t, l)
	if size, _ := log.Size(context.Background()); size != 33 {
		t.Errorf("the log has %d entries", size)
	}
	checkStream(t, cfg, log)
}

// TestWaitingBacksOff: a log that is down is asked less and less often, also while somebody waits for it.
func TestWaitingBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, log := ledgerConfig(t)
		var asked atomic.Int64
		log.BeforeAppend(func(uint64, [][]byte) error {
			if asked.Add(1) > 1000 { // no time would pass
				return nil
			}
			return errors.New("the log is down")
		})
		l := mustOpenLedger(t, cfg)
		recordMany(t, l, 3)
		began := asked.Load()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := l.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("closed: %v", err)
		}
		if n := asked.Load() - began; n < 3 || n > 10 {
			t.Errorf("it was asked %d times in ten seconds", n)
		}
	})
}

// TestLogComesBackWhileSomebodyWaits: a log that was down for long is asked again soon when the ledger is about to close.
func TestLogComesBackWhileSomebodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, log := ledgerConfig(t)
		var down atomic.Bool
		log.BeforeAppend(func(uint64, [][]byte) error {
			if down.Load() {
				return errors.New("the log is down")
			}
			return nil
		})
		l := mustOpenLedger(t, cfg)
		down.Store(true)
		recordMany(t, l, 3)
		time.Sleep(5 * time.Minute)
		time.AfterFunc(time.Second, func() { down.Store(false) })
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := l.Close(ctx); err != nil {
			t.Errorf("closed: %v", err)
		}
	})
}

// TestRefusesForeignLog: a log that is not the beginning of the journal is refused, and stays as it is.
func TestRefusesForeignLog(t *testing.T) {
	ctx := context.Background()
	prepare := func() (*LedgerConfig, *translogtest.Log) {
		cfg, log := ledgerConfig(t)
		l := mustOpenLedger(t, cfg)
		recordMany(t, l, 20)
		mustClose(t, l)
		return cfg, log
	}
	t.Run("longer", func(t *testing.T) {
		cfg, log := prepare()
		if _, err := log.Append(ctx, [][]byte{[]byte("of another writer")}); err != nil {
			t.Fatal(err)
		}
		openFails(t, "a longer log", cfg, CodeLogDiverged)
	})
	t.Run("another", func(t *testing.T) {
		cfg, _ := prepare()
		other, otherLog := prepare()
		cfg.Log = otherLog
		if err := os.Remove(filepath.Join(cfg.Dir, checkpointName)); err != nil {
			t.Fatal(err)
		}
		openFails(t, "the log of another ledger", cfg, CodeLogDiverged)
		cfg.Log = other.Log
	})
	t.Run("empty after it was not", func(t *testing.T) {
		cfg, log := prepare()
		cfg.Log = forgetful{log}
		openFails(t, "a log restored from a backup", cfg, CodeLogDiverged)
	})
	t.Run("of another key", func(t *testing.T) {
		cfg, _ := prepare()
		cfg.Log = translogtest.NewLog("log.example/other")
		if _, err := Open(ctx, cfg); err == nil || !strings.Contains(err.Error(), "not one of this log") {
			t.Errorf("a log of another key: %v", err)
		}
	})
	t.Run("old journal", func(t *testing.T) {
		cfg, log := prepare()
		old := copyDir(t, cfg.Dir)
		l := mustOpenLedger(t, cfg)
		recordMany(t, l, 3)
		mustClose(t, l)
		cfg.Dir = old
		openFails(t, "a journal restored from a backup", cfg, CodeLogDiverged)
		if size, _ := log.Size(ctx); size != 25 {
			t.Errorf("the log has %d entries", size)
		}
	})
	t.Run("shared", func(t *testing.T) {
		cfg, log := ledgerConfig(t)
		l := mustOpenLedger(t, cfg)
		recordMany(t, l, 1)
		if err := l.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		second := *cfg
		second.Dir = filepath.Join(t.TempDir(), "second")
		openFails(t, "a second ledger on one log", &second, CodeLogDiverged)
		if _, err := log.Append(ctx, [][]byte{[]byte("of another writer")}); err != nil {
			t.Fatal(err)
		}
		recordMany(t, l, 1)
		if err := l.Flush(ctx); err == nil {
			t.Error("the log is shared, and the ledger has not noticed")
		}
		_, err := l.Record(ctx, decisionDraft(Deny, "write"))
		wantUnavailable(t, "recording beside a shared log", err, CodeLogDiverged)
		var diverged *DivergedError
		if !errors.As(err, &diverged) || diverged.Index != 2 {
			t.Errorf("%+v", diverged)
		}
		wantUnavailable(t, "closing", l.Close(ctx), CodeLogDiverged)
	})
}

// forgetful is a log that was restored from when it was empty.
type forgetful struct{ *translogtest.Log }

func (f forgetful) Size(context.Context) (uint64, error) { return 0, nil }

// TestKeepsCheckpoint: the checkpoint beside the journal follows the log, and is what the log signed.
func TestKeepsCheckpoint(t *testing.T) {
	cfg, log := ledgerConfig(t)
	for want := uint64(0); want < 30; want += 10 {
		log.BeforeAppend(func(uint64, [][]byte) error { return errors.New("not before the file is read") })
		l := mustOpenLedger(t, cfg)
		note, err := os.ReadFile(filepath.Join(cfg.Dir, checkpointName))
		if err != nil {
			t.Fatal(err)
		}
		cp, err := log.Policy().VerifyCheckpoint(note)
		if err != nil || cp.Size() != want {
			t.Errorf("the checkpoint is of size %d, %v, want %d", cp.Size(), err, want)
		}
		log.BeforeAppend(nil)
		recordMany(t, l, 9)
		mustClose(t, l)
	}
	if err := os.WriteFile(filepath.Join(cfg.Dir, checkpointName), []byte("not a checkpoint"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(context.Background(), cfg); err == nil {
		t.Error("a damaged checkpoint was taken")
	}
}

// forkedLog shows its fork's checkpoints.
type forkedLog struct {
	*translogtest.Log
	fork *translogtest.Log
}

func (l *forkedLog) Checkpoint(ctx context.Context) (*translog.Checkpoint, error) {
	return l.fork.Checkpoint(ctx)
}

// TestRefusesForkedLog: a log that signs another history than the one it signed before is refused.
func TestRefusesForkedLog(t *testing.T) {
	cfg, log := ledgerConfig(t)
	l := mustOpenLedger(t, cfg)
	recordMany(t, l, 3)
	if err := l.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	fork := log.Fork()
	recordMany(t, l, 1)
	mustClose(t, l)
	l = mustOpenLedger(t, cfg) // keeps a checkpoint that the fork does not have
	mustClose(t, l)
	if _, err := fork.Append(context.Background(), [][]byte{[]byte("a"), []byte("b")}); err != nil {
		t.Fatal(err)
	}
	cfg.Log = &forkedLog{log, fork}
	if _, err := Open(context.Background(), cfg); err == nil {
		t.Error("a forked log was taken")
	}
}

// panickyLog panics when it is appended to.
type panickyLog struct{ *translogtest.Log }

func (panickyLog) Append(context.Context, [][]byte) (uint64, error) { panic("the engine") }

func TestFeederPanics(t *testing.T) {
	cfg, log := ledgerConfig(t)
	cfg.Log = panickyLog{log}
	l := mustOpenLedger(t, cfg)
	<-l.feeder.done
	_, err := l.Record(context.Background(), decisionDraft(Deny, "write"))
	wantUnavailable(t, "after the feeder panicked", err, CodeLogFailed)
	if err := l.Flush(context.Background()); err == nil {
		t.Error("Flush says that the log has everything")
	}
	wantUnavailable(t, "closing", l.Close(context.Background()), CodeLogFailed)
}

// stuckLog does not return from an append.
type stuckLog struct {
	*translogtest.Log
	entered chan struct{}
	leave   chan struct{}
}

func (l *stuckLog) Append(ctx context.Context, entries [][]byte) (uint64, error) {
	close(l.entered)
	<-l.leave
	return 0, errors.New("let go")
}

// TestCloseLeavesStuckLog: Close comes back, and what is in the journal is shipped by the next ledger.
func TestCloseLeavesStuckLog(t *testing.T) {
	cfg, log := ledgerConfig(t)
	stuck := &stuckLog{log, make(chan struct{}), make(chan struct{})}
	cfg.Log = stuck
	l := mustOpenLedger(t, cfg)
	recordMany(t, l, 3)
	<-stuck.entered
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if err := l.Close(ctx); err == nil {
		t.Error("Close says that the log has everything")
	}
	cfg.Log = log
	mustClose(t, mustOpenLedger(t, cfg))
	close(stuck.leave)
	<-l.feeder.done
	if size, _ := log.Size(context.Background()); size != 5 {
		t.Errorf("the log has %d entries", size)
	}
	checkStream(t, cfg, log)
}

// slowLog takes long to say its checkpoint, and does not hear that it is to stop.
type slowLog struct {
	*translogtest.Log
	wait atomic.Int64
}

func (l *slowLog) Checkpoint(ctx context.Context) (*translog.Checkpoint, error) {
	time.Sleep(time.Duration(l.wait.Load()))
	return l.Log.Checkpoint(ctx)
}

// TestCloseWaitsForSlowLog as long as it may: who is told that the ledger is closed has a directory that nobody writes to.
func TestCloseWaitsForSlowLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, log := ledgerConfig(t)
		slow := &slowLog{Log: log}
		cfg.Log = slow
		l := mustOpenLedger(t, cfg)
		defer func() { <-l.feeder.done }()
		if err := l.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * keepInterval) // the next checkpoint is due
		slow.wait.Store(int64(2 * closeGrace))
		recordMany(t, l, 1)
		mustClose(t, l)
		select {
		case <-l.feeder.done:
		default:
			t.Error("closed, and the feeder is at work")
		}
	})
}

func TestConfigIsChecked(t *testing.T) {
	type onlyAppends struct{ translog.Appender }
	other := newTestSigner("other")
	for name, change := range map[string]func(cfg *LedgerConfig){
		"no directory":          func(cfg *LedgerConfig) { cfg.Dir = "" },
		"no server":             func(cfg *LedgerConfig) { cfg.Server = did.DID{} },
		"another server":        func(cfg *LedgerConfig) { cfg.Server = other.did },
		"no key":                func(cfg *LedgerConfig) { cfg.Key = nil },
		"no key id":             func(cfg *LedgerConfig) { cfg.KeyID = "" },
		"key of another":        func(cfg *LedgerConfig) { cfg.Key = other.key },
		"key id of another":     func(cfg *LedgerConfig) { cfg.KeyID = other.kid },
		"no log":                func(cfg *LedgerConfig) { cfg.Log = nil },
		"log without reading":   func(cfg *LedgerConfig) { cfg.Log = onlyAppends{cfg.Log} },
		"negative bound":        func(cfg *LedgerConfig) { cfg.Backlog = -1 },
		"promises, but no log":  func(cfg *LedgerConfig) { cfg.Log, cfg.AllowNoLog, cfg.Promise = nil, true, true },
		"segments of odd sizes": func(cfg *LedgerConfig) { cfg.SegmentBytes = 1 },
	} {
		cfg, _ := ledgerConfig(t)
		change(cfg)
		if l, err := Open(context.Background(), cfg); err == nil {
			t.Errorf("%s: opened", name)
			mustClose(t, l)
		}
	}
}

// TestServersKeepApart: a directory belongs to one server and its key.
func TestServersKeepApart(t *testing.T) {
	cfg, _ := ledgerConfig(t)
	mustClose(t, mustOpenLedger(t, cfg))
	other := newTestSigner("other")
	wrong := *cfg
	wrong.Key = other.key
	wrong.Server, wrong.KeyID = other.did, other.kid
	if _, err := Open(context.Background(), &wrong); err == nil || !strings.Contains(err.Error(), "each server has a directory of its own") {
		t.Errorf("another server: %v", err)
	}
	mustClose(t, mustOpenLedger(t, cfg))

	web, _ := ledgerConfig(t)
	web.Server, web.KeyID = did.MustParse("did:web:mcp.example"), "did:web:mcp.example#key-1"
	mustClose(t, mustOpenLedger(t, web))
	web.Key = other.key
	if _, err := Open(context.Background(), web); CodeOf(err) != CodeSignatureInvalid {
		t.Errorf("another key under the same id: %v", err)
	}
	web.KeyID = "did:web:mcp.example#key-2"
	mustClose(t, mustOpenLedger(t, web))
}

// TestEntriesAreWhatWasLogged compares the two ways to read a ledger.
func TestEntriesAreWhatWasLogged(t *testing.T) {
	cfg, log := ledgerConfig(t)
	l := mustOpenLedger(t, cfg)
	recordMany(t, l, 5)
	if err := l.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	next := uint64(2)
	for r, err := range l.Entries(2) {
		if err != nil {
			t.Fatal(err)
		}
		logged, err := log.Entry(context.Background(), next)
		if err != nil || r.Sequence != next || !bytes.Equal(r.Entry, logged) {
			t.Errorf("record %d is not entry %d of the log: %v", r.Sequence, next, err)
		}
		next++
	}
	if next != 6 {
		t.Errorf("read up to %d", next)
	}
	mustClose(t, l)
}

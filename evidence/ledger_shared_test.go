package evidence

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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

// Records are proven to be in a log between those of others, in both forms, through failures and restarts.
func TestShared(t *testing.T) {
	for _, form := range []LogForm{FormRecord, FormDigest} {
		cfg, log := sharedConfig(t)
		cfg.LogForm = form
		log.refuse = func(n int) error {
			if n%7 == 3 && log.again.Add(1)%3 != 0 {
				return errors.New("the connection was lost")
			}
			return nil
		}
		log.publishing(t)
		for range 3 {
			l := mustOpenLedger(t, cfg)
			recordMany(t, l, 20)
			if err := l.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			if st := l.Status(); st.Logged != st.Records || st.Waiting != 0 {
				t.Errorf("status: %+v", st)
			}
			ack := mustRecord(t, l, decisionDraft(Deny, "write"))
			if ack.Promise == "" {
				t.Error("no promise")
			}
			mustClose(t, l)
		}
		if n := log.once(t, cfg); n != 3*22 {
			t.Errorf("%d records", n)
		}
		text, err := os.ReadFile(filepath.Join(cfg.Dir, placeFile))
		if err != nil || !strings.Contains(string(text), "\nrecords 66\n") {
			t.Errorf("the place is %q: %v", text, err)
		}
	}
}

// A ledger that ends before its records are in a tree goes on from its place, and submits them again.
func TestSharedResumes(t *testing.T) {
	cfg, log := sharedConfig(t)
	l := mustOpenLedger(t, cfg)
	if _, err := os.Stat(filepath.Join(cfg.Dir, placeFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it keeps the place of a stream that may never be: %v", err)
	}
	log.publish()
	recordMany(t, l, 100)
	crash := func() {
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		defer cancel()
		if err := l.Close(ctx); err == nil {
			t.Error("closed, with records that are in no tree")
		}
	}
	for began := time.Now(); log.taken.Load() < 101 && time.Since(began) < time.Minute; time.Sleep(time.Millisecond) {
	}
	crash()
	log.publish() // after the ledger has gone
	taken := log.taken.Load()
	l = mustOpenLedger(t, cfg)
	if st := l.Status(); st.Logged < 100 {
		t.Errorf("it does not know what is in the log: %+v", st)
	}
	log.publishing(t)
	if err := l.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := log.taken.Load() - taken; n > 5 {
		t.Errorf("%d records were submitted again", n)
	}
	mustClose(t, l)

	// Without its place, it looks through the whole log.
	if err := os.Remove(filepath.Join(cfg.Dir, placeFile)); err != nil {
		t.Fatal(err)
	}
	l = mustOpenLedger(t, cfg)
	recordMany(t, l, 5)
	mustClose(t, l)
	log.once(t, cfg)
}

// What the log took and lost is submitted again, and what comes in another order than it was submitted is found.
func TestSharedLoses(t *testing.T) {
	cfg, log := sharedConfig(t)
	var clock atomic.Int64
	clock.Store(1_800_000_000_000)
	cfg.Time = func() time.Time { return time.UnixMilli(clock.Add(50)) } // a look at each turn or so
	cfg.BacklogAge = 24 * time.Hour
	l := mustOpenLedger(t, cfg)
	recordMany(t, l, 10)
	for began := time.Now(); log.taken.Load() < 11 && time.Since(began) < time.Minute; time.Sleep(time.Millisecond) {
	}
	log.mu.Lock()
	log.lose = true
	log.mu.Unlock()
	log.publish()
	log.mu.Lock()
	log.lose, log.reverse = false, true
	log.mu.Unlock()
	clock.Add((2 * resubmitAfter).Milliseconds())
	recordMany(t, l, 5) // a tree that is larger, and has not what was lost
	log.publishing(t)
	for began := time.Now(); l.Status().Logged < 16 && time.Since(began) < time.Minute; time.Sleep(10 * time.Millisecond) {
		clock.Add(time.Second.Milliseconds())
		if time.Since(began) > time.Second {
			clock.Add(resubmitAfter.Milliseconds())
			recordMany(t, l, 1)
		}
	}
	mustClose(t, l)
	log.once(t, cfg)
}

// What the log took and lost is submitted again also when the log does not grow: nobody else may write to it.
func TestSharedLosesInSilence(t *testing.T) {
	cfg, log := sharedConfig(t)
	var clock atomic.Int64
	clock.Store(1_800_000_000_000)
	cfg.Time = func() time.Time { return time.UnixMilli(clock.Load()) }
	cfg.BacklogAge = 24 * time.Hour
	l := mustOpenLedger(t, cfg)
	recordMany(t, l, 99)
	await := func(what string, done func() bool) {
		t.Helper()
		for began := time.Now(); !done(); time.Sleep(5 * time.Millisecond) {
			if time.Since(began) > time.Minute {
				t.Fatal(what)
			}
		}
	}
	await("the records do not come", func() bool { return log.taken.Load() == 100 })
	log.mu.Lock()
	clear(log.known)
	log.queue = nil
	log.mu.Unlock()
	for _, d := range []time.Duration{probeAfter - time.Second, lookInterval} { // the second look is in another turn
		looks := log.looks.Load()
		clock.Add(d.Milliseconds())
		await("no look", func() bool { return log.looks.Load() > looks })
	}
	if n := log.taken.Load(); n != 100 {
		t.Errorf("%d leaves were submitted, and nothing is late", n)
	}
	clock.Add((2 * time.Second).Milliseconds())
	await("nothing is submitted again", func() bool { return log.taken.Load() > 100 })
	if n := log.taken.Load(); n != 101 {
		t.Errorf("%d leaves were submitted again, while it is not known that they were lost", n-100)
	}
	log.publishing(t)
	await("the lost records do not come", func() bool {
		clock.Add(lookInterval.Milliseconds())
		return l.Status().Logged == 100
	})
	mustClose(t, l)
	log.once(t, cfg)
}

// Where a record is in the log is known when it is there, to whoever waits.
func TestSharedIndex(t *testing.T) {
	cfg, log := sharedConfig(t)
	log.publishing(t)
	l := mustOpenLedger(t, cfg)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			ack, err := l.Record(t.Context(), decisionDraft(Deny, "write"))
			if err != nil {
				t.Error(err)
				return
			}
			index, err := l.LogIndex(t.Context(), ack.Sequence)
			log.mu.Lock()
			defer log.mu.Unlock()
			if err != nil || index >= uint64(len(log.entries)) || Hash(translog.LeafHash(log.entries[index])) != ack.LeafHash {
				t.Errorf("record %d is said to be entry %d: %v", ack.Sequence, index, err)
			}
		})
	}
	all.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := l.LogIndex(ctx, 51); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a record that is to come: %v", err)
	}
	mustClose(t, l)
	if _, err := l.LogIndex(t.Context(), 51); err == nil {
		t.Error("a record that will not come")
	}
	l = mustOpenLedger(t, cfg)
	if _, err := l.LogIndex(t.Context(), 3); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a record of before: %v", err)
	}
	mustClose(t, l)
}

// Whoever waits for a log that fails does not make it be asked more often.
func TestSharedIndexBacksOff(t *testing.T) {
	cfg, log := sharedConfig(t)
	var tries atomic.Int64
	log.refuse = func(int) error {
		tries.Add(1)
		return errors.New("down")
	}
	l := mustOpenLedger(t, cfg)
	ack := mustRecord(t, l, decisionDraft(Deny, "write"))
	for began := time.Now(); tries.Load() < 3 && time.Since(began) < time.Minute; time.Sleep(time.Millisecond) {
	}
	for range 200 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		if _, err := l.LogIndex(ctx, ack.Sequence); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		cancel()
	}
	if n := tries.Load(); n < 3 || n > 50 {
		t.Errorf("%d submissions to a log that is down", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = l.Close(ctx) // what is not in the log is shipped another time
}

// Of a bounded number of records it is kept where they are.
func TestSharedIndexBound(t *testing.T) {
	l := &Ledger{backlog: backlog{changed: make(chan struct{})}}
	s := &sharedFeed{feeder: &feeder{ledger: l, shipped: 3 * indexBound}}
	found := make(map[uint64]uint64)
	for seq := range uint64(3 * indexBound) {
		found[seq] = seq + 7
	}
	s.tell(found)
	if _, old := l.indexes[2*indexBound-1]; old || len(l.indexes) != indexBound || l.indexes[2*indexBound] != 2*indexBound+7 {
		t.Errorf("%d indexes are kept", len(l.indexes))
	}
}

// A journal of which records were removed is that of a log that has them.
func TestSharedAfterRemoval(t *testing.T) {
	cfg, log := ledgerConfig(t)
	l := mustOpenLedger(t, cfg)
	recordLarge(t, l, 400)
	out, err := retain(t, l, time.Now().Add(time.Hour))
	if err != nil || out.Records == 0 {
		t.Fatalf("removed %+v, %v", out, err)
	}
	mustClose(t, l)
	crowded := newCrowdedLog(logSigner(t))
	cfg.Log, cfg.Shared = nil, crowded
	openFails(t, "no place", cfg, CodeLogDiverged)
	cp, err := crowded.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := (&place{stream: l.stream, records: out.First - 1, checkpoint: cp}).write(&l.cfg); err != nil {
		t.Fatal(err)
	}
	openFails(t, "a place before", cfg, CodeLogDiverged)
	if n := crowded.taken.Load(); n != 0 {
		t.Errorf("%d records were submitted", n)
	}
	cfg.Log, cfg.Shared = log, nil
	mustClose(t, mustOpenLedger(t, cfg))
}

// What the files of a journal say, but for one, is not enough to take the identity of a record that is to come; and
// a journal that has lost that file is not gone on with.
func TestSharedSecret(t *testing.T) {
	cfg, log := sharedConfig(t)
	log.publishing(t)
	l := mustOpenLedger(t, cfg)
	recordMany(t, l, 5)
	if err := l.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	bare := &Ledger{journal: l.journal}
	next := l.Status().Records
	if n, err := log.Submit(t.Context(), [][32]byte{bare.identity(next)}, [][]byte{[]byte("occupied")}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	recordMany(t, l, 5)
	if err := l.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustClose(t, l)
	before := l.identity(3)
	l = mustOpenLedger(t, cfg)
	if l.identity(3) != before || l.identity(3) == l.identity(4) {
		t.Error("the identities are others after a restart")
	}
	mustClose(t, l)
	name := filepath.Join(cfg.Dir, secretFile)
	for _, text := range []string{"", "00", strings.Repeat("0", 2*secretBytes+2), strings.Repeat("g", 2*secretBytes)} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if l, err := Open(t.Context(), cfg); err == nil {
			t.Errorf("%q is a secret", text)
			mustClose(t, l)
		}
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if l, err := Open(t.Context(), cfg); CodeOf(err) != CodeLogDiverged || !strings.Contains(err.Error(), secretFile) {
		t.Errorf("%v, of a journal without its secret", err)
		if err == nil {
			mustClose(t, l)
		}
	}
	log.once(t, cfg)
}

// A copy of a journal that has neither the place nor the secret is found out by the records that the log has, again and
// again; with its secret it is gone on with.
func TestSharedSecretLost(t *testing.T) {
	for _, reverse := range []bool{false, true} {
		cfg, log := sharedConfig(t)
		log.reverse = reverse
		l := mustOpenLedger(t, cfg)
		recordMany(t, l, 5)
		for began := time.Now(); log.taken.Load() < 6 && time.Since(began) < time.Minute; time.Sleep(time.Millisecond) {
		}
		log.publishing(t)
		if err := l.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		mustClose(t, l)
		name := filepath.Join(cfg.Dir, secretFile)
		secret, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.Remove(name), os.Remove(filepath.Join(cfg.Dir, placeFile))); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			openFails(t, "without its secret", cfg, CodeLogDiverged)
		}
		if err := os.WriteFile(name, secret, 0o600); err != nil {
			t.Fatal(err)
		}
		l = mustOpenLedger(t, cfg)
		recordMany(t, l, 5)
		mustClose(t, l)
		log.once(t, cfg)
	}

	// A journal of before there was such a log has none, and its records go there.
	cfg, log := sharedConfig(t)
	cfg.Shared, cfg.Promise, cfg.AllowNoLog = nil, false, true
	l := mustOpenLedger(t, cfg)
	recordMany(t, l, 5)
	mustClose(t, l)
	cfg.Shared, cfg.AllowNoLog = log, false
	log.publishing(t)
	mustClose(t, mustOpenLedger(t, cfg))
	if n := log.once(t, cfg); n != 7 {
		t.Errorf("%d records", n)
	}
}

// The journal of before, a log of another stream, a fork, and what is no place are refused.
func TestSharedRefused(t *testing.T) {
	signer := logSigner(t)
	cfg, _ := sharedConfig(t)
	log := newCrowdedLog(signer)
	cfg.Shared = log
	log.publishing(t)
	l := mustOpenLedger(t, cfg)
	recordMany(t, l, 10)
	if err := l.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustClose(t, l)
	backup := filepath.Join(t.TempDir(), "backup")
	if err := os.CopyFS(backup, os.DirFS(cfg.Dir)); err != nil {
		t.Fatal(err)
	}
	l = mustOpenLedger(t, cfg)
	recordMany(t, l, 10)
	mustClose(t, l)

	restored := *cfg
	restored.Dir = backup
	l = mustOpenLedger(t, &restored)
	for began := time.Now(); l.Status().Err == nil && time.Since(began) < time.Minute; time.Sleep(time.Millisecond) {
	}
	wantUnavailable(t, "a journal of before", l.Status().Err, CodeLogDiverged)
	if err := l.Close(t.Context()); err == nil {
		t.Error("closed well")
	}
	log.once(t, cfg)

	placeOf := filepath.Join(cfg.Dir, placeFile)
	text, err := os.ReadFile(placeOf)
	if err != nil {
		t.Fatal(err)
	}
	change := func(old, replacement string) string { return strings.Replace(string(text), old, replacement, 1) }
	for name, test := range map[string]struct {
		text string
		code Code
	}{
		"more records":   {change("records 2", "records 92"), CodeLogDiverged},
		"another stream": {otherStream(string(text)), CodeLogDiverged},
		"no records":     {strings.SplitAfter(string(text), "records ")[0] + "0\n" + strings.SplitN(string(text), "\n", 4)[3], ""},
		"another line":   {change("\n\n", "\nmore\n\n"), ""},
		"another form":   {change("records 2", "records 02"), ""},
		"no checkpoint":  {change("\n\n", "\n\nx"), ""},
		"nothing":        {"", ""},
	} {
		if err := os.WriteFile(placeOf, []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := Open(t.Context(), cfg)
		if err == nil {
			mustClose(t, l)
		}
		if err == nil || CodeOf(err) != test.code {
			t.Errorf("%s: %v, want %q", name, err, test.code)
		}
	}
	if err := os.WriteFile(placeOf, text, 0o600); err != nil {
		t.Fatal(err)
	}
	fork := newCrowdedLog(signer)
	for range log.entries {
		fork.queue = append(fork.queue, []byte("else"))
	}
	fork.publish()
	forked := *cfg
	forked.Shared = fork
	openFails(t, "a fork", &forked, CodeLogDiverged)

	both := *cfg
	both.Log = translogtest.NewLog("log.example/test")
	if _, err := Open(t.Context(), &both); err == nil {
		t.Error("two logs: opened")
	}
}

func otherStream(text string) string {
	lines := strings.SplitN(text, "\n", 3)
	return lines[0] + "\nstream " + NewStreamID().String() + "\n" + lines[2]
}

func FuzzParsePlace(f *testing.F) {
	log := translogtest.NewLog("log.example/test")
	cp, err := log.Checkpoint(context.Background())
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(fmt.Sprintf("%s\nstream %s\nrecords 5\n\n%s", placeLine, NewStreamID(), cp.Note())))
	f.Add([]byte(placeLine + "\n\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := parsePlace(text, log.Policy())
		if err != nil {
			return
		}
		again := fmt.Appendf(nil, "%s\nstream %s\nrecords %d\n\n%s", placeLine, p.stream, p.records, p.checkpoint.Note())
		if !bytes.Equal(again, text) {
			t.Errorf("%q is read as %q", text, again)
		}
	})
}

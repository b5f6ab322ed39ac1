package evidence

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/internal/durable"
	"github.com/touchmark-dev/touchmark/internal/durable/durabletest"
)

// A dayVault is a dummyVault with a key for each day, and can destroy them.
type dayVault struct {
	dummyVault
	mu     sync.Mutex
	keys   map[uint64]bool // by day: there is one; false: it was destroyed
	asked  int             // how often it was asked which keys were destroyed
	sealer *daySealer
}

type daySealer struct {
	dummyVault
	day uint64
}

func dayIn(t time.Time) uint64 { return uint64(t.Unix() / 86400) }

func (v *dayVault) Sealer(at time.Time) (Sealer, error) {
	if _, err := v.dummyVault.Sealer(at); err != nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.sealer == nil || v.sealer.day != dayIn(at) {
		v.sealer = &daySealer{day: dayIn(at)}
		v.keys[dayIn(at)] = true
	}
	return v.sealer, nil
}

func (s *daySealer) Seal(b []byte, start int, journal *JournalID, seq uint64) []byte {
	b = s.dummyVault.Seal(b, start, journal, seq)
	binary.LittleEndian.PutUint64(b[start+1:], s.day)
	return b
}

func (v *dayVault) Forget(before time.Time) (destroyed int, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for day := range v.keys {
		if day < dayIn(before) {
			v.keys[day] = false
		}
		if !v.keys[day] {
			destroyed++
		}
	}
	return destroyed, nil
}

// destroy is what another process does.
func (v *dayVault) destroy(day uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.keys[day] = false
}

func (v *dayVault) Erased() (func([]byte) bool, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.asked++
	gone := map[uint64]bool{}
	for day, there := range v.keys {
		gone[day] = !there
	}
	return func(sealed []byte) bool { return gone[binary.LittleEndian.Uint64(sealed[1:])] }, nil
}

// A forgetRun is a ledger of which some days were recorded in clear and the others sealed, the first on day 0. Each day
// has files of its own.
type forgetRun struct {
	testing.TB
	clock *settableClock
	cfg   *LedgerConfig
	disk  *durabletest.Disk
	vault *dayVault
}

func newForgetRun(t testing.TB) *forgetRun {
	r := &forgetRun{TB: t, clock: new(settableClock), vault: &dayVault{keys: map[uint64]bool{}}}
	r.cfg, _ = ledgerConfig(t)
	r.disk = onDisk(r.cfg)
	r.cfg.Time, r.cfg.BacklogAge = r.clock.now, 10_000*time.Hour
	return r
}

// at sets the clock to the noon of a day.
func (r *forgetRun) at(day int) { r.clock.ahead.Store(int64(day) * int64(24*time.Hour)) }

func secretOf(day int) string { return "the badge of day " + string(rune('a'+day)) }

// record records some calls on a day.
func (r *forgetRun) record(day int, vault Vault) {
	r.Helper()
	r.at(day)
	r.cfg.Vault = vault
	l := mustOpenLedger(r, r.cfg)
	for range 5 {
		d := decisionDraft(Deny, "read")
		d.Badge = secretOf(day)
		mustRecord(r, l, d)
	}
	mustClose(r, l)
}

// open opens the ledger on a day, with a retention of two days.
func (r *forgetRun) open(day int) (*Ledger, *forgetting) {
	r.Helper()
	r.at(day)
	r.cfg.Vault = r.vault
	l := mustOpenLedger(r, r.cfg)
	l.cfg.PrivateRetention = 48 * time.Hour // nobody keeps house
	return l, &forgetting{ledger: l, vault: r.vault}
}

// want checks of which days the private parts are erased from the journal.
func (r *forgetRun) want(what string, erased ...int) {
	r.Helper()
	if err := r.check(erased...); err != nil {
		r.Errorf("%s: %v", what, err)
	}
}

func (r *forgetRun) check(erased ...int) error {
	meant := map[uint64]bool{}
	for _, day := range erased {
		meant[dayIn(new(settableClock).now())+uint64(day)] = true
		for _, name := range r.disk.Names(crashDir) {
			b, err := durable.ReadFile(r.disk, filepath.Join(crashDir, name), 1<<30)
			if err != nil {
				return err
			}
			if bytes.Contains(b, []byte(secretOf(day))) {
				return errors.New("a badge that is erased is in a file")
			}
		}
	}
	for s, err := range readJournal(r.disk, crashDir, 0) {
		if err != nil {
			return err
		}
		e, err := ParseEntry(s.Entry)
		if err != nil {
			return err
		}
		if e.Record.Decision == nil {
			continue // what the ledger writes by itself may be in the last file
		}
		if got := s.private[0] == privateErased; got != meant[dayIn(e.Record.Time)] {
			return errors.New(e.Record.Time.Format("the private part of a record of 2006-01-02 is in the wrong state"))
		}
	}
	return nil
}

// TestLedgerForgets: private parts in clear and sealed ones go when they are due, or when somebody else has destroyed
// their key; what cannot be done is done when it is tried again; and the journal is not gone through when nothing is due.
func TestLedgerForgets(t *testing.T) {
	r := newForgetRun(t)
	r.record(0, nil)
	r.record(2, nil)
	r.record(3, r.vault)
	r.record(4, r.vault)
	l, f := r.open(4)
	run := func(what string, passes int, erased ...int) {
		t.Helper()
		asked := r.vault.asked
		if err := f.run(t.Context()); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if r.vault.asked != asked+passes {
			t.Errorf("%s: the journal was gone through %d times, want %d", what, r.vault.asked-asked, passes)
		}
		r.want(what, erased...)
	}
	run("clear, and older than the day before yesterday", 1, 0)
	run("nothing new", 0, 0)
	r.clock.ahead.Add(int64(11 * time.Hour))
	run("the same day", 0, 0)
	r.at(5)
	run("the next in clear", 1, 0, 2)
	r.vault.destroy(dayIn(r.clock.now()) - 1)
	run("a key that somebody else destroyed, before it is due", 1, 0, 2, 4)
	run("nothing new", 0, 0, 2, 4)

	// A compaction that fails is due again.
	r.at(6)
	r.disk.SetFault(func(op durabletest.Op) error {
		if op.Kind == durabletest.OpRename && strings.Contains(op.Name, compactName) {
			return syscall.ENOSPC
		}
		return nil
	})
	for range 2 {
		if err := f.run(t.Context()); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("a full disk: %v", err)
		}
		r.want("a full disk", 0, 2, 4)
	}
	r.disk.SetFault(nil)
	run("tried again", 1, 0, 2, 3, 4)
	mustClose(t, l)
}

// A stuckVault has a key that cannot be destroyed.
type stuckVault struct{ *dayVault }

func (v stuckVault) Forget(before time.Time) (destroyed int, err error) {
	destroyed, _ = v.dayVault.Forget(before)
	return destroyed, syscall.EACCES
}

// TestLedgerForgetsBesideAStuckKey: a key that cannot be destroyed keeps neither what is in clear nor what other keys had
// sealed, and the journal is not gone through for it again and again.
func TestLedgerForgetsBesideAStuckKey(t *testing.T) {
	r := newForgetRun(t)
	r.record(0, nil)
	r.record(1, r.vault)
	l, f := r.open(30)
	f.vault = stuckVault{r.vault}
	for range 2 {
		if err := f.run(t.Context()); !errors.Is(err, syscall.EACCES) {
			t.Errorf("got %v", err)
		}
		r.want("a key that cannot be destroyed", 0, 1)
	}
	if r.vault.asked != 1 {
		t.Errorf("the journal was gone through %d times", r.vault.asked)
	}
	mustClose(t, l)
}

// TestLedgerForgetsAtTheStart: with a retention a ledger erases what fell due while nobody had the journal open, be it in
// clear, be it under keys that others destroyed, and tells of what it cannot do.
func TestLedgerForgetsAtTheStart(t *testing.T) {
	r := newForgetRun(t)
	r.record(0, nil)
	r.record(1, r.vault)
	r.record(8, nil)
	r.record(9, r.vault)
	r.vault.destroy(dayIn(r.clock.now()) - 8)
	r.at(9)
	r.cfg.PrivateRetention = 48 * time.Hour
	notices := make(chan error, 100)
	r.cfg.Notice = func(err error) { notices <- err }
	r.disk.SetFault(func(op durabletest.Op) error {
		if strings.Contains(op.Name, compactName) {
			return syscall.EIO
		}
		return nil
	})
	l := mustOpenLedger(t, r.cfg)
	if err := <-notices; !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), "private parts") {
		t.Errorf("notice of %v", err)
	}
	mustClose(t, l)
	r.disk.SetFault(nil)
	r.want("a disk that fails")
	l = mustOpenLedger(t, r.cfg)
	for deadline := time.Now().Add(time.Minute); r.check(0, 1) != nil; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(r.check(0, 1))
		}
	}
	mustClose(t, l)
	if len(notices) > 0 {
		t.Error(<-notices)
	}
	r.want("in the end", 0, 1)
}

// TestLedgerForgetCrashes lets the power fail at every operation of erasing: each crash leaves a journal whole, in which
// what was not to be erased is as it was, and the next pass erases the rest.
func TestLedgerForgetCrashes(t *testing.T) {
	t.Parallel()
	r := newForgetRun(t)
	r.record(0, nil)
	r.record(1, r.vault)
	r.record(4, nil)
	r.record(5, r.vault)
	l, f := r.open(5)
	began := r.disk.Len()
	if err := f.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	ended := r.disk.Len()
	mustClose(t, l)
	r.want("without a crash", 0, 1)
	crashes := 0
	sample := sampling(17)
	if !soak() {
		sample.Singles, sample.Random = 1, 1
	}
	r.disk.Crashes(began, sample, func(crash *durabletest.Crash) bool {
		crashes++
		after := *r
		cfg := *r.cfg
		after.cfg, after.disk = &cfg, crash.Disk
		cfg.fs, cfg.Log, cfg.AllowNoLog = crash.Disk, nil, true
		if crash.At >= ended {
			after.want(crash.String(), 0, 1)
		}
		l, f := after.open(5)
		if err := f.run(t.Context()); err != nil {
			t.Errorf("%v: %v", crash, err)
		}
		after.want(crash.String(), 0, 1)
		mustClose(t, l)
		return !t.Failed()
	})
	t.Logf("%d operations, %d crashes", ended-began, crashes)
}

// TestLedgerDropsDestroyedKey: what the ledger keeps for outcomes that come while the vault has no key is not a key that was
// destroyed.
func TestLedgerDropsDestroyedKey(t *testing.T) {
	r := newForgetRun(t)
	l, f := r.open(0)
	first := mustRecord(t, l, decisionDraft(Allow, "read"))
	second := mustRecord(t, l, decisionDraft(Allow, "read"))
	r.vault.failing.Store(true)
	if err := f.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustRecord(t, l, outcomeDraft(first))
	r.at(4)
	if err := f.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := l.Record(context.Background(), outcomeDraft(second))
	wantUnavailable(t, "an outcome under a key that was destroyed", err, CodeVaultFailed)
	if l.sealer.Load() != nil {
		t.Error("the key is kept")
	}
	r.vault.failing.Store(false)
	mustRecord(t, l, outcomeDraft(second))
	mustClose(t, l)
}

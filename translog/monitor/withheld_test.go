package monitor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/internal/durable"
	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
)

// wantUnread is [fixture.want] of a look that cannot read all of the log.
func (f *fixture) wantUnread(want ...Code) {
	f.t.Helper()
	report, err := f.m.Look(f.t.Context())
	if !errors.As(err, new(*tlogclient.SourceError)) {
		f.t.Errorf("%v", err)
	}
	var got []Code
	for _, fault := range report.Faults {
		got = append(got, fault.Code)
		f.check(fault)
	}
	if !slices.Equal(got, want) {
		f.t.Errorf("found %q, want %q", got, want)
	}
}

// withheldFor looks each half hour, for as long as a log may withhold what it withholds already.
func (f *fixture) withheldFor(now *time.Time) {
	f.t.Helper()
	for range DefaultWithheldDelay / (30 * time.Minute) {
		*now = now.Add(30 * time.Minute)
		f.wantUnread()
	}
}

// A log that keeps back what it signed hides it from nobody for long: it is told itself.
func TestWithheld(t *testing.T) {
	now := time.Now()
	for name, withhold := range map[string]func(*fixture){
		"what is new": func(f *fixture) {
			f.source.entries = func(n uint64, bundle []byte) []byte {
				if n == 2 {
					return nil
				}
				return bundle
			}
			f.append(f.server.next(heartbeat()))
		},
		"what was read": func(f *fixture) { f.source.entries = func(uint64, []byte) []byte { return nil } },
		"what shows that the tree continues": func(f *fixture) {
			f.source.tile = func(_, _ uint64, _ []byte) []byte { return nil }
			f.append(f.server.next(heartbeat()))
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, func(cfg *Config) { cfg.Time = func() time.Time { return now } })
			f.append(f.server.records(511)...)
			f.append(f.server.next(heartbeat()))
			f.want()
			withhold(f)
			f.wantUnread()
			f.withheldFor(&now)
			f.reopen()
			f.wantUnread()
			now = now.Add(time.Second)
			f.wantUnread(CodeWithheld)
			f.wantUnread()
			f.reopen()
			f.wantUnread()
			if f.m.last.Known != 1 {
				t.Errorf("%d faults are known", f.m.last.Known)
			}
			f.source.entries, f.source.tile = nil, nil
			f.want()
			now = now.Add(time.Hour)
			withhold(f) // begins anew
			f.wantUnread()
		})
	}
}

// What is withheld of the log hides neither what is found elsewhere nor what was read, and makes nothing of it missing.
func TestWithheldHidesNothing(t *testing.T) {
	l := newLedgerFixture(t)
	l.record()
	l.flush()
	l.want()
	kept := l.record()
	l.flush()
	l.source.entries = func(uint64, []byte) []byte { return nil }
	other := &evidence.Promise{
		Server: l.server.did, LeafHash: evidence.Hash{1}, Stream: evidence.NewStreamID(), Sequence: 1, LogOrigin: l.m.origin,
		IssuedAt: l.now, Deadline: l.now.Add(time.Hour),
	}
	broken, err := other.Sign(l.server.kid, l.server.key)
	if err != nil {
		t.Fatal(err)
	}
	for _, promise := range []string{kept, broken} {
		if err := l.m.AddPromise(promise); err != nil {
			t.Fatal(err)
		}
	}
	l.wantUnread()
	l.withheldFor(&l.now)
	l.now = l.now.Add(48 * time.Hour)
	l.wantUnread(CodeWithheld, CodeWithheld) // of both entries; and neither omitted nor broken: that may be in what is not served
	l.source.entries = nil
	l.want(CodePromiseBroken)
}

// A journal that differs from what was read of the log is told whatever the log withholds.
func TestWithheldAndJournal(t *testing.T) {
	l := newLedgerFixture(t)
	l.record()
	l.flush()
	backup := t.TempDir()
	copyDir(t, l.cfg.Journal, backup)
	for range 300 {
		l.record()
	}
	l.flush()
	l.want()
	l.record()
	l.flush()
	l.source.entries = func(n uint64, bundle []byte) []byte {
		if n > 0 {
			return nil
		}
		return bundle
	}
	l.cfg.Journal = backup
	l.reopen()
	l.wantUnread(CodeJournal)
}

// What waits for records that are late is neither omitted nor a broken promise, and what is not there by then is told even
// while the log and its copies never come to an end.
func TestLateIsNotOmitted(t *testing.T) {
	f := newDigestFixture(t)
	now := time.Now()
	f.cfg.RecordDelay, f.cfg.Time = time.Hour, func() time.Time { return now }
	f.reopen()
	f.append(f.server.records(5)...)
	f.want()
	promise := func(leaf evidence.Hash, seq uint64) {
		t.Helper()
		p := &evidence.Promise{
			Server: f.server.did, LeafHash: leaf, Stream: f.stream, Sequence: seq, LogOrigin: f.m.origin,
			IssuedAt: now, Deadline: now.Add(time.Minute),
		}
		token, err := p.Sign(f.server.kid, f.server.key)
		if err == nil {
			err = f.m.AddPromise(token)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	late := f.server.next(heartbeat())
	waiting := f.server.next(heartbeat())
	promise(evidence.FormDigest.LeafHash(waiting), 6)
	promise(evidence.Hash{7}, 1_000_000)
	f.leaves(evidence.FormDigest.Leaf(late))
	f.append(waiting)
	f.want()
	now = now.Add(30 * time.Minute)
	f.want()
	f.other.entries = append(f.other.entries, late)
	f.leaves(evidence.FormDigest.Leaf(f.server.next(heartbeat()))) // late as well
	f.want()
	if f.m.state.Size != 7 || len(f.m.state.Promises) != 1 {
		t.Errorf("%d entries, %d promises", f.m.state.Size, len(f.m.state.Promises))
	}
	now = now.Add(59 * time.Minute)
	f.leaves(evidence.FormDigest.Leaf(f.server.next(heartbeat()))) // and this one
	f.want()
	now = now.Add(2 * time.Minute)
	f.want(CodeMissing, CodePromiseBroken)
	if f.m.state.Size != 8 || f.m.last.Late != 1 || !f.m.last.Complete.Equal(now.Add(-time.Hour-time.Minute)) {
		t.Errorf("%+v", f.m.last)
	}
}

// A monitor that can read nothing does not look alive.
func TestMetricsOfFailedLooks(t *testing.T) {
	now := time.Now()
	f := newFixture(t, func(cfg *Config) { cfg.Time = func() time.Time { return now } })
	gauges := func(complete time.Time, failed int) {
		t.Helper()
		var b strings.Builder
		if err := f.m.WriteMetrics(&b); err != nil {
			t.Fatal(err)
		}
		seconds := int64(0)
		if !complete.IsZero() {
			seconds = complete.Unix()
		}
		for _, want := range []string{
			fmt.Sprintf("\ntouchmark_monitor_last_look_timestamp_seconds %d\n", now.Unix()),
			fmt.Sprintf("\ntouchmark_monitor_last_complete_look_timestamp_seconds %d\n", seconds),
			fmt.Sprintf("\ntouchmark_monitor_looks_failed_total %d\n", failed),
		} {
			if !strings.Contains(b.String(), want) {
				t.Errorf("no %q in %s", want, b.String())
			}
		}
	}
	served := f.source.Source
	f.source.Source = nowhere{}
	if _, err := f.m.Look(t.Context()); err == nil {
		t.Error("nothing was served, and no error")
	}
	gauges(time.Time{}, 1)
	f.source.Source = served
	f.append(f.server.records(5)...)
	f.want()
	complete := now
	gauges(complete, 1)
	f.source.Source = nowhere{}
	for day := range 3 {
		now = now.Add(24 * time.Hour)
		if report, err := f.m.Look(t.Context()); err == nil || !report.Complete.Equal(complete) {
			t.Errorf("%+v, %v", report, err)
		}
		gauges(complete, day+2)
	}
	f.reopen()
	f.source.Source = served
	f.append(f.server.next(heartbeat()))
	f.source.entries = func(uint64, []byte) []byte { return nil }
	f.wantUnread()
	gauges(complete, 1)
	f.source.entries = nil
	f.want()
	gauges(now, 1)
	now = now.Add(time.Hour)
	f.source.tile = func(_, _ uint64, tile []byte) []byte {
		tile[0] ^= 1
		return tile
	}
	f.want(CodeTreeUnfounded)
	gauges(now, 1)
	complete, now, f.source.tile = now, now.Add(time.Hour), nil
	f.source.entries = func(uint64, []byte) []byte { return nil } // which is all read
	f.wantUnread()
	gauges(complete, 2)
	f.source.entries = nil
	f.want()
	complete = now
	older := f.m.state.Checkpoint
	f.append(f.server.next(heartbeat()))
	f.want()
	now = now.Add(time.Hour)
	f.source.checkpoint = func([]byte) []byte { return older }
	f.want(Code(translog.CodeRolledBack))
	gauges(complete, 2)
}

// A fullDisk takes no more files.
type fullDisk struct{ durable.FS }

func (fullDisk) Rename(string, string) error { return errors.New("no space left") }

// A look that could not be made durable is not complete.
func TestCompleteIsDurable(t *testing.T) {
	now := time.Now()
	f := newFixture(t, func(cfg *Config) { cfg.Time = func() time.Time { return now } })
	f.append(f.server.records(5)...)
	f.want()
	complete := now
	disk := f.m.fsys
	f.m.fsys = fullDisk{disk}
	for range 2 {
		now = now.Add(time.Hour)
		if report, err := f.m.Look(t.Context()); err == nil || !report.Complete.Equal(complete) {
			t.Errorf("%+v, %v", report, err)
		}
	}
	f.m.fsys = disk
	f.want()
	if !f.m.last.Complete.Equal(now) {
		t.Errorf("%+v", f.m.last)
	}
}

// nowhere is a source that serves nothing.
type nowhere struct{}

var errNowhere = errors.New("there is nothing")

func (nowhere) Checkpoint(context.Context) ([]byte, error)                  { return nil, errNowhere }
func (nowhere) Tile(context.Context, uint64, uint64, uint8) ([]byte, error) { return nil, errNowhere }
func (nowhere) Entries(context.Context, uint64, uint8) ([]byte, error)      { return nil, errNowhere }

// What the log cannot help, or what one look or two did not get, is not put down to it.
func TestNotWithheld(t *testing.T) {
	now := time.Now()
	f := newFixture(t, func(cfg *Config) { cfg.Time, cfg.Reread = func() time.Time { return now }, 1 })
	f.append(f.server.records(5)...)
	f.want()
	f.append(f.server.next(heartbeat()))
	f.source.entries = func(uint64, []byte) []byte { return nil }
	served := f.source.Source

	f.wantUnread()
	f.source.Source = nowhere{} // for a day
	for range 48 {
		now = now.Add(30 * time.Minute)
		f.wantUnread()
	}
	f.source.Source = served
	f.wantUnread()
	for range 4 { // the monitor looks from time to time
		now = now.Add(48 * time.Hour)
		f.reopen()
		f.wantUnread()
	}
	f.source.entries = nil
	f.want()
	if stuck := f.m.state.Stuck; len(stuck) > 0 {
		t.Errorf("%+v", stuck)
	}
}

// A log does not get more time by keeping back another thing each time, or its checkpoint now and then.
func TestWithheldInTurn(t *testing.T) {
	now := time.Now()
	f := newFixture(t, func(cfg *Config) { cfg.Time = func() time.Time { return now } })
	f.append(f.server.records(300)...)
	f.want()
	served, told := f.source.Source, 0
	for i := range 4 * int(DefaultWithheldDelay/(30*time.Minute)) {
		f.append(f.server.next(heartbeat()))
		f.source.Source, f.source.entries, f.source.tile = served, nil, nil
		switch i % 3 {
		case 0:
			f.source.entries = func(uint64, []byte) []byte { return nil }
		case 1:
			f.source.tile = func(_, _ uint64, _ []byte) []byte { return nil }
		default:
			f.source.Source = nowhere{}
		}
		report, err := f.m.Look(t.Context())
		if err == nil {
			t.Fatal("no error")
		}
		told += len(report.Faults)
		now = now.Add(30 * time.Minute)
	}
	if told != 2 || f.m.state.Size != 300 { // of what is new, and of what was read
		t.Errorf("%d told, %d entries", told, f.m.state.Size)
	}
}

// Beside what is withheld, all that the log serves is read.
func TestWithheldAmongOthers(t *testing.T) {
	f := newFixture(t, nil)
	f.append(f.server.records(1100)...)
	f.source.entries = func(n uint64, bundle []byte) []byte {
		if n == 3 {
			return nil
		}
		return bundle
	}
	f.wantUnread()
	if f.m.state.Size != 3*tlogclient.BundleWidth {
		t.Errorf("%d entries", f.m.state.Size)
	}
}

// A view that shows a larger tree, and not what shows that it is the same, hides a fork.
func TestWithheldByView(t *testing.T) {
	now := time.Now()
	f := newFixture(t, func(cfg *Config) { cfg.Time = func() time.Time { return now } })
	f.append(f.server.records(5)...)
	fork := f.log.Fork()
	if _, err := fork.Append(t.Context(), [][]byte{[]byte("another")}); err != nil {
		t.Fatal(err)
	}
	view := &liar{Source: fork.Source(), tile: func(_, _ uint64, _ []byte) []byte { return nil }}
	f.cfg.Views = []View{{Name: "elsewhere", Source: view}}
	f.reopen()
	f.wantUnread()
	f.withheldFor(&now)
	now = now.Add(time.Second)
	f.wantUnread(CodeWithheld)
	f.wantUnread()
	view.tile = nil
	f.append(f.server.next(heartbeat()))
	f.want(Code(translog.CodeForked))
}

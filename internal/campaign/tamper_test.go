//go:build linux

package campaign

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/monitor"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
)

// TestTampering tampers with a small log on each engine.
func TestTampering(t *testing.T) {
	for name, install := range map[string]func(*testing.T) *world{"Embedded": embedded, "Trillian": onTrillian} {
		t.Run(name, func(t *testing.T) {
			w := install(t)
			w.grow(150)
			w.look("monitor", nil)
			tamper(w)
		})
	}
}

// tamper does to a log, which a monitor has followed so far and found whole, what nobody may do. At its next look the monitor
// names each, and the proof holds elsewhere, with the keys alone.
func tamper(w *world) {
	w.t.Helper()
	w.look("monitor", nil)
	copyTree(w.t, w.path("monitor"), w.path("monitor.before"))
	w.save("before") // what an operator could put back later
	w.grow(10)
	w.look("monitor", nil)
	copyTree(w.t, w.path("monitor"), w.path("monitor.after"))
	copyTree(w.t, w.path("log"), w.path("honest"))
	copyTree(w.t, w.path("state"), w.path("honest.state"))
	later := w.later()

	w.step("a changed entry", func() {
		w.changeEntry(7)
		w.look("monitor.after", nil, monitor.CodeEntryChanged)
	})
	w.step("a rolled back database", func() {
		w.load("before")
		w.look("monitor.after", nil, monitor.Code(translog.CodeRolledBack))
		// The engine itself signs nothing there, as long as somebody keeps what it signed.
		copyTree(w.t, w.path("honest.state"), w.path("state"))
		if l, err := w.open(w.t.Context()); translog.CodeOf(err) != translog.CodeRolledBack {
			w.t.Errorf("a log that was rolled back: %v", err)
			if err == nil {
				w.close(l.Close)
			}
		}
	})
	w.step("a forked signer", func() {
		w.load("before")
		other := slices.Clone(later)
		for i := range other {
			other[i] = fmt.Appendf(nil, "another history, entry %d", i)
		}
		w.append(append(other, []byte("and longer")))
		w.look("monitor.after", nil, monitor.Code(translog.CodeForked))
		// Both signers at once, each with readers of its own.
		copyTree(w.t, w.path("log"), w.path("forked"))
		copyTree(w.t, w.path("honest"), w.path("log"))
		view := monitor.View{Name: "elsewhere", Source: tlogclient.Dir(w.path("forked"))}
		w.look("monitor.after", func(cfg *monitor.Config) { cfg.Views = []monitor.View{view} }, monitor.Code(translog.CodeForked))
	})
	outcome := slices.IndexFunc(later, func(entry []byte) bool { return w.parse(entry).Outcome != nil })
	w.step("a dropped record", func() {
		w.load("before")
		w.append(slices.Delete(slices.Clone(later), outcome, outcome+1))
		w.look("monitor.before", nil, monitor.Code(evidence.CodeGap), monitor.CodeOmitted)
	})
	w.step("a reordered chain", func() {
		w.load("before")
		swapped := slices.Clone(later)
		swapped[outcome], swapped[outcome+1] = swapped[outcome+1], swapped[outcome]
		w.append(swapped)
		w.look("monitor.before", nil, monitor.Code(evidence.CodeGap), monitor.Code(evidence.CodeReordered))
	})
	w.step("a repeated record", func() {
		w.load("before")
		w.append(slices.Insert(slices.Clone(later), outcome, later[outcome-1]))
		w.look("monitor.before", nil, monitor.Code(evidence.CodeDuplicate))
	})
}

// step runs one part, and says how long it took.
func (w *world) step(name string, do func()) {
	began := time.Now()
	do()
	w.t.Logf("%s: %v", name, time.Since(began).Round(time.Millisecond))
}

// grow calls a guard so often, one call after the other, and ships the records.
func (w *world) grow(calls int) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	log, err := w.open(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	ledger := w.ledger(ctx, log)
	g := guarded(w.t, ledger)
	for n := range calls {
		gr, err := g.Check(ctx, read(n))
		if err == nil {
			err = gr.Finish(ctx, guard.Outcome{Result: []byte("read")})
		}
		if err == nil && n+10 >= calls {
			err = ledger.Flush(ctx) // the outcome is before the next decision
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}
	if err := errors.Join(ledger.Close(ctx), log.Close(ctx)); err != nil {
		w.t.Fatal(err)
	}
}

// append is somebody who has the log's key and what it signed last, and appends what no server keeps.
func (w *world) append(entries [][]byte) {
	w.t.Helper()
	log, err := w.open(w.t.Context())
	if err == nil {
		_, err = log.Append(w.t.Context(), entries)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.close(log.Close)
}

func (w *world) close(end func(context.Context) error) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := end(ctx); err != nil {
		w.t.Fatal(err)
	}
}

// later returns the entries of the journal that are not in the log of before.
func (w *world) later() [][]byte {
	w.t.Helper()
	cp, err := tlogclient.New(tlogclient.Dir(w.path("before/log")), w.policy()).Checkpoint(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	var entries [][]byte
	for stored, err := range evidence.ReadJournal(w.path("journal"), cp.Size()) {
		if err != nil {
			w.t.Fatal(err)
		}
		entries = append(entries, stored.Entry)
	}
	if len(entries) < 20 {
		w.t.Fatalf("%d entries since the copy was made", len(entries))
	}
	return entries
}

func (w *world) parse(entry []byte) *evidence.Record {
	e, err := evidence.ParseEntry(entry)
	if err != nil {
		w.t.Fatal(err)
	}
	return e.Record
}

// changeEntry changes a digit of an entry where it is stored for readers.
func (w *world) changeEntry(index int) {
	w.t.Helper()
	name := w.path("log/tile/entries/000")
	bundle, err := os.ReadFile(name)
	if err != nil {
		w.t.Fatal(err)
	}
	at := 0
	for range index {
		at += 2 + int(bundle[at])<<8 + int(bundle[at+1])
	}
	bundle[at+100] ^= 1
	if err := errors.Join(os.Remove(name), os.WriteFile(name, bundle, 0o600)); err != nil {
		w.t.Fatal(err)
	}
}

// look looks once, as a monitor that knows what was kept in a directory, and wants these faults and no others.
func (w *world) look(state string, change func(*monitor.Config), want ...monitor.Code) {
	w.t.Helper()
	dir := w.path(state)
	if len(want) > 0 {
		dir = w.path("monitor.now")
		copyTree(w.t, w.path(state), dir)
	}
	cfg := w.monitorConfig(dir)
	cfg.MergeDelay = time.Nanosecond // what is in the journal must be in the log
	cfg.Reread = 1 << 20             // all of it
	if change != nil {
		change(cfg)
	}
	m, err := monitor.Open(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	report, err := m.Look(w.t.Context())
	if err = errors.Join(err, m.Close()); err != nil {
		w.t.Fatal(err)
	}
	got := []monitor.Code{}
	for _, f := range report.Faults {
		got = append(got, f.Code)
		w.checkElsewhere(filepath.Join(dir, f.Dir), f)
	}
	if !slices.Equal(got, want) {
		w.t.Errorf("found %q, want %q", got, want)
		for _, f := range report.Faults {
			w.t.Logf("%+v", f)
		}
	}
}

// checkElsewhere gives a copy of a proof to somebody who has the keys and nothing else. A changed copy shows nothing.
func (w *world) checkElsewhere(dir string, want *monitor.Fault) {
	w.t.Helper()
	elsewhere := w.t.TempDir()
	if err := os.CopyFS(elsewhere, os.DirFS(dir)); err != nil {
		w.t.Fatal(err)
	}
	got, err := monitor.Check(os.DirFS(elsewhere), w.policy(), serverKeys())
	if err != nil || got.Code != want.Code || got.Reason != want.Reason {
		w.t.Errorf("the proof of %s: %+v, %v", want.Code, got, err)
	}
	if forked := monitor.Code(translog.CodeForked); want.Code == forked && want.Word != "" {
		w.t.Errorf("the proof of %s needs the word of the monitor: %q", forked, want.Word)
	}
	name := filepath.Join(elsewhere, "entry.tlog-proof")
	note, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		name = filepath.Join(elsewhere, "checkpoint")
		note, err = os.ReadFile(name)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	note[len(note)-10] ^= 1
	if err := os.WriteFile(name, note, 0o600); err != nil {
		w.t.Fatal(err)
	}
	if _, err := monitor.Check(os.DirFS(elsewhere), w.policy(), serverKeys()); err == nil {
		w.t.Errorf("a proof of %s with another signature holds", want.Code)
	}
}

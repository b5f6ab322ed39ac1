package policy

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
)

// A recorder keeps drafts, or fails.
type recorder struct {
	mu     sync.Mutex
	drafts []*evidence.Draft
	err    error
}

func (r *recorder) Record(_ context.Context, d *evidence.Draft) (*evidence.Ack, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return nil, r.err
	}
	r.drafts = append(r.drafts, d)
	return &evidence.Ack{ID: "x"}, nil
}

func file1(tool string) string {
	return "version: 1\nrules: [{id: a, match: {tool: " + tool + "}, min_level: 1, decision: allow}]\n"
}

func TestWatcher(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rec := &recorder{}
	var rejected []error
	cfg := &WatchConfig{Path: path, Evidence: rec, BearerUnsafe: true, Rejected: func(err error) { rejected = append(rejected, err) }}
	if _, err := Watch(cfg); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	write("version: 2\n")
	if _, err := Watch(cfg); err == nil {
		t.Error("a file that is no policy was accepted")
	}
	if _, err := Watch(&WatchConfig{Path: path}); err == nil {
		t.Error("accepted without Evidence")
	}
	write(file1("one"))
	rec.err = errors.New("disk")
	if _, err := Watch(cfg); err == nil || !errors.Is(err, rec.err) {
		t.Errorf("begun without a record: %v", err)
	}
	rec.err = nil
	w, err := Watch(cfg)
	if err != nil {
		t.Fatal(err)
	}
	first := w.Version()

	write(file1("[")) // bad: the old one stays, and that is said once
	if err := w.Reload(t.Context()); err == nil || w.Version() != first {
		t.Errorf("bad file: %v, version %s", err, w.Version())
	}
	if err := w.look(t.Context(), true); err != nil || len(rejected) != 1 {
		t.Errorf("bad file again: %v, %v", err, rejected)
	}

	write(file1("two")) // a file that is being written
	if err := w.look(t.Context(), true); err != nil || w.Version() != first {
		t.Errorf("taken at first sight: %v", err)
	}
	write(file1("three"))
	if err := w.look(t.Context(), true); err != nil || w.Version() != first {
		t.Errorf("taken while it changes: %v", err)
	}
	if err := w.look(t.Context(), true); err != nil || w.Version() == first {
		t.Errorf("not taken: %v", err)
	}
	d, err := w.Decide(t.Context(), &guard.Input{Capability: guard.Capability{Kind: guard.KindTool, Name: "three"}})
	if err != nil || d.Rule != "a" || d.Version != w.Version() || w.Policy().Version() != w.Version() || w.RequireDiscoveryProof() {
		t.Errorf("%+v, %v", d, err)
	}
	want := evidence.Change{Subject: evidence.ChangePolicy, PolicyVersion: w.Version(), PreviousPolicyVersion: first, BearerUnsafe: true}
	begun := evidence.Change{Subject: evidence.ChangePolicy, PolicyVersion: first, BearerUnsafe: true}
	if len(rec.drafts) != 2 || *rec.drafts[0].Change != begun || *rec.drafts[1].Change != want {
		t.Errorf("recorded %+v", rec.drafts)
	}

	third := w.Version()
	write("# the same\n" + file1("three"))
	if err := w.Reload(t.Context()); err != nil || len(rec.drafts) != 2 || w.Version() != third {
		t.Errorf("a comment is a change: %v", err)
	}
	rec.err = errors.New("disk")
	write(file1("four"))
	if err := w.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "has no effect") || w.Version() != third {
		t.Errorf("a change without a record: %v", err)
	}
	rec.err = nil
	if err := w.look(t.Context(), true); err != nil || w.Version() == third {
		t.Errorf("not tried again: %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := w.Reload(t.Context()); !errors.Is(err, os.ErrNotExist) || w.Policy() == nil {
		t.Errorf("no file: %v", err)
	}
}

// TestWatcherRun: by time, and by signal; it ends with its context.
func TestWatcherRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(path, []byte(file1("one")), 0o600); err != nil {
		t.Fatal(err)
	}
	changed := make(chan string)
	cfg := &WatchConfig{
		Path: path, Evidence: &recorder{}, Interval: time.Millisecond,
		Changed: func(from, to *Policy) { changed <- from.Version() + to.Version() },
	}
	for _, byTime := range []bool{true, false} {
		if !byTime {
			cfg.Interval = time.Hour
		}
		w, err := Watch(cfg)
		if err != nil {
			t.Fatal(err)
		}
		before := w.Version()
		ctx, cancel := context.WithCancel(t.Context())
		signals, ended := make(chan os.Signal, 1), make(chan struct{})
		go func() { w.Run(ctx, signals); close(ended) }()
		if err := os.WriteFile(path, []byte(file1(map[bool]string{true: "two", false: "three"}[byTime])), 0o600); err != nil {
			t.Fatal(err)
		}
		if !byTime {
			signals <- os.Interrupt
		}
		if got := <-changed; got != before+w.Version() {
			t.Errorf("told %s", got)
		}
		close(signals)
		cancel()
		<-ended
	}
}

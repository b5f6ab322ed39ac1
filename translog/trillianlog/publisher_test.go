package trillianlog_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/internal/durable"
	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
	"github.com/touchmark-dev/touchmark/translog/trillianlog"
	"github.com/touchmark-dev/touchmark/translog/trillianlog/pgstate"
	"github.com/touchmark-dev/touchmark/translog/trillianlog/trilliantest"
)

// A cluster is a log with several candidates, each with a directory of its own.
type cluster struct {
	t    *testing.T
	args []publisherArgs
	run  []*process

	mu    sync.Mutex
	notes map[string]*translog.Checkpoint // that anybody was shown
}

func newCluster(t *testing.T, r *trilliantest.Trillian, n int) *cluster {
	t.Helper()
	skey, _, err := translog.GenerateKey("log.example/cluster")
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{t: t, notes: make(map[string]*translog.Checkpoint)}
	state, tree := trilliantest.Empty(t), r.SharedTree()
	for range n {
		dir := t.TempDir()
		c.args = append(c.args, publisherArgs{
			Server: r.Address, Tree: tree, Dir: filepath.Join(dir, "tiles"), StatePath: filepath.Join(dir, "trusted"),
			StateURL: state, Key: skey, Lease: 2 * time.Second, Interval: 100 * time.Millisecond,
		})
	}
	if err := trillianlog.CreateShared(t.Context(), c.config(0)); err != nil {
		t.Fatal(err)
	}
	for i := range c.args {
		c.run = append(c.run, startProcess(t, "publisher", c.args[i]))
	}
	stop := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() { c.watch(stop) })
	t.Cleanup(func() {
		close(stop)
		watching.Wait()
	})
	return c
}

func (c *cluster) config(i int) *trillianlog.Config {
	cfg, err := c.args[i].config()
	if err != nil {
		c.t.Fatal(err)
	}
	return cfg
}

// watch keeps every checkpoint that the candidates show.
func (c *cluster) watch(stop chan struct{}) {
	for {
		for i := range c.args {
			raw, err := os.ReadFile(filepath.Join(c.args[i].Dir, "checkpoint"))
			if err != nil {
				continue
			}
			c.mu.Lock()
			if c.notes[string(raw)] == nil {
				cp, err := policyOf(c.t, c.config(i)).VerifyCheckpoint(raw)
				if err != nil {
					c.t.Errorf("candidate %d shows %q: %v", i, raw, err)
				}
				c.notes[string(raw)] = cp
			}
			c.mu.Unlock()
		}
		select {
		case <-stop:
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// leader waits until one candidate signs, other than the one given, and returns it.
func (c *cluster) leader(other int) int {
	c.t.Helper()
	for began := time.Now(); time.Since(began) < patience; time.Sleep(10 * time.Millisecond) {
		for i, p := range c.run {
			if line := p.line(); i != other && line != "" && line != "0" {
				return i
			}
		}
	}
	c.t.Fatal("nobody signs")
	return 0
}

// unforked wants everything that was ever shown to be a part of what candidate i shows.
func (c *cluster) unforked(i int) {
	c.t.Helper()
	client := tlogclient.New(tlogclient.Dir(c.args[i].Dir), policyOf(c.t, c.config(i)))
	last, err := client.Checkpoint(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cp := range c.notes {
		if cp == nil || cp.Size() == 0 {
			continue
		}
		if _, err := client.Consistency(c.t.Context(), cp, last); err != nil {
			c.t.Errorf("a checkpoint of %d entries was shown, and one of %d: %v", cp.Size(), last.Size(), err)
		}
	}
	c.t.Logf("%d checkpoints, the last of %d entries", len(c.notes), last.Size())
}

// Of two publishers one is stopped and the other one takes over; the first goes on, and follows. Then the second is
// killed, the first takes over, and the second follows.
func TestPublishersTakeTurns(t *testing.T) {
	r := trilliantest.Start(t, trilliantest.PostgreSQL(t))
	c := newCluster(t, r, 2)
	s := openShared(t, c.config(0))
	want := make(map[string]bool)
	submit := func(n int) {
		for range n {
			entry := fmt.Sprintf("entry %d", len(want))
			if _, err := s.Submit(t.Context(), nil, [][]byte{[]byte(entry)}); err != nil {
				t.Fatal(err)
			}
			want[entry] = true
		}
	}
	rounds := 2
	if os.Getenv("TOUCHMARK_SOAK") != "" {
		rounds = 30
	}
	for round := range rounds {
		submit(20)
		first := c.leader(-1)
		second := 1 - first
		awaitShown(t, c.config(first), len(want))
		signal(t, c.run[first], syscall.SIGSTOP)
		submit(20)
		if got := c.leader(first); got != second {
			t.Fatalf("candidate %d signs", got)
		}
		awaitShown(t, c.config(second), len(want))
		signal(t, c.run[first], syscall.SIGCONT)
		submit(20)
		for i := range c.args { // the one that follows has what the other signs
			awaitShown(t, c.config(i), len(want))
		}
		if now := c.leader(-1); round%2 == 0 {
			c.run[now].kill()
			c.run[now] = startProcess(t, "publisher", c.args[now])
		}
	}
	submit(20)
	for i := range c.args {
		awaitShown(t, c.config(i), len(want))
		once(t, c.config(i), want)
		c.unforked(i)
	}
}

func signal(t *testing.T, p *process, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// mended has the publishers of a log that found out what was lost sign again.
func mended(t *testing.T, cfg *trillianlog.Config) {
	t.Helper()
	h, err := trillianlog.Halted(t.Context(), cfg)
	if err != nil || h == nil {
		t.Fatalf("not halted: %v", err)
	}
	if err := trillianlog.Resume(t.Context(), cfg, h.ID); err != nil {
		t.Fatal(err)
	}
}

// refused opens a publisher, runs it, and returns the verdict that ends it.
func refused(t *testing.T, cfg *trillianlog.Config) error {
	t.Helper()
	p, err := trillianlog.OpenPublisher(t.Context(), cfg)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return p.Run(ctx)
}

// What was restored from a backup is found out, whichever of database, state and memory it is, and signs no fork.
func TestRestored(t *testing.T) {
	r := trilliantest.Start(t, trilliantest.PostgreSQL(t))
	url := trilliantest.Empty(t)
	cfg := newShared(t, r, nil)
	var err error
	if cfg.State, err = pgstate.Open(url, cfg.Signer.Name()); err != nil {
		t.Fatal(err)
	}
	if err := trillianlog.CreateShared(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("begun again: %v", err)
	}
	if _, err := trillianlog.OpenPublisher(t.Context(), cfg); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a log that the state does not know: %v", err)
	}
	if _, err := cfg.State.Begin(t.Context(), read(t, cfg.StatePath)); err != nil {
		t.Fatal(err)
	}
	s := openShared(t, cfg)
	grow := func(first, n int) {
		t.Helper()
		_, stop := publish(t, cfg)
		if _, err := s.Submit(t.Context(), nil, numbered(first, n)); err != nil {
			t.Fatal(err)
		}
		awaitShown(t, cfg, first+n)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
	grow(0, 10)
	kept, err := cfg.State.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	older := backup(t, cfg)
	grow(10, 10)

	// The state is that of before: this candidate knows better.
	newest, _ := cfg.State.Read(t.Context())
	set(t, url, kept)
	if err := refused(t, cfg); translog.CodeOf(err) != translog.CodeRolledBack || !strings.Contains(err.Error(), "the state was restored") {
		t.Errorf("an old state: %v", err)
	}
	mended(t, cfg)
	if now, err := cfg.State.Read(t.Context()); err != nil || string(now) != string(newest) {
		t.Errorf("the state has %q, %v", now, err)
	}
	// It knows so even without its memory, from what it shows.
	set(t, url, kept)
	forgot := *cfg
	forgot.StatePath = filepath.Join(t.TempDir(), "trusted")
	if err := refused(t, &forgot); translog.CodeOf(err) != translog.CodeRolledBack {
		t.Errorf("an old state, no memory: %v", err)
	}
	set(t, url, newest)
	if err := refused(t, cfg); translog.CodeOf(err) != trillianlog.CodeHalted {
		t.Errorf("mended, and nobody has said so: %v", err)
	}
	mended(t, cfg)

	// The candidate is that of before: it follows what was signed since, and goes on.
	current := *cfg
	cfg.Dir, cfg.StatePath = older.Dir, older.StatePath
	grow(20, 5)
	cfg.Dir, cfg.StatePath = current.Dir, current.StatePath
	grow(25, 5)

	// The database is another one.
	restored := *cfg
	restored.Tree = r.SharedTree()
	other := openShared(t, &restored)
	if _, err := other.Submit(t.Context(), nil, numbered(100, 40)); err != nil {
		t.Fatal(err)
	}
	awaitSize(t, r, restored.Tree, 40)
	if err := refused(t, &restored); translog.CodeOf(err) != translog.CodeConsistencyInvalid {
		t.Errorf("another database: %v", err)
	}
	mended(t, cfg)
	restored.Dir, restored.StatePath = filepath.Join(t.TempDir(), "new"), filepath.Join(t.TempDir(), "trusted")
	if err := refused(t, &restored); translog.CodeOf(err) != translog.CodeConsistencyInvalid {
		t.Errorf("another database, a new directory: %v", err)
	}
	if _, err := os.Stat(filepath.Join(restored.Dir, "checkpoint")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it shows a checkpoint: %v", err)
	}
	mended(t, cfg)

	// One directory, one publisher.
	_, stop := publish(t, cfg)
	if _, err := trillianlog.OpenPublisher(t.Context(), cfg); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("opened twice: %v", err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	whole(t, cfg, 30)
}

// backup copies directory and memory of a candidate.
func backup(t *testing.T, cfg *trillianlog.Config) *trillianlog.Config {
	t.Helper()
	dir := t.TempDir()
	out := &trillianlog.Config{Dir: filepath.Join(dir, "tiles"), StatePath: filepath.Join(dir, "trusted")}
	if err := os.CopyFS(out.Dir, os.DirFS(cfg.Dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(out.StatePath, read(t, cfg.StatePath), 0o600); err != nil {
		t.Fatal(err)
	}
	return out
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// set has the database of the state hold a checkpoint, as a restored one does.
func set(t *testing.T, url string, note []byte) {
	t.Helper()
	trilliantest.Exec(t, url, "UPDATE touchmark_signed SET checkpoint = $1", note)
}

// A stopped state is what a publisher sees of its state that is stopped after it was elected, until it goes on.
type stoppedState struct {
	trillianlog.State
	mu      sync.Mutex
	stopped bool
	term    uint64
	note    []byte
	swaps   int // while it is stopped

	loses  bool // Swap does nothing
	lost   int  // so many times
	barred bool // Claim does nothing
}

func (s *stoppedState) Claim(ctx context.Context, candidate string, lease time.Duration) (uint64, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return s.term, true, nil
	}
	if s.barred {
		return 0, false, nil
	}
	term, elected, err := s.State.Claim(ctx, candidate, lease)
	s.term = term
	return term, elected, err
}

func (s *stoppedState) Read(ctx context.Context) (note []byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopped {
		s.note, err = s.State.Read(ctx)
	}
	return s.note, err
}

func (s *stoppedState) Swap(ctx context.Context, term uint64, older, newer []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		s.swaps++
	}
	if s.loses {
		s.lost++
		return trillianlog.ErrNotElected
	}
	err := s.State.Swap(ctx, term, older, newer)
	if err == nil {
		s.note = newer
	}
	return err
}

// A publisher that was stopped has tiles of a larger tree than the other one signed meanwhile. It does not show what it
// signs for an old term, and when it is elected again goes on from what the other one signed.
func TestAheadOfWhatWasSigned(t *testing.T) {
	r := trilliantest.Start(t, trilliantest.PostgreSQL(t))
	url := trilliantest.Empty(t)
	origin := newSigner(t).Name()
	openState := func() trillianlog.State {
		s, err := pgstate.Open(url, origin)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	state := &stoppedState{State: openState()}
	cfg := newShared(t, r, state)
	cfg.Lease = time.Second
	first, stopFirst := publish(t, cfg)
	s := openShared(t, cfg)
	submit := func(from int) {
		t.Helper()
		if _, err := s.Submit(t.Context(), nil, numbered(from, 5)); err != nil {
			t.Fatal(err)
		}
	}
	submit(0)
	awaitShown(t, cfg, 5)
	state.mu.Lock() // it is stopped
	submit(5)
	other := *cfg
	other.State, other.Dir, other.StatePath = openState(), filepath.Join(t.TempDir(), "tiles"), filepath.Join(t.TempDir(), "trusted")
	_, stop := publish(t, &other)
	awaitShown(t, &other, 10)
	if err := stop(); err != nil {
		t.Error(err)
	}
	submit(10)
	awaitSize(t, r, cfg.Tree, 15)
	state.stopped = true // it goes on, with what it knew
	state.mu.Unlock()
	for began := time.Now(); first.Stats().Lost == 0 && time.Since(began) < patience; time.Sleep(time.Millisecond) {
	}
	if cp := awaitShown(t, cfg, 5); cp.Size() != 5 {
		t.Errorf("it shows %d entries", cp.Size())
	}
	state.mu.Lock()
	if state.swaps == 0 {
		t.Errorf("it tried nothing: %v", stopFirst())
	}
	state.stopped = false
	state.mu.Unlock()
	submit(15)
	awaitShown(t, cfg, 20)
	whole(t, cfg, 20)
	if st := first.Stats(); st.Elections < 2 {
		t.Errorf("statistics: %+v", st)
	}
}

// A file is a state, too: the candidate that has it locked signs, and the other one waits.
func TestFileState(t *testing.T) {
	r := trilliantest.Start(t, trilliantest.PostgreSQL(t))
	cfg := newShared(t, r, nil)
	first, stop := publish(t, cfg)
	other := *cfg
	other.Dir = filepath.Join(t.TempDir(), "tiles")
	second, _ := publish(t, &other)
	if _, err := openShared(t, cfg).Submit(t.Context(), nil, numbered(0, 5)); err != nil {
		t.Fatal(err)
	}
	awaitShown(t, cfg, 5)
	awaitShown(t, &other, 5)
	if a, b := first.Stats(), second.Stats(); a.Term == 0 || b.Term != 0 {
		t.Errorf("both sign, or neither: %+v, %+v", a, b)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if _, err := openShared(t, cfg).Submit(t.Context(), nil, numbered(5, 5)); err != nil {
		t.Fatal(err)
	}
	awaitShown(t, &other, 10)
	if st := second.Stats(); st.Term == 0 {
		t.Errorf("it does not sign: %+v", st)
	}
}

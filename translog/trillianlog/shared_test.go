package trillianlog_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/trillian"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
	"github.com/touchmark-dev/touchmark/translog/trillianlog"
	"github.com/touchmark-dev/touchmark/translog/trillianlog/trilliantest"
)

// patience is how long something may last that is certain to come.
const patience = 3 * time.Minute

// newShared describes a log in a new tree that several append to, and begins it.
func newShared(t testing.TB, r *trilliantest.Trillian, state trillianlog.State) *trillianlog.Config {
	t.Helper()
	dir := t.TempDir()
	cfg := &trillianlog.Config{
		Server: r.Address, Tree: r.SharedTree(), Dir: filepath.Join(dir, "tiles"), StatePath: filepath.Join(dir, "trusted"),
		Signer: newSigner(t), State: state, CheckpointInterval: 100 * time.Millisecond, Notice: func(err error) { t.Log(err) },
	}
	if err := trillianlog.CreateShared(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	return cfg
}

func policyOf(t testing.TB, cfg *trillianlog.Config) *translog.Policy {
	t.Helper()
	policy, err := translog.ParsePolicy(fmt.Appendf(nil, "log %s\nquorum none\n", cfg.Signer.VerifierKey()))
	if err != nil {
		t.Fatal(err)
	}
	return policy
}

func openShared(t testing.TB, cfg *trillianlog.Config) *trillianlog.Shared {
	t.Helper()
	s, err := trillianlog.OpenShared(t.Context(), &trillianlog.SharedConfig{
		Server: cfg.Server, Tree: cfg.Tree, Source: tlogclient.Dir(cfg.Dir), Policy: policyOf(t, cfg),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

// publish runs a publisher until the test calls stop, which returns how it ended.
func publish(t testing.TB, cfg *trillianlog.Config) (p *trillianlog.Publisher, stop func() error) {
	t.Helper()
	p, err := trillianlog.OpenPublisher(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() { _ = stop() })
	return p, stop
}

// awaitShown waits until the log shows so many entries, and returns its checkpoint.
func awaitShown(t testing.TB, cfg *trillianlog.Config, n int) *translog.Checkpoint {
	t.Helper()
	c := tlogclient.New(tlogclient.Dir(cfg.Dir), policyOf(t, cfg))
	for began := time.Now(); time.Since(began) < patience; time.Sleep(20 * time.Millisecond) {
		if cp, err := c.Checkpoint(t.Context()); err == nil && cp.Size() >= uint64(n) {
			return cp
		}
	}
	t.Fatalf("the log does not show %d entries", n)
	return nil
}

// once wants each of these entries to be in the published log once, and nothing else.
func once(t testing.TB, cfg *trillianlog.Config, entries map[string]bool) {
	t.Helper()
	c := tlogclient.New(tlogclient.Dir(cfg.Dir), policyOf(t, cfg))
	cp, err := c.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	err = c.Scan(t.Context(), cp, 0, func(index uint64, entry []byte) error {
		if seen[string(entry)] || !entries[string(entry)] {
			t.Errorf("entry %d is %q: again, or of nobody", index, entry)
		}
		seen[string(entry)] = true
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	for entry := range entries {
		if !seen[entry] {
			t.Errorf("entry %q is lost", entry)
		}
	}
}

// Several writers append to one tree, each entry twice, and one that all of them have.
func TestSharedWriters(t *testing.T) {
	for name, db := range databases {
		t.Run(name, func(t *testing.T) {
			r := trilliantest.Start(t, db(t))
			cfg := newShared(t, r, nil)
			p, stop := publish(t, cfg)
			const writers, each = 8, 40
			want := map[string]bool{"of all": true}
			var all sync.WaitGroup
			for w := range writers {
				var entries [][]byte
				for i := range each {
					entries = append(entries, fmt.Appendf(nil, "writer %d entry %d", w, i))
					want[string(entries[i])] = true
				}
				s := openShared(t, cfg)
				all.Go(func() {
					for range 2 {
						if n, err := s.Submit(t.Context(), nil, append(entries[:each:each], []byte("of all"))); err != nil || n != each+1 {
							t.Errorf("submitted %d: %v", n, err)
						}
					}
					follow(t, s, writers*each+1)
					st := s.Stats()
					if st.Submitted != 2*(each+1) || st.Duplicates < each+1 || st.Waiting != 0 || st.Delay <= 0 || st.Failed+st.Busy > 0 {
						t.Errorf("statistics: %+v", st)
					}
				})
			}
			all.Wait()
			once(t, cfg, want)
			inOrder(t, cfg, writers)
			// Readers see a checkpoint before it is counted.
			for began := time.Now(); p.Stats().Shown != writers*each+1 && time.Since(began) < patience; time.Sleep(time.Millisecond) {
			}
			if st := p.Stats(); st.Term == 0 || st.Shown != writers*each+1 || st.Elections != 1 {
				t.Errorf("statistics: %+v", st)
			}
			var text bytes.Buffer
			if err := p.WriteMetrics(&text); err != nil || !strings.Contains(text.String(), "\ntouchmark_publisher_elected 1\n") {
				t.Errorf("metrics: %s, %v", &text, err)
			}
			if err := stop(); err != nil {
				t.Error(err)
			}
			othersRead(t, cfg, writers*each+1)
		})
	}
}

// follow continues from the empty tree until so many entries are seen.
func follow(t *testing.T, s *trillianlog.Shared, n uint64) {
	t.Helper()
	var older *translog.Checkpoint
	var next uint64
	for began := time.Now(); next < n && time.Since(began) < patience; time.Sleep(20 * time.Millisecond) {
		cp, err := s.Checkpoint(t.Context())
		if err == nil {
			err = s.Continue(t.Context(), older, cp, func(index uint64, _ [32]byte) {
				if index != next {
					t.Errorf("leaf %d, want %d", index, next)
				}
				next++
			})
			older = cp
		}
		if err != nil {
			t.Error(err)
			return
		}
	}
	if next != n {
		t.Errorf("followed %d entries, want %d", next, n)
	}
}

// inOrder wants the entries of each writer in the order of their numbers.
func inOrder(t *testing.T, cfg *trillianlog.Config, writers int) {
	t.Helper()
	c := tlogclient.New(tlogclient.Dir(cfg.Dir), policyOf(t, cfg))
	cp, err := c.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	next := make([]int, writers)
	err = c.Scan(t.Context(), cp, 0, func(_ uint64, entry []byte) error {
		var w, i int
		if n, _ := fmt.Sscanf(string(entry), "writer %d entry %d", &w, &i); n == 2 {
			if next[w] != i {
				t.Errorf("writer %d: entry %d, want %d", w, i, next[w])
			}
			next[w]++
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// A tree of the other kind is refused by everything that would write to it, and so is a frozen one.
func TestKindRefused(t *testing.T) {
	r := trilliantest.Start(t, trilliantest.PostgreSQL(t))
	one, several := newConfig(t, r), newShared(t, r, nil)
	var kind *trillianlog.KindError
	swapped := *one
	swapped.Tree = several.Tree
	if _, err := trillianlog.Open(t.Context(), &swapped); !errors.As(err, &kind) || !kind.Shared || !strings.Contains(err.Error(), "OpenShared") {
		t.Errorf("one writer, a tree of several: %v", err)
	}
	swapped = *several
	swapped.Tree = one.Tree
	if _, err := trillianlog.OpenPublisher(t.Context(), &swapped); !errors.As(err, &kind) || kind.Shared || !strings.Contains(err.Error(), "CreateSharedTree") {
		t.Errorf("a publisher for a tree of one writer: %v", err)
	}
	sc := &trillianlog.SharedConfig{Server: r.Address, Tree: one.Tree, Source: tlogclient.Dir(one.Dir), Policy: policyOf(t, one)}
	if _, err := trillianlog.OpenShared(t.Context(), sc); !errors.As(err, &kind) || kind.Shared {
		t.Errorf("several writers, a tree of one: %v", err)
	}
	for tree, want := range map[int64]bool{one.Tree: false, several.Tree: true} {
		if shared, err := trillianlog.IsShared(t.Context(), &trillianlog.Config{Server: r.Address, Tree: tree}); err != nil || shared != want {
			t.Errorf("shared: %t, %v, want %t", shared, err, want)
		}
	}
	sc.Tree = several.Tree
	_, err := trillian.NewTrillianAdminClient(connect(t, r)).UpdateTree(t.Context(), &trillian.UpdateTreeRequest{
		Tree: &trillian.Tree{TreeId: sc.Tree, TreeState: trillian.TreeState_FROZEN}, UpdateMask: trillianlog.StateMask(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := trillianlog.OpenShared(t.Context(), sc); err == nil || !strings.Contains(err.Error(), "FROZEN") {
		t.Errorf("a frozen tree: %v", err)
	}
}

func TestSharedConfigRefused(t *testing.T) {
	signer := newSigner(t)
	policy := policyOf(t, &trillianlog.Config{Signer: signer})
	good := trillianlog.SharedConfig{Server: "127.0.0.1:1", Tree: 1, Source: tlogclient.Dir("x"), Policy: policy, Timeout: time.Second}
	for name, change := range map[string]func(*trillianlog.SharedConfig){
		"no server":       func(c *trillianlog.SharedConfig) { c.Server = "" },
		"no tree":         func(c *trillianlog.SharedConfig) { c.Tree = 0 },
		"no source":       func(c *trillianlog.SharedConfig) { c.Source = nil },
		"no policy":       func(c *trillianlog.SharedConfig) { c.Policy = nil },
		"negative bound":  func(c *trillianlog.SharedConfig) { c.InFlight = -1 },
		"negative time":   func(c *trillianlog.SharedConfig) { c.Timeout = -1 },
		"another machine": func(c *trillianlog.SharedConfig) { c.Server = "192.0.2.1:8090" },
		"nobody there":    func(*trillianlog.SharedConfig) {},
	} {
		c := good
		change(&c)
		if _, err := trillianlog.OpenShared(t.Context(), &c); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
	if _, err := trillianlog.OpenShared(t.Context(), nil); err == nil {
		t.Error("no config: opened")
	}
}

// A Trillian that has no room, or something else under an entry's hash, or fails, takes nothing.
func TestSubmitRefused(t *testing.T) {
	f := &fakeLog{}
	cfg := &trillianlog.Config{Server: f.serve(t), Tree: 1, Dir: t.TempDir(), Signer: newSigner(t)}
	s := openShared(t, cfg)
	for name, test := range map[string]struct {
		answer *trillian.QueueLeafResponse
		err    error
		check  func(error) bool
	}{
		"no room": {err: status.Error(codes.ResourceExhausted, "quota"), check: func(err error) bool {
			var busy *trillianlog.BusyError
			return errors.As(err, &busy)
		}},
		"no answer":     {err: status.Error(codes.Unavailable, "down"), check: func(err error) bool { return status.Code(err) == codes.Unavailable }},
		"another entry": {answer: queued(codes.AlreadyExists, "else"), check: func(err error) bool { return translog.CodeOf(err) == translog.CodeForked }},
		"a refusal":     {answer: queued(codes.Internal, ""), check: func(err error) bool { return err != nil }},
	} {
		f.queue = func(*trillian.QueueLeafRequest) (*trillian.QueueLeafResponse, error) { return test.answer, test.err }
		if n, err := s.Submit(t.Context(), nil, [][]byte{[]byte("entry"), []byte("next")}); n != 0 || !test.check(err) {
			t.Errorf("%s: %d taken, %v", name, n, err)
		}
	}
	if n, err := s.Submit(t.Context(), make([][32]byte, 2), [][]byte{[]byte("entry")}); n != 0 || err == nil {
		t.Errorf("two identities of one entry: %d taken", n)
	}
	if n, err := s.Submit(t.Context(), nil, [][]byte{{}}); n != 0 || translog.CodeOf(err) != translog.CodeEntryInvalid {
		t.Errorf("an empty entry: %v", err)
	}
	if st := s.Stats(); st.Busy != 1 || st.Failed != 3 || st.Submitted != 0 {
		t.Errorf("statistics: %+v", st)
	}
	var text bytes.Buffer
	if err := s.WriteMetrics(&text); err != nil || !strings.Contains(text.String(), "\ntouchmark_log_busy_total 1\n") {
		t.Errorf("metrics: %s, %v", &text, err)
	}
}

// No more than InFlight entries are under way at once.
func TestInFlight(t *testing.T) {
	release := make(chan struct{})
	var mu sync.Mutex
	running, most := 0, 0
	f := &fakeLog{queue: func(*trillian.QueueLeafRequest) (*trillian.QueueLeafResponse, error) {
		mu.Lock()
		running++
		most = max(most, running)
		mu.Unlock()
		<-release
		mu.Lock()
		running--
		mu.Unlock()
		return queued(codes.OK, ""), nil
	}}
	cfg := &trillianlog.Config{Server: f.serve(t), Tree: 1, Dir: t.TempDir(), Signer: newSigner(t)}
	s, err := trillianlog.OpenShared(t.Context(), &trillianlog.SharedConfig{
		Server: cfg.Server, Tree: 1, Source: tlogclient.Dir(cfg.Dir), Policy: policyOf(t, cfg), InFlight: 3,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(t.Context())
	var all sync.WaitGroup
	for i := range 10 {
		all.Go(func() {
			if _, err := s.Submit(t.Context(), nil, [][]byte{fmt.Appendf(nil, "entry %d", i)}); err != nil {
				t.Error(err)
			}
		})
	}
	arrived := func() int {
		mu.Lock()
		defer mu.Unlock()
		return running
	}
	for began := time.Now(); arrived() < 3 && time.Since(began) < patience; time.Sleep(time.Millisecond) {
	}
	if n := s.Stats().InFlight; n != 3 {
		t.Errorf("%d are under way", n)
	}
	ended, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Submit(ended, nil, [][]byte{[]byte("one more")}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("beyond the bound: %v", err)
	}
	close(release)
	all.Wait()
	if most != 3 {
		t.Errorf("%d at once", most)
	}
}

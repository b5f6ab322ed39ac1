package trillianlog_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/trillian"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/touchmark-dev/touchmark/internal/durable"
	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
	"github.com/touchmark-dev/touchmark/translog/trillianlog"
	"github.com/touchmark-dev/touchmark/translog/trillianlog/trilliantest"
)

func closeLog(t testing.TB, l *trillianlog.Log) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := l.Close(ctx); err != nil {
		t.Fatal(err)
	}
}

func numbered(first, n int) [][]byte {
	entries := make([][]byte, n)
	for i := range entries {
		entries[i] = fmt.Appendf(nil, "entry %d", first+i)
	}
	return entries
}

func mustAppend(t testing.TB, l *trillianlog.Log, entries [][]byte) {
	t.Helper()
	size, err := l.Size(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if first, err := l.Append(t.Context(), entries); err != nil || first != size {
		t.Fatalf("appended at %d, want %d: %v", first, size, err)
	}
}

// whole wants every entry to be in the published log, read as a stranger does.
func whole(t testing.TB, cfg *trillianlog.Config, n int) {
	t.Helper()
	policy, err := translog.ParsePolicy(fmt.Appendf(nil, "log %s\nquorum none\n", cfg.Signer.VerifierKey()))
	if err != nil {
		t.Fatal(err)
	}
	c := tlogclient.New(tlogclient.Dir(cfg.Dir), policy)
	cp, err := c.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if cp.Size() != uint64(n) {
		t.Fatalf("published %d entries, want %d", cp.Size(), n)
	}
	err = c.Scan(t.Context(), cp, 0, func(index uint64, entry []byte) error {
		if want := fmt.Sprintf("entry %d", index); string(entry) != want {
			return fmt.Errorf("entry %d is %q", index, entry)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestReopened(t *testing.T) {
	r := trilliantest.Start(t, trilliantest.PostgreSQL(t))
	cfg := newConfig(t, r)
	for i := range 4 {
		l := open(t, cfg)
		mustAppend(t, l, numbered(i*300, 300))
		closeLog(t, l)
	}
	whole(t, cfg, 1200)

	// The tiles are lost, all of them or some: they are made again.
	for _, name := range []string{"", "tile/1", "tile/entries"} {
		if err := os.RemoveAll(filepath.Join(cfg.Dir, name)); err != nil {
			t.Fatal(err)
		}
		closeLog(t, open(t, cfg))
		whole(t, cfg, 1200)
	}

	// A second Log, here or elsewhere.
	l := open(t, cfg)
	if _, err := trillianlog.Open(t.Context(), cfg); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("opened twice: %v", err)
	}
	other := *cfg
	other.Dir = t.TempDir()
	if _, err := trillianlog.Open(t.Context(), &other); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("another directory, the same state: %v", err)
	}
	closeLog(t, l)
	if _, err := l.Append(t.Context(), numbered(0, 1)); !errors.Is(err, trillianlog.ErrClosed) {
		t.Errorf("appended to a closed log: %v", err)
	}

	// The state of before is no harm: what was signed since continues it. A lost one is not begun again.
	if err := os.Remove(cfg.StatePath); err != nil {
		t.Fatal(err)
	}
	if _, err := trillianlog.Open(t.Context(), cfg); err == nil {
		t.Error("opened without a state")
	}
	if err := trillianlog.Create(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "1200 entries") {
		t.Errorf("begun again: %v", err)
	}
}

// The tree is another one than was signed: the database was restored, or somebody else appends.
func TestDiverged(t *testing.T) {
	r := trilliantest.Start(t, trilliantest.PostgreSQL(t))
	cfg := newConfig(t, r)
	l := open(t, cfg)
	mustAppend(t, l, numbered(0, 10))
	closeLog(t, l)

	restored := *cfg
	restored.Tree = r.Tree()
	if _, err := trillianlog.Open(t.Context(), &restored); translog.CodeOf(err) != translog.CodeRolledBack {
		t.Errorf("a database of before: %v", err)
	}
	if err := send(t, r, restored.Tree, 0, numbered(100, 12)); err != nil {
		t.Fatal(err)
	}
	awaitSize(t, r, restored.Tree, 12)
	if _, err := trillianlog.Open(t.Context(), &restored); translog.CodeOf(err) != translog.CodeConsistencyInvalid {
		t.Errorf("other entries: %v", err)
	}
	restored.Dir = t.TempDir() // made again from the database
	if _, err := trillianlog.Open(t.Context(), &restored); translog.CodeOf(err) == "" {
		t.Errorf("other entries, without tiles: %v", err)
	}

	notSignedFor(t, r)

	// Somebody else takes the next place while the log is open.
	l = open(t, cfg)
	defer closeLogAnyhow(l)
	if err := send(t, r, cfg.Tree, 10, numbered(500, 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(t.Context(), numbered(10, 1)); translog.CodeOf(err) != translog.CodeForked {
		t.Errorf("a place that is taken: %v", err)
	}
	_, err := l.Append(t.Context(), numbered(10, 1))
	switch code := translog.CodeOf(err); code {
	case translog.CodeForked, translog.CodeConsistencyInvalid: // the latter if it was to be signed meanwhile
	default:
		t.Errorf("appended after that: %v", err)
	}
}

// notSignedFor has somebody else append an entry behind the last one of an open log, a copy of it. It is not signed until
// the log appends the same.
func notSignedFor(t *testing.T, r *trilliantest.Trillian) {
	t.Helper()
	cfg := newConfig(t, r)
	var told notices
	cfg.Notice = told.add
	l := open(t, cfg)
	mustAppend(t, l, numbered(0, 3))
	if _, err := l.AwaitPublished(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if err := send(t, r, cfg.Tree, 3, numbered(3, 1)); err != nil {
		t.Fatal(err)
	}
	awaitSize(t, r, cfg.Tree, 4)
	for began := time.Now(); !told.have("somebody else writes"); time.Sleep(time.Millisecond) {
		if time.Since(began) > patience {
			t.Fatal("nobody is told")
		}
	}
	whole(t, cfg, 3)
	mustAppend(t, l, numbered(3, 2))
	closeLog(t, l)
	whole(t, cfg, 5)
}

func closeLogAnyhow(l *trillianlog.Log) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_ = l.Close(ctx) // says why it failed
}

// Entries that are sent again are there once.
func TestSentAgain(t *testing.T) {
	for name, db := range databases {
		t.Run(name, func(t *testing.T) {
			r := trilliantest.Start(t, db(t))
			cfg := newConfig(t, r)
			l := open(t, cfg)
			mustAppend(t, l, numbered(0, 5))
			closeLog(t, l)
			// A process sent these and died before it heard of it, with the signer down or not.
			r.Kill(r.Signer())
			if err := send(t, r, cfg.Tree, 5, numbered(5, 700)); err != nil {
				t.Fatal(err)
			}
			l = open(t, cfg)
			if size, err := l.Size(t.Context()); err != nil || size != 705 {
				t.Fatalf("size %d: %v", size, err)
			}
			closing := make(chan error, 1)
			go func() {
				entry, err := l.Entry(t.Context(), 704)
				if err == nil && string(entry) != "entry 704" {
					err = fmt.Errorf("entry 704 is %q", entry)
				}
				closing <- err
			}()
			r.Run(r.Signer())
			if err := <-closing; err != nil {
				t.Error(err)
			}
			mustAppend(t, l, numbered(705, 3))
			closeLog(t, l)
			whole(t, cfg, 708)
		})
	}
}

// Server and signer are killed while entries are appended. What was acknowledged is there once, in its order.
func TestKilled(t *testing.T) {
	r := trilliantest.Start(t, trilliantest.PostgreSQL(t))
	cfg := newConfig(t, r)
	cfg.Timeout = 5 * time.Second
	cfg.Notice = func(error) {}
	l := open(t, cfg)
	rounds := 4
	if os.Getenv("TOUCHMARK_SOAK") != "" {
		rounds = 50
	}
	n := 0
	for i := range rounds {
		program := []string{r.Server(), r.Signer()}[i%2]
		killed := make(chan struct{})
		go func() {
			defer close(killed)
			time.Sleep(time.Duration(20+i*7%90) * time.Millisecond)
			r.Kill(program)
			time.Sleep(100 * time.Millisecond)
			r.Run(program)
		}()
		until(t, killed, func() { n += appendSome(t, l, n) })
		n += appendSome(t, l, n)
	}
	closeLog(t, l)
	whole(t, cfg, n)
}

func until(t *testing.T, done <-chan struct{}, do func()) {
	t.Helper()
	for {
		select {
		case <-done:
			return
		default:
			do()
		}
	}
}

// appendSome appends entries from number n on, until it is known that they are there: as a ledger does.
func appendSome(t *testing.T, l *trillianlog.Log, n int) int {
	t.Helper()
	const some = 20
	for began := time.Now(); time.Since(began) < patience; {
		size, err := l.Size(t.Context())
		if err != nil {
			time.Sleep(20 * time.Millisecond)
			continue
		}
		if int(size) < n || int(size) > n+some {
			t.Fatalf("%d entries, %d were acknowledged", size, n)
		}
		if int(size) == n+some {
			return some
		}
		if _, err := l.Append(t.Context(), numbered(int(size), n+some-int(size))); err == nil {
			return some
		}
	}
	t.Fatal("nothing can be appended")
	return 0
}

func connect(t *testing.T, r *trilliantest.Trillian) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(r.Address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// send appends behind the back of a Log.
func send(t *testing.T, r *trilliantest.Trillian, tree int64, first int, entries [][]byte) error {
	t.Helper()
	var leaves []*trillian.LogLeaf
	for i, e := range entries {
		leaves = append(leaves, &trillian.LogLeaf{
			LeafValue: e, LeafIndex: int64(first + i), LeafIdentityHash: trillianlog.Identity(uint64(first+i), e),
		})
	}
	_, err := trillian.NewTrillianLogClient(connect(t, r)).AddSequencedLeaves(t.Context(), &trillian.AddSequencedLeavesRequest{LogId: tree, Leaves: leaves})
	return err
}

func awaitSize(t *testing.T, r *trilliantest.Trillian, tree int64, n uint64) {
	t.Helper()
	c := trillian.NewTrillianLogClient(connect(t, r))
	for began := time.Now(); time.Since(began) < patience; time.Sleep(50 * time.Millisecond) {
		answer, err := c.GetLatestSignedLogRoot(t.Context(), &trillian.GetLatestSignedLogRootRequest{LogId: tree})
		if err == nil {
			if root, err := trillianlog.ParseRoot(answer.GetSignedLogRoot()); err == nil && root.Size == n {
				return
			}
		}
	}
	t.Fatal("the signer does not integrate")
}

func TestConfigRefused(t *testing.T) {
	good := trillianlog.Config{Server: "127.0.0.1:1", Tree: 1, Dir: "dir", StatePath: "state", Signer: newSigner(t)}
	for name, change := range map[string]func(*trillianlog.Config){
		"no server":       func(c *trillianlog.Config) { c.Server = "" },
		"no tree":         func(c *trillianlog.Config) { c.Tree = 0 },
		"no signer":       func(c *trillianlog.Config) { c.Signer = nil },
		"no directory":    func(c *trillianlog.Config) { c.Dir = "" },
		"no state":        func(c *trillianlog.Config) { c.StatePath = "" },
		"state in tiles":  func(c *trillianlog.Config) { c.StatePath = "dir/state" },
		"short interval":  func(c *trillianlog.Config) { c.CheckpointInterval = time.Millisecond },
		"negative time":   func(c *trillianlog.Config) { c.Timeout = -1 },
		"another machine": func(c *trillianlog.Config) { c.Server = "192.0.2.1:8090" },
		"a name":          func(c *trillianlog.Config) { c.Server = "localhost:8090" },
	} {
		cfg := good
		dir := t.TempDir()
		cfg.Dir, cfg.StatePath = filepath.Join(dir, "dir"), filepath.Join(dir, "state")
		change(&cfg)
		if strings.HasPrefix(cfg.StatePath, "dir/") {
			cfg.StatePath = filepath.Join(cfg.Dir, "state")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if err := trillianlog.Create(ctx, &cfg); err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
	if _, err := trillianlog.Open(t.Context(), nil); err == nil {
		t.Error("no Config: opened")
	}
	if _, err := trillianlog.CreateTree(t.Context(), &trillianlog.Config{Server: "192.0.2.1:8090"}, "x"); err == nil {
		t.Error("made a tree on another machine without TLS")
	}
}

// TLS is asked for where it is configured, and a tree of another type is refused.
func TestServerRefused(t *testing.T) {
	r := trilliantest.Start(t, trilliantest.PostgreSQL(t))
	cfg := newConfig(t, r)
	secure := *cfg
	secure.TLS = &tls.Config{MinVersion: tls.VersionTLS13}
	secure.Timeout = time.Second
	if _, err := trillianlog.Open(t.Context(), &secure); err == nil {
		t.Error("a server without TLS was taken for one with it")
	}
	tree, err := trillian.NewTrillianAdminClient(connect(t, r)).CreateTree(t.Context(), &trillian.CreateTreeRequest{Tree: &trillian.Tree{
		TreeState: trillian.TreeState_ACTIVE, TreeType: trillian.TreeType_LOG, MaxRootDuration: trillianlog.NoRootDuration(),
	}})
	if err != nil {
		t.Fatal(err)
	}
	unordered := *cfg
	unordered.Tree = tree.TreeId
	if _, err := trillianlog.Open(t.Context(), &unordered); err == nil || !strings.Contains(err.Error(), "CreateTree") {
		t.Errorf("a tree without an order: %v", err)
	}
	unordered.Tree = 12345
	if _, err := trillianlog.Open(t.Context(), &unordered); err == nil {
		t.Error("a tree that is not there: opened")
	}
}

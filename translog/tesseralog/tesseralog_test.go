package tesseralog_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/internal/durable"
	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tesseralog"
)

func TestConfig(t *testing.T) {
	for name, change := range map[string]func(*tesseralog.Config){
		"no directory":         func(c *tesseralog.Config) { c.Dir = "" },
		"no state":             func(c *tesseralog.Config) { c.StatePath = "" },
		"no signer":            func(c *tesseralog.Config) { c.Signer = nil },
		"checkpoints too fast": func(c *tesseralog.Config) { c.CheckpointInterval = 99 * time.Millisecond },
		"collection too fast":  func(c *tesseralog.Config) { c.CollectInterval = time.Millisecond },
		"collection too slow":  func(c *tesseralog.Config) { c.CollectInterval = time.Minute },
		"state in directory":   func(c *tesseralog.Config) { c.StatePath = filepath.Join(c.Dir, "deep", "trusted") },
		"state is directory":   func(c *tesseralog.Config) { c.StatePath = c.Dir },
		"state behind a link": func(c *tesseralog.Config) {
			link := filepath.Join(filepath.Dir(c.Dir), "link")
			if err := errors.Join(os.MkdirAll(c.Dir, 0o700), os.Symlink(c.Dir, link)); err != nil {
				t.Fatal(err)
			}
			c.StatePath = filepath.Join(link, "trusted")
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := newConfig(t)
			change(cfg)
			if err := tesseralog.Create(t.Context(), cfg); err == nil {
				t.Error("Create accepted it")
			}
			if _, err := tesseralog.Open(t.Context(), cfg); err == nil {
				t.Error("Open accepted it")
			}
		})
	}
}

func TestCreate(t *testing.T) {
	t.Run("twice", func(t *testing.T) {
		cfg := newConfig(t)
		create(t, cfg)
		if err := tesseralog.Create(t.Context(), cfg); err == nil {
			t.Error("a second Create succeeded")
		}
	})
	t.Run("in a directory of something else", func(t *testing.T) {
		cfg := newConfig(t)
		if err := errors.Join(os.MkdirAll(cfg.Dir, 0o700), os.WriteFile(filepath.Join(cfg.Dir, "photo"), nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		if err := tesseralog.Create(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "photo") {
			t.Errorf("Create = %v", err)
		}
	})
	t.Run("interrupted", func(t *testing.T) {
		cfg := newConfig(t)
		create(t, cfg)
		remove(t, cfg.Dir)
		if err := os.Mkdir(cfg.Dir, 0o700); err != nil {
			t.Fatal(err)
		}
		create(t, cfg)
		grow(t, cfg, 3)
	})
	t.Run("interrupted before the first checkpoint", func(t *testing.T) {
		cfg := newConfig(t)
		create(t, cfg)
		if err := os.Remove(filepath.Join(cfg.Dir, "checkpoint")); err != nil {
			t.Fatal(err)
		}
		create(t, cfg)
		grow(t, cfg, 3)
	})
	t.Run("over a state that is not one", func(t *testing.T) {
		cfg := newConfig(t)
		if err := errors.Join(os.MkdirAll(filepath.Dir(cfg.StatePath), 0o700), os.WriteFile(cfg.StatePath, []byte("notes"), 0o600)); err != nil {
			t.Fatal(err)
		}
		if err := tesseralog.Create(t.Context(), cfg); translog.CodeOf(err) != translog.CodeCheckpointMalformed {
			t.Errorf("Create = %v", err)
		}
		if got := read(t, cfg.StatePath); got != "notes" {
			t.Errorf("the file was replaced: %q", got)
		}
	})
	t.Run("not created", func(t *testing.T) {
		cfg := newConfig(t)
		if _, err := tesseralog.Open(t.Context(), cfg); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Open = %v", err)
		}
		if _, err := os.Stat(cfg.Dir); err == nil {
			t.Error("Open made a directory")
		}
	})
}

// TestPitfallTwoAppendersInOneProcess: Tessera's locks are per process, and two
// appenders in one lose half of what they acknowledge.
func TestPitfallTwoAppendersInOneProcess(t *testing.T) {
	cfg := newConfig(t)
	create(t, cfg)
	l := open(t, cfg)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(cfg.Dir, link); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*tesseralog.Config){
		"same":           func(*tesseralog.Config) {},
		"through a link": func(c *tesseralog.Config) { c.Dir = link },
		"another state":  func(c *tesseralog.Config) { c.StatePath = copyState(t, cfg) },
		"another dir":    func(c *tesseralog.Config) { c.Dir = backUp(t, cfg.Dir) },
	} {
		second := *cfg
		change(&second)
		if _, err := tesseralog.Open(t.Context(), &second); !errors.Is(err, durable.ErrLocked) {
			t.Errorf("%s: Open = %v, want ErrLocked", name, err)
		}
	}
	closeLog(t, l)
	closeLog(t, open(t, cfg))
}

func copyState(t *testing.T, cfg *tesseralog.Config) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "trusted")
	if err := os.WriteFile(path, []byte(read(t, cfg.StatePath)), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestPitfallShutdownForgets: Tessera's Shutdown forgets entries whose future
// nobody asked for. Close while callers append: what was acknowledged is there.
func TestPitfallShutdownForgets(t *testing.T) {
	cfg := newConfig(t)
	create(t, cfg)
	l := open(t, cfg)
	var mu sync.Mutex
	acknowledged := make(map[uint64]string)
	var wg sync.WaitGroup
	for c := range 16 {
		wg.Go(func() {
			for k := 0; ; k++ {
				entry := fmt.Sprintf("caller %d entry %d", c, k)
				index, err := l.Append(t.Context(), [][]byte{[]byte(entry)})
				if err != nil {
					if !errors.Is(err, tesseralog.ErrClosed) {
						t.Errorf("Append = %v, want ErrClosed", err)
					}
					return
				}
				mu.Lock()
				acknowledged[index] = entry
				mu.Unlock()
			}
		})
	}
	some := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(acknowledged) > 100
	}
	for began := time.Now(); !some() && time.Since(began) < time.Minute; time.Sleep(time.Millisecond) {
	}
	closeLog(t, l)
	wg.Wait()
	if len(acknowledged) == 0 {
		t.Fatal("nothing was acknowledged before Close")
	}
	cp, err := l.Policy().VerifyCheckpoint([]byte(read(t, cfg.Dir, "checkpoint")))
	if err != nil || cp.Size() < uint64(len(acknowledged)) {
		t.Errorf("Close published %v, %v, want %d entries", cp, err, len(acknowledged))
	}
	l = open(t, cfg)
	defer closeLog(t, l)
	for index, want := range acknowledged {
		if got, err := l.Entry(t.Context(), index); err != nil || string(got) != want {
			t.Errorf("Entry(%d) = %q, %v, want %q", index, got, err, want)
		}
	}
}

func TestCloseWithoutTime(t *testing.T) {
	cfg := newConfig(t)
	create(t, cfg)
	cfg.CheckpointInterval = 10 * time.Minute // after the one that Create made
	l := open(t, cfg)
	if _, err := l.Append(t.Context(), numbered(0, 3)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Close = %v, want context.Canceled", err)
	}
	cfg.CheckpointInterval = 100 * time.Millisecond
	l = open(t, cfg)
	defer closeLog(t, l)
	if _, err := l.AwaitPublished(t.Context(), 2); err != nil {
		t.Error(err)
	}
}

func TestAwaitEndsWithLog(t *testing.T) {
	cfg := newConfig(t)
	create(t, cfg)
	l := open(t, cfg)
	failed := make(chan error)
	go func() {
		_, err := l.AwaitPublished(t.Context(), 99)
		failed <- err
	}()
	time.Sleep(20 * time.Millisecond)
	closeLog(t, l)
	if err := <-failed; !errors.Is(err, tesseralog.ErrClosed) {
		t.Errorf("AwaitPublished = %v, want ErrClosed", err)
	}
}

// TestPitfallPartialTilesPileUp: each small batch leaves a partial tile and a
// partial bundle; at Tessera's default of one collection a minute a log that is
// fed slowly takes a hundred times its data.
func TestPitfallPartialTilesPileUp(t *testing.T) {
	cfg := newConfig(t)
	cfg.CollectInterval = time.Second
	create(t, cfg)
	l := open(t, cfg)
	defer closeLog(t, l)
	for i := range 20 {
		if _, err := l.Append(t.Context(), numbered(i*30, 30)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.AwaitPublished(t.Context(), 599); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	for {
		var left []string
		for _, pattern := range []string{"tile/0/000.p", "tile/0/001.p", "tile/entries/000.p", "tile/entries/001.p"} {
			there, err := filepath.Glob(filepath.Join(cfg.Dir, pattern))
			if err != nil {
				t.Fatal(err)
			}
			left = append(left, there...)
		}
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("partial tiles of full ones are still there: %v", left)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// TestNothingOnStandardError: Tessera tells klog about every new directory.
func TestNothingOnStandardError(t *testing.T) {
	var stderr bytes.Buffer
	child := exec.Command(os.Args[0], "-test.run=^TestReopen$")
	child.Env = append(os.Environ(), baseVar+"="+t.TempDir())
	child.Stderr = &stderr
	if err := child.Run(); err != nil || stderr.Len() > 0 {
		t.Errorf("%v, and on the standard error: %q", err, stderr.String())
	}
}

// TestKilled kills a process that appends, and looks for what it had
// acknowledged on its standard output. TOUCHMARK_SOAK=1 does so 40 times.
func TestKilled(t *testing.T) {
	cfg, keyFile := newConfigWithKeyFile(t)
	create(t, cfg)
	rounds, total := 3, 0
	if os.Getenv("TOUCHMARK_SOAK") != "" {
		rounds = 40
	}
	for round := range rounds {
		early := round%3 == 1 // perhaps before it has opened the log
		acknowledged := killOnce(t, cfg, keyFile, time.Duration(60*(round%7))*time.Millisecond, early)
		if acknowledged <= total && !early {
			t.Fatalf("round %d: the process acknowledged nothing", round)
		}
		l := open(t, cfg)
		size, err := l.Size(t.Context())
		if err != nil || size < uint64(max(total, acknowledged)) {
			t.Fatalf("Size = %d, %v, but %d entries were acknowledged", size, err, acknowledged)
		}
		total = int(size)
		for i := range total {
			if got, err := l.Entry(t.Context(), uint64(i)); err != nil || !bytes.Equal(got, []byte("entry "+strconv.Itoa(i))) {
				t.Fatalf("Entry(%d) = %q, %v", i, got, err)
			}
		}
		if _, err := l.AwaitPublished(t.Context(), size-1); err != nil {
			t.Fatal(err)
		}
		closeLog(t, l)
	}
}

// newConfigWithKeyFile describes a log whose key a child can read.
func newConfigWithKeyFile(t *testing.T) (cfg *tesseralog.Config, keyFile string) {
	t.Helper()
	skey, _, err := translog.GenerateKey("log.example/killed")
	if err != nil {
		t.Fatal(err)
	}
	cfg = newConfig(t)
	if cfg.Signer, err = translog.ParseSigner(skey); err != nil {
		t.Fatal(err)
	}
	keyFile = filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(keyFile, []byte(skey), 0o600); err != nil {
		t.Fatal(err)
	}
	return cfg, keyFile
}

// killOnce returns the size that a child had acknowledged when it was killed, so long after it began or after it had
// acknowledged something.
func killOnce(t *testing.T, cfg *tesseralog.Config, keyFile string, after time.Duration, early bool) int {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^TestChildAppends$", "-test.v")
	child.Env = append(os.Environ(), "TESSERALOG_TEST_CHILD="+cfg.Dir, "TESSERALOG_TEST_STATE="+cfg.StatePath, "TESSERALOG_TEST_KEY="+keyFile)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	kill := sync.OnceFunc(func() { time.AfterFunc(after, func() { _ = child.Process.Kill() }) })
	if early {
		kill()
	}
	acknowledged := 0
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		n, ok := strings.CutPrefix(lines.Text(), "acknowledged ")
		if !ok {
			continue
		}
		if _, err := fmt.Sscan(n, &acknowledged); err != nil {
			t.Error(err)
		}
		kill()
	}
	_ = child.Wait()
	return acknowledged
}

// TestChildAppends is the process that TestKilled kills.
func TestChildAppends(t *testing.T) {
	dir := os.Getenv("TESSERALOG_TEST_CHILD")
	if dir == "" {
		t.Skip("only as a child of TestKilled")
	}
	signer, err := translog.ParseSigner(read(t, os.Getenv("TESSERALOG_TEST_KEY")))
	if err != nil {
		t.Fatal(err)
	}
	l := open(t, &tesseralog.Config{
		Dir: dir, StatePath: os.Getenv("TESSERALOG_TEST_STATE"), Signer: signer, CheckpointInterval: 100 * time.Millisecond,
	})
	size, err := l.Size(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for next := int(size); ; next += 7 {
		if _, err := l.Append(t.Context(), numbered(next, 7)); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("acknowledged %d\n", next+7)
	}
}

package tesseralog_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"

	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tesseralog"
	"github.com/touchmark-dev/touchmark/translog/translogtest"
)

func numbered(first, n int) [][]byte {
	entries := make([][]byte, n)
	for i := range entries {
		entries[i] = fmt.Appendf(nil, "entry %d", first+i)
	}
	return entries
}

// grow opens the log, appends n entries, waits for their checkpoint and closes.
func grow(t testing.TB, cfg *tesseralog.Config, n int) *translog.Checkpoint {
	t.Helper()
	l := open(t, cfg)
	size, err := l.Size(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(t.Context(), numbered(int(size), n)); err != nil {
		t.Fatal(err)
	}
	cp, err := l.AwaitPublished(t.Context(), size+uint64(n)-1)
	if err != nil {
		t.Fatal(err)
	}
	closeLog(t, l)
	return cp
}

func backUp(t testing.TB, dir string) (copied string) {
	t.Helper()
	copied = filepath.Join(t.TempDir(), "backup")
	restore(t, dir, copied)
	return copied
}

func restore(t testing.TB, backup, dir string) {
	t.Helper()
	settled(t, func() error { return errors.Join(os.RemoveAll(dir), os.CopyFS(dir, os.DirFS(backup))) })
}

func remove(t testing.TB, dir string) {
	t.Helper()
	settled(t, func() error { return os.RemoveAll(dir) })
}

// settled does something to a directory that Tessera may still write to, or remove partial tiles from: it does not say when
// it has ended.
func settled(t testing.TB, do func() error) {
	t.Helper()
	began := time.Now()
	err := do()
	for err != nil && time.Since(began) < time.Minute {
		time.Sleep(10 * time.Millisecond)
		err = do()
	}
	if err != nil {
		t.Error(err)
	}
}

func read(t testing.TB, path ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// refused opens the log and wants this verdict, with the trusted checkpoint as
// evidence, and no new signature anywhere.
func refused(t *testing.T, cfg *tesseralog.Config, code translog.Code) *translog.RejectedError {
	t.Helper()
	state, published := read(t, cfg.StatePath), ""
	if raw, err := os.ReadFile(filepath.Join(cfg.Dir, "checkpoint")); err == nil {
		published = string(raw)
	}
	l, err := tesseralog.Open(t.Context(), cfg)
	if err == nil {
		closeLog(t, l)
	}
	var rejected *translog.RejectedError
	if !errors.As(err, &rejected) || rejected.Code != code {
		t.Fatalf("Open = %v, want %s", err, code)
	}
	// Longer than the publisher's interval: it must not sign behind our back.
	time.Sleep(3 * cfg.CheckpointInterval)
	if read(t, cfg.StatePath) != state {
		t.Error("the trusted state changed")
	}
	if published != "" && read(t, cfg.Dir, "checkpoint") != published {
		t.Error("a checkpoint was signed and published")
	}
	return rejected
}

func TestReopen(t *testing.T) {
	cfg := newConfig(t)
	create(t, cfg)
	first := grow(t, cfg, 5)
	second := grow(t, cfg, 300)
	l := open(t, cfg)
	defer closeLog(t, l)
	if first.Size() != 5 || second.Size() != 305 {
		t.Errorf("sizes %d and %d, want 5 and 305", first.Size(), second.Size())
	}
	if _, err := l.Consistency(t.Context(), first, second); err != nil {
		t.Error(err)
	}
	if got := read(t, cfg.StatePath); got != string(second.Note()) {
		t.Errorf("the state is %q, want the last checkpoint", got)
	}
}

// TestPitfallRestoredBackup: Tessera goes on from whatever its directory holds,
// and signs a second history.
func TestPitfallRestoredBackup(t *testing.T) {
	cfg := newConfig(t)
	create(t, cfg)
	grow(t, cfg, 5)
	backup := backUp(t, cfg.Dir)
	latest := grow(t, cfg, 7)
	restore(t, backup, cfg.Dir)
	rejected := refused(t, cfg, translog.CodeRolledBack)
	if string(rejected.Older) != string(latest.Note()) {
		t.Error("the evidence does not hold the last checkpoint signed")
	}
}

// TestPitfallRestoredBackupThatGrewOn: larger than the trusted tree, and another.
func TestPitfallRestoredBackupThatGrewOn(t *testing.T) {
	cfg := newConfig(t)
	create(t, cfg)
	grow(t, cfg, 5)
	backup := backUp(t, cfg.Dir)
	grow(t, cfg, 7)
	restore(t, backup, cfg.Dir)
	bareAppend(t, cfg, 40)
	refused(t, cfg, translog.CodeConsistencyInvalid)
}

// TestPitfallRestoredBackupOfSameSize is the fork that no size gives away.
func TestPitfallRestoredBackupOfSameSize(t *testing.T) {
	cfg := newConfig(t)
	create(t, cfg)
	grow(t, cfg, 5)
	backup := backUp(t, cfg.Dir)
	grow(t, cfg, 7)
	restore(t, backup, cfg.Dir)
	bareAppend(t, cfg, 7)
	refused(t, cfg, translog.CodeForked)
}

// bareAppend lets Tessera alone write other entries, as it would after a
// restore, with a key of its own so that nothing is signed with the log's.
func bareAppend(t *testing.T, cfg *tesseralog.Config, n int) {
	t.Helper()
	other := newConfig(t).Signer
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	driver, err := posix.New(ctx, posix.Config{Path: cfg.Dir})
	if err != nil {
		t.Fatal(err)
	}
	appender, _, _, err := tessera.NewAppender(ctx, driver, tessera.NewAppendOptions().
		WithCheckpointSigner(other).WithCheckpointInterval(time.Hour).WithCheckpointRepublishInterval(0).WithBatching(uint(n), time.Second))
	if err != nil {
		t.Fatal(err)
	}
	futures := make([]tessera.IndexFuture, n)
	for i := range futures {
		futures[i] = appender.Add(ctx, tessera.NewEntry(fmt.Appendf(nil, "another history %d", i)))
	}
	for _, f := range futures {
		if _, err := f(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPublishedFork: a checkpoint of another history, which the log's key signed
// somewhere else, is shown and not overwritten.
func TestPublishedFork(t *testing.T) {
	cfg := newConfig(t)
	create(t, cfg)
	older := grow(t, cfg, 5)
	grow(t, cfg, 300)
	publish := func(raw []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(cfg.Dir, "checkpoint"), raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fork := translogtest.NewLogFor(cfg.Signer)
	if _, err := fork.Append(t.Context(), [][]byte{[]byte("another"), []byte("history")}); err != nil {
		t.Fatal(err)
	}
	forked, err := fork.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	publish(forked.Note())
	rejected := refused(t, cfg, translog.CodeConsistencyInvalid)
	if string(rejected.Older) != string(forked.Note()) || string(rejected.Checkpoint) != read(t, cfg.StatePath) {
		t.Errorf("the evidence is %q and %q", rejected.Older, rejected.Checkpoint)
	}
	publish(older.Note()) // as a crash between state and publication leaves it
	if cp := grow(t, cfg, 1); cp.Size() != 306 {
		t.Errorf("a checkpoint of %d entries", cp.Size())
	}
}

// TestRestoredEmptyState: the state of a new log, beside a log that is not new,
// never becomes that of what lies there, however often the log is opened.
func TestRestoredEmptyState(t *testing.T) {
	cfg := newConfig(t)
	create(t, cfg)
	empty := read(t, cfg.StatePath)
	grow(t, cfg, 5)
	if err := os.WriteFile(cfg.StatePath, []byte(empty), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		refused(t, cfg, translog.CodeRolledBack)
	}
}

func TestLostDirectory(t *testing.T) {
	for name, lose := range map[string]func(dir string) error{
		"missing":           os.RemoveAll,
		"empty":             func(dir string) error { return errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700)) },
		"without its state": func(dir string) error { return os.RemoveAll(filepath.Join(dir, ".state")) },
		"unpublished":       func(dir string) error { return os.Remove(filepath.Join(dir, "checkpoint")) },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := newConfig(t)
			create(t, cfg)
			latest := grow(t, cfg, 5)
			settled(t, func() error { return lose(cfg.Dir) })
			rejected := refused(t, cfg, translog.CodeRolledBack)
			if string(rejected.Older) != string(latest.Note()) {
				t.Error("the evidence does not hold the last checkpoint signed")
			}
			if _, err := os.Stat(filepath.Join(cfg.Dir, ".lock")); name == "empty" && err == nil {
				t.Error("Open left a file in a directory that is no log")
			}
			if err := tesseralog.Create(t.Context(), cfg); err == nil {
				t.Error("Create began a second log under the same key")
			}
		})
	}
}

func TestRewrittenTiles(t *testing.T) {
	cfg := newConfig(t)
	create(t, cfg)
	grow(t, cfg, 5)
	flip(t, filepath.Join(cfg.Dir, "tile/0/000.p/5"))
	refused(t, cfg, translog.CodeForked)
}

func flip(t *testing.T, path string) {
	t.Helper()
	data := []byte(read(t, path))
	data[0] ^= 1
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestRewrittenWhileOpen: the disk changes under a running log. It signs
// nothing more, says so to everybody, and the evidence is kept.
func TestRewrittenWhileOpen(t *testing.T) {
	cfg := newConfig(t)
	cfg.CheckpointInterval = 300 * time.Millisecond
	create(t, cfg)
	before := grow(t, cfg, 5)
	l := open(t, cfg)
	flip(t, filepath.Join(cfg.Dir, "tile/0/000.p/5"))
	if _, err := l.Append(t.Context(), numbered(5, 2)); err != nil {
		t.Fatal(err)
	}
	_, err := l.AwaitPublished(t.Context(), 6)
	var rejected *translog.RejectedError
	if !errors.As(err, &rejected) || rejected.Code != translog.CodeConsistencyInvalid || string(rejected.Older) != string(before.Note()) {
		t.Errorf("AwaitPublished = %v, want %s with the last checkpoint", err, translog.CodeConsistencyInvalid)
	}
	if _, err := l.Append(t.Context(), numbered(7, 1)); translog.CodeOf(err) != translog.CodeConsistencyInvalid {
		t.Errorf("Append = %v, want %s", err, translog.CodeConsistencyInvalid)
	}
	if err := l.Close(t.Context()); translog.CodeOf(err) != translog.CodeConsistencyInvalid {
		t.Errorf("Close = %v, want %s", err, translog.CodeConsistencyInvalid)
	}
	if read(t, cfg.Dir, "checkpoint") != string(before.Note()) || read(t, cfg.StatePath) != string(before.Note()) {
		t.Error("something was signed")
	}
}

func TestStateFile(t *testing.T) {
	t.Run("missing", func(t *testing.T) {
		cfg := newConfig(t)
		create(t, cfg)
		grow(t, cfg, 5)
		if err := os.Remove(cfg.StatePath); err != nil {
			t.Fatal(err)
		}
		if _, err := tesseralog.Open(t.Context(), cfg); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("Open = %v", err)
		}
		if err := tesseralog.Create(t.Context(), cfg); err == nil {
			t.Error("Create took a log that exists for a new one")
		}
	})
	t.Run("of another log", func(t *testing.T) {
		cfg, other := newConfig(t), newConfig(t)
		create(t, cfg)
		create(t, other)
		cfg.StatePath = other.StatePath
		if _, err := tesseralog.Open(t.Context(), cfg); translog.CodeOf(err) != translog.CodeCheckpointSignatureInvalid {
			t.Errorf("Open = %v", err)
		}
	})
	t.Run("restored", func(t *testing.T) {
		cfg := newConfig(t)
		create(t, cfg)
		old := grow(t, cfg, 5)
		grow(t, cfg, 5)
		if err := os.WriteFile(cfg.StatePath, old.Note(), 0o600); err != nil {
			t.Fatal(err)
		}
		refused(t, cfg, translog.CodeRolledBack)
	})
	t.Run("lost and taken from a reader", func(t *testing.T) {
		cfg := newConfig(t)
		create(t, cfg)
		latest := grow(t, cfg, 5)
		if err := os.WriteFile(cfg.StatePath, latest.Note(), 0o600); err != nil {
			t.Fatal(err)
		}
		grow(t, cfg, 5)
	})
	t.Run("ahead of what was published", func(t *testing.T) {
		// A crash between the state and the publication.
		cfg := newConfig(t)
		create(t, cfg)
		old := grow(t, cfg, 5)
		grow(t, cfg, 5)
		if err := os.WriteFile(filepath.Join(cfg.Dir, "checkpoint"), old.Note(), 0o644); err != nil {
			t.Fatal(err)
		}
		l := open(t, cfg)
		if _, err := l.AwaitPublished(t.Context(), 9); err != nil {
			t.Error(err)
		}
		closeLog(t, l)
	})
	t.Run("published another tree of the same size", func(t *testing.T) {
		cfg := newConfig(t)
		create(t, cfg)
		grow(t, cfg, 5)
		fork := translogtest.NewLogFor(cfg.Signer)
		if _, err := fork.Append(t.Context(), numbered(1, 5)); err != nil {
			t.Fatal(err)
		}
		forked, err := fork.Checkpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(cfg.Dir, "checkpoint"), forked.Note(), 0o644); err != nil {
			t.Fatal(err)
		}
		refused(t, cfg, translog.CodeForked)
	})
	t.Run("published by another key", func(t *testing.T) {
		cfg := newConfig(t)
		create(t, cfg)
		grow(t, cfg, 5)
		other := newConfig(t)
		create(t, other)
		forged := read(t, other.Dir, "checkpoint")
		if err := os.WriteFile(filepath.Join(cfg.Dir, "checkpoint"), []byte(forged), 0o644); err != nil {
			t.Fatal(err)
		}
		refused(t, cfg, translog.CodeCheckpointSignatureInvalid)
	})
}

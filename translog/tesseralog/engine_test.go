package tesseralog_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/internal/durable"
	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tesseralog"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
	"github.com/touchmark-dev/touchmark/translog/translogtest"
)

// baseVar is for a child whose directories the test that started it removes: to remove one under Tessera is told on the
// standard error.
const baseVar = "TESSERALOG_TEST_BASE"

// newConfig describes a log that does not exist yet.
func newConfig(t testing.TB) *tesseralog.Config {
	t.Helper()
	skey, _, err := translog.GenerateKey("log.example/tessera")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := translog.ParseSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	base, err := os.MkdirTemp(os.Getenv(baseVar), "tesseralog-test-")
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv(baseVar) == "" {
		t.Cleanup(func() { remove(t, base) })
	}
	return &tesseralog.Config{
		Dir:                filepath.Join(base, "log"),
		StatePath:          filepath.Join(base, "state", "trusted"),
		Signer:             signer,
		CheckpointInterval: 100 * time.Millisecond,
		CollectInterval:    5 * time.Second, // later than most tests end
	}
}

func create(t testing.TB, cfg *tesseralog.Config) {
	t.Helper()
	if err := tesseralog.Create(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, cfg *tesseralog.Config) *tesseralog.Log {
	t.Helper()
	l, err := tesseralog.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func closeLog(t testing.TB, l *tesseralog.Log) {
	t.Helper()
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestEngine(t *testing.T) {
	translogtest.TestInstallation(t, func(t *testing.T) *translogtest.Installation {
		cfg, keyFile := newConfigWithKeyFile(t)
		cfg.CollectInterval = time.Second
		if err := os.Mkdir(cfg.Dir, 0o700); err != nil {
			t.Fatal(err)
		}
		fill := translogtest.SmallDisk(t, cfg.Dir)
		create(t, cfg)
		return &translogtest.Installation{
			Open:    func(ctx context.Context) (translogtest.Engine, error) { return opened(tesseralog.Open(ctx, cfg)) },
			Signer:  cfg.Signer,
			Source:  tlogclient.Dir(cfg.Dir),
			Reopens: true,
			Locked:  durable.ErrLocked,
			Command: func() *exec.Cmd {
				child := exec.Command(os.Args[0], "-test.run=^TestEngineChild$", "-test.count=1")
				child.Env = append(os.Environ(), childVar+"="+cfg.Dir, "TESSERALOG_TEST_STATE="+cfg.StatePath, "TESSERALOG_TEST_KEY="+keyFile)
				return child
			},
			Fill: fill,
			SetBack: func(t testing.TB) {
				ahead := time.Now().Add(24 * time.Hour)
				err := filepath.WalkDir(filepath.Dir(cfg.Dir), func(path string, _ fs.DirEntry, err error) error {
					if err != nil {
						return nil //nolint:nilerr // collected in the meantime
					}
					if err := os.Chtimes(path, ahead, ahead); err != nil && !errors.Is(err, fs.ErrNotExist) {
						return err
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
			},
		}
	})
}

// opened makes no Engine of a nil *tesseralog.Log.
func opened(l *tesseralog.Log, err error) (translogtest.Engine, error) {
	if err != nil {
		return nil, err
	}
	return l, nil
}

const childVar = "TESSERALOG_TEST_ENGINE_CHILD"

// TestEngineChild is the process that TestEngine kills; by itself it tests nothing.
func TestEngineChild(t *testing.T) {
	dir := os.Getenv(childVar)
	if dir == "" {
		return
	}
	signer, err := translog.ParseSigner(read(t, os.Getenv("TESSERALOG_TEST_KEY")))
	if err != nil {
		t.Fatal(err)
	}
	l := open(t, &tesseralog.Config{
		Dir: dir, StatePath: os.Getenv("TESSERALOG_TEST_STATE"), Signer: signer, CheckpointInterval: 100 * time.Millisecond,
	})
	t.Fatal(translogtest.AppendUntilKilled(t.Context(), l, os.Stdout))
}

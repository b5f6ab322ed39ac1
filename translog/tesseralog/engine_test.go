package tesseralog_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tesseralog"
	"github.com/touchmark-dev/touchmark/translog/translogtest"
)

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
	base := t.TempDir()
	return &tesseralog.Config{
		Dir:                filepath.Join(base, "log"),
		StatePath:          filepath.Join(base, "state", "trusted"),
		Signer:             signer,
		CheckpointInterval: 100 * time.Millisecond,
		CollectInterval:    time.Second,
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
	translogtest.TestEngine(t, func(t *testing.T) translogtest.Engine {
		cfg := newConfig(t)
		create(t, cfg)
		return open(t, cfg)
	})
}

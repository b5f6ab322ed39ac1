package trillianlog_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/internal/durable"
	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
	"github.com/touchmark-dev/touchmark/translog/translogtest"
	"github.com/touchmark-dev/touchmark/translog/trillianlog"
	"github.com/touchmark-dev/touchmark/translog/trillianlog/trilliantest"
)

func newSigner(t testing.TB) *translog.Signer {
	t.Helper()
	signer, _ := newKey(t)
	return signer
}

func newKey(t testing.TB) (signer *translog.Signer, skey string) {
	t.Helper()
	skey, _, err := translog.GenerateKey("log.example/trillian")
	if err != nil {
		t.Fatal(err)
	}
	if signer, err = translog.ParseSigner(skey); err != nil {
		t.Fatal(err)
	}
	return signer, skey
}

// newConfig describes a log in a new tree, and begins it.
func newConfig(t testing.TB, r *trilliantest.Trillian) *trillianlog.Config {
	t.Helper()
	cfg, _ := newConfigWithKey(t, r)
	return cfg
}

func newConfigWithKey(t testing.TB, r *trilliantest.Trillian) (cfg *trillianlog.Config, skey string) {
	t.Helper()
	signer, skey := newKey(t)
	dir := t.TempDir()
	cfg = &trillianlog.Config{
		Server: r.Address, Tree: r.Tree(), Dir: filepath.Join(dir, "tiles"), StatePath: filepath.Join(dir, "trusted"),
		Signer: signer, CheckpointInterval: 100 * time.Millisecond, Notice: func(err error) { t.Log(err) },
	}
	if err := trillianlog.Create(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	return cfg, skey
}

func open(t testing.TB, cfg *trillianlog.Config) *trillianlog.Log {
	t.Helper()
	l, err := trillianlog.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestEngine(t *testing.T) {
	for name, db := range databases {
		t.Run(name, func(t *testing.T) {
			r := trilliantest.Start(t, db(t))
			translogtest.TestInstallation(t, func(t *testing.T) *translogtest.Installation { return install(t, r) })
		})
	}
}

// install returns a new log in a Trillian. Its clock is that of the signer, which signs nothing until it is later than it was.
func install(t *testing.T, r *trilliantest.Trillian) *translogtest.Installation {
	cfg, skey := newConfigWithKey(t, r)
	in := &translogtest.Installation{
		Open:    func(ctx context.Context) (translogtest.Engine, error) { return opened(trillianlog.Open(ctx, cfg)) },
		Signer:  cfg.Signer,
		Source:  tlogclient.Dir(cfg.Dir),
		Reopens: true,
		Locked:  durable.ErrLocked,
		Command: func() *exec.Cmd {
			child := exec.Command(os.Args[0], "-test.run=^TestEngineChild$", "-test.count=1")
			child.Env = append(os.Environ(), childVar+"="+skey, childVar+"_SERVER="+cfg.Server, childVar+"_TREE="+fmt.Sprint(cfg.Tree),
				childVar+"_DIR="+cfg.Dir, childVar+"_STATE="+cfg.StatePath)
			return child
		},
		Fill: func(t testing.TB) func() {
			r.Fill(t, true)
			return sync.OnceFunc(func() { r.Fill(t, false) })
		},
		SetBack: func(t testing.TB) { r.SetBack(t, cfg.Tree, 2*time.Second) },
	}
	return in
}

// opened makes no Engine of a nil *trillianlog.Log.
func opened(l *trillianlog.Log, err error) (translogtest.Engine, error) {
	if err != nil {
		return nil, err
	}
	return l, nil
}

const childVar = "TRILLIANLOG_TEST_ENGINE_CHILD"

// TestEngineChild is the process that TestEngine kills; by itself it tests nothing.
func TestEngineChild(t *testing.T) {
	skey := os.Getenv(childVar)
	if skey == "" {
		return
	}
	signer, err := translog.ParseSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := strconv.ParseInt(os.Getenv(childVar+"_TREE"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	l := open(t, &trillianlog.Config{
		Server: os.Getenv(childVar + "_SERVER"), Tree: tree, Dir: os.Getenv(childVar + "_DIR"), StatePath: os.Getenv(childVar + "_STATE"),
		Signer: signer, CheckpointInterval: 100 * time.Millisecond,
	})
	t.Fatal(translogtest.AppendUntilKilled(t.Context(), l, os.Stdout))
}

var databases = map[string]func(testing.TB) *trilliantest.Database{
	"PostgreSQL": trilliantest.PostgreSQL,
	"MariaDB":    trilliantest.MariaDB,
}

package trillianlog_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/translogtest"
	"github.com/touchmark-dev/touchmark/translog/trillianlog"
	"github.com/touchmark-dev/touchmark/translog/trillianlog/trilliantest"
)

func newSigner(t testing.TB) *translog.Signer {
	t.Helper()
	skey, _, err := translog.GenerateKey("log.example/trillian")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := translog.ParseSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// newConfig describes a log in a new tree, and begins it.
func newConfig(t testing.TB, r *trilliantest.Trillian) *trillianlog.Config {
	t.Helper()
	dir := t.TempDir()
	cfg := &trillianlog.Config{
		Server: r.Address, Tree: r.Tree(), Dir: filepath.Join(dir, "tiles"), StatePath: filepath.Join(dir, "trusted"),
		Signer: newSigner(t), CheckpointInterval: 100 * time.Millisecond, Notice: func(err error) { t.Log(err) },
	}
	if err := trillianlog.Create(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	return cfg
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
			translogtest.TestEngine(t, func(t *testing.T) translogtest.Engine { return open(t, newConfig(t, r)) })
		})
	}
}

var databases = map[string]func(testing.TB) *trilliantest.Database{
	"PostgreSQL": trilliantest.PostgreSQL,
	"MariaDB":    trilliantest.MariaDB,
}

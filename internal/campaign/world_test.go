//go:build linux

package campaign

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/internal/sqlstore/sqltest"
	"github.com/touchmark-dev/touchmark/translog"
	"github.com/touchmark-dev/touchmark/translog/monitor"
	"github.com/touchmark-dev/touchmark/translog/tesseralog"
	"github.com/touchmark-dev/touchmark/translog/tlogclient"
	"github.com/touchmark-dev/touchmark/translog/translogtest"
	"github.com/touchmark-dev/touchmark/translog/trillianlog"
	"github.com/touchmark-dev/touchmark/translog/trillianlog/trilliantest"
)

const (
	interval = 100 * time.Millisecond
	patience = 5 * time.Minute // how long something may last that is certain to come
	reread   = 4096            // entries that the monitor reads once more in each round
)

var server = did.MustParse("did:web:mcp.example.com")

func serverKey() ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("campaign"))
	return ed25519.NewKeyFromSeed(seed[:])
}

func serverKeys() evidence.Keys {
	return evidence.Keys{server.String() + "#key-1": serverKey().Public().(ed25519.PublicKey)}
}

// A world is a log, the journal beside it, and what runs them. Its exported fields are for the process that is killed.
type world struct {
	Dir     string
	LogKey  string
	Address string // of Trillian's log server; empty: the embedded engine
	Tree    int64

	t        *testing.T
	trillian *trilliantest.Trillian
	database *sqltest.Own
}

func newWorld(t *testing.T) *world {
	t.Helper()
	skey, _, err := translog.GenerateKey("log.example/campaign")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "campaign-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { settled(t, func() error { return os.RemoveAll(dir) }) })
	return &world{t: t, Dir: dir, LogKey: skey}
}

func embedded(t *testing.T) *world {
	w := newWorld(t)
	if err := os.MkdirAll(w.path("state"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := tesseralog.Create(t.Context(), w.tessera()); err != nil {
		t.Fatal(err)
	}
	return w
}

func onTrillian(t *testing.T) *world {
	trilliantest.Program(t, "trillian_log_server") // skips
	w := newWorld(t)
	w.database = sqltest.StartOwn(t)
	w.trillian = trilliantest.Start(t, trilliantest.PostgreSQLAt(t, w.database.Database("trillian")))
	w.Address, w.Tree = w.trillian.Address, w.trillian.Tree()
	if err := trillianlog.Create(t.Context(), w.trillianConfig()); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) path(name string) string { return filepath.Join(w.Dir, name) }

func (w *world) signer() *translog.Signer {
	signer, err := translog.ParseSigner(w.LogKey)
	if err != nil {
		w.t.Fatal(err)
	}
	return signer
}

func (w *world) policy() *translog.Policy {
	policy, err := translog.ParsePolicy([]byte("log " + w.signer().VerifierKey() + "\nquorum none\n"))
	if err != nil {
		w.t.Fatal(err)
	}
	return policy
}

func (w *world) tessera() *tesseralog.Config {
	return &tesseralog.Config{Dir: w.path("log"), StatePath: w.path("state/trusted"), Signer: w.signer(), CheckpointInterval: interval}
}

func (w *world) trillianConfig() *trillianlog.Config {
	return &trillianlog.Config{
		Server: w.Address, Tree: w.Tree, Dir: w.path("log"), StatePath: w.path("state/trusted"), Signer: w.signer(),
		CheckpointInterval: interval,
	}
}

func (w *world) open(ctx context.Context) (translogtest.Engine, error) {
	if w.Address == "" {
		l, err := tesseralog.Open(ctx, w.tessera())
		if err != nil {
			return nil, err
		}
		return l, nil
	}
	l, err := trillianlog.Open(ctx, w.trillianConfig())
	if err != nil {
		return nil, err
	}
	return l, nil
}

func (w *world) ledger(ctx context.Context, log translog.Appender) *evidence.Ledger {
	w.t.Helper()
	l, err := evidence.Open(ctx, &evidence.LedgerConfig{
		Dir: w.path("journal"), Server: server, Key: serverKey(), KeyID: server.String() + "#key-1", Log: log,
		Backlog: 1 << 20, BacklogBytes: 1 << 30,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return l
}

// monitorConfig is that of a monitor with a directory of its own.
func (w *world) monitorConfig(dir string) *monitor.Config {
	return &monitor.Config{
		Log: tlogclient.Dir(w.path("log")), Policy: w.policy(), Keys: serverKeys(), Dir: dir, Journal: w.path("journal"),
		Reread: reread,
	}
}

// save keeps what an operator can put back: log, trusted state and database. load puts it back.
func (w *world) save(name string) {
	w.t.Helper()
	w.offline(func() { w.database.Save(name) })
	copyTree(w.t, w.path("log"), w.path(name+"/log"))
	copyTree(w.t, w.path("state"), w.path(name+"/state"))
}

func (w *world) load(name string) {
	w.t.Helper()
	w.offline(func() { w.database.Load(name) })
	copyTree(w.t, w.path(name+"/log"), w.path("log"))
	copyTree(w.t, w.path(name+"/state"), w.path("state"))
}

// offline does something to the files of the database, if there is one, while nothing runs that has it open.
func (w *world) offline(do func()) {
	w.t.Helper()
	if w.database == nil {
		return
	}
	w.trillian.Kill(w.trillian.Server())
	w.trillian.Kill(w.trillian.Signer())
	w.database.Stop()
	do()
	w.database.Run()
	w.trillian.Run(w.trillian.Server())
	w.trillian.Run(w.trillian.Signer())
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	settled(t, func() error {
		return errors.Join(os.RemoveAll(to), os.MkdirAll(filepath.Dir(to), 0o700), os.CopyFS(to, os.DirFS(from)))
	})
}

// settled does something to a directory that Tessera may still write to, or remove partial tiles from: it does not say when
// it has ended.
func settled(t *testing.T, do func() error) {
	t.Helper()
	began := time.Now()
	err := do()
	for err != nil && time.Since(began) < patience {
		time.Sleep(10 * time.Millisecond)
		err = do()
	}
	if err != nil {
		t.Fatal(err)
	}
}

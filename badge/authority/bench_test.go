package authority

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/touchmark-dev/touchmark/internal/sqlstore"
	"github.com/touchmark-dev/touchmark/internal/sqlstore/sqltest"
)

const (
	benchClients = 16
	benchAgents  = 512
)

// BenchmarkIssue is the issuance of badges of assurance 1, challenge and proof, by 16 clients: "http" end to end, over
// kept connections on loopback, with clients that sign their proofs and read what they get in the same process;
// "handler" without network. Two floors do at the same time what any authority has to do: two Ed25519 verifications, a
// signature and two durable commits of a row of like size. In "floor" each is a transaction of its own on the
// database; in "floor-grouped" they go through package sqlstore, whose writer commits together what waits at the same
// time (on SQLite; PostgreSQL does that by itself, for both). What clients do is in neither.
func BenchmarkIssue(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) {
		b.Run("floor", func(b *testing.B) { benchFloor(b, plainCommits(b)) })
		benchIssues(b, sqltest.SQLite)
	})
	b.Run("postgres", func(b *testing.B) { benchIssues(b, sqltest.DurablePostgreSQL) })
}

func benchIssues(b *testing.B, open func(testing.TB) string) {
	b.Run("floor-grouped", func(b *testing.B) { benchFloor(b, storeCommits(b, open(b))) })
	b.Run("handler", func(b *testing.B) { benchIssue(b, open(b), false) })
	b.Run("http", func(b *testing.B) { benchIssue(b, open(b), true) })
}

// parallel does f b.N times, from as many clients as there are.
func parallel(b *testing.B, f func(n int) error) {
	b.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range benchClients {
		wg.Go(func() {
			for n := int(next.Add(1)); n <= b.N && !b.Failed(); n = int(next.Add(1)) {
				if err := f(n); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
}

const (
	floorTable  = `CREATE TABLE floor (id TEXT PRIMARY KEY, entry TEXT NOT NULL);`
	floorInsert = `INSERT INTO floor (id, entry) VALUES (?, ?)`
)

// A commit makes one row durable.
type commit func(id, entry string) error

// plainCommits are those of SQLite as it is, with the settings of package sqlstore.
func plainCommits(b *testing.B) commit {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(b.TempDir(), "floor.db")+"?_journal_mode=WAL&_synchronous=FULL&_txlock=immediate")
	must(b, err)
	b.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(1) // the others wait here, which costs less than in SQLite
	_, err = db.ExecContext(context.Background(), floorTable)
	must(b, err)
	insert, err := db.PrepareContext(context.Background(), floorInsert)
	must(b, err)
	return func(id, entry string) error {
		_, err := insert.ExecContext(context.Background(), id, entry)
		return err
	}
}

// storeCommits are those of package sqlstore.
func storeCommits(b *testing.B, url string) commit {
	ctx := context.Background()
	db, err := sqlstore.Open(ctx, url, fstest.MapFS{"001_floor.sql": {Data: []byte(floorTable)}})
	must(b, err)
	b.Cleanup(func() { _ = db.Close() })
	return func(id, entry string) error {
		_, err := db.Exec(ctx, floorInsert, id, entry)
		return err
	}
}

func benchFloor(b *testing.B, commit commit) {
	key := newKey(b)
	message := make([]byte, 600)
	sig := ed25519.Sign(key, message)
	entry := fmt.Sprintf("%0600d", 0)
	run := time.Now().UnixNano()
	parallel(b, func(n int) error {
		for i := range 2 {
			if err := commit(fmt.Sprint(run, n, i), entry); err != nil {
				return err
			}
			if !ed25519.Verify(key.Public().(ed25519.PublicKey), message, sig) {
				return errors.New("no signature")
			}
		}
		ed25519.Sign(key, message)
		return nil
	})
}

func benchIssue(b *testing.B, url string, network bool) {
	bed := newBed(b, url, func(c *Config) {
		c.BadgesPerAgent, c.BadgesPerAccount, c.ChallengesPerAgent, c.ChallengesPerAccount = 1<<30, 1<<30, 1<<30, 1<<30
	})
	agents := make([]*party, benchAgents)
	for i := range agents {
		agents[i] = bed.agent(fmt.Sprintf("a%d", i))
	}
	if network {
		bed.listen()
	}
	parallel(b, func(n int) error {
		p := agents[n%benchAgents]
		if r := bed.prove(p, bed.challenge(p, nil)); r.status != 200 {
			return fmt.Errorf("status %d: %s", r.status, r.body)
		}
		return nil
	})
}

package authority

import (
	"context"
	"crypto/ed25519"
	"fmt"
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

// BenchmarkIssue is the issuance of badges of assurance 1, challenge and proof, by 16 clients at the handler. Its floor
// is what any authority has to do: two Ed25519 verifications, a signature and two durable commits to the same database.
// The proof that the client signs is not counted to the floor.
func BenchmarkIssue(b *testing.B) {
	for engine, open := range map[string]func(testing.TB) string{"sqlite": sqltest.SQLite, "postgres": sqltest.DurablePostgreSQL} {
		b.Run(engine, func(b *testing.B) {
			b.Run("floor", func(b *testing.B) { benchFloor(b, open(b)) })
			b.Run("issue", func(b *testing.B) { benchIssue(b, open(b)) })
		})
	}
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

func benchFloor(b *testing.B, url string) {
	ctx := context.Background()
	table := "-- +goose Up\nCREATE TABLE floor (id TEXT PRIMARY KEY, entry TEXT NOT NULL);\n"
	db, err := sqlstore.Open(ctx, url, fstest.MapFS{"001_floor.sql": {Data: []byte(table)}})
	must(b, err)
	b.Cleanup(func() { _ = db.Close() })
	key := newKey(b)
	message := make([]byte, 600)
	sig := ed25519.Sign(key, message)
	entry := fmt.Sprintf("%0600d", 0)
	run := time.Now().UnixNano()
	parallel(b, func(n int) error {
		for i := range 2 {
			err := db.Tx(ctx, func(tx *sqlstore.Tx) error {
				_, err := tx.Exec(ctx, `INSERT INTO floor (id, entry) VALUES (?, ?)`, fmt.Sprint(run, n, i), entry)
				return err
			})
			if err != nil {
				return err
			}
			if !ed25519.Verify(key.Public().(ed25519.PublicKey), message, sig) {
				return fmt.Errorf("no signature")
			}
		}
		ed25519.Sign(key, message)
		return nil
	})
}

func benchIssue(b *testing.B, url string) {
	bed := newBed(b, url, func(c *Config) {
		c.BadgesPerAgent, c.BadgesPerAccount, c.ChallengesPerAgent, c.ChallengesPerAccount = 1<<30, 1<<30, 1<<30, 1<<30
	})
	agents := make([]*party, benchAgents)
	for i := range agents {
		agents[i] = bed.agent(fmt.Sprintf("a%d", i))
	}
	parallel(b, func(n int) error {
		p := agents[n%benchAgents]
		if r := bed.prove(p, bed.challenge(p, nil)); r.status != 200 {
			return fmt.Errorf("status %d: %s", r.status, r.body)
		}
		return nil
	})
}

package store

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/touchmark-dev/touchmark/internal/sqlstore"
	"github.com/touchmark-dev/touchmark/internal/sqlstore/sqltest"
)

// BenchmarkIssue compares what one badge of assurance 1 costs the database (a challenge and its redemption) with two
// transactions of one INSERT each, on engines that sync every commit, for one client and for sixteen.
func BenchmarkIssue(b *testing.B) {
	for engine, url := range map[string]func(testing.TB) string{
		"sqlite": sqltest.SQLite, "postgres": sqltest.DurablePostgreSQL,
	} {
		for _, clients := range []int{1, 16} {
			b.Run(fmt.Sprintf("%s/%d", engine, clients), func(b *testing.B) {
				s := open(b, url(b))
				fill(b, s)
				agents := make([]string, 500) // so that the badges that are counted for one stay few
				for i := range agents {
					agents[i] = fmt.Sprintf("did:web:b%d", i)
					must(b, s.AddAgent(context.Background(), newAgent(agents[i]), testAct()))
				}
				b.Run("two commits", func(b *testing.B) {
					parallel(b, clients, func(n int) error { return twoCommits(s, n) })
				})
				b.Run("issue", func(b *testing.B) {
					parallel(b, clients, func(n int) error { return issueOne(s, agents[n%len(agents)], n) })
				})
			})
		}
	}
}

// parallel runs f b.N times in all, from as many clients.
func parallel(b *testing.B, clients int, f func(n int) error) {
	var next atomic.Int64
	done := make(chan error, clients)
	b.ResetTimer()
	for range clients {
		go func() {
			for {
				n := int(next.Add(1))
				if n > b.N {
					done <- nil
					return
				}
				if err := f(n + b.N*1000000); err != nil {
					done <- err
					return
				}
			}
		}()
	}
	for range clients {
		if err := <-done; err != nil {
			b.Error(err)
		}
	}
}

func twoCommits(s *Store, n int) error {
	for i := range 2 {
		err := s.db.Tx(context.Background(), func(tx *sqlstore.Tx) error {
			_, err := tx.Exec(context.Background(), `INSERT INTO settings (name, value) VALUES (?, ?)`,
				fmt.Sprintf("bench-%d-%d", n, i), "value")
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func issueOne(s *Store, agent string, n int) error {
	ctx := context.Background()
	c := newChallenge(fmt.Sprint("ch-", n))
	c.DID = agent
	if err := s.AddChallenge(ctx, c); err != nil {
		return err
	}
	i := issuance(badgeID(n))
	i.Badge.Subject, i.Badge.ChallengeID, i.Badge.Assurance = agent, c.ID, "1"
	i.Limits = Limits{PerAgent: 1 << 30, PerAccount: 1 << 30}
	return s.Issue(ctx, i)
}

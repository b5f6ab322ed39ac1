package store

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// openMany opens the database as several processes would.
func openMany(t *testing.T, url string, n int) []*Store {
	t.Helper()
	stores := make([]*Store, n)
	for i := range stores {
		stores[i] = open(t, url)
	}
	return stores
}

// TestRedeemOnce redeems one challenge 200 times at once, from four nodes.
func TestRedeemOnce(t *testing.T) {
	eachURL(t, func(t *testing.T, url string) {
		stores := openMany(t, url, 4)
		must(t, stores[0].AddChallenge(t.Context(), newChallenge("ch")))
		before := entries(t, stores[0])
		var group sync.WaitGroup
		var won, used atomic.Int32
		for n := range 200 {
			group.Go(func() {
				i := issuance(badgeID(n))
				i.Badge.ChallengeID = "ch"
				err := stores[n%4].Issue(context.Background(), i)
				switch {
				case err == nil:
					won.Add(1)
				case errors.Is(err, ErrUsed):
					used.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		group.Wait()
		if won.Load() != 1 || used.Load() != 199 {
			t.Errorf("%d redemptions, %d refused as used", won.Load(), used.Load())
		}
		badges, err := stores[1].BadgesOf(t.Context(), testAgent, 1000)
		must(t, err)
		if len(badges) != 1 || entries(t, stores[2]) != before+1 {
			t.Errorf("%d badges, %d entries", len(badges), entries(t, stores[2])-before)
		}
	})
}

// TestMintOnce mints with one proof 100 times at once.
func TestMintOnce(t *testing.T) {
	eachURL(t, func(t *testing.T, url string) {
		stores := openMany(t, url, 4)
		granted(t, stores[0], "g1")
		var group sync.WaitGroup
		var won atomic.Int32
		for n := range 100 {
			group.Go(func() {
				i := minted(n)
				i.Replay = minted(0).Replay
				switch err := stores[n%4].Issue(context.Background(), i); {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, ErrUsed):
					t.Error(err)
				}
			})
		}
		group.Wait()
		if won.Load() != 1 {
			t.Errorf("%d badges were minted with one proof", won.Load())
		}
	})
}

// TestLimitsExactly: badges of one subject, and of one account, never exceed their limit, however many ask at once.
func TestLimitsExactly(t *testing.T) {
	eachURL(t, func(t *testing.T, url string) {
		stores := openMany(t, url, 4)
		for n := range 4 {
			must(t, stores[0].AddAgent(t.Context(), newAgent("did:web:"+string(rune('a'+n))), testAct()))
		}
		var group sync.WaitGroup
		var won atomic.Int32
		for n := range 80 {
			group.Go(func() {
				i := issuance(badgeID(n))
				i.Badge.Subject = "did:web:" + string(rune('a'+n/4%4))
				i.Limits = Limits{PerAgent: 7, PerAccount: 20}
				var limit *LimitError
				switch err := stores[n%4].Issue(context.Background(), i); {
				case err == nil:
					won.Add(1)
				case !errors.As(err, &limit):
					t.Error(err)
				}
			})
		}
		group.Wait()
		if won.Load() != 20 {
			t.Errorf("%d badges, want 20", won.Load())
		}
	})
}

// TestWithdrawWaits: when a key was withdrawn, or an agent disabled, nothing is issued any more in any process.
func TestWithdrawWaits(t *testing.T) {
	eachURL(t, func(t *testing.T, url string) {
		stores := openMany(t, url, 4)
		retire := func() error { return stores[0].RetireCAKey(t.Context(), "k-retire", testAct()) }
		disable := func() error { return stores[0].DisableAccount(t.Context(), "acc", testAct()) }
		for i, end := range []func() error{retire, disable} {
			name := []string{"retire", "disable"}[i]
			key := newCAKey("k-" + name)
			must(t, stores[0].AddCAKey(t.Context(), key, testAct()))
			must(t, stores[0].AddAgent(t.Context(), newAgent("did:web:"+name), testAct()))
			var ended atomic.Bool
			var group sync.WaitGroup
			started := make(chan struct{}, 400)
			for node, s := range stores {
				group.Go(func() {
					for n := 0; ; n++ {
						late := ended.Load()
						i := issuance(name + badgeID(node*100000+n))
						i.Badge.Subject, i.Badge.KeyID, i.Limits = "did:web:"+name, key.ID, Limits{100000, 100000}
						err := s.Issue(context.Background(), i)
						if err == nil && late {
							t.Errorf("%s: a badge was issued afterwards", name)
						}
						if err != nil {
							if !errors.Is(err, ErrRevoked) && !errors.Is(err, ErrInactive) {
								t.Errorf("%s: %v", name, err)
							}
							return
						}
						select {
						case started <- struct{}{}:
						default:
						}
					}
				})
			}
			for range 40 {
				<-started
			}
			must(t, end())
			ended.Store(true)
			group.Wait()
		}
	})
}

// TestOpenAtOnce opens a new database from several processes at once: each migration is applied once.
func TestOpenAtOnce(t *testing.T) {
	for _, url := range emptyDatabases(t) {
		var group sync.WaitGroup
		for range 6 {
			group.Go(func() {
				s, err := Open(context.Background(), url)
				if err != nil {
					t.Error(err)
					return
				}
				if err := errors.Join(s.BindIssuer(context.Background(), testIssuer), s.Close()); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		var n int
		s := open(t, url)
		must(t, s.db.Row(t.Context(), `SELECT count(*) FROM schema_version WHERE version_id = 1`).Scan(&n))
		if n != 1 {
			t.Errorf("migration 1 was applied %d times", n)
		}
	}
}

// TestLease gives a role to one of many.
func TestLease(t *testing.T) {
	eachURL(t, func(t *testing.T, url string) {
		stores := openMany(t, url, 4)
		take := func(node int, length time.Duration, now time.Time) bool {
			l := &Lease{Name: "ship", Holder: string(rune('a' + node)), Length: length}
			ok, err := stores[node%4].Lease(context.Background(), l, now)
			if err != nil {
				t.Error(err)
			}
			return ok
		}
		var group sync.WaitGroup
		var holders atomic.Int32
		var holder atomic.Int32
		for node := range 20 {
			group.Go(func() {
				if take(node, time.Minute, testNow()) {
					holders.Add(1)
					holder.Store(int32(node))
				}
			})
		}
		group.Wait()
		if holders.Load() != 1 {
			t.Fatalf("%d have the lease", holders.Load())
		}
		has := int(holder.Load())
		next := (has + 1) % 20
		for _, test := range []struct {
			who    int
			length time.Duration
			now    time.Duration
			want   bool
		}{
			{has, time.Minute, 30 * time.Second, true},
			{next, time.Minute, 89 * time.Second, false},
			{next, time.Minute, 90 * time.Second, true},
			{has, time.Minute, 100 * time.Second, false},
			{next, 0, 100 * time.Second, true},
			{has, time.Minute, 100 * time.Second, true},
		} {
			if got := take(test.who, test.length, at(test.now)); got != test.want {
				t.Errorf("after %v: %v", test.now, got)
			}
		}
	})
}

package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/internal/sqlstore/sqltest"
)

func emptyDatabases(t *testing.T) []string {
	t.Helper()
	return []string{sqltest.SQLite(t), sqltest.PostgreSQL(t)}
}

// put adds n accounts, whose entries are named after them.
func put(t *testing.T, s *Store, prefix string, n int) {
	t.Helper()
	for i := range n {
		id := fmt.Sprintf("%s-%d", prefix, i)
		act := Act{At: testNow(), By: "tester", Entry: []byte(id)}
		if err := s.AddAccount(context.Background(), &Account{ID: id, CreatedAt: testNow()}, act); err != nil {
			t.Error(err)
		}
	}
}

func TestClaimOutbox(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		first, err := s.ClaimOutbox(ctx, LogEnd{}, 100)
		must(t, err)
		if len(first) != 4 {
			t.Fatalf("%d entries after filling the database", len(first))
		}
		none, err := s.ClaimOutbox(ctx, LogEnd{4, first[3].Entry}, 100)
		must(t, err)
		if len(none) != 0 {
			t.Errorf("%d entries, want none", len(none))
		}
		put(t, s, "x", 5)
		i := issued(t, s, badgeID(1))
		n, oldest, err := s.Unshipped(ctx, 4)
		if n != 6 || !oldest.Equal(testNow()) || err != nil {
			t.Errorf("%d unshipped since %v, %v", n, oldest, err)
		}

		// A shipper that crashes before it appends gets the same again, even if it asks for more.
		two, err := s.ClaimOutbox(ctx, LogEnd{4, first[3].Entry}, 2)
		must(t, err)
		same(t, texts(two), []string{"4 x-0", "5 x-1"})
		again, err := s.ClaimOutbox(ctx, LogEnd{4, first[3].Entry}, 3)
		must(t, err)
		same(t, texts(again), []string{"4 x-0", "5 x-1", "6 x-2"})
		// One that crashed after it had appended a part goes on from there.
		rest, err := s.ClaimOutbox(ctx, LogEnd{5, []byte("x-0")}, 100)
		must(t, err)
		same(t, texts(rest[:4]), []string{"5 x-1", "6 x-2", "7 x-3", "8 x-4"})
		last := rest[4]
		if len(rest) != 5 || last.Position != 9 || last.BadgeID != i.Badge.ID || !last.At.Equal(testNow()) {
			t.Errorf("the last of %d is %+v", len(rest), last)
		}
		b, err := s.Badge(ctx, i.Badge.ID)
		must(t, err)
		if b.LogPosition == nil || *b.LogPosition != 9 {
			t.Errorf("the badge is at %v, want 9", b.LogPosition)
		}
		// A log that is longer than what was given out is not of this database.
		_, err = s.ClaimOutbox(ctx, LogEnd{11, []byte("x-0")}, 100)
		refused(t, err, ErrConflict)
		// One that ends with something else is of another history, and gets nothing.
		put(t, s, "y", 1)
		for _, end := range []LogEnd{{10, last.Entry[1:]}, {10, nil}, {6, []byte("x-0")}} {
			_, err = s.ClaimOutbox(ctx, end, 100)
			refused(t, err, ErrConflict)
		}
		n, _, err = s.Unshipped(ctx, 10)
		if n != 1 || err != nil {
			t.Errorf("%d unshipped, %v", n, err)
		}
	})
}

func texts(claimed []Outboxed) []string {
	all := []string{}
	for _, o := range claimed {
		all = append(all, fmt.Sprintf("%d %s", o.Position, o.Entry))
	}
	return all
}

// TestClaimPruned: a log that has lost what the outbox has dropped is an old copy.
func TestClaimPruned(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		put(t, s, "x", 6)
		_, err := s.ClaimOutbox(ctx, LogEnd{}, 100)
		must(t, err)
		p := &Prune{Now: at(MinBadgeMemory), Shipped: 7}
		if n, err := s.Prune(ctx, p); n != 0 || err != nil {
			t.Errorf("%d rows were removed too early, %v", n, err)
		}
		p.Now = at(MinBadgeMemory + time.Second)
		if n, err := s.Prune(ctx, p); n != 6 || err != nil {
			t.Errorf("%d rows were removed, %v", n, err)
		}
		for _, end := range []LogEnd{{}, {6, []byte("x-1")}} {
			_, err = s.ClaimOutbox(ctx, end, 100)
			refused(t, err, ErrConflict)
		}
		rest, err := s.ClaimOutbox(ctx, LogEnd{7, []byte("x-2")}, 100)
		must(t, err)
		same(t, texts(rest), []string{"7 x-3", "8 x-4", "9 x-5"})
	})
}

// TestClaimConcurrently: while four nodes write, two shippers claim for logs of their own. Both logs are the same, and
// have each entry once.
func TestClaimConcurrently(t *testing.T) {
	const nodes, each = 4, 25
	eachURL(t, func(t *testing.T, url string) {
		stores := openMany(t, url, nodes)
		var writers, shippers sync.WaitGroup
		for node, s := range stores {
			writers.Go(func() { put(t, s, fmt.Sprint("n", node), each) })
		}
		done := make(chan struct{})
		logs := make([][]string, 2)
		for i := range logs {
			s := open(t, url)
			shippers.Go(func() {
				var end LogEnd
				for last := false; ; {
					claimed, err := s.ClaimOutbox(context.Background(), end, 1+7*i)
					if err != nil {
						t.Error(err)
						return
					}
					logs[i] = append(logs[i], texts(claimed)...)
					for _, o := range claimed {
						end = LogEnd{o.Position + 1, o.Entry}
					}
					if last && len(claimed) == 0 {
						return
					}
					select {
					case <-done:
						last = true
					default:
					}
				}
			})
		}
		writers.Wait()
		close(done)
		shippers.Wait()
		same(t, logs[0], logs[1])
		if len(logs[0]) != 4+nodes*each {
			t.Errorf("%d entries, want %d", len(logs[0]), 4+nodes*each)
		}
		seen := map[string]bool{}
		for i, entry := range logs[0] {
			var position int
			var text string
			if _, err := fmt.Sscan(entry, &position, &text); err != nil || position != i {
				t.Fatalf("entry %d is %q", i, entry)
			}
			if i >= 4 && seen[text] {
				t.Errorf("%q is there twice", text)
			}
			seen[text] = true
		}
	})
}

// TestRefusalIsNotLogged: what was rolled back leaves no entry, not even a gap.
func TestRefusalIsNotLogged(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		for range 3 {
			err := s.AddAccount(t.Context(), &Account{ID: "acc", CreatedAt: testNow()}, testAct())
			refused(t, err, ErrExists)
		}
		put(t, s, "x", 1)
		claimed, err := s.ClaimOutbox(t.Context(), LogEnd{}, 10)
		must(t, err)
		if len(claimed) != 5 || claimed[4].Position != 4 {
			t.Errorf("%+v", texts(claimed))
		}
	})
}

// TestCanceled: a transaction whose context ends does not happen.
func TestCanceled(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Issue(ctx, issuance(badgeID(1))); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		_, err := s.Badge(t.Context(), badgeID(1))
		refused(t, err, ErrNotFound)
	})
}

package store

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/did"
)

func TestRevoke(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		i := issued(t, s, badgeID(1))
		_, err := s.Revoke(ctx, badgeID(9), "", testAct())
		refused(t, err, ErrNotFound)
		_, err = s.BadgeStatus(ctx, badgeID(9))
		refused(t, err, ErrNotFound)
		st, err := s.BadgeStatus(ctx, badgeID(1))
		must(t, err)
		same(t, st, &BadgeStatus{Badge: i.Badge, AgentStatus: StatusActive})

		genesis := firstHead(testIssuer)
		want := &Revocation{
			Number: 1, BadgeID: badgeID(1), Subject: testAgent, RevokedAt: at(time.Minute), Reason: "leaked", By: "tester",
			Head: sha256.Sum256(append(genesis[:], badgeID(1)...)), BadgeExpiresAt: at(5 * time.Minute),
		}
		logs(t, s, 1, func() {
			got, err := s.Revoke(ctx, badgeID(1), "leaked", actAt(at(time.Minute)))
			must(t, err)
			same(t, got, want)
		})
		logs(t, s, 0, func() { // the first stands
			got, err := s.Revoke(ctx, badgeID(1), "again", actAt(at(time.Hour)))
			must(t, err)
			same(t, got, want)
		})
		must(t, s.SetAgentStatus(ctx, &StatusChange{DID: testAgent, Status: StatusDisabled}, testAct()))
		must(t, s.WithdrawCAKey(ctx, testKey, "stolen", testAct()))
		st, err = s.BadgeStatus(ctx, badgeID(1))
		must(t, err)
		same(t, st, &BadgeStatus{Badge: i.Badge, Revocation: want, AgentStatus: StatusDisabled, KeyWithdrawn: true})
	})
}

func TestRevocations(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		for n := 1; n <= 5; n++ {
			issued(t, s, badgeID(n))
			_, err := s.Revoke(ctx, badgeID(n), "", actAt(at(time.Duration(n)*time.Minute)))
			must(t, err)
		}
		for _, test := range []struct {
			since uint64
			limit int
			want  []uint64
		}{
			{0, 10, []uint64{1, 2, 3, 4, 5}},
			{0, 2, []uint64{1, 2}},
			{3, 10, []uint64{4, 5}},
			{5, 10, nil},
		} {
			got, err := s.Revocations(ctx, test.since, test.limit)
			must(t, err)
			var numbers []uint64
			for _, r := range got {
				numbers = append(numbers, r.Number)
			}
			same(t, numbers, test.want)
		}
		_, err := s.Revocations(ctx, 6, 10)
		refused(t, err, ErrNotFound)
		for when, want := range map[time.Duration]uint64{0: 0, 3 * time.Minute: 2, 5 * time.Minute: 4, time.Hour: 5} {
			if got, err := s.RevocationsSince(ctx, at(when)); err != nil || got != want {
				t.Errorf("since %v: %d, %v; want %d", when, got, err, want)
			}
		}
	})
}

// list signs and reads back the revocation list that a snapshot states, so that the chain is checked by package badge.
func list(t *testing.T, s *Store, now time.Time) *badge.RevocationList {
	t.Helper()
	snapshot, err := s.RevocationSnapshot(t.Context(), now)
	must(t, err)
	var disabled []did.DID
	for _, d := range snapshot.DisabledAgents {
		disabled = append(disabled, did.MustParse(d))
	}
	private := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	key := &badge.IssuerKey{Issuer: testIssuer, KeyID: "list", Signer: private}
	token, err := badge.SignRevocationList(key, &badge.RevocationClaims{
		Issuer: testIssuer, AsOf: snapshot.AsOf, From: snapshot.From, Base: snapshot.Base, Revoked: snapshot.Revoked,
		DisabledAgents: disabled, WithdrawnKeys: snapshot.WithdrawnKeys,
	})
	must(t, err)
	l, err := badge.ParseRevocationList(token, testIssuer, []badge.Key{{ID: "list", Public: private.Public()}})
	must(t, err)
	if from, to := l.Cursor(); from != snapshot.From || to != snapshot.To || l.Head() != snapshot.Head {
		t.Errorf("the list names %d to %d, the snapshot %d to %d, or their heads differ", from, to, snapshot.From, snapshot.To)
	}
	return l
}

func TestRevocationSnapshot(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		empty := list(t, s, testNow())
		for n := 1; n <= 4; n++ {
			i := issuance(badgeID(n))
			i.Badge.ExpiresAt = at(time.Duration(n) * 10 * time.Minute)
			must(t, s.Issue(ctx, i))
		}
		// In another order than they expire in: the front may only be cut before the first that has not.
		for _, n := range []int{1, 3, 2, 4} {
			_, err := s.Revoke(ctx, badgeID(n), "", testAct())
			must(t, err)
		}
		must(t, s.SetAgentStatus(ctx, &StatusChange{DID: testAgent, Status: StatusSuspended}, testAct()))
		unused := newAgent("did:web:unused.example")
		unused.Status = StatusDisabled
		must(t, s.AddAgent(ctx, unused, testAct()))
		if now, err := s.RevocationSnapshot(ctx, testNow()); err != nil || len(now.DisabledAgents) != 1 {
			t.Errorf("%q, %v: want the agent that has badges", now.DisabledAgents, err)
		}
		if late, err := s.RevocationSnapshot(ctx, at(2*time.Hour)); err != nil || len(late.DisabledAgents) != 0 {
			t.Errorf("%q, %v: all badges are over", late.DisabledAgents, err)
		}
		must(t, s.AddCAKey(ctx, newCAKey("stolen"), testAct()))
		must(t, s.WithdrawCAKey(ctx, "stolen", "", testAct()))

		before := empty
		for _, test := range []struct {
			minute   int
			from, to uint64
		}{
			{0, 0, 4}, {19, 0, 4}, {20, 1, 4}, {35, 1, 4}, {40, 3, 4}, {49, 3, 4}, {50, 4, 4}, {600, 4, 4},
		} {
			l := list(t, s, at(time.Duration(test.minute)*time.Minute))
			if from, to := l.Cursor(); from != test.from || to != test.to {
				t.Errorf("minute %d: the list names %d to %d, want %d to %d", test.minute, from, to, test.from, test.to)
			}
			must(t, l.Follows(before))
			before = l
			st, err := l.Status(ctx, badge.StatusQuery{
				Issuer: testIssuer, BadgeID: badgeID(4), Subject: did.MustParse(testAgent), IssuerKeyID: "stolen",
			})
			must(t, err)
			if st.Revoked != (test.from < 4) || st.AgentDisabled != (test.from < 4) || !st.KeyWithdrawn {
				t.Errorf("minute %d: %+v", test.minute, st)
			}
		}
	})
}

// TestRevocationsConcurrently revokes from several nodes at once, while another one makes lists.
func TestRevocationsConcurrently(t *testing.T) {
	const nodes, each, shared = 4, 15, 5
	eachURL(t, func(t *testing.T, url string) {
		stores := openMany(t, url, nodes)
		for n := range nodes*each + shared {
			i := issuance(badgeID(n))
			i.Limits.PerAgent = 1000
			must(t, stores[0].Issue(t.Context(), i))
		}
		var group sync.WaitGroup
		for node, s := range stores {
			group.Go(func() {
				for n := range each + shared {
					id := badgeID(node*each + n)
					if n >= each { // all nodes revoke these
						id = badgeID(nodes*each + n - each)
					}
					if _, err := s.Revoke(t.Context(), id, fmt.Sprint("by ", node), testAct()); err != nil {
						t.Error(err)
					}
				}
			})
		}
		reader, stop := open(t, url), make(chan struct{})
		listed := make(chan int)
		go func() {
			before, n := list(t, reader, testNow()), 0
			for ; ; n++ {
				select {
				case <-stop:
					listed <- n
					return
				default:
				}
				l := list(t, reader, testNow())
				if err := l.Follows(before); err != nil {
					t.Error(err)
				}
				before = l
			}
		}()
		group.Wait()
		close(stop)
		t.Logf("%d lists meanwhile", <-listed)

		all, err := stores[0].Revocations(t.Context(), 0, 1000)
		must(t, err)
		if len(all) != nodes*each+shared {
			t.Fatalf("%d revocations, want %d", len(all), nodes*each+shared)
		}
		head := firstHead(testIssuer)
		for n, r := range all {
			head = sha256.Sum256(append(head[:], r.BadgeID...))
			if r.Number != uint64(n+1) || r.Head != head {
				t.Fatalf("revocation %d has number %d, or another head", n+1, r.Number)
			}
		}
		if n := entries(t, stores[0]); n != 4+2*(nodes*each+shared) {
			t.Errorf("%d entries", n)
		}
	})
}

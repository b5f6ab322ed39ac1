package store

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

func newOrder(id string) *Order {
	return &Order{
		ID: id, AccountID: "acc", CreatorKey: "k1", Domain: "acme.example", Type: HTTP01, Token: "token-" + id,
		Thumbprint: "jkt", KeyJWK: []byte(`{"kty":"OKP"}`), CreatedAt: testNow(), ExpiresAt: at(10 * time.Minute),
		Status: OrderPending,
	}
}

func newGrant(id, order string) *Grant {
	return &Grant{
		ID: id, Domain: "acme.example", Thumbprint: "jkt", AccountID: "acc", OrderID: order, IssuedAt: testNow(),
		ExpiresAt: at(24 * time.Hour),
	}
}

// granted makes an order and its grant.
func granted(t testing.TB, s *Store, id string) *Grant {
	t.Helper()
	must(t, s.AddOrder(t.Context(), newOrder("order-"+id), OrderLimits{}, testAct()))
	g := newGrant(id, "order-"+id)
	must(t, s.AddGrant(t.Context(), g, testAct()))
	return g
}

func TestOrders(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		logs(t, s, 1, func() { must(t, s.AddOrder(ctx, newOrder("o1"), OrderLimits{}, testAct())) })
		refused(t, s.AddOrder(ctx, newOrder("o1"), OrderLimits{}, testAct()), ErrExists)
		got, err := s.Order(ctx, "o1")
		must(t, err)
		same(t, got, newOrder("o1"))
		_, err = s.Order(ctx, "none")
		refused(t, err, ErrNotFound)

		try := Try{OrderID: "o1", Max: 2, At: testNow()}
		for n := 1; n <= 2; n++ {
			if got, err = s.TryOrder(ctx, try); err != nil || got.Attempts != n {
				t.Fatalf("attempt %d: %+v, %v", n, got, err)
			}
		}
		_, err = s.TryOrder(ctx, try)
		limitReached(t, err, 10*time.Minute)
		_, err = s.TryOrder(ctx, Try{OrderID: "o1", Max: 3, At: at(10 * time.Minute)})
		refused(t, err, ErrExpired)
		_, err = s.TryOrder(ctx, Try{OrderID: "none", Max: 3, At: testNow()})
		refused(t, err, ErrNotFound)

		refused(t, s.FailOrder(ctx, "none", testAct()), ErrNotFound)
		logs(t, s, 1, func() { must(t, s.FailOrder(ctx, "o1", testAct())) })
		refused(t, s.FailOrder(ctx, "o1", testAct()), ErrConflict)
		_, err = s.TryOrder(ctx, try)
		refused(t, err, ErrConflict)
		refused(t, s.AddGrant(ctx, newGrant("g", "o1"), testAct()), ErrConflict)
	})
}

func TestOrderLimits(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		add := func(id, domain string, when time.Duration) error {
			o := newOrder(id)
			o.Domain, o.CreatedAt, o.ExpiresAt = domain, at(when), at(when+10*time.Minute)
			return s.AddOrder(ctx, o, OrderLimits{PerDomain: 1, PerAccount: 2}, testAct())
		}
		must(t, add("o1", "a.example", 0))
		limitReached(t, add("o2", "a.example", 0), 10*time.Minute)
		other := newOrder("o0") // of another account, which the first one's do not keep from ordering
		other.AccountID, other.Domain = "other", "a.example"
		must(t, s.AddOrder(ctx, other, OrderLimits{PerDomain: 1}, testAct()))
		must(t, add("o3", "b.example", time.Minute))
		limitReached(t, add("o4", "c.example", time.Minute), 9*time.Minute)
		must(t, s.FailOrder(ctx, "o3", testAct()))
		must(t, add("o5", "c.example", time.Minute))
		must(t, add("o6", "a.example", 10*time.Minute)) // o1 is over

		anonymous := newOrder("o7")
		anonymous.AccountID, anonymous.CreatorKey, anonymous.Domain = "", "", "d.example"
		must(t, s.AddOrder(ctx, anonymous, OrderLimits{}, testAct()))
		got, err := s.Order(ctx, "o7")
		must(t, err)
		same(t, got, anonymous)

		foreign := newOrder("o8")
		foreign.AccountID = "none"
		refused(t, s.AddOrder(ctx, foreign, OrderLimits{}, testAct()), ErrNotFound)
		must(t, s.DisableAccount(ctx, "acc", testAct()))
		refused(t, add("o9", "e.example", time.Hour), ErrInactive)
	})
}

func TestGrants(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		must(t, s.AddOrder(ctx, newOrder("o1"), OrderLimits{}, testAct()))
		for name, test := range map[string]struct {
			change func(*Grant)
			want   error
		}{
			"no order":        {func(g *Grant) { g.OrderID = "none" }, ErrNotFound},
			"order over":      {func(g *Grant) { g.IssuedAt = at(10 * time.Minute) }, ErrExpired},
			"another domain":  {func(g *Grant) { g.Domain = "evil.example" }, ErrConflict},
			"another key":     {func(g *Grant) { g.Thumbprint = "mine" }, ErrConflict},
			"another account": {func(g *Grant) { g.AccountID = "other" }, ErrConflict},
		} {
			g := newGrant("g1", "o1")
			test.change(g)
			if err := s.AddGrant(ctx, g, testAct()); !errors.Is(err, test.want) {
				t.Errorf("%s: got %v, want %v", name, err, test.want)
			}
		}
		g := newGrant("g1", "o1")
		logs(t, s, 1, func() { must(t, s.AddGrant(ctx, g, testAct())) })
		refused(t, s.AddGrant(ctx, newGrant("g2", "o1"), testAct()), ErrUsed)
		o, err := s.Order(ctx, "o1")
		must(t, err)
		if o.Status != OrderValid || o.GrantID != "g1" {
			t.Errorf("the order is %q with grant %q", o.Status, o.GrantID)
		}
		refused(t, s.FailOrder(ctx, "o1", testAct()), ErrUsed)
		must(t, s.AddOrder(ctx, newOrder("o2"), OrderLimits{}, testAct()))
		refused(t, s.AddGrant(ctx, newGrant("g1", "o2"), testAct()), ErrExists)

		got, err := s.Grant(ctx, "g1")
		must(t, err)
		same(t, got, g)
		_, err = s.Grant(ctx, "none")
		refused(t, err, ErrNotFound)
		all, err := s.GrantsOf(ctx, "acme.example")
		must(t, err)
		same(t, all, []Grant{*g})
	})
}

func TestGrantOfAnotherAccount(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		granted(t, s, "g1")
		o := newOrder("o2")
		o.AccountID = "other"
		must(t, s.AddOrder(ctx, o, OrderLimits{}, testAct()))
		g := newGrant("g2", "o2")
		g.AccountID = "other"
		refused(t, s.AddGrant(ctx, g, testAct()), ErrOwner)
		_, err := s.RevokeGrant(ctx, "g1", "sold", testAct())
		must(t, err)
		must(t, s.AddGrant(ctx, g, testAct()))
	})
}

func TestRevokeGrant(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		want := *granted(t, s, "g1")
		_, err := s.RevokeGrant(ctx, "none", "", testAct())
		refused(t, err, ErrNotFound)
		want.RevokedAt, want.Reason = at(time.Minute), "lost"
		logs(t, s, 1, func() {
			got, err := s.RevokeGrant(ctx, "g1", "lost", actAt(at(time.Minute)))
			must(t, err)
			same(t, got, &want)
		})
		logs(t, s, 0, func() {
			got, err := s.RevokeGrant(ctx, "g1", "again", actAt(at(time.Hour)))
			must(t, err)
			same(t, got, &want)
		})
	})
}

// minted returns an issuance from a grant that nothing speaks against.
func minted(n int) *Issuance {
	i := issuance(badgeID(n))
	i.Badge.Subject, i.Badge.GrantID, i.Badge.Assurance = "did:web:acme.example", "g1", "1"
	i.Replay = &Replay{Key: fmt.Sprintf("mint proof %d", n), Until: at(5 * time.Minute)}
	return i
}

func TestMint(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		granted(t, s, "g1")
		i := minted(1)
		logs(t, s, 1, func() { must(t, s.Issue(ctx, i)) })
		st, err := s.BadgeStatus(ctx, badgeID(1))
		must(t, err)
		same(t, st, &BadgeStatus{Badge: i.Badge})

		for name, test := range map[string]struct {
			change func(*Issuance)
			want   error
		}{
			"proof seen":    {func(i *Issuance) { i.Replay = minted(1).Replay }, ErrUsed},
			"no grant":      {func(i *Issuance) { i.Badge.GrantID = "none" }, ErrNotFound},
			"other account": {func(i *Issuance) { i.Badge.AccountID = "other" }, ErrOwner},
			"other domain":  {func(i *Issuance) { i.Badge.Domain = "evil.example" }, ErrLevel},
			"grant over": {func(i *Issuance) {
				i.Badge.IssuedAt, i.Badge.ExpiresAt = at(24*time.Hour), at(25*time.Hour)
			}, ErrExpired},
		} {
			i := minted(2)
			test.change(i)
			logs(t, s, 0, func() {
				if err := s.Issue(ctx, i); !errors.Is(err, test.want) {
					t.Errorf("%s: got %v, want %v", name, err, test.want)
				}
			})
		}

		i = minted(2)
		i.Limits.PerAgent = 1
		limitReached(t, s.Issue(ctx, i), time.Hour)
		i.Limits.PerAgent = 2
		must(t, s.Issue(ctx, i)) // its proof was not used up by what was refused

		_, err = s.RevokeGrant(ctx, "g1", "", testAct())
		must(t, err)
		refused(t, s.Issue(ctx, minted(3)), ErrRevoked)
	})
}

// TestMintForRegistered: a subject that was disabled cannot get a badge by way of a grant.
func TestMintForRegistered(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		granted(t, s, "g1")
		must(t, s.AddAgent(ctx, newAgent("did:web:acme.example"), testAct()))
		must(t, s.Issue(ctx, minted(1)))
		change := &StatusChange{DID: "did:web:acme.example", Status: StatusDisabled}
		must(t, s.SetAgentStatus(ctx, change, testAct()))
		refused(t, s.Issue(ctx, minted(2)), ErrInactive)
		change.Status = StatusActive
		must(t, s.SetAgentStatus(ctx, change, testAct()))
		must(t, s.DisableAccount(ctx, "acc", testAct()))
		refused(t, s.Issue(ctx, minted(2)), ErrInactive)
	})
}

// TestMintOfNobody: grants need no account.
func TestMintOfNobody(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		o := newOrder("o1")
		o.AccountID = ""
		must(t, s.AddOrder(ctx, o, OrderLimits{}, testAct()))
		g := newGrant("g1", "o1")
		g.AccountID = ""
		must(t, s.AddGrant(ctx, g, testAct()))
		i := minted(1)
		i.Badge.AccountID = ""
		must(t, s.Issue(ctx, i))
		got, err := s.Badge(ctx, badgeID(1))
		must(t, err)
		same(t, got, &i.Badge)
	})
}

func newDVAccount(id string) *DVAccount {
	return &DVAccount{
		ID: id, AccountID: "acc", Domain: "acme.example", Thumbprint: "static", KeyJWK: []byte(`{}`), Status: DVPending,
		CreatedAt: testNow(),
	}
}

func TestDVAccounts(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		logs(t, s, 1, func() { must(t, s.AddDVAccount(ctx, newDVAccount("d1"), testAct())) })
		refused(t, s.AddDVAccount(ctx, newDVAccount("d1"), testAct()), ErrExists)
		again := newDVAccount("d2")
		refused(t, s.AddDVAccount(ctx, again, testAct()), ErrExists) // of the same domain and key
		foreign := newDVAccount("d2")
		foreign.AccountID = "none"
		refused(t, s.AddDVAccount(ctx, foreign, testAct()), ErrNotFound)
		_, err := s.DVAccount(ctx, "none")
		refused(t, err, ErrNotFound)

		order := newOrder("o1")
		order.DVAccountID, order.Status, order.Type, order.Token = "d1", OrderReady, "", ""
		refused(t, s.AddOrder(ctx, order, OrderLimits{}, testAct()), ErrConflict) // not verified

		refused(t, s.VerifyDVAccount(ctx, "none", HTTP01, testAct()), ErrNotFound)
		logs(t, s, 1, func() { must(t, s.VerifyDVAccount(ctx, "d1", HTTP01, actAt(at(time.Minute)))) })
		want := newDVAccount("d1")
		want.Status, want.VerifiedAt, want.VerifiedVia = DVVerified, at(time.Minute), HTTP01
		got, err := s.DVAccount(ctx, "d1")
		must(t, err)
		same(t, got, want)

		order.Domain = "evil.example"
		refused(t, s.AddOrder(ctx, order, OrderLimits{}, testAct()), ErrConflict)
		order.Domain, order.AccountID = "acme.example", "other"
		refused(t, s.AddOrder(ctx, order, OrderLimits{}, testAct()), ErrOwner)
		order.AccountID = "acc"
		must(t, s.AddOrder(ctx, order, OrderLimits{}, testAct()))
		stored, err := s.Order(ctx, "o1")
		must(t, err)
		same(t, stored, order)
		free := newOrder("o2")
		free.Status = OrderReady
		refused(t, s.AddOrder(ctx, free, OrderLimits{}, testAct()), ErrConflict)

		refused(t, s.RecoverDVAccount(ctx, "none", "other", testAct()), ErrNotFound)
		refused(t, s.RecoverDVAccount(ctx, "d1", "none", testAct()), ErrNotFound)
		logs(t, s, 1, func() { must(t, s.RecoverDVAccount(ctx, "d1", "other", testAct())) })
		refused(t, s.RevokeDVAccount(ctx, "none", "", testAct()), ErrNotFound)
		logs(t, s, 1, func() { must(t, s.RevokeDVAccount(ctx, "d1", "rotation", actAt(at(time.Hour)))) })
		want.AccountID, want.Status, want.RevokedAt, want.Reason = "other", DVRevoked, at(time.Hour), "rotation"
		got, err = s.DVAccount(ctx, "d1")
		must(t, err)
		same(t, got, want)
		refused(t, s.RevokeDVAccount(ctx, "d1", "", testAct()), ErrRevoked)
		refused(t, s.VerifyDVAccount(ctx, "d1", HTTP01, testAct()), ErrRevoked)
		refused(t, s.RecoverDVAccount(ctx, "d1", "acc", testAct()), ErrRevoked)
		order.ID = "o3"
		refused(t, s.AddOrder(ctx, order, OrderLimits{}, testAct()), ErrRevoked)
	})
}

// TestGrantAfterTheEnd: an order that was ready gets no grant when what made it so has ended meanwhile.
func TestGrantAfterTheEnd(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(s *Store, ctx context.Context) error
		want error
	}{
		"revoked":   {func(s *Store, ctx context.Context) error { return s.RevokeDVAccount(ctx, "d1", "", testAct()) }, ErrRevoked},
		"recovered": {func(s *Store, ctx context.Context) error { return s.RecoverDVAccount(ctx, "d1", "other", testAct()) }, ErrOwner},
		"disabled":  {func(s *Store, ctx context.Context) error { return s.DisableAccount(ctx, "acc", testAct()) }, ErrInactive},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, s *Store) {
				ctx := t.Context()
				must(t, s.AddDVAccount(ctx, newDVAccount("d1"), testAct()))
				must(t, s.VerifyDVAccount(ctx, "d1", HTTP01, testAct()))
				order := newOrder("o1")
				order.DVAccountID, order.Status, order.Type, order.Token = "d1", OrderReady, "", ""
				must(t, s.AddOrder(ctx, order, OrderLimits{}, testAct()))
				must(t, test.end(s, ctx))
				logs(t, s, 0, func() { refused(t, s.AddGrant(ctx, newGrant("g1", "o1"), testAct()), test.want) })
			})
		})
	}
}

func TestDVAccountLimit(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		add := func(id string) error {
			d := newDVAccount(id)
			d.Thumbprint = "key of " + id
			return s.AddDVAccount(t.Context(), d, testAct())
		}
		for n := range MaxDVAccounts {
			must(t, add(fmt.Sprint("d", n)))
		}
		limitReached(t, add("more"), time.Hour)
		must(t, s.RevokeDVAccount(t.Context(), "d0", "", testAct()))
		must(t, add("more"))
		must(t, s.DisableAccount(t.Context(), "acc", testAct()))
		refused(t, add("late"), ErrInactive)
	})
}

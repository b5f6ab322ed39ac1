package store

import (
	"testing"
	"time"
)

func newKey(id, account string) *AccountKey {
	return &AccountKey{
		ID: id, AccountID: account, SecretHash: [32]byte{1, 2, 3}, Scopes: []string{ScopeIssue, ScopeAdmin},
		Label: "ci", CreatedAt: testNow(), ExpiresAt: at(time.Hour),
	}
}

func TestAccounts(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		refused(t, s.AddAccount(ctx, &Account{ID: "acc", CreatedAt: testNow()}, testAct()), ErrExists)
		_, err := s.Account(ctx, "none")
		refused(t, err, ErrNotFound)
		refused(t, s.DisableAccount(ctx, "none", testAct()), ErrNotFound)
		refused(t, s.EnableAccount(ctx, "none", testAct()), ErrNotFound)
		refused(t, s.EnableAccount(ctx, "acc", testAct()), ErrConflict)
		logs(t, s, 1, func() { must(t, s.DisableAccount(ctx, "acc", actAt(at(time.Minute)))) })
		refused(t, s.DisableAccount(ctx, "acc", testAct()), ErrInactive)
		got, err := s.Account(ctx, "acc")
		must(t, err)
		same(t, got, &Account{ID: "acc", Name: "Acme", CreatedAt: testNow(), DisabledAt: at(time.Minute)})
		logs(t, s, 1, func() { must(t, s.EnableAccount(ctx, "acc", testAct())) })
		all, err := s.Accounts(ctx)
		must(t, err)
		same(t, all, []Account{
			{ID: "acc", Name: "Acme", CreatedAt: testNow()},
			{ID: "other", Name: "Other", CreatedAt: at(time.Second)},
		})
	})
}

func TestAccountKeys(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		logs(t, s, 1, func() { must(t, s.AddAccountKey(ctx, newKey("k1", "acc"), testAct())) })
		refused(t, s.AddAccountKey(ctx, newKey("k1", "acc"), testAct()), ErrExists)
		refused(t, s.AddAccountKey(ctx, newKey("k2", "none"), testAct()), ErrNotFound)
		must(t, s.DisableAccount(ctx, "other", actAt(at(time.Minute))))
		refused(t, s.AddAccountKey(ctx, newKey("k2", "other"), testAct()), ErrInactive)

		got, err := s.AccountKey(ctx, "k1")
		must(t, err)
		same(t, got, newKey("k1", "acc"))
		_, err = s.AccountKey(ctx, "none")
		refused(t, err, ErrNotFound)

		refused(t, s.RevokeAccountKey(ctx, "none", testAct()), ErrNotFound)
		logs(t, s, 1, func() { must(t, s.RevokeAccountKey(ctx, "k1", actAt(at(time.Second)))) })
		refused(t, s.RevokeAccountKey(ctx, "k1", testAct()), ErrRevoked)
		must(t, s.DisableAccount(ctx, "acc", actAt(at(time.Minute))))
		keys, err := s.AccountKeys(ctx, "acc")
		must(t, err)
		want := *newKey("k1", "acc")
		want.RevokedAt, want.AccountDisabledAt = at(time.Second), at(time.Minute)
		same(t, keys, []AccountKey{want})
	})
}

func TestRotateAccountKey(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		must(t, s.AddAccountKey(ctx, newKey("k1", "acc"), testAct()))
		rotate := func(old, next, account string, until time.Duration) error {
			return s.RotateAccountKey(ctx, &Rotation{Old: old, Until: at(until), Next: newKey(next, account)}, testAct())
		}
		refused(t, rotate("none", "k2", "acc", 0), ErrNotFound)
		refused(t, rotate("k1", "k2", "other", 0), ErrOwner)
		refused(t, rotate("k1", "k1", "acc", 0), ErrExists)
		if _, err := s.AccountKey(ctx, "k2"); err == nil {
			t.Error("a rotation that was refused added a key")
		}
		logs(t, s, 1, func() { must(t, rotate("k1", "k2", "acc", time.Minute)) })
		// A key that ends sooner is not prolonged.
		must(t, rotate("k1", "k3", "acc", time.Hour))
		old, err := s.AccountKey(ctx, "k1")
		must(t, err)
		if !old.ExpiresAt.Equal(at(time.Minute)) {
			t.Errorf("the old key ends at %v, want %v", old.ExpiresAt, at(time.Minute))
		}
		must(t, s.RevokeAccountKey(ctx, "k1", testAct()))
		refused(t, rotate("k1", "k4", "acc", 0), ErrRevoked)
	})
}

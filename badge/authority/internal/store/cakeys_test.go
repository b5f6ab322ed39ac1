package store

import (
	"testing"
	"time"
)

func TestCAKeys(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		second := newCAKey("k2")
		second.CreatedAt, second.ActiveFrom = at(time.Minute), at(time.Hour)
		logs(t, s, 1, func() { must(t, s.AddCAKey(ctx, second, testAct())) })
		refused(t, s.AddCAKey(ctx, second, testAct()), ErrExists)
		issued(t, s, badgeID(1))
		late := issuance(badgeID(2))
		late.Badge.ExpiresAt = at(time.Hour)
		must(t, s.Issue(ctx, late))
		issued(t, s, badgeID(3))

		refused(t, s.RetireCAKey(ctx, "none", testAct()), ErrNotFound)
		refused(t, s.WithdrawCAKey(ctx, "none", "", testAct()), ErrNotFound)
		logs(t, s, 1, func() { must(t, s.RetireCAKey(ctx, testKey, actAt(at(time.Second)))) })
		refused(t, s.RetireCAKey(ctx, testKey, testAct()), ErrRevoked)
		logs(t, s, 1, func() { must(t, s.WithdrawCAKey(ctx, testKey, "stolen", actAt(at(time.Minute)))) })
		refused(t, s.WithdrawCAKey(ctx, testKey, "", testAct()), ErrRevoked)
		must(t, s.WithdrawCAKey(ctx, "k2", "too", testAct()))
		refused(t, s.RetireCAKey(ctx, "k2", testAct()), ErrRevoked)

		first := newCAKey(testKey)
		first.RetiredAt, first.WithdrawnAt, first.Reason = at(time.Second), at(time.Minute), "stolen"
		first.LastBadgeExpires = at(time.Hour)
		second.WithdrawnAt, second.Reason = testNow(), "too"
		keys, err := s.CAKeys(ctx)
		must(t, err)
		same(t, keys, []CAKey{*first, *second})
	})
}

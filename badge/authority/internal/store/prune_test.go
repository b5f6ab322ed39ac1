package store

import (
	"errors"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/internal/sqlstore"
)

func TestPrune(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		must(t, s.AddChallenge(ctx, newChallenge("ch"))) // ends at 5 minutes
		must(t, s.AddOrder(ctx, newOrder("o1"), OrderLimits{}, testAct()))
		must(t, s.UseProof(ctx, &Replay{Key: "p", Until: at(time.Minute)}))
		must(t, s.Allow(ctx, &Window{Kind: "try", Subject: "x", Max: 1, Length: time.Minute}, testNow()))
		issued(t, s, badgeID(1)) // ends at 5 minutes
		issued(t, s, badgeID(2))
		_, err := s.Revoke(ctx, badgeID(2), "", testAct())
		must(t, err)
		_, err = s.ClaimOutbox(ctx, LogEnd{}, 6) // up to the entry of badge 1
		must(t, err)

		const minute, day = time.Minute, 24 * time.Hour
		for _, step := range []struct {
			name   string
			when   time.Duration
			badges time.Duration
			want   int64
		}{
			{"nothing yet", minute, 0, 0},
			{"proof and attempt", minute + 1000, 0, 2},
			{"challenge at its end and an hour", time.Hour + 5*minute, 0, 0},
			{"challenge", time.Hour + 5*minute + 1000, 0, 1},
			{"count of the account", 3 * time.Hour, 0, 1},
			{"badges live longer", day + 5*minute + 1000, 2 * day, 0},
			{"badge that has a position", day + 5*minute + 1000, 0, 1},
			{"order", day + 10*minute + 1000, 2 * day, 1},
			{"again", day + 10*minute + 1000, 0, 0},
		} {
			n, err := s.Prune(ctx, &Prune{Now: at(step.when), Badges: step.badges})
			if n != step.want || err != nil {
				t.Errorf("%s: %d rows, %v; want %d", step.name, n, err, step.want)
			}
		}
		_, err = s.Badge(ctx, badgeID(1))
		refused(t, err, ErrNotFound)
		if _, err := s.Badge(ctx, badgeID(2)); err != nil {
			t.Errorf("a badge whose entry has no position was forgotten: %v", err)
		}
		// Without a log there are no positions to wait for: a badge and its entries go.
		n, err := s.Prune(ctx, &Prune{Now: at(3 * day), AllowUnlogged: true})
		if n < 2 || err != nil {
			t.Errorf("%d rows, %v", n, err)
		}
		// The revocation stays, and answers for the badge.
		st, err := s.BadgeStatus(ctx, badgeID(2))
		must(t, err)
		if st.Revocation == nil || st.Badge.Subject != testAgent || st.Badge.KeyID != "" || st.AgentStatus != StatusActive {
			t.Errorf("%+v", st)
		}
		r, err := s.Revoke(ctx, badgeID(2), "", testAct())
		if err != nil || r.Number != 1 {
			t.Errorf("%+v, %v", r, err)
		}
		_, err = s.Revoke(ctx, badgeID(1), "", testAct())
		refused(t, err, ErrNotFound)
		list(t, s, at(3*day))
	})
}

func TestPruneInBatches(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		must(t, s.db.Tx(t.Context(), func(tx *sqlstore.Tx) error {
			for n := range pruneBatch + 10 {
				if err := useProof(t.Context(), tx, &Replay{Key: badgeID(n), Until: testNow()}); err != nil {
					return err
				}
			}
			return nil
		}))
		for _, want := range []int64{pruneBatch, 10, 0} {
			if n, err := s.Prune(t.Context(), &Prune{Now: at(time.Hour)}); n != want || err != nil {
				t.Errorf("%d rows, %v; want %d", n, err, want)
			}
		}
	})
}

func TestAllow(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		try := func(kind, subject string, most int, when time.Duration) error {
			w := &Window{Kind: kind, Subject: subject, Max: most, Length: time.Hour}
			return s.Allow(t.Context(), w, at(when))
		}
		must(t, try("a", "x", 2, 0))
		must(t, try("a", "x", 2, 10*time.Minute))
		limitReached(t, try("a", "x", 2, 20*time.Minute), 40*time.Minute)
		must(t, try("b", "x", 2, 20*time.Minute))
		must(t, try("a", "y", 2, 20*time.Minute))
		must(t, try("a", "x", 2, time.Hour))
		limitReached(t, try("c", "x", 0, 0), time.Hour)
	})
}

func TestUseProof(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		proof := &Replay{Key: "status 1", Until: at(time.Minute)}
		must(t, s.UseProof(t.Context(), proof))
		refused(t, s.UseProof(t.Context(), proof), ErrUsed)
		must(t, s.UseProof(t.Context(), &Replay{Key: "status 2", Until: at(time.Minute)}))
	})
}

func TestErrors(t *testing.T) {
	for kind, conflict := range map[error]bool{
		ErrNotFound: false, ErrConflict: true, ErrExists: true, ErrUsed: true, ErrExpired: true, ErrInactive: true,
		ErrOwner: true, ErrLevel: true, ErrRevoked: true,
	} {
		err := refuse("thing", "7", kind)
		if !errors.Is(err, kind) || errors.Is(err, ErrConflict) != conflict {
			t.Errorf("%v matches the wrong kinds", err)
		}
		if want := `thing "7": ` + kind.Error(); err.Error() != want {
			t.Errorf("got %q, want %q", err.Error(), want)
		}
	}
}

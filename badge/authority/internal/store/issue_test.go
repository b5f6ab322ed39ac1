package store

import (
	"errors"
	"testing"
	"time"
)

func TestIssue(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		i := issuance(badgeID(1))
		logs(t, s, 1, func() { must(t, s.Issue(ctx, i)) })
		got, err := s.Badge(ctx, i.Badge.ID)
		must(t, err)
		same(t, got, &i.Badge)
		_, err = s.Badge(ctx, "none")
		refused(t, err, ErrNotFound)
		refused(t, s.Issue(ctx, i), ErrExists)

		second := issuance(badgeID(2))
		second.Badge.IssuedAt = at(time.Second)
		must(t, s.Issue(ctx, second))
		latest, err := s.BadgesOf(ctx, testAgent, 5)
		must(t, err)
		same(t, latest, []Badge{second.Badge, i.Badge})
	})
}

func TestIssueForChallenge(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		must(t, s.AddChallenge(ctx, newChallenge("ch-1")))
		refused(t, s.AddChallenge(ctx, newChallenge("ch-1")), ErrExists)
		got, err := s.Challenge(ctx, "ch-1")
		must(t, err)
		same(t, got, newChallenge("ch-1"))
		_, err = s.Challenge(ctx, "none")
		refused(t, err, ErrNotFound)

		i := issuance(badgeID(1))
		i.Badge.ChallengeID, i.Badge.Assurance, i.Badge.IssuedAt = "ch-1", "1", at(time.Minute)
		logs(t, s, 1, func() { must(t, s.Issue(ctx, i)) })
		got, err = s.Challenge(ctx, "ch-1")
		must(t, err)
		if !got.UsedAt.Equal(at(time.Minute)) {
			t.Errorf("used at %v", got.UsedAt)
		}
		i.Badge.ID = badgeID(2)
		logs(t, s, 0, func() { refused(t, s.Issue(ctx, i), ErrUsed) })
	})
}

func TestAddChallengeRefuses(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		for name, test := range map[string]struct {
			change func(*Challenge)
			want   error
		}{
			"no agent":      {func(c *Challenge) { c.DID = "did:web:none" }, ErrNotFound},
			"other account": {func(c *Challenge) { c.AccountID = "other" }, ErrOwner},
			"level":         {func(c *Challenge) { c.Level = 3 }, ErrLevel},
			"level 0":       {func(c *Challenge) { c.Level = 0 }, ErrLevel},
			"domain":        {func(c *Challenge) { c.Domain = "evil.example" }, ErrLevel},
		} {
			c := newChallenge("ch")
			test.change(c)
			if err := s.AddChallenge(t.Context(), c); !errors.Is(err, test.want) {
				t.Errorf("%s: got %v, want %v", name, err, test.want)
			}
		}
		must(t, s.SetAgentStatus(t.Context(), &StatusChange{DID: testAgent, Status: StatusDisabled}, testAct()))
		refused(t, s.AddChallenge(t.Context(), newChallenge("ch")), ErrInactive)
	})
}

// TestIssueRefuses checks each refusal, that nothing of the transaction stays, and that without the change it is not
// refused.
func TestIssueRefuses(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		must(t, s.AddAgent(ctx, newAgent("did:web:disabled"), testAct()))
		must(t, s.SetAgentStatus(ctx, &StatusChange{DID: "did:web:disabled", Status: StatusDisabled}, testAct()))
		must(t, s.AddAgent(ctx, newAgent("did:web:second"), testAct()))
		retired, withdrawn, early := newCAKey("retired"), newCAKey("withdrawn"), newCAKey("early")
		early.ActiveFrom = at(time.Second)
		for _, k := range []*CAKey{retired, withdrawn, early} {
			must(t, s.AddCAKey(ctx, k, testAct()))
		}
		must(t, s.RetireCAKey(ctx, "retired", testAct()))
		must(t, s.WithdrawCAKey(ctx, "withdrawn", "stolen", testAct()))
		over := newChallenge("over")
		over.ExpiresAt = testNow()
		must(t, s.AddChallenge(ctx, over))
		must(t, s.AddChallenge(ctx, newChallenge("fresh")))

		for name, test := range map[string]struct {
			change func(*Badge)
			want   error
		}{
			"no challenge":                {func(b *Badge) { b.ChallengeID = "none" }, ErrNotFound},
			"challenge over":              {func(b *Badge) { b.ChallengeID = "over" }, ErrExpired},
			"another subject's challenge": {func(b *Badge) { b.Subject = "did:web:second" }, ErrOwner},
			"no agent":                    {func(b *Badge) { b.Subject, b.ChallengeID = "did:web:none", "" }, ErrNotFound},
			"agent disabled":              {func(b *Badge) { b.Subject, b.ChallengeID = "did:web:disabled", "" }, ErrInactive},
			"other account":               {func(b *Badge) { b.AccountID = "other" }, ErrOwner},
			"level":                       {func(b *Badge) { b.Level = 3 }, ErrLevel},
			"domain":                      {func(b *Badge) { b.Domain = "evil.example" }, ErrLevel},
			"no signing key":              {func(b *Badge) { b.KeyID = "none" }, ErrNotFound},
			"key retired":                 {func(b *Badge) { b.KeyID = "retired" }, ErrRevoked},
			"key withdrawn":               {func(b *Badge) { b.KeyID = "withdrawn" }, ErrRevoked},
			"key not active yet":          {func(b *Badge) { b.KeyID = "early" }, ErrConflict},
		} {
			i := issuance(badgeID(1))
			i.Badge.ChallengeID = "fresh"
			test.change(&i.Badge)
			logs(t, s, 0, func() {
				if err := s.Issue(ctx, i); !errors.Is(err, test.want) {
					t.Errorf("%s: got %v, want %v", name, err, test.want)
				}
			})
			if _, err := s.Badge(ctx, badgeID(1)); !errors.Is(err, ErrNotFound) {
				t.Errorf("%s: the badge is there: %v", name, err)
			}
		}
		i := issuance(badgeID(1))
		i.Badge.ChallengeID = "fresh"
		must(t, s.DisableAccount(ctx, "acc", testAct()))
		refused(t, s.Issue(ctx, i), ErrInactive)
		must(t, s.EnableAccount(ctx, "acc", testAct()))
		must(t, s.Issue(ctx, i))
	})
}

func TestIssueMistakes(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		for name, change := range map[string]func(*Issuance){
			"challenge and grant":  func(i *Issuance) { i.Badge.ChallengeID, i.Badge.GrantID = "a", "b" },
			"grant without proof":  func(i *Issuance) { i.Badge.GrantID = "b" },
			"no account":           func(i *Issuance) { i.Badge.AccountID = "" },
			"no time":              func(i *Issuance) { i.Badge.IssuedAt = time.Time{} },
			"over before it began": func(i *Issuance) { i.Badge.ExpiresAt = i.Badge.IssuedAt },
			"negative limit":       func(i *Issuance) { i.Limits.PerAgent = -1 },
		} {
			i := issuance(badgeID(1))
			change(i)
			var refusal *Error
			if err := s.Issue(t.Context(), i); err == nil || errors.As(err, &refusal) {
				t.Errorf("%s: got %v", name, err)
			}
		}
	})
}

func TestIssueLimits(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		must(t, s.AddAgent(ctx, newAgent("did:web:second"), testAct()))
		limits := Limits{PerAgent: 2, PerAccount: 3}
		try := func(n int, subject string, when time.Duration) error {
			i := issuance(badgeID(n))
			i.Badge.Subject, i.Badge.IssuedAt, i.Badge.ExpiresAt = subject, at(when), at(when+time.Hour)
			i.Limits = limits
			return s.Issue(ctx, i)
		}
		must(t, try(1, testAgent, 0))
		must(t, try(2, testAgent, 10*time.Minute))
		limitReached(t, try(3, testAgent, 20*time.Minute), 40*time.Minute)
		must(t, try(4, "did:web:second", 20*time.Minute))
		limitReached(t, try(5, "did:web:second", 30*time.Minute), 31*time.Minute)
		// Badge 1 has left the windows when an hour is over: that of its account with its minute.
		limitReached(t, try(6, "did:web:second", time.Hour+59*time.Second), time.Second)
		must(t, try(6, "did:web:second", time.Hour+time.Minute))
		limitReached(t, try(7, testAgent, time.Hour+time.Minute), 10*time.Minute)
	})
}

func TestIssueDefaultLimit(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		for n := range DefaultPerAgent {
			issued(t, s, badgeID(n))
		}
		limitReached(t, s.Issue(t.Context(), issuance(badgeID(DefaultPerAgent))), time.Hour)
	})
}

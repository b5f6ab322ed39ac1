package badgetest_test

import (
	"testing"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/badgetest"
	"github.com/touchmark-dev/touchmark/did"
)

func TestIssueAndVerify(t *testing.T) {
	ca := badgetest.New(t)
	web := badgetest.NewWebAgent(t, "did:web:agents.example:ada")
	own := badgetest.NewAgent(t)
	cfg := ca.Config()
	cfg.SelfSigned = []did.DID{own.DID}
	v, err := badge.NewVerifier(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for level := badge.LevelSelfSigned; level <= badge.LevelExtended; level++ {
		agent := web
		if level == badge.LevelSelfSigned {
			agent = own
		}
		token := ca.Issue(agent, level)
		for range 2 { // the second time from the cache
			b, err := v.Verify(t.Context(), token)
			if err != nil {
				t.Fatal(err)
			}
			if b.Level() != level || b.Subject() != agent.DID {
				t.Errorf("got level %v of %v, want %v of %v", b.Level(), b.Subject(), level, agent.DID)
			}
		}
	}
}

func TestKnobs(t *testing.T) {
	ca := badgetest.New(t)
	agent := badgetest.NewWebAgent(t, "did:web:agents.example:ada")
	token := ca.Issue(agent, badge.LevelDomain)
	v := ca.Verifier()
	b, err := v.Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	check := func(want badge.Code) {
		t.Helper()
		if _, err := v.Verify(t.Context(), token); badge.CodeOf(err) != want {
			t.Errorf("got %v, want code %q", err, want)
		}
	}
	ca.SetStatus(badgetest.Status{Err: t.Context().Err(), Empty: true})
	check(badge.CodeRevocationCheckFailed)
	ca.SetStatus(badgetest.Status{})
	check("")
	ca.Disable(agent.DID)
	check(badge.CodeAgentDisabled)
	ca.Revoke(b.ID())
	check(badge.CodeRevoked)
	ca.SetKeys()
	check(badge.CodeSignatureInvalid)
	if ca.Asked(badgetest.Issuer) == 0 {
		t.Error("keys were not asked for")
	}
}

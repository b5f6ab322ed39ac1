package authoritytest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/authority"
	"github.com/touchmark-dev/touchmark/badge/badgetest/authoritytest"
	"github.com/touchmark-dev/touchmark/badge/client"
)

// A world is an authority, an agent with a badge, and a verifier.
type world struct {
	*authoritytest.Authority
	t        *testing.T
	agent    *authoritytest.Agent
	badge    *client.Issued
	verifier *badge.Verifier
}

func newWorld(t *testing.T, options ...func(*authority.Config)) *world {
	t.Helper()
	w := &world{Authority: authoritytest.New(t, options...), t: t}
	w.agent = w.NewAgent("ada")
	w.badge, w.verifier = w.Issue(w.agent), w.Verifier()
	w.verdict("")
	return w
}

// verdict checks what the verifier says of the badge.
func (w *world) verdict(want badge.Code) {
	w.t.Helper()
	if _, err := w.verifier.Verify(context.Background(), w.badge.Token()); badge.CodeOf(err) != want {
		w.t.Errorf("%v, want %q", err, want)
	}
}

// request asks for another badge.
func (w *world) request() error {
	w.t.Helper()
	r, err := client.NewRequester(w.RequesterConfig(w.agent))
	if err != nil {
		w.t.Fatal(err)
	}
	_, err = r.Request(context.Background())
	return err
}

// refused checks how a request is refused.
func (w *world) refused(code string) *client.RefusedError {
	w.t.Helper()
	err := w.request()
	var refused *client.RefusedError
	if !errors.As(err, &refused) || refused.Code != code {
		w.t.Fatalf("%v, want %s", err, code)
	}
	return refused
}

func TestActs(t *testing.T) {
	w := newWorld(t)
	w.Disable(w.agent.DID)
	w.verdict(badge.CodeAgentDisabled)
	w.refused("agent_inactive")
	w.Enable(w.agent.DID)
	w.verdict("")
	w.Suspend(w.agent.DID)
	w.verdict(badge.CodeAgentDisabled)
	w.Enable(w.agent.DID)
	w.Revoke(w.badge.ID)
	w.verdict(badge.CodeRevoked)

	w.badge = w.Issue(w.agent)
	w.verdict("")
	old := w.AccountKey()
	w.RevokeAccountKey()
	if err := w.request(); err != nil || old == w.AccountKey() {
		t.Errorf("with the new account key: %v", err)
	}
	if _, err := w.Verifier().Verify(t.Context(), w.Issue(w.agent, func(c *client.RequesterConfig) {
		c.Assurance = badge.AssuranceAccount
	}).Token()); err != nil {
		t.Error(err)
	}
	w.Grant(w.agent.DID, badge.LevelOrganization, authoritytest.Domain)
	if b := w.Issue(w.agent); b.Level != badge.LevelOrganization || b.Domain != authoritytest.Domain {
		t.Errorf("level %v of %q", b.Level, b.Domain)
	}
	w.Ship()
	size, err := w.Log.Size(t.Context())
	if err != nil || size < 10 {
		t.Errorf("%d entries in the log, %v", size, err)
	}
}

func TestKeys(t *testing.T) {
	w := newWorld(t)
	first := w.KeyID()
	old := w.badge
	w.Advance(2 * time.Second) // the client asks again, at most once a second
	if second := w.Rotate(); second == first || second != w.KeyID() {
		t.Errorf("key %q after %q", second, first)
	}
	w.badge = w.Issue(w.agent)
	w.verdict("")
	next := w.badge
	w.badge = old
	w.verdict("")
	w.Withdraw(first)
	w.verdict(badge.CodeRevoked)
	w.badge = next
	w.verdict("")
	restore := w.PublishOtherKeys()
	w.verifier = w.Verifier()
	w.verdict(badge.CodeSignatureInvalid)
	restore()
	w.verifier = w.Verifier()
	w.verdict("")
}

func TestFaults(t *testing.T) {
	w := newWorld(t)
	refusal := authoritytest.Refusal(429, "rate_limit_exceeded", 9*time.Second)
	refusal.Times = 2
	w.Break(refusal)
	for range 2 {
		if e := w.refused("rate_limit_exceeded"); e.RetryAfter != 9*time.Second || e.Status != 429 {
			t.Errorf("%#v", e)
		}
	}
	if err := w.request(); err != nil {
		t.Errorf("after the fault: %v", err)
	}
	// A badge for whose verification no document is needed, but its status is.
	w.badge = w.Issue(w.agent, func(c *client.RequesterConfig) { c.Assurance = badge.AssuranceAccount })
	w.verdict("")
	for name, f := range map[string]authoritytest.Fault{
		"unreachable": {Unreachable: true},
		"5xx":         {Status: 502, Body: "bad gateway"},
		"bad JSON":    {Status: 200, Body: `{"badge":`},
		"redirect":    {Status: 302, Location: "https://other.example"},
		"rewrite":     {Rewrite: func([]byte) []byte { return []byte("{}") }},
	} {
		w.Break(f)
		if err := w.request(); err == nil {
			t.Errorf("%s: no error", name)
		}
		w.verdict(badge.CodeRevocationCheckFailed)
	}
	w.Break(authoritytest.Fault{Delay: time.Hour, Path: authoritytest.PathBadge})
	ctx, cancel := context.WithCancel(t.Context())
	done, asked := make(chan error), w.Asked(authoritytest.PathBadge)
	go func() {
		r, err := client.NewRequester(w.RequesterConfig(w.agent))
		if err == nil {
			_, err = r.Request(ctx)
		}
		done <- err
	}()
	for w.Asked(authoritytest.PathBadge) == asked {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("slow: %v", err)
	}
	w.Break(authoritytest.Fault{Delay: time.Millisecond})
	if err := w.request(); err != nil {
		t.Errorf("a little slow: %v", err)
	}
	w.Break(authoritytest.Fault{})
	w.verdict("")
}

func TestFrozenList(t *testing.T) {
	w := newWorld(t)
	s, err := client.NewRevocationSync(&client.SyncConfig{
		Issuer: w.Issuer, Keys: w.Client(), UnsafeAllowLoopback: true, RootCAs: w.Roots, Timeout: time.Minute, Time: w.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	thaw := w.FreezeList()
	w.Revoke(w.badge.ID)
	w.Advance(2 * time.Second)
	revoked := func() bool {
		t.Helper()
		if err := s.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		got, err := s.Status(t.Context(), badge.StatusQuery{Issuer: w.Issuer, BadgeID: w.badge.ID})
		if err != nil {
			t.Fatal(err)
		}
		return got.Revoked
	}
	if revoked() {
		t.Error("a frozen list has news")
	}
	w.Advance(badge.MaxStatusAge)
	if err := s.Sync(t.Context()); err == nil {
		t.Error("a frozen list does not get old")
	}
	thaw()
	if !revoked() {
		t.Error("the list has no news")
	}
}

// Time goes by without the log, or anything else, being in the way.
func TestAdvance(t *testing.T) {
	w := newWorld(t)
	for range 3 {
		w.Advance(20 * time.Minute)
		w.verdict(badge.CodeExpired)
		w.badge = w.Issue(w.agent)
		w.verdict("")
	}
}

func TestWithoutLog(t *testing.T) {
	w := newWorld(t, func(c *authority.Config) { c.Log, c.AllowNoLog = nil, true })
	w.Advance(time.Hour)
	w.badge = w.Issue(w.agent)
	w.verdict("")
	if w.Inner() == nil || w.AdminKeyText() == w.AccountKeyText() {
		t.Error("what cannot be")
	}
}

func Example() {
	var t *testing.T // of the test
	a := authoritytest.New(t)
	ada := a.NewAgent("ada")
	b := a.Issue(ada)
	a.Revoke(b.ID)
	if _, err := a.Verifier().Verify(t.Context(), b.Token()); badge.CodeOf(err) != badge.CodeRevoked {
		t.Error("a revoked badge is accepted:", err)
	}
}

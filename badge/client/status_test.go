package client_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/badgetest"
	"github.com/touchmark-dev/touchmark/badge/client"
	"github.com/touchmark-dev/touchmark/did"
)

const badgeID = "9f4dbd1e-7c7a-4e0e-9a65-0d4f1b8f7c11"

func query(t testing.TB, issuer string) badge.StatusQuery {
	t.Helper()
	return badge.StatusQuery{
		Issuer: issuer, BadgeID: badgeID, Subject: did.MustParse("did:web:agents.example%3A8443:ada"), Level: badge.LevelDomain,
	}
}

func TestStatus(t *testing.T) {
	r := newRegistry(t)
	c := r.client(t, nil)
	for _, want := range []struct {
		badge, agent      string
		revoked, disabled bool
	}{
		{`{"revoked":false}`, `{"status":"active"}`, false, false},
		{`{"revoked":true,"reason":"key lost","revokedAt":"2026-01-01T00:00:00Z"}`, `{"status":"active"}`, true, false},
		{`{"revoked":false,"jti":"` + badgeID + `"}`, `{"did":"did:web:agents.example%3A8443:ada","status":"disabled"}`, false, true},
		{`{"revoked":true}`, `{"status":"suspended","x":1}`, true, true},
	} {
		r.set(func() { r.badge, r.agent, r.paths = want.badge, want.agent, nil })
		before := time.Now()
		got, err := c.Status(t.Context(), query(t, r.issuer))
		if err != nil {
			t.Errorf("%s, %s: %v", want.badge, want.agent, err)
			continue
		}
		if got.Revoked != want.revoked || got.AgentDisabled != want.disabled || !got.Authoritative || got.KeyWithdrawn {
			t.Errorf("%s, %s: %+v", want.badge, want.agent, got)
		}
		if got.AsOf.Before(before) || got.AsOf.After(time.Now()) {
			t.Errorf("as of %v", got.AsOf)
		}
		slices.Sort(r.paths)
		if want := []string{
			"/v1/agents/did%3Aweb%3Aagents.example%253A8443%3Aada/status", "/v1/badges/" + badgeID + "/status",
		}; !slices.Equal(r.paths, want) {
			t.Errorf("asked %q, want %q", r.paths, want)
		}
	}
}

// The published code reports a status service that is down as "revoked", and a
// mode that it does not know as fine.
func TestKnownFault09UnreachableIsNotRevoked(t *testing.T) {
	const fine, active = `{"revoked":false}`, `{"status":"active"}`
	r := newRegistry(t)
	ca := badgetest.New(t)
	r.publish(t, ca.Keys()...)
	c := r.client(t, nil)
	v, err := badge.NewVerifier(&badge.Config{Issuers: []string{r.issuer}, Keys: c, Status: c})
	if err != nil {
		t.Fatal(err)
	}
	token := issueFrom(t, ca, r.issuer)
	for _, answers := range [][2]string{
		{"status 404", active}, {"status 500", active}, {"status 302", active}, {"status 204", active},
		{"", active}, {"null", active}, {"true", active}, {"{}", active}, {"<html>", active},
		{`{"revoked":null}`, active}, {`{"revoked":"true"}`, active}, {`{"revoked":0}`, active}, {`{"Revoked":true}`, active},
		{`{"revoked":false,"revoked":true}`, active}, {`{"revoked":true} x`, active},
		{`{"revoked":true,"jti":"11111111-7c7a-4e0e-9a65-0d4f1b8f7c11"}`, active},
		{`{"revoked":true,"x":"` + strings.Repeat("x", 20<<10) + `"}`, active},
		{fine, "status 404"}, {fine, "status 503"}, {fine, "{}"}, {fine, `{"status":""}`}, {fine, `{"status":"ACTIVE"}`},
		{fine, `{"status":"deleted"}`}, {fine, `{"status":true}`}, {fine, `{"status":"disabled","did":"did:web:b.example"}`},
		{fine, `{"status":"disabled","status":"active"}`}, {fine, "status 404"}, {"status 404", "status 404"},
	} {
		r.set(func() { r.badge, r.agent = answers[0], answers[1] })
		got, err := c.Status(t.Context(), query(t, r.issuer))
		if err == nil || got != (badge.Status{}) {
			t.Errorf("%.80q: %+v, %v", answers, got, err)
		}
		for _, text := range answers {
			if strings.HasPrefix(text, "status") && !strings.Contains(fmt.Sprint(err), text) {
				t.Errorf("%.80q: %v does not say so", answers, err)
			}
		}
		_, err = v.Verify(t.Context(), token)
		var undetermined *badge.UndeterminedError
		if !errors.As(err, &undetermined) || undetermined.Code != badge.CodeRevocationCheckFailed {
			t.Errorf("%.80q: the badge's verdict is %v", answers, err)
		}
	}
	r.set(func() { r.badge, r.agent = fine, active })
	if _, err := v.Verify(t.Context(), token); err != nil {
		t.Error(err)
	}
	r.Close()
	var undetermined *badge.UndeterminedError
	if _, err := v.Verify(t.Context(), token); !errors.As(err, &undetermined) {
		t.Errorf("a server that is gone: %v", err)
	}
}

func TestStatusQueriesRefused(t *testing.T) {
	r := newRegistry(t)
	c := r.client(t, nil)
	for _, id := range []string{"", "../x", "a/b", "a?b", "a%2Fb", ".", "..", "x y", "é", strings.Repeat("a", 65)} {
		q := query(t, r.issuer)
		q.BadgeID = id
		if _, err := c.Status(t.Context(), q); err == nil {
			t.Errorf("badge id %q is asked about", id)
		}
	}
	q := query(t, r.issuer)
	q.Subject = did.DID{}
	if _, err := c.Status(t.Context(), q); err == nil {
		t.Error("nobody is asked about")
	}
	if len(r.paths) != 0 {
		t.Errorf("requests %q arrived", r.paths)
	}
}

func TestStatusTTL(t *testing.T) {
	r := newRegistry(t)
	clk := &clock{now: time.Unix(1e9, 0)}
	c := r.client(t, func(cfg *client.Config) { cfg.StatusTTL, cfg.Time = 10*time.Second, clk.Now })
	ask := func(want int) badge.Status {
		t.Helper()
		s, err := c.Status(t.Context(), query(t, r.issuer))
		if err != nil {
			t.Fatal(err)
		}
		if len(r.paths) != want {
			t.Errorf("%d requests, want %d", len(r.paths), want)
		}
		return s
	}
	first := ask(2)
	clk.advance(10*time.Second - 1)
	r.set(func() { r.badge = `{"revoked":true}` })
	if s := ask(2); s.Revoked || !s.AsOf.Equal(first.AsOf) {
		t.Errorf("within the time: %+v", s)
	}
	clk.advance(1)
	if s := ask(4); !s.Revoked || s.AsOf.Equal(first.AsOf) {
		t.Errorf("after the time: %+v", s)
	}
	// Another agent is another question, and so is another badge. The older of
	// two answers says how old they are.
	asked := clk.Now()
	clk.advance(time.Second)
	for i, change := range []func(q *badge.StatusQuery){
		func(q *badge.StatusQuery) { q.Subject = did.MustParse("did:web:agents.example") },
		func(q *badge.StatusQuery) { q.BadgeID = "11111111-7c7a-4e0e-9a65-0d4f1b8f7c11" },
	} {
		q := query(t, r.issuer)
		change(&q)
		s, err := c.Status(t.Context(), q)
		if err != nil || len(r.paths) != 5+i || !s.AsOf.Equal(asked) {
			t.Errorf("%d requests, as of %v, %v", len(r.paths), s.AsOf, err)
		}
	}
	// A failure is not kept.
	clk.advance(10 * time.Second)
	r.set(func() { r.badge = "status 500" })
	if _, err := c.Status(t.Context(), query(t, r.issuer)); err == nil {
		t.Error("no error")
	}
	r.set(func() { r.badge = `{"revoked":false}` })
	if _, err := c.Status(t.Context(), query(t, r.issuer)); err != nil {
		t.Error(err)
	}
}

func TestStatusCacheIsBounded(t *testing.T) {
	s := client.NewStatusCache(time.Minute)
	now := time.Unix(1e9, 0)
	for i := range client.MaxStatusEntries + 100 {
		s.Put(fmt.Sprint(i), now)
	}
	if n := s.Len(); n != client.MaxStatusEntries {
		t.Errorf("%d entries, want %d", n, client.MaxStatusEntries)
	}
	s.Put("last", now)
	if !s.Has("last", now) {
		t.Error("the newest entry is not there")
	}
	none := client.NewStatusCache(0)
	none.Put("x", now)
	if none.Has("x", now) || none.Len() != 0 {
		t.Error("a cache of no time keeps an answer")
	}
}

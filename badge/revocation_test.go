package badge_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/badgetest"
	"github.com/touchmark-dev/touchmark/did"
)

// id is the id of a badge made of a number.
func id(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

func ids(from, to int) []string {
	var all []string
	for n := from + 1; n <= to; n++ {
		all = append(all, id(n))
	}
	return all
}

var listTime = time.Unix(1790000000, 0)

func signList(t *testing.T, ca *badgetest.CA, c *badge.RevocationClaims) *badge.RevocationList {
	t.Helper()
	if c.Issuer == "" {
		c.Issuer = badgetest.Issuer
	}
	if c.AsOf.IsZero() {
		c.AsOf = listTime
	}
	token, err := badge.SignRevocationList(ca.Key, c)
	if err != nil {
		t.Fatal(err)
	}
	list, err := badge.ParseRevocationList(token, badgetest.Issuer, ca.Keys())
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestRevocationList(t *testing.T) {
	ca := badgetest.New(t)
	eve := did.MustParse("did:web:agents.example:eve")
	ada := did.MustParse("did:web:agents.example:ada")
	list := signList(t, ca, &badge.RevocationClaims{
		Revoked: ids(0, 3), DisabledAgents: []did.DID{eve}, WithdrawnKeys: []string{"ca-0"},
	})
	from, to := list.Cursor()
	if list.Issuer() != badgetest.Issuer || !list.AsOf().Equal(listTime) || from != 0 || to != 3 {
		t.Errorf("list of %s, as of %v, %d to %d", list.Issuer(), list.AsOf(), from, to)
	}
	for name, c := range map[string]struct {
		q    badge.StatusQuery
		want badge.Status
	}{
		"good":      {badge.StatusQuery{BadgeID: id(4), Subject: ada, IssuerKeyID: "ca-1"}, badge.Status{}},
		"no key id": {badge.StatusQuery{BadgeID: id(4), Subject: ada}, badge.Status{}},
		"revoked":   {badge.StatusQuery{BadgeID: id(3), Subject: ada, IssuerKeyID: "ca-1"}, badge.Status{Revoked: true}},
		"disabled":  {badge.StatusQuery{BadgeID: id(4), Subject: eve, IssuerKeyID: "ca-1"}, badge.Status{AgentDisabled: true}},
		"withdrawn": {badge.StatusQuery{BadgeID: id(4), Subject: ada, IssuerKeyID: "ca-0"}, badge.Status{KeyWithdrawn: true}},
	} {
		c.q.Issuer = badgetest.Issuer
		c.want.AsOf = list.AsOf()
		got, err := list.Status(t.Context(), c.q)
		if err != nil || got != c.want {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
	if _, err := list.Status(t.Context(), badge.StatusQuery{Issuer: "https://other.example"}); err == nil {
		t.Error("the list answers for another issuer")
	}
}

// TestListInVerifier is the offline verifier: fresh, stale, and for each level.
func TestListInVerifier(t *testing.T) {
	ca := badgetest.New(t)
	now := listTime
	ca.SetTime(func() time.Time { return now })
	agent := badgetest.NewWebAgent(t, "did:web:agents.example:ada")
	list := signList(t, ca, &badge.RevocationClaims{Revoked: ids(0, 1)})
	for _, allow := range []bool{false, true} {
		for level := badge.LevelRegistered; level <= badge.LevelExtended; level++ {
			cfg := ca.Config()
			cfg.Status = badge.StatusByIssuer{badgetest.Issuer: list}
			cfg.AllowLevel1WithoutStatus = allow
			v, err := badge.NewVerifier(cfg)
			if err != nil {
				t.Fatal(err)
			}
			now = listTime.Add(300 * time.Second)
			fresh := ca.Issue(agent, level)
			bad := ca.Issue(agent, level, func(tmpl *badge.Template) { tmpl.ID = id(1) })
			_, err = v.Verify(t.Context(), fresh)
			wantCode(t, err, "")
			now = listTime.Add(301 * time.Second)
			_, err = v.Verify(t.Context(), fresh)
			if allow && level == badge.LevelRegistered {
				wantCode(t, err, "")
			} else {
				wantCode(t, err, badge.CodeRevocationCheckFailed)
			}
			_, err = v.Verify(t.Context(), bad)
			wantCode(t, err, badge.CodeRevoked)
		}
	}
	source := badge.StatusByIssuer{"https://other.example": list, badgetest.Issuer: nil}
	if _, err := source.Status(t.Context(), badge.StatusQuery{Issuer: badgetest.Issuer}); err == nil {
		t.Error("an issuer without a source has a status")
	}
}

func TestFollows(t *testing.T) {
	ca := badgetest.New(t)
	later := listTime.Add(time.Minute)
	old := signList(t, ca, &badge.RevocationClaims{Revoked: ids(0, 3)})
	at := func(n int) [sha256.Size]byte {
		return signList(t, ca, &badge.RevocationClaims{Revoked: ids(0, n)}).Head()
	}
	for name, c := range map[string]struct {
		claims badge.RevocationClaims
		ok     bool
	}{
		"itself":            {badge.RevocationClaims{Revoked: ids(0, 3)}, true},
		"longer":            {badge.RevocationClaims{AsOf: later, Revoked: ids(0, 5)}, true},
		"later part":        {badge.RevocationClaims{AsOf: later, From: 2, Base: at(2), Revoked: ids(2, 5)}, true},
		"next part":         {badge.RevocationClaims{AsOf: later, From: 3, Base: at(3), Revoked: ids(3, 5)}, true},
		"far part":          {badge.RevocationClaims{AsOf: later, From: 9, Base: at(9), Revoked: ids(9, 12)}, true},
		"earlier":           {badge.RevocationClaims{AsOf: listTime.Add(-time.Second), Revoked: ids(0, 3)}, false},
		"shorter":           {badge.RevocationClaims{AsOf: later, Revoked: ids(0, 2)}, false},
		"another history":   {badge.RevocationClaims{AsOf: later, Revoked: ids(1, 6)}, false},
		"part of another":   {badge.RevocationClaims{AsOf: later, From: 2, Base: at(1), Revoked: ids(2, 5)}, false},
		"one was forgotten": {badge.RevocationClaims{AsOf: later, Revoked: append(ids(0, 2), ids(3, 6)...)}, false},
	} {
		err := signList(t, ca, &c.claims).Follows(old)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	ca.Key.Issuer = "https://other.example"
	token, err := badge.SignRevocationList(ca.Key, &badge.RevocationClaims{Issuer: ca.Key.Issuer, AsOf: later, Revoked: ids(0, 3)})
	if err != nil {
		t.Fatal(err)
	}
	other, err := badge.ParseRevocationList(token, ca.Key.Issuer, ca.Keys())
	if err != nil {
		t.Fatal(err)
	}
	if other.Follows(old) == nil {
		t.Error("a list of another issuer follows")
	}
}

func TestSignListRefused(t *testing.T) {
	ca := badgetest.New(t)
	key := *ca.Key
	nameless := key
	nameless.KeyID = ""
	for name, c := range map[string]struct {
		key    *badge.IssuerKey
		claims badge.RevocationClaims
	}{
		"no key":         {nil, badge.RevocationClaims{}},
		"no key id":      {&nameless, badge.RevocationClaims{}},
		"another issuer": {&key, badge.RevocationClaims{Issuer: "https://other.example"}},
		"no time":        {&key, badge.RevocationClaims{AsOf: time.Unix(0, 0)}},
		"not an id":      {&key, badge.RevocationClaims{Revoked: []string{"x"}}},
		"twice":          {&key, badge.RevocationClaims{Revoked: []string{id(1), id(1)}}},
		"own key":        {&key, badge.RevocationClaims{WithdrawnKeys: []string{key.KeyID}}},
		"zero DID":       {&key, badge.RevocationClaims{DisabledAgents: []did.DID{{}}}},
	} {
		if c.claims.Issuer == "" {
			c.claims.Issuer = badgetest.Issuer
		}
		if c.claims.AsOf.IsZero() {
			c.claims.AsOf = listTime
		}
		if token, err := badge.SignRevocationList(c.key, &c.claims); err == nil {
			t.Errorf("%s: signed %s", name, token)
		}
	}
}

// TestListIsNoBadge: neither is taken for the other, though one key signs both.
func TestListIsNoBadge(t *testing.T) {
	ca := badgetest.New(t)
	list, err := badge.SignRevocationList(ca.Key, &badge.RevocationClaims{Issuer: badgetest.Issuer, AsOf: listTime})
	if err != nil {
		t.Fatal(err)
	}
	_, err = ca.Verifier().Verify(context.Background(), list)
	wantCode(t, err, badge.CodeMalformed)
	token := ca.Issue(badgetest.NewWebAgent(t, "did:web:agents.example:ada"), badge.LevelDomain)
	if _, err := badge.ParseRevocationList(token, badgetest.Issuer, ca.Keys()); err == nil {
		t.Error("a badge was taken for a list")
	}
}

// TestListMangled: no list with one byte changed, and no part of one, is usable.
func TestListMangled(t *testing.T) {
	ca := badgetest.New(t)
	token, err := badge.SignRevocationList(ca.Key, &badge.RevocationClaims{Issuer: badgetest.Issuer, AsOf: listTime, Revoked: ids(0, 2)})
	if err != nil {
		t.Fatal(err)
	}
	for i := range token {
		for _, text := range []string{token[:i], token[i+1:], token[:i] + string(token[i]+1) + token[i+1:]} {
			if _, err := badge.ParseRevocationList(text, badgetest.Issuer, ca.Keys()); err == nil {
				t.Errorf("usable: %s", text)
			}
		}
	}
}

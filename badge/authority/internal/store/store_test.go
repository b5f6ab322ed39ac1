package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/internal/sqlstore"
	"github.com/touchmark-dev/touchmark/internal/sqlstore/sqltest"
)

const (
	testIssuer = "https://ca.example.com"
	testAgent  = "did:web:ca.example.com:agents:a"
	testKey    = "ca-2026-11-21-0001"
)

// testNow is when most of the tests happen.
func testNow() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) }

func at(d time.Duration) time.Time { return testNow().Add(d) }

func testAct() Act { return actAt(testNow()) }

func actAt(t time.Time) Act { return Act{At: t, By: "tester", Entry: []byte(`{"type":"test"}`)} }

// each runs f with a store of each engine that has an account, an agent of level 2 and a signing key.
func each(t *testing.T, f func(t *testing.T, s *Store)) {
	t.Helper()
	eachURL(t, func(t *testing.T, url string) { f(t, open(t, url)) })
}

// eachURL is for tests that open the database several times.
func eachURL(t *testing.T, f func(t *testing.T, url string)) {
	t.Helper()
	t.Parallel() // they wait for the disk more than they work
	sqltest.Each(t, func(t *testing.T, url string) {
		fill(t, open(t, url))
		f(t, url)
	})
}

func open(t testing.TB, url string) *Store {
	t.Helper()
	s, err := Open(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func fill(t testing.TB, s *Store) {
	t.Helper()
	ctx := context.Background()
	must(t, s.BindIssuer(ctx, testIssuer))
	must(t, s.AddAccount(ctx, &Account{ID: "acc", Name: "Acme", CreatedAt: testNow()}, testAct()))
	must(t, s.AddAccount(ctx, &Account{ID: "other", Name: "Other", CreatedAt: at(time.Second)}, testAct()))
	must(t, s.AddAgent(ctx, newAgent(testAgent), testAct()))
	must(t, s.AddCAKey(ctx, newCAKey(testKey), testAct()))
}

func newAgent(did string) *Agent {
	return &Agent{
		DID: did, Kind: KindAgent, AccountID: "acc", PublicKey: []byte(`{"kty":"OKP"}`), KeyID: did + "#key-1",
		Level: 2, LevelReason: "validated", LevelBy: "tester", Domain: "acme.example", Status: StatusActive,
		CreatedAt: testNow(),
	}
}

func newCAKey(id string) *CAKey {
	return &CAKey{ID: id, PublicKey: []byte(`{"kid":"x"}`), CreatedAt: testNow(), ActiveFrom: testNow()}
}

func newChallenge(id string) *Challenge {
	return &Challenge{
		ID: id, DID: testAgent, AccountID: "acc", Nonce: "n-" + id, CreatedAt: testNow(), ExpiresAt: at(5 * time.Minute),
		ProofAudience: testIssuer, HTTPURI: testIssuer + "/x", HTTPMethod: "POST", BadgeAudience: []string{"https://b"},
		BadgeTTL: 5 * time.Minute, Level: 2, Domain: "acme.example",
	}
}

// issuance returns one of assurance 0 that nothing speaks against.
func issuance(id string) *Issuance {
	return &Issuance{
		Badge: Badge{
			ID: id, Subject: testAgent, AccountID: "acc", Level: 2, Assurance: "0", Domain: "acme.example", KeyID: testKey,
			IssuedAt: testNow(), ExpiresAt: at(5 * time.Minute), TokenHash: sha256.Sum256([]byte(id)),
		},
		Act: testAct(),
	}
}

// issued issues a badge.
func issued(t testing.TB, s *Store, id string) *Issuance {
	t.Helper()
	i := issuance(id)
	must(t, s.Issue(context.Background(), i))
	return i
}

// badgeID returns the n-th of many ids.
func badgeID(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// refused checks that an error is a refusal of a kind.
func refused(t testing.TB, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("got %v, want %v", err, kind)
	}
	var e *Error
	if !errors.As(err, &e) {
		t.Errorf("%v is no *Error", err)
	}
}

// limitReached checks that an error is a *LimitError.
func limitReached(t testing.TB, err error, after time.Duration) {
	t.Helper()
	var e *LimitError
	if !errors.As(err, &e) {
		t.Errorf("got %v, want a *LimitError", err)
		return
	}
	if e.RetryAfter != after {
		t.Errorf("try again after %v, want %v", e.RetryAfter, after)
	}
}

// same checks that a value came back as it went in.
func same(t testing.TB, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// entries returns how many entries the outbox has.
func entries(t testing.TB, s *Store) (n int) {
	t.Helper()
	must(t, s.db.Row(context.Background(), `SELECT count(*) FROM outbox`).Scan(&n))
	return n
}

// logs checks that f puts n entries into the outbox.
func logs(t testing.TB, s *Store, n int, f func()) {
	t.Helper()
	before := entries(t, s)
	f()
	if got := entries(t, s) - before; got != n {
		t.Errorf("%d entries were put into the outbox, want %d", got, n)
	}
}

func TestBindIssuer(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		must(t, s.BindIssuer(t.Context(), testIssuer))
		refused(t, s.BindIssuer(t.Context(), "https://other.example"), ErrConflict)
		must(t, s.Ping(t.Context()))
	})
}

func TestNoIssuer(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, url string) {
		s := open(t, url)
		if _, err := s.Revoke(t.Context(), "b", "", testAct()); err == nil {
			t.Error("a badge was revoked without an issuer")
		}
		if _, err := s.RevocationSnapshot(t.Context(), testNow()); err == nil {
			t.Error("a list was made without an issuer")
		}
	})
}

func TestActNeedsEntry(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		for name, act := range map[string]Act{
			"no time":   {Entry: []byte("x")},
			"no entry":  {At: testNow()},
			"too large": {At: testNow(), Entry: make([]byte, MaxEntryBytes+1)},
		} {
			i := issuance("b")
			i.Act = act
			_, revoke := s.Revoke(t.Context(), "b", "", act)
			_, grant := s.RevokeGrant(t.Context(), "g", "", act)
			add := s.AddAccount(t.Context(), &Account{ID: "new", CreatedAt: testNow()}, act)
			for what, err := range map[string]error{
				"issue": s.Issue(t.Context(), i), "revoke": revoke, "grant": grant, "account": add,
			} {
				var refusal *Error
				if err == nil || errors.As(err, &refusal) {
					t.Errorf("%s, %s: got %v", name, what, err)
				}
			}
		}
	})
}

func TestNewerSchema(t *testing.T) {
	eachURL(t, func(t *testing.T, url string) {
		s := open(t, url)
		must(t, s.db.Tx(t.Context(), func(tx *sqlstore.Tx) error {
			query := `INSERT INTO schema_version (version_id, is_applied) VALUES (99, ?)`
			_, err := tx.Exec(t.Context(), query, true)
			return err
		}))
		var newer *sqlstore.NewerSchemaError
		if _, err := Open(t.Context(), url); !errors.As(err, &newer) || newer.Have != 99 {
			t.Errorf("got %v, want a *NewerSchemaError for 99", err)
		}
	})
}

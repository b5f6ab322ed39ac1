package client_test

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/badgetest"
	"github.com/touchmark-dev/touchmark/badge/badgetest/authoritytest"
	"github.com/touchmark-dev/touchmark/badge/client"
	"github.com/touchmark-dev/touchmark/internal/safehttp/safehttptest"
)

func syncConfig(a *authoritytest.Authority, keys badge.KeySource) *client.SyncConfig {
	return &client.SyncConfig{
		Issuer: a.Issuer, Keys: keys, UnsafeAllowLoopback: true, RootCAs: a.Roots, Time: a.Now, Timeout: time.Minute,
	}
}

func newSync(t testing.TB, cfg *client.SyncConfig) *client.RevocationSync {
	t.Helper()
	s, err := client.NewRevocationSync(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func mustSync(t testing.TB, s *client.RevocationSync) {
	t.Helper()
	if err := s.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A sphere is an authority with two agents of level 2 and a verifier that goes
// by a synced list.
type sphere struct {
	*authoritytest.Authority
	t        *testing.T
	client   *client.Client
	sync     *client.RevocationSync
	verifier *badge.Verifier
	ada, bob *authoritytest.Agent
}

func newSphere(t *testing.T, change func(*sphere, *client.SyncConfig)) *sphere {
	t.Helper()
	x := &sphere{Authority: authoritytest.New(t), t: t}
	x.ada, x.bob = x.NewAgent("ada"), x.NewAgent("bob")
	x.Grant(x.ada.DID, badge.LevelDomain, authoritytest.Domain)
	x.Grant(x.bob.DID, badge.LevelDomain, authoritytest.Domain)
	x.client = x.Client()
	cfg := syncConfig(x.Authority, x.client)
	if change != nil {
		change(x, cfg)
	}
	x.sync = newSync(t, cfg)
	x.verifier = x.Verifier(func(cfg *badge.Config) { cfg.Status, cfg.Keys = x.sync, x.client })
	return x
}

// later lets so much time go by that the authority signs a new list.
func (x *sphere) later() { x.Advance(2 * time.Second) }

// code checks the verdict on a badge.
func (x *sphere) code(b *client.Issued, want badge.Code) {
	x.t.Helper()
	if _, err := x.verifier.Verify(x.t.Context(), b.Token()); badge.CodeOf(err) != want {
		x.t.Errorf("%v, want %q", err, want)
	}
}

func TestSync(t *testing.T) {
	x := newSphere(t, nil)
	a, b, c := x.Issue(x.ada), x.Issue(x.ada), x.Issue(x.bob)
	mustSync(t, x.sync)
	for _, badge := range []*client.Issued{a, b, c} {
		x.code(badge, "")
	}
	x.Revoke(a.ID)
	x.Disable(x.bob.DID)
	x.later()
	x.code(a, "") // not known here yet
	mustSync(t, x.sync)
	x.code(a, badge.CodeRevoked)
	x.code(b, "")
	x.code(c, badge.CodeAgentDisabled)
	if _, to := x.sync.List().Cursor(); to != 1 {
		t.Errorf("%d revocations", to)
	}
	x.Enable(x.bob.DID)
	x.later()
	mustSync(t, x.sync)
	x.code(c, "")
	mustSync(t, x.sync) // the same list again
}

// The published code has an IsRevoked that answers false, and nil, whatever it
// is asked. Here nothing known is an error, and a refusal.
func TestKnownFault27NothingKnownIsNoAnswer(t *testing.T) {
	x := newSphere(t, nil)
	b := x.Issue(x.ada)
	q := badge.StatusQuery{Issuer: x.Issuer, BadgeID: b.ID, Subject: b.Subject, Level: b.Level}
	if got, err := x.sync.Status(t.Context(), q); !errors.Is(err, client.ErrNoList) || got != (badge.Status{}) {
		t.Errorf("without a list: %+v, %v", got, err)
	}
	if x.sync.List() != nil {
		t.Error("a list from nowhere")
	}
	x.code(b, badge.CodeRevocationCheckFailed)
	mustSync(t, x.sync)
	x.code(b, "")
	q.Issuer = "https://other.example"
	var unlisted *client.UnlistedError
	if got, err := x.sync.Status(t.Context(), q); !errors.As(err, &unlisted) || got != (badge.Status{}) {
		t.Errorf("about another issuer: %+v, %v", got, err)
	}
	x.sync.Close()
	x.sync.Close()
	q.Issuer = x.Issuer
	if got, err := x.sync.Status(t.Context(), q); !errors.Is(err, client.ErrClosed) || got != (badge.Status{}) {
		t.Errorf("closed: %+v, %v", got, err)
	}
	if err := x.sync.Sync(t.Context()); !errors.Is(err, client.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

// The published code writes how old a list may be in three places, 24 hours in
// one and five minutes in another. Here it is one constant, and this is what it
// does.
func TestKnownFault18StaleListsFailClosed(t *testing.T) {
	x := newSphere(t, nil)
	x.Issue(x.bob) // the log moves
	long := func(cfg *client.RequesterConfig) { cfg.TTL = badge.MaxTTL }
	carol := x.NewAgent("carol")
	one, two := x.Issue(carol, long), x.Issue(x.ada, long)
	revoked := x.Issue(x.ada, long)
	x.Revoke(revoked.ID)
	x.later()
	mustSync(t, x.sync)
	age := x.Now().Sub(x.sync.List().AsOf())
	x.Advance(badge.MaxStatusAge - age - time.Minute) // as long as a slow machine takes
	x.code(one, "")
	x.code(two, "")
	x.Advance(2 * time.Minute)
	x.code(one, badge.CodeRevocationCheckFailed)
	x.code(two, badge.CodeRevocationCheckFailed)
	x.code(revoked, badge.CodeRevoked) // bad news does not get old
	lax := x.Verifier(func(cfg *badge.Config) { cfg.Status, cfg.AllowLevel1WithoutStatus = x.sync, true })
	if _, err := lax.Verify(t.Context(), one.Token()); err != nil {
		t.Errorf("level 1, which is allowed to: %v", err)
	}
	if _, err := lax.Verify(t.Context(), two.Token()); badge.CodeOf(err) != badge.CodeRevocationCheckFailed {
		t.Errorf("level 2: %v", err)
	}

	// The authority is gone: no verdict, no error hidden, and back again.
	x.Break(authoritytest.Fault{Path: authoritytest.PathRevocationList, Unreachable: true})
	if err := x.sync.Sync(t.Context()); err == nil {
		t.Error("nobody was asked")
	}
	x.code(two, badge.CodeRevocationCheckFailed)
	x.Break(authoritytest.Fault{})
	mustSync(t, x.sync)
	x.code(one, "")
	x.code(two, "")
}

// An emergency withdrawal of a signing key refuses every badge that it signed
// as soon as the list is fetched.
func TestSyncWithdrawnKey(t *testing.T) {
	x := newSphere(t, nil)
	stolen := x.KeyID()
	old := x.Issue(x.ada)
	mustSync(t, x.sync)
	x.code(old, "")
	stale := x.List()
	before, err := x.client.IssuerKeys(t.Context(), x.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	x.Rotate()
	x.Withdraw(stolen)
	x.later()
	mustSync(t, x.sync)
	x.code(old, badge.CodeSignatureInvalid) // the key set was fetched for the list
	x.code(x.Issue(x.ada), "")

	// Where the key is still believed, the list refuses.
	cached := x.Verifier(func(cfg *badge.Config) { cfg.Status, cfg.Keys = x.sync, badge.StaticKeys{x.Issuer: before} })
	if _, err := cached.Verify(t.Context(), old.Token()); badge.CodeOf(err) != badge.CodeRevoked {
		t.Errorf("with the old key set: %v", err)
	}
	x.Break(authoritytest.Fault{Path: authoritytest.PathRevocationList, Status: 200, Body: stale})
	if err := x.sync.Sync(t.Context()); err == nil {
		t.Error("a list that the withdrawn key signed is used")
	}
}

// A forger signs lists as an issuer whose key the test has.
type forger struct {
	ca   *badgetest.CA
	keys badge.StaticKeys
}

func newForger(t testing.TB) *forger {
	ca := badgetest.New(t)
	return &forger{ca, badge.StaticKeys{badgetest.Issuer: ca.Keys()}}
}

func (f *forger) list(t testing.TB, asOf time.Time, claims badge.RevocationClaims) string {
	t.Helper()
	claims.Issuer, claims.AsOf = badgetest.Issuer, asOf
	text, err := badge.SignRevocationList(f.ca.Key, &claims)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// A mirror serves what the test says, at a path of its own.
type mirror struct {
	*safehttptest.Server
	mu    sync.Mutex
	text  string
	code  int
	asked []string
}

func newMirror(t testing.TB) *mirror {
	m := &mirror{code: http.StatusOK}
	m.Server = safehttptest.NewServer(t, m)
	return m
}

func (m *mirror) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked = append(m.asked, r.URL.Path)
	w.Header().Set("Location", "/elsewhere")
	w.WriteHeader(m.code)
	_, _ = w.Write([]byte(m.text))
}

func (m *mirror) set(code int, text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.code, m.text = code, text
}

const (
	idA = "9f4dbd1e-7c7a-4e0e-9a65-0d4f1b8f7c11"
	idB = "9f4dbd1e-7c7a-4e0e-9a65-0d4f1b8f7c12"
	idC = "9f4dbd1e-7c7a-4e0e-9a65-0d4f1b8f7c13"
)

// A mirror is trusted for nothing but delivery.
func TestSyncFromMirror(t *testing.T) {
	f, m := newForger(t), newMirror(t)
	clk := &clock{now: time.Unix(1e9, 0)}
	var told []error
	s := newSync(t, &client.SyncConfig{
		Issuer: badgetest.Issuer, Keys: f.keys, Mirrors: []string{m.URL("/mirror/of.registry")},
		UnsafeAllowLoopback: true, RootCAs: m.Roots, Timeout: time.Minute, Time: clk.Now,
		OnError: func(err error, _ time.Duration) { told = append(told, err) },
	})
	good := f.list(t, clk.now, badge.RevocationClaims{Revoked: []string{idA, idB}})
	stranger := newForger(t)
	other, err := badge.SignRevocationList(
		&badge.IssuerKey{Issuer: "https://other.example", KeyID: badgetest.KeyID, Signer: f.ca.Key.Signer},
		&badge.RevocationClaims{Issuer: "https://other.example", AsOf: clk.now})
	if err != nil {
		t.Fatal(err)
	}
	rotated := *f.ca.Key
	rotated.KeyID = "ca-9"
	unknown, err := badge.SignRevocationList(&rotated, &badge.RevocationClaims{Issuer: badgetest.Issuer, AsOf: clk.now})
	if err != nil {
		t.Fatal(err)
	}
	refuse := func(name string, code int, text string) {
		t.Helper()
		before := s.List()
		m.set(code, text)
		if err := s.Sync(t.Context()); err == nil {
			t.Errorf("%s: accepted", name)
		}
		if s.List() != before {
			t.Errorf("%s: it took the place of the list", name)
		}
	}
	refuse("nothing", 200, "")
	refuse("no list", 200, "<html>")
	refuse("status", 500, good)
	refuse("redirect", 302, good)
	refuse("rate", 429, "")
	refuse("signature", 200, good[:len(good)-10]+"AAAAAAAAAA")
	refuse("payload", 200, strings.Replace(good, ".", ".e30", 1))
	refuse("another signer", 200, stranger.list(t, clk.now, badge.RevocationClaims{}))
	refuse("another issuer", 200, other)
	refuse("a key that is not published", 200, unknown)
	refuse("a badge", 200, f.ca.Issue(badgetest.NewWebAgent(t, "did:web:agents.example:ada"), badge.LevelDomain))
	refuse("too long", 200, strings.Repeat("x", badge.MaxRevocationListBytes+2))
	refuse("of the future", 200, f.list(t, clk.now.Add(badge.MaxSkew+time.Second), badge.RevocationClaims{}))

	m.set(200, good+"\n")
	mustSync(t, s)
	if got := m.asked[len(m.asked)-1]; got != "/mirror/of.registry/v1/revocations/list" {
		t.Errorf("asked for %q", got)
	}
	history := func(name, text string) {
		t.Helper()
		refuse(name, 200, text)
		var e *client.HistoryError
		if err := s.Sync(t.Context()); !errors.As(err, &e) || e.Old != good || e.New != text || e.Issuer != badgetest.Issuer || e.Source == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	history("earlier", f.list(t, clk.now.Add(-time.Second), badge.RevocationClaims{Revoked: []string{idA, idB}}))
	history("shorter", f.list(t, clk.now, badge.RevocationClaims{Revoked: []string{idA}}))
	history("another history", f.list(t, clk.now, badge.RevocationClaims{Revoked: []string{idA, idC}}))
	history("another history that is longer", f.list(t, clk.now.Add(time.Second), badge.RevocationClaims{Revoked: []string{idC, idA, idB}}))
	refuse("another history after the garbage", 200, stranger.list(t, clk.now, badge.RevocationClaims{Revoked: []string{idA, idB, idC}}))
	m.set(200, f.list(t, clk.now.Add(time.Second), badge.RevocationClaims{Revoked: []string{idA, idB, idC}}))
	mustSync(t, s)
	if len(told) != 0 {
		t.Errorf("told of %v, beside what was returned", told)
	}
	for _, path := range m.asked {
		if path == "/elsewhere" {
			t.Error("a redirect was followed")
		}
	}
}

// A key that the list in use withdraws signs no list any more, also where the
// key set still has it.
func TestSyncStolenKey(t *testing.T) {
	f, m := newForger(t), newMirror(t)
	clk := &clock{now: time.Unix(1e9, 0)}
	stolen := *f.ca.Key
	f.ca.Rotate("ca-2")
	s := newSync(t, &client.SyncConfig{
		Issuer: badgetest.Issuer, Keys: badge.StaticKeys{badgetest.Issuer: f.ca.Keys()}, Mirrors: []string{m.URL("")},
		UnsafeAllowLoopback: true, RootCAs: m.Roots, Timeout: time.Minute, Time: clk.Now,
	})
	m.set(200, f.list(t, clk.now, badge.RevocationClaims{WithdrawnKeys: []string{stolen.KeyID}}))
	mustSync(t, s)
	text, err := badge.SignRevocationList(&stolen, &badge.RevocationClaims{Issuer: badgetest.Issuer, AsOf: clk.now.Add(time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	m.set(200, text)
	if err := s.Sync(t.Context()); err == nil || !strings.Contains(err.Error(), "withdrew") {
		t.Errorf("a list signed with the stolen key: %v", err)
	}
	got, err := s.Status(t.Context(), badge.StatusQuery{Issuer: badgetest.Issuer, IssuerKeyID: stolen.KeyID})
	if err != nil || !got.KeyWithdrawn {
		t.Errorf("%+v, %v", got, err)
	}
}

// Where one mirror fails, is behind or stands still, the next is asked.
func TestSyncFromSeveralMirrors(t *testing.T) {
	f, bad, behind, good := newForger(t), newMirror(t), newMirror(t), newMirror(t)
	roots := bad.Roots.Clone()
	for _, m := range []*mirror{behind, good} {
		roots.AddCert(m.Certificate())
	}
	clk := &clock{now: time.Unix(1e9, 0)}
	var told []error
	s := newSync(t, &client.SyncConfig{
		Issuer: badgetest.Issuer, Keys: f.keys, Mirrors: []string{bad.URL(""), behind.URL("/a"), good.URL("/b/c")},
		UnsafeAllowLoopback: true, RootCAs: roots, Timeout: time.Minute, Time: clk.Now,
		OnError: func(err error, wait time.Duration) {
			if told = append(told, err); wait != 0 {
				t.Errorf("a wait of %v", wait)
			}
		},
	})
	bad.set(500, "")
	first := f.list(t, clk.now, badge.RevocationClaims{Revoked: []string{idA}})
	behind.set(200, first)
	mustSync(t, s)
	if len(good.asked) != 0 || len(told) != 1 {
		t.Errorf("asked %v, told of %v", good.asked, told)
	}
	clk.advance(badge.MaxStatusAge/2 + time.Second) // and behind stands still
	second := f.list(t, clk.now, badge.RevocationClaims{Revoked: []string{idA, idB}})
	good.set(200, second)
	mustSync(t, s)
	if !s.List().AsOf().Equal(clk.now) || len(told) != 3 {
		t.Errorf("list of %v, told of %v", s.List().AsOf(), told)
	}
	mustSync(t, s) // behind is a step back now
	var history *client.HistoryError
	if !s.List().AsOf().Equal(clk.now) || !errors.As(told[len(told)-1], &history) {
		t.Errorf("list of %v, told of %v", s.List().AsOf(), told)
	}
	clk.advance(badge.MaxStatusAge)
	if err := s.Sync(t.Context()); err == nil || !strings.Contains(err.Error(), "5m0s old") {
		t.Errorf("nobody has a recent one: %v", err)
	}
}

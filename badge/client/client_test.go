package client_test

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/badgetest"
	"github.com/touchmark-dev/touchmark/badge/client"
	"github.com/touchmark-dev/touchmark/internal/jwk"
	"github.com/touchmark-dev/touchmark/internal/safehttp/safehttptest"
)

// A registry is an issuer's server. It counts what it is asked.
type registry struct {
	*safehttptest.Server
	issuer string

	mu       sync.Mutex
	keySet   string
	status   int // of the key set's answer
	badge    string
	agent    string
	paths    []string // asked for status
	keyAsked atomic.Int32
	hold     chan struct{}
}

func newRegistry(t testing.TB) *registry {
	t.Helper()
	r := &registry{status: http.StatusOK, badge: `{"revoked":false}`, agent: `{"status":"active"}`}
	r.Server = safehttptest.NewServer(t, r)
	r.issuer = r.URL("")
	return r
}

func (r *registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	hold := r.hold
	r.mu.Unlock()
	if req.URL.Path == "/.well-known/jwks.json" {
		r.keyAsked.Add(1)
		if hold != nil {
			<-hold
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case req.URL.Path == "/.well-known/jwks.json":
		w.WriteHeader(r.status)
		io.WriteString(w, r.keySet)
	case strings.HasPrefix(req.URL.Path, "/v1/badges/"):
		r.paths = append(r.paths, req.RequestURI)
		answer(w, r.badge)
	case strings.HasPrefix(req.URL.Path, "/v1/agents/"):
		r.paths = append(r.paths, req.RequestURI)
		answer(w, r.agent)
	default:
		http.NotFound(w, req)
	}
}

// answer writes text, or the status code that it is.
func answer(w http.ResponseWriter, text string) {
	var code int
	if _, err := fmt.Sscanf(text, "status %d", &code); err == nil {
		w.WriteHeader(code)
		return
	}
	io.WriteString(w, text)
}

func (r *registry) set(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
}

func (r *registry) publish(t testing.TB, keys ...badge.Key) {
	t.Helper()
	text := keySet(t, keys...)
	r.set(func() { r.keySet = text })
}

func keySet(t testing.TB, keys ...badge.Key) string {
	t.Helper()
	var all []*jwk.Public
	for _, k := range keys {
		all = append(all, &jwk.Public{Key: k.Public, KeyID: k.ID})
	}
	text, err := jwk.MarshalSet(all)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func newKey(t testing.TB, id string) badge.Key {
	return badge.Key{ID: id, Public: badgetest.NewKey(t).Public()}
}

// A clock that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func (r *registry) client(t testing.TB, change func(*client.Config)) *client.Client {
	t.Helper()
	cfg := &client.Config{Issuers: []string{r.issuer}, UnsafeAllowLoopback: true, RootCAs: r.Roots, Timeout: time.Minute}
	if change != nil {
		change(cfg)
	}
	c, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func kids(keys []badge.Key) string {
	var ids []string
	for _, k := range keys {
		ids = append(ids, k.ID)
	}
	return strings.Join(ids, " ")
}

func TestIssuerKeys(t *testing.T) {
	r := newRegistry(t)
	a, b := newKey(t, "a"), newKey(t, "b")
	r.publish(t, a, b)
	clk := &clock{now: time.Unix(1e9, 0)}
	c := r.client(t, func(cfg *client.Config) { cfg.Time = clk.Now })
	if n := r.keyAsked.Load(); n != 0 {
		t.Errorf("%d fetches before keys are needed", n)
	}
	for range 3 {
		clk.advance(client.DefaultMinInterval)
		keys, err := c.IssuerKeys(t.Context(), r.issuer)
		if err != nil || kids(keys) != "a b" {
			t.Fatalf("%q, %v", kids(keys), err)
		}
		if !keys[0].Public.(interface{ Equal(crypto.PublicKey) bool }).Equal(a.Public) {
			t.Error("another key under the name a")
		}
	}
	if n := r.keyAsked.Load(); n != 1 {
		t.Errorf("%d fetches, want 1", n)
	}
}

// The published code fetches the key set of any issuer that a badge names,
// from whatever host that is, before it asks whether the issuer is trusted.
func TestKnownFault03UnlistedIssuerNeverFetched(t *testing.T) {
	listed, other := newRegistry(t), newRegistry(t)
	ca := badgetest.New(t)
	listed.publish(t, ca.Keys()...)
	other.publish(t, ca.Keys()...)
	c := listed.client(t, nil)

	var unlisted *client.UnlistedError
	for _, issuer := range []string{
		other.issuer, "https://127.0.0.1:" + fmt.Sprint(listed.Port), listed.issuer + "/", strings.ToUpper(listed.issuer),
		listed.issuer + "/x", "", "http://" + listed.Host,
	} {
		if _, err := c.IssuerKeys(t.Context(), issuer); !errors.As(err, &unlisted) || unlisted.Issuer != issuer {
			t.Errorf("IssuerKeys(%q): %v", issuer, err)
		}
		if _, err := c.RefreshIssuerKeys(t.Context(), issuer); !errors.As(err, &unlisted) {
			t.Errorf("RefreshIssuerKeys(%q): %v", issuer, err)
		}
		q := query(t, issuer)
		if _, err := c.Status(t.Context(), q); !errors.As(err, &unlisted) {
			t.Errorf("Status at %q: %v", issuer, err)
		}
	}

	// Nor by way of the verifier, with a badge that is good but for its issuer.
	v, err := badge.NewVerifier(&badge.Config{Issuers: []string{listed.issuer}, Keys: c, Status: c})
	if err != nil {
		t.Fatal(err)
	}
	token := issueFrom(t, ca, other.issuer)
	if _, err := v.Verify(t.Context(), token); badge.CodeOf(err) != badge.CodeIssuerUntrusted {
		t.Errorf("a badge of an unlisted issuer: %v", err)
	}
	for name, r := range map[string]*registry{"listed": listed, "other": other} {
		if n := int(r.keyAsked.Load()) + len(r.paths); n != 0 {
			t.Errorf("%s registry: %d requests arrived", name, n)
		}
	}
}

// issueFrom issues a badge of level 2 in the name of issuer.
func issueFrom(t testing.TB, ca *badgetest.CA, issuer string) string {
	t.Helper()
	agent := badgetest.NewWebAgent(t, "did:web:agents.example:ada")
	key := *ca.Key
	key.Issuer = issuer
	token, err := badge.Issue(&key, &badge.Template{
		Subject: agent.DID, SubjectKey: agent.Public(), Level: badge.LevelDomain, Domain: badgetest.Domain,
	})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// The published code takes the first key of the set whatever the kid, so that
// badges fail from a rotation on.
func TestKnownFault08RotationAtTheIssuer(t *testing.T) {
	r := newRegistry(t)
	ca := badgetest.New(t)
	r.publish(t, ca.Keys()...)
	stands := &clock{now: time.Now()}
	c := r.client(t, func(cfg *client.Config) { cfg.Time = stands.Now })
	v, err := badge.NewVerifier(&badge.Config{Issuers: []string{r.issuer}, Keys: c, Status: c})
	if err != nil {
		t.Fatal(err)
	}
	before := issueFrom(t, ca, r.issuer)
	if _, err := v.Verify(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	ca.Rotate("ca-2")
	r.publish(t, ca.Keys()...)
	after := issueFrom(t, ca, r.issuer)
	if _, err := v.Verify(t.Context(), after); badge.CodeOf(err) != badge.CodeSignatureInvalid {
		t.Errorf("within MinInterval of the last fetch: %v", err)
	}
	clk := &clock{now: time.Now()}
	c2 := r.client(t, func(cfg *client.Config) { cfg.Time = clk.Now })
	v2, err := badge.NewVerifier(&badge.Config{Issuers: []string{r.issuer}, Keys: c2, Status: c2})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v2.Verify(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	ca.Rotate("ca-3")
	r.publish(t, ca.Keys()...)
	clk.advance(client.DefaultMinInterval)
	for _, token := range []string{before, after, issueFrom(t, ca, r.issuer)} {
		if _, err := v2.Verify(t.Context(), token); err != nil {
			t.Error(err)
		}
	}
}

func TestUnknownKidsCauseNoFetchStorm(t *testing.T) {
	r := newRegistry(t)
	r.publish(t, newKey(t, "a"))
	clk := &clock{now: time.Unix(1e9, 0)}
	c := r.client(t, func(cfg *client.Config) { cfg.Time = clk.Now })
	refresh := func(want int32) {
		t.Helper()
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if keys, err := c.RefreshIssuerKeys(t.Context(), r.issuer); err != nil || len(keys) == 0 {
					t.Errorf("%q, %v", kids(keys), err)
				}
			})
		}
		wg.Wait()
		if n := r.keyAsked.Load(); n != want {
			t.Fatalf("%d fetches, want %d", n, want)
		}
	}
	refresh(1)
	refresh(1)
	clk.advance(client.DefaultMinInterval - 1)
	refresh(1)
	r.publish(t, newKey(t, "b"))
	clk.advance(1)
	refresh(2)
	keys, err := c.IssuerKeys(t.Context(), r.issuer)
	if err != nil || kids(keys) != "b" {
		t.Errorf("%q, %v", kids(keys), err)
	}
}

// Each refresh out of turn makes a new cache of the library's; the former one
// goes.
func TestRefreshesLeaveNothingBehind(t *testing.T) {
	r := newRegistry(t)
	r.publish(t, newKey(t, "a"))
	clk := &clock{now: time.Unix(1e9, 0)}
	c := r.client(t, func(cfg *client.Config) { cfg.Time = clk.Now })
	refresh := func(n int) {
		for range n {
			if _, err := c.RefreshIssuerKeys(t.Context(), r.issuer); err != nil {
				t.Fatal(err)
			}
			clk.advance(client.DefaultMinInterval)
		}
	}
	refresh(3)
	before := runtime.NumGoroutine()
	refresh(30)
	deadline := time.Now().Add(time.Minute)
	for runtime.NumGoroutine() > before+10 {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, before the refreshes %d", runtime.NumGoroutine(), before)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if n := r.keyAsked.Load(); n != 33 {
		t.Errorf("%d fetches, want 33", n)
	}
}

func TestFailedFetch(t *testing.T) {
	r := newRegistry(t)
	r.publish(t, newKey(t, "a"))
	r.status = http.StatusBadGateway
	clk := &clock{now: time.Unix(1e9, 0)}
	c := r.client(t, func(cfg *client.Config) { cfg.Time = clk.Now })
	ask := func(ok bool, want int32) {
		t.Helper()
		if keys, err := c.IssuerKeys(t.Context(), r.issuer); (err == nil) != ok || (len(keys) == 1) != ok {
			t.Errorf("%q, %v", kids(keys), err)
		}
		if n := r.keyAsked.Load(); n != want {
			t.Errorf("%d fetches, want %d", n, want)
		}
	}
	ask(false, 1)
	ask(false, 1)
	r.set(func() { r.status = http.StatusOK })
	clk.advance(5 * time.Second)
	ask(true, 2)

	// A refresh that fails is an error, and the keys stay good for what they answer.
	r.set(func() { r.status = http.StatusBadGateway })
	clk.advance(client.DefaultMinInterval)
	for range 2 {
		if keys, err := c.RefreshIssuerKeys(t.Context(), r.issuer); err == nil {
			t.Errorf("refresh: %q", kids(keys))
		}
	}
	ask(true, 3)
	clk.advance(client.DefaultMaxAge)
	ask(false, 4) // too old, and not to be had again
	r.set(func() { r.status = http.StatusOK })
	clk.advance(5 * time.Second)
	ask(true, 5)
}

func TestBackgroundRefresh(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds: jwk.Cache has a clock of its own")
	}
	r := newRegistry(t)
	r.publish(t, newKey(t, "a"))
	c := r.client(t, func(cfg *client.Config) { cfg.RefreshInterval = 4 * time.Second })
	if _, err := c.IssuerKeys(t.Context(), r.issuer); err != nil {
		t.Fatal(err)
	}
	r.publish(t, newKey(t, "b"))
	deadline := time.Now().Add(time.Minute)
	for {
		keys, err := c.IssuerKeys(t.Context(), r.issuer)
		if err != nil {
			t.Fatal(err)
		}
		if kids(keys) == "b" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("still %q", kids(keys))
		}
		time.Sleep(50 * time.Millisecond)
	}
	c.Close()
	time.Sleep(time.Second) // what was on its way arrives
	n := r.keyAsked.Load()
	time.Sleep(5 * time.Second)
	if more := r.keyAsked.Load() - n; more != 0 {
		t.Errorf("%d fetches after Close", more)
	}
}

func TestWaitingEndsWithItsRequest(t *testing.T) {
	r := newRegistry(t)
	r.publish(t, newKey(t, "a"))
	r.hold = make(chan struct{})
	c := r.client(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := c.IssuerKeys(ctx, r.issuer)
		done <- err
	}()
	for r.keyAsked.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want context.Canceled", err)
	}
	close(r.hold)
	if keys, err := c.IssuerKeys(t.Context(), r.issuer); err != nil || len(keys) != 1 {
		t.Errorf("the next request: %q, %v", kids(keys), err)
	}
	if n := r.keyAsked.Load(); n != 1 {
		t.Errorf("%d fetches, want 1", n)
	}
}

func TestRedirectedKeySetIsNotFetched(t *testing.T) {
	r, other := newRegistry(t), newRegistry(t)
	other.publish(t, newKey(t, "evil"))
	redirect := safehttptest.NewServer(t, http.RedirectHandler(other.URL("/.well-known/jwks.json"), http.StatusFound))
	c := r.client(t, func(cfg *client.Config) {
		cfg.Issuers = []string{redirect.URL("")}
		cfg.RootCAs = redirect.Roots
	})
	if keys, err := c.IssuerKeys(t.Context(), redirect.URL("")); err == nil {
		t.Errorf("got %q", kids(keys))
	}
	if n := other.keyAsked.Load(); n != 0 {
		t.Errorf("the redirect was followed %d times", n)
	}
}

func TestLoopbackIssuerIsRefusedByDefault(t *testing.T) {
	r := newRegistry(t)
	r.publish(t, newKey(t, "a"))
	c := r.client(t, func(cfg *client.Config) { cfg.UnsafeAllowLoopback = false })
	if keys, err := c.IssuerKeys(t.Context(), r.issuer); err == nil {
		t.Errorf("got %q", kids(keys))
	}
	if n := r.keyAsked.Load(); n != 0 {
		t.Errorf("%d requests arrived", n)
	}
}

func TestClose(t *testing.T) {
	r := newRegistry(t)
	r.publish(t, newKey(t, "a"))
	c := r.client(t, nil)
	c.Close()
	c.Close()
	for _, f := range []func(context.Context, string) ([]badge.Key, error){c.IssuerKeys, c.RefreshIssuerKeys} {
		if _, err := f(t.Context(), r.issuer); !errors.Is(err, client.ErrClosed) {
			t.Errorf("keys: %v", err)
		}
	}
	if _, err := c.Status(t.Context(), query(t, r.issuer)); !errors.Is(err, client.ErrClosed) {
		t.Errorf("Status: %v", err)
	}
}

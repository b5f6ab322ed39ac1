package did_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/safehttp"
	"github.com/touchmark-dev/touchmark/internal/safehttp/safehttptest"
)

// A site publishes a document for every path, and counts.
type site struct {
	*safehttptest.Server
	fetches atomic.Int32
	hold    chan struct{}                                 // when set, answers wait for it to close
	answer  func(http.ResponseWriter, *http.Request) bool // when set and true, it has answered
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{}
	s.Server = safehttptest.NewServer(t, s)
	return s
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.fetches.Add(1)
	if s.hold != nil {
		<-s.hold
	}
	if s.answer != nil && s.answer(w, r) {
		return
	}
	d, err := did.FromDocumentURL("https://" + r.Host + r.URL.EscapedPath())
	if err != nil {
		http.NotFound(w, r)
		return
	}
	doc, err := did.NewDocument(d, did.DocumentKey{Key: edKey(1), Fragment: "key-1"})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	json.NewEncoder(w).Encode(doc)
}

func (s *site) resolver(t *testing.T, change func(*did.ResolverConfig)) *did.WebResolver {
	t.Helper()
	cfg := &did.ResolverConfig{UnsafeAllowLoopback: true, RootCAs: s.Roots}
	if change != nil {
		change(cfg)
	}
	r, err := did.NewResolver(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func undetermined(t *testing.T, err error) *did.ResolveError {
	t.Helper()
	var e *did.ResolveError
	if !errors.As(err, &e) {
		t.Fatalf("%T %v, want a ResolveError", err, err)
	}
	return e
}

func TestResolve(t *testing.T) {
	s := newSite(t)
	r := s.resolver(t, nil)
	for _, text := range []string{s.DID(), s.DID("agents", "a-1"), s.DID("%7Eme", "a%20b", "%C3%BC")} {
		d := did.MustParse(text)
		doc, err := r.Resolve(t.Context(), d)
		if err != nil {
			t.Errorf("%s: %v", d, err)
			continue
		}
		if doc.ID != d || len(doc.Methods) != 1 || !edKey(1).Equal(doc.Methods[0].Key) {
			t.Errorf("%s: %+v", d, doc)
		}
	}
	fetches := s.fetches.Load()
	if _, err := r.Resolve(t.Context(), did.MustParse(s.DID())); err != nil || s.fetches.Load() != fetches {
		t.Errorf("the second time: %d more fetches, %v", s.fetches.Load()-fetches, err)
	}
	key := did.FromKey(edKey(1))
	doc, err := r.Resolve(t.Context(), key)
	if err != nil || doc.ID != key || doc.Methods[0].ID.String() != key.KeyURL() || !edKey(1).Equal(doc.Methods[0].Key) ||
		!doc.MayAuthenticate(doc.Methods[0].ID) || !doc.MayAssert(doc.Methods[0].ID) {
		t.Errorf("did:key: %+v, %v", doc, err)
	}
	var refused *did.ParseError
	if _, err := r.Resolve(t.Context(), did.DID{}); !errors.As(err, &refused) {
		t.Errorf("zero DID: %v", err)
	}
}

func TestKnownFault14ResolverReachesNoLoopbackByDefault(t *testing.T) {
	s := newSite(t)
	r := s.resolver(t, func(c *did.ResolverConfig) {
		c.UnsafeAllowLoopback = false
		c.AllowPorts = []uint16{s.Port}
	})
	_, err := r.Resolve(t.Context(), did.MustParse(s.DID()))
	var refused *safehttp.AddrError
	if e := undetermined(t, err); !errors.As(e, &refused) {
		t.Errorf("%v, want the address refused", err)
	}
	if n := s.fetches.Load(); n != 0 {
		t.Errorf("%d requests arrived", n)
	}
}

func TestKnownFault14NamesThatPointInside(t *testing.T) {
	for _, addr := range []string{
		"0.0.0.0", "10.0.0.1", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.16.0.1", "192.168.0.1", "224.0.0.1", "240.0.0.1",
		"::", "::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "2001::1", "fd00::1", "fe80::1", "ff02::1",
	} {
		cfg := &did.ResolverConfig{}
		cfg.SetLookup(func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr(addr)}, nil
		})
		r, err := did.NewResolver(cfg)
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.Resolve(t.Context(), did.MustParse("did:web:inside.example"))
		var refused *safehttp.AddrError
		if e := undetermined(t, err); !errors.As(e, &refused) {
			t.Errorf("%s: %v, want the address refused", addr, err)
		}
	}
}

func TestPortNotAllowed(t *testing.T) {
	cfg := &did.ResolverConfig{AllowPorts: []uint16{8444}}
	cfg.SetLookup(func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("1.1.1.1")}, nil // never dialled
	})
	r, err := did.NewResolver(cfg)
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Resolve(t.Context(), did.MustParse("did:web:a.example%3A8443"))
	var refused *safehttp.AddrError
	if e := undetermined(t, err); !errors.As(e, &refused) || !strings.Contains(refused.Reason, "port 8443") {
		t.Errorf("%v, want the port refused", err)
	}
}

func TestAnswersThatAreRefused(t *testing.T) {
	s := newSite(t)
	d := did.MustParse(s.DID())
	other := func(members string) string { return `{"id":"did:web:b.example"` + members + `}` }
	for name, body := range map[string]string{
		"document of another DID": other(""),
		"not JSON":                "<html></html>",
		"empty":                   "",
		"duplicate":               fmt.Sprintf(`{"id":"did:web:b.example","id":%q}`, d),
		"too long":                fmt.Sprintf(`{"id":%q,"x":%q}`, d, strings.Repeat("x", did.MaxDocumentBytes)),
	} {
		s.answer = func(w http.ResponseWriter, _ *http.Request) bool { io.WriteString(w, body); return true }
		_, err := s.resolver(t, nil).Resolve(t.Context(), d)
		var refused *did.DocumentError
		if !errors.As(err, &refused) || refused.DID != d {
			t.Errorf("%s: %T %v, want a DocumentError", name, err, err)
		}
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"not found": http.NotFound,
		"broken":    func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere/did.json", http.StatusFound)
		},
		"slow": func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			panic(http.ErrAbortHandler) // so that no answer reaches a client that is just leaving
		},
	} {
		s := newSite(t) // of its own: a request that was given up may still be on its way to the one before
		d := did.MustParse(s.DID())
		s.answer = func(w http.ResponseWriter, r *http.Request) bool { answer(w, r); return true }
		r := s.resolver(t, func(c *did.ResolverConfig) { c.Timeout = 200 * time.Millisecond })
		began := time.Now()
		_, err := r.Resolve(t.Context(), d)
		if e := undetermined(t, err); e.DID != d || e.Unwrap() == nil {
			t.Errorf("%s: %+v", name, e)
		}
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
	}
	s := newSite(t)
	r := s.resolver(t, func(c *did.ResolverConfig) { c.RootCAs = nil })
	_, err := r.Resolve(t.Context(), did.MustParse(s.DID()))
	undetermined(t, err)
}

func TestMaxBytes(t *testing.T) {
	s := newSite(t)
	_, err := s.resolver(t, func(c *did.ResolverConfig) { c.MaxBytes = 50 }).Resolve(t.Context(), did.MustParse(s.DID()))
	var refused *did.DocumentError
	if !errors.As(err, &refused) {
		t.Errorf("%v, want a DocumentError", err)
	}
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

func TestCache(t *testing.T) {
	s := newSite(t)
	c := &clock{now: time.Unix(1e9, 0)}
	r := s.resolver(t, func(cfg *did.ResolverConfig) {
		cfg.CacheEntries, cfg.CacheTTL, cfg.Time = 2, time.Minute, c.Now
	})
	ask := func(segment string, want int32) {
		t.Helper()
		doc, err := r.Resolve(t.Context(), did.MustParse(s.DID(segment)))
		if err != nil {
			t.Fatal(err)
		}
		doc.Methods[0].Key, doc.Authentication[0] = nil, "" // what callers do to a document stays theirs
		if n := s.fetches.Load(); n != want {
			t.Fatalf("%s: %d fetches, want %d", segment, n, want)
		}
	}
	ask("a", 1)
	ask("a", 1)
	ask("b", 2)
	ask("a", 2)
	ask("c", 3) // pushes out b
	ask("a", 3)
	ask("b", 4) // pushes out c
	doc, err := r.Resolve(t.Context(), did.MustParse(s.DID("a")))
	if err != nil || !edKey(1).Equal(doc.Methods[0].Key) || doc.Authentication[0] == "" {
		t.Errorf("the cache has %+v, %v", doc, err)
	}
	c.advance(time.Minute)
	ask("a", 5)
}

func TestFailuresAreRememberedShortlyAndApart(t *testing.T) {
	s := newSite(t)
	c := &clock{now: time.Unix(1e9, 0)}
	r := s.resolver(t, func(cfg *did.ResolverConfig) { cfg.CacheEntries, cfg.Time = 1, c.Now })
	good := did.MustParse(s.DID("good"))
	if _, err := r.Resolve(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	s.answer = func(w http.ResponseWriter, r *http.Request) bool { http.NotFound(w, r); return true }
	for range 3 {
		_, err := r.Resolve(t.Context(), did.MustParse(s.DID("bad")))
		undetermined(t, err)
	}
	if n := s.fetches.Load(); n != 2 {
		t.Errorf("%d fetches, want 2", n)
	}
	if _, err := r.Resolve(t.Context(), good); err != nil {
		t.Errorf("a failure pushed out a document: %v", err)
	}
	s.answer = nil
	c.advance(10 * time.Second)
	if _, err := r.Resolve(t.Context(), did.MustParse(s.DID("bad"))); err != nil {
		t.Errorf("after the time of failures: %v", err)
	}
}

func TestNoCache(t *testing.T) {
	s := newSite(t)
	for name, change := range map[string]func(*did.ResolverConfig){
		"no entries": func(c *did.ResolverConfig) { c.CacheEntries = -1 },
		"no time":    func(c *did.ResolverConfig) { c.CacheTTL = -1 },
	} {
		s.fetches.Store(0)
		r := s.resolver(t, change)
		for range 3 {
			if _, err := r.Resolve(t.Context(), did.MustParse(s.DID())); err != nil {
				t.Fatal(err)
			}
		}
		if n := s.fetches.Load(); n != 3 {
			t.Errorf("%s: %d fetches, want 3", name, n)
		}
	}
}

func TestRequestsShareAFetch(t *testing.T) {
	s := newSite(t)
	s.hold = make(chan struct{})
	r := s.resolver(t, nil)
	d := did.MustParse(s.DID())
	impatient, giveUp := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	first := make(chan error, 1)
	wg.Go(func() {
		_, err := r.Resolve(impatient, d)
		first <- err
	})
	for s.fetches.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	errs := make(chan error, 20)
	for range cap(errs) {
		wg.Go(func() {
			_, err := r.Resolve(t.Context(), d)
			errs <- err
		})
	}
	giveUp() // the one that began the fetch leaves; the others still get their answer
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("the request given up: %v", err)
	}
	close(s.hold)
	wg.Wait()
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if n := s.fetches.Load(); n != 1 {
		t.Errorf("%d fetches for one DID", n)
	}
}

func TestFetchesAreBounded(t *testing.T) {
	s := newSite(t)
	s.hold = make(chan struct{})
	r := s.resolver(t, func(c *did.ResolverConfig) { c.Timeout = 30 * time.Second })
	var wg sync.WaitGroup
	var refused atomic.Int32
	ctx, cancel := context.WithCancel(t.Context())
	for i := range did.MaxFlights + 10 {
		wg.Go(func() {
			_, err := r.Resolve(ctx, did.MustParse(s.DID(fmt.Sprint(i))))
			if err != nil && strings.Contains(err.Error(), "too many") {
				refused.Add(1)
			}
		})
	}
	for began := time.Now(); refused.Load() < 10 || s.fetches.Load() < did.MaxFetches; time.Sleep(time.Millisecond) {
		if time.Since(began) > 20*time.Second { // less than Timeout, which refuses too
			t.Errorf("%d refused, %d fetches", refused.Load(), s.fetches.Load())
			break
		}
	}
	time.Sleep(20 * time.Millisecond)
	if n := s.fetches.Load(); n > did.MaxFetches {
		t.Errorf("%d fetches at one time, the limit is %d", n, did.MaxFetches)
	}
	cancel()
	close(s.hold)
	wg.Wait()
}

func TestResolverConfigRefused(t *testing.T) {
	for name, cfg := range map[string]*did.ResolverConfig{
		"port 0":           {AllowPorts: []uint16{443, 0}},
		"negative timeout": {Timeout: -1},
		"negative size":    {MaxBytes: -1},
		"size over limit":  {MaxBytes: did.MaxDocumentBytes + 1},
	} {
		if _, err := did.NewResolver(cfg); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	if _, err := did.NewResolver(nil); err != nil {
		t.Error(err)
	}
}

func TestStaticResolver(t *testing.T) {
	doc, err := did.NewDocument(exampleDID, did.DocumentKey{Key: edKey(1)})
	if err != nil {
		t.Fatal(err)
	}
	r := did.StaticResolver{exampleDID: doc, did.MustParse("did:web:b.example"): doc, did.MustParse("did:web:c.example"): nil}
	got, err := r.Resolve(t.Context(), exampleDID)
	if err != nil || got.ID != exampleDID || len(got.Methods) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	var refused *did.DocumentError
	if _, err := r.Resolve(t.Context(), did.MustParse("did:web:b.example")); !errors.As(err, &refused) {
		t.Errorf("a document under another DID: %v", err)
	}
	for _, text := range []string{"did:web:c.example", "did:web:d.example"} {
		_, err := r.Resolve(t.Context(), did.MustParse(text))
		undetermined(t, err)
	}
	if _, err := r.Resolve(t.Context(), did.FromKey(edKey(1))); err != nil {
		t.Error(err)
	}
}

package authzen_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/policy/authzen"
)

func TestAnswers(t *testing.T) {
	s := newService(t, answers(yes))
	names := func(cfg *authzen.Config) { cfg.Enforces, cfg.PolicyVersion = guard.ConstraintNames(), "v1" }
	c := client(t, s.URL, names)
	future := time.Now().Add(time.Hour).Format(time.RFC3339)
	for text, want := range map[string]guard.Decision{
		yes: {Kind: guard.Allow},
		`{"decision":true,"reason":"x","context":{"reason":{"a":[1]},"obligations":[],"policy_version":"r7"}}`: {Kind: guard.Allow, Version: "r7"},
		`{"decision":false}`: {Kind: guard.Deny},
		`{"decision":false,"context":{"access_request":{"endpoint":"https://pdp.example/r","expires_at":"` + future + `"}}}`:       {Kind: guard.RequireApproval},
		`{"decision":false,"context":{"access_request":{"endpoint":"https://pdp.example/r","expires_at":"2020-01-01T00:00:00Z"}}}`: {Kind: guard.Deny},
		`{"decision":false,"context":{"access_request":{"endpoint":"http://pdp.example/r","expires_at":"` + future + `"}}}`:        {Kind: guard.Deny},
		`{"decision":false,"context":{"access_request":true}}`:                                                                     {Kind: guard.Deny},
		`{"decision":true,"context":{"obligations":[{"id":"1","type":"custom","properties":{"vendor":"dev.touchmark","max_runtime_sec":30}},
			{"id":"2","type":"custom","properties":{"vendor":"dev.touchmark","max_runtime_sec":20,"network_allowlist":["a.example"]}}]}}`: {
			Kind: guard.AllowWithConstraints, Constraints: &guard.Constraints{MaxRuntime: 20 * time.Second, NetworkAllowlist: []string{"a.example"}},
		},
		`{"decision":false,"context":{"obligations":[{"id":"1","type":"custom","properties":{"vendor":"dev.touchmark","max_runtime_sec":30}}]}}`: {Kind: guard.Deny},
	} {
		s.set(answers(text))
		want.Rule = "authzen"
		if want.Kind != guard.Deny {
			want.MinLevel = badge.LevelRegistered
		}
		if want.Version == "" {
			want.Version = "v1"
		}
		want.Version = "authzen " + s.URL + " " + want.Version
		d, err := c.Decide(t.Context(), input("t", ""))
		if diff := cmp.Diff(want, d); diff != "" || err != nil {
			t.Errorf("%s: %v, %s", text, err, diff)
		}
	}
}

func TestToken(t *testing.T) {
	var n notes
	s := newService(t, n.serve)
	name := filepath.Join(t.TempDir(), "token")
	write := func(text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first\n")
	c := client(t, s.URL, func(cfg *authzen.Config) { cfg.TokenFile = name })
	for _, token := range []string{"first", "second"} {
		write(token + "\n")
		if _, err := c.Decide(t.Context(), input("t", "")); err != nil || n.token != "Bearer "+token {
			t.Errorf("%q, %v", n.token, err)
		}
	}
	for _, token := range []string{"", "secret a", "secret\nb", "secret\x00", strings.Repeat("secret", 1<<12)} {
		write(token)
		if _, err := c.Decide(t.Context(), input("t", "")); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%.20q: %v", token, err)
		}
	}
	if _, err := authzen.New(&authzen.Config{Endpoint: s.URL, Anonymous: true, TokenFile: name + "x"}); err == nil {
		t.Error("a token that is not there")
	}
}

func TestSocket(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: answers(yes), ReadHeaderTimeout: time.Minute}}
	s.Start()
	defer s.Close()
	c := client(t, "unix:"+socket)
	d, err := c.Decide(t.Context(), input("t", ""))
	if err != nil || d.Kind != guard.Allow || d.Version != "authzen unix:"+socket {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestCertificate(t *testing.T) {
	s := httptest.NewUnstartedServer(answers(yes)) // its certificate is of 127.0.0.1 and example.com
	s.Config.ErrorLog = nil
	s.StartTLS()
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	trust := func(cfg *authzen.Config) { cfg.RootCAs = roots }
	if d, err := client(t, s.URL, trust).Decide(t.Context(), input("t", "")); err != nil || d.Kind != guard.Allow {
		t.Errorf("%+v, %v", d, err)
	}
	w := guardtest.New(t)
	for name, c := range map[string]*authzen.Client{
		"another name": client(t, "https://localhost:"+port, trust), "an unknown authority": client(t, s.URL),
	} {
		g := w.Guard(func(cfg *guard.Config) { cfg.Policy = c })
		t.Run(name, func(t *testing.T) { refused(t, g, w.Agent(badge.LevelDomain).Call("t", `{}`)) })
	}
	s.TLS.MaxVersion = tls.VersionTLS11
	old := httptest.NewUnstartedServer(answers(yes))
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10} //nolint:gosec // what must be refused
	old.StartTLS()
	defer old.Close()
	roots.AddCert(old.Certificate())
	if d, err := client(t, old.URL, trust).Decide(t.Context(), input("t", "")); err == nil {
		t.Errorf("TLS 1.1: %+v", d)
	}
}

func TestAddresses(t *testing.T) {
	prefix := func(text string) []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix(text)} }
	for _, test := range []struct {
		host     string
		networks []netip.Prefix
		want     string
	}{
		{"10.0.0.1", nil, "private"}, {"169.254.169.254", nil, "link-local"}, {"10.0.0.1", prefix("10.1.0.0/16"), "private"},
		{"[::ffff:10.0.0.1]", nil, "private"}, {"0.0.0.0", nil, "unspecified"},
	} {
		c := client(t, "https://"+test.host+":1", func(cfg *authzen.Config) { cfg.AllowNetworks = test.networks })
		if _, err := c.Decide(t.Context(), input("t", "")); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", test.host, err)
		}
	}
}

// No more requests are under way than may be, and what waits for its place is given up in time.
func TestInFlight(t *testing.T) {
	before := runtime.NumGoroutine()
	var now, most atomic.Int32
	release := make(chan struct{})
	s := newService(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) //nolint:errcheck // it is a test's own
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		<-release
		reply(w, r, yes)
	})
	c := client(t, s.URL, func(cfg *authzen.Config) { cfg.MaxInFlight = 3 })
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if d, err := c.Decide(t.Context(), input("t", "")); err != nil || d.Kind != guard.Allow {
				t.Errorf("%+v, %v", d, err)
			}
		})
	}
	for now.Load() < 3 {
		time.Sleep(time.Millisecond)
	}
	close(release)
	wg.Wait()
	if most.Load() != 3 {
		t.Errorf("%d requests at a time", most.Load())
	}
	s.Close()
	c.Close()
	settle(t, before)
}

func TestCache(t *testing.T) {
	var asked atomic.Int32
	s := newService(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		answers(yes)(w, r)
	})
	now := time.Now()
	c := client(t, s.URL, func(cfg *authzen.Config) {
		cfg.CacheTTL, cfg.Time = time.Second, func() time.Time { return now }
	})
	other := input("t", `{"a":1}`)
	other.Facts.Tenant = "t"
	for _, in := range []*guard.Input{input("t", ""), input("u", ""), input("t", `{}`), input("t", `{"a":1}`), other} {
		for range 3 {
			if d, err := c.Decide(t.Context(), in); err != nil || d.Kind != guard.Allow {
				t.Fatalf("%+v, %v", d, err)
			}
		}
	}
	if asked.Load() != 5 {
		t.Errorf("asked %d times, want 5", asked.Load())
	}
	s.set(answers(`{`))
	if _, err := c.Decide(t.Context(), input("t", "")); err != nil {
		t.Error(err)
	}
	for _, d := range []time.Duration{time.Second, -time.Hour} {
		now = now.Add(d)
		if d, err := c.Decide(t.Context(), input("t", "")); err == nil {
			t.Errorf("%+v", d)
		}
	}
}

// A panic in a goroutine of the client is a denial of the entry, and not the end of the process.
func TestPanicInAList(t *testing.T) {
	s := newService(t, answers(yes))
	c := client(t, s.URL, func(cfg *authzen.Config) {
		cfg.NoLists, cfg.Time = true, func() time.Time { panic("no clock") }
	})
	decisions, errs := c.DecideAll(t.Context(), []*guard.Input{input("t", ""), input("u", "")})
	for i, err := range errs {
		if err == nil || decisions[i].Kind != guard.Deny {
			t.Errorf("%+v, %v", decisions[i], err)
		}
	}
}

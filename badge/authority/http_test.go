package authority

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/sqlstore/sqltest"
)

func mustWeb(t testing.TB, u string) did.DID {
	t.Helper()
	d, err := did.FromWebURL(u)
	must(t, err)
	return d
}

// TestBodies has bodies refused that are not what they should be, at every endpoint that reads one.
func TestBodies(t *testing.T) {
	b := lite(t, func(c *Config) { c.ChallengesPerAccount = 1000 })
	p := b.agent("ada")
	for _, path := range []string{
		"/v1/agents", p.path("/badge"), p.path("/badge/challenge"), p.path("/disable"), p.path("/level"), p.path("/keys"),
		"/v1/account/keys/rotate", "/v1/badges/dv/orders", "/v1/badges/dv/accounts", "/v1/badges/mint",
	} {
		for _, body := range []string{
			`[]`, `"x"`, `{`, `{}{}`, `{"mode":"ial0","mode":"ial0","reason":"a","reason":"b","domain":"","domain":"","name":"","name":"","level":"","level":"","key_id":"","key_id":"","overlap_seconds":1,"overlap_seconds":1,"badge_ttl":60,"badge_ttl":60,"grant":"","grant":""}`,
			"\xff", "{\"mode\":\"\xff\"}", strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40),
		} {
			b.send("POST", path, b.admin, body).refused(400, CodeInvalidRequest)
		}
		b.send("POST", path, b.admin, `{"a":"`+strings.Repeat("x", MaxBodyBytes)+`"}`).refused(413, CodeTooLarge)
		r := b.request("POST", path, `{}`)
		r.Header.Set(headerAccountKey, b.admin)
		r.Header.Set("Content-Type", "text/plain")
		b.do(r).refused(415, CodeMediaType)
	}
	// Names are compared exactly: this has no mode.
	b.send("POST", p.path("/badge"), b.issue, `{"Mode":"ial0"}`).refused(400, CodeCompatOff)
}

// TestPaths has what there is not refused like everything else.
func TestPaths(t *testing.T) {
	b := lite(t, nil)
	p := b.agent("ada")
	for _, path := range []string{"/", "/v1", "/v1/agents/", p.path("/nothing"), "/v1/badges/x/y", "/agents/ada"} {
		b.send("GET", path, "", nil).refused(404, CodeNotFound)
	}
	for path, allow := range map[string]string{p.path("/badge"): "POST", "/v1/revocations": "GET, HEAD", "/v1/agents": "GET, HEAD, POST"} {
		r := b.send("DELETE", path, "", nil).refused(405, CodeMethod)
		if r.header.Get("Allow") != allow {
			t.Errorf("%s allows %q", path, r.header.Get("Allow"))
		}
	}
	// Colons may be escaped or not; the proof's htu has one spelling all the same.
	b.send("POST", "/v1/agents/"+p.did.String()+"/badge", b.issue, `{"mode":"ial0"}`).ok(nil)
	for _, d := range []string{"did:key:z6Mkf5rGMoatrSj1f4CyvuHBeXJELe9RPdzo2PKGNCKVtZxP", "did:web:Registry.example", "x"} {
		r := b.send("GET", "/v1/agents/"+d+"/status", "", nil)
		if r.status != 404 {
			r.refused(400, CodeInvalidDID)
		}
	}
	for path, want := range map[string]string{"/.well-known/jwks.json": "public, max-age=60", "/v1/revocations": "no-store", "/healthz": "no-store"} {
		r := b.request("GET", path, nil)
		r.Header.Set("Origin", "https://evil.example")
		got := b.do(r).ok(nil).header
		if got.Get("Cache-Control") != want || got.Get("X-Content-Type-Options") != "nosniff" || got.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %v", path, got)
		}
	}
}

// TestFaults: a fault is told as nothing but that.
func TestFaults(t *testing.T) {
	b := lite(t, nil)
	for _, f := range []route{
		func(http.ResponseWriter, *http.Request) error { panic("the secret is x") },
		func(http.ResponseWriter, *http.Request) error { return errors.New("the secret is x") },
	} {
		w := httptest.NewRecorder()
		b.serve(f).ServeHTTP(w, b.request("GET", "/", nil))
		r := (&reply{t, w.Code, w.Header(), w.Body.Bytes()}).refused(500, CodeInternal)
		if strings.Contains(string(r.body), "secret") {
			t.Errorf("answer %s", r.body)
		}
	}
	slow := func(_ http.ResponseWriter, r *http.Request) error { <-r.Context().Done(); return r.Context().Err() }
	b.cfg.RequestTimeout = time.Millisecond
	w := httptest.NewRecorder()
	b.serve(slow).ServeHTTP(w, b.request("GET", "/", nil))
	(&reply{t, w.Code, w.Header(), w.Body.Bytes()}).refused(503, CodeUnavailable)
}

// TestReady: an authority is ready when it could issue.
func TestReady(t *testing.T) {
	b := openBed(t, sqltest.SQLite(t), nil)
	ctx := context.Background()
	b.send("GET", "/healthz", "", nil).ok(nil)
	b.send("GET", "/readyz", "", nil).refused(503, CodeUnavailable)
	b.signers.add(t, testKeyID)
	must(t, b.AddKey(ctx, testKeyID, false))
	b.send("GET", "/readyz", "", nil).ok(nil)
	b.clock.add(DefaultMaxLogDelay + time.Second)
	b.send("GET", "/readyz", "", nil).refused(503, CodeUnavailable)
	b.pass(time.Second)
	b.send("GET", "/readyz", "", nil).ok(nil)
	must(t, b.Close())
	b.send("GET", "/readyz", "", nil).refused(503, CodeUnavailable)
	b.send("GET", "/healthz", "", nil).ok(nil)
}

// TestConfig has configurations refused that decide nothing.
func TestConfig(t *testing.T) {
	good := func() *Config {
		return &Config{
			Issuer: testIssuer, Database: "sqlite:" + t.TempDir() + "/a.db", Signers: &signers{}, Resolver: &documents{}, AllowNoLog: true,
		}
	}
	for name, change := range map[string]func(*Config){
		"no issuer": func(c *Config) { c.Issuer = "" }, "http": func(c *Config) { c.Issuer = "http://registry.example" },
		"path": func(c *Config) { c.Issuer += "/" }, "case": func(c *Config) { c.Issuer = "https://Registry.example" },
		"port": func(c *Config) { c.Issuer += ":443" }, "user": func(c *Config) { c.Issuer = "https://a@registry.example" },
		"no database": func(c *Config) { c.Database = "" }, "no signers": func(c *Config) { c.Signers = nil },
		"no resolver": func(c *Config) { c.Resolver = nil }, "no log": func(c *Config) { c.AllowNoLog = false },
		"two logs": func(c *Config) { c.LogElsewhere = true }, "negative": func(c *Config) { c.BadgesPerAgent = -1 },
		"database": func(c *Config) { c.Database = "mysql:x" },
	} {
		c := good()
		change(c)
		if a, err := New(context.Background(), c); err == nil {
			t.Errorf("%s: accepted", name)
			_ = a.Close()
		}
	}
	c := good()
	a, err := New(context.Background(), c)
	must(t, err)
	must(t, a.Close())
	c.Issuer = "https://other.example"
	if _, err := New(context.Background(), c); err == nil {
		t.Error("the database of another issuer was accepted")
	}
}

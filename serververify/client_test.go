package serververify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/badgetest"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
)

// challenges counts the challenges that reached the world's server.
func (w *world) challenges() (n int) {
	for _, r := range w.requests() {
		if r.URL.Path == mcpwire.DiscoveryPath {
			n++
		}
	}
	return n
}

func (w *world) verified(v *Verifier) *Server {
	w.t.Helper()
	srv, err := v.Verify(w.t.Context(), w.url("/mcp"))
	if err != nil {
		w.t.Fatal(err)
	}
	return srv
}

func drain(t *testing.T, resp *http.Response, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
}

// In the published code the session cache knows a DID: any origin that names
// it is taken for verified. Here a verification is good for one connection, of
// one origin, to one DID.
func TestKnownFault01CacheKey(t *testing.T) {
	good, evil := newWorld(t, option{}), newWorld(t, option{})
	v := good.verifier(func(c *Config) { c.RootCAs = evil.roots.Clone(); c.RootCAs.AddCert(mustLeaf(t, good)) })
	good.verified(v)

	// The other origin names the verified DID and shows its badge.
	evil.intercept(func(_ *world, rw http.ResponseWriter, _ *http.Request) bool {
		rw.Header().Set(mcpwire.HeaderServerDID, good.agent.DID.String())
		rw.Header().Set(mcpwire.HeaderServerBadge, good.badge())
		io.WriteString(rw, "{}")
		return true
	})
	_, err := v.Verify(t.Context(), evil.url("/mcp"))
	wantRefusal(t, err, CodeDomainMismatch, StateDeclared)
	if _, err := v.Client().Get(evil.url("/mcp")); err == nil {
		t.Error("the client reaches an origin that was refused")
	}

	// A second verification of the same server asks again, on its own channel.
	before := good.challenges()
	good.verified(v)
	if n := good.challenges() - before; n != 1 {
		t.Errorf("%d challenges, want 1", n)
	}
}

func TestClientStaysWhereItIs(t *testing.T) {
	w := newWorld(t, option{})
	other := newWorld(t, option{})
	v := w.verifier()
	srv := w.verified(v)
	for _, client := range []*http.Client{srv.Client(), v.Client()} {
		for _, u := range []string{
			other.url("/mcp"), strings.Replace(w.url("/mcp"), hostName, "evil.example.com", 1),
			strings.Replace(w.url("/mcp"), "https", "http", 1), "https://" + hostName + "/mcp",
			strings.Replace(w.url("/mcp"), hostName, hostName+".", 1),
		} {
			if _, err := client.Get(u); err == nil || CodeOf(err) != "" {
				t.Errorf("%s: %v", u, err)
			}
		}
		req, _ := http.NewRequest("GET", w.url("/mcp"), nil)
		req.Host = "evil.example.com"
		if _, err := client.Do(req); err == nil {
			t.Error("another Host field was sent")
		}
		req, _ = http.NewRequest("GET", w.url("/mcp"), nil)
		req.URL.Opaque = "//evil.example.com/mcp"
		if _, err := client.Transport.RoundTrip(req); err == nil {
			t.Error("an opaque URL was sent")
		}
		resp, err := client.Get(strings.Replace(w.url("/other"), hostName, strings.ToUpper(hostName), 1))
		drain(t, resp, err)
	}
	if n := len(other.requests()); n != 0 {
		t.Errorf("%d requests reached another server", n)
	}
	if (&Server{}).Client() != nil {
		t.Error("a server that was not verified has a client")
	}
}

// No proxy of the environment dials for the client, and HTTP/2 does not put the
// requests to one name on the connection of another that has its certificate.
func TestNoProxyAndNoCoalescing(t *testing.T) {
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "ALL_PROXY"} {
		t.Setenv(name, "http://127.0.0.1:9")
	}
	w := newWorld(t, option{h2: true})
	v := w.verifier()
	srv := w.verified(v)
	if v.transport.Proxy != nil {
		t.Error("the transport has a proxy")
	}
	other := strings.Replace(w.url("/mcp"), hostName, "localhost", 1) // the certificate is good for both
	before := len(w.requests())
	for _, client := range []*http.Client{srv.Client(), v.Client()} {
		if resp, err := client.Get(other); err == nil {
			resp.Body.Close()
			t.Error("another name was reached")
		}
	}
	if n := len(w.requests()); n != before {
		t.Errorf("%d requests were sent", n-before)
	}
}

// A DID with a path stands for the endpoint at that path, not for its
// neighbours.
func TestClientStaysOnThePath(t *testing.T) {
	w := newWorld(t, option{path: []string{"mcp", "fs"}})
	v := w.verifier()
	srv, err := v.Verify(t.Context(), w.url("/mcp/fs"))
	if err != nil {
		t.Fatal(err)
	}
	for _, client := range []*http.Client{srv.Client(), v.Client()} {
		for _, path := range []string{"/mcp/fs?x=1", "/mcp/%66s"} {
			resp, err := client.Get(w.url(path))
			drain(t, resp, err)
		}
		for _, path := range []string{"/mcp/fs-evil", "/mcp/fs/", "/mcp/fs/x", "/mcp", "/", "", "/mcp//fs", "/mcp/../mcp/fs", "/mcp%2Ffs", "/mcp/%2e%2e/mcp/fs"} {
			if _, err := client.Get(w.url(path)); err == nil {
				t.Errorf("%q was sent", path)
			}
		}
	}
}

func TestClientFollowsNoRedirect(t *testing.T) {
	w := newWorld(t, option{})
	srv := w.verified(w.verifier())
	for _, to := range []string{"https://evil.example.com/", "/elsewhere"} {
		w.intercept(func(_ *world, rw http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == mcpwire.DiscoveryPath { // another connection, see again
				return false
			}
			if r.URL.Path == "/elsewhere" {
				t.Error("a redirect was followed")
			}
			http.Redirect(rw, r, to, http.StatusTemporaryRedirect)
			return true
		})
		_, err := srv.Client().Post(w.url("/mcp"), "text/plain", strings.NewReader("secret"))
		if err == nil || !strings.Contains(err.Error(), "redirect") {
			t.Errorf("redirect to %s: %v", to, err)
		}
	}
}

func TestDiscoveryRedirectIsRefused(t *testing.T) {
	w := newWorld(t, option{})
	w.intercept(func(_ *world, rw http.ResponseWriter, r *http.Request) bool {
		http.Redirect(rw, r, "https://evil.example.com/", http.StatusFound)
		return true
	})
	_, err := w.verifier().Verify(t.Context(), w.url("/mcp"))
	wantRefusal(t, err, CodeIdentityMissing, StateUnverified)
}

// Connections are verified again when they are new, and when their
// verification has aged.
func TestConnectionsAreVerifiedAgain(t *testing.T) {
	protocols(t, func(t *testing.T, h2 bool) {
		w := newWorld(t, option{h2: h2})
		srv := w.verified(w.verifier())
		client := srv.Client()
		const known, anew = false, true
		get := func(want bool, what string) {
			t.Helper()
			challenges, again := w.challenges(), w.again()
			resp, err := client.Get(w.url("/mcp"))
			drain(t, resp, err)
			if want == anew && w.challenges() == challenges {
				t.Errorf("%s: no challenge", what)
			}
			if want == known && w.again() != again {
				t.Errorf("%s: a challenge on a connection that had one", what)
			}
		}
		get(known, "first request")
		get(known, "second request")
		client.CloseIdleConnections()
		get(anew, "new connection")
		w.advance(DefaultMaxAge + time.Second)
		w.setBadge(w.ca.Issue(w.agent, badge.LevelDomain))
		get(anew, "aged verification")
		get(known, "after it")
		w.server.CloseClientConnections()
		for end := time.Now().Add(time.Minute); len(srv.target.usable()) > 0 && time.Now().Before(end); {
			time.Sleep(time.Millisecond) // until the client has learnt of it
		}
		get(anew, "connections lost")
	})
}

// The badge bounds the verification too, and may be renewed meanwhile.
func TestVerificationEndsWithTheBadge(t *testing.T) {
	w := newWorld(t, option{})
	short := func(tmpl *badge.Template) { tmpl.TTL = 60 * time.Second }
	w.setBadge(w.ca.Issue(w.agent, badge.LevelDomain, short))
	client := w.verified(w.verifier()).Client()
	w.advance(61 * time.Second)
	w.setBadge(w.ca.Issue(w.agent, badge.LevelDomain, short))
	before := w.challenges()
	resp, err := client.Get(w.url("/mcp"))
	drain(t, resp, err)
	if w.challenges() == before {
		t.Error("the server was not asked again")
	}
	w.advance(time.Hour)
	_, err = client.Get(w.url("/mcp"))
	wantRefusal(t, err, CodeBadgeInvalid, StateDeclared)
}

// Revoked in between: seen when the verification has aged, and the connection
// goes.
func TestRevokedInBetween(t *testing.T) {
	w := newWorld(t, option{h2: true})
	srv := w.verified(w.verifier(func(c *Config) { c.MaxAge = time.Minute }))
	client := srv.Client()
	w.ca.Revoke(srv.BadgeID)
	w.advance(61 * time.Second)
	c := srv.target.usable()[0]
	_, err := client.Get(w.url("/mcp"))
	wantRefusal(t, err, CodeBadgeRevoked, StateDeclared)
	if n := len(srv.target.usable()); n != 0 || c.cc.Err() == nil {
		t.Errorf("%d connections left, %v", n, c.cc.Err())
	}
}

// An outage of the status service stops new requests, and lets them through
// again on the same connection when it is over.
func TestOutageInBetween(t *testing.T) {
	protocols(t, func(t *testing.T, h2 bool) {
		w := newWorld(t, option{h2: h2})
		client := w.verified(w.verifier(func(c *Config) { c.MaxAge = time.Minute })).Client()
		w.advance(61 * time.Second)
		w.ca.SetStatus(badgetest.Status{Err: errors.New("down")})
		_, err := client.Get(w.url("/mcp"))
		wantUndetermined(t, err, CodeRevocationCheckFailed)
		w.ca.SetStatus(badgetest.Status{})
		resp, err := client.Get(w.url("/mcp"))
		drain(t, resp, err)
	})
}

// The DID is pinned: a server that becomes another one is refused, on a new
// connection and on an old one.
func TestServerBecomesAnother(t *testing.T) {
	t.Run("new connection", func(t *testing.T) {
		becomeAnother(t, func(_ *world, client *http.Client) { client.CloseIdleConnections() })
	})
	t.Run("aged verification", func(t *testing.T) {
		becomeAnother(t, func(w *world, _ *http.Client) { w.advance(DefaultMaxAge + time.Second) })
	})
}

func becomeAnother(t *testing.T, then func(*world, *http.Client)) {
	w := newWorld(t, option{})
	v := w.verifier()
	client := w.verified(v).Client()
	key := badgetest.NewAgent(t)
	cfg := w.identity.cfg
	cfg.DID, cfg.Signer, cfg.KeyID = key.DID, key.Key, ""
	cfg.Badge = StaticBadge(w.ca.Issue(key, badge.LevelSelfSigned))
	id, err := NewIdentity(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	w.identity = id
	w.mu.Unlock()
	then(w, client)
	_, err = client.Get(w.url("/mcp"))
	if refused := wantRefusal(t, err, CodeDIDMismatch, StateDeclared); refused.DID != key.DID {
		t.Errorf("refused %q", refused.DID)
	}
}

func TestManyAtOnce(t *testing.T) {
	protocols(t, func(t *testing.T, h2 bool) {
		w := newWorld(t, option{h2: h2})
		var aged atomic.Int64
		v := w.verifier(func(c *Config) {
			c.Time = func() time.Time { return w.time().Add(time.Duration(aged.Load())) }
		})
		client := w.verified(v).Client()
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				for j := range 20 {
					if i == 0 && j%5 == 4 {
						client.CloseIdleConnections()
						aged.Add(int64(11 * time.Second))
					}
					resp, err := client.Post(w.url("/mcp"), "text/plain", strings.NewReader("x"))
					if err != nil {
						t.Error(err)
						return
					}
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
			})
		}
		wg.Wait()
	})
}

// A GET on a connection that the server closed meanwhile is sent again, on a
// verified one; a POST is not.
func TestRepeatOnALostConnection(t *testing.T) {
	steady(t, 3, func(w *world) error {
		client := w.verified(w.verifier()).Client()
		var calls atomic.Int32
		w.intercept(func(_ *world, rw http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == mcpwire.DiscoveryPath || calls.Add(1)%2 == 0 {
				return false
			}
			panic(http.ErrAbortHandler)
		})
		resp, err := client.Get(w.url("/mcp"))
		if err != nil {
			return err
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if n := calls.Load(); n != 2 {
			return fmt.Errorf("%d calls, want 2", n)
		}
		if _, err := client.Post(w.url("/mcp"), "text/plain", strings.NewReader("x")); err == nil {
			return errors.New("a lost POST was repeated")
		}
		if n := calls.Load(); n != 3 {
			return fmt.Errorf("%d calls, want 3", n)
		}
		return nil
	})
}

func TestRequestEndsWithItsContext(t *testing.T) {
	w := newWorld(t, option{})
	client := w.verified(w.verifier()).Client()
	answered := make(chan struct{}) // held back for good: an answer to the closing of the connection could still be read
	w.intercept(func(*world, http.ResponseWriter, *http.Request) bool { <-answered; return true })
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, "GET", w.url("/mcp"), nil)
	_, err := client.Do(req)
	close(answered)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestIdleConnectionsAreClosed(t *testing.T) {
	protocols(t, func(t *testing.T, h2 bool) {
		for range 20 { // until net/http keeps the connection, see again
			w := newWorld(t, option{h2: h2})
			srv := w.verified(w.verifier())
			kept := srv.target.usable()
			resp, err := srv.Client().Get(w.url("/mcp"))
			if err != nil {
				t.Fatal(err)
			}
			if len(kept) == 0 || w.opened.Load() > 1 {
				drain(t, resp, nil)
				continue
			}
			c := kept[0]
			if !h2 { // the body is unread, and the connection in use
				c.closeIfIdle()
				if c.cc.Err() != nil {
					t.Error("a connection in use was closed")
				}
			}
			drain(t, resp, nil)
			c.closeIfIdle()
			if c.cc.Err() == nil || len(srv.target.usable()) != 0 {
				t.Error("an idle connection was kept")
			}
			return
		}
		t.Fatal("net/http keeps no connection")
	})
}

func TestVerifierKeepsSoMany(t *testing.T) {
	w := newWorld(t, option{})
	v := w.verifier()
	w.verified(v)
	d := did.MustParse("did:web:x.example")
	for i := range maxServers {
		v.keep(endpoint{origin: origin{"https", "x.example", uint16(i + 1)}}, d)
	}
	if len(v.targets) != maxServers || len(v.order) != maxServers {
		t.Errorf("%d targets, %d in order", len(v.targets), len(v.order))
	}
	if _, err := v.Client().Get(w.url("/mcp")); err == nil {
		t.Error("the oldest server is still kept")
	}
	// Another server in the same place replaces it.
	e := endpoint{origin: origin{"https", "x.example", 7}}
	v.keep(e, did.MustParse("did:web:y.example"))
	if i := slices.Index(v.order, scopeOf(e.origin, d)); i != maxServers-1 {
		t.Errorf("the place stands at %d in the order", i)
	}
	if len(v.order) != maxServers || v.targets[scopeOf(e.origin, d)].did == d {
		t.Error("the place is still the old server's")
	}
}

// A server that closes the connection after the challenge cannot be used: the
// next connection is another one.
func TestServerWithoutKeepAlive(t *testing.T) {
	w := newWorld(t, option{})
	w.server.Config.SetKeepAlivesEnabled(false)
	client := w.verified(w.verifier()).Client()
	_, err := client.Get(w.url("/mcp"))
	wantUndetermined(t, err, "")
	for _, r := range w.requests() {
		if r.URL.Path != mcpwire.DiscoveryPath {
			t.Errorf("%s was sent", r.URL.Path)
		}
	}
}

func TestServerGone(t *testing.T) {
	w := newWorld(t, option{})
	v := w.verifier()
	w.verified(v)
	client := v.Client()
	client.CloseIdleConnections()
	w.server.Close()
	_, err := client.Get(w.url("/mcp"))
	wantUndetermined(t, err, "")
	if CodeOf(err) != "" || !strings.Contains(err.Error(), "not examined to the end") {
		t.Errorf("got %v", err)
	}
}

// A body that can be read again is sent again with its request.
func TestRepeatWithBody(t *testing.T) {
	steady(t, 1, func(w *world) error {
		client := w.verified(w.verifier()).Client()
		var calls atomic.Int32
		var got atomic.Value
		w.intercept(func(_ *world, rw http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == mcpwire.DiscoveryPath {
				return false
			}
			body, _ := io.ReadAll(r.Body)
			if calls.Add(1) == 1 {
				panic(http.ErrAbortHandler)
			}
			got.Store(string(body))
			return true
		})
		req, _ := http.NewRequest("PUT", w.url("/mcp"), strings.NewReader("all of it"))
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		resp.Body.Close()
		if got.Load() != "all of it" {
			return fmt.Errorf("got %v", got.Load())
		}
		return nil
	})
}

func TestErrorsSayWhat(t *testing.T) {
	cause := errors.New("cause")
	for _, err := range []error{
		&UntrustedError{Code: CodePoPFailed, State: StateDeclared, DID: did.MustParse("did:web:a.example"), Reason: "why", err: cause},
		&UndeterminedError{Code: CodePoPFailed, Reason: "why", err: cause},
	} {
		if !errors.Is(err, cause) || CodeOf(err) != CodePoPFailed || !strings.Contains(err.Error(), "SERVER_POP_FAILED: why") {
			t.Errorf("%v", err)
		}
	}
	if CodeOf(cause) != "" || CodeOf(nil) != "" {
		t.Error("a code out of nothing")
	}
}

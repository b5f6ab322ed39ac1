package serververify

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/badgetest"
	"github.com/touchmark-dev/touchmark/did"
)

const hostName = "mcp.example.com" // the lookups of a world decide where it is

// A world is a server with an identity, who issued its badge, and what a
// client needs to verify it.
type world struct {
	t        testing.TB
	ca       *badgetest.CA
	agent    *badgetest.Agent
	roots    *x509.CertPool
	cert     tls.Certificate
	resolver did.StaticResolver
	server   *httptest.Server
	port     uint16
	identity *Identity
	opened   atomic.Int32 // connections to it

	mu    sync.Mutex
	token string
	now   time.Time
	addr  netip.Addr // of hostName
	seen  []*http.Request
	errs  []error
	hook  hook

	relayCert *tls.Certificate // of who is in between; nil for the server's own
	relayHost string           // what it tells the server that the client asked for; "" for what it did
}

// A hook answers instead of the world's server when it returns true.
type hook func(w *world, rw http.ResponseWriter, r *http.Request) bool

type option struct {
	h2       bool
	path     []string // of the DID
	level    badge.Level
	identity func(*IdentityConfig)
}

// newWorld starts a server on 127.0.0.2, so that 127.0.0.1 with the same port
// is free for whoever wants to be in between.
func newWorld(t testing.TB, o option) *world {
	t.Helper()
	w := &world{t: t, ca: badgetest.New(t), now: time.Now(), addr: netip.MustParseAddr("127.0.0.2")}
	w.ca.SetTime(w.time)
	w.cert, w.roots = newCert(t)
	w.server = w.listen("127.0.0.2:0", o.h2, nil)
	w.port = uint16(w.server.Listener.Addr().(*net.TCPAddr).Port)
	text := fmt.Sprintf("did:web:%s%%3A%d", hostName, w.port)
	for _, s := range o.path {
		text += ":" + s
	}
	w.agent = badgetest.NewWebAgent(t, text)
	doc, err := did.NewDocument(w.agent.DID, did.DocumentKey{Key: w.agent.Public()})
	if err != nil {
		t.Fatal(err)
	}
	w.resolver = did.StaticResolver{w.agent.DID: doc}
	if o.level == badge.LevelNone {
		o.level = badge.LevelDomain
	}
	w.token = w.ca.Issue(w.agent, o.level)
	cfg := &IdentityConfig{
		DID: w.agent.DID, Signer: w.agent.Key, Origins: []string{w.origin()}, Time: w.time,
		Badge:   func(context.Context) (string, error) { return w.badge(), nil },
		OnError: func(err error) { w.mu.Lock(); defer w.mu.Unlock(); w.errs = append(w.errs, err) },
	}
	if o.identity != nil {
		o.identity(cfg)
	}
	if w.identity, err = NewIdentity(cfg); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) origin() string            { return fmt.Sprintf("https://%s:%d", hostName, w.port) }
func (w *world) url(path string) string    { return w.origin() + path }
func (w *world) time() time.Time           { w.mu.Lock(); defer w.mu.Unlock(); return w.now }
func (w *world) advance(d time.Duration)   { w.mu.Lock(); defer w.mu.Unlock(); w.now = w.now.Add(d) }
func (w *world) badge() string             { w.mu.Lock(); defer w.mu.Unlock(); return w.token }
func (w *world) setBadge(token string)     { w.mu.Lock(); defer w.mu.Unlock(); w.token = token }
func (w *world) setAddr(a string)          { w.mu.Lock(); defer w.mu.Unlock(); w.addr = netip.MustParseAddr(a) }
func (w *world) requests() []*http.Request { w.mu.Lock(); defer w.mu.Unlock(); return w.seen }
func (w *world) intercept(f hook) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hook = f
}

// listen starts a TLS server; a nil handler is the world's own.
func (w *world) listen(addr string, h2 bool, h http.Handler) *httptest.Server {
	w.t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		w.t.Skipf("no listener on %s: %v", addr, err)
	}
	if h == nil {
		h = http.HandlerFunc(w.serve)
	}
	s := &httptest.Server{Listener: l, EnableHTTP2: h2, Config: &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0), ConnState: w.count}}
	s.TLS = &tls.Config{Certificates: []tls.Certificate{w.cert}}
	if w.relayCert != nil {
		s.TLS.Certificates[0] = *w.relayCert
	}
	s.StartTLS()
	w.t.Cleanup(s.Close)
	return s
}

func (w *world) count(_ net.Conn, s http.ConnState) {
	if s == http.StateNew {
		w.opened.Add(1)
	}
}

// again counts the challenges that were not the first of their connection. On a
// busy machine net/http gives connections up, so that their number is not
// given.
func (w *world) again() int { return w.challenges() - int(w.opened.Load()) }

// steady runs f in a world of its own, until it succeeds or fails with exactly
// this many connections.
func steady(t *testing.T, connections int32, f func(w *world) error) {
	t.Helper()
	var err error
	for range 20 {
		w := newWorld(t, option{})
		if err = f(w); err == nil {
			return
		}
		if w.opened.Load() == connections {
			t.Fatal(err)
		}
	}
	t.Fatalf("net/http keeps no connection, or: %v", err)
}

func (w *world) serve(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	w.seen = append(w.seen, r.Clone(context.Background()))
	hook := w.hook
	w.mu.Unlock()
	if hook != nil && hook(w, rw, r) {
		return
	}
	w.identity.Handler(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		io.WriteString(rw, "tool result")
	})).ServeHTTP(rw, r)
}

// config returns the configuration of a client of this world.
func (w *world) config() *Config {
	return &Config{
		Badges: w.ca.Verifier(), Resolver: w.resolver, MinLevel: badge.LevelDomain, RootCAs: w.roots,
		UnsafeAllowLoopback: true, Time: w.time,
		testOnlyLookup: func(context.Context, string) ([]netip.Addr, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			return []netip.Addr{w.addr}, nil
		},
	}
}

func (w *world) verifier(change ...func(*Config)) *Verifier {
	w.t.Helper()
	cfg := w.config()
	for _, f := range change {
		f(cfg)
	}
	v, err := New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

func newCert(t testing.TB) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "serververify"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true, IsCA: true,
		DNSNames: []string{hostName, "localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

// wantRefusal checks that err is the verdict code with the state.
func wantRefusal(t *testing.T, err error, code Code, state State) *UntrustedError {
	t.Helper()
	var refused *UntrustedError
	if !errors.As(err, &refused) || refused.Code != code || refused.State != state {
		t.Fatalf("got %v, want a refusal with %s, %s", err, code, state)
	}
	return refused
}

// wantUndetermined checks that err is no verdict, and has the code.
func wantUndetermined(t *testing.T, err error, code Code) {
	t.Helper()
	var open *UndeterminedError
	if !errors.As(err, &open) || open.Code != code {
		t.Fatalf("got %v, want undetermined with code %q", err, code)
	}
}

// protocols runs f over HTTP/1.1 and HTTP/2.
func protocols(t *testing.T, f func(t *testing.T, h2 bool)) {
	t.Run("h1", func(t *testing.T) { f(t, false) })
	t.Run("h2", func(t *testing.T) { f(t, true) })
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// selfSigned makes a did:key of the world's server, and returns how a client
// trusts it.
func (w *world) selfSigned() func(*Config) {
	agent := badgetest.NewAgent(w.t)
	w.identity.cfg.DID, w.identity.cfg.Signer, w.identity.cfg.KeyID = agent.DID, agent.Key, agent.DID.KeyURL()
	w.setBadge(w.ca.Issue(agent, badge.LevelSelfSigned))
	return func(c *Config) {
		bc := w.ca.Config()
		bc.SelfSigned = []did.DID{agent.DID}
		c.Badges, _ = badge.NewVerifier(bc)
		c.MinLevel = badge.LevelSelfSigned
	}
}

func mustLeaf(t testing.TB, w *world) *x509.Certificate {
	t.Helper()
	cert, err := x509.ParseCertificate(w.cert.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

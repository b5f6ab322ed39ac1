package mcpverify

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/internal/mcpwire"
	"github.com/touchmark-dev/touchmark/internal/peers"
	"github.com/touchmark-dev/touchmark/serververify"
)

// A stage is an MCP server at a name whose address a test can give to somebody
// else: the name is that of 127.0.0.1, and the server can move to 127.0.0.2,
// where only who stands in between finds it.
type stage struct {
	*world
	h2       bool
	port     string
	roots    *x509.CertPool // of all authorities that the client trusts
	certs    []tls.Certificate
	handler  http.Handler // the real server
	identity *serververify.Identity
	front    *httptest.Server // at the name
	back     *httptest.Server // at 127.0.0.2, nil while the server is in front

	mu      sync.Mutex   // guards what follows
	instead http.Handler // in front of the real server, nil for none
	seen    []string     // method and path of what reached somebody else
}

// newStage serves s at its name. did:web servers have the name in their DID;
// change may make the identity another one.
func newStage(t *testing.T, s *mcp.Server, version string, h2 bool, change ...func(*serververify.IdentityConfig)) *stage {
	t.Helper()
	port := peers.Port(t)
	l := listenAt(t, "127.0.0.1:"+port)
	st := &stage{world: newWorld(t, "did:web:localhost%3A"+port), h2: h2, port: port, roots: x509.NewCertPool()}
	for range 5 { // all before the first client looks at roots
		st.certs = append(st.certs, st.certificate())
	}
	change = append([]func(*serververify.IdentityConfig){func(c *serververify.IdentityConfig) { c.Stdio, c.Origins = false, []string{st.origin()} }}, change...)
	st.identity = st.world.identity(change...)
	Disclose(s, st.identity)
	options := &mcp.StreamableHTTPOptions{Stateless: version == generation2026, PropagateRequestCancellation: true}
	if !options.Stateless {
		options.EventStore = mcp.NewMemoryEventStore(nil)
	}
	st.handler = st.identity.Handler(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, options))
	st.front = st.serve(l, http.HandlerFunc(st.dispatch))
	return st
}

func (s *stage) dispatch(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	h := s.instead
	s.mu.Unlock()
	if h == nil {
		h = s.handler
	}
	h.ServeHTTP(w, r)
}

// use puts h in front of the real server.
func (s *stage) use(h http.Handler) { s.mu.Lock(); defer s.mu.Unlock(); s.instead = h }

func (s *stage) origin() string { return "https://localhost:" + s.port }

func (s *stage) url() string { return s.origin() + "/mcp" }

func (s *stage) verifier(change ...func(*serververify.Config)) *serververify.Verifier {
	return s.world.verifier(append([]func(*serververify.Config){func(c *serververify.Config) {
		c.RootCAs, c.UnsafeAllowLoopback = s.roots, true
	}}, change...)...)
}

func listenAt(t *testing.T, addr string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// certificate makes one for the name, by an authority of its own that the client
// trusts like every other.
func (s *stage) certificate() tls.Certificate {
	s.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "stage"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		s.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		s.t.Fatal(err)
	}
	s.roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// serve serves h on l with the next of the certificates.
func (s *stage) serve(l net.Listener, h http.Handler) *httptest.Server {
	s.t.Helper()
	next := s.certs[0]
	s.certs = s.certs[1:]
	server := httptest.NewUnstartedServer(h)
	server.Listener.Close()
	server.Listener, server.EnableHTTP2 = l, s.h2
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{next}, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	s.t.Cleanup(func() { closeNow(server) })
	return server
}

// closeNow closes a server and what is under way on it.
func closeNow(s *httptest.Server) {
	s.CloseClientConnections()
	s.Config.Close()
	s.Close()
}

// replace closes what is at the name and puts h there.
func (s *stage) replace(h http.Handler) {
	s.t.Helper()
	closeNow(s.front)
	s.front = s.serve(listenAt(s.t, "127.0.0.1:"+s.port), h)
}

// intrude puts a relay at the name, with a certificate for it, that passes
// everything on to the real server and back. The real server sees its own name.
func (s *stage) intrude() {
	s.t.Helper()
	s.back = s.serve(listenAt(s.t, "127.0.0.2:0"), s.handler)
	s.replace(s.relay())
}

// relay is somebody in between, at whatever name.
func (s *stage) relay() http.Handler {
	real := &url.URL{Scheme: "https", Host: s.back.Listener.Addr().String()}
	proxy := &httputil.ReverseProxy{
		FlushInterval: -1,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(real)
			r.Out.Host = "localhost:" + s.port
		},
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.roots, ServerName: "localhost"}, ForceAttemptHTTP2: s.h2},
		ErrorLog:  log.New(io.Discard, "", 0),
	}
	return s.noting(proxy)
}

// noting keeps what reaches next.
func (s *stage) noting(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.seen = append(s.seen, r.Method+" "+r.URL.Path)
		s.mu.Unlock()
		if (r.ProtoMajor == 2) != s.h2 {
			s.t.Errorf("a request over %s", r.Proto)
		}
		next.ServeHTTP(w, r)
	})
}

// forget forgets what has reached somebody else so far.
func (s *stage) forget() { s.mu.Lock(); defer s.mu.Unlock(); s.seen = nil }

// wantChallengesOnly checks that whoever took the name has seen challenges, and
// nothing else.
func (s *stage) wantChallengesOnly() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.seen) == 0 {
		s.t.Error("nobody came to who took the name")
	}
	for _, what := range s.seen {
		if what != "GET "+mcpwire.DiscoveryPath {
			s.t.Errorf("who took the name has seen %s", what)
		}
	}
}

// everyProtocol runs f for both generations, over HTTP/1.1 and HTTP/2.
func everyProtocol(t *testing.T, f func(t *testing.T, version string, h2 bool)) {
	bothGenerations(t, func(t *testing.T, version string) {
		t.Run("HTTP1", func(t *testing.T) { f(t, version, false) })
		t.Run("HTTP2", func(t *testing.T) { f(t, version, true) })
	})
}

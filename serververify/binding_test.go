package serververify

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/internal/mcpwire"
)

// behindProxy takes TLS away from the world's server: what the client reaches
// is a proxy with the world's certificate, and the server behind it speaks
// plain HTTP.
func behindProxy(t *testing.T, h2 bool, keys func(own [32]byte) [][32]byte) *world {
	t.Helper()
	w := newWorld(t, option{h2: h2})
	backend := httptest.NewServer(http.HandlerFunc(w.serve))
	t.Cleanup(backend.Close)
	target, err := url.Parse(backend.URL)
	must(t, err)
	w.server.Config.Handler = &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host
	}}
	cfg := w.identity.cfg
	if keys != nil {
		cfg.ProxySPKI = keys(CertificateOf(mustLeaf(t, w)).SPKI)
	}
	w.identity, err = NewIdentity(&cfg)
	must(t, err)
	return w
}

func only(b ...Binding) func(*Config) { return func(c *Config) { c.Bindings = b } }

func TestProxyEndsTLS(t *testing.T) {
	protocols(t, func(t *testing.T, h2 bool) {
		w := behindProxy(t, h2, func(own [32]byte) [][32]byte { return [][32]byte{own} })
		srv, err := w.verifier(only(BindingTLS, BindingSPKI)).Verify(t.Context(), w.url("/mcp"))
		if err != nil {
			t.Fatal(err)
		}
		if srv.State != StateVerified || srv.Binding != BindingSPKI || srv.Certificate == nil || srv.Certificate.SPKI != CertificateOf(mustLeaf(t, w)).SPKI {
			t.Errorf("got %+v", srv)
		}
		resp, err := srv.Client().Get(w.url("/mcp"))
		drain(t, resp, err)

		// A client that did not ask for the weaker binding does not take it.
		_, err = w.verifier().Verify(t.Context(), w.url("/mcp"))
		refused := wantRefusal(t, err, CodePoPFailed, StateDeclared)
		for _, name := range []string{string(BindingSPKI), string(BindingTLS)} {
			if !strings.Contains(refused.Reason, name) {
				t.Errorf("the refusal does not name %s: %v", name, err)
			}
		}
		if saw := w.requests(); saw[len(saw)-1].Header.Get(mcpwire.HeaderServerSPKI) != "" {
			t.Error("a client that does not take the weaker binding asks for it")
		}
	})
}

// Neither side falls back by itself, and the key has to be the one that the
// client sees.
func TestProxyRefused(t *testing.T) {
	other := [32]byte{1}
	for _, tt := range []struct {
		name string
		keys func(own [32]byte) [][32]byte
		said bool // the operator is told
	}{
		{"not configured", nil, true},
		{"another key", func([32]byte) [][32]byte { return [][32]byte{other} }, true},
		{"other keys", func([32]byte) [][32]byte { return [][32]byte{other, {2}} }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := behindProxy(t, false, tt.keys)
			_, err := w.verifier(only(BindingTLS, BindingSPKI)).Verify(t.Context(), w.url("/mcp"))
			wantRefusal(t, err, CodePoPFailed, StateDeclared)
			if len(w.errs) == 0 == tt.said {
				t.Errorf("told %v", w.errs)
			}
		})
	}
	// Two keys, while the proxy's certificate changes: the client says which it sees.
	w := behindProxy(t, false, func(own [32]byte) [][32]byte { return [][32]byte{other, own} })
	if _, err := w.verifier(only(BindingSPKI)).Verify(t.Context(), w.url("/mcp")); err != nil {
		t.Error(err)
	}
	// One that says nothing gets an answer only where there is no choice.
	if rec := challengeTo(w.identity, func(r *http.Request) { r.Host = w.host() }); rec.Header().Get(mcpwire.HeaderServerProof) != "" {
		t.Error("a key was chosen for the client")
	}
	w = behindProxy(t, false, func(own [32]byte) [][32]byte { return [][32]byte{own} })
	if rec := challengeTo(w.identity, func(r *http.Request) { r.Host = w.host() }); rec.Header().Get(mcpwire.HeaderServerProof) == "" {
		t.Error("the only key was not named")
	}
	if rec := challengeTo(w.identity, func(r *http.Request) {
		r.Host = w.host()
		r.Header[mcpwire.HeaderServerSPKI] = []string{"a", "b"}
	}); rec.Header().Get(mcpwire.HeaderServerProof) != "" {
		t.Error("a proof for two keys")
	}
	if rec := challengeTo(w.identity, func(r *http.Request) { r.Host = "evil.example" }); rec.Header().Get(mcpwire.HeaderServerProof) != "" {
		t.Error("a proof for an origin that is not the server's")
	}
}

// Over TLS of its own, the same server gives the stronger proof.
func TestProxyIsNotAsked(t *testing.T) {
	w := newWorld(t, option{identity: func(c *IdentityConfig) { c.ProxySPKI = [][32]byte{{1}} }})
	srv := w.verified(w.verifier(only(BindingTLS, BindingSPKI)))
	if srv.Binding != BindingTLS {
		t.Errorf("bound by %s", srv.Binding)
	}
}

// A proxy may come over a socket: the identity has the proxy's origin then, and
// not the socket's.
func TestProxyOverASocket(t *testing.T) {
	for _, listed := range []bool{false, true} {
		w := behindProxy(t, false, func(own [32]byte) [][32]byte { return [][32]byte{own} })
		want := BindingSPKI
		if listed {
			w.identity.cfg.Origins = append(w.identity.cfg.Origins, "unix:/run/s")
			want = BindingUnix
		}
		r := httptest.NewRequest("GET", mcpwire.DiscoveryPath, nil)
		r.Host = w.host()
		r = r.WithContext(WithUnixPeer(r.Context(), UnixPeer{PID: 1}, "/run/s"))
		if got, origin, err := w.identity.channelOf(r); got != want || err != nil {
			t.Errorf("answered %s for %s, %v", got, origin, err)
		}
	}
}

// certFor makes a certificate for a host from an authority of its own, which the
// client trusts too.
func (w *world) certFor(host string) tls.Certificate {
	w.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(w.t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "another authority"}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true, IsCA: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(w.t, err)
	parsed, err := x509.ParseCertificate(der)
	must(w.t, err)
	w.roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// Somebody in between with a certificate for the victim's name from another
// authority that the client trusts: its key is not the one the server names,
// and its connection is not the server's.
func TestRelayWithAnotherAuthority(t *testing.T) {
	protocols(t, func(t *testing.T, h2 bool) {
		for _, behind := range []bool{false, true} {
			w := newWorld(t, option{h2: h2})
			if behind {
				w = behindProxy(t, h2, func(own [32]byte) [][32]byte { return [][32]byte{own} })
			}
			w.relayCert = ptr(w.certFor(hostName))
			w.between(h2)
			_, err := w.verifier(only(BindingTLS, BindingSPKI)).Verify(t.Context(), w.url("/mcp"))
			wantRefusal(t, err, CodePoPFailed, StateDeclared)
		}
	})
}

func ptr[T any](v T) *T { return &v }

// Somebody in between with a valid certificate for its own name, to which the
// client was led: the DID is of another origin. One that tells the client of a
// did:key has no place to be held to, and cannot make the proof.
func TestRelayAtItsOwnName(t *testing.T) {
	const own = "relay.example.org"
	protocols(t, func(t *testing.T, h2 bool) {
		w := newWorld(t, option{h2: h2})
		w.relayCert = ptr(w.certFor(own))
		w.relayHost = w.host()
		w.between(h2)
		_, err := w.verifier().Verify(t.Context(), fmt.Sprintf("https://%s:%d/mcp", own, w.port))
		wantRefusal(t, err, CodeDomainMismatch, StateDeclared)
	})
	protocols(t, func(t *testing.T, h2 bool) {
		w := newWorld(t, option{h2: h2})
		self := w.selfSigned()
		w.relayCert = ptr(w.certFor(own))
		w.relayHost = w.host()
		w.between(h2)
		_, err := w.verifier(self).Verify(t.Context(), fmt.Sprintf("https://%s:%d/mcp", own, w.port))
		wantRefusal(t, err, CodePoPFailed, StateDeclared)
	})
}

// A client can demand a binding, and the refusal names what it got.
func TestBindingIsDemanded(t *testing.T) {
	w := newWorld(t, option{})
	for _, demanded := range []Binding{BindingUnix, BindingLaunch, BindingStdio, BindingSPKI} {
		_, err := w.verifier(only(demanded)).Verify(t.Context(), w.url("/mcp"))
		refused := wantRefusal(t, err, CodePoPFailed, StateDeclared)
		if !refused.BadgeValid || !strings.Contains(refused.Reason, string(demanded)) || !strings.Contains(refused.Reason, string(BindingTLS)) {
			t.Errorf("%s: %v", demanded, err)
		}
	}
	if srv := w.verified(w.verifier(only(BindingTLS))); srv.Binding != BindingTLS {
		t.Errorf("bound by %s", srv.Binding)
	}
	stdio := newWorld(t, option{identity: func(c *IdentityConfig) { c.Origins, c.Stdio = nil, true }})
	nonce := NewNonce()
	_, err := stdio.verifier(only(BindingLaunch)).VerifyStdio(t.Context(), nonce, stdio.identity.AnswerStdio(t.Context(), nonce))
	wantRefusal(t, err, CodePoPFailed, StateDeclared)
}

func TestLaunch(t *testing.T) {
	launch, other := NewLaunch(), NewLaunch()
	w := newWorld(t, option{identity: func(c *IdentityConfig) { c.Origins, c.Stdio, c.Launch = nil, true, launch }})
	nonce := NewNonce()
	d := w.identity.AnswerStdio(t.Context(), nonce)
	srv, err := w.verifier().VerifyLaunched(t.Context(), &StdioExchange{Nonce: nonce, Disclosure: d, Launch: launch, Endpoint: "stdio:server"})
	if err != nil || srv.State != StateVerified || srv.Binding != BindingLaunch || srv.Endpoint != "stdio:server" || srv.Origin != "" {
		t.Fatalf("got %+v, %v", srv, err)
	}
	for name, x := range map[string]*StdioExchange{
		"another launch": {Nonce: nonce, Disclosure: d, Launch: other},
		"no launch":      {Nonce: nonce, Disclosure: d},
		"another nonce":  {Nonce: NewNonce(), Disclosure: d, Launch: launch},
	} {
		if _, err := w.verifier().VerifyLaunched(t.Context(), x); CodeOf(err) != CodePoPFailed {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A server that knows nothing of the secret is a server over stdio, if that is enough.
	plain := newWorld(t, option{identity: func(c *IdentityConfig) { c.Origins, c.Stdio = nil, true }})
	x := &StdioExchange{Nonce: nonce, Disclosure: plain.identity.AnswerStdio(t.Context(), nonce), Launch: launch}
	if srv, err := plain.verifier().VerifyLaunched(t.Context(), x); err != nil || srv.Binding != BindingStdio {
		t.Errorf("got %+v, %v", srv, err)
	}
	_, err = plain.verifier(only(BindingLaunch)).VerifyLaunched(t.Context(), x)
	wantRefusal(t, err, CodePoPFailed, StateDeclared)
}

func TestLaunchSecret(t *testing.T) {
	launch := NewLaunch()
	name, text, _ := strings.Cut(launch.Environ(), "=")
	t.Setenv(name, text)
	got, err := LaunchSecret()
	if err != nil || got != launch || name != LaunchVariable {
		t.Fatalf("got %v, %v", got, err)
	}
	if slices.ContainsFunc(os.Environ(), func(s string) bool { return strings.HasPrefix(s, LaunchVariable) }) {
		t.Error("the secret is still in the environment")
	}
	if again, err := LaunchSecret(); err != nil || !again.IsZero() {
		t.Errorf("got %v, %v", again, err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		if printed := fmt.Sprintf(verb, launch) + fmt.Sprintf(verb, struct{ L Launch }{launch}); strings.Contains(printed, text) || !strings.Contains(printed, "launch secret") {
			t.Errorf("%s prints %s", verb, printed)
		}
	}
	for _, text := range []string{"", "AAAA", text + "A", strings.Repeat("=", 43), strings.Repeat("A", 43)} {
		t.Setenv(name, text)
		if got, err := LaunchSecret(); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestConfigOfBindings(t *testing.T) {
	w := newWorld(t, option{})
	for name, change := range map[string]func(*Config){
		"none":    only(BindingNone),
		"unknown": only("tls-exporter "),
		"empty":   only(""),
		"nil":     func(c *Config) { c.Admit = []Admission{nil} },
	} {
		cfg := w.config()
		change(cfg)
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	socket := w.identity.cfg
	socket.Origins = []string{"unix:/run/mcp.sock"}
	if _, err := NewIdentity(&socket); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*IdentityConfig){
		"socket's path":   func(c *IdentityConfig) { c.Origins = []string{"unix:/run/mcp.sock:/mcp"} },
		"plain and proxy": func(c *IdentityConfig) { c.ProxySPKI, c.UnsafeAllowPlainHTTP = [][32]byte{{1}}, true },
		"no hash":         func(c *IdentityConfig) { c.ProxySPKI = [][32]byte{{}} },
		"proxy nowhere":   func(c *IdentityConfig) { c.ProxySPKI, c.Origins = [][32]byte{{1}}, []string{"unix:/run/s"} },
		"proxy on stdio":  func(c *IdentityConfig) { c.ProxySPKI, c.Origins, c.Stdio = [][32]byte{{1}}, nil, true },
		"launch on http":  func(c *IdentityConfig) { c.Launch = NewLaunch() },
	} {
		cfg := w.identity.cfg
		change(&cfg)
		if _, err := NewIdentity(&cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

package workload_test

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/serververify/workload"
	"github.com/touchmark-dev/touchmark/serververify/workload/workloadtest"
)

// An end has a certificate of its own and the roots of some domains: a source of SVIDs without a Workload API.
type end struct {
	cert  *tls.Certificate
	roots []*workloadtest.Domain
}

func (e end) X509SVID() (*tls.Certificate, error) { return e.cert, nil }

func (e end) X509Authorities(name string) ([]*x509.Certificate, error) {
	for _, d := range e.roots {
		if d.Name == name {
			return []*x509.Certificate{d.Root}, nil
		}
	}
	return nil, errors.New("no such domain")
}

func (e end) JWTAuthorities(name string) (map[string]crypto.PublicKey, error) {
	for _, d := range e.roots {
		if d.Name == name {
			return d.JWTKeys(), nil
		}
	}
	return nil, errors.New("no such domain")
}

func fixed(c *tls.Certificate) func() (*tls.Certificate, error) {
	return func() (*tls.Certificate, error) { return c, nil }
}

func pool(domains ...*workloadtest.Domain) *x509.CertPool {
	p := x509.NewCertPool()
	for _, d := range domains {
		p.AddCert(d.Root)
	}
	return p
}

// serveTLS answers with the evidence of who sent a request.
func serveTLS(t *testing.T, cfg *workload.TLSConfig) (url string) {
	t.Helper()
	s, err := workload.NewServer(cfg, http.HandlerFunc(who))
	if err != nil {
		t.Fatal(err)
	}
	s.ErrorLog = log.New(io.Discard, "", 0)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.ServeTLS(ln, "", "") }() // it ends with Close
	t.Cleanup(func() { _ = s.Close() })
	return "https://" + ln.Addr().String()
}

func who(w http.ResponseWriter, r *http.Request) {
	p, err := workload.FromRequest(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	_, _ = io.WriteString(w, p.Scheme()+" "+p.Subject())
}

func ask(t *testing.T, c *http.Client, url string) (string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Do(req)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(res.Body)
	return string(body), errors.Join(err, res.Body.Close())
}

func clientOf(t *testing.T, cfg *workload.TLSConfig) *http.Client {
	t.Helper()
	c, err := workload.NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// TestMutualTLS: certificates below configured roots, names as rules and records know them.
func TestMutualTLS(t *testing.T) {
	d, other := workloadtest.NewDomain(t, "ca.example"), workloadtest.NewDomain(t, "other.example")
	server := d.Loopback("mcp.example.com")
	url := serveTLS(t, &workload.TLSConfig{Certificate: fixed(server), Roots: pool(d), Authorize: workload.AuthorizeVerified()})
	dns := d.Issue(time.Hour, func(c *x509.Certificate) { c.DNSNames = []string{"ada.example", "b.example"} })
	mail := d.Issue(time.Hour, func(c *x509.Certificate) { c.EmailAddresses = []string{"ada@example.com"} })
	ip := d.Issue(time.Hour, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(10, 0, 0, 1)} })
	bare := d.Issue(time.Hour, func(*x509.Certificate) {})
	svid := d.SVID("/agent/ada")
	for want, cert := range map[string]*tls.Certificate{
		"x509 dns:ada.example": dns, "x509 email:ada@example.com": mail, "x509 ip:10.0.0.1": ip, "x509 cert:sha256:": bare,
		"x509 uri:spiffe://ca.example/agent/ada": svid, // roots that SPIFFE does not separate make no SPIFFE ID
	} {
		got, err := ask(t, clientOf(t, &workload.TLSConfig{Certificate: fixed(cert), Roots: pool(d)}), url)
		if err != nil || !strings.HasPrefix(got, want) {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	expired := d.Issue(-time.Second, func(c *x509.Certificate) { c.DNSNames = []string{"ada.example"} })
	forServers := d.Issue(time.Hour, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
	for name, cfg := range map[string]*workload.TLSConfig{
		"no certificate":                 {Roots: pool(d)},
		"a certificate of another root":  {Roots: pool(d), Certificate: fixed(other.Loopback("ada.example"))},
		"an expired certificate":         {Roots: pool(d), Certificate: fixed(expired)},
		"a certificate of a server":      {Roots: pool(d), Certificate: fixed(forServers)},
		"a server of another root":       {Roots: pool(other), Certificate: fixed(dns)},
		"a server that is not admitted":  {Roots: pool(d), Certificate: fixed(dns), Authorize: func(*workload.Principal) error { return errors.New("no") }},
		"a client's certificate is late": {Roots: pool(d), Certificate: func() (*tls.Certificate, error) { return nil, errors.New("none yet") }},
	} {
		if got, err := ask(t, clientOf(t, cfg), url); err == nil {
			t.Errorf("%s: got %q", name, got)
		}
	}
	named := strings.Replace(url, "127.0.0.1", "localhost", 1)
	if got, err := ask(t, clientOf(t, &workload.TLSConfig{Roots: pool(d), Certificate: fixed(dns)}), named); err == nil {
		t.Errorf("a server by a name that is not its own: got %q", got)
	}
	if got, err := ask(t, clientOf(t, &workload.TLSConfig{Roots: pool(d), Certificate: fixed(dns)}), "http://"+url[len("https://"):]); err == nil {
		t.Errorf("a URL without TLS: got %q", got)
	}
	old := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
		RootCAs: pool(d), Certificates: []tls.Certificate{*dns}, MaxVersion: tls.VersionTLS12,
	}}}
	if got, err := ask(t, old, url); err == nil {
		t.Errorf("TLS 1.2: got %q", got)
	}
}

// TestSVIDs: what only SPIFFE asks of a certificate.
func TestSVIDs(t *testing.T) {
	d := workloadtest.NewDomain(t, "example.org")
	admit := workload.AuthorizeVerified()
	at := serveTLS(t, &workload.TLSConfig{SVIDs: end{d.SVID("/mcp"), []*workloadtest.Domain{d}}, Authorize: admit})
	dial := func(c *tls.Certificate) (string, error) {
		return ask(t, clientOf(t, &workload.TLSConfig{SVIDs: end{c, []*workloadtest.Domain{d}}, Authorize: admit}), at)
	}
	if got, err := dial(d.SVID("/agent/ada")); err != nil || got != "spiffe spiffe://example.org/agent/ada" {
		t.Errorf("got %q, %v", got, err)
	}
	issue := func(change func(*x509.Certificate)) *tls.Certificate { return d.Issue(time.Hour, change) }
	id := func(path string) *url.URL { return &url.URL{Scheme: "spiffe", Host: "example.org", Path: path} }
	for name, cert := range map[string]*tls.Certificate{
		"no URI":           d.Loopback("ada.example"),
		"two URIs":         issue(func(c *x509.Certificate) { c.URIs = []*url.URL{id("/a"), id("/b")} }),
		"no path":          issue(func(c *x509.Certificate) { c.URIs = []*url.URL{id("")} }),
		"another scheme":   issue(func(c *x509.Certificate) { c.URIs = []*url.URL{{Scheme: "https", Host: "example.org", Path: "/a"}} }),
		"an authority":     issue(func(c *x509.Certificate) { c.URIs, c.IsCA, c.BasicConstraintsValid = []*url.URL{id("/a")}, true, true }),
		"a key that signs": issue(func(c *x509.Certificate) { c.URIs, c.KeyUsage = []*url.URL{id("/a")}, x509.KeyUsageCertSign }),
		"expired":          d.Issue(-time.Second, func(c *x509.Certificate) { c.URIs = []*url.URL{id("/a")} }),
	} {
		if got, err := dial(cert); err == nil {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

// TestConfigs: a configuration that would admit nobody, or anybody without saying so, is refused.
func TestConfigs(t *testing.T) {
	d := workloadtest.NewDomain(t, "example.org")
	own, svids, any := fixed(d.SVID("/mcp")), end{d.SVID("/mcp"), nil}, workload.AuthorizeVerified()
	for _, test := range []struct {
		want   string
		cfg    *workload.TLSConfig
		client bool // is refused for clients, too
	}{
		{"no TLSConfig", nil, true},
		{"neither SVIDs nor Roots", &workload.TLSConfig{Certificate: own, Authorize: any}, true},
		{"SVIDs and Certificate or Roots", &workload.TLSConfig{SVIDs: svids, Certificate: own, Authorize: any}, true},
		{"SVIDs and Certificate or Roots", &workload.TLSConfig{SVIDs: svids, Roots: pool(d), Authorize: any}, true},
		{"no Authorize", &workload.TLSConfig{SVIDs: svids}, true},
		{"no Authorize", &workload.TLSConfig{Certificate: own, Roots: pool(d)}, false},
		{"Roots and no Certificate", &workload.TLSConfig{Roots: pool(d), Authorize: any}, false},
	} {
		if _, err := workload.NewServer(test.cfg, http.NotFoundHandler()); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("server: got %v, want an error with %q", err, test.want)
		}
		if _, err := workload.NewClient(test.cfg); test.client != (err != nil) {
			t.Errorf("client: got %v for %q", err, test.want)
		}
	}
	if _, err := workload.NewServer(&workload.TLSConfig{SVIDs: svids, Authorize: any}, nil); err == nil {
		t.Error("a server without a handler")
	}
	if _, err := workload.AuthorizeID(); err == nil {
		t.Error("AuthorizeID of nobody")
	}
	if _, err := workload.AuthorizeID("https://example.org/a"); err == nil {
		t.Error("AuthorizeID of no SPIFFE ID")
	}
	if _, err := workload.AuthorizeTrustDomain(); err == nil {
		t.Error("AuthorizeTrustDomain of nobody")
	}
	if _, err := workload.AuthorizeTrustDomain("a b"); err == nil {
		t.Error("AuthorizeTrustDomain of no trust domain")
	}
	if any(new(workload.Principal)) == nil {
		t.Error("the zero Principal is verified")
	}
}

func TestAuthorizeTrustDomain(t *testing.T) {
	d, partner := workloadtest.NewDomain(t, "example.org"), workloadtest.NewDomain(t, "partner.test")
	admit, err := workload.AuthorizeTrustDomain("partner.test")
	if err != nil {
		t.Fatal(err)
	}
	both := []*workloadtest.Domain{d, partner}
	url := serveTLS(t, &workload.TLSConfig{SVIDs: end{d.SVID("/mcp"), both}, Authorize: admit})
	for _, test := range []struct {
		cert *tls.Certificate
		ok   bool
	}{{partner.SVID("/agent"), true}, {d.SVID("/agent"), false}} {
		_, err := ask(t, clientOf(t, &workload.TLSConfig{SVIDs: end{test.cert, both}, Authorize: workload.AuthorizeVerified()}), url)
		if (err == nil) != test.ok {
			t.Errorf("got %v, want %v", err, test.ok)
		}
	}
}

// TestFromRequest: what was not verified is nobody, whatever the request says.
func TestFromRequest(t *testing.T) {
	d := workloadtest.NewDomain(t, "example.org")
	leaf := d.SVID("/agent/ada").Leaf
	request := func(state *tls.ConnectionState) *http.Request {
		r := httptest.NewRequest(http.MethodGet, "https://mcp.example.com/", nil)
		r.TLS = state
		r.Header.Set("X-Forwarded-Client-Cert", "URI=spiffe://example.org/agent/ada")
		return r
	}
	verified := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}, VerifiedChains: [][]*x509.Certificate{{leaf, d.Root}}}
	p, err := workload.FromRequest(request(verified))
	if err != nil || p.Scheme() != workload.SchemeX509 || p.SPIFFEID() != "" {
		t.Errorf("a certificate that another server verified: %+v, %v", p, err)
	}
	old := d.Issue(-time.Second, func(c *x509.Certificate) { c.DNSNames = []string{"ada.example"} }).Leaf
	lapsed := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{old}, VerifiedChains: [][]*x509.Certificate{{old, d.Root}}}
	for name, state := range map[string]*tls.ConnectionState{
		"no TLS": nil, "TLS without a certificate": {}, "a certificate that nobody verified": {PeerCertificates: []*x509.Certificate{leaf}},
	} {
		if p, err := workload.FromRequest(request(state)); !errors.Is(err, workload.ErrNoIdentity) {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
	if p, err := workload.FromRequest(request(lapsed)); err == nil || errors.Is(err, workload.ErrNoIdentity) || !strings.Contains(err.Error(), "expired at") {
		t.Errorf("a certificate that expired: %+v, %v", p, err)
	}
	a, b := net.Pipe()
	if ctx := workload.ConnContext(context.Background(), a); ctx != context.Background() {
		t.Error("a pipe has a peer")
	}
	_, _ = a.Close(), b.Close()
}

// TestJWTVerifier: what a token must be beside well signed, and a verifier well configured.
func TestJWTVerifier(t *testing.T) {
	d := workloadtest.NewDomain(t, "example.org")
	audience := []string{"mcp://files"}
	v := &workload.JWTVerifier{Source: end{roots: []*workloadtest.Domain{d}}, Audience: audience, Authorize: workload.AuthorizeVerified()}
	good := d.JWT("/agent/ada", audience, nil)
	p, err := v.Verify(good)
	if err != nil || p.Subject() != "spiffe://example.org/agent/ada" || p.Scheme() != workload.SchemeJWTSVID || p.ExpiresAt().IsZero() {
		t.Fatalf("got %+v, %v", p, err)
	}
	if _, ok := p.CertificateSHA256(); ok || p.TrustDomain() != "example.org" || p.Evidence().Audience[0] != audience[0] {
		t.Errorf("the evidence is %+v", p.Evidence())
	}
	parts := strings.Split(good, ".")
	set := func(name string, value any) string {
		return d.JWT("/agent/ada", audience, func(c map[string]any) { c[name] = value })
	}
	for name, token := range map[string]string{
		"none": "", "two parts": parts[0] + "." + parts[1], "four parts": good + ".x", "padding": good + "=", "a line break": good + "\n",
		"long": good + strings.Repeat("A", workload.MaxTokenBytes), "no signature": parts[0] + "." + parts[1] + ".",
		"alg none": "eyJhbGciOiJub25lIiwia2lkIjoiand0LTEifQ." + parts[1] + ".", "a member twice": "eyJhbGciOiJFUzI1NiIsImFsZyI6IkVTMjU2In0." + parts[1] + "." + parts[2],
		"expired": set("exp", time.Now().Add(-time.Hour).Unix()), "no expiry": set("exp", nil), "another audience": set("aud", []string{"x"}),
		"no audience": set("aud", nil), "no subject": set("sub", ""), "no SPIFFE ID": set("sub", "ada"), "a trust domain": set("sub", "spiffe://example.org"),
		"another domain": set("sub", "spiffe://other.test/agent/ada"), "not yet": set("nbf", time.Now().Add(time.Hour).Unix()),
	} {
		if p, err := v.Verify(token); err == nil {
			t.Errorf("%s: got %+v", name, p)
		}
	}
	narrow := *v
	narrow.Authorize = func(*workload.Principal) error { return errors.New("no") }
	if _, err := narrow.Verify(good); err == nil {
		t.Error("a caller that is not admitted")
	}
	for name, bad := range map[string]*workload.JWTVerifier{
		"no Source": {Audience: audience, Authorize: v.Authorize}, "no Audience": {Source: v.Source, Authorize: v.Authorize},
		"a nameless Audience": {Source: v.Source, Authorize: v.Authorize, Audience: []string{""}},
		"no Authorize":        {Source: v.Source, Audience: audience}, "no JWTVerifier": nil,
	} {
		if _, err := bad.Handler(http.NotFoundHandler()); err == nil {
			t.Errorf("%s: a handler", name)
		}
		if _, err := bad.Verify(good); err == nil {
			t.Errorf("%s: a principal", name)
		}
	}
	h, err := v.Handler(http.HandlerFunc(who))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		headers []string
		want    int
	}{{nil, http.StatusForbidden}, {[]string{"Bearer " + good}, http.StatusOK}, {[]string{"bearer " + good}, http.StatusOK},
		{[]string{"Basic " + good}, http.StatusUnauthorized}, {[]string{"Bearer " + good, "Bearer " + good}, http.StatusUnauthorized}} {
		r, w := httptest.NewRequest(http.MethodGet, "/", nil), httptest.NewRecorder()
		r.Header["Authorization"] = test.headers
		if h.ServeHTTP(w, r); w.Code != test.want {
			t.Errorf("%.30q: got %d, want %d", test.headers, w.Code, test.want)
		}
	}
}

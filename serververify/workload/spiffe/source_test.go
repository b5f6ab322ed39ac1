package spiffe_test

import (
	"context"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/serververify/workload"
	"github.com/touchmark-dev/touchmark/serververify/workload/spiffe"
	"github.com/touchmark-dev/touchmark/serververify/workload/workloadtest"
)

// open makes a source of an API, for these trust domains.
func open(t *testing.T, api *workloadtest.API, domains ...string) *spiffe.Source {
	t.Helper()
	s, err := spiffe.NewSource(t.Context(), &spiffe.Config{Socket: api.Addr, TrustDomains: domains, JWT: true, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// party is one end: a Workload API with an entry, and its source.
func party(t *testing.T, d *workloadtest.Domain, path string, federated ...*workloadtest.Domain) (*workloadtest.API, *spiffe.Source) {
	t.Helper()
	api := workloadtest.NewAPI(t)
	api.Entry(d, path, federated...)
	domains := []string{d.Name}
	for _, f := range federated {
		domains = append(domains, f.Name)
	}
	return api, open(t, api, domains...)
}

func authorize(t *testing.T, ids ...string) workload.Authorizer {
	t.Helper()
	a, err := workload.AuthorizeID(ids...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// serve answers each request with who sent it.
func serve(t *testing.T, s *spiffe.Source, a workload.Authorizer) (url string) {
	t.Helper()
	server, err := workload.NewServer(&workload.TLSConfig{SVIDs: s, Authorize: a}, http.HandlerFunc(whoAmI))
	if err != nil {
		t.Fatal(err)
	}
	server.ErrorLog = log.New(io.Discard, "", 0)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.ServeTLS(ln, "", "") }() // it ends with Close
	t.Cleanup(func() { _ = server.Close() })
	return "https://" + ln.Addr().String()
}

func whoAmI(w http.ResponseWriter, r *http.Request) {
	p, err := workload.FromRequest(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	e := p.Evidence()
	_, _ = io.WriteString(w, strings.Join([]string{r.Proto, e.Scheme, e.Subject, e.TrustDomain, e.Serial}, " "))
}

func client(t *testing.T, s *spiffe.Source, a workload.Authorizer) *http.Client {
	t.Helper()
	c, err := workload.NewClient(&workload.TLSConfig{SVIDs: s, Authorize: a})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// get returns the answer, or the error in its place.
func get(t *testing.T, c *http.Client, url string) (string, error) {
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
	if cerr := res.Body.Close(); err == nil {
		err = cerr
	}
	return string(body), err
}

func serial(t *testing.T, s *spiffe.Source) string {
	t.Helper()
	c, err := s.X509SVID()
	if err != nil {
		t.Fatal(err)
	}
	return c.Leaf.SerialNumber.String()
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s does not happen", what)
		}
	}
}

// TestX509SVID: both ends authenticate by what the Workload API gave them.
func TestX509SVID(t *testing.T) {
	d := workloadtest.NewDomain(t, "example.org")
	_, server := party(t, d, "/mcp/files")
	_, agent := party(t, d, "/agent/ada")
	url := serve(t, server, authorize(t, d.ID("/agent/ada")))
	got, err := get(t, client(t, agent, authorize(t, d.ID("/mcp/files"))), url)
	if want := "HTTP/2.0 spiffe spiffe://example.org/agent/ada example.org " + serial(t, agent); err != nil || got != want {
		t.Fatalf("got %q, %v, want %q", got, err, want)
	}
	if id, err := agent.ID(); err != nil || id != d.ID("/agent/ada") {
		t.Errorf("the agent is %q, %v", id, err)
	}
}

// TestRefused: who is not admitted by one of the two ends is refused at once, and it is said why.
func TestRefused(t *testing.T) {
	d, other := workloadtest.NewDomain(t, "example.org"), workloadtest.NewDomain(t, "other.test")
	forger := workloadtest.NewDomain(t, "example.org") // the same name, another root
	_, server := party(t, d, "/mcp/files")
	_, agent := party(t, d, "/agent/ada")
	_, eve := party(t, d, "/agent/eve")
	_, stranger := party(t, other, "/agent/ada")
	_, forged := party(t, forger, "/agent/ada")
	files := authorize(t, d.ID("/mcp/files"), other.ID("/mcp/files"))
	url := serve(t, server, authorize(t, d.ID("/agent/ada")))
	for _, test := range []struct {
		name   string
		source *spiffe.Source
		admit  workload.Authorizer
		want   string
	}{
		{"another client ID", eve, files, "does not admit this client's certificate"},
		{"another server ID", agent, authorize(t, d.ID("/mcp/other")), `"spiffe://example.org/mcp/files" is not among the SPIFFE IDs`},
		{"another trust domain", stranger, files, `trust domain "example.org" is not among those that are accepted`},
		{"another root of the same name", forged, files, "unknown authority"},
	} {
		t.Run(test.name, func(t *testing.T) {
			started := time.Now()
			got, err := get(t, client(t, test.source, test.admit), url)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %q, %v, want an error with %q", got, err, test.want)
			}
			if took := time.Since(started); took > 10*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// TestRotation: SVIDs rotate while a session goes on: no request fails, open connections stay, and new ones show
// the new certificate.
func TestRotation(t *testing.T) {
	d := workloadtest.NewDomain(t, "example.org")
	serverAPI, server := party(t, d, "/mcp/files")
	agentAPI, agent := party(t, d, "/agent/ada")
	url := serve(t, server, authorize(t, d.ID("/agent/ada")))
	c := client(t, agent, authorize(t, d.ID("/mcp/files")))
	ctx, stop := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		defer close(failed)
		for ctx.Err() == nil {
			if got, err := get(t, c, url); err != nil || !strings.HasPrefix(got, "HTTP/2.0 spiffe spiffe://example.org/agent/ada") {
				failed <- err
				return
			}
		}
	}()
	for range 3 {
		before, beforeServer := serial(t, agent), serial(t, server)
		agentAPI.Entry(d, "/agent/ada")
		serverAPI.Entry(d, "/mcp/files")
		until(t, "the rotation", func() bool { return serial(t, agent) != before && serial(t, server) != beforeServer })
		fresh, err := get(t, client(t, agent, authorize(t, d.ID("/mcp/files"))), url)
		if err != nil || !strings.HasSuffix(fresh, " "+serial(t, agent)) {
			t.Errorf("a new connection: %q, %v, want the serial number %s", fresh, err, serial(t, agent))
		}
	}
	stop()
	if err := <-failed; err != nil {
		t.Errorf("a request during rotation: %v", err)
	}
}

// TestRenewal: a client whose certificate is about to expire is asked to connect anew, and comes back with the
// next one.
func TestRenewal(t *testing.T) {
	d := workloadtest.NewDomain(t, "example.org")
	_, server := party(t, d, "/mcp/files")
	api := workloadtest.NewAPI(t)
	api.EntryFor(15*time.Second, d, "/agent/ada") // of 75 s, for the life began a minute ago
	agent := open(t, api, d.Name)
	url := serve(t, server, authorize(t, d.ID("/agent/ada")))
	c := client(t, agent, authorize(t, d.ID("/mcp/files")))
	old := serial(t, agent)
	if got, err := get(t, c, url); err != nil || !strings.HasSuffix(got, " "+old) {
		t.Fatal(got, err)
	}
	api.Entry(d, "/agent/ada")
	until(t, "the new certificate on the client's connections", func() bool {
		got, err := get(t, c, url)
		if err != nil {
			t.Fatal(err)
		}
		return !strings.HasSuffix(got, " "+old)
	})
}

// TestFederation: workloads of two trust domains, each with the other's bundle.
func TestFederation(t *testing.T) {
	here, there := workloadtest.NewDomain(t, "example.org"), workloadtest.NewDomain(t, "partner.test")
	_, server := party(t, here, "/mcp/files", there)
	_, agent := party(t, there, "/agent/ada", here)
	url := serve(t, server, authorize(t, there.ID("/agent/ada")))
	got, err := get(t, client(t, agent, authorize(t, here.ID("/mcp/files"))), url)
	if err != nil || !strings.HasPrefix(got, "HTTP/2.0 spiffe spiffe://partner.test/agent/ada partner.test") {
		t.Errorf("got %q, %v", got, err)
	}

	// A domain that the agent federates with and that was not listed is not accepted.
	api := workloadtest.NewAPI(t)
	api.Entry(there, "/agent/ada", here)
	narrow := open(t, api, there.Name)
	if _, err := get(t, client(t, narrow, workload.AuthorizeVerified()), url); err == nil || !strings.Contains(err.Error(), `"example.org" is not among`) {
		t.Errorf("a domain that is not listed: %v", err)
	}
	// One that is listed and that the agent does not federate with has no bundle.
	alone := workloadtest.NewAPI(t)
	alone.Entry(there, "/agent/ada")
	wide := open(t, alone, there.Name, here.Name)
	if _, err := get(t, client(t, wide, workload.AuthorizeVerified()), url); err == nil || !strings.Contains(err.Error(), "does the entry federate with it?") {
		t.Errorf("a domain without a bundle: %v", err)
	}
	// A federated root vouches for its own domain alone.
	forged := there.Issue(time.Hour, func(c *x509.Certificate) { c.URIs = append(c.URIs, here.Root.URIs[0].JoinPath("/agent/ada")) })
	c, err := workload.NewClient(&workload.TLSConfig{SVIDs: fixed{agent, forged}, Authorize: workload.AuthorizeVerified()})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := get(t, c, url); err == nil {
		t.Errorf("an ID of one domain by the root of the other: %q", got)
	}
}

// TestJWTSVID: a caller that comes with a JWT-SVID, over HTTP without TLS behind something that ends it.
func TestJWTSVID(t *testing.T) {
	here, there := workloadtest.NewDomain(t, "example.org"), workloadtest.NewDomain(t, "partner.test")
	_, server := party(t, here, "/mcp/files", there)
	_, agent := party(t, there, "/agent/ada")
	v := &workload.JWTVerifier{Source: server, Audience: []string{"mcp://files"}, Authorize: workload.AuthorizeVerified()}
	h, err := v.Handler(http.HandlerFunc(whoAmI))
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(h)
	defer s.Close()
	token, err := agent.JWTSVID(t.Context(), "mcp://files")
	if err != nil {
		t.Fatal(err)
	}
	ask := func(token string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close() // it was read
		return res.StatusCode, string(body)
	}
	if status, got := ask(token); status != http.StatusOK || got != "HTTP/1.1 jwt-svid spiffe://partner.test/agent/ada partner.test " {
		t.Errorf("got %d %q", status, got)
	}
	elsewhere, err := agent.JWTSVID(t.Context(), "mcp://other")
	if err != nil {
		t.Fatal(err)
	}
	stranger := workloadtest.NewDomain(t, "other.test").JWT("/agent/ada", []string{"mcp://files"}, nil)
	forged := workloadtest.NewDomain(t, "partner.test").JWT("/agent/ada", []string{"mcp://files"}, nil)
	for name, bad := range map[string]string{"another audience": elsewhere, "another trust domain": stranger, "another key": forged, "none": ""} {
		if status, got := ask(bad); status != http.StatusUnauthorized {
			t.Errorf("%s: got %d %q", name, status, got)
		}
	}
}

// TestNoIdentity: without an entry, an agent or a sensible configuration there is a clear error within seconds.
func TestNoIdentity(t *testing.T) {
	d := workloadtest.NewDomain(t, "example.org")
	empty, full := workloadtest.NewAPI(t), workloadtest.NewAPI(t)
	full.Entry(d, "/agent/ada")
	silent, err := net.Listen("unix", t.TempDir()+"/s")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }() // nobody was ever accepted
	domains := []string{"example.org"}
	for _, test := range []struct {
		name, want string
		cfg        *spiffe.Config
	}{
		{"no entry", "has no identity for this process (uid ", &spiffe.Config{Socket: empty.Addr, TrustDomains: domains, Timeout: time.Minute}},
		{"no agent", "no agent answers", &spiffe.Config{Socket: "unix://" + t.TempDir() + "/none.sock", TrustDomains: domains}},
		{"a silent agent", "gave no identity in time", &spiffe.Config{
			Socket: "unix://" + silent.Addr().String(), TrustDomains: domains, Timeout: 100 * time.Millisecond,
		}},
		{"another ID", `has no SVID "spiffe://example.org/agent/eve" for this process, only "spiffe://example.org/agent/ada"`,
			&spiffe.Config{Socket: full.Addr, TrustDomains: domains, ID: d.ID("/agent/eve"), Timeout: time.Minute}},
		{"no configuration", "no Socket", nil},
		{"no socket", "no Socket", &spiffe.Config{TrustDomains: domains}},
		{"a socket that is a path", "Workload API", &spiffe.Config{Socket: "/run/api.sock", TrustDomains: domains}},
		{"no trust domains", "no TrustDomains", &spiffe.Config{Socket: full.Addr}},
		{"a trust domain that is none", `trust domain "Example.org/x y"`, &spiffe.Config{Socket: full.Addr, TrustDomains: []string{"Example.org/x y"}}},
		{"an ID that is none", `SPIFFE ID "ada"`, &spiffe.Config{Socket: full.Addr, TrustDomains: domains, ID: "ada"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			started := time.Now()
			s, err := spiffe.NewSource(t.Context(), test.cfg)
			if err == nil {
				_ = s.Close() // it should not be
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
			if took := time.Since(started); took > 40*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// TestLostEntry: an identity that is taken away is still used until it expires, and then not.
func TestLostEntry(t *testing.T) {
	d := workloadtest.NewDomain(t, "example.org")
	api := workloadtest.NewAPI(t)
	api.EntryFor(8*time.Second, d, "/agent/ada")
	s := open(t, api, d.Name)
	api.NoEntry()
	until(t, "the refusal", func() bool {
		_, err := s.X509SVID()
		return err != nil && strings.Contains(err.Error(), "expired at")
	})
	if _, err := s.JWTSVID(t.Context(), "mcp://files"); err == nil || !strings.Contains(err.Error(), "no identity for this process") {
		t.Errorf("a token: %v", err)
	}
}

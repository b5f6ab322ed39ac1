package spiffe_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/serververify/workload"
	"github.com/touchmark-dev/touchmark/serververify/workload/spiffe"
)

// The variables with which spec/workload.md section 6 runs these tests against a SPIRE agent.
const (
	envAgent   = "TOUCHMARK_TEST_SPIRE_AGENT"   // its Workload API, such as unix:///tmp/agent.sock
	envPartner = "TOUCHMARK_TEST_SPIRE_PARTNER" // that of an agent of the other domain
)

// spire opens a source of a real agent.
func spire(t *testing.T, env, id string, domains ...string) *spiffe.Source {
	t.Helper()
	socket := os.Getenv(env)
	if socket == "" {
		t.Skipf("%s names no agent; see spec/workload.md section 6", env)
	}
	s, err := spiffe.NewSource(t.Context(), &spiffe.Config{Socket: socket, TrustDomains: domains, ID: id, JWT: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

const (
	spireFiles = "spiffe://example.org/mcp/files"
	spireAda   = "spiffe://example.org/agent/ada"
	spireEve   = "spiffe://partner.test/agent/eve"
)

// TestSPIRE: mutual TLS, a refusal, a JWT-SVID and a rotation with the SVIDs of a real agent.
func TestSPIRE(t *testing.T) {
	files, ada := spire(t, envAgent, spireFiles, "example.org"), spire(t, envAgent, spireAda, "example.org")
	url := serve(t, files, authorize(t, spireAda))
	c := client(t, ada, authorize(t, spireFiles))
	got, err := get(t, c, url)
	if err != nil || !strings.HasPrefix(got, "HTTP/2.0 spiffe "+spireAda) {
		t.Fatalf("got %q, %v", got, err)
	}
	t.Log("mutual TLS:", got)
	if _, err := get(t, client(t, files, authorize(t, spireFiles)), url); err == nil {
		t.Error("the server admits another ID than ada's")
	} else {
		t.Log("another ID:", err)
	}
	token, err := ada.JWTSVID(t.Context(), "mcp://files")
	if err != nil {
		t.Fatal(err)
	}
	v := &workload.JWTVerifier{Source: files, Audience: []string{"mcp://files"}, Authorize: workload.AuthorizeVerified()}
	p, err := v.Verify(token)
	if err != nil || p.Subject() != spireAda {
		t.Errorf("the JWT-SVID: %v, %v", p, err)
	}
	first := serial(t, ada)
	for deadline := time.Now().Add(3 * time.Minute); serial(t, ada) == first; time.Sleep(time.Second) {
		if time.Now().After(deadline) {
			t.Fatal("no rotation in three minutes; is the entry's -x509SVIDTTL 60?")
		}
		if _, err := get(t, c, url); err != nil {
			t.Fatalf("before the rotation: %v", err)
		}
	}
	got, err = get(t, client(t, ada, authorize(t, spireFiles)), url)
	if err != nil || !strings.HasSuffix(got, serial(t, ada)) {
		t.Errorf("after the rotation: %q, %v", got, err)
	}
	t.Log("rotated:", got)
	if _, err := get(t, c, url); err != nil {
		t.Errorf("the old connection: %v", err)
	}
}

// TestSPIRENoEntry: an ID that no entry gives is refused at once, with the IDs that there are.
func TestSPIRENoEntry(t *testing.T) {
	spire(t, envAgent, spireAda, "example.org")
	started := time.Now()
	_, err := spiffe.NewSource(t.Context(), &spiffe.Config{
		Socket: os.Getenv(envAgent), TrustDomains: []string{"example.org"}, ID: "spiffe://example.org/agent/mallory",
	})
	if err == nil || !strings.Contains(err.Error(), `has no SVID "spiffe://example.org/agent/mallory"`) {
		t.Errorf("got %v", err)
	}
	t.Log(time.Since(started), err)
}

// TestSPIREFederation: a workload of another trust domain, with another server and agent.
func TestSPIREFederation(t *testing.T) {
	eve := spire(t, envPartner, spireEve, "partner.test", "example.org")
	files := spire(t, envAgent, spireFiles, "example.org", "partner.test")
	url := serve(t, files, authorize(t, spireEve))
	got, err := get(t, client(t, eve, authorize(t, spireFiles)), url)
	if err != nil || !strings.HasPrefix(got, "HTTP/2.0 spiffe "+spireEve+" partner.test") {
		t.Fatalf("got %q, %v", got, err)
	}
	t.Log("mutual TLS:", got)
	narrow := spire(t, envAgent, spireFiles, "example.org")
	if _, err := get(t, client(t, eve, authorize(t, spireFiles)), serve(t, narrow, authorize(t, spireEve))); err == nil {
		t.Error("a domain that is not listed is accepted")
	}
}

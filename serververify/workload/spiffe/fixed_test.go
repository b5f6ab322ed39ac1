package spiffe_test

import (
	"crypto/tls"
	"testing"

	"github.com/touchmark-dev/touchmark/serververify/workload/spiffe"
	"github.com/touchmark-dev/touchmark/serververify/workload/workloadtest"
)

// fixed is a source that shows another certificate than its own.
type fixed struct {
	*spiffe.Source
	cert *tls.Certificate
}

func (f fixed) X509SVID() (*tls.Certificate, error) { return f.cert, nil }

// TestPicksID: of several identities the one that is asked for; keys of JWT-SVIDs only where they were asked for.
func TestPicksID(t *testing.T) {
	d := workloadtest.NewDomain(t, "example.org")
	api := workloadtest.NewAPI(t)
	api.Entry(d, "/agent/ada")
	s, err := spiffe.NewSource(t.Context(), &spiffe.Config{Socket: api.Addr, TrustDomains: []string{d.Name}, ID: d.ID("/agent/ada")})
	if err != nil {
		t.Fatal(err)
	}
	if id, err := s.ID(); err != nil || id != d.ID("/agent/ada") {
		t.Errorf("the source is %q, %v", id, err)
	}
	if _, err := s.JWTAuthorities(d.Name); err == nil {
		t.Error("there are keys of JWT-SVIDs that nobody asked for")
	}
	for _, name := range []string{"other.test", "", "spiffe://"} {
		if _, err := s.X509Authorities(name); err == nil {
			t.Errorf("there are roots of %q", name)
		}
		if _, err := s.JWTAuthorities(name); err == nil {
			t.Errorf("there are keys of %q", name)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := s.X509SVID(); err == nil {
		t.Error("a closed source has an identity")
	}
	if _, err := s.ID(); err == nil {
		t.Error("a closed source has a name")
	}
}

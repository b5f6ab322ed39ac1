package domain

import (
	"encoding/json"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jws"
)

func FuzzCheckDomain(f *testing.F) {
	for _, seed := range []string{
		testDomain, "API.Acme.COM", "xn--bcher-kva.example.com", "127.0.0.1", "[::1]:80", "a.localhost", "acme.com.", "u@acme.com:80/x",
		"bücher.com", "0x7f.1", "*.acme.com", "a--b.com", strings.Repeat("a.", 126) + "com", "acme.com\x00", "..%2f",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, err := CheckDomain(s)
		if err != nil {
			if !strings.HasPrefix(string(CodeOf(err)), "DOMAIN_") || name != "" {
				t.Fatalf("CheckDomain(%q) = %q, %v", s, name, err)
			}
			return
		}
		if again, err := CheckDomain(name); err != nil || again != name {
			t.Fatalf("%q is accepted, but %q is not: %v", s, name, err)
		}
		if !strings.EqualFold(s, name) || name != strings.ToLower(name) || len(name) > MaxDomainBytes {
			t.Fatalf("CheckDomain(%q) = %q", s, name)
		}
		if _, err := netip.ParseAddr(name); err == nil {
			t.Fatalf("%q is an address", name)
		}
		// What else reads the name sees the same one: a URL and a DID.
		if u, err := url.Parse(URL(name, testToken)); err != nil || u.Host != name || u.Hostname() != name || u.Path != challengePath+testToken {
			t.Fatalf("the URL of %q: %v, %v", name, u, err)
		}
		d, err := did.Parse("did:web:" + name)
		if err != nil {
			t.Fatalf("the DID of %q: %v", name, err)
		}
		if _, err := CheckSubject(d.String(), name); err != nil {
			t.Fatal(err)
		}
	})
}

// The payload is fuzzed under a valid signature: a signature would keep everything else from the parser.
func FuzzParseGrant(f *testing.F) {
	payload, err := json.Marshal(valid())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(grantTyp, "ca-1", payload)
	f.Add("JWT", "ca-1", payload)
	f.Add(grantTyp, "ca-0", payload)
	f.Add(grantTyp, "ca-1", []byte(`{"aud":"capiscio:mint","cnf":{"jkt":null},"scope":[[]],"iat":1e9,"exp":-1}`))
	f.Add(grantTyp, "ca-1", []byte(`[]`))
	f.Fuzz(func(t *testing.T, typ, kid string, payload []byte) {
		token, err := jws.Sign(jws.Header{Typ: typ, Kid: kid}, payload, key(1))
		if err != nil {
			token = string(payload)
		}
		g, err := ParseGrant(token, testCheck())
		if err != nil {
			if !strings.HasPrefix(string(CodeOf(err)), "GRANT_") || g != nil {
				t.Fatalf("%v", err)
			}
			return
		}
		if typ != grantTyp || kid != "ca-1" {
			t.Fatalf("accepted with typ %q, kid %q", typ, kid)
		}
		again, err := SignGrant(testSigner(), &GrantTemplate{
			ID: g.ID(), Domain: g.Domain(), Thumbprint: g.Thumbprint(), IssuedAt: g.IssuedAt(), TTL: g.ExpiresAt().Sub(g.IssuedAt()),
		})
		if err != nil {
			t.Fatalf("accepted, but not signed: %v", err)
		}
		if _, err := ParseGrant(again, testCheck()); err != nil {
			t.Fatal(err)
		}
		if now := testCheck().Now; g.IssuedAt().After(now) || !g.ExpiresAt().After(now) || g.ExpiresAt().Sub(g.IssuedAt()) > 90*24*time.Hour {
			t.Fatalf("accepted from %v to %v", g.IssuedAt(), g.ExpiresAt())
		}
	})
}

func FuzzParseProof(f *testing.F) {
	good, err := pop.SignGrantProof(key(7), &pop.GrantProof{Subject: agent, Request: pop.MintRequest(testIssuer)}, testNow)
	if err != nil {
		f.Fatal(err)
	}
	m, err := jws.Parse(good)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(proofTyp, m.Payload)
	f.Add("JWT", m.Payload)
	f.Add(proofTyp, []byte(`{"aud":[],"exp":1.0,"jti":""}`))
	f.Fuzz(func(t *testing.T, typ string, payload []byte) {
		token, err := jws.Sign(jws.Header{Typ: typ}, payload, key(7))
		if err != nil {
			token = string(payload)
		}
		_, c, err := parseProof(token)
		if err != nil {
			if code := CodeOf(err); code != CodeProofMalformed && code != CodeProofClaimsInvalid {
				t.Fatalf("%v", err)
			}
			return
		}
		if typ != proofTyp || c.Expires <= c.IssuedAt || c.Expires > c.IssuedAt+60 || c.ID == "" || c.Audience == "" || c.URI == "" || c.Method == "" {
			t.Fatalf("accepted with typ %q: %+v", typ, c)
		}
	})
}

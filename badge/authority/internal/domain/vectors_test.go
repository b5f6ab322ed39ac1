package domain

import (
	"crypto"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/internal/jwk"
	"github.com/touchmark-dev/touchmark/internal/jws"
	"github.com/touchmark-dev/touchmark/internal/vectorgen/grant"
	"github.com/touchmark-dev/touchmark/internal/vectorgen/vectortest"
)

// Each vector ends as it says, and every code of grants has one.
func TestVectors(t *testing.T) {
	missing := map[Code]bool{
		CodeGrantMalformed: true, CodeGrantSignatureInvalid: true, CodeGrantInvalidType: true, CodeGrantInvalidAudience: true,
		CodeGrantMissingIssuedAt: true, CodeGrantNotYetValid: true, CodeGrantExpired: true, CodeGrantClaimsInvalid: true,
		CodeGrantIssuerMismatch: true, CodeGrantScope: true,
	}
	for _, vec := range vectortest.Read(t, "grant", 60, func(v *grant.Vector) string { return v.Name }) {
		delete(missing, Code(vec.Expect.Code))
		t.Run(vec.Name, func(t *testing.T) { checkVector(t, vec) })
	}
	for code := range missing {
		t.Errorf("no vector for %s", code)
	}
}

func checkVector(t *testing.T, vec *grant.Vector) {
	check := &GrantCheck{
		Issuer: vec.Config.Issuer, Now: time.Unix(vec.Config.Now, 0), Skew: time.Duration(vec.Config.Skew) * time.Second,
	}
	for _, k := range vec.Config.Keys {
		pub, err := jwk.ParsePublic(k.JWK)
		if err != nil {
			t.Fatal(err)
		}
		check.Keys = append(check.Keys, badge.Key{ID: k.ID, Public: pub.Key})
		agree(t, vec.Grant, pub.Key)
	}
	g, err := ParseGrant(vec.Grant, check)
	if vec.Expect.Verdict == grant.Rejected {
		if CodeOf(err) != Code(vec.Expect.Code) || vec.Expect.Code == "" || vec.Defect == "" || g != nil {
			t.Errorf("%v, want %s: %s", err, vec.Expect.Code, vec.Defect)
		}
		return
	}
	if err != nil || vec.Expect.Verdict != grant.Accepted {
		t.Fatalf("%v, want %s", err, vec.Expect.Verdict)
	}
	got := grant.Expect{
		Verdict: grant.Accepted, ID: g.ID(), Domain: g.Domain(), Thumbprint: g.Thumbprint(),
		IssuedAt: g.IssuedAt().Unix(), ExpiresAt: g.ExpiresAt().Unix(),
	}
	if got != vec.Expect {
		t.Errorf("%+v, want %+v", got, vec.Expect)
	}
}

// agree asks other libraries about a signature.
func agree(t *testing.T, token string, pub crypto.PublicKey) {
	t.Helper()
	m, err := jws.Parse(token)
	if err != nil || m.Alg != jws.EdDSA {
		return
	}
	vectortest.CheckOpinions(t, token, pub, m.Verify(pub) == nil)
}

package domain

import (
	"crypto"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	jwxjws "github.com/lestrrat-go/jwx/v2/jws"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/internal/jwk"
	"github.com/touchmark-dev/touchmark/internal/jws"
	"github.com/touchmark-dev/touchmark/internal/vectorgen/grant"
	"github.com/touchmark-dev/touchmark/testvectors"
)

// Each vector ends as it says, and every code of grants has one.
func TestVectors(t *testing.T) {
	entries, err := testvectors.FS.ReadDir("grant")
	if err != nil {
		t.Fatal(err)
	}
	missing := map[Code]bool{
		CodeGrantMalformed: true, CodeGrantSignatureInvalid: true, CodeGrantInvalidType: true, CodeGrantInvalidAudience: true,
		CodeGrantMissingIssuedAt: true, CodeGrantNotYetValid: true, CodeGrantExpired: true, CodeGrantClaimsInvalid: true,
		CodeGrantIssuerMismatch: true, CodeGrantScope: true,
	}
	for _, entry := range entries {
		data, err := testvectors.FS.ReadFile("grant/" + entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		var vec grant.Vector
		decoder := json.NewDecoder(strings.NewReader(string(data)))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&vec); err != nil {
			t.Fatalf("%s: %v", entry.Name(), err)
		}
		delete(missing, Code(vec.Expect.Code))
		t.Run(vec.Name, func(t *testing.T) { checkVector(t, &vec) })
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

// agree asks a second library about a signature.
func agree(t *testing.T, token string, pub crypto.PublicKey) {
	t.Helper()
	m, err := jws.Parse(token)
	if err != nil || m.Alg != jws.EdDSA {
		return
	}
	ours := m.Verify(pub)
	_, theirs := jwxjws.Verify([]byte(token), jwxjws.WithKey(jwa.EdDSA, pub))
	if (ours == nil) != (theirs == nil) {
		t.Errorf("go-jose says %v, jwx %v", ours, theirs)
	}
}

package domain

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/internal/jws"
)

const (
	testIssuer  = "https://ca.acme.org"
	testGrantID = "grant-550e8400-e29b-41d4-a716-446655440000"
)

var testNow = time.Unix(1_790_000_000, 0)

// key returns the Ed25519 key of a number.
func key(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(append(make([]byte, ed25519.SeedSize-1), n))
}

func testSigner() *GrantSigner {
	return &GrantSigner{Issuer: testIssuer, KeyID: "ca-1", Key: key(1)}
}

func testTemplate() *GrantTemplate {
	return &GrantTemplate{ID: testGrantID, Domain: testDomain, Thumbprint: testPrint, IssuedAt: testNow}
}

func testCheck() *GrantCheck {
	return &GrantCheck{
		Issuer: testIssuer,
		Keys:   []badge.Key{{ID: "ca-0", Public: key(0).Public()}, {ID: "ca-1", Public: key(1).Public()}},
		Now:    testNow.Add(time.Hour),
	}
}

func TestGrant(t *testing.T) {
	token, err := SignGrant(testSigner(), testTemplate())
	if err != nil {
		t.Fatal(err)
	}
	g, err := ParseGrant(token, testCheck())
	if err != nil {
		t.Fatal(err)
	}
	if g.ID() != testGrantID || g.Domain() != testDomain || g.Thumbprint() != testPrint || g.KeyID() != "ca-1" ||
		!g.IssuedAt().Equal(testNow) || !g.ExpiresAt().Equal(testNow.Add(MaxGrantTTL)) {
		t.Errorf("%+v", g)
	}
	m, err := jws.Parse(token)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"aud":"capiscio:mint","cnf":{"jkt":"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"},"exp":1797776000,"iat":1790000000,` +
		`"iss":"https://ca.acme.org","jti":"grant-550e8400-e29b-41d4-a716-446655440000","scope":["badge:dv"],"sub":"api.acme.com"}`
	if m.Header != (jws.Header{Alg: "EdDSA", Typ: "capiscio.dvgrant+jwt", Kid: "ca-1"}) || string(m.Payload) != want {
		t.Errorf("%+v %s", m.Header, m.Payload)
	}
}

// valid are the claims of a grant that holds, to change.
func valid() map[string]any {
	return map[string]any{
		"iss": testIssuer, "sub": testDomain, "jti": testGrantID, "iat": testNow.Unix(), "exp": testNow.Add(MaxGrantTTL).Unix(),
		"aud": "capiscio:mint", "cnf": map[string]any{"jkt": testPrint}, "scope": []string{"badge:dv"},
	}
}

func with(claim string, value any) map[string]any {
	c := valid()
	if c[claim] = value; value == nil {
		delete(c, claim)
	}
	return c
}

func signClaims(t testing.TB, h jws.Header, claims map[string]any, by ed25519.PrivateKey) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jws.Sign(h, payload, by)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

var grantHeader = jws.Header{Typ: grantTyp, Kid: "ca-1"}

func TestParseGrantClaims(t *testing.T) {
	iat := testNow.Unix()
	for _, c := range []struct {
		claim string
		value any
		code  Code
	}{
		{"scope", nil, ""}, // the default
		{"scope", []string{"x", "badge:dv"}, ""},
		{"exp", iat + 3601, ""},
		{"iat", iat + 3600, ""},

		{"aud", nil, CodeGrantInvalidAudience},
		{"aud", "", CodeGrantInvalidAudience},
		{"aud", "capiscio:mint ", CodeGrantInvalidAudience},
		{"aud", "capiscio:MINT", CodeGrantInvalidAudience},
		{"aud", []string{"capiscio:mint"}, CodeGrantInvalidAudience},
		{"aud", testIssuer, CodeGrantInvalidAudience},
		{"iat", nil, CodeGrantMissingIssuedAt},
		{"iat", 0, CodeGrantMissingIssuedAt},
		{"iat", "1790000000", CodeGrantMissingIssuedAt},
		{"iat", -5, CodeGrantMissingIssuedAt},
		{"iat", 1.5, CodeGrantMissingIssuedAt},
		{"iat", iat + 3601, CodeGrantNotYetValid},
		{"exp", nil, CodeGrantClaimsInvalid},
		{"exp", iat + 3600, CodeGrantExpired},
		{"exp", iat, CodeGrantExpired},
		{"exp", iat + int64(MaxGrantTTL/time.Second) + 1, CodeGrantClaimsInvalid},
		{"exp", 999_999_999_999_999, CodeGrantClaimsInvalid},
		{"exp", "never", CodeGrantClaimsInvalid},
		{"iss", nil, CodeGrantIssuerMismatch},
		{"iss", "https://other.acme.org", CodeGrantIssuerMismatch},
		{"iss", testIssuer + "/", CodeGrantIssuerMismatch},
		{"iss", 1, CodeGrantClaimsInvalid},
		{"jti", nil, CodeGrantClaimsInvalid},
		{"jti", "550e8400-e29b-41d4-a716-446655440000", CodeGrantClaimsInvalid},
		{"jti", "grant-550E8400-e29b-41d4-a716-446655440000", CodeGrantClaimsInvalid},
		{"jti", "grant-550e8400-e29b-11d4-a716-446655440000", CodeGrantClaimsInvalid},
		{"jti", "grant-../../x", CodeGrantClaimsInvalid},
		{"sub", nil, CodeGrantClaimsInvalid},
		{"sub", "API.acme.com", CodeGrantClaimsInvalid},
		{"sub", "*.acme.com", CodeGrantClaimsInvalid},
		{"sub", "localhost", CodeGrantClaimsInvalid},
		{"sub", "api.acme.com:80", CodeGrantClaimsInvalid},
		{"sub", []string{testDomain}, CodeGrantClaimsInvalid},
		{"cnf", nil, CodeGrantClaimsInvalid},
		{"cnf", testPrint, CodeGrantClaimsInvalid},
		{"cnf", map[string]any{}, CodeGrantClaimsInvalid},
		{"cnf", map[string]any{"kid": testPrint}, CodeGrantClaimsInvalid},
		{"cnf", map[string]any{"jkt": testPrint, "kid": "x"}, CodeGrantClaimsInvalid},
		{"cnf", map[string]any{"jkt": "sha256:" + testPrint}, CodeGrantClaimsInvalid},
		{"cnf", map[string]any{"jkt": testPrint[:42] + "t"}, CodeGrantClaimsInvalid}, // unused bits set
		{"cnf", map[string]any{"jkt": testPrint + "="}, CodeGrantClaimsInvalid},
		{"cnf", map[string]any{"jkt": 1}, CodeGrantClaimsInvalid},
		{"scope", []string{}, CodeGrantScope},
		{"scope", []string{"badge:ov"}, CodeGrantScope},
		{"scope", "badge:dv", CodeGrantClaimsInvalid},
		{"scope", []any{"badge:dv", 1}, CodeGrantClaimsInvalid},
		{"scope", slices.Repeat([]string{"badge:dv"}, maxScopes+1), CodeGrantClaimsInvalid},
		{"nbf", iat, CodeGrantClaimsInvalid}, // not known here, so it is not known what it restricts
		{"AUD", "capiscio:mint", CodeGrantClaimsInvalid},
	} {
		token := signClaims(t, grantHeader, with(c.claim, c.value), key(1))
		g, err := ParseGrant(token, testCheck())
		if CodeOf(err) != c.code || (g != nil) != (err == nil) || (c.code == "") != (err == nil) {
			t.Errorf("%s = %v: %v, want %q", c.claim, c.value, err, c.code)
		}
	}
}

func TestParseGrantForm(t *testing.T) {
	good := signClaims(t, grantHeader, valid(), key(1))
	raw := func(payload string) string {
		token, err := jws.Sign(grantHeader, []byte(payload), key(1))
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	es256, err := jws.Sign(grantHeader, []byte("{}"), p256)
	if err != nil {
		t.Fatal(err)
	}
	big := valid()
	big["scope"] = []string{"badge:dv", strings.Repeat("x", MaxGrantBytes)}
	for name, c := range map[string]struct {
		token string
		code  Code
	}{
		"empty":            {"", CodeGrantMalformed},
		"no JWS":           {"a.b.c", CodeGrantMalformed},
		"JSON":             {"{}", CodeGrantMalformed},
		"too long":         {signClaims(t, grantHeader, big, key(1)), CodeGrantMalformed},
		"alg none":         {"eyJhbGciOiJub25lIiwidHlwIjoiY2FwaXNjaW8uZHZncmFudCtqd3QifQ." + strings.Split(good, ".")[1] + ".", CodeGrantMalformed},
		"ES256":            {es256, CodeGrantMalformed},
		"no kid":           {signClaims(t, jws.Header{Typ: grantTyp}, valid(), key(1)), CodeGrantMalformed},
		"payload array":    {raw("[]"), CodeGrantMalformed},
		"payload no JSON":  {raw("x"), CodeGrantMalformed},
		"payload trailing": {raw(`{} {}`), CodeGrantMalformed},
		"claim twice":      {raw(`{"sub":"a.com","sub":"b.com"}`), CodeGrantMalformed},
		"unknown kid":      {signClaims(t, jws.Header{Typ: grantTyp, Kid: "ca-2"}, valid(), key(1)), CodeGrantSignatureInvalid},
		"kid of another":   {signClaims(t, jws.Header{Typ: grantTyp, Kid: "ca-0"}, valid(), key(1)), CodeGrantSignatureInvalid},
		"other key":        {signClaims(t, grantHeader, valid(), key(9)), CodeGrantSignatureInvalid},
		"badge typ":        {signClaims(t, jws.Header{Typ: "JWT", Kid: "ca-1"}, valid(), key(1)), CodeGrantInvalidType},
		"proof typ":        {signClaims(t, jws.Header{Typ: "pop+jwt", Kid: "ca-1"}, valid(), key(1)), CodeGrantInvalidType},
		"typ in capitals":  {signClaims(t, jws.Header{Typ: "CAPISCIO.DVGRANT+JWT", Kid: "ca-1"}, valid(), key(1)), CodeGrantInvalidType},
	} {
		if g, err := ParseGrant(c.token, testCheck()); CodeOf(err) != c.code || g != nil {
			t.Errorf("%s: %v, want %s", name, err, c.code)
		}
	}
	if _, err := ParseGrant(good, &GrantCheck{Issuer: testIssuer, Now: testNow}); CodeOf(err) != CodeGrantSignatureInvalid {
		t.Errorf("without keys: %v", err)
	}
	if _, err := ParseGrant(good, &GrantCheck{Keys: testCheck().Keys, Now: testNow}); CodeOf(err) != CodeGrantIssuerMismatch {
		t.Errorf("without issuer: %v", err)
	}
}

// No byte of a grant can be changed.
func TestParseGrantMangled(t *testing.T) {
	good := signClaims(t, grantHeader, valid(), key(1))
	if _, err := ParseGrant(good, testCheck()); err != nil {
		t.Fatal(err)
	}
	for i := range len(good) {
		b := []byte(good)
		b[i]++
		if _, err := ParseGrant(string(b), testCheck()); CodeOf(err) == "" {
			t.Errorf("byte %d changed: %v", i, err)
		}
		if _, err := ParseGrant(good[:i], testCheck()); CodeOf(err) == "" {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
}

func TestParseGrantTimes(t *testing.T) {
	token, err := SignGrant(testSigner(), testTemplate())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		at   time.Duration
		skew time.Duration
		code Code
	}{
		{0, 0, ""},
		{-1 * time.Second, 0, CodeGrantNotYetValid},
		{-1 * time.Second, -time.Hour, CodeGrantNotYetValid},
		{-60 * time.Second, time.Minute, ""},
		{-61 * time.Second, time.Minute, CodeGrantNotYetValid},
		{MaxGrantTTL - time.Second, 0, ""},
		{MaxGrantTTL, time.Minute, CodeGrantExpired}, // the authority's own clock ends it: no skew
	} {
		check := testCheck()
		check.Now, check.Skew = testNow.Add(c.at), c.skew
		if _, err := ParseGrant(token, check); CodeOf(err) != c.code {
			t.Errorf("%v after, skew %v: %v, want %q", c.at, c.skew, err, c.code)
		}
	}
}

func TestSignGrantRefuses(t *testing.T) {
	for code, change := range map[Code][]func(*GrantTemplate){
		CodeGrantClaimsInvalid: {
			func(g *GrantTemplate) { g.ID = "550e8400-e29b-41d4-a716-446655440000" },
			func(g *GrantTemplate) { g.ID = "" },
			func(g *GrantTemplate) { g.Domain = "API.acme.com" },
			func(g *GrantTemplate) { g.Domain = "" },
			func(g *GrantTemplate) { g.Domain = "127.0.0.1" },
			func(g *GrantTemplate) { g.Thumbprint = "" },
			func(g *GrantTemplate) { g.TTL = MaxGrantTTL + time.Second },
			func(g *GrantTemplate) { g.TTL = -time.Second },
			func(g *GrantTemplate) { g.TTL = 1500 * time.Millisecond },
		},
		CodeGrantMissingIssuedAt: {func(g *GrantTemplate) { g.IssuedAt = time.Time{} }},
	} {
		for i, f := range change {
			g := testTemplate()
			f(g)
			if token, err := SignGrant(testSigner(), g); CodeOf(err) != code || token != "" {
				t.Errorf("%s %d: %v", code, i, err)
			}
		}
	}
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range []*GrantSigner{
		nil, {}, {Issuer: testIssuer, KeyID: "ca-1"}, {Issuer: testIssuer, Key: key(1)}, {KeyID: "ca-1", Key: key(1)},
		{Issuer: testIssuer, KeyID: "ca-1", Key: p256},
	} {
		if _, err := SignGrant(s, testTemplate()); err == nil {
			t.Errorf("signer %d signed", i)
		}
	}
	if _, err := SignGrant(testSigner(), nil); err == nil {
		t.Error("signed nothing")
	}
}

func TestNewGrantID(t *testing.T) {
	ids := make(map[string]bool)
	for range 100 {
		ids[NewGrantID()] = true
	}
	for id := range maps.Keys(ids) {
		if !isGrantID(id) {
			t.Errorf("id %q", id)
		}
	}
	if len(ids) != 100 {
		t.Errorf("%d ids", len(ids))
	}
}

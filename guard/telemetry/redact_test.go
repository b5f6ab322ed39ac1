package telemetry

import (
	"strings"
	"testing"
)

const someJWS = "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"

func TestRedact(t *testing.T) {
	long := strings.Repeat("aB3-_", 8)
	for in, want := range map[string]string{
		"":                       "",
		"read_file":              "read_file",
		"tools/call":             "tools/call",
		"did:web:agents.example": "did:web:agents.example",
		"did:key:z6MkpTHR8VNsBxYAAWHut2Geadd9jSwuBV8xRoAnwWsdvktH": "did:key:z6MkpTHR8VNsBxYAAWHut2Geadd9jSwuBV8xRoAnwWsdvktH",
		"sha256:" + long:                          "sha256:" + long,
		"3dba37bb-0871-4def-b95b-6655128dbe19":    "3dba37bb-0871-4def-b95b-6655128dbe19",
		"the badge is not valid; get a fresh one": "the badge is not valid; get a fresh one",
		"badge: token has 3 parts":                "badge: token has 3 parts",

		someJWS:                                   Redacted,
		"x " + someJWS + ", y":                    "x " + Redacted + ", y",
		someJWS[:30]:                              Redacted,
		someJWS + "~disclosure~":                  Redacted,
		"Authorization: Bearer " + long:           "Authorization: Bearer " + Redacted,
		"authorization=Basic dXNlcg==":            "authorization=Basic " + Redacted,
		"bearer " + long:                          "bearer " + Redacted,
		"Cookie: session=abc":                     "Cookie: " + Redacted,
		"X-Capiscio-Badge: x.y.z":                 "X-Capiscio-Badge: " + Redacted,
		`{"password": "a \" b", "n":1}`:           `{"password": ` + Redacted + `, "n":1}`,
		`{"access_token":"abc"}`:                  `{"access_token":` + Redacted + `}`,
		"https://a:b@h.example/p":                 "https://" + Redacted + "@h.example/p",
		"postgres://u:p@db/x?password=y":          "postgres://" + Redacted + "@db/x?password=" + Redacted,
		"https://h.example/?access_token=abc&x=1": "https://h.example/?access_token=" + Redacted + "&x=1",
		"-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----\nx": Redacted + "\nx",
		"-----BEGIN EC PRIVATE KEY-----\nabc":                            Redacted,
		"AGE-SECRET-KEY-1QQQQQQQQQQQQ":                                   Redacted,
		"ghp_abcdefghijklmnopqrstuvwxyz012345":                           Redacted,
		"AKIAIOSFODNN7EXAMPLE":                                           Redacted,
		`{"kty":"OKP","d":"` + long + `"}`:                               `{"kty":"OKP","d":"` + Redacted + `"}`,
	} {
		if got := Redact(in); got != want {
			t.Errorf("Redact(%q)\n= %q\nwant %q", in, got, want)
		}
	}
}

// TestBounded: what is exported of a text is short and valid, and a secret at its end is not cut out of its shape.
func TestBounded(t *testing.T) {
	if got := bounded(strings.Repeat("x", 240) + " " + someJWS); strings.Contains(got, "eyJ") || len(got) > maxTextBytes {
		t.Errorf("got %q", got)
	}
	if got := bounded("a\xffb"); got != "a\uFFFDb" {
		t.Errorf("got %q", got)
	}
	if got := bounded(strings.Repeat("ä", 200)); len(got) > maxTextBytes+2 || !strings.HasPrefix(got, "ää") {
		t.Errorf("got %d bytes", len(got))
	}
	if got := boundedURI("file:///x?sig=1"); got != "file:///x" {
		t.Errorf("got %q", got)
	}
}

func TestSecretNames(t *testing.T) {
	for name, want := range map[string]bool{
		"badge": true, "Badge": true, "callProof": true, "call-proof": true, "x-api-key": true, "API_KEY": true, "privateKey": true,
		"key": true, "refreshTokens": true, "set-cookie": true, "userPassword": true, "nonce": true, "arguments": true, "jwk": true,
		"badge_id": false, "badgeID": false, "key_id": false, "kid": false, "keys": false, "token_type": false, "proof_required": false,
		"monkey": false, "error": false, "": false, "-": false, "level": false, "badge_expires": false,
	} {
		if got := isSecretName(name); got != want {
			t.Errorf("isSecretName(%q) = %v", name, got)
		}
	}
}

func FuzzRedact(f *testing.F) {
	f.Add("x " + someJWS)
	f.Add(`{"password":"x"}`)
	f.Fuzz(func(t *testing.T, s string) {
		once := Redact(s)
		if again := Redact("before " + someJWS + " " + s); strings.Contains(again, someJWS[10:]) {
			t.Fatalf("%q hides a secret before it: %q", s, again)
		}
		_ = bounded(once)
	})
}

package pop_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jws"
)

const (
	issuer      = "https://registry.example"
	challengeID = "ch-550e8400-e29b-41d4-a716-446655440000"
	goodNonce   = "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE"
	goodAnswer  = `{
		"challenge_id": "` + challengeID + `", "nonce": "` + goodNonce + `", "challenge_expires_at": "2026-11-21T10:05:00Z",
		"proof_aud": "` + issuer + `", "htu": "` + issuer + `/v1/agents/did%3Aweb%3Aregistry.example%3Aagents%3Aada/badge", "htm": "POST",
		"badge_aud": null, "badge_ttl": 300
	}`
)

var (
	applicant = did.MustParse("did:web:registry.example:agents:ada")
	asked     = time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
)

func goodChallenge(t testing.TB) *pop.Challenge {
	t.Helper()
	c, err := pop.ParseChallenge([]byte(goodAnswer), issuer, applicant)
	if err != nil {
		t.Fatal(err)
	}
	c.CreatedAt = asked
	return c
}

// resolve makes a resolver of the applicant's document.
func resolve(t testing.TB, key crypto.PublicKey) did.Resolver {
	t.Helper()
	doc, err := did.NewDocument(applicant, did.DocumentKey{Key: key, Fragment: "key-1"})
	if err != nil {
		t.Fatal(err)
	}
	return did.StaticResolver{applicant: doc}
}

func TestSignIssuance(t *testing.T) {
	ed, ec := newKeys(t)
	for _, key := range []crypto.Signer{ed, ec} {
		v, err := pop.NewIssuanceVerifier(&pop.IssuanceConfig{
			Resolver: resolve(t, key.Public()), Time: func() time.Time { return asked.Add(time.Second) },
		})
		if err != nil {
			t.Fatal(err)
		}
		c := goodChallenge(t)
		proof, err := pop.SignIssuance(key, applicant.String()+"#key-1", c, asked)
		if err != nil {
			t.Fatal(err)
		}
		got, err := v.Verify(t.Context(), proof, c, applicant)
		if err != nil {
			t.Fatal(err)
		}
		public := key.Public().(interface{ Equal(crypto.PublicKey) bool })
		if !public.Equal(got.Key) || got.KeyID != applicant.String()+"#key-1" || !got.IssuedAt.Equal(asked) || len(got.ID) != 36 {
			t.Errorf("%T: %+v", key, got)
		}
	}
}

func newKeys(t testing.TB) (crypto.Signer, crypto.Signer) {
	t.Helper()
	_, ed, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return ed, ec
}

// A did:key signs without being told the name of its key, until the challenge is over.
func TestSignIssuanceDIDKey(t *testing.T) {
	ed, _ := newKeys(t)
	c := goodChallenge(t)
	c.Subject = did.FromKey(ed.Public().(ed25519.PublicKey))
	now := c.ExpiresAt.Add(-time.Second)
	proof, err := pop.SignIssuance(ed, "", c, now)
	if err != nil {
		t.Fatal(err)
	}
	v, err := pop.NewIssuanceVerifier(&pop.IssuanceConfig{Resolver: did.StaticResolver{}, Time: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := v.Verify(t.Context(), proof, c, c.Subject); err != nil || got.KeyID != c.Subject.KeyURL() {
		t.Errorf("%+v, %v", got, err)
	}
	m, err := jws.Parse(proof)
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf(`"exp":%d,`, c.ExpiresAt.Unix()); !strings.Contains(string(m.Payload), want) {
		t.Errorf("no %s in %s", want, m.Payload)
	}
}

func TestSignIssuanceRefuses(t *testing.T) {
	ed, _ := newKeys(t)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	kid := applicant.String() + "#key-1"
	for _, test := range []struct {
		name   string
		key    crypto.Signer
		kid    string
		change func(*pop.Challenge)
		want   string
	}{
		{"no key", nil, kid, nil, "takes a key"},
		{"another kind of key", rsaKey, kid, nil, "neither Ed25519 nor P-256"},
		{"no key id", ed, "", nil, "is not a DID URL"},
		{"relative key id", ed, "#key-1", nil, "is not a DID URL"},
		{"key id of another", ed, "did:web:registry.example:agents:eve#key-1", nil, "is not a DID URL"},
		{"over", ed, kid, func(c *pop.Challenge) { c.ExpiresAt = asked }, "is over"},
		{"no end", ed, kid, func(c *pop.Challenge) { c.ExpiresAt = time.Time{} }, "no time"},
		{"no subject", ed, kid, func(c *pop.Challenge) { c.Subject = did.DID{} }, "no subject"},
		{"id", ed, kid, func(c *pop.Challenge) { c.ID = "550e8400-e29b-41d4-a716-446655440000" }, "challenge_id is not"},
		{"nonce", ed, kid, func(c *pop.Challenge) { c.Nonce = "AAAA" }, "nonce is not"},
		{"audience", ed, kid, func(c *pop.Challenge) { c.Audience = "registry.example" }, "want an https origin"},
		{"URI elsewhere", ed, kid, func(c *pop.Challenge) { c.HTTPURI = "https://registry.example.net/v1" }, "want a URI of"},
		{"URI that continues the host", ed, kid, func(c *pop.Challenge) { c.HTTPURI = issuer + ".evil.example/" }, "want a URI of"},
		{"method", ed, kid, func(c *pop.Challenge) { c.HTTPMethod = "GET" }, "htm is"},
	} {
		c := goodChallenge(t)
		if test.change != nil {
			test.change(c)
		}
		if _, err := pop.SignIssuance(test.key, test.kid, c, asked); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	if _, err := pop.SignIssuance(ed, kid, nil, asked); err == nil {
		t.Error("signed without a challenge")
	}
}

func TestParseChallengeRefuses(t *testing.T) {
	replace := func(old, with string) string { return strings.Replace(goodAnswer, old, with, 1) }
	for _, test := range []struct{ name, answer, want string }{
		{"another authority", replace(issuer+`", "htu`, `https://other.example", "htu`), "another authority is not signed"},
		{"long", goodAnswer + strings.Repeat(" ", pop.MaxChallengeBytes), "an answer of"},
		{"not JSON", "<html>", ""},
		{"twice", replace(`"nonce":`, `"nonce":"x","nonce":`), "nonce"},
		{"no nonce", replace(`"nonce"`, `"Nonce"`), "nonce"},
		{"no id", replace(`challenge_id`, `id`), "challenge_id"},
		{"no end", replace(`challenge_expires_at`, `expires_at`), "no time"},
		{"URI elsewhere", replace(`"htu": "`+issuer, `"htu": "https://other.example`), "htu is"},
		{"id in upper case", replace(challengeID, "ch-550E8400-e29b-41d4-a716-446655440000"), "challenge_id"},
		{"time without a zone", replace("10:05:00Z", "10:05:00"), ""},
	} {
		if c, err := pop.ParseChallenge([]byte(test.answer), issuer, applicant); err == nil || c != nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	if _, err := pop.ParseChallenge([]byte(goodAnswer), issuer, did.DID{}); err == nil {
		t.Error("read for nobody")
	}
}

func TestCheckChallengeID(t *testing.T) {
	if err := pop.CheckChallengeID(challengeID); err != nil {
		t.Error(err)
	}
	for i := range len(challengeID) {
		for c := range 256 {
			id := challengeID[:i] + string(byte(c)) + challengeID[i+1:]
			hex := i > 2 && challengeID[i] != '-' && strings.IndexByte("0123456789abcdef", byte(c)) >= 0
			err := pop.CheckChallengeID(id)
			if ok := byte(c) == challengeID[i] || hex; ok != (err == nil) {
				t.Fatalf("%q: %v", id, err)
			}
		}
	}
	for _, id := range []string{"", "ch-", challengeID[3:], challengeID + "0", challengeID[:38], "ch-{550e8400-e29b-41d4-a716-44665544}"} {
		refused, ok := errors.AsType[*pop.IssuanceError](pop.CheckChallengeID(id))
		if !ok || refused.Code != pop.IssuanceInvalidChallengeID || refused.Step != 1 {
			t.Errorf("%q: %v", id, refused)
		}
	}
}

func TestIssuanceConfig(t *testing.T) {
	for _, cfg := range []*pop.IssuanceConfig{nil, {}, {Resolver: did.StaticResolver{}, Skew: 61 * time.Second}} {
		if _, err := pop.NewIssuanceVerifier(cfg); err == nil {
			t.Errorf("%+v accepted", cfg)
		}
	}
}

type resolverFunc func() (*did.Document, error)

func (f resolverFunc) Resolve(context.Context, did.DID) (*did.Document, error) { return f() }

// What a resolver may do wrong, and what a caller may.
func TestIssuanceInternal(t *testing.T) {
	ed, _ := newKeys(t)
	c := goodChallenge(t)
	proof, err := pop.SignIssuance(ed, applicant.String()+"#key-1", c, asked)
	if err != nil {
		t.Fatal(err)
	}
	other, err := did.StaticResolver{}.Resolve(t.Context(), did.FromKey(ed.Public().(ed25519.PublicKey)))
	if err != nil {
		t.Fatal(err)
	}
	verify := func(f resolverFunc, c *pop.Challenge, route did.DID) error {
		v, err := pop.NewIssuanceVerifier(&pop.IssuanceConfig{Resolver: f, Time: func() time.Time { return asked }})
		if err != nil {
			t.Fatal(err)
		}
		_, err = v.Verify(t.Context(), proof, c, route)
		return err
	}
	for _, test := range []struct {
		doc          *did.Document
		err          error
		code         pop.IssuanceCode
		undetermined bool
	}{
		{nil, nil, pop.IssuanceDocumentInvalid, false},
		{other, nil, pop.IssuanceDocumentInvalid, false},
		{nil, context.Canceled, pop.IssuanceResolutionFailed, true},
		{nil, &did.ParseError{Input: "x", Reason: "port"}, pop.IssuanceResolutionFailed, true},
	} {
		err := verify(func() (*did.Document, error) { return test.doc, test.err }, c, applicant)
		refused, ok := errors.AsType[*pop.IssuanceError](err)
		if !ok || refused.Code != test.code || refused.Undetermined != test.undetermined || refused.Step != 20 || !errors.Is(err, test.err) && test.err != nil {
			t.Errorf("%v, %v: %v", test.doc, test.err, err)
		}
	}
	unstored := *c
	unstored.CreatedAt = time.Time{}
	halved := *c
	halved.Nonce = ""
	for _, wrong := range []*pop.Challenge{nil, &unstored, &halved} {
		if err := verify(nil, wrong, applicant); err == nil || !strings.Contains(err.Error(), "internal error") {
			t.Errorf("%+v: %v", wrong, err)
		}
	}
	if err := verify(nil, c, did.DID{}); err == nil || !strings.Contains(err.Error(), "internal error") {
		t.Errorf("no route: %v", err)
	}
}

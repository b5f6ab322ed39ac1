package pop_test

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/internal/jws"
)

// FuzzIssuance gives the verifier any text for a proof, and any payload with a good signature. What it accepts must say
// all that the challenge asks for.
func FuzzIssuance(f *testing.F) {
	for _, vec := range readIssuance(f) {
		if m, err := jws.Parse(vec.Proof); err == nil {
			f.Add(vec.Proof, m.Payload)
		} else {
			f.Add(vec.Proof, []byte("{}"))
		}
	}
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	c := goodChallenge(f)
	kid := applicant.String() + "#key-1"
	if proof, err := pop.SignIssuance(key, kid, c, asked); err == nil {
		m, err := jws.Parse(proof)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(proof, m.Payload)
	}
	v, err := pop.NewIssuanceVerifier(&pop.IssuanceConfig{Resolver: resolve(f, key.Public()), Time: func() time.Time { return asked }})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, proof string, payload []byte) {
		check := func(proof string) {
			_, err := v.Verify(t.Context(), proof, c, applicant)
			refused, ok := errors.AsType[*pop.IssuanceError](err)
			switch {
			case err == nil:
				checkIssued(t, proof, c)
			case !ok || refused.Code == "" || refused.Step < 6 || refused.Step > 23:
				t.Fatalf("an error without a code and a step: %v", err)
			}
		}
		check(proof)
		if signed, err := jws.Sign(jws.Header{Typ: "pop+jwt", Kid: kid}, payload, key); err == nil {
			check(signed)
		}
	})
}

func checkIssued(t *testing.T, proof string, c *pop.Challenge) {
	m, err := jws.Parse(proof)
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(m.Payload, &claims); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"cid": c.ID, "nonce": c.Nonce, "sub": c.Subject.String(), "aud": c.Audience, "htu": c.HTTPURI, "htm": "POST",
	} {
		if claims[name] != want {
			t.Fatalf("accepted with %s = %v, want %v", name, claims[name], want)
		}
	}
	iat, exp, now := claims["iat"].(float64), claims["exp"].(float64), float64(asked.Unix())
	if iat > now+60 || exp <= now || exp > iat+60 || exp > float64(c.ExpiresAt.Unix()) {
		t.Fatalf("accepted from %v to %v at %v", iat, exp, now)
	}
}

// FuzzChallenge gives an agent any answer. What it takes for a challenge is one of the authority that it asked, and can
// be signed.
func FuzzChallenge(f *testing.F) {
	f.Add([]byte(goodAnswer))
	f.Add([]byte(`{"proof_aud":"https://registry.example"}`))
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	f.Fuzz(func(t *testing.T, answer []byte) {
		c, err := pop.ParseChallenge(answer, issuer, applicant)
		if err != nil {
			return
		}
		if c.Audience != issuer || c.Subject != applicant {
			t.Fatalf("%+v", c)
		}
		if _, err := pop.SignIssuance(key, applicant.String()+"#key-1", c, c.ExpiresAt.Add(-time.Second)); err != nil && c.ExpiresAt.Unix() > 1 {
			t.Fatal(err)
		}
	})
}

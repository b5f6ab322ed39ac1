package evidence

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jws"
)

func testPromise(s *testSigner, entry *VerifiedEntry) *Promise {
	r := entry.Record()
	return &Promise{
		Server: s.did, LeafHash: entry.LeafHash(FormRecord), Stream: r.Stream, Sequence: r.Sequence, LogOrigin: "log.example/touchmark",
		IssuedAt: time.Unix(1_800_000_000, 0).UTC(), Deadline: time.Unix(1_800_000_060, 0).UTC(),
	}
}

func TestPromise(t *testing.T) {
	s := newTestSigner("server")
	entry := mustVerify(t, mustSign(t, everyRecord(t, s)[KindDecision], s), s.keys)
	p := testPromise(s, entry)
	token, err := p.Sign(s.kid, s.key)
	if err != nil {
		t.Fatal(err)
	}
	v, err := VerifyPromise(token, s.keys)
	if err != nil {
		t.Fatal(err)
	}
	if v.Promise() != *p || v.KeyID() != s.kid {
		t.Errorf("read back as %+v of %q, want %+v", v.Promise(), v.KeyID(), *p)
	}
	if err := v.Check(entry); err != nil {
		t.Error(err)
	}

	// The server writes another record at this place.
	r := everyRecord(t, s)[KindDecision]
	r.Decision.Target = "write_file"
	rewritten := mustVerify(t, mustSign(t, r, s), s.keys)
	if err := v.Check(rewritten); CodeOf(err) != CodePromiseMismatch {
		t.Errorf("rewritten: %v", err)
	}
	elsewhere := mustVerify(t, mustSign(t, everyRecord(t, s)[KindHeartbeat], s), s.keys)
	if err := v.Check(elsewhere); CodeOf(err) != CodePromiseMismatch {
		t.Errorf("of another place: %v", err)
	}
}

func TestPromiseRefused(t *testing.T) {
	s, other := newTestSigner("server"), newTestSigner("other")
	entry := mustVerify(t, mustSign(t, everyRecord(t, s)[KindDecision], s), s.keys)
	token, err := testPromise(s, entry).Sign(s.kid, s.key)
	if err != nil {
		t.Fatal(err)
	}
	m, err := jws.Parse(token)
	if err != nil {
		t.Fatal(err)
	}
	good := string(m.Payload)
	sign := func(h jws.Header, old, text string) string {
		payload := strings.Replace(good, old, text, 1)
		if old != "" && payload == good {
			t.Fatalf("no %q in %s", old, good)
		}
		token, err := jws.Sign(h, []byte(payload), s.key)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	promise := jws.Header{Typ: promiseTyp, Kid: s.kid}
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ecdsaToken, err := jws.Sign(promise, m.Payload, p256)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		token string
		code  Code
	}{
		"not a JWS":           {"promise", CodePromiseMalformed},
		"call proof":          {sign(jws.Header{Typ: "capiscio.hop+jwt", Kid: s.kid}, "", ""), CodePromiseMalformed},
		"no kid":              {sign(jws.Header{Typ: promiseTyp}, "", ""), CodeKeyMismatch},
		"kid of other server": {sign(jws.Header{Typ: promiseTyp, Kid: other.kid}, "", ""), CodeKeyMismatch},
		"unknown kid":         {sign(jws.Header{Typ: promiseTyp, Kid: s.did.String() + "#other"}, "", ""), CodeKeyUnknown},
		"ES256":               {ecdsaToken, CodePromiseSignature},
		"further claim":       {sign(promise, `"seq"`, `"index":1,"seq"`), CodePromiseMalformed},
		"claim twice":         {sign(promise, `"seq"`, `"seq":1,"seq"`), CodePromiseMalformed},
		"no issuer":           {sign(promise, `"iss":"`+s.did.String()+`",`, ``), CodePromiseMalformed},
		"no leaf":             {sign(promise, `"leaf_hash":"`+entry.LeafHash(FormRecord).String()+`",`, ``), CodePromiseMalformed},
		"no stream":           {sign(promise, `,"stream":"01020300000000000000000000000000"`, ``), CodePromiseMalformed},
		"no origin":           {sign(promise, `"log.example/touchmark"`, `""`), CodePromiseMalformed},
		"origin of two lines": {sign(promise, `"log.example/touchmark"`, `"a\nb"`), CodePromiseMalformed},
		"no number":           {sign(promise, `,"seq":1`, ``), CodePromiseMalformed},
		"null for a number":   {sign(promise, `"seq":1`, `"seq":null`), CodePromiseMalformed},
		"no time":             {sign(promise, `"iat":1800000000,`, ``), CodePromiseMalformed},
		"deadline at once":    {sign(promise, `"deadline":1800000060`, `"deadline":1800000000`), CodePromiseMalformed},
		"negative number":     {sign(promise, `"seq":1`, `"seq":-1`), CodePromiseMalformed},
		"huge number":         {sign(promise, `"seq":1`, `"seq":1000000000000000`), CodePromiseMalformed},
	} {
		if v, err := VerifyPromise(test.token, s.keys); CodeOf(err) != test.code || v != nil {
			t.Errorf("%s: %v, want %s", name, err, test.code)
		}
	}
	wrong := Keys{s.kid: other.keys[other.kid]}
	if _, err := VerifyPromise(token, wrong); CodeOf(err) != CodePromiseSignature {
		t.Errorf("other key: %v", err)
	}
	if _, err := VerifyPromise(token, Keys{s.kid: nil}); CodeOf(err) != CodeKeyUnknown {
		t.Errorf("no real key: %v", err)
	}
	p := testPromise(s, entry)
	p.Sequence = maxNumber
	if last, err := p.Sign(s.kid, s.key); err != nil {
		t.Error(err)
	} else if _, err := VerifyPromise(last, s.keys); err != nil {
		t.Errorf("the last record that there can be: %v", err)
	}
	if _, err := p.Sign(s.kid, p256); err == nil {
		t.Error("signed with P-256")
	}
	p.Server = did.DID{}
	if _, err := p.Sign(s.kid, s.key); CodeOf(err) != CodePromiseMalformed {
		t.Errorf("signed for nobody: %v", err)
	}
}

package jws_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"strings"
	"testing"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/lestrrat-go/jwx/v2/jwa"
	jwxjws "github.com/lestrrat-go/jwx/v2/jws"

	"github.com/touchmark-dev/touchmark/internal/jws"
)

func newKeys(t testing.TB) map[string]crypto.Signer {
	t.Helper()
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]crypto.Signer{jws.EdDSA: ed, jws.ES256: ec}
}

// handle signs like a hardware key: nothing is known of it but the interface.
type handle struct{ inner crypto.Signer }

func (h handle) Public() crypto.PublicKey { return h.inner.Public() }

func (h handle) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return h.inner.Sign(r, digest, opts)
}

func TestSignAndVerify(t *testing.T) {
	keys := newKeys(t)
	for alg, key := range keys {
		for _, signer := range []crypto.Signer{key, handle{key}} {
			token, err := jws.Sign(jws.Header{Typ: "JWT", Kid: "<ca&1>"}, []byte(`{"a":1}`), signer)
			if err != nil {
				t.Fatal(err)
			}
			m, err := jws.Parse(token)
			if err != nil {
				t.Fatal(err)
			}
			if m.Header != (jws.Header{Alg: alg, Typ: "JWT", Kid: "<ca&1>"}) || string(m.Payload) != `{"a":1}` || m.Token() != token {
				t.Errorf("parsed as %+v", m)
			}
			if v, err := m.PayloadValue(); err != nil || v != `{"a":1}` {
				t.Errorf("payload %q, %v", v, err)
			}
			if err := m.Verify(key.Public()); err != nil {
				t.Error(err)
			}
			for other, wrong := range newKeys(t) {
				if err := m.Verify(wrong.Public()); !errors.Is(err, jws.ErrSignature) {
					t.Errorf("%s token, another key of %s: %v", alg, other, err)
				}
			}
			if _, err := jwxjws.Verify([]byte(token), jwxjws.WithKey(jwa.SignatureAlgorithm(alg), key.Public())); err != nil {
				t.Errorf("jwx disagrees: %v", err)
			}
		}
	}
}

func TestSignRefused(t *testing.T) {
	keys := newKeys(t)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ed := keys[jws.EdDSA]
	for name, sign := range map[string]func() (string, error){
		"no key":     func() (string, error) { return jws.Sign(jws.Header{Typ: "JWT"}, []byte("x"), nil) },
		"P-384":      func() (string, error) { return jws.Sign(jws.Header{Typ: "JWT"}, []byte("x"), p384) },
		"no typ":     func() (string, error) { return jws.Sign(jws.Header{}, []byte("x"), ed) },
		"alg":        func() (string, error) { return jws.Sign(jws.Header{Alg: jws.ES256, Typ: "JWT"}, []byte("x"), ed) },
		"no payload": func() (string, error) { return jws.Sign(jws.Header{Typ: "JWT"}, nil, ed) },
		"too large":  func() (string, error) { return jws.Sign(jws.Header{Typ: "JWT"}, make([]byte, 16<<10), ed) },
		"long kid": func() (string, error) {
			return jws.Sign(jws.Header{Typ: "JWT", Kid: strings.Repeat("k", 513)}, []byte("x"), ed)
		},
		"failing key": func() (string, error) { return jws.Sign(jws.Header{Typ: "JWT"}, []byte("x"), broken{ed}) },
	} {
		if token, err := sign(); err == nil {
			t.Errorf("%s: signed %s", name, token)
		}
	}
}

type broken struct{ crypto.Signer }

func (broken) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("the key is locked")
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func TestMalformed(t *testing.T) {
	const sig = "AAAA"
	good := b64(`{"alg":"EdDSA","typ":"JWT"}`)
	body := b64(`{}`)
	header := func(h string) string { return b64(h) + "." + body + "." + sig }
	seen := make(map[string]string)
	for name, c := range map[string]struct{ token, reason string }{
		"empty":              {"", "not three parts"},
		"one dot":            {good + "." + body, "not three parts"},
		"four parts":         {good + "." + body + "." + sig + ".", "not three parts"},
		"five parts":         {"a.b.c.d.e", "not three parts"},
		"JSON serialization": {`{"payload":"","signatures":[]}`, "not three parts"},
		"long":               {header(`{"alg":"EdDSA","typ":"JWT"}`) + strings.Repeat("A", jws.MaxTokenBytes), "more than 16384 bytes"},
		"no header":          {"." + body + "." + sig, "the header is empty"},
		"no payload":         {good + ".." + sig, "the payload is empty"},
		"no signature":       {good + "." + body + ".", "the signature is empty"},
		"padded header":      {good + "=." + body + "." + sig, "the header is not strict base64url"},
		"padded payload":     {good + "." + body + "=." + sig, "the payload is not strict base64url"},
		"padded signature":   {good + "." + body + "." + sig + "=", "the signature is not strict base64url"},
		"space":              {" " + good + "." + body + "." + sig, "the header is not strict base64url"},
		"trailing space":     {good + "." + body + "." + sig + " ", "the signature is not strict base64url"},
		"newline in header":  {good[:4] + "\n" + good[4:] + "." + body + "." + sig, "the header has a line break"},
		"newline in payload": {good + "." + body + "\r\n." + sig, "the payload has a line break"},
		"newline at the end": {good + "." + body + "." + sig + "\n", "the signature has a line break"},
		"standard base64":    {good + "." + body + ".+/AA", "the signature is not strict base64url"},
		"unused bits":        {good + "." + body + ".AAB", "the signature is not strict base64url"},
		"one char":           {good + "." + body + ".A", "the signature is not strict base64url"},
		"NUL":                {good + "." + body + ".AAAA\x00", "the signature is not strict base64url"},
		"header not JSON":    {header(`alg`), "header: strictjson"},
		"header array":       {header(`["EdDSA"]`), "the header is not a JSON object"},
		"header twice":       {header(`{"alg":"EdDSA","typ":"JWT"}{}`), "header: strictjson: text after"},
		"alg twice":          {header(`{"alg":"EdDSA","alg":"EdDSA","typ":"JWT"}`), `header: strictjson: jsontext: duplicate object member name "alg"`},
		"alg twice, escaped": {header(`{"alg":"EdDSA","\u0061lg":"none","typ":"JWT"}`), "header: strictjson: jsontext: duplicate"},
		"no alg":             {header(`{"typ":"JWT"}`), "the header has no alg"},
		"ALG":                {header(`{"ALG":"EdDSA","typ":"JWT"}`), `header member "ALG" is not allowed`},
		"alg none":           {header(`{"alg":"none","typ":"JWT"}`), `header member alg is "none"`},
		"alg HS256":          {header(`{"alg":"HS256","typ":"JWT"}`), `header member alg is "HS256"`},
		"alg RS256":          {header(`{"alg":"RS256","typ":"JWT"}`), `header member alg is "RS256"`},
		"alg ES384":          {header(`{"alg":"ES384","typ":"JWT"}`), `header member alg is "ES384"`},
		"alg eddsa":          {header(`{"alg":"eddsa","typ":"JWT"}`), `header member alg is "eddsa"`},
		"alg number":         {header(`{"alg":1,"typ":"JWT"}`), "header member alg is not a string"},
		"alg null":           {header(`{"alg":null,"typ":"JWT"}`), "header member alg is not a string"},
		"alg empty":          {header(`{"alg":"","typ":"JWT"}`), "header member alg is empty"},
		"no typ":             {header(`{"alg":"EdDSA"}`), "the header has no typ"},
		"typ empty":          {header(`{"alg":"EdDSA","typ":""}`), "header member typ is empty"},
		"typ array":          {header(`{"alg":"EdDSA","typ":["JWT"]}`), "header member typ is not a string"},
		"kid number":         {header(`{"alg":"EdDSA","typ":"JWT","kid":1}`), "header member kid is not a string"},
		"kid empty":          {header(`{"alg":"EdDSA","typ":"JWT","kid":""}`), "header member kid is empty"},
		"kid long":           {header(`{"alg":"EdDSA","typ":"JWT","kid":"` + strings.Repeat("k", 513) + `"}`), "header member kid is longer"},
		"crit":               {header(`{"alg":"EdDSA","typ":"JWT","crit":["exp"],"exp":1}`), `header member "crit" is not allowed`},
		"crit empty":         {header(`{"alg":"EdDSA","typ":"JWT","crit":[]}`), `header member "crit" is not allowed`},
		"b64":                {header(`{"alg":"EdDSA","typ":"JWT","b64":false}`), `header member "b64" is not allowed`},
		"jku":                {header(`{"alg":"EdDSA","typ":"JWT","jku":"https://x"}`), `header member "jku" is not allowed`},
		"jwk":                {header(`{"alg":"EdDSA","typ":"JWT","jwk":{}}`), `header member "jwk" is not allowed`},
		"x5u":                {header(`{"alg":"EdDSA","typ":"JWT","x5u":"https://x"}`), `header member "x5u" is not allowed`},
		"x5c":                {header(`{"alg":"EdDSA","typ":"JWT","x5c":[]}`), `header member "x5c" is not allowed`},
		"x5t":                {header(`{"alg":"EdDSA","typ":"JWT","x5t":"AA"}`), `header member "x5t" is not allowed`},
		"x5t#S256":           {header(`{"alg":"EdDSA","typ":"JWT","x5t#S256":"AA"}`), `header member "x5t#S256" is not allowed`},
		"zip":                {header(`{"alg":"EdDSA","typ":"JWT","zip":"DEF"}`), `header member "zip" is not allowed`},
		"cty":                {header(`{"alg":"EdDSA","typ":"JWT","cty":"JWT"}`), `header member "cty" is not allowed`},
		"unknown":            {header(`{"alg":"EdDSA","typ":"JWT","foo":1}`), `header member "foo" is not allowed`},
	} {
		m, err := jws.Parse(c.token)
		var malformed *jws.MalformedError
		if !errors.As(err, &malformed) {
			t.Errorf("%s: got %v, %v", name, m, err)
			continue
		}
		if !strings.HasPrefix(malformed.Reason, c.reason) {
			t.Errorf("%s: reason %q, want %q", name, malformed.Reason, c.reason)
		}
		seen[malformed.Reason] = name
	}
	if len(seen) < 40 {
		t.Errorf("only %d different reasons", len(seen))
	}
}

// TestRFC8037 is the example of RFC 8037, appendix A.4. It has no typ, which only the lenient reader allows.
func TestRFC8037(t *testing.T) {
	const token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc." +
		"hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
	key, err := base64.RawURLEncoding.DecodeString("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := jws.Parse(token); err == nil {
		t.Error("a token without typ was parsed")
	}
	m, err := jws.ParseAllowMissingTyp(token)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Verify(ed25519.PublicKey(key)); err != nil || string(m.Payload) != "Example of Ed25519 signing" {
		t.Errorf("%q, %v", m.Payload, err)
	}
	if _, err := m.PayloadValue(); err == nil {
		t.Error("text was taken for JSON")
	}
}

func TestVerifyRefused(t *testing.T) {
	keys := newKeys(t)
	token, err := jws.Sign(jws.Header{Typ: "JWT"}, []byte("x"), keys[jws.EdDSA])
	if err != nil {
		t.Fatal(err)
	}
	m, err := jws.Parse(token)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []crypto.PublicKey{
		nil, ed25519.PublicKey(nil), ed25519.PublicKey("short"), &p384.PublicKey, (*ecdsa.PublicKey)(nil), []byte("secret"),
	} {
		if err := m.Verify(key); err == nil {
			t.Errorf("%T verified", key)
		}
	}
	if jws.TokenHash(token) != sha256.Sum256([]byte(token)) || jws.TokenHash("") != sha256.Sum256(nil) {
		t.Error("a token's hash is not its SHA-256")
	}
	long := strings.Repeat("x", 5000)
	if jws.TokenHash(long) != sha256.Sum256([]byte(long)) {
		t.Error("a long token's hash is not its SHA-256")
	}
	if _, err := jws.ParseMax(token, len(token)-1); err == nil {
		t.Error("a token over the limit was parsed")
	}
}

// TestMangled: no part of a good token, and no token with one byte changed, verifies.
func TestMangled(t *testing.T) {
	key := newKeys(t)[jws.EdDSA]
	token, err := jws.Sign(jws.Header{Typ: "JWT", Kid: "k"}, []byte(`{"a":1}`), key)
	if err != nil {
		t.Fatal(err)
	}
	check := func(text string) {
		t.Helper()
		if m, err := jws.Parse(text); err == nil && m.Verify(key.Public()) == nil {
			t.Errorf("%s verified", text)
		}
	}
	for i := range token {
		for j := i; j <= len(token); j++ {
			if j-i < len(token) {
				check(token[i:j])
			}
		}
		b := []byte(token)
		b[i]++
		check(string(b))
		check(token[:i] + "\n" + token[i:])
		check(token[:i] + "=" + token[i:])
	}
}

// FuzzParse: what our parser accepts, both libraries read alike.
func FuzzParse(f *testing.F) {
	for _, key := range newKeys(f) {
		token, err := jws.Sign(jws.Header{Typ: "JWT", Kid: "k"}, []byte(`{"a":1}`), key)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(token)
	}
	f.Add("eyJhbGciOiJFZERTQSJ9.e30.AA")
	f.Add(b64(`{"alg":"EdDSA","typ":"JWT","crit":[]}`) + ".e30.AA")
	f.Fuzz(func(t *testing.T, token string) {
		m, err := jws.ParseAllowMissingTyp(token)
		if err != nil {
			var malformed *jws.MalformedError
			if !errors.As(err, &malformed) {
				t.Fatalf("%v is a %T", err, err)
			}
			return
		}
		theirs, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.EdDSA, jose.ES256})
		if err != nil {
			t.Fatalf("go-jose refuses %q: %v", token, err)
		}
		h := theirs.Signatures[0].Protected
		if h.Algorithm != m.Alg || h.KeyID != m.Kid || !bytes.Equal(theirs.UnsafePayloadWithoutVerification(), m.Payload) {
			t.Errorf("go-jose reads %+v, we read %+v", h, m)
		}
		other, err := jwxjws.ParseString(token)
		if err != nil {
			t.Fatalf("jwx refuses %q: %v", token, err)
		}
		p := other.Signatures()[0].ProtectedHeaders()
		if string(p.Algorithm()) != m.Alg || p.KeyID() != m.Kid || p.Type() != m.Typ || !bytes.Equal(other.Payload(), m.Payload) {
			t.Errorf("jwx reads %v, we read %+v", p, m)
		}
	})
}

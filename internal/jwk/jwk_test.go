package jwk_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/touchmark-dev/touchmark/internal/jwk"
)

// The key of RFC 8037, appendix A.
const (
	rfcPublic     = `{"crv":"Ed25519","kty":"OKP","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
	rfcPrivate    = `{"crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","kty":"OKP","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
	rfcThumbprint = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
)

// A point on P-256, from RFC 7517 appendix A.1.
const p256Public = `{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","use":"sig","kid":"1"}`

func TestParsePublic(t *testing.T) {
	p, err := jwk.ParsePublic([]byte(rfcPublic))
	if err != nil {
		t.Fatal(err)
	}
	thumb, err := jwk.Thumbprint(p.Key)
	if err != nil || thumb != rfcThumbprint {
		t.Errorf("thumbprint %s, %v, want %s", thumb, err, rfcThumbprint)
	}
	out, err := jwk.Marshal(p.Key, "")
	if err != nil || string(out) != rfcPublic {
		t.Errorf("Marshal = %s, %v", out, err)
	}
	p, err = jwk.ParsePublic([]byte(p256Public))
	if err != nil || p.KeyID != "1" || p.Use != "sig" {
		t.Fatalf("got %+v, %v", p, err)
	}
	if _, ok := p.Key.(*ecdsa.PublicKey); !ok {
		t.Errorf("got a %T", p.Key)
	}
}

// TestThumbprintsAgree compares with go-jose for both kinds.
func TestThumbprintsAgree(t *testing.T) {
	for _, text := range []string{rfcPublic, p256Public} {
		p, err := jwk.ParsePublic([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		ours, err := jwk.Thumbprint(p.Key)
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := (&jose.JSONWebKey{Key: p.Key}).Thumbprint(crypto.SHA256)
		if err != nil || ours != b64(theirs) {
			t.Errorf("thumbprint %s, go-jose says %s, %v", ours, b64(theirs), err)
		}
	}
}

func TestRefusedPublic(t *testing.T) {
	x := `"x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"`
	for name, text := range map[string]string{
		"not JSON":         `{`,
		"array":            `[]`,
		"duplicate":        `{"kty":"OKP","crv":"Ed25519",` + x + `,` + x + `}`,
		"no kty":           `{"crv":"Ed25519",` + x + `}`,
		"kty number":       `{"kty":1,"crv":"Ed25519",` + x + `}`,
		"kty lower case":   `{"kty":"okp","crv":"Ed25519",` + x + `}`,
		"X25519":           `{"kty":"OKP","crv":"X25519",` + x + `}`,
		"no x":             `{"kty":"OKP","crv":"Ed25519"}`,
		"short x":          `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHUQ"}`,
		"long x":           `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURoA"}`,
		"padded x":         `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo="}`,
		"standard base64":  `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`,
		"unused bits":      `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURp"}`,
		"line break in x":  `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHUR\n"}`,
		"y":                `{"kty":"OKP","crv":"Ed25519",` + x + `,"y":"AA"}`,
		"d":                rfcPrivate,
		"k":                `{"kty":"OKP","crv":"Ed25519",` + x + `,"k":"AA"}`,
		"priv":             `{"kty":"OKP","crv":"Ed25519",` + x + `,"priv":"AA"}`,
		"small order":      `{"kty":"OKP","crv":"Ed25519","x":"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`,
		"use enc":          `{"kty":"OKP","crv":"Ed25519",` + x + `,"use":"enc"}`,
		"alg of another":   `{"kty":"OKP","crv":"Ed25519",` + x + `,"alg":"ES256"}`,
		"key_ops sign":     `{"kty":"OKP","crv":"Ed25519",` + x + `,"key_ops":["sign"]}`,
		"key_ops string":   `{"kty":"OKP","crv":"Ed25519",` + x + `,"key_ops":"verify"}`,
		"key_ops number":   `{"kty":"OKP","crv":"Ed25519",` + x + `,"key_ops":[1]}`,
		"empty kid":        `{"kty":"OKP","crv":"Ed25519",` + x + `,"kid":""}`,
		"symmetric":        `{"kty":"oct","k":"AA"}`,
		"P-384":            `{"kty":"EC","crv":"P-384","x":"AA","y":"AA"}`,
		"off the curve":    strings.Replace(p256Public, "4Etl", "4Etm", 1),
		"no P-256 x":       `{"kty":"EC","crv":"P-256","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}`,
		"no y":             `{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4"}`,
		"more than a key":  rfcPublic + rfcPublic,
		"larger than read": `{"kty":"OKP","crv":"Ed25519",` + x + `,"pad":"` + strings.Repeat("x", jwk.MaxBytes) + `"}`,
	} {
		if p, err := jwk.ParsePublic([]byte(text)); err == nil {
			t.Errorf("%s: got %+v", name, p)
		}
	}
	if _, err := jwk.ParsePublic([]byte(`{"kty":"OKP","crv":"Ed25519",` + x + `,"key_ops":["sign","verify"],"alg":"EdDSA","use":"sig","X":1}`)); err != nil {
		t.Error(err)
	}
}

func TestPrivate(t *testing.T) {
	k, err := jwk.ParsePrivate([]byte(rfcPrivate))
	if err != nil {
		t.Fatal(err)
	}
	k.KeyID = `a "quoted" id`
	out, err := jwk.MarshalPrivate(k)
	if err != nil {
		t.Fatal(err)
	}
	again, err := jwk.ParsePrivate(out)
	if err != nil || !again.Key.Equal(k.Key) || again.KeyID != k.KeyID {
		t.Errorf("round trip: %v, %v", again, err)
	}
	for _, format := range []string{"%v", "%s", "%+v", "%#v"} {
		shown := fmt.Sprintf(format, k)
		if strings.Contains(shown, "157") || strings.Contains(shown, "9d") || !strings.Contains(shown, "quoted") {
			t.Errorf("%s shows %s", format, shown)
		}
	}
	for name, text := range map[string]string{
		"public":           rfcPublic,
		"another half":     strings.Replace(rfcPrivate, "nWGx", "nWGy", 1),
		"P-256":            p256Public,
		"not JSON":         `{"d":"secret"`,
		"array":            `[]`,
		"no public half":   `{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"}`,
		"short d":          strings.Replace(rfcPrivate, "nWGxne", "nWG", 1),
		"use enc":          strings.Replace(rfcPrivate, `{`, `{"use":"enc",`, 1),
		"larger":           strings.Repeat(" ", jwk.MaxBytes) + rfcPrivate,
		"unused bits of d": strings.Replace(rfcPrivate, "yuf2A", "yuf2B", 1),
	} {
		k, err := jwk.ParsePrivate([]byte(text))
		if err == nil {
			t.Errorf("%s: got %v", name, k)
		} else if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "nWG") {
			t.Errorf("%s: the error gives the key away: %v", name, err)
		}
	}
	if _, err := jwk.MarshalPrivate(&jwk.Private{}); err == nil {
		t.Error("an empty key was written")
	}
}

func TestMarshalRefused(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := jwk.ParsePublic([]byte(p256Public))
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []*jwk.Public{{}, {Key: ec.Key, Alg: jwk.AlgEd25519}, {Key: ec.Key, Use: "enc"}} {
		if out, err := jwk.MarshalSet([]*jwk.Public{k}); err == nil {
			t.Errorf("wrote %s", out)
		}
	}
	if out, err := jwk.Marshal(ed25519.PublicKey(make([]byte, 32)), "\xff"); err == nil {
		t.Errorf("wrote %s", out)
	}
	if jwk.CheckEd25519(nil) == nil {
		t.Error("no key is a key")
	}
	for _, key := range []crypto.PublicKey{nil, ed25519.PublicKey{1}, &p384.PublicKey, (*ecdsa.PublicKey)(nil), "key"} {
		if out, err := jwk.Marshal(key, ""); err == nil {
			t.Errorf("%T: wrote %s", key, out)
		}
		if _, err := jwk.Thumbprint(key); err == nil {
			t.Errorf("%T: has a thumbprint", key)
		}
	}
}

func TestParseSet(t *testing.T) {
	other := `{"kty":"RSA","n":"AQAB","e":"AQAB"}`
	encryption := strings.Replace(p256Public, `"sig"`, `"enc"`, 1)
	keys, err := jwk.ParseSet([]byte(`{"keys":[` + other + `,` + rfcPublic + `,` + encryption + `,` + p256Public + `],"more":1}`))
	if err != nil || len(keys) != 2 || keys[1].KeyID != "1" {
		t.Errorf("got %v, %v", keys, err)
	}
	out, err := jwk.MarshalSet(keys)
	if err != nil {
		t.Fatal(err)
	}
	again, err := jwk.ParseSet(out)
	if err != nil || len(again) != 2 || again[1].Alg != keys[1].Alg || again[1].Use != "sig" || again[1].KeyID != "1" {
		t.Errorf("round trip: %v, %v", again, err)
	}
	if keys, err := jwk.ParseSet([]byte(`{"keys":[]}`)); err != nil || len(keys) != 0 {
		t.Errorf("empty set: %v, %v", keys, err)
	}
	for name, text := range map[string]string{
		"array":        `[` + rfcPublic + `]`,
		"no keys":      `{}`,
		"keys object":  `{"keys":{}}`,
		"private key":  `{"keys":[` + rfcPrivate + `]}`,
		"kid twice":    `{"keys":[` + p256Public + `,` + p256Public + `]}`,
		"bad key":      `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA"}]}`,
		"many keys":    `{"keys":[` + strings.TrimSuffix(strings.Repeat(other+",", jwk.MaxKeys+1), ",") + `]}`,
		"keys twice":   `{"keys":[],"keys":[]}`,
		"null":         `{"keys":[null]}`,
		"larger":       strings.Repeat(" ", jwk.MaxSetBytes) + `{"keys":[]}`,
		"private RSA":  `{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB","d":"AQAB"}]}`,
		"secret key":   `{"keys":[{"kty":"oct","k":"AQAB"}]}`,
		"trailing":     `{"keys":[]} {}`,
		"kid a number": `{"keys":[{"kty":"OKP","kid":1}]}`,
	} {
		if keys, err := jwk.ParseSet([]byte(text)); err == nil {
			t.Errorf("%s: got %v", name, keys)
		}
	}
}

// TestSmallOrder runs the keys of C2SP/CCTV that are of small order, in all their spellings.
func TestSmallOrder(t *testing.T) {
	data, err := os.ReadFile("../../../shared/corpora/ed25519-cctv/ed25519vectors.json")
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("the CCTV vectors are not at ../shared/corpora")
	}
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Number int
		Key    string
		Flags  []string
	}
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	low := 0
	for _, v := range vectors {
		key, err := hex.DecodeString(v.Key)
		if err != nil {
			t.Fatal(err)
		}
		want := slices.Contains(v.Flags, "low_order_A")
		if got := jwk.CheckEd25519(key) != nil; got != want {
			t.Errorf("vector %d: key %s refused: %v, of small order: %v", v.Number, v.Key, got, want)
		}
		if want {
			low++
		}
	}
	if low == 0 {
		t.Error("no vector has a key of small order")
	}
}

func FuzzParsePublic(f *testing.F) {
	for _, text := range []string{rfcPublic, p256Public, rfcPrivate, `{"keys":[` + rfcPublic + `]}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = jwk.ParseSet(data)
		_, _ = jwk.ParsePrivate(data)
		p, err := jwk.ParsePublic(data)
		if err != nil {
			return
		}
		out, err := jwk.Marshal(p.Key, p.KeyID)
		if err != nil {
			t.Fatalf("read but not written: %v", err)
		}
		var theirs jose.JSONWebKey
		if err := theirs.UnmarshalJSON(out); err != nil || !theirs.Valid() || !theirs.IsPublic() {
			t.Errorf("go-jose refuses %s: %v", out, err)
		}
	})
}

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

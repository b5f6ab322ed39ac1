package did_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/did"
)

// The did:key of the Ed25519 seed of 32 zero bytes, as did-method-key
// publishes it.
const zeroSeedDID = "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp"

func zeroSeedKey() ed25519.PublicKey {
	return ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)).Public().(ed25519.PublicKey)
}

func TestKey(t *testing.T) {
	d := did.FromKey(zeroSeedKey())
	if d.String() != zeroSeedDID {
		t.Fatalf("FromKey = %q, want %q", d, zeroSeedDID)
	}
	parsed, err := did.Parse(zeroSeedDID)
	if err != nil || parsed != d {
		t.Fatalf("Parse = %q, %v", parsed, err)
	}
	pub, err := d.PublicKey()
	if err != nil || !pub.Equal(zeroSeedKey()) {
		t.Errorf("PublicKey = %x, %v", pub, err)
	}
	if d.Method() != did.MethodKey || d.IsZero() {
		t.Errorf("Method = %q, IsZero = %v", d.Method(), d.IsZero())
	}
	if want := zeroSeedDID + "#" + zeroSeedDID[len("did:key:"):]; d.KeyURL() != want {
		t.Errorf("KeyURL = %q, want %q", d.KeyURL(), want)
	}
	for name, f := range map[string]func() (string, error){
		"Origin": d.Origin, "BaseURL": d.BaseURL, "DocumentURL": d.DocumentURL,
	} {
		if s, err := f(); err == nil {
			t.Errorf("%s of a did:key = %q", name, s)
		}
	}
	if d.PathSegments() != nil {
		t.Error("a did:key has path segments")
	}
}

// badKeys are encodings of keys that identify nobody.
var badKeys = map[string]string{
	"empty":               "",
	"short":               strings.Repeat("11", 31),
	"long":                strings.Repeat("11", 33),
	"identity":            "01" + strings.Repeat("00", 31),
	"order 2":             "ec" + strings.Repeat("ff", 30) + "7f",
	"order 4":             strings.Repeat("00", 32),
	"order 4, sign":       strings.Repeat("00", 31) + "80",
	"order 8":             "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"order 8, sign":       "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
	"order 8, other":      "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"order 8, other sign": "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
	"p":                   "ed" + strings.Repeat("ff", 30) + "7f",
	"p+1":                 "ee" + strings.Repeat("ff", 30) + "7f",
	"p+3":                 "f0" + strings.Repeat("ff", 30) + "7f",
	"p+18, sign":          strings.Repeat("ff", 32),
}

func TestFromKeyBadKeys(t *testing.T) {
	for name, text := range badKeys {
		key, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		if d := did.FromKey(key); !d.IsZero() {
			t.Errorf("%s: FromKey = %q", name, d)
		}
	}
	ff := strings.Repeat("\xff", 30)
	for _, key := range []string{ // canonical y coordinates near p, or with its bytes
		"\xeb" + ff + "\x7f", "\xff" + ff + "\x00", "\xff" + ff + "\x7e", "\xff" + ff[1:] + "\xfe\x7f",
	} {
		if did.FromKey(ed25519.PublicKey(key)).IsZero() {
			t.Errorf("%x is refused", key)
		}
	}
	if did.FromKey(nil) != (did.DID{}) {
		t.Error("FromKey(nil) is not the zero DID")
	}
}

func TestZeroDID(t *testing.T) {
	var d did.DID
	if !d.IsZero() || d.String() != "" || d.Method() != "" || d.KeyURL() != "" || d.PathSegments() != nil {
		t.Error("the zero DID has parts")
	}
	if _, err := d.PublicKey(); err == nil {
		t.Error("the zero DID has a key")
	}
	if _, err := d.Origin(); err == nil {
		t.Error("the zero DID has an origin")
	}
	if err := d.UnmarshalText(nil); err == nil {
		t.Error("empty text is read as a DID")
	}
	if s := (did.URL{}).String(); s != "" || !(did.URL{}).IsZero() {
		t.Errorf("the zero URL is %q", s)
	}
}

func TestText(t *testing.T) {
	in := map[did.DID]did.DID{did.MustParse("did:web:a.example"): did.MustParse(zeroSeedDID)}
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var out map[did.DID]did.DID
	if err := json.Unmarshal(text, &out); err != nil || len(out) != 1 || out[did.MustParse("did:web:a.example")] != did.MustParse(zeroSeedDID) {
		t.Errorf("%s became %v, %v", text, out, err)
	}
	if err := json.Unmarshal([]byte(`{"did:web:A.example":"did:web:b.example"}`), &out); err == nil {
		t.Error("UnmarshalText does not check")
	}
}

func TestMustParsePanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	did.MustParse("did:web:")
}

// Every change of one character of a did:key is refused or names another key.
func TestEveryByteOfAKeyCounts(t *testing.T) {
	d := did.MustParse(zeroSeedDID)
	for i := range len(zeroSeedDID) {
		for c := range 256 {
			mangled := []byte(zeroSeedDID)
			if mangled[i] == byte(c) {
				continue
			}
			mangled[i] = byte(c)
			other, err := did.Parse(string(mangled))
			if err == nil && (other == d || samePublicKey(t, other, d)) {
				t.Fatalf("%q is %q", mangled, d)
			}
		}
		if _, err := did.Parse(zeroSeedDID[:i]); err == nil {
			t.Errorf("%q is accepted", zeroSeedDID[:i])
		}
		if _, err := did.Parse(zeroSeedDID[i+1:]); err == nil {
			t.Errorf("%q is accepted", zeroSeedDID[i+1:])
		}
	}
}

func samePublicKey(t *testing.T, a, b did.DID) bool {
	t.Helper()
	ka, err := a.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	kb, err := b.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Equal(ka, kb)
}

func TestParseErrorIsTypedAndShort(t *testing.T) {
	_, err := did.Parse("did:web:" + strings.Repeat("x", 10_000))
	var refused *did.ParseError
	if !errors.As(err, &refused) {
		t.Fatalf("%T", err)
	}
	if len(err.Error()) > 400 {
		t.Errorf("message of %d bytes", len(err.Error()))
	}
}

func TestLengthLimit(t *testing.T) {
	text := "did:web:a.example:"
	text += strings.Repeat("x", did.MaxLength-len(text))
	if _, err := did.Parse(text); err != nil {
		t.Errorf("%d bytes: %v", len(text), err)
	}
	if _, err := did.Parse(text + "x"); err == nil {
		t.Errorf("%d bytes are accepted", len(text)+1)
	}
}

func TestParseURL(t *testing.T) {
	u, err := did.ParseURL("did:web:a.example#key-1")
	if err != nil || u.DID != did.MustParse("did:web:a.example") || u.Fragment != "key-1" || u.IsZero() {
		t.Fatalf("ParseURL = %+v, %v", u, err)
	}
	for _, s := range []string{
		"did:web:a.example#a", zeroSeedDID + "#z6Mk", "did:web:a.example#a%2Fb", "did:web:a.example#~!$&'()*+,;=:@/?",
		"did:web:a.example#" + strings.Repeat("k", did.MaxFragment),
	} {
		u, err := did.ParseURL(s)
		if err != nil || u.String() != s {
			t.Errorf("ParseURL(%q) = %q, %v", s, u, err)
		}
		if !u.DID.HasURL(s) || u.DID.HasURL(s[:len(s)-len(u.Fragment)]) || (did.DID{}).HasURL(s) || did.MustParse("did:web:b.example").HasURL(s) {
			t.Errorf("HasURL(%q) does not agree with ParseURL", s)
		}
	}
	for _, s := range []string{
		"", "#", "#k", "did:web:a.example", "did:web:a.example#", "did:web:a.example##", "did:web:a.example#a#b",
		"did:web:a.example/path#k", "did:web:a.example?v=1#k", "did:web:a.example;v=1#k", "did:web:a.example#a b",
		"did:web:a.example#%2f", "did:web:a.example#%2", "did:web:a.example#%", "did:web:a.example#%GG",
		"did:web:a.example#é", "did:web:a.example#a\n", `did:web:a.example#"`, "did:web:A.example#k",
		"did:web:a.example#" + strings.Repeat("k", did.MaxFragment+1),
	} {
		if u, err := did.ParseURL(s); err == nil {
			t.Errorf("ParseURL(%q) = %q", s, u)
		}
		if did.MustParse("did:web:a.example").HasURL(s) || (did.DID{}).HasURL(s) {
			t.Errorf("HasURL(%q) does not agree with ParseURL", s)
		}
	}
}

package did_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jwk"
)

var exampleDID = did.MustParse("did:web:a.example")

func edKey(n byte) ed25519.PublicKey {
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = n
	return ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
}

func p256Key(t testing.TB, n byte) *ecdsa.PublicKey {
	t.Helper()
	scalar := make([]byte, 32)
	scalar[31] = n
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar)
	if err != nil {
		t.Fatal(err)
	}
	return &key.PublicKey
}

func jwkText(t testing.TB, key crypto.PublicKey) string {
	t.Helper()
	text, err := jwk.Marshal(key, "")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// multibase is the publicKeyMultibase of an Ed25519 key.
func multibase(key ed25519.PublicKey) string {
	return strings.TrimPrefix(did.FromKey(key).String(), "did:key:")
}

// method is the text of a verification method of did:web:a.example.
func method(id, typ, members string) string {
	return fmt.Sprintf(`{"id":%q,"type":%q,"controller":"did:web:a.example",%s}`, id, typ, members)
}

// document is the text of a document of did:web:a.example.
func document(members ...string) string {
	return `{"id":"did:web:a.example"` + strings.Join(append([]string{""}, members...), ",") + `}`
}

func methods(m ...string) string { return `"verificationMethod":[` + strings.Join(m, ",") + `]` }

func parse(t *testing.T, text string) *did.Document {
	t.Helper()
	doc, err := did.ParseDocument([]byte(text), exampleDID)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return doc
}

func refusedDocument(t *testing.T, text, reason string) {
	t.Helper()
	doc, err := did.ParseDocument([]byte(text), exampleDID)
	var refused *did.DocumentError
	switch {
	case !errors.As(err, &refused):
		t.Errorf("no refusal (%+v, %v) of %s", doc, err, text)
	case refused.DID != exampleDID || !strings.Contains(refused.Reason, reason):
		t.Errorf("refused with %q, want %q: %s", refused.Reason, reason, text)
	}
}

func ids(doc *did.Document) []string {
	var out []string
	for _, m := range doc.Methods {
		out = append(out, m.ID.Fragment)
	}
	return out
}

func TestParseDocument(t *testing.T) {
	ed := `"publicKeyJwk":` + jwkText(t, edKey(1))
	doc := parse(t, document(
		`"@context":["https://www.w3.org/ns/did/v1",{"x":1}],"controller":"did:web:b.example","service":[{"id":"#s"}]`,
		methods(
			method("did:web:a.example#jwk", "JsonWebKey2020", ed),
			method("#multibase", "Multikey", fmt.Sprintf(`"publicKeyMultibase":%q`, multibase(edKey(2)))),
			method("#both", "Ed25519VerificationKey2020", ed+fmt.Sprintf(`,"publicKeyMultibase":%q`, multibase(edKey(1)))),
			method("#2018", "Ed25519VerificationKey2018", ed),
			method("#p256", "EcdsaSecp256r1VerificationKey2019", `"publicKeyJwk":`+jwkText(t, p256Key(t, 1))),
			method("#p256m", "Multikey", `"publicKeyMultibase":"zDnaerDaTF5BXEavCrfRZEk316dpbLsfPDZ3WJ5hRTPFU2169"`),
			method("#jwk1", "JsonWebKey", ed),
		),
		`"authentication":["#jwk","did:web:a.example#p256","#jwk",`+method("#inline", "Multikey", ed)+`]`,
		`"assertionMethod":["#multibase","#inline"]`,
	))
	if got, want := ids(doc), []string{"jwk", "multibase", "both", "2018", "p256", "p256m", "jwk1", "inline"}; !slices.Equal(got, want) {
		t.Fatalf("methods %q, want %q", got, want)
	}
	if want := []string{"did:web:a.example#jwk", "did:web:a.example#p256", "did:web:a.example#inline"}; !slices.Equal(doc.Authentication, want) {
		t.Errorf("authentication %q, want %q", doc.Authentication, want)
	}
	// An embedded method serves its own relationship alone.
	if want := []string{"did:web:a.example#multibase"}; !slices.Equal(doc.AssertionMethod, want) {
		t.Errorf("assertionMethod %q, want %q", doc.AssertionMethod, want)
	}
	url := func(fragment string) did.URL { return did.URL{DID: exampleDID, Fragment: fragment} }
	m, ok := doc.Method(url("multibase"))
	if !ok || !edKey(2).Equal(m.Key) || m.Controller != exampleDID || m.Type != "Multikey" {
		t.Errorf("Method = %+v, %v", m, ok)
	}
	if m, ok := doc.Method(url("none")); ok {
		t.Errorf("Method of an unknown id = %+v", m)
	}
	if !doc.MayAuthenticate(url("inline")) || doc.MayAssert(url("inline")) || doc.MayAuthenticate(url("multibase")) ||
		!doc.MayAssert(url("multibase")) || doc.MayAuthenticate(did.URL{}) {
		t.Error("relationships are not kept apart")
	}
}

func TestDocumentGrantsNothingByItself(t *testing.T) {
	doc := parse(t, document(methods(method("#k", "JsonWebKey2020", `"publicKeyJwk":`+jwkText(t, edKey(1))))))
	id := did.URL{DID: exampleDID, Fragment: "k"}
	if doc.MayAuthenticate(id) || doc.MayAssert(id) {
		t.Error("a key without a relationship may be used")
	}
	if doc := parse(t, document()); len(doc.Methods) != 0 {
		t.Error("a document without methods has some")
	}
}

func TestMethodsLeftOut(t *testing.T) {
	notCanonical := ed25519.PublicKey("\xf0" + strings.Repeat("\xff", 30) + "\x7f") // p+3
	ed := `"publicKeyJwk":` + jwkText(t, edKey(1))
	for name, m := range map[string]string{
		"unknown type":           method("#k", "Ed25519Signature2099", ed),
		"type in another case":   method("#k", "jsonwebkey2020", ed),
		"no key":                 method("#k", "JsonWebKey2020", `"x":1`),
		"null key":               method("#k", "JsonWebKey2020", `"publicKeyJwk":null,"publicKeyMultibase":null`),
		"base58 key":             method("#k", "Ed25519VerificationKey2018", `"publicKeyBase58":"B12NYF8RrR3h41TDCTJojY59usg3mbtbjnFs7Eud1Y6u"`),
		"RSA key":                method("#k", "JsonWebKey2020", `"publicKeyJwk":{"kty":"RSA","n":"AQ","e":"AQAB"}`),
		"key for encryption":     method("#k", "JsonWebKey2020", strings.Replace(ed, `{`, `{"use":"enc",`, 1)),
		"X25519 key":             method("#k", "JsonWebKey2020", `"publicKeyJwk":{"kty":"OKP","crv":"X25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`),
		"key of small order":     method("#k", "JsonWebKey2020", `"publicKeyJwk":{"kty":"OKP","crv":"Ed25519","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`),
		"key not canonical":      method("#k", "JsonWebKey2020", `"publicKeyJwk":`+jwkText(t, notCanonical)),
		"multibase X25519":       method("#k", "Multikey", `"publicKeyMultibase":"z6LShs9GGnqk85isEBzzshkuVWrVKsRp24GnDuHk8QWkARMW"`),
		"multibase small order":  method("#k", "Multikey", fmt.Sprintf(`"publicKeyMultibase":%q`, did.EncodeMultikey(did.CodecEd25519, make([]byte, 32)))),
		"multibase bad point":    method("#k", "Multikey", fmt.Sprintf(`"publicKeyMultibase":%q`, did.EncodeMultikey(did.CodecP256, make([]byte, 33)))),
		"multibase base64":       method("#k", "Multikey", `"publicKeyMultibase":"u7QE"`),
		"multibase bad prefix":   method("#k", "Multikey", `"publicKeyMultibase":"z"`),
		"multibase too long":     method("#k", "Multikey", fmt.Sprintf(`"publicKeyMultibase":"z%s"`, strings.Repeat("1", 1000))),
		"multibase bad alphabet": method("#k", "Multikey", `"publicKeyMultibase":"z6Mk0OIl"`),
		"id of another DID":      method("did:web:b.example#k", "JsonWebKey2020", ed),
		"id that is a path":      method("/k", "JsonWebKey2020", ed),
		"id without a fragment":  method("did:web:a.example", "JsonWebKey2020", ed),
		"id with a query":        method("did:web:a.example?v=1#k", "JsonWebKey2020", ed),
		"id with a bad fragment": method("#a b", "JsonWebKey2020", ed),
		"another controller": fmt.Sprintf(`{"id":"#k","type":"JsonWebKey2020","controller":"did:web:b.example",%s}`,
			ed),
		"controller that is no DID": fmt.Sprintf(`{"id":"#k","type":"JsonWebKey2020","controller":"me",%s}`, ed),
	} {
		good := method("#good", "JsonWebKey2020", `"publicKeyJwk":`+jwkText(t, edKey(2)))
		for _, members := range [][]string{
			{methods(m, good), `"authentication":["#k","did:web:b.example#k","#good"]`},
			{methods(good), `"authentication":[` + m + `,"#good","#k"]`},
		} {
			doc := parse(t, document(members...))
			if !slices.Equal(ids(doc), []string{"good"}) || !slices.Equal(doc.Authentication, []string{"did:web:a.example#good"}) {
				t.Errorf("%s: methods %q, authentication %q", name, ids(doc), doc.Authentication)
			}
		}
	}
}

func TestDocumentRefused(t *testing.T) {
	ed := `"publicKeyJwk":` + jwkText(t, edKey(1))
	good := method("#k", "JsonWebKey2020", ed)
	private := strings.TrimSuffix(ed, "}") + `,"d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"}`
	many := func(n int, s func(i int) string) string {
		var all []string
		for i := range n {
			all = append(all, s(i))
		}
		return strings.Join(all, ",")
	}
	numbered := func(i int) string { return method(fmt.Sprintf("#k%d", i), "Unknown", ed) }
	for _, c := range []struct{ name, text, reason string }{
		{"empty", "", "strictjson"},
		{"null", "null", "it is the document of"},
		{"array", "[]", "strictjson"},
		{"truncated", strings.TrimSuffix(document(), "}"), "strictjson"},
		{"trailing data", document() + "x", "strictjson"},
		{"byte order mark", "\ufeff" + document(), "strictjson"},
		{"invalid UTF-8", document("\"x\":\"\xff\""), "strictjson"},
		{"lone surrogate", document(`"x":"\ud800"`), "strictjson"},
		{"duplicate member", document(`"id":"did:web:a.example"`), "strictjson"},
		{"duplicate member by escape", document(`"\u0069d":"did:web:a.example"`), "strictjson"},
		{"duplicate member, nested", document(methods(method("#k", "JsonWebKey2020", ed+`,"type":"Multikey"`))), "strictjson"},
		{"duplicate member in the key", document(methods(method("#k", "JsonWebKey2020", `"publicKeyJwk":{"kty":"OKP","kty":"EC"}`))), "strictjson"},
		{"duplicate member, unused part", document(`"service":{"a":1,"a":2}`), "strictjson"},
		{"too deep", document(`"x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40)), "strictjson"},
		{"no id", `{}`, "it is the document of"},
		{"id of another", `{"id":"did:web:b.example"}`, "it is the document of"},
		{"id in other case", `{"id":"did:web:A.example"}`, "it is the document of"},
		{"ID in other case", `{"ID":"did:web:a.example"}`, "it is the document of"},
		{"id with fragment", `{"id":"did:web:a.example#"}`, "it is the document of"},
		{"id not a string", `{"id":1}`, "strictjson"},
		{"methods not a list", document(`"verificationMethod":{}`), "strictjson"},
		{"method not an object", document(methods(`"#k"`)), "verification method"},
		{"method null", document(methods(`null`)), "without id"},
		{"method without id", document(methods(`{"type":"Multikey","controller":"did:web:a.example"}`)), "without id"},
		{"method without type", document(methods(`{"id":"#k","controller":"did:web:a.example"}`)), "without id"},
		{"method without controller", document(methods(`{"id":"#k","type":"Multikey"}`)), "without id"},
		{"controllers", document(methods(`{"id":"#k","type":"Multikey","controller":["did:web:a.example"]}`)), "verification method"},
		{"multibase not a string", document(methods(method("#k", "Multikey", `"publicKeyMultibase":1`))), "verification method"},
		{"same id twice", document(methods(good, good)), "given twice"},
		{"same id, absolute and relative", document(methods(good, method("did:web:a.example#k", "JsonWebKey2020", ed))), "given twice"},
		{"same id as one left out", document(methods(method("#k", "Unknown", ed), good)), "given twice"},
		{"embedded again", document(methods(good), `"authentication":[`+good+`]`), "given twice"},
		{"embedded twice", document(`"authentication":[` + good + `],"assertionMethod":[` + good + `]`), "given twice"},
		{"keys that differ", document(methods(method("#k", "Multikey", ed+fmt.Sprintf(`,"publicKeyMultibase":%q`, multibase(edKey(2)))))), "two keys"},
		{"keys of two kinds", document(methods(method("#k", "Multikey", ed+`,"publicKeyMultibase":"zDnaerDaTF5BXEavCrfRZEk316dpbLsfPDZ3WJ5hRTPFU2169"`))), "two keys"},
		{"second key unreadable", document(methods(method("#k", "Multikey", ed+`,"publicKeyMultibase":"z"`))), "two keys"},
		{"first key unreadable", document(methods(method("#k", "Multikey", `"publicKeyJwk":{"kty":"RSA"},"publicKeyMultibase":"`+multibase(edKey(1))+`"`))), "two keys"},
		{"P-256 key in an Ed25519 method", document(methods(method("#k", "Ed25519VerificationKey2020", `"publicKeyJwk":`+jwkText(t, p256Key(t, 1))))), "does not allow"},
		{"Ed25519 key in a P-256 method", document(methods(method("#k", "EcdsaSecp256r1VerificationKey2019", ed))), "does not allow"},
		{"key not an object", document(methods(method("#k", "JsonWebKey2020", `"publicKeyJwk":"x"`))), "not an object"},
		{"private key", document(methods(method("#k", "JsonWebKey2020", private))), "private key"},
		{"private key of an unknown kind", document(methods(method("#k", "Unknown", `"publicKeyJwk":{"kty":"RSA","d":"AQ"}`))), "private key"},
		{"relationship not a list", document(`"authentication":"#k"`), "strictjson"},
		{"reference not a string", document(`"authentication":[1]`), "authentication"},
		{"assertion not a string", document(`"assertionMethod":[true]`), "assertionMethod"},
		{"too many methods", document(methods(many(did.MaxMethods+1, numbered))), "the limit is 64"},
		{"too many embedded", document(methods(many(did.MaxMethods, numbered)), `"authentication":[`+method("#x", "Unknown", ed)+`]`), "more than 64"},
		{"too many references", document(`"authentication":[` + many(did.MaxMethods+1, func(int) string { return `"#k"` }) + `]`), "the limit is 64"},
		{"too long", document() + strings.Repeat(" ", did.MaxDocumentBytes), "the limit is 102400"},
	} {
		t.Run(c.name, func(t *testing.T) { refusedDocument(t, c.text, c.reason) })
	}
	parse(t, document()+strings.Repeat(" ", did.MaxDocumentBytes-len(document())))
	parse(t, document(methods(many(did.MaxMethods, numbered))))
	if _, err := did.ParseDocument([]byte(`{"id":""}`), did.DID{}); err == nil {
		t.Error("the zero DID has a document")
	}
}

func TestRefusalsAreShort(t *testing.T) {
	long := strings.Repeat("x", 50_000)
	for _, text := range []string{
		`{"id":"` + long + `"}`,
		document(methods(method("#"+long, "Multikey", `"publicKeyJwk":{"d":"x"}`))),
	} {
		if _, err := did.ParseDocument([]byte(text), exampleDID); err == nil || len(err.Error()) > 500 {
			t.Errorf("a message of %d bytes", len(fmt.Sprint(err)))
		}
	}
}

// A did:key has the key it consists of: a document given for it cannot add
// another one.
func TestDocumentOfKeyHasNoOtherKey(t *testing.T) {
	d := did.FromKey(edKey(1))
	text := func(key crypto.PublicKey) []byte {
		return fmt.Appendf(nil, `{"id":%q,"verificationMethod":[{"id":"#k","type":"JsonWebKey2020","controller":%q,"publicKeyJwk":%s}]}`,
			d, d, jwkText(t, key))
	}
	if _, err := did.ParseDocument(text(edKey(1)), d); err != nil {
		t.Error(err)
	}
	for _, key := range []crypto.PublicKey{edKey(2), p256Key(t, 1)} {
		var refused *did.DocumentError
		if _, err := did.ParseDocument(text(key), d); !errors.As(err, &refused) {
			t.Errorf("a document with a %T that is not the did:key's: %v", key, err)
		}
	}
}

func TestNewDocument(t *testing.T) {
	doc, err := did.NewDocument(exampleDID, did.DocumentKey{Key: edKey(1), Fragment: "key-1"}, did.DocumentKey{Key: p256Key(t, 1)})
	if err != nil {
		t.Fatal(err)
	}
	thumbprint, err := jwk.Thumbprint(p256Key(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	if got := ids(doc); !slices.Equal(got, []string{"key-1", thumbprint}) {
		t.Errorf("methods %q", got)
	}
	text, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	back := parse(t, string(text))
	for i, m := range doc.Methods {
		if back.Methods[i].ID != m.ID || !m.Key.(interface{ Equal(crypto.PublicKey) bool }).Equal(back.Methods[i].Key) {
			t.Errorf("method %d became %+v, want %+v", i, back.Methods[i], m)
		}
		if !back.MayAuthenticate(m.ID) || !back.MayAssert(m.ID) {
			t.Errorf("method %d lost its uses", i)
		}
	}
	again, err := json.Marshal(back)
	if err != nil || string(again) != string(text) {
		t.Errorf("a second round gives\n%s, %v, want\n%s", again, err, text)
	}
	key := did.FromKey(edKey(1))
	doc, err = did.NewDocument(key, did.DocumentKey{Key: edKey(1)})
	if err != nil || doc.Methods[0].ID.String() != key.KeyURL() {
		t.Errorf("document of a did:key: %+v, %v", doc, err)
	}
}

func TestNewDocumentRefuses(t *testing.T) {
	key := did.DocumentKey{Key: edKey(1)}
	var tooMany []did.DocumentKey
	for i := range did.MaxMethods + 1 {
		tooMany = append(tooMany, did.DocumentKey{Key: edKey(byte(i))})
	}
	for name, c := range map[string]struct {
		d    did.DID
		keys []did.DocumentKey
	}{
		"no keys":            {exampleDID, nil},
		"zero DID":           {did.DID{}, []did.DocumentKey{key}},
		"same key twice":     {exampleDID, []did.DocumentKey{key, key}},
		"bad fragment":       {exampleDID, []did.DocumentKey{{Key: edKey(1), Fragment: "a b"}}},
		"no key":             {exampleDID, []did.DocumentKey{{}}},
		"no key, fragment":   {exampleDID, []did.DocumentKey{{Fragment: "k"}}},
		"RSA key":            {exampleDID, []did.DocumentKey{{Key: &rsa.PublicKey{N: big.NewInt(1), E: 3}, Fragment: "k"}}},
		"key of small order": {exampleDID, []did.DocumentKey{{Key: make(ed25519.PublicKey, 32), Fragment: "k"}}},
		"another did:key":    {did.FromKey(edKey(2)), []did.DocumentKey{key}},
		"too many keys":      {exampleDID, tooMany},
	} {
		var refused *did.DocumentError
		if doc, err := did.NewDocument(c.d, c.keys...); !errors.As(err, &refused) {
			t.Errorf("%s: %+v, %v", name, doc, err)
		}
	}
}

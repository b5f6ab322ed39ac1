package did

import (
	"encoding/hex"
	"fmt"
	"strings"
)

const (
	subject     = "did:web:a.example"
	maxDocument = 100 << 10
	maxMethods  = 64
)

// method is the text of a verification method of the subject.
func method(id, typ, members string) string {
	return fmt.Sprintf(`{"id":%q,"type":%q,"controller":%q,%s}`, id, typ, subject, members)
}

func jwkMember(jwk string) string { return `"publicKeyJwk":` + jwk }

func multibaseMember(key string) string { return fmt.Sprintf(`"publicKeyMultibase":%q`, key) }

// document is the text of a document of the subject.
func document(members ...string) string {
	return fmt.Sprintf(`{"id":%q`, subject) + strings.Join(append([]string{""}, members...), ",") + `}`
}

func methods(m ...string) string { return `"verificationMethod":[` + strings.Join(m, ",") + `]` }

// many joins n texts that f makes.
func many(n int, f func(i int) string) string {
	var all []string
	for i := range n {
		all = append(all, f(i))
	}
	return strings.Join(all, ",")
}

func documents() []Vector { return append(append(goodDocuments(), leftOut()...), badDocuments()...) }

func goodDocuments() []Vector {
	ed, p256 := edKey("one"), p256Key("one")
	jwk := jwkMember(edJWK(ed))
	multi := multibaseMember(multikey(prefixEd25519, ed))
	read := func(fragment string) Method {
		return Method{ID: subject + "#" + fragment, Kind: "Ed25519", PublicKey: hex.EncodeToString(ed)}
	}
	readP256 := Method{ID: subject + "#k", Kind: "P-256", PublicKey: hex.EncodeToString(compress(p256))}
	k := []string{subject + "#k"}
	own := edDID(ed)
	ownURL := own + "#" + strings.TrimPrefix(own, "did:key:")
	v := func(name, description, text string, expect Expect) Vector {
		expect.Result = Accepted
		return Vector{Name: "doc-" + name, Description: description, DID: subject, Document: &text, Expect: expect}
	}
	full := v("longest", "as many bytes as a document may have", document(), Expect{})
	full.PadTo = maxDocument
	keyDocument := v("of-key", "the document of a did:key, with its own key",
		fmt.Sprintf(`{"id":%q,"verificationMethod":[{"id":%q,"type":"Multikey","controller":%q,%s}],"authentication":[%q]}`, own, ownURL, own, multi, ownURL),
		Expect{Methods: []Method{{ID: ownURL, Kind: "Ed25519", PublicKey: hex.EncodeToString(ed)}}, Authentication: []string{ownURL}})
	keyDocument.DID = own
	return []Vector{
		full, keyDocument,
		v("empty", "a document without methods", document(), Expect{}),
		v("jwk", "a key as publicKeyJwk", document(methods(method(subject+"#k", "JsonWebKey2020", jwk)), `"authentication":["`+k[0]+`"]`),
			Expect{Methods: []Method{read("k")}, Authentication: k}),
		v("multibase", "a key as publicKeyMultibase", document(methods(method(subject+"#k", "Multikey", multi)), `"assertionMethod":["`+k[0]+`"]`),
			Expect{Methods: []Method{read("k")}, AssertionMethod: k}),
		v("both", "a key in both forms", document(methods(method(subject+"#k", "Ed25519VerificationKey2020", jwk+","+multi))),
			Expect{Methods: []Method{read("k")}}),
		v("p256-jwk", "a P-256 key as publicKeyJwk", document(methods(method(subject+"#k", "JsonWebKey", jwkMember(p256JWK(p256))))),
			Expect{Methods: []Method{readP256}}),
		v("p256-multibase", "a P-256 key as publicKeyMultibase",
			document(methods(method(subject+"#k", "EcdsaSecp256r1VerificationKey2019", multibaseMember(multikey(prefixP256, compress(p256)))))),
			Expect{Methods: []Method{readP256}}),
		v("relative", "relative ids and references", document(methods(method("#k", "JsonWebKey2020", jwk)), `"authentication":["#k"],"assertionMethod":["#k"]`),
			Expect{Methods: []Method{read("k")}, Authentication: k, AssertionMethod: k}),
		v("embedded", "a method embedded in a relationship serves that one alone",
			document(`"authentication":[`+method("#k", "JsonWebKey2020", jwk)+`],"assertionMethod":["#k"]`),
			Expect{Methods: []Method{read("k")}, Authentication: k}),
		v("unused-members", "members that are not used", document(
			`"@context":["https://www.w3.org/ns/did/v1",{"x":1}],"controller":["did:web:b.example"],"service":[{"id":"#s"}],"keyAgreement":["#e"],"publicKey":[1]`,
			methods(method("#k", "JsonWebKey2020", jwk+`,"revoked":"2020-01-01T00:00:00Z"`))), Expect{Methods: []Method{read("k")}}),
		v("member-case", "members in another case are others", document(`"ID":"did:web:b.example"`, strings.Replace(methods(method("#x", "JsonWebKey2020", jwk)), "v", "V", 1),
			methods(method("#k", "JsonWebKey2020", jwk+`,"Controller":"did:web:b.example"`))), Expect{Methods: []Method{read("k")}}),
		v("reference-dangling", "a reference to a method that is not there", document(methods(method("#k", "JsonWebKey2020", jwk)), `"authentication":["#none","#k"]`),
			Expect{Methods: []Method{read("k")}, Authentication: k}),
		v("reference-twice", "a reference given twice", document(methods(method("#k", "JsonWebKey2020", jwk)), `"authentication":["#k","`+k[0]+`"]`),
			Expect{Methods: []Method{read("k")}, Authentication: k}),
	}
}

// leftOut are documents that are accepted with one method of two.
func leftOut() []Vector {
	ed := edKey("one")
	jwk := jwkMember(edJWK(ed))
	good := method("#good", "JsonWebKey2020", jwk)
	foreign := strings.Replace(method("#k", "JsonWebKey2020", jwk), subject, "did:web:b.example", 1)
	var all []Vector
	for _, v := range []struct{ name, description, method string }{
		{"type", "a method of an unknown type", method("#k", "Ed25519Signature2099", jwk)},
		{"no-key", "a method without a key in either form", method("#k", "Ed25519VerificationKey2018", `"publicKeyBase58":"B12NYF8RrR3h41TDCTJojY59usg3mbtbjnFs7Eud1Y6u"`)},
		{"rsa", "an RSA key", method("#k", "JsonWebKey2020", jwkMember(`{"kty":"RSA","n":"AQ","e":"AQAB"}`))},
		{"encryption", "a key for encryption", method("#k", "JsonWebKey2020", strings.Replace(jwk, "{", `{"use":"enc",`, 1))},
		{"x25519", "an X25519 key", method("#k", "Multikey", multibaseMember(multikey(prefixX25519, ed)))},
		{"small-order", "a key of small order", method("#k", "JsonWebKey2020", jwkMember(edJWK(make([]byte, 32))))},
		{"off-curve", "a P-256 point that is not on the curve", method("#k", "Multikey", multibaseMember(multikey(prefixP256, append([]byte{2}, make([]byte, 31)...))))},
		{"foreign-id", "a method of another DID", method("did:web:b.example#k", "JsonWebKey2020", jwk)},
		{"foreign-controller", "a method that another DID controls", foreign},
		{"no-fragment", "a method whose id is no DID URL", method("/k", "JsonWebKey2020", jwk)},
	} {
		text := document(methods(v.method, good), `"authentication":["#k","did:web:b.example#k","/k","#good"]`)
		all = append(all, Vector{
			Name: "doc-left-out-" + v.name, Description: "left out: " + v.description, DID: subject, Document: &text,
			Expect: Expect{
				Result:         Accepted,
				Methods:        []Method{{ID: subject + "#good", Kind: "Ed25519", PublicKey: hex.EncodeToString(ed)}},
				Authentication: []string{subject + "#good"},
			},
		})
	}
	return all
}

func badDocuments() []Vector {
	jwk := jwkMember(edJWK(edKey("one")))
	multiTwo := multibaseMember(multikey(prefixEd25519, edKey("two")))
	good := method("#k", "JsonWebKey2020", jwk)
	private := strings.TrimSuffix(jwk, "}") + `,"d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"}`
	numbered := func(i int) string { return method(fmt.Sprintf("#k%d", i), "Unknown", jwk) }
	var all []Vector
	for _, v := range []struct{ name, defect, text, reason string }{
		{"not-json", "not JSON", "<html></html>", "strictjson"},
		{"truncated", "the last brace is missing", strings.TrimSuffix(document(), "}"), "EOF"},
		{"trailing-data", "text after the document", document() + "x", "after top-level value"},
		{"duplicate", "a member twice, though nobody uses it", document(`"service":1,"service":2`), "duplicate object member name \"service\""},
		{"duplicate-escaped", "the member id twice, once with an escape", document(`"\u0069d":"` + subject + `"`), "duplicate object member name \"id\""},
		{"duplicate-in-method", "a member of a method twice", document(methods(method("#k", "JsonWebKey2020", jwk+`,"type":"Multikey"`))), "duplicate object member name \"type\""},
		{"not-utf8", "invalid UTF-8 in an escape", document(`"x":"\ud800"`), "surrogate"},
		{"too-deep", "more than 32 levels of nesting", document(`"x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40)), "32 levels"},
		{"no-id", "no id", `{}`, `the document of ""`},
		{"other-id", "the document of another DID", `{"id":"did:web:b.example"}`, `the document of "did:web:b.example"`},
		{"id-case", "an id in another case", `{"id":"did:web:A.example"}`, `the document of "did:web:A.example"`},
		{"id-number", "an id that is a number", `{"id":1}`, "/id"},
		{"methods-object", "methods that are not a list", document(`"verificationMethod":{}`), "/verificationMethod"},
		{"method-string", "a method that is a string", document(methods(`"#k"`)), "verification method: "},
		{"method-no-controller", "a method without a controller", document(methods(`{"id":"#k","type":"Multikey"}`)), "without id, type or controller"},
		{"method-twice", "an id twice, relative and absolute", document(methods(good, method(subject+"#k", "JsonWebKey2020", jwk))), `"did:web:a.example#k" is given twice`},
		{"method-embedded-twice", "an id twice, listed and embedded", document(methods(method("#l", "JsonWebKey2020", jwk)), `"authentication":[`+method("#l", "JsonWebKey2020", jwk)+`]`), `authentication: verification method "did:web:a.example#l" is given twice`},
		{"keys-differ", "two forms of two keys", document(methods(method("#k", "Multikey", jwk+","+multiTwo))), `method "#k" has two keys`},
		{"key-half-read", "two forms, one of which cannot be read", document(methods(method("#h", "Multikey", jwk+`,"publicKeyMultibase":"z"`))), `method "#h" has two keys`},
		{"key-of-other-type", "a P-256 key in an Ed25519 method", document(methods(method("#k", "Ed25519VerificationKey2020", jwkMember(p256JWK(p256Key("one")))))), `"Ed25519VerificationKey2020" does not allow`},
		{"key-of-other-type-p256", "an Ed25519 key in a P-256 method", document(methods(method("#k", "EcdsaSecp256r1VerificationKey2019", jwk))), `"EcdsaSecp256r1VerificationKey2019" does not allow`},
		{"key-string", "a publicKeyJwk that is a string", document(methods(method("#k", "JsonWebKey2020", `"publicKeyJwk":"x"`))), "not an object"},
		{"private-key", "a private key", document(methods(method("#k", "JsonWebKey2020", private))), "publishes a private key"},
		{"relationship-string", "a relationship that is not a list", document(`"authentication":"#k"`), "/authentication"},
		{"reference-number", "a reference that is a number", document(methods(good), `"assertionMethod":[1]`), "assertionMethod: "},
		{"too-many-methods", "65 methods", document(methods(many(maxMethods+1, numbered))), "a list of 65"},
		{"too-many-embedded", "64 methods and one embedded", document(methods(many(maxMethods, numbered)), `"authentication":[`+method("#x", "Unknown", jwk)+`]`), "more than 64"},
	} {
		all = append(all, refusedDocument(v.name, v.defect, v.text, v.reason))
	}
	long := refusedDocument("too-long", "one byte too many", document(), "the limit is 102400")
	long.PadTo = maxDocument + 1
	own := edDID(edKey("one"))
	other := refusedDocument("of-key-other-key", "the document of a did:key, with another key",
		fmt.Sprintf(`{"id":%q,"verificationMethod":[{"id":"#k","type":"JsonWebKey2020","controller":%q,%s}]}`, own, own, jwkMember(edJWK(edKey("two")))),
		"has another key than the did:key")
	other.DID = own
	return append(all, long, other)
}

func refusedDocument(name, defect, text, reason string) Vector {
	return Vector{
		Name: "doc-" + name, Description: "a document that is refused", Defect: defect, DID: subject, Document: &text,
		Expect: Expect{Result: Refused, Reason: reason},
	}
}

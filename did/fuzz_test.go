package did_test

import (
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/did"
)

// FuzzParse holds every accepted DID to one spelling and its URLs to being
// inverted.
func FuzzParse(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.DID + v.DIDURL + v.WebURL + v.DocumentURL)
	}
	f.Add(zeroSeedDID)
	for _, c := range webCases {
		f.Add(c.did)
		f.Add(c.base)
		f.Add(c.document)
		f.Add(c.did + "#key-1")
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d, err := did.FromWebURL(s); err == nil {
			checkDID(t, d)
		}
		if d, err := did.FromDocumentURL(s); err == nil {
			checkDID(t, d)
		}
		u, err := did.ParseURL(s)
		if err == nil && u.String() != s {
			t.Fatalf("ParseURL(%q) = %q", s, u)
		}
		base, _, _ := strings.Cut(s, "#")
		if own, _ := did.Parse(base); own.HasURL(s) != (err == nil) {
			t.Fatalf("HasURL(%q) is %v, ParseURL says %v", s, err != nil, err)
		}
		d, err := did.Parse(s)
		if err != nil {
			if !d.IsZero() {
				t.Fatalf("refused %q but returned %q", s, d)
			}
			return
		}
		if d.String() != s {
			t.Fatalf("Parse(%q) = %q", s, d)
		}
		checkDID(t, d)
	})
}

func checkDID(t *testing.T, d did.DID) {
	if again, err := did.Parse(d.String()); err != nil || again != d {
		t.Fatalf("%q does not parse: %v", d, err)
	}
	if len(d.String()) > did.MaxLength {
		t.Fatalf("%d bytes", len(d.String()))
	}
	if d.Method() == did.MethodKey {
		key, err := d.PublicKey()
		if err != nil || did.FromKey(key) != d {
			t.Fatalf("%q: key %x, %v", d, key, err)
		}
		return
	}
	base, err := d.BaseURL()
	if err != nil {
		t.Fatal(err)
	}
	if back, err := did.FromWebURL(base); err != nil || back != d {
		t.Fatalf("%q: %q became %q, %v", d, base, back, err)
	}
	document, err := d.DocumentURL()
	if err != nil {
		t.Fatal(err)
	}
	if back, err := did.FromDocumentURL(document); err != nil || back != d {
		t.Fatalf("%q: %q became %q, %v", d, document, back, err)
	}
	origin, err := d.Origin()
	if err != nil || !strings.HasPrefix(document, origin+"/") || !strings.HasPrefix(base, origin) {
		t.Fatalf("%q: origin %q, %v", d, origin, err)
	}
	for _, seg := range d.PathSegments() {
		if seg == "" || seg == "." || seg == ".." || strings.ContainsAny(seg, "/\\%\x00") {
			t.Fatalf("%q has the path segment %q", d, seg)
		}
	}
}

// FuzzParseDocument holds what is accepted to what the rest of the module
// relies on, and to surviving being published again.
func FuzzParseDocument(f *testing.F) {
	for _, v := range vectors(f) {
		if v.Document != nil {
			f.Add([]byte(*v.Document))
		}
	}
	ed := `"publicKeyJwk":` + jwkText(f, edKey(1))
	good := method("#k", "JsonWebKey2020", ed)
	f.Add([]byte(document(methods(good), `"authentication":["#k"]`)))
	f.Add([]byte(document(`"authentication":[` + good + `],"assertionMethod":["#k",null]`)))
	f.Add([]byte(document(methods(method("did:web:b.example#k", "Multikey", `"publicKeyMultibase":"`+multibase(edKey(2))+`"`)))))
	f.Add([]byte(document(methods(method("#p", "EcdsaSecp256r1VerificationKey2019", `"publicKeyJwk":`+jwkText(f, p256Key(f, 1)))))))
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, err := did.ParseDocument(data, exampleDID)
		if err != nil {
			if doc != nil {
				t.Fatal("refused but returned")
			}
			return
		}
		if doc.ID != exampleDID || len(doc.Methods) > did.MaxMethods {
			t.Fatalf("%+v", doc)
		}
		seen := make(map[did.URL]bool)
		for _, m := range doc.Methods {
			if m.ID.DID != exampleDID || m.Controller != exampleDID || m.Key == nil || seen[m.ID] {
				t.Fatalf("%+v", m)
			}
			seen[m.ID] = true
		}
		for _, list := range [][]string{doc.Authentication, doc.AssertionMethod} {
			for _, id := range list {
				if u, err := did.ParseURL(id); err != nil || !seen[u] {
					t.Fatalf("relationship with %q: %v", id, err)
				}
			}
		}
		text, err := doc.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		back, err := did.ParseDocument(text, exampleDID)
		if err != nil || len(back.Methods) != len(doc.Methods) || len(back.Authentication) != len(doc.Authentication) {
			t.Fatalf("%s does not read back: %v", text, err)
		}
	})
}

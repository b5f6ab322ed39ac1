package registry

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jws"
)

func TestSignVerify(t *testing.T) {
	d := document(7)
	got, err := Verify(sign(t, d), keys(), start)
	if err != nil {
		t.Fatal(err)
	}
	d.Servers[0].Launch = []string{}
	if diff := cmp.Diff(d, got, cmp.Comparer(func(a, b did.DID) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
}

// Each of these breaks one rule of spec/registry.md section 3.
func TestPayloadRefused(t *testing.T) {
	for name, edit := range map[string]func(*Document, *Entry){
		"no name":                func(d *Document, _ *Entry) { d.Issuer = "" },
		"name with a line":       func(d *Document, _ *Entry) { d.Issuer = "a\nb" },
		"serial 0":               func(d *Document, _ *Entry) { d.Serial = 0 },
		"ends at once":           func(d *Document, _ *Entry) { d.Expires = d.IssuedAt },
		"entry twice":            func(d *Document, e *Entry) { d.Servers = append(d.Servers, *e) },
		"no DID":                 func(_ *Document, e *Entry) { e.DID = did.DID{} },
		"long owner":             func(_ *Document, e *Entry) { e.Owner = strings.Repeat("x", maxText+1) },
		"no place":               func(_ *Document, e *Entry) { e.Endpoints = nil },
		"endpoint not one":       func(_ *Document, e *Entry) { e.Endpoints = []string{"mcp.example.com"} },
		"endpoint not canonical": func(_ *Document, e *Entry) { e.Endpoints = []string{"https://mcp.example.com:443/"} },
		"any and more":           func(_ *Document, e *Entry) { e.Tools = []string{"read", Any} },
		"any key by star":        func(_ *Document, e *Entry) { e.Keys = []string{Any} },
		"any launch by star":     func(_ *Document, e *Entry) { e.Launch = []string{Any} },
		"tool twice":             func(_ *Document, e *Entry) { e.Tools = []string{"a", "a"} },
		"tool without a name":    func(_ *Document, e *Entry) { e.Tools = []string{""} },
		"version with a line":    func(_ *Document, e *Entry) { e.Versions = []string{"1\r"} },
		"never valid":            func(_ *Document, e *Entry) { e.ValidUntil = e.ValidFrom },
		"too many tools":         func(_ *Document, e *Entry) { e.Tools = make([]string, maxValues+1) },
		"too many servers":       func(d *Document, _ *Entry) { d.Servers = make([]Entry, MaxServers+1) },
	} {
		d := document(1)
		edit(d, &d.Servers[0])
		if _, err := Sign(key(1), d); err == nil {
			t.Errorf("%s: signed", name)
		}
		text, err := MarshalPayload(d)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParsePayload(text); err == nil {
			t.Errorf("%s: parsed", name)
		}
	}
}

func TestPayloadForm(t *testing.T) {
	text, err := MarshalPayload(document(1))
	if err != nil {
		t.Fatal(err)
	}
	good := string(text)
	for name, bad := range map[string]string{
		"unknown member":    strings.Replace(good, `{"exp"`, `{"a":1,"exp"`, 1),
		"unknown of entry":  strings.Replace(good, `{"did"`, `{"a":1,"did"`, 1),
		"member twice":      strings.Replace(good, `"serial":1`, `"serial":1,"serial":2`, 1),
		"member of a case":  strings.Replace(good, `"serial"`, `"Serial"`, 1),
		"null serial":       strings.Replace(good, `"serial":1`, `"serial":null`, 1),
		"null tools":        strings.Replace(good, `"tools":["read_file"]`, `"tools":null`, 1),
		"tool that is null": strings.Replace(good, `["read_file"]`, `[null]`, 1),
		"no servers":        good[:strings.Index(good, `,"servers"`)] + "}",
		"negative time":     strings.Replace(good, `"iat":`, `"iat":-`, 1),
		"distant time":      strings.Replace(good, `"exp":`, `"exp":99999`, 1),
		"DID":               strings.Replace(good, `did:web:`, `did:foo:`, 1),
		"entry's time":      strings.Replace(good, `"valid_from":`, `"valid_from":-`, 1),
		"no owner":          strings.Replace(good, `"owner":"files team",`, ``, 1),
		"long":              strings.Repeat(" ", MaxBytes) + good,
	} {
		if _, err := ParsePayload([]byte(bad)); bad == good || err == nil {
			t.Errorf("%s: parsed", name)
		}
	}
}

func TestVerifyRefuses(t *testing.T) {
	text, err := MarshalPayload(document(1))
	if err != nil {
		t.Fatal(err)
	}
	good := sign(t, document(1))
	m, err := jws.Parse(good)
	if err != nil {
		t.Fatal(err)
	}
	with := func(h jws.Header, n byte) string {
		token, err := jws.SignMax(h, text, key(n), MaxBytes)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	for name, token := range map[string]string{
		"typ":       with(jws.Header{Typ: "JWT", Kid: m.Kid}, 1),
		"no kid":    with(jws.Header{Typ: Type}, 1),
		"other key": with(jws.Header{Typ: Type, Kid: m.Kid}, 2),
		"signature": good[:len(good)-6] + "AAAAAA",
		"no token":  "x",
	} {
		if _, err := Verify(token, keys(), start); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := Verify(good, nil, start); err == nil {
		t.Error("accepted without a key")
	}
	for _, at := range []time.Time{start.Add(-skew - time.Second), start.Add(24 * time.Hour)} {
		if _, err := Verify(good, keys(), at); err == nil {
			t.Errorf("accepted at %s", at)
		}
	}
	if _, err := Verify(good, keys(), start.Add(-skew)); err != nil {
		t.Error(err)
	}
}

func FuzzParsePayload(f *testing.F) {
	text, err := MarshalPayload(document(1))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"exp":2,"iat":1,"iss":"x","serial":1,"servers":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := ParsePayload(data)
		if err != nil {
			return
		}
		once, err := MarshalPayload(d)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParsePayload(once)
		if err != nil {
			t.Fatalf("%s: %v", once, err)
		}
		if twice, err := MarshalPayload(again); err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%s became %s, %v", once, twice, err)
		}
	})
}

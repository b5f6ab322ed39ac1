package serververify

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/internal/jws"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
)

func goodProof() proofClaims {
	return proofClaims{
		issuer: "did:web:mcp.example.com", badgeID: "id", nonce: NewNonce(), binding: BindingTLS,
		origin: "https://mcp.example.com", exporter: NewNonce(), issuedAt: 1000, expires: 1060,
	}
}

// Every single member counts: a proof that differs in one is refused.
func TestCompareLooksAtEverything(t *testing.T) {
	want := goodProof()
	if reason := want.compare(&want); reason != "" {
		t.Fatal(reason)
	}
	for name, change := range map[string]func(*proofClaims){
		"issuer":   func(c *proofClaims) { c.issuer += "x" },
		"badge":    func(c *proofClaims) { c.badgeID = "" },
		"nonce":    func(c *proofClaims) { c.nonce = NewNonce() },
		"binding":  func(c *proofClaims) { c.binding = BindingNone },
		"origin":   func(c *proofClaims) { c.origin = "https://evil.example" },
		"exporter": func(c *proofClaims) { c.exporter = "" },
	} {
		got := want
		change(&got)
		if got.compare(&want) == "" {
			t.Errorf("%s is not compared", name)
		}
	}
}

func TestJudgeTimes(t *testing.T) {
	now := time.Unix(10_000, 0)
	for _, tt := range []struct {
		iat, exp int64
		skew     time.Duration
		want     Code
	}{
		{10_000, 10_060, 0, ""},
		{10_001, 10_060, 0, CodePoPFailed},
		{10_060, 10_061, time.Minute, ""},
		{10_061, 10_062, time.Minute, CodePoPFailed},
		{9_990, 10_001, 0, ""},
		{9_990, 10_000, 0, CodePoPExpired},
		{9_930, 9_941, time.Minute, ""},
		{9_930, 9_940, time.Minute, CodePoPExpired},
		{10_000, 10_061, time.Minute, CodePoPFailed},
		{10_000, 10_000, time.Minute, CodePoPFailed},
		{10_000, 9_999, time.Minute, CodePoPFailed},
		{0, 10_000, time.Minute, CodePoPFailed},
		{-1 << 63, 1<<63 - 1, time.Minute, CodePoPFailed},
		{-1 << 63, -1, time.Minute, CodePoPFailed},
		{1<<63 - 2, 1<<63 - 1, time.Minute, CodePoPFailed},
	} {
		c := proofClaims{issuedAt: tt.iat, expires: tt.exp}
		if code, reason := c.judgeTimes(now, tt.skew); code != tt.want || (reason == "") != (code == "") {
			t.Errorf("iat %d, exp %d: %q, want %q", tt.iat, tt.exp, code, tt.want)
		}
	}
}

const proofText = `{"badge_jti":"a","binding":"stdio","exp":1060,"exporter":"","iat":1000,"iss":"did:web:a.example","nonce":"n","origin":""}`

func TestParseProofRefuses(t *testing.T) {
	if _, err := parseProof([]byte(proofText)); err != nil {
		t.Fatal(err)
	}
	for _, member := range []string{"badge_jti", "binding", "exp", "exporter", "iat", "iss", "nonce", "origin"} {
		var all map[string]any
		if err := json.Unmarshal([]byte(proofText), &all); err != nil {
			t.Fatal(err)
		}
		for name, put := range map[string]func(){
			"null":    func() { all[member] = nil },
			"an list": func() { all[member] = []any{} },
			"missing": func() { delete(all, member) },
		} {
			put()
			data, _ := json.Marshal(all)
			if _, err := parseProof(data); err == nil {
				t.Errorf("%s %s: accepted", member, name)
			}
		}
		upper := strings.Replace(proofText, `"`+member+`"`, `"`+strings.ToUpper(member)+`"`, 1)
		if _, err := parseProof([]byte(upper)); err == nil {
			t.Errorf("%s in upper case: accepted", member)
		}
	}
	for _, text := range []string{
		"", "null", "[]", `"x"`, "{}", proofText + "x", strings.Replace(proofText, "{", `{"aud":"x",`, 1),
		strings.Replace(proofText, "{", `{"nonce":"m",`, 1), strings.Replace(proofText, "1000", "1e3", 1), strings.Replace(proofText, "1000", `"1000"`, 1),
		strings.Replace(proofText, "1000", "1000.5", 1), strings.Replace(proofText, "1000", "99999999999999999999", 1),
	} {
		if _, err := parseProof([]byte(text)); err == nil {
			t.Errorf("accepted %s", text)
		}
	}
}

func FuzzProofPayload(f *testing.F) {
	f.Add([]byte(proofText))
	f.Add([]byte(`{"badge_jti":null}`))
	for _, v := range readVectors(f) {
		for _, token := range append(v.Answer.Headers["Touchmark-Server-Proof"], v.Answer.Meta[mcpwire.MetaServerProof]) {
			if m, err := jws.Parse(token); err == nil {
				f.Add(m.Payload)
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseProof(data)
		if err != nil {
			return
		}
		c.judgeTimes(time.Unix(1000, 0), time.Minute)
		if c.compare(c) != "" {
			t.Fatal("a proof differs from itself")
		}
		var p proofPayload // what was read is all that was there
		p.BadgeID, p.Binding, p.Exporter = &c.badgeID, (*string)(&c.binding), &c.exporter
		p.Issuer, p.Nonce, p.Origin, p.IssuedAt, p.Expires = &c.issuer, &c.nonce, &c.origin, &c.issuedAt, &c.expires
		back, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseProof(back)
		if err != nil || *again != *c {
			t.Fatalf("%s reads back as %+v, %v", back, again, err)
		}
	})
}

func FuzzDiscoveryDocument(f *testing.F) {
	f.Add([]byte(`{"server_did":"did:web:a.example","server_badge":"a.b.c","trust_level":"2","updated_at":"2026-01-01T00:00:00Z"}`))
	f.Add([]byte(`{"server_did":7}`))
	for _, v := range readVectors(f) {
		f.Add([]byte(v.Answer.Body))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		a := &answer{status: 200, body: data}
		d, refused := a.disclosure()
		if refused != nil && refused.Code != CodeIdentityMissing {
			t.Fatalf("refused with %s", refused.Code)
		}
		if d.Proof != "" {
			t.Fatal("a proof out of a document")
		}
		if refused == nil && len(d.DID)+len(d.Badge) > len(data) {
			t.Fatal("more than there was")
		}
	})
}

func TestDiscoveryDocumentIsBounded(t *testing.T) {
	doc := []byte(`{"server_did":"did:web:a.example"}`)
	full := append(bytes.Repeat([]byte(" "), maxDiscoveryBytes-len(doc)), doc...)
	if d, _, err := parseDiscovery(full); err != nil || d != "did:web:a.example" {
		t.Errorf("%q, %v", d, err)
	}
	if _, _, err := parseDiscovery(append(full, ' ')); err == nil {
		t.Error("a document that is too long was read")
	}
	for _, text := range []string{"", "[]", `{"server_did":1}`, `{"server_did":"a","server_did":"a"}`, "{}x"} {
		if d, _, err := parseDiscovery([]byte(text)); err == nil {
			t.Errorf("%s: read %q", text, d)
		}
	}
}

// Contradictory headers are refused, each with the code of what they are.
func TestDisclosureHeadersTwice(t *testing.T) {
	for name, code := range map[string]Code{
		"Capiscio-Server-Did": CodeDIDMismatch, "Capiscio-Server-Badge": CodeBadgeInvalid, "Touchmark-Server-Proof": CodePoPFailed,
	} {
		a := &answer{status: 200, body: []byte("{}"), header: map[string][]string{name: {"a", "b"}}}
		if _, refused := a.disclosure(); refused == nil || refused.Code != code {
			t.Errorf("%s: %v", name, refused)
		}
	}
}

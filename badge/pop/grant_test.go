package pop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jws"
)

func TestGrantRequests(t *testing.T) {
	const issuer = "https://ca.acme.org"
	for got, want := range map[GrantRequest]GrantRequest{
		MintRequest(issuer):               {"POST", "https://ca.acme.org/v1/badges/mint"},
		GrantStatusRequest(issuer, "g-1"): {"GET", "https://ca.acme.org/v1/badges/dv/grants/g-1/status"},
		GrantRevokeRequest(issuer, "g-1"): {"POST", "https://ca.acme.org/v1/badges/dv/grants/g-1/revoke"},
	} {
		if got != want {
			t.Errorf("%v, want %v", got, want)
		}
	}
}

func TestSignGrantProof(t *testing.T) {
	key := newKey("ada")
	ada := did.MustParse("did:web:api.acme.com:agents:ada")
	now := time.Unix(1_790_000_000, 5)
	good := GrantProof{Request: MintRequest("https://ca.acme.org"), Subject: ada, KeyID: ada.String() + "#k"}
	seen := map[string]bool{}
	for range 2 {
		token, err := SignGrantProof(key, &good, now)
		if err != nil {
			t.Fatal(err)
		}
		m, err := jws.Parse(token)
		if err != nil || m.Verify(key.Public()) != nil || m.Typ != "pop+jwt" || m.Kid != good.KeyID {
			t.Fatalf("%+v, %v", m, err)
		}
		var c grantProofClaims
		if err := json.Unmarshal(m.Payload, &c); err != nil {
			t.Fatal(err)
		}
		if seen[c.ID] || c.Expires != c.IssuedAt+60 || c.Audience != c.URI || c.URI != good.Request.URI || c.Method != "POST" || c.Subject != ada.String() {
			t.Errorf("claims %+v", c)
		}
		seen[c.ID] = true
	}
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := SignGrantProof(p256, &good, now); err == nil {
		t.Error("P-256: accepted")
	}
	if _, err := SignGrantProof(nil, &good, now); err == nil {
		t.Error("no key: accepted")
	}
	if _, err := SignGrantProof(key, nil, now); err == nil {
		t.Error("nil: accepted")
	}
	if _, err := SignGrantProof(key, &good, time.Time{}); err == nil {
		t.Error("no time: accepted")
	}
	for name, change := range map[string]func(p *GrantProof){
		"subject": func(p *GrantProof) { p.Subject = did.DID{} }, "request": func(p *GrantProof) { p.Request = GrantRequest{} },
		"method": func(p *GrantProof) { p.Request.Method = "" }, "URI": func(p *GrantProof) { p.Request.URI += " " },
		"long": func(p *GrantProof) { p.TTL = MaxGrantProofWindow + time.Second }, "fraction": func(p *GrantProof) { p.TTL = time.Millisecond },
		"negative": func(p *GrantProof) { p.TTL = -time.Second }, "key of another": func(p *GrantProof) { p.KeyID = "did:web:a.example#k" },
		"key": func(p *GrantProof) { p.KeyID = "key-1" },
	} {
		p := good
		change(&p)
		if _, err := SignGrantProof(key, &p, now); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

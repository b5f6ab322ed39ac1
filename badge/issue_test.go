package badge_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/badgetest"
	"github.com/touchmark-dev/touchmark/did"
)

func TestIssueRefused(t *testing.T) {
	ca := badgetest.New(t)
	agent := badgetest.NewWebAgent(t, "did:web:agents.example:ada")
	own := badgetest.NewAgent(t)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := badge.Template{Subject: agent.DID, SubjectKey: agent.Public(), Level: badge.LevelDomain, Domain: badgetest.Domain}
	for name, change := range map[string]func(*badge.IssuerKey, *badge.Template){
		"level none":             func(_ *badge.IssuerKey, t *badge.Template) { t.Level = badge.LevelNone },
		"level 0":                func(_ *badge.IssuerKey, t *badge.Template) { t.Level = badge.LevelSelfSigned },
		"level 7":                func(_ *badge.IssuerKey, t *badge.Template) { t.Level = 7 },
		"no domain":              func(_ *badge.IssuerKey, t *badge.Template) { t.Domain = "" },
		"domain":                 func(_ *badge.IssuerKey, t *badge.Template) { t.Domain = "Agents.example" },
		"no subject":             func(_ *badge.IssuerKey, t *badge.Template) { t.Subject = did.DID{} },
		"did:key subject":        func(_ *badge.IssuerKey, t *badge.Template) { t.Subject = own.DID },
		"no key":                 func(_ *badge.IssuerKey, t *badge.Template) { t.SubjectKey = nil },
		"short key":              func(_ *badge.IssuerKey, t *badge.Template) { t.SubjectKey = ed25519.PublicKey{1} },
		"small order":            func(_ *badge.IssuerKey, t *badge.Template) { t.SubjectKey = make(ed25519.PublicKey, 32) },
		"P-384":                  func(_ *badge.IssuerKey, t *badge.Template) { t.SubjectKey = &p384.PublicKey },
		"the CA's key":           func(k *badge.IssuerKey, t *badge.Template) { t.SubjectKey = k.Signer.Public() },
		"TTL 59 s":               func(_ *badge.IssuerKey, t *badge.Template) { t.TTL = 59 * time.Second },
		"TTL 3601 s":             func(_ *badge.IssuerKey, t *badge.Template) { t.TTL = 3601 * time.Second },
		"negative TTL":           func(_ *badge.IssuerKey, t *badge.Template) { t.TTL = -time.Minute },
		"TTL of half a s":        func(_ *badge.IssuerKey, t *badge.Template) { t.TTL = 90*time.Second + 500*time.Millisecond },
		"jti":                    func(_ *badge.IssuerKey, t *badge.Template) { t.ID = "7" },
		"empty audience":         func(_ *badge.IssuerKey, t *badge.Template) { t.Audience = []string{""} },
		"too many":               func(_ *badge.IssuerKey, t *badge.Template) { t.Audience = strings.Split(strings.Repeat("a", 17), "") },
		"ial 2":                  func(_ *badge.IssuerKey, t *badge.Template) { t.Assurance = "2" },
		"ial 1 without cnf":      func(_ *badge.IssuerKey, t *badge.Template) { t.Assurance = badge.AssurancePossession },
		"cnf with ial 0":         func(_ *badge.IssuerKey, t *badge.Template) { t.ConfirmationKeyID = agent.DID.String() + "#k" },
		"cnf of another":         func(_ *badge.IssuerKey, t *badge.Template) { t.Assurance, t.ConfirmationKeyID = "1", own.DID.KeyURL() },
		"nbf after exp":          func(_ *badge.IssuerKey, t *badge.Template) { t.NotBefore = time.Now().Add(time.Hour) },
		"before 1970":            func(_ *badge.IssuerKey, t *badge.Template) { t.IssuedAt = time.Unix(-100, 0) },
		"actor":                  func(_ *badge.IssuerKey, t *badge.Template) { t.Actor = "Human" },
		"profile":                func(_ *badge.IssuerKey, t *badge.Template) { t.IssuanceProfile = "x" },
		"card hash":              func(_ *badge.IssuerKey, t *badge.Template) { t.AgentCardHash = "x" },
		"document hash":          func(_ *badge.IssuerKey, t *badge.Template) { t.DIDDocumentHash = "sha256:x" },
		"challenge":              func(_ *badge.IssuerKey, t *badge.Template) { t.ChallengeID = "x" },
		"issuer with path":       func(k *badge.IssuerKey, _ *badge.Template) { k.Issuer += "/" },
		"no issuer":              func(k *badge.IssuerKey, _ *badge.Template) { k.Issuer = "" },
		"no key id":              func(k *badge.IssuerKey, _ *badge.Template) { k.KeyID = "" },
		"no signer":              func(k *badge.IssuerKey, _ *badge.Template) { k.Signer = nil },
		"P-384 signer":           func(k *badge.IssuerKey, _ *badge.Template) { k.Signer = p384 },
		"text that is not UTF-8": func(_ *badge.IssuerKey, t *badge.Template) { t.Audience = []string{"\xff"} },
	} {
		key, tmpl := *ca.Key, good
		change(&key, &tmpl)
		if token, err := badge.Issue(&key, &tmpl); err == nil {
			t.Errorf("%s: signed %s", name, token)
		}
	}
	if _, err := badge.Issue(nil, &good); err == nil {
		t.Error("signed without a key")
	}
	if _, err := badge.Issue(ca.Key, nil); err == nil {
		t.Error("signed without a template")
	}
	tmpl := good
	tmpl.Domain = ""
	_, err = badge.Issue(ca.Key, &tmpl)
	var rejected *badge.RejectedError
	if !errors.As(err, &rejected) || rejected.Claim != "vc.credentialSubject.domain" {
		t.Errorf("the error does not say which claim: %v", err)
	}
}

// lowOrder is a signer that says that its key is a point of small order.
type lowOrder struct{ crypto.Signer }

func (lowOrder) Public() crypto.PublicKey { return make(ed25519.PublicKey, ed25519.PublicKeySize) }

func TestSelfSignRefused(t *testing.T) {
	key := badgetest.NewKey(t)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := badge.SelfSign(ec, &badge.Template{}); err == nil {
		t.Error("signed with P-256, which has no did:key here")
	}
	if _, err := badge.SelfSign(nil, &badge.Template{}); err == nil {
		t.Error("signed without a key")
	}
	if _, err := badge.SelfSign(key, nil); err == nil {
		t.Error("signed without a template")
	}
	if _, err := badge.SelfSign(lowOrder{key}, &badge.Template{}); err == nil {
		t.Error("signed with a key of small order")
	}
	for name, tmpl := range map[string]badge.Template{
		"ial 1":  {Assurance: badge.AssurancePossession, ConfirmationKeyID: did.FromKey(key.Public().(ed25519.PublicKey)).KeyURL()},
		"TTL":    {TTL: 2 * time.Hour},
		"domain": {Domain: "/"},
		"actor":  {Actor: "human"},
	} {
		if token, err := badge.SelfSign(key, &tmpl); err == nil {
			t.Errorf("%s: signed %s", name, token)
		}
	}
	tmpl := badge.Template{Level: badge.LevelExtended}
	token, err := badge.SelfSign(key, &tmpl)
	if err != nil {
		t.Fatal(err)
	}
	if u, err := badge.Inspect(token); err != nil || u.Level != badge.LevelSelfSigned || tmpl.Level != badge.LevelExtended {
		t.Errorf("got %+v, %v", u, err)
	}
}

// TestIssuedIsAccepted: whatever Issue signs, Verify accepts at once.
func TestIssuedIsAccepted(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := badgetest.New(t)
	agent := badgetest.NewWebAgent(t, "did:web:agents.example%3A8443:ada")
	doc, err := did.NewDocument(agent.DID, did.DocumentKey{Key: agent.Public(), Fragment: "k"})
	if err != nil {
		t.Fatal(err)
	}
	cfg := ca.Config()
	cfg.AllowES256 = cfg.Issuers
	cfg.Resolver = did.StaticResolver{agent.DID: doc}
	cfg.Audience = []string{"https://mcp.example.com"}
	v, err := badge.NewVerifier(cfg)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for _, algorithm := range []string{"EdDSA", "ES256"} {
		if algorithm == "ES256" {
			ca.Key = &badge.IssuerKey{Issuer: badgetest.Issuer, KeyID: "ec", Signer: ec}
			ca.SetKeys(append(ca.Keys(), badge.Key{ID: "ec", Public: ec.Public()})...)
		}
		for level := badge.LevelRegistered; level <= badge.LevelExtended; level++ {
			for _, ttl := range []time.Duration{0, badge.MinTTL, badge.MaxTTL} {
				for _, ial := range []badge.Assurance{"", badge.AssuranceAccount, badge.AssurancePossession} {
					token := ca.Issue(agent, level, func(tmpl *badge.Template) {
						tmpl.TTL, tmpl.Assurance, tmpl.Audience = ttl, ial, cfg.Audience
						if ial == badge.AssurancePossession {
							tmpl.ConfirmationKeyID = agent.DID.String() + "#k"
						}
					})
					b, err := v.Verify(t.Context(), token)
					if err != nil {
						t.Errorf("%s, level %v, TTL %v, ial %q: %v", algorithm, level, ttl, ial, err)
						continue
					}
					if seen[b.ID()] {
						t.Errorf("id %s was given twice", b.ID())
					}
					seen[b.ID()] = true
				}
			}
		}
	}
}

func TestInspect(t *testing.T) {
	ca := badgetest.New(t)
	agent := badgetest.NewWebAgent(t, "did:web:agents.example:ada")
	token := ca.Issue(agent, badge.LevelDomain, func(tmpl *badge.Template) {
		tmpl.Audience = []string{"https://mcp.example.com"}
		tmpl.NotBefore = tmpl.IssuedAt
	})
	u, err := badge.Inspect(token)
	if err != nil || u.Problem != nil {
		t.Fatal(err, u)
	}
	got := fmt.Sprintln(u.Algorithm, u.Type, u.KeyID, u.Issuer, u.Subject, u.Level, u.Assurance, u.Domain, u.Audience,
		u.ExpiresAt.Sub(u.IssuedAt), u.NotBefore.Equal(u.IssuedAt))
	want := fmt.Sprintln("EdDSA JWT", badgetest.KeyID, badgetest.Issuer, agent.DID, "2 0", badgetest.Domain,
		"[https://mcp.example.com] 5m0s true")
	if got != want {
		t.Errorf("got  %swant %s", got, want)
	}
	broken := resign(t, token, ca.Key.Signer, `"ial":"0"`, `"ial":""`)
	u, err = badge.Inspect(broken)
	if err != nil || badge.CodeOf(u.Problem) != badge.CodeClaimsInvalid || u.Level != badge.LevelNone || len(u.Payload) == 0 {
		t.Errorf("got %+v, %v", u, err)
	}
	for _, text := range []string{"", "a.b.c", token[:40], resign(t, token, ca.Key.Signer, `"ial":"0"`, `"ial":"0","ial":"0"`)} {
		if u, err := badge.Inspect(text); badge.CodeOf(err) != badge.CodeMalformed || u != nil {
			t.Errorf("%.40s: got %+v, %v", text, u, err)
		}
	}
}

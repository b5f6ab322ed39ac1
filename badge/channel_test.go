package badge_test

import (
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/badgetest"
	"github.com/touchmark-dev/touchmark/did"
)

// TestIssueBound: what Issue binds, Verify tells; and what could not be verified is not signed.
func TestIssueBound(t *testing.T) {
	ca, ada := badgetest.New(t), badgetest.NewWebAgent(t, "did:web:agents.example:ada")
	sum := sha256.Sum256([]byte("a certificate"))
	template := func(change func(*badge.Template)) *badge.Template {
		tmpl := &badge.Template{
			Subject: ada.DID, SubjectKey: ada.Public(), Level: badge.LevelDomain, Domain: "agents.example",
			Assurance: badge.AssurancePossession, ConfirmationKeyID: ada.DID.String() + "#key-1",
			CertificateSHA256: sum[:], SPIFFEID: "spiffe://agents.example/ada",
		}
		change(tmpl)
		return tmpl
	}
	for _, test := range []struct {
		want   string
		change func(*badge.Template)
	}{
		{"has 20 bytes", func(x *badge.Template) { x.CertificateSHA256 = sum[:20] }},
		{"takes a ConfirmationKeyID", func(x *badge.Template) { x.Assurance, x.ConfirmationKeyID = badge.AssuranceAccount, "" }},
		{"spiffe_id", func(x *badge.Template) { x.SPIFFEID = "spiffe://agents.example" }},
		{"spiffe_id", func(x *badge.Template) { x.SPIFFEID = "spiffe://" + strings.Repeat("a", 256) + "/ada" }},
	} {
		if _, err := badge.Issue(ca.Key, template(test.change)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("got %v, want an error with %q", err, test.want)
		}
	}

	token, err := badge.Issue(ca.Key, template(func(*badge.Template) {}))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := did.NewDocument(ada.DID, did.DocumentKey{Fragment: "key-1", Key: ada.Public()})
	if err != nil {
		t.Fatal(err)
	}
	cfg := ca.Config()
	cfg.Resolver = did.StaticResolver{ada.DID: doc}
	v, err := badge.NewVerifier(cfg)
	if err != nil {
		t.Fatal(err)
	}
	b, err := v.Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := b.CertificateSHA256(); !ok || got != sum {
		t.Errorf("bound to the certificate %x, %v", got, ok)
	}
	if b.SPIFFEID() != "spiffe://agents.example/ada" {
		t.Errorf("bound to the SPIFFE ID %q", b.SPIFFEID())
	}
	if _, ok := new(badge.Badge).CertificateSHA256(); ok {
		t.Error("the zero Badge is bound to a certificate")
	}
}

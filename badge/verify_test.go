package badge_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/badgetest"
	"github.com/touchmark-dev/touchmark/did"
)

func TestBadgeSays(t *testing.T) {
	ca := badgetest.New(t)
	agent := badgetest.NewWebAgent(t, "did:web:agents.example:ada")
	const hash = "sha256:47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
	token := ca.Issue(agent, badge.LevelOrganization, func(tmpl *badge.Template) {
		tmpl.Audience = []string{"https://mcp.example.com"}
		tmpl.ID = "0b5c1f9e-6d3a-4c57-9f0e-2a8d4b7c6e10"
		tmpl.NotBefore = tmpl.IssuedAt
		tmpl.IssuanceProfile = badge.ProfileRegistered
		tmpl.AgentCardHash, tmpl.DIDDocumentHash = hash, hash
		tmpl.Assurance, tmpl.ConfirmationKeyID = badge.AssurancePossession, agent.DID.String()+"#k"
	})
	doc, err := did.NewDocument(agent.DID, did.DocumentKey{Key: agent.Public(), Fragment: "k"})
	if err != nil {
		t.Fatal(err)
	}
	cfg := ca.Config()
	cfg.Audience = []string{"https://mcp.example.com"}
	cfg.Resolver = did.StaticResolver{agent.DID: doc}
	v, err := badge.NewVerifier(cfg)
	if err != nil {
		t.Fatal(err)
	}
	b, err := v.Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	issued := b.IssuedAt()
	got := fmt.Sprintln(b.ID(), b.Issuer(), b.IssuerKeyID(), b.Subject(), b.Level(), b.Assurance(), b.Audience(),
		b.Domain(), b.SelfSigned(), b.IssuanceProfile(), b.AgentCardHash(), b.DIDDocumentHash(), b.ConfirmationKeyID(),
		b.ExpiresAt().Sub(issued), b.NotBefore().Equal(issued))
	want := fmt.Sprintln("0b5c1f9e-6d3a-4c57-9f0e-2a8d4b7c6e10", badgetest.Issuer, badgetest.KeyID, agent.DID, "3", "1",
		"[https://mcp.example.com]", badgetest.Domain, false, "registered", hash, hash, agent.DID.String()+"#k",
		badge.DefaultTTL, true)
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if !agent.Key.Public().(ed25519.PublicKey).Equal(b.Key()) || b.KeyThumbprint() == "" || b.TokenHash() == [32]byte{} {
		t.Error("the key, its thumbprint or the hash is not the badge's")
	}
	b.Key().(ed25519.PublicKey)[0]++
	b.Audience()[0] = "changed"
	if !agent.Key.Public().(ed25519.PublicKey).Equal(b.Key()) || b.Audience()[0] == "changed" {
		t.Error("a badge was changed through what it gave out")
	}
}

func TestZeroBadge(t *testing.T) {
	var b badge.Badge
	if b.Level() != badge.LevelNone || b.Level().AtLeast(badge.LevelNone) || !b.Subject().IsZero() ||
		b.Key() != nil || b.KeyThumbprint() != "" || b.SelfSigned() || !b.NotBefore().IsZero() {
		t.Errorf("the zero Badge says something: %+v", b)
	}
}

// rotating is a source that has the new keys only when it looks again.
type rotating struct {
	old, new  []badge.Key
	err       error
	refreshed int
}

func (r *rotating) IssuerKeys(context.Context, string) ([]badge.Key, error) { return r.old, nil }

func (r *rotating) RefreshIssuerKeys(context.Context, string) ([]badge.Key, error) {
	r.refreshed++
	return r.new, r.err
}

func TestRefresh(t *testing.T) {
	ca := badgetest.New(t)
	agent := badgetest.NewWebAgent(t, "did:web:agents.example:ada")
	old := ca.Keys()
	ca.Rotate("ca-2")
	token := ca.Issue(agent, badge.LevelDomain)
	for name, c := range map[string]struct {
		source *rotating
		want   badge.Code
		asked  int
	}{
		"new keys":    {&rotating{old: old, new: ca.Keys()}, "", 1},
		"still old":   {&rotating{old: old, new: old}, badge.CodeSignatureInvalid, 1},
		"unreachable": {&rotating{old: old, err: errors.New("down")}, badge.CodeKeyFetchFailed, 1},
		"not needed":  {&rotating{old: ca.Keys()}, "", 0},
	} {
		cfg := ca.Config()
		cfg.Keys = c.source
		v, err := badge.NewVerifier(cfg)
		if err != nil {
			t.Fatal(err)
		}
		_, err = v.Verify(t.Context(), token)
		if badge.CodeOf(err) != c.want || c.source.refreshed != c.asked {
			t.Errorf("%s: %v after %d refreshes", name, err, c.source.refreshed)
		}
	}
}

// answer is a resolver that always answers the same.
type answer struct {
	doc *did.Document
	err error
}

func (a answer) Resolve(context.Context, did.DID) (*did.Document, error) { return a.doc, a.err }

// TestResolverAnswers: the answer of a resolver is not taken for one about the subject.
func TestResolverAnswers(t *testing.T) {
	ca := badgetest.New(t)
	agent := badgetest.NewWebAgent(t, "did:web:agents.example:ada")
	eve := did.MustParse("did:web:agents.example:eve")
	token := ca.Issue(agent, badge.LevelDomain, func(tmpl *badge.Template) {
		tmpl.Assurance, tmpl.ConfirmationKeyID = badge.AssurancePossession, agent.DID.String()+"#k"
	})
	doc := func(d did.DID) *did.Document {
		doc, err := did.NewDocument(d, did.DocumentKey{Key: agent.Public(), Fragment: "k"})
		if err != nil {
			t.Fatal(err)
		}
		return doc
	}
	for name, c := range map[string]struct {
		resolver did.Resolver
		want     badge.Code
	}{
		"the subject's":     {answer{doc: doc(agent.DID)}, ""},
		"of another DID":    {answer{doc: doc(eve)}, badge.CodeClaimsInvalid},
		"nothing":           {answer{}, badge.CodeClaimsInvalid},
		"refused":           {answer{err: &did.DocumentError{DID: agent.DID, Reason: "x"}}, badge.CodeClaimsInvalid},
		"not to be had":     {answer{err: &did.ResolveError{DID: agent.DID, Reason: "x"}}, badge.CodeDIDResolutionFailed},
		"some other error":  {answer{err: errors.New("x")}, badge.CodeDIDResolutionFailed},
		"no resolver given": {nil, badge.CodeDIDResolutionFailed},
	} {
		cfg := ca.Config()
		cfg.Resolver = c.resolver
		v, err := badge.NewVerifier(cfg)
		if err != nil {
			t.Fatal(err)
		}
		_, err = v.Verify(t.Context(), token)
		if badge.CodeOf(err) != c.want {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

func TestErrors(t *testing.T) {
	cause := errors.New("connection refused")
	ca := badgetest.New(t)
	agent := badgetest.NewWebAgent(t, "did:web:agents.example:ada")
	token := ca.Issue(agent, badge.LevelDomain)
	u, err := badge.Inspect(token)
	if err != nil {
		t.Fatal(err)
	}
	v := ca.Verifier()
	ca.FailKeys(cause)
	_, err = v.Verify(t.Context(), token)
	if !errors.Is(err, cause) || !strings.Contains(err.Error(), u.BadgeID) {
		t.Errorf("got %v, want the id and the cause", err)
	}
	ca.FailKeys(nil)
	ca.Revoke(u.BadgeID)
	_, err = v.Verify(t.Context(), token)
	if err == nil || strings.Contains(err.Error(), token[:40]) || !strings.Contains(err.Error(), "BADGE_REVOKED") {
		t.Errorf("got %v", err)
	}
	if badge.CodeOf(nil) != "" || badge.CodeOf(cause) != "" {
		t.Error("a code was found where there is none")
	}
	wrapped := fmt.Errorf("call: %w", err)
	wantCode(t, wrapped, badge.CodeRevoked)
}

// TestConcurrent verifies from many goroutines while trust changes.
func TestConcurrent(t *testing.T) {
	ca := badgetest.New(t)
	agent := badgetest.NewWebAgent(t, "did:web:agents.example:ada")
	cfg := ca.Config()
	cfg.CacheEntries = 4
	v, err := badge.NewVerifier(cfg)
	if err != nil {
		t.Fatal(err)
	}
	tokens := make([]string, 8)
	for i := range tokens {
		tokens[i] = ca.Issue(agent, badge.LevelDomain)
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 50 {
				b, err := v.Verify(t.Context(), tokens[(g+i)%len(tokens)])
				if err != nil && badge.CodeOf(err) != badge.CodeIssuerUntrusted {
					t.Error(err)
				}
				if err == nil && b.Subject() != agent.DID {
					t.Errorf("badge of %v", b.Subject())
				}
				if g == 0 && i%10 == 0 {
					v.ForgetKey(badgetest.Issuer, badgetest.KeyID)
				}
			}
		})
	}
	wg.Wait()
	v.RemoveIssuer(badgetest.Issuer)
	_, err = v.Verify(t.Context(), tokens[0])
	wantCode(t, err, badge.CodeIssuerUntrusted)
}

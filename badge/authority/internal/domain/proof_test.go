package domain

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jwk"
	"github.com/touchmark-dev/touchmark/internal/jws"
)

var agent = did.MustParse("did:web:api.acme.com:agents:ada")

func thumbprint(t testing.TB, k ed25519.PrivateKey) string {
	t.Helper()
	s, err := jwk.Thumbprint(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func document(t testing.TB, d did.DID, keys ...did.DocumentKey) *did.Document {
	t.Helper()
	doc, err := did.NewDocument(d, keys...)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func documentKey(fragment string, n byte) did.DocumentKey {
	return did.DocumentKey{Fragment: fragment, Key: key(n).Public().(ed25519.PublicKey)}
}

// counted counts what is resolved over the network.
type counted struct {
	did.StaticResolver
	asked *atomic.Int32
}

func (c counted) Resolve(ctx context.Context, d did.DID) (*did.Document, error) {
	if d.Method() != did.MethodKey {
		c.asked.Add(1)
	}
	return c.StaticResolver.Resolve(ctx, d)
}

func newProofs(t testing.TB, docs ...*did.Document) *ProofVerifier {
	t.Helper()
	static := did.StaticResolver{}
	for _, doc := range docs {
		static[doc.ID] = doc
	}
	now := func() time.Time { return testNow }
	v, err := NewProofVerifier(&ProofConfig{
		Resolver: counted{static, new(atomic.Int32)},
		Replay:   pop.NewMemoryReplay(&pop.MemoryReplayConfig{Time: now}),
		Started:  testNow.Add(-time.Hour),
		Time:     now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

var (
	mintURI   = pop.MintRequest(testIssuer).URI
	statusURI = pop.GrantStatusRequest(testIssuer, testGrantID).URI
	revokeURI = pop.GrantRevokeRequest(testIssuer, testGrantID).URI
)

// mint is a request for a badge of agent with the grant of key 7.
func mint(t testing.TB, proof string) *Request {
	return &Request{
		Proof: proof, Method: "POST", URI: mintURI,
		Domain: testDomain, Thumbprint: thumbprint(t, key(7)), Subject: agent,
	}
}

// status is a request for the status of the grant of key 7.
func status(t testing.TB, proof string) *Request {
	return &Request{
		Proof: proof, Method: "GET", URI: statusURI,
		Domain: testDomain, Thumbprint: thumbprint(t, key(7)),
	}
}

func proofFor(t testing.TB, r *Request, kid string, subject did.DID, by byte) string {
	t.Helper()
	// Not by pop.SignGrantProof, which refuses what some tests have here.
	payload, err := json.Marshal(&proofClaims{
		Audience: r.URI, Expires: testNow.Unix() + 60, Method: r.Method, URI: r.URI, IssuedAt: testNow.Unix(), ID: newUUID(), Subject: subject.String(),
	})
	if err != nil {
		t.Fatal(err)
	}
	token, err := jws.Sign(jws.Header{Typ: proofTyp, Kid: kid}, payload, key(by))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestMintProof(t *testing.T) {
	doc := document(t, agent, documentKey("key-2", 8), documentKey("key-1", 7))
	for _, kid := range []string{agent.String() + "#key-1", "", "key-1", agent.String() + "#key-2", agent.String() + "#none", did.FromKey(key(7).Public().(ed25519.PublicKey)).KeyURL()} {
		v := newProofs(t, doc)
		r := mint(t, "")
		r.Proof = proofFor(t, r, kid, agent, 7)
		p, err := v.Verify(t.Context(), r)
		if err != nil {
			t.Errorf("kid %q: %v", kid, err)
			continue
		}
		if p.KeyID().String() != agent.String()+"#key-1" || !p.Key().Equal(key(7).Public()) || p.Subject() != agent ||
			!isUUID4(p.ID()) || !p.IssuedAt().Equal(testNow) {
			t.Errorf("kid %q: %+v", kid, p)
		}
	}
}

// RFC-002 section 7.2.5, step 23: the same key under several ids. The named id counts, else the smallest.
func TestMintProofSameKeyTwice(t *testing.T) {
	doc := document(t, agent, documentKey("b", 7), documentKey("a", 7), documentKey("c", 7))
	for kid, want := range map[string]string{"": "a", agent.String() + "#c": "c", agent.String() + "#d": "a"} {
		v := newProofs(t, doc)
		r := mint(t, "")
		r.Proof = proofFor(t, r, kid, agent, 7)
		if p, err := v.Verify(t.Context(), r); err != nil || p.KeyID().Fragment != want {
			t.Errorf("kid %q: %+v, %v, want %s", kid, p, err, want)
		}
	}
}

func TestGrantProof(t *testing.T) {
	holder := did.FromKey(key(7).Public().(ed25519.PublicKey))
	for kid, subject := range map[string]did.DID{holder.KeyURL(): holder, agent.String() + "#key-1": agent} {
		v := newProofs(t, document(t, agent, documentKey("key-1", 7)))
		for _, r := range []*Request{status(t, ""), {Method: "POST", URI: revokeURI, Domain: testDomain, Thumbprint: thumbprint(t, key(7))}} {
			r.Proof = proofFor(t, r, kid, subject, 7)
			p, err := v.Verify(t.Context(), r)
			if err != nil {
				t.Errorf("kid %q: %v", kid, err)
				continue
			}
			if p.KeyID().String() != kid || p.Subject() != subject || !p.Key().Equal(key(7).Public()) {
				t.Errorf("%+v", p)
			}
		}
	}
}

// Each proof is refused by its code, and leaves no trace in the replay store.
func TestProofRefused(t *testing.T) {
	iat := testNow.Unix()
	kid := agent.String() + "#key-1"
	holder := did.FromKey(key(7).Public().(ed25519.PublicKey))
	claims := func(change ...any) map[string]any {
		c := map[string]any{"jti": "p-1", "sub": agent.String(), "aud": mintURI, "htu": mintURI, "htm": "POST", "iat": iat, "exp": iat + 60}
		for i := 0; i < len(change); i += 2 {
			if c[change[i].(string)] = change[i+1]; change[i+1] == nil {
				delete(c, change[i].(string))
			}
		}
		return c
	}
	header := jws.Header{Typ: proofTyp, Kid: kid}
	signed := func(change ...any) string { return signClaims(t, header, claims(change...), key(7)) }
	headed := func(typ, kid string) string {
		return signClaims(t, jws.Header{Typ: typ, Kid: kid}, claims(), key(7))
	}
	withJWK := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"EdDSA","typ":"pop+jwt","jwk":{"kty":"OKP","crv":"Ed25519","x":"` +
		base64.RawURLEncoding.EncodeToString(key(7).Public().(ed25519.PublicKey)) + `"}}`))
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	es256, err := jws.Sign(header, []byte("{}"), p256)
	if err != nil {
		t.Fatal(err)
	}
	list, err := jws.Sign(header, []byte("[]"), key(7))
	if err != nil {
		t.Fatal(err)
	}
	twice, err := jws.Sign(header, []byte(`{"htm":"GET","htm":"POST"}`), key(7))
	if err != nil {
		t.Fatal(err)
	}
	v := newProofs(t, document(t, agent, documentKey("key-1", 7), documentKey("key-2", 8)))
	for name, c := range map[string]struct {
		proof string
		code  Code
	}{
		"empty":           {"", CodeProofMalformed},
		"no JWS":          {"Bearer x", CodeProofMalformed},
		"too long":        {signed("x", strings.Repeat("x", pop.MaxProofBytes)), CodeProofMalformed},
		"jwk in header":   {withJWK + signed()[strings.IndexByte(signed(), '.'):], CodeProofMalformed},
		"typ of a badge":  {headed("JWT", kid), CodeProofMalformed},
		"typ of a call":   {headed("capiscio.hop+jwt", kid), CodeProofMalformed},
		"typ of a grant":  {headed(grantTyp, kid), CodeProofMalformed},
		"ES256":           {es256, CodeProofMalformed},
		"list":            {list, CodeProofMalformed},
		"claim twice":     {twice, CodeProofMalformed},
		"no jti":          {signed("jti", nil), CodeProofClaimsInvalid},
		"long jti":        {signed("jti", strings.Repeat("x", 129)), CodeProofClaimsInvalid},
		"jti a number":    {signed("jti", 1), CodeProofClaimsInvalid},
		"no sub":          {signed("sub", nil), CodeProofClaimsInvalid},
		"no aud":          {signed("aud", nil), CodeProofClaimsInvalid},
		"aud a list":      {signed("aud", []string{mintURI}), CodeProofClaimsInvalid},
		"no htu":          {signed("htu", nil), CodeProofClaimsInvalid},
		"no htm":          {signed("htm", nil), CodeProofClaimsInvalid},
		"no iat":          {signed("iat", nil), CodeProofClaimsInvalid},
		"iat a string":    {signed("iat", fmt.Sprint(iat)), CodeProofClaimsInvalid},
		"no exp":          {signed("exp", nil), CodeProofClaimsInvalid},
		"long lived":      {signed("exp", iat+61), CodeProofClaimsInvalid},
		"exp before iat":  {signed("exp", iat), CodeProofClaimsInvalid},
		"other authority": {signed("aud", "https://evil.acme.org/v1/badges/mint"), CodeProofTargetMismatch},
		"aud is origin":   {signed("aud", testIssuer), CodeProofTargetMismatch},
		"other htu":       {signed("htu", revokeURI), CodeProofTargetMismatch},
		"htu with query":  {signed("htu", mintURI+"?x"), CodeProofTargetMismatch},
		"other method":    {signed("htm", "GET"), CodeProofTargetMismatch},
		"method in lower": {signed("htm", "post"), CodeProofTargetMismatch},
		"from the future": {signed("iat", iat+61, "exp", iat+100), CodeProofNotYetValid},
		"expired":         {signed("iat", iat-120, "exp", iat-60), CodeProofExpired},
		"other subject":   {signed("sub", "did:web:api.acme.com:agents:bob"), CodeProofSubjectMismatch},
		"holder's did":    {signed("sub", holder.String()), CodeProofSubjectMismatch},
		"no key of it":    {signClaims(t, header, claims(), key(9)), CodeProofSignatureInvalid},
		"no key, no kid":  {signClaims(t, jws.Header{Typ: proofTyp}, claims(), key(9)), CodeProofSignatureInvalid},
		"other key":       {signClaims(t, header, claims(), key(8)), CodeKeyMismatch},
		"other key named": {signClaims(t, jws.Header{Typ: proofTyp, Kid: agent.String() + "#key-2"}, claims(), key(8)), CodeKeyMismatch},
	} {
		if p, err := v.Verify(t.Context(), mint(t, c.proof)); CodeOf(err) != c.code || p != nil {
			t.Errorf("%s: %v, want %s", name, err, c.code)
		}
	}
	if _, err := v.Verify(t.Context(), mint(t, signed())); err != nil {
		t.Errorf("what was refused used the id up: %v", err)
	}
	if _, err := v.Verify(t.Context(), mint(t, signed())); CodeOf(err) != CodeProofReplayed {
		t.Errorf("again: %v", err)
	}
}

// What a proof about the grant itself may name as its key, and what is fetched for it.
func TestGrantProofKeys(t *testing.T) {
	holder, other := did.FromKey(key(7).Public().(ed25519.PublicKey)), did.FromKey(key(8).Public().(ed25519.PublicKey))
	elsewhere := did.MustParse("did:web:evil.com")
	port := did.MustParse("did:web:api.acme.com%3A8443")
	parent := did.MustParse("did:web:acme.com")
	gone := did.MustParse("did:web:api.acme.com:gone")
	for _, c := range []struct {
		name    string
		kid     string
		subject did.DID
		by      byte
		code    Code
		fetched int32
	}{
		{"none", "", holder, 7, CodeProofKeyInvalid, 0},
		{"no DID URL", "key-1", holder, 7, CodeProofKeyInvalid, 0},
		{"no fragment", holder.String(), holder, 7, CodeProofKeyInvalid, 0},
		{"wrong fragment", holder.String() + "#key-1", holder, 7, CodeProofKeyInvalid, 0},
		{"another's did:key", other.KeyURL(), other, 7, CodeProofSignatureInvalid, 0},
		{"another key", other.KeyURL(), other, 8, CodeKeyMismatch, 0},
		{"sub of another", holder.KeyURL(), agent, 7, CodeProofSubjectMismatch, 0},
		{"other host", elsewhere.String() + "#key-1", elsewhere, 7, CodeProofKeyInvalid, 0},
		{"other port", port.String() + "#key-1", port, 7, CodeProofKeyInvalid, 0},
		{"parent domain", parent.String() + "#key-1", parent, 7, CodeProofKeyInvalid, 0},
		{"not in the document", agent.String() + "#key-9", agent, 7, CodeProofKeyInvalid, 1},
		{"other key of the document", agent.String() + "#key-2", agent, 8, CodeKeyMismatch, 1},
		{"signed by another", agent.String() + "#key-1", agent, 8, CodeProofSignatureInvalid, 1},
		{"no document", gone.String() + "#key-1", gone, 7, CodeProofResolution, 1},
	} {
		v := newProofs(t, document(t, agent, documentKey("key-1", 7), documentKey("key-2", 8)), document(t, elsewhere, documentKey("key-1", 7)))
		r := status(t, "")
		r.Proof = proofFor(t, r, c.kid, c.subject, c.by)
		_, err := v.Verify(t.Context(), r)
		e, _ := errors.AsType[*Error](err)
		if e == nil || e.Code != c.code || e.Undetermined != (c.code == CodeProofResolution) {
			t.Errorf("%s: %v, want %s", c.name, err, c.code)
		}
		if n := v.resolver.(counted).asked.Load(); n != c.fetched {
			t.Errorf("%s: %d documents fetched, want %d", c.name, n, c.fetched)
		}
	}
}

// A key that the document has, but not under authentication, proves nothing.
func TestProofNeedsAuthentication(t *testing.T) {
	doc := document(t, agent, documentKey("key-1", 7), documentKey("key-2", 8))
	doc.Authentication = doc.Authentication[1:]
	v := newProofs(t, doc)
	r := mint(t, "")
	r.Proof = proofFor(t, r, agent.String()+"#key-1", agent, 7)
	if _, err := v.Verify(t.Context(), r); CodeOf(err) != CodeProofSignatureInvalid {
		t.Error(err)
	}
	r = status(t, "")
	r.Proof = proofFor(t, r, agent.String()+"#key-1", agent, 7)
	if _, err := v.Verify(t.Context(), r); CodeOf(err) != CodeProofKeyInvalid {
		t.Error(err)
	}
}

// A proof that an earlier process may have seen is refused, though it has not expired.
func TestProofBeforeStart(t *testing.T) {
	for age, code := range map[time.Duration]Code{61 * time.Second: CodeProofExpired, time.Minute: ""} {
		v := newProofs(t, document(t, agent, documentKey("key-1", 7)))
		v.started = testNow.Unix()
		r := mint(t, "")
		token, err := pop.SignGrantProof(key(7), &pop.GrantProof{Subject: agent, Request: pop.MintRequest(testIssuer)}, testNow.Add(-age))
		if err != nil {
			t.Fatal(err)
		}
		r.Proof = token
		_, err = v.Verify(t.Context(), r)
		if e, _ := errors.AsType[*Error](err); CodeOf(err) != code || e != nil && e.Claim != "iat" {
			t.Errorf("signed %v ago: %v", age, err)
		}
	}
}

func TestCheckSubject(t *testing.T) {
	for _, good := range []string{"did:web:api.acme.com", "did:web:api.acme.com:agents:my-agent"} {
		if d, err := CheckSubject(good, testDomain); err != nil || d.String() != good {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "did:web:other.acme.com", "did:web:acme.com", "did:web:api.acme.com.evil.com", "did:web:api.acme.com%3A8443", "did:web:API.acme.com",
		"did:web:xapi.acme.com", did.FromKey(key(7).Public().(ed25519.PublicKey)).String(), "did:example:x", "https://api.acme.com", "did:web:api.acme.com:..",
		"did:web:api.acme.com#key-1", "did:web:evil.com:api.acme.com",
	} {
		if d, err := CheckSubject(bad, testDomain); CodeOf(err) != CodeSubjectMismatch || !d.IsZero() {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if _, err := CheckSubject("did:web:api.acme.com", ""); CodeOf(err) != CodeSubjectMismatch {
		t.Errorf("without a domain: %v", err)
	}
}

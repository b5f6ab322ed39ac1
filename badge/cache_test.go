package badge

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"errors"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jws"
)

const testIssuer = "https://registry.example"

// seededKey is a key of a number.
func seededKey(n byte) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = n
	return ed25519.NewKeyFromSeed(seed)
}

// cacheWorld is a verifier whose every part can be changed under it.
type cacheWorld struct {
	t      *testing.T
	v      *Verifier
	keys   StaticKeys
	status Status
	err    error
	now    time.Time
	self   ed25519.PrivateKey
}

func (w *cacheWorld) Status(context.Context, StatusQuery) (Status, error) { return w.status, w.err }

func newCacheWorld(t *testing.T, entries int) *cacheWorld {
	t.Helper()
	w := &cacheWorld{t: t, now: time.Unix(1790000000, 0), status: Status{Authoritative: true}, self: seededKey(9)}
	w.keys = StaticKeys{testIssuer: {{ID: "ca", Public: seededKey(1).Public()}}}
	v, err := NewVerifier(&Config{
		Issuers: []string{testIssuer}, SelfSigned: []did.DID{did.FromKey(w.self.Public().(ed25519.PublicKey))},
		Keys: w.keys, Status: w, CacheEntries: entries, Time: func() time.Time { return w.now },
	})
	if err != nil {
		t.Fatal(err)
	}
	w.v = v
	return w
}

func (w *cacheWorld) issue(change func(*Template)) string {
	w.t.Helper()
	tmpl := &Template{
		Subject: did.MustParse("did:web:agents.example:ada"), SubjectKey: seededKey(2).Public(),
		Level: LevelDomain, Domain: "agents.example", IssuedAt: w.now,
	}
	change(tmpl)
	token, err := Issue(&IssuerKey{Issuer: testIssuer, KeyID: "ca", Signer: seededKey(1)}, tmpl)
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

func plain(*Template) {}

func (w *cacheWorld) want(token string, code Code) {
	w.t.Helper()
	b, err := w.v.Verify(w.t.Context(), token)
	if CodeOf(err) != code || (b == nil) != (err != nil) {
		w.t.Errorf("got %v, want code %q", err, code)
	}
}

// TestCacheKeepsTheSignatureOnly changes, under a cached badge, everything that is to be judged at each use.
func TestCacheKeepsTheSignatureOnly(t *testing.T) {
	other := Key{ID: "ca", Public: seededKey(3).Public()}
	for name, c := range map[string]struct {
		change func(*cacheWorld)
		want   Code
		kept   int // entries afterwards
	}{
		"nothing":                  {func(*cacheWorld) {}, "", 1},
		"expired":                  {func(w *cacheWorld) { w.now = w.now.Add(time.Hour) }, CodeExpired, 1},
		"clock set back":           {func(w *cacheWorld) { w.now = w.now.Add(-time.Hour) }, CodeNotYetValid, 1},
		"audience":                 {func(w *cacheWorld) { w.v.audience = []string{"other"} }, CodeAudienceMismatch, 1},
		"revoked":                  {func(w *cacheWorld) { w.status.Revoked = true }, CodeRevoked, 1},
		"disabled":                 {func(w *cacheWorld) { w.status.AgentDisabled = true }, CodeAgentDisabled, 1},
		"withdrawn":                {func(w *cacheWorld) { w.status.KeyWithdrawn = true }, CodeRevoked, 1},
		"status unknown":           {func(w *cacheWorld) { w.err = errors.New("down") }, CodeRevocationCheckFailed, 1},
		"issuer removed":           {func(w *cacheWorld) { w.v.RemoveIssuer(testIssuer) }, CodeIssuerUntrusted, 0},
		"issuer removed in a race": {func(w *cacheWorld) { delete(w.v.issuers, testIssuer) }, CodeIssuerUntrusted, 1},
		"key removed":              {func(w *cacheWorld) { w.keys[testIssuer] = []Key{} }, CodeSignatureInvalid, 0},
		"key replaced":             {func(w *cacheWorld) { w.keys[testIssuer] = []Key{other} }, CodeSignatureInvalid, 0},
		"key renamed":              {func(w *cacheWorld) { w.keys[testIssuer][0].ID = "ca-x" }, CodeSignatureInvalid, 0},
		"keys unreachable":         {func(w *cacheWorld) { delete(w.keys, testIssuer) }, CodeKeyFetchFailed, 1},
		"key forgotten":            {func(w *cacheWorld) { w.v.ForgetKey(testIssuer, "ca") }, "", 1},
		"subject's key joins the set": {func(w *cacheWorld) {
			w.keys[testIssuer] = append(w.keys[testIssuer], Key{ID: "x", Public: seededKey(2).Public()})
		}, CodeClaimsInvalid, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newCacheWorld(t, 0)
			w.v.audience = []string{"here"}
			token := w.issue(func(tmpl *Template) { tmpl.Audience = []string{"here"} })
			w.want(token, "")
			if n := w.v.cache.len(); n != 1 {
				t.Fatalf("%d entries", n)
			}
			c.change(w)
			w.want(token, c.want)
			if n := w.v.cache.len(); n != c.kept {
				t.Errorf("%d entries are left, want %d", n, c.kept)
			}
		})
	}
}

// TestCacheIsUsed puts an entry into the cache under the hash of a text that is no badge.
func TestCacheIsUsed(t *testing.T) {
	w := newCacheWorld(t, 0)
	token := w.issue(plain)
	b, err := w.v.Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	again, err := w.v.Verify(t.Context(), token)
	if err != nil || again != b {
		t.Errorf("the second use made another badge, %v", err)
	}
}

func TestCacheHoldsNothingRefused(t *testing.T) {
	w := newCacheWorld(t, 0)
	token := w.issue(plain)
	w.want(token[:len(token)-12]+"AAAAAAAAAAAA", CodeSignatureInvalid)
	w.want(token[1:], CodeMalformed)
	w.keys[testIssuer] = []Key{{ID: "ca", Public: seededKey(3).Public()}}
	w.want(token, CodeSignatureInvalid)
	if n := w.v.cache.len(); n != 0 {
		t.Errorf("%d entries", n)
	}
	w.keys[testIssuer] = []Key{{ID: "ca", Public: seededKey(1).Public()}}
	w.err = errors.New("down") // the signature is good: that is kept, and no more
	w.want(token, CodeRevocationCheckFailed)
	if n := w.v.cache.len(); n != 1 {
		t.Errorf("%d entries", n)
	}
}

func TestCacheIsBounded(t *testing.T) {
	w := newCacheWorld(t, 3)
	tokens := make([]string, 10)
	for i := range tokens {
		tokens[i] = w.issue(plain)
		w.want(tokens[i], "")
		if n := w.v.cache.len(); n > 3 {
			t.Fatalf("%d entries", n)
		}
	}
	for _, token := range tokens { // those that went are verified anew
		w.want(token, "")
	}
	w.v.RemoveIssuer(testIssuer)
	if n := w.v.cache.len(); n != 0 {
		t.Errorf("%d entries of an issuer that was removed", n)
	}
}

// TestCacheSlots removes and refills, so that one hash stands in several slots.
func TestCacheSlots(t *testing.T) {
	w := newCacheWorld(t, 2)
	a, b := w.issue(plain), w.issue(plain)
	for range 5 {
		w.want(a, "")
		w.v.ForgetKey(testIssuer, "ca")
		w.want(a, "")
		w.want(b, "")
		w.want(a, "")
		if n := w.v.cache.len(); n > 2 || len(w.v.cache.ring) != 2 {
			t.Fatalf("%d entries", n)
		}
	}
}

func TestNoCache(t *testing.T) {
	w := newCacheWorld(t, -1)
	token := w.issue(plain)
	w.want(token, "")
	w.v.ForgetKey(testIssuer, "ca")
	w.want(token, "")
	w.v.RemoveIssuer(testIssuer)
	w.want(token, CodeIssuerUntrusted)
	if n := w.v.cache.len(); n != 0 {
		t.Errorf("%d entries", n)
	}
}

func TestSelfSignedRemoved(t *testing.T) {
	w := newCacheWorld(t, 0)
	token, err := SelfSign(w.self, &Template{IssuedAt: w.now})
	if err != nil {
		t.Fatal(err)
	}
	w.want(token, "")
	w.want(token, "")
	w.v.RemoveIssuer(did.FromKey(w.self.Public().(ed25519.PublicKey)).String())
	w.want(token, CodeIssuerUntrusted)
	if n := w.v.cache.len(); n != 0 {
		t.Errorf("%d entries", n)
	}
}

// TestNoKidIsHeldToItsKey: a badge without kid is cached under the key that verified it.
func TestNoKidIsHeldToItsKey(t *testing.T) {
	w := newCacheWorld(t, 0)
	m, err := jws.Parse(w.issue(plain))
	if err != nil {
		t.Fatal(err)
	}
	token, err := jws.Sign(jws.Header{Typ: headerTyp}, m.Payload, seededKey(1))
	if err != nil {
		t.Fatal(err)
	}
	right, wrong := seededKey(1).Public(), seededKey(3).Public()
	for _, keys := range [][]Key{{{Public: right}}, {{ID: "ca", Public: wrong}, {ID: "cb", Public: right}}, {{ID: "cb", Public: right}}} {
		w.keys[testIssuer] = keys
		w.want(token, "")
		w.want(token, "")
	}
	for _, keys := range [][]Key{{}, {{Public: wrong}}, {{ID: "cb", Public: wrong}}} {
		w.keys[testIssuer] = keys
		w.want(token, CodeSignatureInvalid)
	}
}

func TestSameKey(t *testing.T) {
	a := seededKey(1).Public()
	for _, other := range []crypto.PublicKey{nil, seededKey(2).Public(), ed25519.PublicKey(nil), "key", a.(ed25519.PublicKey)[:31]} {
		if sameKey(a, other) || sameKey(other, a) || sameKey(other, nil) || sameKey(nil, other) {
			t.Errorf("%v passes for another key", other)
		}
	}
	if !sameKey(a, seededKey(1).Public()) {
		t.Error("a key is not itself")
	}
}

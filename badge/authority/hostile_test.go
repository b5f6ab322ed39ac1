package authority

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/did"
)

// TestLogTellsNoID: the log is public, and the ids of persistent accounts and of orders are what lets somebody act on
// them.
func TestLogTellsNoID(t *testing.T) {
	withWeb(t, embedded, func(c *Config) { c.AllowAnonymousOrders = true }, func(t *testing.T, b *bed, w *web) {
		var d dvAccountAnswer
		key := publicJWK(t, newKey(t))
		b.send("POST", "/v1/badges/dv/accounts", b.issue, map[string]any{"domain": testDomain, "account_public_key_jwk": key}).ok(&d)
		o := b.order(newHolder(b), "", "http-01")
		w.show(o)
		b.send("POST", "/v1/badges/dv/orders/"+o.ID+"/finalize", "", nil).ok(nil)
		found := map[string]bool{}
		for i, e := range b.entries() {
			text, err := b.log.Entry(context.Background(), uint64(i))
			must(t, err)
			if strings.Contains(string(text), d.ID) || strings.Contains(string(text), o.ID) {
				t.Errorf("entry %s", text)
			}
			found[e.DVAccount], found[e.Order] = true, true
		}
		if !found[IDHash(d.ID)] || !found[IDHash(o.ID)] {
			t.Errorf("the owner does not find %q and %q among %v", d.ID, o.ID, found)
		}
	})
}

// TestStrangerTakesNothing: what only looks like the badge of an agent does not keep the agent from asking by its own.
func TestStrangerTakesNothing(t *testing.T) {
	b := lite(t, func(c *Config) { c.ChallengesPerAccount = 3 })
	p := b.agent("ada")
	ask := func(token string) *reply {
		r := b.request("POST", p.path("/badge/challenge"), nil)
		r.Header.Set(headerBadge, token)
		return b.do(r)
	}
	token := b.badge1(p).Badge
	for range 10 {
		ask(token+"A").refused(401, CodeUnauthorized)
	}
	ask(token).ok(nil)
}

// TestActsAreBounded: each act is an entry that the log has for ever, so that an account has only so many.
func TestActsAreBounded(t *testing.T) {
	withWeb(t, embedded, func(c *Config) { c.ChallengesPerAccount, c.AllowAnonymousOrders = 4, true }, func(t *testing.T, b *bed, _ *web) {
		p := b.agent("ada")
		for range 4 {
			b.send("POST", p.path("/disable"), b.issue, nil).ok(nil)
			b.send("POST", "/v1/account/keys/rotate", b.issue, nil).ok(nil)
			b.send("POST", "/v1/badges/dv/accounts", b.issue, map[string]any{
				"domain": testDomain, "account_public_key_jwk": publicJWK(t, newKey(t)),
			}).ok(nil)
		}
		b.send("POST", p.path("/disable"), b.issue, nil).refused(429, CodeRateLimit)
		b.send("POST", "/v1/account/keys/rotate", b.issue, nil).refused(429, CodeRateLimit)
		b.send("POST", "/v1/badges/dv/accounts", b.issue, map[string]any{
			"domain": testDomain, "account_public_key_jwk": publicJWK(t, newKey(t)),
		}).refused(429, "RATE_LIMIT_EXCEEDED")
		for range 6 { // an administrator in an emergency is not stopped
			b.send("POST", p.path("/suspend"), b.admin, nil).ok(nil)
		}
		order := func(n int) *reply {
			return b.send("POST", "/v1/badges/dv/orders", "", map[string]any{
				"domain": fmt.Sprintf("d%d.acme.com", n), "challenge_type": "http-01", "agent_public_key_jwk": publicJWK(t, newKey(t)),
			})
		}
		for n := range 4 {
			order(n).ok(nil)
		}
		order(4).refused(429, "RATE_LIMIT_EXCEEDED")
	})
}

// TestTextsThatNoDatabaseHolds: a NUL is a fault of who sends it, on either engine.
func TestTextsThatNoDatabaseHolds(t *testing.T) {
	bedded(t, nil, func(t *testing.T, b *bed) {
		p := b.agent("ada")
		for _, r := range []*reply{
			b.send("GET", "/v1/badges/a%00b/status", "", nil), b.send("GET", "/v1/badges/a%FFb/status", "", nil),
			b.send("GET", "/agents/a%00b/did.json", "", nil), b.send("GET", "/v1/agents?after=%00", b.issue, nil),
			b.send("POST", p.path("/disable"), b.issue, `{"reason":"a\u0000b"}`),
			b.send("POST", "/v1/badges/dv/orders", b.issue, map[string]any{"account_id": "a\x00b", "agent_public_key_jwk": publicJWK(t, newKey(t))}),
		} {
			if r.status >= http.StatusInternalServerError {
				t.Errorf("status %d: %s", r.status, r.body)
			}
		}
	})
}

// TestNoBadgeCanHave: what no badge can have is refused when it is asked for, and is no fault of the server.
func TestNoBadgeCanHave(t *testing.T) {
	embedded(t, nil, func(t *testing.T, b *bed) {
		p := b.agent("ada")
		for _, name := range []string{strings.Repeat("a", maxAudienceName+1), "a\x01b"} {
			body := map[string]any{"mode": "ial0", "badge_aud": []string{name}}
			b.send("POST", p.path("/badge"), b.issue, body).refused(400, CodeInvalidRequest)
			b.send("POST", p.path("/badge/challenge"), b.issue, body).refused(400, CodeInvalidRequest)
		}
		longest := []string{strings.Repeat("\"", maxAudienceName), strings.Repeat("\\", maxAudienceName)}
		b.send("POST", p.path("/badge"), b.issue, map[string]any{"mode": "ial0", "badge_aud": longest}).ok(nil)
		own := publicJWK(t, b.signers.keys[testKeyID])
		b.send("POST", "/v1/agents", b.issue, map[string]any{"name": "eve", "public_key_jwk": own}).refused(400, CodeInvalidRequest)
		elsewhere := did.MustParse("did:web:agents.example:eve")
		b.docs.set(t, elsewhere, did.DocumentKey{Fragment: "key-1", Key: b.signers.keys[testKeyID].Public()})
		b.send("POST", "/v1/agents", b.issue, map[string]any{"did": elsewhere.String(), "public_key_jwk": own}).refused(400, CodeInvalidRequest)
	})
}

// TestNothingOfTheNetwork: what a look-up or a connection said on this side is not told to who chose where it goes.
func TestNothingOfTheNetwork(t *testing.T) {
	withWeb(t, embedded, nil, func(t *testing.T, b *bed, w *web) {
		h := b.granted(w)
		b.docs.err = &did.ResolveError{DID: h.did, Reason: "lookup acme.com on 10.96.0.10:53: server misbehaving"}
		if r := b.mint(h, nil).refused(502, CodeProofFailed); strings.Contains(string(r.body), "10.96") {
			t.Errorf("answer %s", r.body)
		}
	})
}

// TestStrangersCannotKeepAGrant: who knows the id of a grant, which the log tells, does not keep its key from ending it.
func TestStrangersCannotKeepAGrant(t *testing.T) {
	withWeb(t, embedded, func(c *Config) { c.ChallengesPerAccount = 4 }, func(t *testing.T, b *bed, w *web) {
		h := b.granted(w)
		own := did.FromKey(h.key.Public().(ed25519.PublicKey))
		stranger := newKey(t)
		path := "/v1/badges/dv/grants/" + h.id + "/revoke"
		revoke := func(proof string) *reply {
			r := b.request("POST", path, nil)
			r.Header.Set("Authorization", "Bearer "+proof)
			return b.do(r)
		}
		sign := func(key ed25519.PrivateKey, subject did.DID, keyID string) string {
			text, err := pop.SignGrantProof(key, &pop.GrantProof{
				KeyID: keyID, Subject: subject, Request: pop.GrantRevokeRequest(testIssuer, h.id),
			}, b.clock.Now())
			must(t, err)
			return text
		}
		for range 6 {
			revoke("no.proof").refused(401, CodeProofFailed)
			revoke(sign(stranger, own, own.KeyURL())).refused(401, CodeProofFailed)
		}
		for n := range 6 { // each has a document fetched
			status := 401
			if n >= 4 {
				status = 429
			}
			if r := revoke(sign(stranger, h.did, h.keyID)); r.status != status {
				t.Errorf("%d: %d %s", n, r.status, r.body)
			}
		}
		revoke(sign(h.key, own, own.KeyURL())).ok(nil)
	})
}

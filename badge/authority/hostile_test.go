package authority

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

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

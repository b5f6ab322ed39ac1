package authority

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jcs"
	"github.com/touchmark-dev/touchmark/internal/jws"
)

// TestIssue has a badge of each assurance accepted by a verifier.
func TestIssue(t *testing.T) {
	bedded(t, nil, func(t *testing.T, b *bed) {
		ada := b.agent("ada")
		for want, out := range map[badge.Assurance]*badgeAnswer{"0": b.badge0(ada), "1": b.badge1(ada)} {
			got, err := b.verifier(b.list()).Verify(context.Background(), out.Badge)
			must(t, err)
			if got.Assurance() != want || got.Subject() != ada.did || got.Level() != badge.LevelRegistered || got.ID() != out.ID ||
				got.IssuerKeyID() != testKeyID || got.ExpiresAt().Sub(got.IssuedAt()) != badge.DefaultTTL {
				t.Errorf("badge %+v of %+v", got, out)
			}
			if out.Compat != nil || out.Success {
				t.Error("an answer in the form of compat")
			}
		}
	})
}

// A forgery is a proof with one defect.
type forgery struct {
	name   string
	status int
	code   pop.IssuanceCode
	claims func(map[string]any)
	typ    string
	kid    string
	key    *party
	text   string
}

func (b *bed) forge(p *party, c *pop.Challenge, f *forgery) string {
	b.t.Helper()
	if f.text != "" {
		return f.text
	}
	now := b.clock.Now().Unix()
	claims := map[string]any{
		"cid": c.ID, "nonce": c.Nonce, "sub": p.did.String(), "aud": c.Audience, "htu": c.HTTPURI, "htm": "POST",
		"iat": now, "exp": now + 60, "jti": "p-1",
	}
	if f.claims != nil {
		f.claims(claims)
	}
	payload, err := jcs.Marshal(claims)
	must(b.t, err)
	h := jws.Header{Typ: "pop+jwt", Kid: p.keyID}
	if f.typ != "" {
		h.Typ = f.typ
	}
	if f.kid != "" {
		h.Kid = f.kid
	}
	signer := p.key
	if f.key != nil {
		signer = f.key.key
	}
	text, err := jws.Sign(h, payload, signer)
	must(b.t, err)
	return text
}

// forgeries has one for each step from 6 to 23 that needs no other document.
func forgeries(b *bed, p, other *party) []forgery {
	now := b.clock.Now().Unix()
	set := func(name string, v any) func(map[string]any) { return func(c map[string]any) { c[name] = v } }
	return []forgery{
		{name: "6 form", status: 400, code: "invalid_proof", text: "a.b"},
		{name: "6 claim", status: 400, code: "invalid_proof", claims: set("jti", "")},
		{name: "7 typ", status: 400, code: "invalid_proof", typ: "JWT"},
		{name: "8 cid", status: 403, code: "cid_mismatch", claims: set("cid", "ch-550e8400-e29b-41d4-a716-446655440000")},
		{name: "9 nonce", status: 400, code: "invalid_proof", claims: set("nonce", strings.Repeat("A", 43))},
		{name: "10 aud", status: 403, code: "audience_mismatch", claims: set("aud", "https://other.example")},
		{name: "11 htu", status: 403, code: "htu_mismatch", claims: set("htu", testIssuer+"/v1/agents/"+p.did.String()+"/badge")},
		{name: "12 htm", status: 400, code: "invalid_proof", claims: set("htm", "GET")},
		{name: "13 iat", status: 403, code: "iat_invalid", claims: func(c map[string]any) { c["iat"], c["exp"] = now+61, now+100 }},
		{name: "14 iat", status: 403, code: "iat_invalid", claims: set("iat", now-61)},
		{name: "16 exp", status: 403, code: "exp_too_long", claims: set("exp", now+61)},
		{name: "17 exp", status: 403, code: "proof_expired", claims: func(c map[string]any) { c["iat"], c["exp"] = now-50, now }},
		{name: "19 sub", status: 403, code: "subject_mismatch", claims: set("sub", other.did.String())},
		{name: "21 kid", status: 403, code: "kid_not_found", kid: p.did.String() + "#key-2"},
		{name: "21 kid of another", status: 403, code: "kid_not_found", kid: other.keyID},
		{name: "23 signature", status: 403, code: "proof_verification_failed", key: other},
	}
}

// TestProofRefused has each step of RFC-003 section 5.2.2 refuse by its status and code, and leave the challenge be.
func TestProofRefused(t *testing.T) {
	b := lite(t, nil)
	p, other := b.agent("ada"), b.agent("eve")
	for _, f := range forgeries(b, p, other) {
		t.Run(f.name, func(t *testing.T) {
			b.pass(time.Hour) // for the limits
			f := refresh(b, p, other, f.name)
			c := b.challenge(p, nil)
			body := map[string]string{"mode": "ial1", "challenge_id": c.ID, "proof_jws": b.forge(p, c, f)}
			b.send("POST", p.path("/badge"), "", body).refused(f.status, f.code)
			b.prove(p, c).ok(nil)
		})
	}
}

// refresh returns the forgery of that name for the time that it is now.
func refresh(b *bed, p, other *party, name string) *forgery {
	for _, f := range forgeries(b, p, other) {
		if f.name == name {
			return &f
		}
	}
	panic(name)
}

// TestChallengeRefused is steps 1 to 5, and those that need time to pass.
func TestChallengeRefused(t *testing.T) {
	b := lite(t, nil)
	p, other := b.agent("ada"), b.agent("eve")
	c := b.challenge(p, nil)
	try := func(p *party, id, proof string) *reply {
		return b.send("POST", p.path("/badge"), "", map[string]string{"mode": "ial1", "challenge_id": id, "proof_jws": proof})
	}
	for _, id := range []string{"", "ch-1", strings.ToUpper(c.ID), c.ID[3:], c.ID + " "} {
		try(p, id, b.proof(p, c)).refused(400, "invalid_challenge_id")
	}
	try(p, "ch-550e8400-e29b-41d4-a716-446655440000", b.proof(p, c)).refused(404, "challenge_not_found")
	try(other, c.ID, b.proof(p, c)).refused(403, "subject_mismatch")
	proof := b.proof(p, c)
	try(p, c.ID, proof).ok(nil)
	try(p, c.ID, proof).refused(403, "challenge_used")
	late := b.challenge(p, map[string]int{"challenge_ttl": 30})
	beyond := b.forge(p, late, &forgery{})
	try(p, late.ID, beyond).refused(403, "exp_outside_challenge_window")
	b.clock.add(30 * time.Second)
	try(p, late.ID, beyond).refused(403, "challenge_expired")
	b.send("POST", "/v1/agents/not-a-did/badge", "", map[string]string{"mode": "ial1"}).refused(400, CodeInvalidDID)
	b.send("POST", p.path("/badge"), "", map[string]string{"mode": "ial2"}).refused(400, CodeInvalidMode)
}

// TestDocumentRefused is steps 20 and 22, for an agent whose document is elsewhere.
func TestDocumentRefused(t *testing.T) {
	b := lite(t, nil)
	p := b.elsewhere("did:web:agents.example:ada")
	prove := func() *reply { return b.prove(p, b.challenge(p, nil)) }
	prove().ok(nil)
	for _, err := range []error{&did.ResolveError{DID: p.did}, errors.New("no network")} {
		b.docs.err = err
		prove().refused(502, pop.IssuanceResolutionFailed)
	}
	b.docs.err = &did.DocumentError{}
	prove().refused(502, pop.IssuanceDocumentInvalid)
	b.docs.err = nil
	doc := *b.docs.docs[p.did]
	doc.Authentication = nil
	b.docs.docs[p.did] = &doc
	prove().refused(403, pop.IssuanceKeyNotAuthenticator)
}

// elsewhere registers an agent whose document another host has.
func (b *bed) elsewhere(name string) *party {
	b.t.Helper()
	p := &party{did: did.MustParse(name), key: newKey(b.t), keyID: name + "#k"}
	b.docs.set(b.t, p.did, did.DocumentKey{Fragment: "k", Key: p.key.Public()})
	body := map[string]any{"did": name, "key_id": p.keyID, "public_key_jwk": publicJWK(b.t, p.key)}
	b.send("POST", "/v1/agents", b.issue, body).ok(nil)
	return p
}

// TestFrozen: what a badge of assurance 1 says was settled with its challenge.
func TestFrozen(t *testing.T) {
	embedded(t, nil, func(t *testing.T, b *bed) {
		p := b.agent("ada")
		c := b.challenge(p, map[string]any{"badge_ttl": 60, "badge_aud": []string{"https://a.example"}})
		var out badgeAnswer
		b.send("POST", p.path("/badge"), "", map[string]any{
			"mode": "ial1", "challenge_id": c.ID, "proof_jws": b.proof(p, c), "badge_ttl": 3600, "badge_aud": []string{"https://b.example"},
			"domain": "evil.example",
		}).ok(&out)
		got, err := b.verifier(nil).Verify(context.Background(), out.Badge)
		must(t, err)
		if got.ExpiresAt().Sub(got.IssuedAt()) != time.Minute || fmt.Sprint(got.Audience()) != "[https://a.example]" || got.Domain() != "" {
			t.Errorf("badge %v %v %q", got.ExpiresAt().Sub(got.IssuedAt()), got.Audience(), got.Domain())
		}
		if got.TokenHash() != sha256.Sum256([]byte(out.Badge)) || got.ConfirmationKeyID().String() != p.keyID {
			t.Errorf("badge of %q", got.ConfirmationKeyID())
		}
	})
}

// TestLevel: a badge never has more than what was granted, neither then nor since its challenge.
func TestLevel(t *testing.T) {
	embedded(t, func(c *Config) { c.AllowCompat = true }, func(t *testing.T, b *bed) {
		p := b.agent("ada")
		ask := func(level string) *reply {
			return b.send("POST", p.path("/badge"), b.issue, map[string]string{"mode": "ial0", "trustLevel": level})
		}
		ask("2").refused(403, CodeLevel)
		ask("0").refused(400, CodeInvalidRequest)
		b.level(p, "3", "acme.com")
		ask("4").refused(403, CodeLevel)
		for level, domain := range map[string]string{"1": "", "2": "acme.com", "3": "acme.com"} {
			var out badgeAnswer
			ask(level).ok(&out)
			got, err := b.verifier(nil).Verify(context.Background(), out.Badge)
			must(t, err)
			if got.Level().String() != level || got.Domain() != domain {
				t.Errorf("level %v for %q, asked for %s", got.Level(), got.Domain(), level)
			}
		}
		b.send("POST", p.path("/badge"), b.issue, map[string]string{"mode": "ial0", "domain": "other.com"}).refused(403, CodeLevel)
		c := b.challenge(p, nil)
		b.level(p, "1", "")
		b.prove(p, c).refused(403, CodeLevel)
		b.send("POST", p.path("/level"), b.issue, map[string]string{"level": "4"}).refused(403, CodeForbidden)
		for _, body := range []map[string]string{
			{"level": "5", "reason": "r"}, {"level": "0", "reason": "r"}, {"level": "2", "reason": "r"}, {"level": "2", "domain": "acme.com"},
			{"level": "1", "domain": "acme.com", "reason": "r"}, {"level": "2", "domain": "acme.local", "reason": "r"},
			{"level": "2", "domain": "acme.com", "reason": strings.Repeat("r", maxReason+1)},
		} {
			b.send("POST", p.path("/level"), b.admin, body).refused(400, CodeInvalidRequest)
		}
	})
}

// TestParameters has the bounds of what is asked for refused.
func TestParameters(t *testing.T) {
	b := lite(t, nil)
	p := b.agent("ada")
	long := make([]string, MaxAudience+1)
	for i := range long {
		long[i] = "https://a.example"
	}
	for _, body := range []map[string]any{
		{"badge_ttl": 59}, {"badge_ttl": 3601}, {"badge_ttl": -1}, {"challenge_ttl": 601}, {"challenge_ttl": 9}, {"challenge_ttl": -5},
		{"badge_aud": []string{""}}, {"badge_aud": long}, {"badge_aud": "https://a.example"}, {"badge_ttl": "300"}, {"badge_ttl": 1.5},
		{"badge_aud": []string{strings.Repeat("a", maxAudienceText+1)}}, {"badge_ttl": int64(1) << 60},
	} {
		b.send("POST", p.path("/badge/challenge"), b.issue, body).refused(400, CodeInvalidRequest)
		if _, ok := body["challenge_ttl"]; ok {
			continue
		}
		body["mode"] = "ial0"
		b.send("POST", p.path("/badge"), b.issue, body).refused(400, CodeInvalidRequest)
	}
	b.send("POST", p.path("/badge"), b.issue, map[string]any{"mode": "ial0", "ttl": 60, "badge_ttl": 60}).refused(400, CodeInvalidRequest)
	b.send("POST", p.path("/badge"), b.issue, map[string]any{"mode": "ial0", "ttl": 60}).ok(nil)
}

// TestOnce has many redeem one challenge at the same time, at two nodes.
func TestOnce(t *testing.T) {
	bedded(t, func(c *Config) { c.ChallengesPerAgent = 1000 }, func(t *testing.T, b *bed) {
		p := b.agent("ada")
		c := b.challenge(p, nil)
		second := b.node(nil)
		bodies := map[string]string{"mode": "ial1", "challenge_id": c.ID, "proof_jws": b.proof(p, c)}
		var wg sync.WaitGroup
		replies := make(chan *reply, 40)
		for i := range cap(replies) {
			node := []*bed{b, second}[i%2]
			wg.Go(func() { replies <- node.send("POST", p.path("/badge"), "", bodies) })
		}
		wg.Wait()
		close(replies)
		issued := 0
		for r := range replies {
			if r.status == 200 {
				issued++
				continue
			}
			r.refused(403, CodeChallengeUsed)
		}
		logged := 0
		for _, e := range b.entries() {
			if e.Type == EntryBadgeIssued {
				logged++
			}
		}
		if issued != 1 || logged != 1 {
			t.Errorf("%d badges, %d in the log", issued, logged)
		}
	})
}

// node opens another node of the same database, which ships nothing.
func (b *bed) node(change func(*Config)) *bed {
	b.t.Helper()
	n := &bed{t: b.t, clock: b.clock, signers: b.signers, docs: b.docs, log: b.log, account: b.account, issue: b.issue, admin: b.admin}
	cfg := b.cfg
	cfg.Log, cfg.LogElsewhere = nil, true
	if change != nil {
		change(&cfg)
	}
	a, err := New(context.Background(), &cfg)
	must(b.t, err)
	b.t.Cleanup(func() { _ = a.Close() })
	n.Authority, n.handler = a, a.Handler()
	return n
}

// TestInactive: an agent that is disabled or suspended, or whose account is, gets nothing.
func TestInactive(t *testing.T) {
	bedded(t, func(c *Config) { c.ChallengesPerAgent = 100 }, func(t *testing.T, b *bed) {
		p := b.agent("ada")
		for _, verb := range []string{"/disable", "/suspend"} {
			c := b.challenge(p, nil)
			b.send("POST", p.path(verb), b.admin, map[string]string{"reason": "incident"}).ok(nil)
			b.send("POST", p.path("/badge/challenge"), b.issue, nil).refused(403, CodeAgentInactive)
			b.send("POST", p.path("/badge"), b.issue, map[string]string{"mode": "ial0"}).refused(403, CodeAgentInactive)
			b.prove(p, c).refused(403, CodeAgentInactive)
			b.send("POST", p.path("/enable"), b.issue, nil).refused(403, CodeForbidden)
			b.send("POST", p.path("/enable"), b.admin, nil).ok(nil)
		}
		c := b.challenge(p, nil)
		must(t, b.DisableAccount(context.Background(), b.account))
		b.prove(p, c).refused(403, CodeAgentInactive)
		b.send("POST", p.path("/badge"), b.issue, map[string]string{"mode": "ial0"}).refused(401, CodeUnauthorized)
		must(t, b.EnableAccount(context.Background(), b.account))
		b.prove(p, c).ok(nil)
	})
}

// TestLimits: badges are counted in the database, by all nodes.
func TestLimits(t *testing.T) {
	change := func(c *Config) { c.BadgesPerAgent, c.BadgesPerAccount = 2, 3 }
	bedded(t, change, func(t *testing.T, b *bed) {
		p, q, second := b.agent("ada"), b.agent("eve"), b.node(nil)
		b.badge0(p)
		second.badge0(p)
		r := second.send("POST", p.path("/badge"), b.issue, map[string]string{"mode": "ial0"}).refused(429, CodeRateLimit)
		if r.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		b.prove(p, b.challenge(p, nil)).refused(429, CodeRateLimit)
		b.badge0(q)
		b.send("POST", q.path("/badge"), b.issue, map[string]string{"mode": "ial0"}).refused(429, CodeRateLimit)
		b.pass(time.Hour + time.Minute)
		b.badge0(p)
	})
}

// TestRates: challenges and proofs that fail are counted by each node.
func TestRates(t *testing.T) {
	b := lite(t, nil)
	p, q := b.agent("ada"), b.agent("eve")
	for range DefaultChallengesPerAgent {
		b.challenge(p, nil)
	}
	r := b.send("POST", p.path("/badge/challenge"), b.issue, nil).refused(429, CodeRateLimit)
	if got := r.header.Get("Retry-After"); got != "6" {
		t.Errorf("Retry-After %q", got)
	}
	b.challenge(q, nil)
	b.clock.add(6 * time.Second)
	c := b.challenge(p, nil)
	bad := map[string]string{"mode": "ial1", "challenge_id": c.ID, "proof_jws": b.forge(p, c, &forgery{typ: "JWT"})}
	for range failures {
		b.send("POST", p.path("/badge"), "", bad).refused(400, "invalid_proof")
	}
	b.send("POST", p.path("/badge"), "", bad).refused(429, CodeRateLimit)
	b.prove(p, c).refused(429, CodeRateLimit)
	b.clock.add(time.Minute)
	b.send("POST", p.path("/badge/challenge"), b.issue, nil).refused(429, CodeRateLimit)
	b.prove(q, b.challenge(q, nil)).ok(nil)
	b.clock.add(3 * time.Minute)
	b.badge1(p)
}

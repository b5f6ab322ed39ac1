package authority

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/authority/internal/domain"
	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/did"
)

const testDomain = "api.acme.com"

// A web is all hosts of the world: what they serve over HTTP, and their TXT records.
type web struct {
	mu    sync.Mutex
	files map[string]string // by path
	any   string            // thumbprint for which every challenge is answered
	txt   []string
	down  bool
}

func (w *web) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if text, ok := w.files[r.URL.Path]; ok {
		_, _ = io.WriteString(out, text)
		return
	}
	if token, ok := strings.CutPrefix(r.URL.Path, "/.well-known/capiscio-challenge/"); ok && w.any != "" {
		_, _ = io.WriteString(out, token+"."+w.any+"\n")
		return
	}
	http.NotFound(out, r)
}

func (w *web) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down {
		return nil, errors.New("no answer")
	}
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
}

func (w *web) LookupTXT(context.Context, string) ([]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.txt, nil
}

// withWeb runs f with a world of its own.
func withWeb(t *testing.T, on engines, change func(*Config), f func(t *testing.T, b *bed, w *web)) {
	t.Helper()
	w := &web{files: map[string]string{}}
	server := httptest.NewServer(w)
	t.Cleanup(server.Close)
	port := netip.MustParseAddrPort(server.Listener.Addr().(*net.TCPAddr).String()).Port()
	on(t, func(c *Config) {
		c.DNS, c.UnsafeValidateLoopback, c.ChallengesPerAccount = w, port, 1000
		if change != nil {
			change(c)
		}
	}, func(t *testing.T, b *bed) {
		w.mu.Lock()
		w.files, w.any, w.txt, w.down = map[string]string{}, "", nil, false
		w.mu.Unlock()
		f(t, b, w)
	})
}

func (w *web) show(o *orderAnswer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.files["/.well-known/capiscio-challenge/"+o.Challenge.Token] = o.Challenge.Content
}

// A holder has the key of a grant, and a DID on its domain.
type holder struct {
	*party
	grant, id string
}

func newHolder(b *bed) *holder {
	h := &holder{party: &party{did: did.MustParse("did:web:" + testDomain + ":agents:ada"), key: newKey(b.t)}}
	h.keyID = h.did.String() + "#k"
	b.docs.set(b.t, h.did, did.DocumentKey{Fragment: "k", Key: h.key.Public()})
	return h
}

func (b *bed) order(h *holder, key, kind string) *orderAnswer {
	b.t.Helper()
	var o orderAnswer
	b.send("POST", "/v1/badges/dv/orders", key, map[string]any{
		"domain": testDomain, "challenge_type": kind, "agent_public_key_jwk": publicJWK(b.t, h.key),
	}).ok(&o)
	return &o
}

// granted gets a grant by http-01.
func (b *bed) granted(w *web) *holder {
	b.t.Helper()
	h := newHolder(b)
	o := b.order(h, b.issue, "http-01")
	w.show(o)
	b.finalize(h, o.ID)
	return h
}

func (b *bed) finalize(h *holder, order string) {
	b.t.Helper()
	var g grantAnswer
	b.send("POST", "/v1/badges/dv/orders/"+order+"/finalize", b.issue, nil).ok(&g)
	h.grant, h.id = g.Grant, g.ID
}

func (b *bed) possess(h *holder, r pop.GrantRequest) string {
	b.t.Helper()
	text, err := pop.SignGrantProof(h.key, &pop.GrantProof{KeyID: h.keyID, Subject: h.did, Request: r}, b.clock.Now())
	must(b.t, err)
	return text
}

func (b *bed) mint(h *holder, change func(map[string]any)) *reply {
	b.t.Helper()
	body := map[string]any{
		"grant": h.grant, "proof": b.possess(h, pop.MintRequest(testIssuer)),
		"badge_request": map[string]any{"sub": h.did.String(), "aud": []string{"https://a.example"}, "exp_seconds": 60},
	}
	if change != nil {
		change(body)
	}
	return b.send("POST", "/v1/badges/mint", "", body)
}

// TestMint goes from an order to a badge that a verifier accepts online, by both kinds of challenge.
func TestMint(t *testing.T) {
	withWeb(t, bedded, nil, func(t *testing.T, b *bed, w *web) {
		h := newHolder(b)
		for _, kind := range []string{"http-01", "dns-01"} {
			o := b.order(h, b.issue, kind)
			b.send("POST", "/v1/badges/dv/orders/"+o.ID+"/finalize", b.issue, nil).refused(400, "CHALLENGE_FAILED")
			w.txt = []string{"v=spf1", o.Challenge.Content}
			w.show(o)
			b.finalize(h, o.ID)
			b.send("POST", "/v1/badges/dv/orders/"+o.ID+"/finalize", b.issue, nil).refused(409, CodeOrderFinalized)
			var shown orderAnswer
			b.send("GET", "/v1/badges/dv/orders/"+o.ID, b.issue, nil).ok(&shown)
			if shown.Status != "valid" || shown.GrantID != h.id {
				t.Errorf("order %+v", shown)
			}
			var out badgeAnswer
			b.mint(h, nil).ok(&out)
			got, err := b.verifier(own{b.Authority}).Verify(context.Background(), out.Badge)
			must(t, err)
			if got.Level() != badge.LevelDomain || got.Domain() != testDomain || got.IssuanceProfile() != badge.ProfileAnonymousDV ||
				got.Assurance() != badge.AssurancePossession || !h.key.Public().(ed25519.PublicKey).Equal(got.Key()) ||
				got.ConfirmationKeyID().String() != h.keyID || got.ExpiresAt().Sub(got.IssuedAt()) != time.Minute {
				t.Errorf("badge %+v", got)
			}
			var status struct{ Status string }
			if b.send("GET", h.path("/status"), "", nil).ok(&status); status.Status != "active" {
				t.Errorf("status of a subject that is not registered: %q", status.Status)
			}
		}
	})
}

// TestMintRefused has each phase of minting refuse by its status and code.
func TestMintRefused(t *testing.T) {
	withWeb(t, embedded, nil, func(t *testing.T, b *bed, w *web) {
		h := b.granted(w)
		request := func(name string, v any) func(map[string]any) {
			return func(body map[string]any) { body["badge_request"].(map[string]any)[name] = v }
		}
		for _, c := range []struct {
			name   string
			status int
			code   any
			change func(map[string]any)
		}{
			{"no grant", 400, "GRANT_MALFORMED", func(m map[string]any) { m["grant"] = "x" }},
			{"signature", 401, "GRANT_SIGNATURE_INVALID", func(m map[string]any) { m["grant"] = h.grant[:len(h.grant)-8] + "AAAAAAAA" }},
			{"a badge as grant", 400, "GRANT_INVALID_TYPE", func(m map[string]any) { m["grant"] = b.badge0(b.agent("x")).Badge }},
			{"level", 400, CodeInvalidRequest, request("level", "3")},
			{"domain", 400, CodeInvalidRequest, request("domain", testDomain)},
			{"profile", 400, CodeInvalidRequest, request("issuance_profile", "registered")},
			{"lifetime", 400, CodeInvalidRequest, request("exp_seconds", 3601)},
			{"subject below", 400, "DID_DOMAIN_MISMATCH", request("sub", "did:web:x."+testDomain)},
			{"subject's port", 400, "DID_DOMAIN_MISMATCH", request("sub", "did:web:"+testDomain+"%3A8443")},
			{"subject a key", 400, "DID_DOMAIN_MISMATCH", request("sub", did.FromKey(h.key.Public().(ed25519.PublicKey)).String())},
			{"another subject", 401, CodeProofFailed, request("sub", "did:web:"+testDomain)},
			{"no proof", 401, CodeProofFailed, func(m map[string]any) { m["proof"] = "" }},
			{"proof for another request", 401, CodeProofFailed, func(m map[string]any) {
				m["proof"] = b.possess(h, pop.GrantRevokeRequest(testIssuer, h.id))
			}},
		} {
			b.mint(h, c.change).refused(c.status, c.code)
		}
		thief := &holder{party: &party{did: h.did, key: newKey(t), keyID: h.keyID}, grant: h.grant}
		b.mint(thief, nil).refused(401, CodeProofFailed)
		b.docs.set(t, h.did, did.DocumentKey{Fragment: "k", Key: thief.key.Public()})
		b.mint(thief, nil).refused(400, "KEY_MISMATCH")
		b.docs.err = &did.ResolveError{DID: h.did}
		b.mint(h, nil).refused(502, CodeProofFailed)
		b.docs.err = nil
		b.docs.set(t, h.did, did.DocumentKey{Fragment: "k", Key: h.key.Public()})
		proof := b.possess(h, pop.MintRequest(testIssuer))
		again := func(m map[string]any) { m["proof"] = proof }
		b.mint(h, again).ok(nil)
		b.mint(h, again).refused(401, CodeProofFailed)
		b.pass(domain.MaxGrantTTL)
		b.mint(h, nil).refused(400, "GRANT_EXPIRED")
	})
}

// TestMintOnce has one proof sent many times at once.
func TestMintOnce(t *testing.T) {
	withWeb(t, bedded, nil, func(t *testing.T, b *bed, w *web) {
		h := b.granted(w)
		proof := b.possess(h, pop.MintRequest(testIssuer))
		body := map[string]any{"grant": h.grant, "proof": proof, "badge_request": map[string]any{"sub": h.did.String()}}
		replies := make(chan *reply, 16)
		var wg sync.WaitGroup
		for range cap(replies) {
			wg.Go(func() { replies <- b.send("POST", "/v1/badges/mint", "", body) })
		}
		wg.Wait()
		close(replies)
		issued := 0
		for r := range replies {
			if r.status == 200 {
				issued++
			} else {
				r.refused(401, CodeProofFailed)
			}
		}
		if issued != 1 {
			t.Errorf("%d badges for one proof", issued)
		}
	})
}

func (b *bed) ask(h *holder, method, verb, id string) *reply {
	b.t.Helper()
	r := b.request(method, "/v1/badges/dv/grants/"+id+"/"+verb, nil)
	r.Header.Set("Authorization", "Bearer "+b.possess(h, pop.GrantRequest{Method: method, URI: testIssuer + r.URL.Path}))
	return b.do(r)
}

// TestGrant: status and revocation by the key, and by nobody else.
func TestGrant(t *testing.T) {
	withWeb(t, embedded, nil, func(t *testing.T, b *bed, w *web) {
		h := b.granted(w)
		status := func() string {
			var out struct{ Status, Domain string }
			b.ask(h, "GET", "status", h.id).ok(&out)
			return out.Status
		}
		if got := status(); got != "valid" {
			t.Errorf("status %q", got)
		}
		thief := &holder{party: &party{key: newKey(t)}}
		thief.did = did.FromKey(thief.key.Public().(ed25519.PublicKey))
		thief.keyID = thief.did.KeyURL()
		for _, r := range []*reply{
			b.ask(thief, "GET", "status", h.id), b.ask(h, "GET", "status", domain.NewGrantID()),
			b.send("GET", "/v1/badges/dv/grants/"+h.id+"/status", "", nil),
		} {
			r.refused(404, CodeGrantNotFound)
		}
		b.ask(thief, "POST", "revoke", h.id).refused(401, CodeProofFailed)
		b.ask(h, "POST", "revoke", domain.NewGrantID()).refused(404, CodeGrantNotFound)
		_, other, err := b.AddAccount(context.Background(), "other")
		must(t, err)
		b.send("POST", "/v1/badges/dv/grants/"+h.id+"/revoke", other.Reveal(), nil).refused(404, CodeGrantNotFound)
		b.ask(h, "POST", "revoke", h.id).ok(nil)
		b.ask(h, "POST", "revoke", h.id).refused(409, CodeGrantAlreadyRevoked)
		if got := status(); got != "revoked" {
			t.Errorf("status %q", got)
		}
		b.mint(h, nil).refused(403, CodeGrantRevoked)
		h = b.granted(w)
		b.send("POST", "/v1/badges/dv/grants/"+h.id+"/revoke", b.admin, map[string]string{"reason": "r"}).ok(nil)
		b.mint(h, nil).refused(403, CodeGrantRevoked)
		b.pass(domain.MaxGrantTTL)
		h2 := b.granted(w)
		must(t, b.RevokeGrant(context.Background(), h2.id, "operator"))
		b.mint(h2, nil).refused(403, CodeGrantRevoked)
	})
}

// TestGrantOutlivesRotation: a retired key's grants count, a withdrawn key's do not.
func TestGrantOutlivesRotation(t *testing.T) {
	withWeb(t, embedded, nil, func(t *testing.T, b *bed, w *web) {
		ctx := context.Background()
		h := b.granted(w)
		b.signers.add(t, "ca-2")
		must(t, b.AddKey(ctx, "ca-2", false))
		b.pass(DefaultKeyLead + 2*time.Minute)
		must(t, b.RetireKeys(ctx))
		b.pass(2 * time.Hour)
		if keys := b.keys(); len(keys) != 1 || keys[0].ID != "ca-2" {
			t.Errorf("keys %v", keys)
		}
		b.mint(h, nil).ok(nil)
		must(t, b.WithdrawKey(ctx, testKeyID, "stolen"))
		b.mint(h, nil).refused(401, "GRANT_SIGNATURE_INVALID")
	})
}

// TestOrderRefused has what cannot be ordered or finalized refused.
func TestOrderRefused(t *testing.T) {
	withWeb(t, embedded, nil, func(t *testing.T, b *bed, w *web) {
		h := newHolder(b)
		good := map[string]any{"domain": testDomain, "challenge_type": "http-01", "agent_public_key_jwk": publicJWK(t, h.key)}
		for _, c := range []struct {
			member string
			value  any
			code   any
		}{
			{"domain", "localhost", "INVALID_DOMAIN"}, {"domain", "127.0.0.1", "INVALID_DOMAIN"}, {"domain", "*.acme.com", "INVALID_DOMAIN"},
			{"domain", "acme.com:8080", "INVALID_DOMAIN"}, {"challenge_type", "tls-alpn-01", CodeUnsupportedChallenge},
			{"agent_public_key_jwk", json.RawMessage(`{"kty":"OKP"}`), CodeInvalidKey},
			{"agent_public_key_jwk", json.RawMessage(`{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}`), CodeInvalidKey},
		} {
			body := map[string]any{"domain": good["domain"], "challenge_type": good["challenge_type"], "agent_public_key_jwk": good["agent_public_key_jwk"]}
			body[c.member] = c.value
			b.send("POST", "/v1/badges/dv/orders", b.issue, body).refused(400, c.code)
		}
		b.send("POST", "/v1/badges/dv/orders", "", good).refused(401, "UNAUTHORIZED")
		b.send("POST", "/v1/badges/dv/orders/ord_x/finalize", b.issue, nil).refused(404, CodeOrderNotFound)
		o := b.order(h, b.issue, "http-01")
		b.send("POST", "/v1/badges/dv/orders/"+o.ID+"/finalize", b.admin, nil).refused(404, CodeOrderNotFound)
		key, err := b.AddAccountKey(context.Background(), b.account)
		must(t, err)
		b.send("POST", "/v1/badges/dv/orders/"+o.ID+"/finalize", key.Reveal(), nil).refused(403, CodeForbidden)
		w.down = true
		r := b.send("POST", "/v1/badges/dv/orders/"+o.ID+"/finalize", b.issue, nil).refused(400, "CHALLENGE_FAILED")
		if r.header.Get("Retry-After") == "" || strings.Contains(string(r.body), "127.0.0.1") {
			t.Errorf("answer %v %s", r.header, r.body)
		}
		w.down = false
		for range orderAttempts - 1 {
			b.send("POST", "/v1/badges/dv/orders/"+o.ID+"/finalize", b.issue, nil).refused(400, "CHALLENGE_FAILED")
		}
		w.show(o)
		b.send("POST", "/v1/badges/dv/orders/"+o.ID+"/finalize", b.issue, nil).refused(409, CodeOrderInvalid)
		late := b.order(h, b.issue, "http-01")
		w.show(late)
		b.pass(httpOrderLife)
		b.send("POST", "/v1/badges/dv/orders/"+late.ID+"/finalize", b.issue, nil).refused(400, CodeOrderExpired)
		for range 5 {
			b.order(h, b.issue, "dns-01")
		}
		b.send("POST", "/v1/badges/dv/orders", b.issue, good).refused(429, "RATE_LIMIT_EXCEEDED")
	})
}

// TestDomainTaken: one account has a domain at a time, until an administrator ends that.
func TestDomainTaken(t *testing.T) {
	withWeb(t, embedded, func(c *Config) { c.AllowAnonymousOrders = true }, func(t *testing.T, b *bed, w *web) {
		h := b.granted(w)
		o := b.order(newHolder(b), "", "http-01")
		w.show(o)
		b.send("POST", "/v1/badges/dv/orders/"+o.ID+"/finalize", "", nil).refused(409, CodeDomainTaken)
		b.send("POST", "/v1/badges/dv/grants/"+h.id+"/revoke", b.admin, nil).ok(nil)
		b.send("POST", "/v1/badges/dv/orders/"+o.ID+"/finalize", "", nil).ok(nil)
	})
}

// TestPersistentAccount is RFC-002 section 7.3 from end to end.
func TestPersistentAccount(t *testing.T) {
	withWeb(t, bedded, nil, func(t *testing.T, b *bed, w *web) {
		var d dvAccountAnswer
		body := map[string]any{"domain": testDomain, "account_public_key_jwk": publicJWK(t, newKey(t))}
		b.send("POST", "/v1/badges/dv/accounts", b.issue, body).ok(&d)
		b.send("POST", "/v1/badges/dv/accounts", b.issue, body).refused(409, CodeAccountExists)
		path := "/v1/badges/dv/accounts/" + d.ID
		http01 := map[string]string{"challenge_type": "http-01"}
		h := newHolder(b)
		order := map[string]any{"account_id": d.ID, "agent_public_key_jwk": publicJWK(t, h.key)}
		b.send("POST", "/v1/badges/dv/orders", b.issue, order).refused(409, CodeAccountNotVerified)
		b.send("POST", path+"/recover", b.admin, http01).refused(409, CodeAccountNotVerified)
		b.send("POST", path+"/verify", b.issue, http01).refused(400, "CHALLENGE_FAILED")
		b.send("POST", path+"/verify", b.issue, map[string]string{"challenge_type": "dns-01"}).refused(400, CodeUnsupportedChallenge)
		b.send("POST", path+"/verify", b.admin, http01).refused(404, CodeAccountNotFound)
		w.any = d.Thumbprint
		b.send("POST", path+"/verify", b.issue, http01).ok(&d)
		b.send("POST", path+"/verify", b.issue, http01).refused(409, CodeAccountVerified)
		b.send("GET", path, b.issue, nil).ok(&d)
		b.send("GET", path, b.admin, nil).refused(404, CodeAccountNotFound)
		if d.Status != "verified" || d.VerifiedVia != "http-01" || d.VerifiedAt == "" {
			t.Errorf("account %+v", d)
		}
		var o orderAnswer
		b.send("POST", "/v1/badges/dv/orders", b.issue, order).ok(&o)
		if o.Status != "ready" || o.Challenge != nil || o.Domain != testDomain {
			t.Errorf("order %+v", o)
		}
		b.finalize(h, o.ID)
		b.mint(h, nil).ok(nil)
		order["domain"] = testDomain
		b.send("POST", "/v1/badges/dv/orders", b.issue, order).refused(400, CodeInvalidRequest)
		delete(order, "domain")
		b.send("POST", path+"/recover", b.admin, http01).ok(&d)
		b.send("GET", path, b.issue, nil).refused(404, CodeAccountNotFound)
		for range recoversPerDay - 1 {
			b.send("POST", path+"/recover", b.admin, http01).ok(nil)
		}
		b.send("POST", path+"/recover", b.issue, http01).refused(429, "RATE_LIMIT_EXCEEDED")
		b.send("POST", path+"/revoke", b.admin, nil).ok(&d)
		b.send("POST", path+"/revoke", b.admin, nil).refused(409, CodeAccountEnded)
		b.send("POST", path+"/recover", b.issue, http01).refused(409, CodeAccountRevoked)
		b.send("POST", "/v1/badges/dv/orders", b.admin, order).refused(409, CodeAccountRevoked)
		b.mint(h, nil).ok(nil) // grants stay
		var types []string
		for _, e := range b.entries() {
			if strings.HasPrefix(e.Type, "dv_account.") {
				types = append(types, e.Type)
			}
		}
		want := "[dv_account.added dv_account.verified dv_account.recovered dv_account.recovered dv_account.recovered dv_account.revoked]"
		if fmt.Sprint(types) != want {
			t.Errorf("entries %v", types)
		}
	})
}

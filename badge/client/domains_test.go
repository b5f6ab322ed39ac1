package client_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
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
	"github.com/touchmark-dev/touchmark/badge/authority"
	"github.com/touchmark-dev/touchmark/badge/badgetest"
	"github.com/touchmark-dev/touchmark/badge/badgetest/authoritytest"
	"github.com/touchmark-dev/touchmark/badge/client"
	"github.com/touchmark-dev/touchmark/did"
)

const acme = "api.acme.com"

// A town is an authority, and a domain whose owner has a key.
type town struct {
	*authoritytest.Authority
	t    testing.TB
	key  ed25519.PrivateKey
	ada  did.DID
	docs did.StaticResolver

	mu    sync.Mutex
	files map[string]string
	txt   []string
}

func newTown(t testing.TB) *town {
	t.Helper()
	x := &town{t: t, key: badgetest.NewKey(t), ada: did.MustParse("did:web:" + acme + ":agents:ada"), docs: did.StaticResolver{}}
	doc, err := did.NewDocument(x.ada, did.DocumentKey{Fragment: "key-1", Key: x.key.Public()})
	if err != nil {
		t.Fatal(err)
	}
	x.docs[x.ada] = doc
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x.mu.Lock()
		defer x.mu.Unlock()
		_, _ = io.WriteString(w, x.files[r.Host+r.URL.Path])
	}))
	t.Cleanup(web.Close)
	x.Authority = authoritytest.New(t, func(c *authority.Config) {
		c.DNS, c.Resolver = x, x.docs
		c.UnsafeValidateLoopback = netip.MustParseAddrPort(web.Listener.Addr().(*net.TCPAddr).String()).Port()
	})
	return x
}

func (x *town) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
}

func (x *town) LookupTXT(_ context.Context, name string) ([]string, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if name != "_capiscio-challenge."+acme+"." {
		return nil, &net.DNSError{Name: name, IsNotFound: true}
	}
	return x.txt, nil
}

// publish does what an order asks for.
func (x *town) publish(o *client.DomainOrder) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if o.Type == client.ChallengeDNS01 {
		x.txt = []string{o.Content}
	} else {
		x.files = map[string]string{strings.TrimPrefix(o.URL, "http://"): o.Content + "\n"}
	}
}

func (x *town) domains(change func(*client.DomainsConfig)) *client.Domains {
	x.t.Helper()
	cfg := &client.DomainsConfig{
		Issuer: x.Issuer, AccountKey: x.AccountKey(), Keys: x.Client(), UnsafeAllowLoopback: true, RootCAs: x.Roots,
		Timeout: time.Minute, Time: x.Now,
	}
	if change != nil {
		change(cfg)
	}
	d, err := client.NewDomains(cfg)
	if err != nil {
		x.t.Fatal(err)
	}
	return d
}

func (x *town) order(d *client.Domains, kind string) *client.DomainOrder {
	x.t.Helper()
	o, err := d.Order(x.t.Context(), acme, kind, x.key.Public())
	if err != nil {
		x.t.Fatal(err)
	}
	return o
}

func (x *town) grant(d *client.Domains) *client.Grant {
	x.t.Helper()
	o := x.order(d, client.ChallengeHTTP01)
	x.publish(o)
	g, err := d.Finalize(x.t.Context(), o)
	if err != nil {
		x.t.Fatal(err)
	}
	return g
}

func (x *town) minter(g *client.Grant, change func(*client.RequesterConfig)) (*client.Requester, error) {
	cfg := &client.RequesterConfig{
		Issuer: x.Issuer, Subject: x.ada, Grant: g, Key: x.key, Keys: x.Client(), UnsafeAllowLoopback: true, RootCAs: x.Roots,
		Timeout: time.Minute, Time: x.Now,
	}
	if change != nil {
		change(cfg)
	}
	return client.NewRequester(cfg)
}

func code(err error) string {
	var refused *client.RefusedError
	if errors.As(err, &refused) {
		return refused.Code
	}
	return ""
}

// TestDomains goes from an order to badges, and to the end of the grant.
func TestDomains(t *testing.T) {
	x := newTown(t)
	d := x.domains(nil)
	for _, kind := range []string{client.ChallengeHTTP01, client.ChallengeDNS01} {
		o := x.order(d, kind)
		if _, err := d.Finalize(t.Context(), o); code(err) != "CHALLENGE_FAILED" {
			t.Fatalf("%s: nothing is shown: %v", kind, err)
		}
		text, err := json.Marshal(o) // kept in a file until it is published
		if err != nil {
			t.Fatal(err)
		}
		o = new(client.DomainOrder)
		if err := json.Unmarshal(text, o); err != nil {
			t.Fatal(err)
		}
		x.publish(o)
		g, err := d.Finalize(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		again, err := client.ParseGrant(" " + g.Token() + "\n")
		if err != nil || *again != *g || again.Domain != acme || again.Issuer != x.Issuer {
			t.Fatalf("%#v, %v", again, err)
		}
		r, err := x.minter(again, func(c *client.RequesterConfig) { c.TTL, c.Audience = time.Minute, []string{"https://a.example"} })
		if err != nil {
			t.Fatal(err)
		}
		b, err := r.Request(t.Context())
		if err != nil || b.Level != badge.LevelDomain || b.Domain != acme || b.Assurance != badge.AssurancePossession {
			t.Fatalf("%+v, %v", b, err)
		}
		v := x.Verifier(func(c *badge.Config) { c.Resolver, c.Audience = x.docs, []string{"https://a.example"} })
		if _, err := v.Verify(t.Context(), b.Token()); err != nil {
			t.Error(err)
		}
	}
	g := x.grant(d)
	status := func(want string) {
		t.Helper()
		if s, err := d.Status(t.Context(), g, x.key); err != nil || s.Status != want {
			t.Errorf("status %+v, %v, want %s", s, err, want)
		}
	}
	status("valid")
	if _, err := d.Status(t.Context(), g, badgetest.NewKey(t)); code(err) != "GRANT_NOT_FOUND" {
		t.Errorf("with another key: %v", err)
	}
	if _, err := d.Revoke(t.Context(), g, badgetest.NewKey(t), ""); code(err) != "POP_VERIFICATION_FAILED" {
		t.Errorf("with another key: %v", err)
	}
	if s, err := d.Revoke(t.Context(), g, x.key, "sold"); err != nil || s.Status != "revoked" || s.RevokedAt == "" {
		t.Errorf("%+v, %v", s, err)
	}
	status("revoked")
	if _, err := d.Revoke(t.Context(), g, nil, ""); code(err) != "GRANT_ALREADY_REVOKED" {
		t.Errorf("twice: %v", err)
	}
	r, err := x.minter(g, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Request(t.Context()); code(err) != "GRANT_REVOKED" {
		t.Errorf("of a revoked grant: %v", err)
	}
	g = x.grant(d)
	if s, err := d.Revoke(t.Context(), g, nil, "by the account"); err != nil || s.Status != "revoked" {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestDomainsRefuse: what an authority answers is what was ordered, or nothing.
func TestDomainsRefuse(t *testing.T) {
	x := newTown(t)
	d := x.domains(nil)
	const orders = "/v1/badges/dv/orders"
	token := func(s string) map[string]any { return map[string]any{"type": "http-01", "token": s} }
	for name, f := range map[string]authoritytest.Fault{
		"no order id":    rewrite(t, orders, "order_id", nil),
		"path as id":     rewrite(t, orders, "order_id", "../x"),
		"other domain":   rewrite(t, orders, "domain", "evil.example"),
		"other key":      rewrite(t, orders, "agent_key_thumbprint", "x"),
		"no challenge":   rewrite(t, orders, "challenge", nil),
		"other kind":     rewrite(t, orders, "challenge", map[string]any{"type": "dns-01", "token": strings.Repeat("a", 43)}),
		"path as token":  rewrite(t, orders, "challenge", token("../../"+strings.Repeat("a", 43))),
		"line in token":  rewrite(t, orders, "challenge", token(strings.Repeat("a", 43)+"\n")),
		"short token":    rewrite(t, orders, "challenge", token(strings.Repeat("a", 21))),
		"long token":     rewrite(t, orders, "challenge", token(strings.Repeat("a", 129))),
		"a member twice": {Path: orders, Rewrite: func(b []byte) []byte { return []byte(`{"order_id":"a","order_id":"b"}`) }},
	} {
		x.Break(f)
		o, err := d.Order(t.Context(), acme, client.ChallengeHTTP01, x.key.Public())
		if answer := (*client.AnswerError)(nil); o != nil || !errors.As(err, &answer) {
			t.Errorf("%s: %+v, %v", name, o, err)
		}
		x.Break(authoritytest.Fault{})
		x.Advance(11 * time.Minute) // orders of a domain that are open have a limit
	}
	// Whatever it says to publish, what is published is made here.
	x.Break(rewrite(t, orders, "challenge", map[string]any{
		"type": "http-01", "token": strings.Repeat("a", 43), "url": "http://evil.example/", "expected_content": "evil",
	}))
	o := x.order(d, client.ChallengeHTTP01)
	if strings.Contains(o.URL+o.Content, "evil") || !strings.HasPrefix(o.URL, "http://"+acme+"/.well-known/") {
		t.Errorf("%+v", o)
	}
	x.Break(authoritytest.Fault{})
	x.Advance(11 * time.Minute)

	other, g := x.grant(d), x.grant(d)
	for name, change := range map[string]func(o *client.DomainOrder){
		"no id": func(o *client.DomainOrder) { o.ID = "" }, "path as id": func(o *client.DomainOrder) { o.ID = "a/b" },
		"other authority": func(o *client.DomainOrder) { o.Issuer = "https://other.example" },
	} {
		o := *o
		change(&o)
		if _, err := d.Finalize(t.Context(), &o); err == nil || code(err) != "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := d.Finalize(t.Context(), nil); err == nil {
		t.Error("nil: accepted")
	}
	for name, f := range map[string]func(id string) authoritytest.Fault{
		"no grant": func(id string) authoritytest.Fault { return rewrite(t, orders+"/"+id+"/finalize", "grant", nil) },
		"another grant": func(id string) authoritytest.Fault {
			return rewrite(t, orders+"/"+id+"/finalize", "grant", other.Token())
		},
		"other id": func(id string) authoritytest.Fault {
			return rewrite(t, orders+"/"+id+"/finalize", "grant_jti", other.ID)
		},
		"damaged": func(id string) authoritytest.Fault {
			return authoritytest.Fault{Path: orders + "/" + id + "/finalize", Rewrite: func(b []byte) []byte {
				var m map[string]string
				if err := json.Unmarshal(b, &m); err != nil {
					t.Error(err)
				}
				i := strings.LastIndexByte(m["grant"], '.')
				m["grant"] = m["grant"][:i] + other.Token()[strings.LastIndexByte(other.Token(), '.'):]
				b, err := json.Marshal(m)
				if err != nil {
					t.Error(err)
				}
				return b
			}}
		},
	} {
		o := x.order(d, client.ChallengeHTTP01)
		x.publish(o)
		x.Break(f(o.ID))
		got, err := d.Finalize(t.Context(), o)
		if answer := (*client.AnswerError)(nil); !errors.As(err, &answer) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		x.Break(authoritytest.Fault{})
	}
	path := "/v1/badges/dv/grants/" + g.ID + "/"
	for name, f := range map[string]authoritytest.Fault{
		"other grant": rewrite(t, path+"status", "jti", other.ID), "no status": rewrite(t, path+"status", "status", nil),
	} {
		x.Break(f)
		_, err := d.Status(t.Context(), g, x.key)
		if answer := (*client.AnswerError)(nil); !errors.As(err, &answer) {
			t.Errorf("%s: %v", name, err)
		}
	}
	x.Break(rewrite(t, path+"revoke", "status", "valid"))
	if _, err := d.Revoke(t.Context(), g, x.key, ""); err == nil || code(err) != "" {
		t.Errorf("a revocation that is none: %v", err)
	}
}

// TestDomainsConfig: nothing is sent for what cannot be meant.
func TestDomainsConfig(t *testing.T) {
	x := newTown(t)
	d := x.domains(nil)
	g := x.grant(d)
	asked := x.Asked("/v1/badges/dv/orders")
	ec := p256(t)
	if _, err := d.Order(t.Context(), acme, "tls-alpn-01", x.key.Public()); err == nil {
		t.Error("unknown challenge: accepted")
	}
	if _, err := d.Order(t.Context(), acme, client.ChallengeDNS01, ec.Public()); err == nil {
		t.Error("P-256: accepted")
	}
	if n := x.Asked("/v1/badges/dv/orders"); n != asked {
		t.Errorf("asked %d times", n-asked)
	}
	if _, err := d.Status(t.Context(), g, nil); err == nil {
		t.Error("status without a key: accepted")
	}
	if _, err := d.Status(t.Context(), g, ec); err == nil {
		t.Error("status with P-256: accepted")
	}
	if _, err := x.domains(func(c *client.DomainsConfig) { c.AccountKey = client.AccountKey{} }).Revoke(t.Context(), g, nil, ""); err == nil {
		t.Error("revocation by nobody: accepted")
	}
	elsewhere, err := client.NewDomains(&client.DomainsConfig{Issuer: "https://other.example"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := elsewhere.Status(t.Context(), g, x.key); err == nil {
		t.Error("another authority's grant: accepted")
	}
	for name, cfg := range map[string]*client.DomainsConfig{
		"nil": nil, "no issuer": {}, "http": {Issuer: "http://a.example"}, "negative": {Issuer: "https://a.example", Timeout: -1},
	} {
		if _, err := client.NewDomains(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for name, change := range map[string]func(*client.RequesterConfig){
		"account as well":  func(c *client.RequesterConfig) { c.AccountKey = x.AccountKey() },
		"ial 0":            func(c *client.RequesterConfig) { c.Assurance = badge.AssuranceAccount },
		"other issuer":     func(c *client.RequesterConfig) { c.Issuer = "https://other.example" },
		"other subject":    func(c *client.RequesterConfig) { c.Subject = did.MustParse("did:web:acme.com") },
		"subject's port":   func(c *client.RequesterConfig) { c.Subject = did.MustParse("did:web:" + acme + "%3A8443") },
		"other key":        func(c *client.RequesterConfig) { c.Key = badgetest.NewKey(t) },
		"no key":           func(c *client.RequesterConfig) { c.Key = nil },
		"level 3":          func(c *client.RequesterConfig) { c.MinLevel = badge.LevelOrganization },
		"neither":          func(c *client.RequesterConfig) { c.Grant = nil },
		"only public half": func(c *client.RequesterConfig) { c.Key, c.PublicKey = nil, x.key.Public() },
	} {
		if _, err := x.minter(g, change); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// A badge that was minted is one of the grant's domain.
func TestMintedBadgeIsChecked(t *testing.T) {
	x := newTown(t)
	g := x.grant(x.domains(nil))
	r, err := x.minter(g, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := r.Request(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	k, err := client.NewKeeper(&client.KeeperConfig{Requester: r}) // which keeps such badges like others
	if err != nil || k == nil {
		t.Fatal(err)
	}
	x.Advance(2 * time.Minute)
	x.Break(rewrite(t, "/v1/badges/mint", "badge", b.Token()))
	_, err = r.Request(t.Context())
	if answer := (*client.AnswerError)(nil); !errors.As(err, &answer) {
		t.Errorf("an older badge: %v", err)
	}
}

// FuzzParseGrant: a grant is read, or refused, and its text is kept.
func FuzzParseGrant(f *testing.F) {
	x := newTown(f)
	g := x.grant(x.domains(nil))
	for _, seed := range []string{g.Token(), "", "a.b.c", g.Token() + "x", g.Token()[1:]} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		g, err := client.ParseGrant(text)
		if (g == nil) == (err == nil) {
			t.Fatalf("%v, %v", g, err)
		}
		if err == nil && (g.Token() != strings.TrimSpace(text) || strings.ContainsAny(g.ID, "/?#%") || g.Domain == "" || !g.ExpiresAt.After(g.IssuedAt)) {
			t.Errorf("%#v of %q", g, text)
		}
	})
}

func p256(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

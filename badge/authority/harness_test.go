package authority

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jwk"
	"github.com/touchmark-dev/touchmark/internal/sqlstore/sqltest"
	"github.com/touchmark-dev/touchmark/translog/translogtest"
)

const (
	testIssuer = "https://registry.example"
	testKeyID  = "ca-2026-11-21-0001"
)

// A clock stands still until it is told.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// signers keeps keys in memory.
type signers struct {
	mu   sync.Mutex
	keys map[string]ed25519.PrivateKey
}

func (s *signers) Signer(_ context.Context, id string) (crypto.Signer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k, ok := s.keys[id]; ok {
		return k, nil
	}
	return nil, errors.New("no such key")
}

func (s *signers) add(t testing.TB, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[id] = newKey(t)
}

func newKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// documents are the DID documents of subjects elsewhere.
type documents struct {
	mu   sync.Mutex
	docs map[did.DID]*did.Document
	err  error // of every look-up, if set
}

func (d *documents) Resolve(_ context.Context, id did.DID) (*did.Document, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return nil, d.err
	}
	if pub, err := id.PublicKey(); err == nil {
		_, fragment, _ := strings.Cut(id.KeyURL(), "#")
		return did.NewDocument(id, did.DocumentKey{Fragment: fragment, Key: pub})
	}
	if doc := d.docs[id]; doc != nil {
		return doc, nil
	}
	return nil, &did.ResolveError{DID: id}
}

func (d *documents) set(t testing.TB, id did.DID, keys ...did.DocumentKey) {
	t.Helper()
	doc, err := did.NewDocument(id, keys...)
	must(t, err)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.docs[id] = doc
}

// A bed is an authority with what surrounds it.
type bed struct {
	*Authority
	t       testing.TB
	clock   *clock
	signers *signers
	docs    *documents
	log     *translogtest.Log
	handler http.Handler
	account string           // of issueKey
	issue   string           // account key
	admin   string           // account key
	server  *httptest.Server // nil: requests go to handler
}

// newBed makes an authority of its own database with an account, an administrator and a signing key.
func newBed(t testing.TB, url string, change func(*Config)) *bed {
	t.Helper()
	b := openBed(t, url, change)
	ctx := context.Background()
	b.signers.add(t, testKeyID)
	must(t, b.AddKey(ctx, testKeyID, false))
	account, key, err := b.AddAccount(ctx, "acme")
	must(t, err)
	_, admin, err := b.AddAccount(ctx, "operator", ScopeAdmin)
	must(t, err)
	b.account, b.issue, b.admin = account, key.Reveal(), admin.Reveal()
	return b
}

// openBed opens one node.
func openBed(t testing.TB, url string, change func(*Config)) *bed {
	t.Helper()
	b := &bed{
		t: t, clock: newClock(), signers: &signers{keys: map[string]ed25519.PrivateKey{}},
		docs: &documents{docs: map[did.DID]*did.Document{}}, log: translogtest.NewLog("registry.example/log"),
	}
	cfg := &Config{
		Issuer: testIssuer, Database: url, Signers: b.signers, Log: b.log, Resolver: b.docs, Time: b.clock.Now,
	}
	if change != nil {
		change(cfg)
	}
	a, err := New(context.Background(), cfg)
	must(t, err)
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	b.Authority, b.handler = a, a.Handler()
	return b
}

// bedded runs f on both engines.
func bedded(t *testing.T, change func(*Config), f func(t *testing.T, b *bed)) {
	t.Helper()
	sqltest.Each(t, func(t *testing.T, url string) { f(t, newBed(t, url, change)) })
}

// embedded is bedded on SQLite alone, for what the engine has no part in.
func embedded(t *testing.T, change func(*Config), f func(t *testing.T, b *bed)) {
	t.Helper()
	f(t, lite(t, change))
}

// An engines runs a test with an authority on one or both engines.
type engines func(t *testing.T, change func(*Config), f func(t *testing.T, b *bed))

// lite is newBed on SQLite.
func lite(t testing.TB, change func(*Config)) *bed {
	t.Helper()
	return newBed(t, sqltest.SQLite(t), change)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A reply is an answer of the authority.
type reply struct {
	t      testing.TB
	status int
	header http.Header
	body   []byte
}

// send sends a request whose body is text as it is, bytes as they are, nothing for nil, and else JSON.
func (b *bed) send(method, path, key string, body any) *reply {
	b.t.Helper()
	r := b.request(method, path, body)
	if key != "" {
		r.Header.Set(headerAccountKey, key)
	}
	return b.do(r)
}

func (b *bed) request(method, path string, body any) *http.Request {
	b.t.Helper()
	var reader io.Reader
	switch v := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(v)
	default:
		text, err := json.Marshal(v)
		must(b.t, err)
		reader = bytes.NewReader(text)
	}
	r := httptest.NewRequest(method, testIssuer+path, reader)
	if reader != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	return r
}

// listen has requests go over loopback from now on, on kept connections.
func (b *bed) listen() {
	b.server = httptest.NewServer(b.handler)
	b.server.Client().Transport.(*http.Transport).MaxIdleConnsPerHost = 1 << 10
	b.t.Cleanup(b.server.Close)
}

func (b *bed) do(r *http.Request) *reply {
	if b.server != nil {
		return b.over(r)
	}
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	return &reply{b.t, w.Code, w.Header(), w.Body.Bytes()}
}

func (b *bed) over(r *http.Request) *reply {
	to, err := url.Parse(b.server.URL + r.URL.RequestURI())
	must(b.t, err)
	r.URL, r.RequestURI = to, ""
	w, err := b.server.Client().Do(r)
	must(b.t, err)
	body, err := io.ReadAll(w.Body)
	must(b.t, errors.Join(err, w.Body.Close()))
	return &reply{b.t, w.StatusCode, w.Header, body}
}

// ok reads a successful answer into v.
func (r *reply) ok(v any) *reply {
	r.t.Helper()
	if r.status/100 != 2 {
		r.t.Fatalf("status %d: %s", r.status, r.body)
	}
	if v != nil {
		must(r.t, json.Unmarshal(r.body, v))
	}
	return r
}

// refused checks the status and the code of a refusal.
func (r *reply) refused(status int, code any) *reply {
	r.t.Helper()
	var e struct{ Error, Message string }
	if err := json.Unmarshal(r.body, &e); err != nil || r.status != status || e.Error != fmt.Sprint(code) || e.Message == "" {
		r.t.Fatalf("answer %d %s, want %d %v", r.status, r.body, status, code)
	}
	if r.header.Get("Content-Type") != "application/json" || r.header.Get("Access-Control-Allow-Origin") != "" {
		r.t.Fatalf("headers %v", r.header)
	}
	return r
}

// A party is an agent with its key.
type party struct {
	did   did.DID
	key   ed25519.PrivateKey
	keyID string
}

func (p *party) path(tail string) string {
	return "/v1/agents/" + url.QueryEscape(p.did.String()) + tail
}

// agent registers an agent whose document the authority hosts.
func (b *bed) agent(name string) *party {
	b.t.Helper()
	p := &party{key: newKey(b.t)}
	var out agentAnswer
	b.send("POST", "/v1/agents", b.issue, map[string]any{"name": name, "public_key_jwk": publicJWK(b.t, p.key)}).ok(&out)
	p.did, p.keyID = did.MustParse(out.DID), out.KeyID
	return p
}

func publicJWK(t testing.TB, key ed25519.PrivateKey) json.RawMessage {
	t.Helper()
	text, err := jwk.Marshal(key.Public(), "")
	must(t, err)
	return text
}

// challenge asks for a challenge.
func (b *bed) challenge(p *party, body any) *pop.Challenge {
	b.t.Helper()
	r := b.send("POST", p.path("/badge/challenge"), b.issue, body).ok(nil)
	c, err := pop.ParseChallenge(r.body, b.cfg.Issuer, p.did)
	must(b.t, err)
	return c
}

// proof signs a challenge.
func (b *bed) proof(p *party, c *pop.Challenge) string {
	b.t.Helper()
	text, err := pop.SignIssuance(p.key, p.keyID, c, b.cfg.Time())
	must(b.t, err)
	return text
}

// prove asks for a badge of assurance 1.
func (b *bed) prove(p *party, c *pop.Challenge) *reply {
	b.t.Helper()
	return b.send("POST", p.path("/badge"), "", map[string]string{
		"mode": "ial1", "challenge_id": c.ID, "proof_jws": b.proof(p, c),
	})
}

// badge0 and badge1 get a badge of assurance 0 and 1.
func (b *bed) badge0(p *party) *badgeAnswer {
	b.t.Helper()
	var out badgeAnswer
	b.send("POST", p.path("/badge"), b.issue, map[string]string{"mode": "ial0"}).ok(&out)
	return &out
}

func (b *bed) badge1(p *party) *badgeAnswer {
	b.t.Helper()
	var out badgeAnswer
	b.prove(p, b.challenge(p, nil)).ok(&out)
	return &out
}

// level lets an administrator grant a level.
func (b *bed) level(p *party, level, domain string) {
	b.t.Helper()
	b.send("POST", p.path("/level"), b.admin, map[string]string{"level": level, "domain": domain, "reason": "seen"}).ok(nil)
}

// keys is what verifiers fetch.
func (b *bed) keys() []badge.Key {
	b.t.Helper()
	set, err := jwk.ParseSet(b.send("GET", "/.well-known/jwks.json", "", nil).ok(nil).body)
	must(b.t, err)
	var keys []badge.Key
	for _, k := range set {
		keys = append(keys, badge.Key{ID: k.KeyID, Public: k.Key})
	}
	return keys
}

// IssuerKeys and Status let a verifier ask this authority.
func (b *bed) IssuerKeys(context.Context, string) ([]badge.Key, error) { return b.keys(), nil }

// verifier believes this authority, and asks it.
func (b *bed) verifier(status badge.StatusSource) *badge.Verifier {
	b.t.Helper()
	v, err := badge.NewVerifier(&badge.Config{
		Issuers: []string{b.cfg.Issuer}, Keys: b, Resolver: &hosting{b.Authority, b.docs}, Status: status,
		UnsafeNoStatus: status == nil, Time: b.cfg.Time, Audience: []string{"https://a.example"},
	})
	must(b.t, err)
	return v
}

// list is the signed revocation list, verified.
func (b *bed) list() *badge.RevocationList {
	b.t.Helper()
	l, err := badge.ParseRevocationList(string(b.send("GET", "/v1/revocations/list", "", nil).ok(nil).body), b.cfg.Issuer, b.keys())
	must(b.t, err)
	return l
}

// pass lets time pass, in which the log keeps up.
func (b *bed) pass(d time.Duration) {
	b.t.Helper()
	b.entries()
	b.clock.add(d)
}

// entries are those of the log, after everything was shipped.
func (b *bed) entries() []Entry {
	b.t.Helper()
	ctx := context.Background()
	for {
		n, err := b.Ship(ctx)
		must(b.t, err)
		if n == 0 {
			break
		}
	}
	size, err := b.log.Size(ctx)
	must(b.t, err)
	out := make([]Entry, size)
	for i := range out {
		text, err := b.log.Entry(ctx, uint64(i))
		must(b.t, err)
		must(b.t, json.Unmarshal(text, &out[i]))
	}
	return out
}

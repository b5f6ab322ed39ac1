package serververify

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/badgetest"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
)

// In the published code a server that shows a DID and no badge is classified
// before the DID is read, and a key that the caller supplies lifts it. Here no
// DID that cannot be read or bound gets a state, and no key but the DID's own
// and the badge's counts.
func TestKnownFault02DIDBeforeState(t *testing.T) {
	w := newWorld(t, option{})
	v := w.verifier()
	judge := func(d Disclosure) error {
		e, err := v.parseEndpoint(w.url("/mcp"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = v.judge(t.Context(), &challenge{nonce: NewNonce(), endpoint: &e, channels: []channel{{binding: BindingTLS}}}, d)
		return err
	}
	for _, text := range []string{"did:web:", "did:web:EXAMPLE.com", "did:example:x", "not a DID", "did:key:z6Mk", strings.Repeat("d", 2000)} {
		wantRefusal(t, judge(Disclosure{DID: text}), CodeIdentityMissing, StateUnverified)
		wantRefusal(t, judge(Disclosure{DID: text, Badge: w.badge()}), CodeIdentityMissing, StateUnverified)
	}
	wantRefusal(t, judge(Disclosure{DID: "did:web:elsewhere.example"}), CodeDomainMismatch, StateDeclared)
	wantRefusal(t, judge(Disclosure{DID: w.agent.DID.String()}), CodeBadgeMissing, StateDeclared)
	// A proof without a badge, by any key, changes nothing.
	own := Disclosure{DID: w.agent.DID.String(), Badge: w.badge()}
	if err := w.identity.prove(&own, proofClaims{nonce: NewNonce(), binding: BindingTLS, origin: w.origin()}); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, judge(Disclosure{DID: own.DID, Proof: own.Proof}), CodeBadgeMissing, StateDeclared)
}

func TestDiscoveryDocument(t *testing.T) {
	w := newWorld(t, option{})
	rec := httptest.NewRecorder()
	w.identity.Handler(nil).ServeHTTP(rec, httptest.NewRequest("GET", mcpwire.DiscoveryPath, nil))
	var doc map[string]string
	if err := json.Unmarshal(rec.Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	if doc["server_did"] != w.agent.DID.String() || doc["server_badge"] != w.badge() || doc["trust_level"] != "2" || len(doc) != 4 {
		t.Errorf("got %v", doc)
	}
	if _, err := time.Parse(time.RFC3339, doc["updated_at"]); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/json", "Cache-Control": "no-store", mcpwire.HeaderServerProof: "",
		mcpwire.HeaderServerDID: doc["server_did"], mcpwire.HeaderServerBadge: doc["server_badge"],
	} {
		if got := rec.Header().Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	for _, tt := range []struct {
		method, path string
		status       int
	}{{"POST", mcpwire.DiscoveryPath, 405}, {"HEAD", mcpwire.DiscoveryPath, 200}, {"GET", mcpwire.DiscoveryPath + "/", 404}, {"GET", "/mcp", 404}} {
		rec := httptest.NewRecorder()
		w.identity.Handler(nil).ServeHTTP(rec, httptest.NewRequest(tt.method, tt.path, nil))
		if rec.Code != tt.status || rec.Header().Get(mcpwire.HeaderServerDID) == "" {
			t.Errorf("%s %s: %d", tt.method, tt.path, rec.Code)
		}
	}
}

// challenge sends a challenge to the handler of an identity without a network.
func challengeTo(id *Identity, change func(r *http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", mcpwire.DiscoveryPath, nil)
	r.Header.Set(mcpwire.HeaderNonce, NewNonce())
	if change != nil {
		change(r)
	}
	rec := httptest.NewRecorder()
	id.Handler(nil).ServeHTTP(rec, r)
	return rec
}

// What the server does not sign, and that it says why to its operator.
func TestHandlerDoesNotSign(t *testing.T) {
	for _, tt := range []struct {
		name   string
		set    func(w *world, r *http.Request)
		status int
		told   string
	}{
		{"plain http", func(_ *world, r *http.Request) {}, 200, "without TLS"},
		{"made-up TLS state", func(w *world, r *http.Request) { r.TLS = &tls.ConnectionState{}; r.Host = w.host() }, 200, "not that of a connection"},
		{"another host", func(_ *world, r *http.Request) { r.TLS = &tls.ConnectionState{} }, 200, "not among the Origins"},
		{"no host", func(_ *world, r *http.Request) { r.TLS = &tls.ConnectionState{}; r.Host = "a/b" }, 200, "challenge for the host"},
		{"two nonces", func(_ *world, r *http.Request) { r.Header.Add(mcpwire.HeaderNonce, NewNonce()) }, 400, ""},
		{"short nonce", func(_ *world, r *http.Request) { r.Header.Set(mcpwire.HeaderNonce, "AAAA") }, 400, ""},
		{"POST", func(_ *world, r *http.Request) { r.Method = "POST" }, 405, ""},
	} {
		w := newWorld(t, option{})
		rec := challengeTo(w.identity, func(r *http.Request) { tt.set(w, r) })
		if rec.Code != tt.status || rec.Header().Get(mcpwire.HeaderServerProof) != "" {
			t.Errorf("%s: status %d", tt.name, rec.Code)
		}
		w.told(tt.name, tt.told)
	}
}

func (w *world) host() string { return strings.TrimPrefix(w.origin(), "https://") }

// told checks that the operator was told of exactly one error, or of none.
func (w *world) told(name, want string) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if want == "" && len(w.errs) != 0 || want != "" && (len(w.errs) != 1 || !strings.Contains(w.errs[0].Error(), want)) {
		w.t.Errorf("%s: the operator was told %v", name, w.errs)
	}
}

func TestBadgeSourceFails(t *testing.T) {
	w := newWorld(t, option{identity: func(c *IdentityConfig) {
		c.Badge = func(context.Context) (string, error) { return "", errors.New("registry is down") }
	}})
	rec := challengeTo(w.identity, nil)
	if rec.Code != 200 || rec.Header().Get(mcpwire.HeaderServerDID) == "" || rec.Header().Get(mcpwire.HeaderServerBadge) != "" {
		t.Errorf("got %d %v", rec.Code, rec.Header())
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.errs) == 0 || !strings.Contains(w.errs[0].Error(), "registry is down") {
		t.Errorf("told %v", w.errs)
	}
}

func TestOwnBadgeUnreadable(t *testing.T) {
	w := newWorld(t, option{})
	for _, token := range []string{"", "a.b.c"} {
		if err := w.identity.prove(&Disclosure{DID: w.agent.DID.String(), Badge: token}, proofClaims{nonce: NewNonce()}); err == nil {
			t.Errorf("signed for the badge %q", token)
		}
	}
}

func TestSigningIsLimited(t *testing.T) {
	w := newWorld(t, option{identity: func(c *IdentityConfig) { c.SignsPerSecond, c.SignBurst = 0.001, 3 }})
	v := w.verifier()
	for range 3 {
		w.verified(v)
	}
	_, err := v.Verify(t.Context(), w.url("/mcp"))
	wantUndetermined(t, err, "")
	resp := func() *http.Response {
		req, _ := http.NewRequest("GET", w.url(mcpwire.DiscoveryPath), nil)
		req.Header.Set(mcpwire.HeaderNonce, NewNonce())
		return w.do(req)
	}()
	if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") == "" || resp.Header.Get(mcpwire.HeaderServerProof) != "" {
		t.Errorf("got %d %v", resp.StatusCode, resp.Header)
	}
}

// Over plain http, both sides have to ask for it, and the state says so.
func TestPlainHTTP(t *testing.T) {
	w := newWorld(t, option{})
	var id *Identity
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { id.Handler(nil).ServeHTTP(rw, r) }))
	defer s.Close()
	agent := badgetest.NewAgent(t)
	cfg := IdentityConfig{
		DID: agent.DID, Signer: agent.Key, Badge: StaticBadge(w.ca.Issue(agent, badge.LevelSelfSigned)),
		Origins: []string{s.URL}, UnsafeAllowPlainHTTP: true, Time: w.time,
	}
	var err error
	if id, err = NewIdentity(&cfg); err != nil {
		t.Fatal(err)
	}
	plain := func(c *Config) {
		bc := w.ca.Config()
		bc.SelfSigned = []did.DID{agent.DID}
		c.Badges, _ = badge.NewVerifier(bc)
		c.MinLevel = badge.LevelSelfSigned
		c.UnsafeAllowPlainHTTP = true
		c.testOnlyLookup = nil
	}
	srv, err := w.verifier(plain).Verify(t.Context(), s.URL+"/mcp")
	if err != nil || srv.State != StateDeclared || srv.Binding != BindingNone {
		t.Fatalf("got %+v, %v", srv, err)
	}
	resp, err := srv.Client().Get(s.URL + "/mcp")
	drain(t, resp, err)

	if _, err := w.verifier().Verify(t.Context(), s.URL+"/mcp"); err == nil || CodeOf(err) != "" {
		t.Errorf("http without the unsafe option: %v", err)
	}
	id.cfg.UnsafeAllowPlainHTTP = false
	_, err = w.verifier(plain).Verify(t.Context(), s.URL+"/mcp")
	wantRefusal(t, err, CodePoPFailed, StateDeclared)
}

// A did:key has no place: it is trusted when it is listed, at its own level.
func TestSelfSignedServer(t *testing.T) {
	w := newWorld(t, option{})
	agent := badgetest.NewAgent(t)
	w.identity.cfg.DID, w.identity.cfg.Signer, w.identity.cfg.KeyID = agent.DID, agent.Key, agent.DID.KeyURL()
	w.setBadge(w.ca.Issue(agent, badge.LevelSelfSigned))
	_, err := w.verifier().Verify(t.Context(), w.url("/mcp"))
	wantRefusal(t, err, CodeIssuerUntrusted, StateDeclared)
	listed := func(c *Config) {
		bc := w.ca.Config()
		bc.SelfSigned = []did.DID{agent.DID}
		c.Badges, _ = badge.NewVerifier(bc)
	}
	_, err = w.verifier(listed).Verify(t.Context(), w.url("/mcp"))
	wantRefusal(t, err, CodeTrustInsufficient, StateDeclared)
	srv, err := w.verifier(listed, func(c *Config) { c.MinLevel = badge.LevelSelfSigned }).Verify(t.Context(), w.url("/mcp"))
	if err != nil || srv.State != StateVerified || srv.Level != badge.LevelSelfSigned || srv.DID != agent.DID {
		t.Fatalf("got %+v, %v", srv, err)
	}
}

func TestStdio(t *testing.T) {
	w := newWorld(t, option{identity: func(c *IdentityConfig) { c.Origins, c.Stdio = nil, true }})
	v := w.verifier()
	nonce := NewNonce()
	d := w.identity.AnswerStdio(t.Context(), nonce)
	srv, err := v.VerifyStdio(t.Context(), nonce, d)
	if err != nil || srv.State != StateVerified || srv.Binding != BindingStdio || srv.Origin != "" || srv.Client() != nil {
		t.Fatalf("got %+v, %v", srv, err)
	}
	_, err = v.VerifyStdio(t.Context(), NewNonce(), d)
	wantRefusal(t, err, CodePoPFailed, StateDeclared)
	if _, err := v.VerifyStdio(t.Context(), "", d); err == nil || CodeOf(err) != "" {
		t.Errorf("without a nonce: %v", err)
	}
	if d := w.identity.AnswerStdio(t.Context(), "short"); d.Proof != "" || d.Badge == "" {
		t.Errorf("got %+v", d)
	}
	w.told("short nonce", "nonce")

	// An answer over stdio says nothing on a network, and the other way round.
	e, _ := v.parseEndpoint(w.url("/mcp"))
	_, err = v.judge(t.Context(), &challenge{nonce: nonce, endpoint: &e, channels: []channel{{binding: BindingTLS}}}, d)
	wantRefusal(t, err, CodePoPFailed, StateDeclared)
	network := newWorld(t, option{})
	if d := network.identity.AnswerStdio(t.Context(), nonce); d.Proof != "" || d.Badge == "" {
		t.Errorf("a network identity answered over stdio: %+v", d)
	}
	network.told("stdio", "Stdio is not set")
}

func TestP256Server(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, option{})
	doc, err := did.NewDocument(w.agent.DID, did.DocumentKey{Key: key.Public()})
	if err != nil {
		t.Fatal(err)
	}
	w.resolver[w.agent.DID] = doc
	w.setBadge(w.ca.Issue(w.agent, badge.LevelDomain, func(tmpl *badge.Template) { tmpl.SubjectKey = key.Public() }))
	cfg := w.identity.cfg
	cfg.Signer, cfg.KeyID = key, ""
	if w.identity, err = NewIdentity(&cfg); err != nil {
		t.Fatal(err)
	}
	w.verified(w.verifier())
}

func TestNewIdentityRefuses(t *testing.T) {
	w := newWorld(t, option{})
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*IdentityConfig){
		"no DID":            func(c *IdentityConfig) { c.DID = did.DID{} },
		"no badge":          func(c *IdentityConfig) { c.Badge = nil },
		"no signer":         func(c *IdentityConfig) { c.Signer = nil },
		"RSA":               func(c *IdentityConfig) { c.Signer = rsaKey },
		"nowhere to answer": func(c *IdentityConfig) { c.Origins = nil },
		"both":              func(c *IdentityConfig) { c.Stdio = true },
		"http origin":       func(c *IdentityConfig) { c.Origins = []string{"http://localhost:1"} },
		"origin with path":  func(c *IdentityConfig) { c.Origins = []string{"https://example.com/mcp"} },
		"key of another":    func(c *IdentityConfig) { c.KeyID = "did:web:x.example#k" },
		"key no URL":        func(c *IdentityConfig) { c.KeyID = "k1" },
		"not its did:key":   func(c *IdentityConfig) { c.DID, c.KeyID = badgetest.NewAgent(t).DID, "" },
		"rate":              func(c *IdentityConfig) { c.SignsPerSecond = -1 },
	} {
		cfg := w.identity.cfg
		change(&cfg)
		if _, err := NewIdentity(&cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := NewIdentity(nil); err == nil {
		t.Error("nil: accepted")
	}
}

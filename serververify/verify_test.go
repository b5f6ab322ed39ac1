package serververify

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/badgetest"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
	"github.com/touchmark-dev/touchmark/internal/safehttp"
)

func TestVerify(t *testing.T) {
	protocols(t, func(t *testing.T, h2 bool) {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			w := newWorld(t, option{h2: h2})
			v := w.verifier(func(c *Config) { c.testOnlyMaxTLS = version })
			srv, err := v.Verify(t.Context(), w.url("/mcp"))
			if err != nil {
				t.Fatal(err)
			}
			if srv.State != StateVerified || srv.DID != w.agent.DID || srv.Level != badge.LevelDomain ||
				srv.Binding != BindingTLS || srv.Origin != w.origin() || srv.Endpoint != w.url("/mcp") || srv.BadgeID == "" ||
				!srv.Expires.After(w.time()) {
				t.Errorf("got %+v", srv)
			}
			resp, err := srv.Client().Get(w.url("/mcp"))
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if string(body) != "tool result" || resp.ProtoMajor != map[bool]int{false: 1, true: 2}[h2] || resp.TLS.Version != version {
				t.Errorf("got %q over %s, TLS %x", body, resp.Proto, resp.TLS.Version)
			}
			if resp.Header.Get("Capiscio-Server-DID") != w.agent.DID.String() || resp.Header.Get("Capiscio-Server-Badge") != w.badge() {
				t.Error("the response discloses no identity")
			}
		}
	})
}

// Before the server is verified, the client says nothing but its challenge.
func TestNothingIsSentBefore(t *testing.T) {
	w := newWorld(t, option{})
	v := w.verifier()
	srv, err := v.Verify(t.Context(), w.url("/mcp"))
	if err != nil {
		t.Fatal(err)
	}
	req, _ := http.NewRequest("POST", w.url("/mcp"), strings.NewReader("{}"))
	req.Header.Set(mcpwire.HeaderBadge, "a.b.c")
	if _, err := srv.Client().Do(req); err != nil {
		t.Fatal(err)
	}
	seen := w.requests()
	for i, r := range seen {
		if want := i == len(seen)-1; (r.URL.Path == "/mcp") != want || (r.URL.Path == mcpwire.DiscoveryPath) == want {
			t.Fatalf("request %d of %d is %s", i, len(seen), r.URL.Path)
		}
	}
	for name := range seen[0].Header {
		switch name {
		case mcpwire.HeaderNonce, "Accept", "Cache-Control", "User-Agent":
		default:
			t.Errorf("the challenge carries %s", name)
		}
	}
}

// A refusal over the wire, one cause each.
func TestVerifyRefuses(t *testing.T) {
	other := newWorld(t, option{})
	for _, tt := range []struct {
		name  string
		opt   option
		path  string
		set   func(w *world, c *Config)
		code  Code
		state State
		valid bool // the badge was found good before
	}{
		{name: "no identity", set: func(w *world, _ *Config) { w.intercept(notFound) }, code: CodeIdentityMissing, state: StateUnverified},
		{name: "a document of another status", set: func(w *world, _ *Config) { w.intercept(headersAnd(404, "")) }, code: CodeIdentityMissing, state: StateDeclared},
		{name: "a document that is no JSON", set: func(w *world, _ *Config) { w.intercept(headersAnd(200, "<html>")) }, code: CodeIdentityMissing, state: StateDeclared},
		{name: "a document twice over", set: func(w *world, _ *Config) { w.intercept(headersAnd(200, `{"server_did":"a","server_did":"b"}`)) }, code: CodeIdentityMissing, state: StateDeclared},
		{name: "document of another DID", set: func(w *world, _ *Config) { w.intercept(headersAnd(200, `{"server_did":"did:web:x.example"}`)) }, code: CodeDIDMismatch, state: StateDeclared},
		{name: "no proof", set: func(w *world, _ *Config) { w.intercept(headersAnd(200, `{}`)) }, code: CodePoPFailed, state: StateDeclared, valid: true},
		{name: "no badge", set: func(w *world, _ *Config) { w.setBadge("") }, code: CodeBadgeMissing, state: StateDeclared},
		{name: "badge of another server", set: func(w *world, c *Config) { w.setBadge(other.badge()); c.Badges = other.ca.Verifier() }, code: CodeDIDMismatch, state: StateDeclared},
		{name: "badge tampered", set: func(w *world, _ *Config) { w.setBadge(w.badge()[:len(w.badge())-6] + "AAAAAA") }, code: CodeBadgeInvalid, state: StateDeclared},
		{name: "badge expired", set: func(w *world, _ *Config) { w.advance(time.Hour) }, code: CodeBadgeInvalid, state: StateDeclared},
		{name: "badge revoked", set: func(w *world, _ *Config) { u, _ := badge.Inspect(w.badge()); w.ca.Revoke(u.BadgeID) }, code: CodeBadgeRevoked, state: StateDeclared},
		{name: "agent disabled", set: func(w *world, _ *Config) { w.ca.Disable(w.agent.DID) }, code: CodeBadgeRevoked, state: StateDeclared},
		{name: "issuer not trusted", set: func(w *world, c *Config) {
			c.Badges, _ = badge.NewVerifier(&badge.Config{Issuers: []string{"https://other.example"}, Keys: w.ca, Status: w.ca, Time: w.time})
		}, code: CodeIssuerUntrusted, state: StateDeclared},
		{name: "level too low", set: func(_ *world, c *Config) { c.MinLevel = badge.LevelOrganization }, code: CodeTrustInsufficient, state: StateDeclared, valid: true},
		{name: "DID of a path, endpoint beside it", opt: option{path: []string{"mcp", "fs"}}, path: "/mcp/fs-evil", code: CodePathMismatch, state: StateDeclared},
		{name: "key not in the document", set: func(w *world, _ *Config) {
			doc, _ := did.NewDocument(w.agent.DID, did.DocumentKey{Key: other.agent.Public()})
			w.resolver[w.agent.DID] = doc
		}, code: CodePoPFailed, state: StateDeclared, valid: true},
		{name: "another key under the name", set: func(w *world, _ *Config) {
			id, _ := did.ParseURL(w.identity.cfg.KeyID)
			doc, _ := did.NewDocument(w.agent.DID, did.DocumentKey{Key: other.agent.Public(), Fragment: id.Fragment})
			w.resolver[w.agent.DID] = doc
		}, code: CodePoPFailed, state: StateDeclared, valid: true},
		{name: "key only for assertions", set: func(w *world, _ *Config) { w.resolver[w.agent.DID].Authentication = nil }, code: CodePoPFailed, state: StateDeclared, valid: true},
		{name: "document refused", set: func(w *world, _ *Config) { w.resolver[w.agent.DID].ID = other.agent.DID }, code: CodeDIDResolutionFailed, state: StateDeclared, valid: true},
		{name: "resolver answers for another", set: func(_ *world, c *Config) { c.Resolver = fixedResolver{&did.Document{}} }, code: CodeDIDMismatch, state: StateDeclared, valid: true},
		{name: "resolver answers nothing", set: func(_ *world, c *Config) { c.Resolver = fixedResolver{} }, code: CodeDIDMismatch, state: StateDeclared, valid: true},
		{name: "clock of the server ahead", set: func(w *world, _ *Config) {
			w.identity.cfg.Time = func() time.Time { return w.time().Add(2 * time.Minute) }
		}, code: CodePoPFailed, state: StateDeclared, valid: true},
		{name: "clock of the server behind", set: func(w *world, _ *Config) {
			w.identity.cfg.Time = func() time.Time { return w.time().Add(-3 * time.Minute) }
		}, code: CodePoPExpired, state: StateDeclared, valid: true},
		{name: "signed with another key", set: func(w *world, _ *Config) { w.identity.cfg.Signer = other.agent.Key }, code: CodePoPFailed, state: StateDeclared, valid: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, tt.opt)
			cfg := w.config()
			if tt.set != nil {
				tt.set(w, cfg)
			}
			if tt.path == "" {
				tt.path = "/mcp"
			}
			v, err := New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			srv, err := v.Verify(t.Context(), w.url(tt.path))
			refused := wantRefusal(t, err, tt.code, tt.state)
			if refused.BadgeValid != tt.valid || (refused.BadgeID != "") != tt.valid || refused.Level.AtLeast(badge.LevelSelfSigned) != tt.valid {
				t.Errorf("badge valid: %v, want %v", refused.BadgeValid, tt.valid)
			}
			if srv != nil || strings.Contains(err.Error(), w.badge()) && w.badge() != "" {
				t.Errorf("got %+v, %v", srv, err)
			}
			if _, err := v.Client().Get(w.url(tt.path)); err == nil {
				t.Error("the client reaches a server that was refused")
			}
		})
	}
}

type fixedResolver struct{ doc *did.Document }

func (r fixedResolver) Resolve(context.Context, did.DID) (*did.Document, error) { return r.doc, nil }

func notFound(_ *world, rw http.ResponseWriter, _ *http.Request) bool {
	rw.WriteHeader(http.StatusNotFound)
	return true
}

// headersAnd discloses identity in the headers, with a status and a body of its
// own, and without a proof.
func headersAnd(status int, body string) hook {
	return func(w *world, rw http.ResponseWriter, _ *http.Request) bool {
		rw.Header().Set(mcpwire.HeaderServerDID, w.agent.DID.String())
		rw.Header().Set(mcpwire.HeaderServerBadge, w.badge())
		rw.WriteHeader(status)
		io.WriteString(rw, body)
		return true
	}
}

func TestVerifyUndetermined(t *testing.T) {
	for _, tt := range []struct {
		name string
		set  func(w *world, c *Config)
		code Code
	}{
		{"document out of reach", func(w *world, _ *Config) { delete(w.resolver, w.agent.DID) }, CodeDIDResolutionFailed},
		{"keys out of reach", func(w *world, _ *Config) { w.ca.FailKeys(errors.New("down")) }, CodeKeyFetchFailed},
		{"status out of reach", func(w *world, _ *Config) { w.ca.SetStatus(badgetest.Status{Err: errors.New("down")}) }, CodeRevocationCheckFailed},
		{"server is down", func(w *world, _ *Config) { w.server.Close() }, ""},
		{"server is busy", func(w *world, _ *Config) {
			w.intercept(func(_ *world, rw http.ResponseWriter, _ *http.Request) bool { rw.WriteHeader(503); return true })
		}, ""},
		{"server hangs", func(w *world, c *Config) {
			c.Timeout = 200 * time.Millisecond
			w.intercept(func(_ *world, _ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true })
		}, ""},
		{"challenges are limited", func(w *world, _ *Config) { w.identity.limiter.SetBurst(0) }, ""},
		{"answer without end", func(w *world, c *Config) {
			c.Timeout = 200 * time.Millisecond
			w.intercept(func(_ *world, rw http.ResponseWriter, r *http.Request) bool {
				rw.(http.Flusher).Flush()
				<-r.Context().Done()
				return true
			})
		}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, option{})
			cfg := w.config()
			tt.set(w, cfg)
			v, err := New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			_, err = v.Verify(t.Context(), w.url("/mcp"))
			wantUndetermined(t, err, tt.code)
		})
	}
}

func TestAddressesAreChecked(t *testing.T) {
	w := newWorld(t, option{})
	v := w.verifier(func(c *Config) { c.UnsafeAllowLoopback = false; c.AllowPorts = []uint16{w.port} })
	_, err := v.Verify(t.Context(), w.url("/mcp"))
	var refused *safehttp.AddrError
	if !errors.As(err, &refused) {
		t.Fatalf("got %v, want an AddrError", err)
	}
	wantUndetermined(t, err, "")
	if n := len(w.requests()); n != 0 {
		t.Errorf("%d requests arrived", n)
	}
}

func TestCertificateIsChecked(t *testing.T) {
	w := newWorld(t, option{})
	_, roots := newCert(t)
	_, err := w.verifier(func(c *Config) { c.RootCAs = roots }).Verify(t.Context(), w.url("/mcp"))
	wantRefusal(t, err, CodeDomainMismatch, StateUnverified)
}

// RFC 9266 needs TLS 1.3 or extended master secret. Go always offers the
// latter, so that the failure is made here.
func TestNoChannelBinding(t *testing.T) {
	w := newWorld(t, option{})
	v := w.verifier()
	e, err := v.parseEndpoint(w.url("/mcp"))
	if err != nil {
		t.Fatal(err)
	}
	ch := &challenge{nonce: NewNonce(), endpoint: &e, channels: []channel{{binding: BindingTLS, err: errors.New("no extended master secret")}}}
	d := w.identity.Disclose(t.Context())
	if err := w.identity.prove(&d, proofClaims{nonce: ch.nonce, binding: BindingTLS, origin: w.origin()}); err != nil {
		t.Fatal(err)
	}
	_, err = v.judge(t.Context(), ch, d)
	wantRefusal(t, err, CodePoPFailed, StateDeclared)
	if _, err := exporterOf(&tls.ConnectionState{}); err == nil {
		t.Error("a connection state without a connection has an exporter")
	}
}

// RFC 9266 says the empty context, which is not the same as none in TLS 1.2:
// both ends of ours would agree on the wrong one.
func TestExporterIsThatOfRFC9266(t *testing.T) {
	w := newWorld(t, option{})
	var at12, none []byte
	var text string
	w.intercept(func(_ *world, _ http.ResponseWriter, r *http.Request) bool {
		at12, _ = r.TLS.ExportKeyingMaterial("EXPORTER-Channel-Binding", []byte{}, 32)
		none, _ = r.TLS.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32)
		text, _ = exporterOf(r.TLS)
		return true
	})
	w.verifier(func(c *Config) { c.testOnlyMaxTLS = tls.VersionTLS12 }).Verify(t.Context(), w.url("/mcp"))
	if bytes.Equal(at12, none) || len(at12) != 32 || text != base64.RawURLEncoding.EncodeToString(at12) {
		t.Errorf("exporter %s, want that of %x", text, at12)
	}
}

func TestNewRefuses(t *testing.T) {
	w := newWorld(t, option{})
	for name, change := range map[string]func(*Config){
		"no badges":            func(c *Config) { c.Badges = nil },
		"no resolver":          func(c *Config) { c.Resolver = nil },
		"no level":             func(c *Config) { c.MinLevel = badge.LevelNone },
		"plain without unsafe": func(c *Config) { c.UnsafeAllowLoopback = false; c.UnsafeAllowPlainHTTP = true },
		"skew":                 func(c *Config) { c.Skew = 61 * time.Second },
		"timeout":              func(c *Config) { c.Timeout = -1 },
		"age":                  func(c *Config) { c.MaxAge = -1 },
	} {
		cfg := w.config()
		change(cfg)
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := New(nil); err == nil {
		t.Error("nil: accepted")
	}
}

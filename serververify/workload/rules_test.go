package workload_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/serververify/workload"
	"github.com/touchmark-dev/touchmark/serververify/workload/workloadtest"
)

// principal is that of a certificate that a server verified.
func principal(t *testing.T, d *workloadtest.Domain, c *tls.Certificate) *workload.Principal {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{c.Leaf, d.Root}}}
	p, err := workload.FromRequest(r)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// svid is a principal of SPIFFE.
func svid(t *testing.T, d *workloadtest.Domain, path string) *workload.Principal {
	t.Helper()
	var got *workload.Principal
	cfg, err := workload.ServerTLS(&workload.TLSConfig{
		SVIDs:     end{d.SVID("/mcp"), []*workloadtest.Domain{d}},
		Authorize: func(p *workload.Principal) error { got = p; return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := cfg.VerifyConnection(tls.ConnectionState{PeerCertificates: []*x509.Certificate{d.SVID(path).Leaf}}); err != nil {
		t.Fatal(err)
	}
	return got
}

func token(t *testing.T, d *workloadtest.Domain, path string) *workload.Principal {
	t.Helper()
	v := &workload.JWTVerifier{Source: end{roots: []*workloadtest.Domain{d}}, Audience: []string{"x"}, Authorize: workload.AuthorizeVerified()}
	p, err := v.Verify(d.JWT(path, []string{"x"}, nil))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestRules(t *testing.T) {
	d := workloadtest.NewDomain(t, "example.org")
	dns := d.Issue(time.Hour, func(c *x509.Certificate) { c.DNSNames = []string{"a.example", "b.example"} })
	mail := d.Issue(time.Hour, func(c *x509.Certificate) { c.EmailAddresses = []string{"ada@example.com"} })
	bare := d.Issue(time.Hour, func(*x509.Certificate) {})
	pinned := principal(t, d, bare)
	sum, _ := pinned.CertificateSHA256()
	rules, err := workload.ParseRules([]byte(`version: 1
principals:
  - {id: one, match: {spiffe_id: "spiffe://example.org/agent/one"}, level: 3, actor: human}
  - {id: agents, match: {spiffe_id_prefix: "spiffe://example.org/agent"}, level: "2", actor: supervised_ai}
  - {id: tokens, match: {spiffe_id_prefix: "spiffe://example.org/job", jwt_svid: true}, level: 1, actor: automation}
  - {id: domain, match: {trust_domain: example.org}, level: 0, actor: service_account}
  - {id: dns, match: {dns: b.example}, level: 2, actor: automation}
  - {id: mail, match: {email: ada@example.com}, level: 2, actor: human}
  - {id: uri, match: {uri: "spiffe://example.org/by-name"}, level: 1, actor: automation}
  - {id: pinned, match: {certificate: "sha256:` + base64.RawURLEncoding.EncodeToString(sum[:]) + `"}, level: 4, actor: human}
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		p     *workload.Principal
		rule  string
		level badge.Level
		class workload.ActorClass
	}{
		{svid(t, d, "/agent/one"), "one", badge.LevelOrganization, workload.Human},
		{svid(t, d, "/agent/two"), "agents", badge.LevelDomain, workload.SupervisedAI},
		{svid(t, d, "/agent"), "agents", badge.LevelDomain, workload.SupervisedAI},
		{svid(t, d, "/agents"), "domain", badge.LevelSelfSigned, workload.ServiceAccount},
		{svid(t, d, "/job/1"), "tokens", badge.LevelRegistered, workload.Automation},
		{token(t, d, "/job/1"), "tokens", badge.LevelRegistered, workload.Automation},
		{token(t, d, "/agent/one"), "", badge.LevelNone, ""}, // a bearer token is less than an SVID
		{principal(t, d, dns), "dns", badge.LevelDomain, workload.Automation},
		{principal(t, d, mail), "mail", badge.LevelDomain, workload.Human},
		{pinned, "pinned", badge.LevelExtended, workload.Human},
		{principal(t, d, d.SVID("/by-name")), "uri", badge.LevelRegistered, workload.Automation},
		{principal(t, d, d.SVID("/agent/one")), "", badge.LevelNone, ""}, // not by the rules of SPIFFE
		{new(workload.Principal), "", badge.LevelNone, ""},
		{nil, "", badge.LevelNone, ""},
	} {
		m, ok := rules.Map(test.p)
		if ok != (test.rule != "") || m.Rule != test.rule || m.Level != test.level || m.ActorClass != test.class {
			t.Errorf("%+v: got %+v, %v, want rule %q", test.p, m, ok, test.rule)
		}
		if test.p != nil && (rules.Authorize(test.p) == nil) != ok {
			t.Errorf("%+v: Authorize says %v", test.p, rules.Authorize(test.p))
		}
	}
	if _, ok := new(workload.Rules).Map(svid(t, d, "/agent/one")); ok {
		t.Error("the zero Rules map somebody")
	}
}

// TestRuleFile: each way in which a file is none, with its line.
func TestRuleFile(t *testing.T) {
	entry := func(match, more string) string {
		return "version: 1\nprincipals:\n  - id: a\n    match: " + match + "\n    level: 1\n    actor: human\n" + more
	}
	if _, err := workload.ParseRules([]byte(entry("{uid: 0, gid: 4294967295}", ""))); err != nil {
		t.Error(err)
	}
	for _, test := range []struct{ text, want string }{
		{"", "the file is empty"},
		{"\ufeffversion: 1", "byte order mark"},
		{"principals: []", "line 1, column 1: the file has no version"},
		{"version: 2\nprincipals: []", "line 1, column 10: version is not 1"},
		{"version: 1", "has no principals"},
		{"version: 1\nprincipals: {}", "line 2, column 13: principals is not a list"},
		{"version: 1\nprincipals: []", "principals is empty"},
		{"version: 1\nprincipals: []\nrules: []", `line 3, column 1: the file has "rules"`},
		{"version: 1\nversion: 1", `line 2, column 1: the file has "version" twice`},
		{entry("{uid: 1}", entry("{uid: 1}", "")[len("version: 1\nprincipals:\n"):]), `line 7, column 5: two principals have the id "a"`},
		{entry("{uid: 1}", "    shadow: true\n"), `line 7, column 5: a principal has "shadow"`},
		{entry("{uid: 1, tool: x}", ""), `match has "tool"`},
		{entry("{}", ""), "line 4, column 12: match names nothing"},
		{entry("{jwt_svid: true}", ""), "match names nothing"},
		{entry("{uid: 1, dns: a.example}", ""), "match names several things"},
		{entry("{dns: a.example, jwt_svid: true}", ""), "jwt_svid means nothing"},
		{entry("{trust_domain: example.org, jwt_svid: false}", ""), "jwt_svid is not true"},
		{entry("{uid: -1}", ""), "line 4, column 18: uid is not a number"},
		{entry("{uid: 4294967296}", ""), "uid is not a number"},
		{entry("{gid: 0x10}", ""), "gid is not a number"},
		{entry("{gid: 010}", ""), "gid is not a number"},
		{entry(`{gid: "1"}`, ""), "gid is not a number"},
		{entry("{spiffe_id: 1}", ""), "a SPIFFE ID is not a string"},
		{entry(`{spiffe_id: "spiffe://example.org/a/"}`, ""), `SPIFFE ID "spiffe://example.org/a/"`},
		{entry(`{spiffe_id_prefix: "spiffe://example.org/a*"}`, ""), "SPIFFE ID"},
		{entry(`{trust_domain: "spiffe://example.org"}`, ""), "trust_domain"},
		{entry(`{trust_domain: [a]}`, ""), "trust_domain is not a string"},
		{entry(`{dns: "*.example.org"}`, ""), `dns "*.example.org" is empty, or has a space or a '*'`},
		{entry(`{email: ""}`, ""), `email ""`},
		{entry(`{uri: 7}`, ""), `uri is not a string`},
		{entry(`{certificate: "sha256:AAAA"}`, ""), "certificate"},
		{entry(`{certificate: 1}`, ""), "certificate is not a string"},
		{"version: 1\nprincipals:\n  - {id: a, match: {uid: 1}, level: 5, actor: human}", "line 3, column 37: level is not one of 0 to 4"},
		{"version: 1\nprincipals:\n  - {id: a, match: {uid: 1}, level: 1, actor: robot}", `line 3, column 47: actor "robot" is not one of`},
		{"version: 1\nprincipals:\n  - {id: a, match: {uid: 1}, level: 1, actor: 1}", "actor is not a string"},
		{"version: 1\nprincipals:\n  - {id: .a, match: {uid: 1}, level: 1, actor: human}", `id ".a" has a character`},
		{"version: 1\nprincipals:\n  - {id: '', match: {uid: 1}, level: 1, actor: human}", "an id has 1 to 64 characters"},
		{"version: 1\nprincipals:\n  - {id: 1, match: {uid: 1}, level: 1, actor: human}", "id is not a string"},
		{"version: 1\nprincipals:\n  - {match: {uid: 1}, level: 1, actor: human}", "line 3, column 5: a principal has no id"},
		{"version: 1\nprincipals:\n  - {id: a, level: 1, actor: human}", "a principal has no match"},
		{"version: 1\nprincipals:\n  - {id: a, match: {uid: 1}, actor: human}", "a principal has no level"},
		{"version: 1\nprincipals:\n  - {id: a, match: {uid: 1}, level: 1}", "a principal has no actor"},
		{"version: 1\nprincipals:\n  - &x {id: a, match: {uid: 1}, level: 1, actor: human}", "an anchor"},
		{"version: 1\nprincipals: [a]\n---\n", "a second document"},
		{"version: !!int 1\nprincipals: []", "a tag"},
		{"version: 1\nprincipals: [\x00]", "not YAML"},
		{"version: 1\nprincipals: [\xff]", "not UTF-8"},
		{"%YAML 1.2\n---\nversion: 1", "no directives"},
		{"version: 1 # \u202e", "U+202E"},
		{"version: 1\rprincipals: []", "a carriage return"},
		{strings.Repeat("#", workload.MaxRuleBytes+1), "longer than"},
	} {
		r, err := workload.ParseRules([]byte(test.text))
		if err == nil || !strings.Contains(err.Error(), test.want) || r != nil {
			t.Errorf("%.80q: got %v, want an error with %q", test.text, err, test.want)
		}
	}
}

// FuzzParseRules: whatever is read maps nobody who is nobody, and is read again without the white space around.
func FuzzParseRules(f *testing.F) {
	f.Add([]byte("version: 1\nprincipals:\n  - {id: a, match: {uid: 1, gid: 2}, level: 1, actor: human}\n"))
	f.Add([]byte("version: 1\nprincipals:\n  - {id: a, match: {spiffe_id_prefix: 'spiffe://a/b', jwt_svid: true}, level: '0', actor: automation}\n"))
	f.Add([]byte("version: 1\nprincipals:\n- id: a\n  match: {certificate: 'sha256:47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU'}\n  level: 4\n  actor: service_account"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := workload.ParseRules(data)
		if err != nil {
			if r != nil {
				t.Error("rules beside an error")
			}
			return
		}
		if m, ok := r.Map(new(workload.Principal)); ok {
			t.Errorf("nobody is %+v", m)
		}
		if _, err := workload.ParseRules(append(bytes.TrimRight(data, "\n"), '\n')); err != nil {
			t.Errorf("with another end: %v", err)
		}
	})
}

// TestRulesOfPeers: uid and gid, together and apart.
func TestRulesOfPeers(t *testing.T) {
	here := peerOf(t)
	peer, ok := here.UnixPeer()
	if !ok {
		t.Fatal("no peer")
	}
	for _, test := range []struct {
		match string
		want  bool
	}{
		{"{uid: UID}", true}, {"{gid: GID}", true}, {"{uid: UID, gid: GID}", true},
		{"{uid: 4242}", false}, {"{uid: UID, gid: 4242}", false}, {"{uid: 4242, gid: GID}", false}, {"{dns: a.example}", false},
	} {
		text := strings.NewReplacer("UID", fmt.Sprint(peer.UID), "GID", fmt.Sprint(peer.GID)).Replace(test.match)
		r, err := workload.ParseRules([]byte("version: 1\nprincipals: [{id: a, match: " + text + ", level: 1, actor: automation}]"))
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := r.Map(here); ok != test.want {
			t.Errorf("%s: mapped %v, want %v", text, ok, test.want)
		}
	}
}

// peerOf is this process as the peer of a socket of its own.
func peerOf(t *testing.T) *workload.Principal {
	t.Helper()
	path := t.TempDir() + "/run/s.sock"
	ln, err := workload.ListenUnix(&workload.UnixConfig{Path: path})
	if err != nil {
		t.Skip(err) // another system
	}
	t.Cleanup(func() { _ = ln.Close() })
	accepted := make(chan net.Conn, 1)
	go func() {
		if c, err := ln.Accept(); err == nil {
			accepted <- c
		}
	}()
	client, err := workload.DialUnix(t.Context(), &workload.UnixDialConfig{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	conn := <-accepted
	t.Cleanup(func() { _, _ = client.Close(), conn.Close() })
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	p, err := workload.FromRequest(r.WithContext(workload.ConnContext(context.Background(), conn)))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

package serververify

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/badgetest"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/safehttp"
)

// Faults of published code, each with the number that our notes on its
// documents or on its code give it. More of them stand beside what they are
// about: 01 in client_test.go, 02 in identity_test.go, 04 in mitm_test.go and
// published_test.go, 10 in endpoint_test.go.

// A result is kept with all that it depends on: the DID, the endpoint, the
// connection and the badge.
func TestKnownFault01CacheHoldsAllOfIt(t *testing.T) {
	w := newWorld(t, option{})
	gate := new(gate)
	v := w.verifier(func(c *Config) { c.Admit = []Admission{gate}; c.MaxAge = time.Minute })
	a := w.verified(v)
	b, err := v.Verify(t.Context(), w.url("/other"))
	must(t, err)
	if a.target == b.target {
		t.Error("two endpoints share what is known of them")
	}
	before := w.again()
	// Who asks for /mcp is held to what is said of /mcp, on each connection and
	// with each badge.
	for range 2 {
		w.advance(61 * time.Second)
		w.setBadge(w.ca.Issue(w.agent, badge.LevelDomain))
		gate.asked = nil
		resp, err := a.Client().Get(w.url("/mcp"))
		drain(t, resp, err)
		own, _ := badge.Inspect(w.badge())
		if len(gate.asked) == 0 {
			t.Error("not asked again")
		}
		for _, s := range gate.asked {
			if s.Endpoint != w.url("/mcp") || s.BadgeID != own.BadgeID {
				t.Errorf("asked about %+v", s)
			}
		}
	}
	if n := w.again() - before; n > 2 {
		t.Errorf("%d challenges on connections that had one, want one for each age", n)
	}
}

// No issuers, no servers: and the keys of an issuer that the badge names are not
// asked for before it is found among those that are listed.
func TestKnownFault03UnlistedIssuerOfAServer(t *testing.T) {
	w := newWorld(t, option{})
	if _, err := badge.NewVerifier(&badge.Config{Keys: w.ca, Status: w.ca}); err == nil {
		t.Error("a verifier that lists nobody")
	}
	before := w.ca.Asked(badgetest.Issuer)
	_, err := w.verifier(func(c *Config) {
		c.Badges, _ = badge.NewVerifier(&badge.Config{Issuers: []string{"https://other.example"}, Keys: w.ca, Status: w.ca, Time: w.time})
	}).Verify(t.Context(), w.url("/mcp"))
	wantRefusal(t, err, CodeIssuerUntrusted, StateDeclared)
	if n := w.ca.Asked(badgetest.Issuer) - before; n != 0 {
		t.Errorf("the keys of an issuer that is not listed were asked for %d times", n)
	}
}

// The error is the verdict: a server comes without one, and nothing with one.
func TestKnownFault04TheErrorIsTheVerdict(t *testing.T) {
	for _, v := range readVectors(t) {
		srv, err := judgeVector(t, v)
		if (srv == nil) != (err != nil) || srv != nil && srv.State != StateVerified {
			t.Errorf("%s: %+v, %v", v.Name, srv, err)
		}
		var refused *UntrustedError
		if errors.As(err, &refused) && (refused.State == StateVerified || refused.Code == "" || refused.State == "") {
			t.Errorf("%s: refused with %+v", v.Name, refused)
		}
	}
}

// A badge is public: whoever has seen it can show it, and is not its server.
func TestKnownFault06BadgeOfAServerIsReplayed(t *testing.T) {
	w, thief := newWorld(t, option{}), newWorld(t, option{})
	thief.ca, thief.resolver = w.ca, w.resolver
	// It names the victim, at its own origin, or itself with the victim's badge,
	// or the victim's did:key, which has no origin.
	thief.setBadge(w.badge())
	_, err := thief.verifier().Verify(t.Context(), thief.url("/mcp"))
	wantRefusal(t, err, CodeDIDMismatch, StateDeclared)
	trust := w.selfSigned()
	thief.identity.cfg.DID, thief.identity.cfg.KeyID = w.identity.cfg.DID, w.identity.cfg.KeyID
	thief.setBadge(w.badge())
	_, err = thief.verifier(trust).Verify(t.Context(), thief.url("/mcp"))
	wantRefusal(t, err, CodePoPFailed, StateDeclared)
}

// Members are told apart by case, and none may come twice.
func TestKnownFault07DiscoveryMembers(t *testing.T) {
	doc := `{"server_did":"did:web:a.example","Server_DID":"did:web:evil.example","trust_level":"1","Trust_Level":"4"}`
	if got, _, err := parseDiscovery([]byte(doc)); err != nil || got != "did:web:a.example" {
		t.Errorf("read %q, %v", got, err)
	}
	if _, _, err := parseDiscovery([]byte(strings.ToLower(doc))); err == nil {
		t.Error("a member twice was read")
	}
}

// Any of a document's keys will do, not only the first.
func TestKnownFault08AnyKeyOfTheDocument(t *testing.T) {
	w := newWorld(t, option{})
	var keys []did.DocumentKey
	for range 4 {
		keys = append(keys, did.DocumentKey{Key: badgetest.NewAgent(t).Public()})
	}
	v := w.verifier()
	for at := range keys {
		all := append([]did.DocumentKey(nil), keys...)
		all[at] = did.DocumentKey{Key: w.agent.Public()}
		w.publish(all...)
		w.verified(v)
	}
}

// An outage is no verdict, and above all not "revoked".
func TestKnownFault09OutageOfAServersIssuer(t *testing.T) {
	w := newWorld(t, option{})
	w.ca.SetStatus(badgetest.Status{Err: errors.New("down")})
	_, err := w.verifier().Verify(t.Context(), w.url("/mcp"))
	wantUndetermined(t, err, CodeRevocationCheckFailed)
	var refused *UntrustedError
	if errors.As(err, &refused) {
		t.Errorf("refused: %v", err)
	}
}

// What was wrong with a badge is said: revoked is not invalid, and the cause is
// still there.
func TestKnownFault12RevokedIsSaid(t *testing.T) {
	for _, tt := range []struct {
		set   func(w *world)
		code  Code
		cause badge.Code
	}{
		{func(w *world) { u, _ := badge.Inspect(w.badge()); w.ca.Revoke(u.BadgeID) }, CodeBadgeRevoked, badge.CodeRevoked},
		{func(w *world) { w.ca.Disable(w.agent.DID) }, CodeBadgeRevoked, badge.CodeAgentDisabled},
		{func(w *world) { w.advance(time.Hour) }, CodeBadgeInvalid, badge.CodeExpired},
		{func(w *world) { w.setBadge("a.b.c") }, CodeBadgeInvalid, badge.CodeMalformed},
	} {
		w := newWorld(t, option{})
		v := w.verifier()
		tt.set(w)
		_, err := v.Verify(t.Context(), w.url("/mcp"))
		wantRefusal(t, err, tt.code, StateDeclared)
		if badge.CodeOf(err) != tt.cause {
			t.Errorf("caused by %q, want %q", badge.CodeOf(err), tt.cause)
		}
	}
}

// An endpoint leads to no address inside, however it is written.
func TestKnownFault14AddressesOfEndpoints(t *testing.T) {
	w := newWorld(t, option{})
	for _, addr := range []string{
		"0.0.0.0", "127.0.0.1", "10.0.0.1", "100.64.0.1", "169.254.169.254", "192.168.0.1", "224.0.0.1", "255.255.255.255",
		"::", "::1", "fe80::1", "fc00::1", "ff02::1", "64:ff9b::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
	} {
		v := w.verifier(func(c *Config) {
			c.UnsafeAllowLoopback, c.AllowPorts = false, []uint16{w.port}
			c.testOnlyLookup = func(context.Context, string) ([]netip.Addr, error) {
				return []netip.Addr{netip.MustParseAddr(addr)}, nil
			}
		})
		_, err := v.Verify(t.Context(), w.url("/mcp"))
		var refused *safehttp.AddrError
		if !errors.As(err, &refused) {
			t.Errorf("%s: %v", addr, err)
		}
	}
}

// What is not known skips no check: a binding that nothing defines is taken by
// no client and answers no challenge.
func TestKnownFault14UnknownBindings(t *testing.T) {
	w := newWorld(t, option{})
	v := w.verifier()
	e, err := v.parseEndpoint(w.url("/mcp"))
	must(t, err)
	for _, b := range []Binding{"", "tls", "TLS-EXPORTER", BindingNone, BindingStdio} {
		ch := &challenge{nonce: NewNonce(), endpoint: &e, channels: []channel{{binding: BindingTLS}}}
		d := w.identity.Disclose(t.Context())
		must(t, w.identity.prove(&d, proofClaims{nonce: ch.nonce, binding: b, origin: w.origin()}))
		_, err := v.judge(t.Context(), ch, d)
		wantRefusal(t, err, CodePoPFailed, StateDeclared)
	}
}

// What weakens a client or a server says so in its name.
func TestKnownFault15DangerIsInTheName(t *testing.T) {
	harmless := map[string]bool{"CheckPublishedProof": true, "Stdio": true} // the one reports, the other chooses
	for _, of := range []any{Config{}, IdentityConfig{}} {
		for _, f := range reflect.VisibleFields(reflect.TypeOf(of)) {
			if f.Type.Kind() == reflect.Bool && !harmless[f.Name] && !strings.HasPrefix(f.Name, "Unsafe") {
				t.Errorf("%T.%s is not called Unsafe", of, f.Name)
			}
		}
	}
}

// Levels have one order.
func TestKnownFault16Levels(t *testing.T) {
	levels := []badge.Level{badge.LevelRegistered, badge.LevelDomain, badge.LevelOrganization, badge.LevelExtended}
	for i, has := range levels {
		w := newWorld(t, option{level: has})
		for j, asked := range levels {
			_, err := w.verifier(func(c *Config) { c.MinLevel = asked }).Verify(t.Context(), w.url("/mcp"))
			if (err == nil) != (i >= j) || err != nil && CodeOf(err) != CodeTrustInsufficient {
				t.Errorf("level %s where %s is asked for: %v", has, asked, err)
			}
		}
	}
}

// A path is not the beginning of another one.
func TestKnownFault17PrefixIsNoPath(t *testing.T) {
	w := newWorld(t, option{path: []string{"servers", "bot1"}})
	v := w.verifier()
	srv, err := v.Verify(t.Context(), w.url("/servers/bot1"))
	must(t, err)
	_, err = v.Verify(t.Context(), w.url("/servers/bot10"))
	wantRefusal(t, err, CodePathMismatch, StateDeclared)
	for _, client := range []*http.Client{srv.Client(), v.Client()} {
		if resp, err := client.Get(w.url("/servers/bot10")); err == nil {
			resp.Body.Close()
			t.Error("the neighbour was reached")
		}
	}
}

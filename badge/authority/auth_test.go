package authority

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
)

// TestAccountKeys has every defect of an account key refused alike.
func TestAccountKeys(t *testing.T) {
	embedded(t, nil, func(t *testing.T, b *bed) {
		p := b.agent("ada")
		ask := func(key string) *reply {
			return b.send("POST", p.path("/badge"), key, map[string]string{"mode": "ial0"})
		}
		ask(b.issue).ok(nil)
		_, other, err := b.AddAccount(context.Background(), "other")
		must(t, err)
		flipped := []byte(b.issue)
		flipped[len(flipped)-5] ^= 1
		id, secret, _ := strings.Cut(strings.TrimPrefix(b.issue, keyPrefix), ".")
		for _, key := range []string{
			"", "tmk_", string(flipped), b.issue + "A", b.issue[:len(b.issue)-1], strings.TrimPrefix(b.issue, keyPrefix),
			keyPrefix + id + ".", keyPrefix + "AAAAAAAAAAAA." + secret, strings.ToUpper(b.issue), strings.Repeat("x", 1000),
			keyPrefix + id + "." + secret + "=",
		} {
			r := ask(key).refused(401, CodeUnauthorized)
			if r.header.Get("WWW-Authenticate") == "" || key != "" && strings.Contains(string(r.body), key) {
				t.Errorf("answer %v %s", r.header, r.body)
			}
		}
		ask(other.Reveal()).refused(403, CodeNotOwned)
		ask(b.admin).ok(nil)
		r := b.request("POST", p.path("/badge"), map[string]string{"mode": "ial0"})
		r.Header.Add(headerAccountKey, b.issue)
		r.Header.Add(headerAccountKey, b.issue)
		b.do(r).refused(400, CodeInvalidRequest)
	})
}

// TestAccountKeyEnds: rotated away, revoked, of a disabled account, without the scope.
func TestAccountKeyEnds(t *testing.T) {
	embedded(t, nil, func(t *testing.T, b *bed) {
		ctx := context.Background()
		agents := func(key string) *reply { return b.send("GET", "/v1/agents", key, nil) }
		var next struct {
			Key string `json:"key"`
			ID  string `json:"key_id"`
		}
		rotate := func(key string, seconds int) {
			b.send("POST", "/v1/account/keys/rotate", key, map[string]int{"overlap_seconds": seconds}).ok(&next)
		}
		rotate(b.issue, 60)
		agents(b.issue).ok(nil)
		agents(next.Key).ok(nil)
		b.pass(time.Minute)
		agents(b.issue).refused(401, CodeUnauthorized)
		old := next.Key
		rotate(old, 0)
		agents(old).refused(401, CodeUnauthorized)
		must(t, b.RevokeAccountKey(ctx, next.ID))
		agents(next.Key).refused(401, CodeUnauthorized)
		key, err := b.AddAccountKey(ctx, b.account)
		must(t, err)
		must(t, b.DisableAccount(ctx, b.account))
		agents(key.Reveal()).refused(401, CodeUnauthorized)
		must(t, b.EnableAccount(ctx, b.account))
		agents(key.Reveal()).ok(nil)
		for _, body := range []string{`{"overlap_seconds":-1}`, `{"overlap_seconds":86401}`} {
			b.send("POST", "/v1/account/keys/rotate", key.Reveal(), body).refused(400, CodeInvalidRequest)
		}
		keys, err := b.AccountKeys(ctx, b.account)
		must(t, err)
		expire, revoked := 0, 0
		for _, k := range keys {
			if !k.ExpiresAt.IsZero() {
				expire++
			}
			if !k.RevokedAt.IsZero() {
				revoked++
			}
		}
		if len(keys) != 4 || expire != 2 || revoked != 1 {
			t.Errorf("keys %+v", keys)
		}
		if _, _, err := b.AddAccount(ctx, "x", "root"); err == nil {
			t.Error("a scope that there is not")
		}
		if accounts, err := b.Accounts(ctx); err != nil || len(accounts) != 2 {
			t.Errorf("accounts %v %v", accounts, err)
		}
	})
}

// TestForeign: nobody acts for what another account has, but an administrator.
func TestForeign(t *testing.T) {
	b := lite(t, nil)
	p := b.agent("ada")
	out := b.badge0(p)
	_, key, err := b.AddAccount(context.Background(), "other")
	must(t, err)
	other := key.Reveal()
	for _, path := range []string{"/disable", "/suspend", "/enable", "/badge/challenge", "/keys"} {
		b.send("POST", p.path(path), other, map[string]any{}).refused(403, CodeNotOwned)
		b.send("POST", p.path(path), "", map[string]any{}).refused(401, CodeUnauthorized)
	}
	b.send("POST", "/v1/badges/"+out.ID+"/revoke", other, nil).refused(403, CodeNotOwned)
	b.send("POST", "/v1/badges/"+out.ID+"/revoke", "", nil).refused(401, CodeUnauthorized)
	var list struct{ Agents []agentAnswer }
	if b.send("GET", "/v1/agents", other, nil).ok(&list); len(list.Agents) != 0 {
		t.Errorf("agents of another account: %+v", list)
	}
	if b.send("GET", "/v1/agents", b.admin, nil).ok(&list); len(list.Agents) != 1 {
		t.Errorf("agents for an administrator: %+v", list)
	}
	b.send("POST", "/v1/badges/"+out.ID+"/revoke", b.admin, nil).ok(nil)
	missing := &party{did: p.did}
	missing.did = mustWeb(t, testIssuer+"/agents/nobody")
	b.send("POST", missing.path("/badge/challenge"), b.issue, nil).refused(404, CodeAgentNotFound)
	b.send("POST", missing.path("/badge"), b.issue, `{"mode":"ial0"}`).refused(404, CodeAgentNotFound)
	b.send("POST", missing.path("/level"), b.admin, `{"level":"1","reason":"r"}`).refused(404, CodeAgentNotFound)
}

// TestBadgeAsks: an agent asks for its next challenge by the badge that it has.
func TestBadgeAsks(t *testing.T) {
	embedded(t, nil, func(t *testing.T, b *bed) {
		p, q := b.agent("ada"), b.agent("eve")
		ask := func(p *party, header, token string) *reply {
			r := b.request("POST", p.path("/badge/challenge"), nil)
			r.Header.Set(header, token)
			return b.do(r)
		}
		token := b.badge1(p).Badge
		ask(p, headerBadge, token).ok(nil)
		ask(p, "Authorization", "Bearer "+token).ok(nil)
		ask(q, headerBadge, token).refused(403, CodeNotOwned)
		ask(p, headerBadge, token+"A").refused(401, CodeUnauthorized)
		self, err := badge.SelfSign(p.key, &badge.Template{})
		must(t, err)
		ask(p, headerBadge, self).refused(401, CodeUnauthorized)
		r := b.request("POST", p.path("/badge/challenge"), nil)
		r.Header.Set(headerBadge, token)
		r.Header.Set(headerAccountKey, b.issue)
		b.do(r).refused(400, CodeInvalidRequest)
		var elsewhere badgeAnswer
		b.send("POST", p.path("/badge"), b.issue, `{"mode":"ial0","badge_aud":["https://a.example"]}`).ok(&elsewhere)
		ask(p, headerBadge, elsewhere.Badge).refused(401, CodeUnauthorized)
		var got badgeAnswer
		b.send("POST", p.path("/badge"), "", fmt.Sprintf(`{"mode":"ial0","token":%q}`, token)).refused(401, CodeUnauthorized)
		b.send("POST", p.path("/badge"), b.issue, `{"mode":"ial0"}`).ok(&got)
		b.send("POST", "/v1/badges/"+got.ID+"/revoke", b.issue, nil).ok(nil)
		ask(p, headerBadge, got.Badge).refused(401, CodeUnauthorized)
		b.pass(6 * time.Minute)
		ask(p, headerBadge, token).refused(401, CodeUnauthorized)
	})
}

// lines keeps what is logged.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// TestNothingSecretLogged goes through the acts that have secrets, and looks for them in the program's and the
// transparency log.
func TestNothingSecretLogged(t *testing.T) {
	out := new(lines)
	b := lite(t, func(c *Config) {
		c.Logger = slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	p := b.agent("ada")
	c := b.challenge(p, nil)
	proof := b.proof(p, c)
	body := map[string]string{"mode": "ial1", "challenge_id": c.ID, "proof_jws": proof}
	var first, second badgeAnswer
	b.send("POST", p.path("/badge"), "", body).ok(&first)
	b.send("POST", p.path("/badge"), "", body).refused(403, CodeChallengeUsed)
	b.send("POST", p.path("/badge"), b.issue, `{"mode":"ial0"}`).ok(&second)
	var rotated struct {
		Key string `json:"key"`
	}
	b.send("POST", "/v1/account/keys/rotate", b.issue, nil).ok(&rotated)
	b.send("POST", p.path("/badge"), b.issue+"A", `{"mode":"ial0"}`).refused(401, CodeUnauthorized)
	key := Secret{b.issue}
	fmt.Fprintf(out, "%v %s %+v %#v %q", key, key, key, key, key)
	if !strings.Contains(out.text.String(), first.ID) {
		t.Error("an issued badge was not logged by its id")
	}
	for _, e := range b.entries() {
		fmt.Fprintf(out, "%+v", e)
	}
	all := out.text.String()
	for _, secret := range []string{b.issue, b.admin, rotated.Key, first.Badge, second.Badge, proof, c.Nonce} {
		_, tail, _ := strings.Cut(secret, ".")
		if strings.Contains(all, secret) || tail != "" && strings.Contains(all, tail[:20]) {
			t.Errorf("%.12s... was logged", secret)
		}
	}
}

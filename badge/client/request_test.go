package client_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/badgetest"
	"github.com/touchmark-dev/touchmark/badge/badgetest/authoritytest"
	"github.com/touchmark-dev/touchmark/badge/client"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/safehttp"
)

func requester(t testing.TB, cfg *client.RequesterConfig) *client.Requester {
	t.Helper()
	r, err := client.NewRequester(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRequest(t *testing.T) {
	a := authoritytest.New(t)
	ada := a.NewAgent("ada")
	a.Grant(ada.DID, badge.LevelDomain, authoritytest.Domain)
	c := a.Client()
	v := a.Verifier(func(cfg *badge.Config) { cfg.Audience = []string{"https://mcp.example"} })
	for name, change := range map[string]func(*client.RequesterConfig){
		"possession": func(*client.RequesterConfig) {},
		"account": func(cfg *client.RequesterConfig) {
			cfg.Assurance, cfg.PublicKey, cfg.Key = badge.AssuranceAccount, ada.Public(), nil
		},
		"everything set": func(cfg *client.RequesterConfig) {
			cfg.Assurance, cfg.PublicKey, cfg.KeyID = badge.AssurancePossession, ada.Public(), ""
			cfg.Audience, cfg.TTL, cfg.MinLevel, cfg.Keys = []string{"https://mcp.example", "b"}, time.Minute, badge.LevelDomain, c
		},
		"account, everything set": func(cfg *client.RequesterConfig) {
			cfg.Assurance, cfg.Audience, cfg.TTL, cfg.Keys = badge.AssuranceAccount, []string{"b", "https://mcp.example"}, time.Hour, c
		},
	} {
		cfg := a.RequesterConfig(ada)
		change(cfg)
		got, err := requester(t, cfg).Request(t.Context())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		b, err := v.Verify(t.Context(), got.Token())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := badge.AssurancePossession
		if cfg.Assurance != "" {
			want = cfg.Assurance
		}
		if b.ID() != got.ID || got.Subject != ada.DID || got.Level != badge.LevelDomain || got.Domain != authoritytest.Domain ||
			got.Assurance != want || !got.ExpiresAt.Equal(b.ExpiresAt()) || !got.IssuedAt.Equal(b.IssuedAt()) || got.Issuer != a.Issuer {
			t.Errorf("%s: %+v", name, got)
		}
		if !got.Valid(a.Now()) || got.Valid(got.ExpiresAt) {
			t.Errorf("%s: valid at %v and not at %v?", name, a.Now(), got.ExpiresAt)
		}
	}
}

func TestRequesterConfigRefused(t *testing.T) {
	key := badgetest.NewKey(t)
	account, err := client.NewAccountKey("k")
	if err != nil {
		t.Fatal(err)
	}
	good := func() *client.RequesterConfig {
		return &client.RequesterConfig{
			Issuer: "https://a.example", Subject: did.MustParse("did:web:agents.example:ada"), AccountKey: account, Key: key,
		}
	}
	requester(t, good())
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*client.RequesterConfig){
		"no issuer":            func(c *client.RequesterConfig) { c.Issuer = "" },
		"http":                 func(c *client.RequesterConfig) { c.Issuer = "http://a.example" },
		"path":                 func(c *client.RequesterConfig) { c.Issuer = "https://a.example/" },
		"no subject":           func(c *client.RequesterConfig) { c.Subject = did.DID{} },
		"did:key":              func(c *client.RequesterConfig) { c.Subject = badgetest.NewAgent(t).DID },
		"no account key":       func(c *client.RequesterConfig) { c.AccountKey = client.AccountKey{} },
		"unknown assurance":    func(c *client.RequesterConfig) { c.Assurance = "2" },
		"no key":               func(c *client.RequesterConfig) { c.Key = nil },
		"possession, no key":   func(c *client.RequesterConfig) { c.PublicKey, c.Key = key.Public(), nil },
		"account, no key":      func(c *client.RequesterConfig) { c.Assurance, c.Key = badge.AssuranceAccount, nil },
		"two keys":             func(c *client.RequesterConfig) { c.PublicKey = badgetest.NewKey(t).Public() },
		"other kind of key":    func(c *client.RequesterConfig) { c.Key = p384 },
		"other kind of public": func(c *client.RequesterConfig) { c.PublicKey = p384.Public() },
		"key id of another":    func(c *client.RequesterConfig) { c.KeyID = "did:web:b.example#key-1" },
		"key id is no URL":     func(c *client.RequesterConfig) { c.KeyID = "key-1" },
		"key id is the DID":    func(c *client.RequesterConfig) { c.KeyID = "did:web:agents.example:ada" },
		"empty audience":       func(c *client.RequesterConfig) { c.Audience = []string{""} },
		"audience twice":       func(c *client.RequesterConfig) { c.Audience = []string{"a", "a"} },
		"short":                func(c *client.RequesterConfig) { c.TTL = time.Second },
		"long":                 func(c *client.RequesterConfig) { c.TTL = badge.MaxTTL + time.Second },
		"fraction":             func(c *client.RequesterConfig) { c.TTL = badge.MinTTL + 1 },
		"level 0":              func(c *client.RequesterConfig) { c.MinLevel = badge.LevelSelfSigned },
		"no such level":        func(c *client.RequesterConfig) { c.MinLevel = badge.LevelExtended + 1 },
		"negative timeout":     func(c *client.RequesterConfig) { c.Timeout = -1 },
	} {
		cfg := good()
		change(cfg)
		if _, err := client.NewRequester(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := client.NewRequester(nil); err == nil {
		t.Error("nil: accepted")
	}
}

// The published code skips the check of revocation for a mode that it does not
// know. Nothing here has a kind that is not known.
func TestKnownFault14UnknownKindsAreRefused(t *testing.T) {
	account, err := client.NewAccountKey("k")
	if err != nil {
		t.Fatal(err)
	}
	for _, assurance := range []badge.Assurance{"2", "ial0", "99", " ", "one"} {
		_, err := client.NewRequester(&client.RequesterConfig{
			Issuer: "https://a.example", Subject: did.MustParse("did:web:agents.example:ada"), AccountKey: account,
			Key: badgetest.NewKey(t), Assurance: assurance,
		})
		if err == nil || !strings.Contains(err.Error(), "not known") {
			t.Errorf("assurance %q: %v", assurance, err)
		}
	}
	// A refusal of a kind that is not known stops nobody for good, and is one.
	for _, status := range []int{402, 418, 451, 499, 500, 599} {
		if (&client.RefusedError{Status: status, Code: "new"}).Permanent() {
			t.Errorf("status %d is for good", status)
		}
	}
}

func TestAccountKeyIsNotShown(t *testing.T) {
	const secret = "tmk_abc.verysecret"
	key, err := client.NewAccountKey(" " + secret + "\n")
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "key", key, "config", client.RequesterConfig{AccountKey: key})
	text, err := json.Marshal(map[string]any{"key": key})
	if err != nil {
		t.Fatal(err)
	}
	shown := log.String() + string(text) + fmt.Sprintf("%v %+v %#v %s %q %v", key, key, key, key, key, client.RequesterConfig{AccountKey: key})
	if strings.Contains(shown, "verysecret") || strings.Count(shown, "[account key]") < 8 {
		t.Error(shown)
	}
	for _, text := range []string{"", " \n", "a b", "a\nb", "é", "a\x00", strings.Repeat("k", 513)} {
		if _, err := client.NewAccountKey(text); err == nil {
			t.Errorf("account key %q is accepted", text)
		}
	}
}

func TestBadgeIsNotShown(t *testing.T) {
	a := authoritytest.New(t)
	b := a.Issue(a.NewAgent("ada"))
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "badge", b)
	shown := log.String() + fmt.Sprintf("%v %+v %#v %s %q", b, b, b, b, b)
	if strings.Contains(shown, b.Token()[:20]) || strings.Count(shown, b.ID) != 6 {
		t.Error(shown)
	}
}

// An authority's refusals come with its code, once they are the authority's.
func TestRequestRefused(t *testing.T) {
	a := authoritytest.New(t)
	ada, bob := a.NewAgent("ada"), a.NewAgent("bob")
	a.Disable(bob.DID)
	for name, c := range map[string]struct {
		agent     *authoritytest.Agent
		change    func(*client.RequesterConfig)
		fault     authoritytest.Fault
		code      string
		status    int
		wait      time.Duration
		permanent bool
	}{
		"disabled":   {agent: bob, code: "agent_inactive", status: 403, permanent: true},
		"disabled 0": {agent: bob, change: byAccount, code: "agent_inactive", status: 403, permanent: true},
		"unknown agent": {
			change: func(c *client.RequesterConfig) {
				c.Subject, c.KeyID = did.MustParse("did:web:agents.example:eve"), ""
			},
			code: "agent_not_found", status: 404, permanent: true,
		},
		"wrong account key": {
			change: func(c *client.RequesterConfig) { c.AccountKey, _ = client.NewAccountKey("tmk_x") },
			code:   "unauthorized", status: 401, permanent: true,
		},
		"wrong agent key": {
			change: func(c *client.RequesterConfig) { c.Key = badgetest.NewKey(t) },
			code:   "proof_verification_failed", status: 403, permanent: true,
		},
		"wrong key id": {
			change: func(c *client.RequesterConfig) { c.KeyID += "x" },
			code:   "kid_not_found", status: 403, permanent: true,
		},
		"rate": {
			fault: authoritytest.Refusal(429, "rate_limit_exceeded", 7*time.Second),
			code:  "rate_limit_exceeded", status: 429, wait: 7 * time.Second,
		},
		"unavailable": {
			fault: authoritytest.Refusal(503, "temporarily_unavailable", 0),
			code:  "temporarily_unavailable", status: 503,
		},
		"challenge used": {
			fault: used, code: "challenge_used", status: 403,
		},
	} {
		if c.agent == nil {
			c.agent = ada
		}
		cfg := a.RequesterConfig(c.agent)
		if c.change != nil {
			c.change(cfg)
		}
		a.Break(c.fault)
		b, err := requester(t, cfg).Request(t.Context())
		var refused *client.RefusedError
		if b != nil || !errors.As(err, &refused) {
			t.Errorf("%s: %v, %v", name, b, err)
			continue
		}
		if refused.Code != c.code || refused.Status != c.status || refused.RetryAfter != c.wait || refused.Permanent() != c.permanent ||
			refused.Issuer != a.Issuer || refused.Message == "" || !strings.Contains(err.Error(), c.code) {
			t.Errorf("%s: %#v", name, refused)
		}
	}
}

var used = func() authoritytest.Fault {
	f := authoritytest.Refusal(403, "challenge_used", 0)
	f.Path = authoritytest.PathBadge
	return f
}()

func byAccount(c *client.RequesterConfig) { c.Assurance = badge.AssuranceAccount }

// What is no answer of an authority is not taken for one, whatever its status.
func TestRequestAnswersRefused(t *testing.T) {
	a := authoritytest.New(t)
	ada := a.NewAgent("ada")
	for name, f := range map[string]authoritytest.Fault{
		"not JSON":           {Status: 200, Body: "<html>"},
		"empty":              {Status: 200},
		"no content":         {Status: 204},
		"null":               {Status: 200, Body: "null"},
		"empty object":       {Status: 200, Body: "{}"},
		"no badge":           {Status: 200, Body: `{"badge":""}`},
		"badge twice":        {Status: 200, Body: `{"badge":"a","badge":"b"}`},
		"trailing data":      {Status: 200, Body: "{} {}"},
		"too long":           {Status: 200, Body: `{"x":"` + strings.Repeat("x", 64<<10) + `"}`},
		"redirect":           {Status: 302, Location: a.Issuer + "/elsewhere"},
		"redirect, post":     {Status: 307, Location: a.Issuer + "/elsewhere"},
		"permanent redirect": {Status: 308, Location: a.Issuer + "/elsewhere"},
		"proxy's 404":        {Status: 404, Body: "<html>no such page"},
		"proxy's 403":        {Status: 403, Body: `{"message":"blocked"}`},
		"code is no code":    {Status: 403, Body: `{"error":"a b"}`},
		"code is no text":    {Status: 403, Body: `{"error":1}`},
		"code given twice":   {Status: 403, Body: `{"error":"a","error":"b"}`},
		"long code":          {Status: 403, Body: `{"error":"` + strings.Repeat("a", 65) + `"}`},
		"plain 500":          {Status: 500, Body: "oops", RetryAfter: 3 * time.Second},
	} {
		for _, change := range []func(*client.RequesterConfig){byAccount, func(*client.RequesterConfig) {}} {
			cfg := a.RequesterConfig(ada)
			change(cfg)
			a.Break(f)
			b, err := requester(t, cfg).Request(t.Context())
			var answer *client.AnswerError
			if b != nil || !errors.As(err, &answer) {
				t.Errorf("%s: %v, %v", name, b, err)
				continue
			}
			if answer.Status != f.Status || answer.RetryAfter != f.RetryAfter || answer.Issuer != a.Issuer {
				t.Errorf("%s: %#v", name, answer)
			}
		}
	}
	if n := a.Asked("/elsewhere"); n != 0 {
		t.Errorf("%d redirects followed", n)
	}
	a.Break(authoritytest.Fault{Status: 403, Body: `{"error":"x","message":"key ` + a.AccountKeyText() + ` ` + strings.Repeat("é", 300) + `"}`})
	_, err := requester(t, a.RequesterConfig(ada)).Request(t.Context())
	if err == nil || strings.Contains(err.Error(), a.AccountKeyText()) || len(err.Error()) > 1000 {
		t.Errorf("message that repeats the account key: %v", err)
	}
}

// An outage is no refusal, and no verdict on anything.
func TestKnownFault13OutageIsNoRefusal(t *testing.T) {
	a := authoritytest.New(t)
	ada := a.NewAgent("ada")
	cfg := a.RequesterConfig(ada)
	r := requester(t, cfg)
	cfg.Timeout = time.Second
	hasty := requester(t, cfg)
	for name, f := range map[string]authoritytest.Fault{
		"unreachable": {Unreachable: true},
		"slow":        {Delay: time.Minute},
	} {
		a.Break(f)
		b, err := hasty.Request(t.Context())
		var refused *client.RefusedError
		var answer *client.AnswerError
		if b != nil || err == nil || errors.As(err, &refused) || errors.As(err, &answer) {
			t.Errorf("%s: %v, %v", name, b, err)
		}
	}
	a.Break(authoritytest.Fault{})
	if _, err := r.Request(t.Context()); err != nil {
		t.Error(err)
	}
	// Loopback takes the option that says so.
	cfg.UnsafeAllowLoopback, cfg.Timeout = false, time.Minute
	var addr *safehttp.AddrError
	if _, err := requester(t, cfg).Request(t.Context()); !errors.As(err, &addr) {
		t.Errorf("loopback: %v", err)
	}
}

// rewrite changes one member of an answer.
func rewrite(t testing.TB, path, member string, value any) authoritytest.Fault {
	return authoritytest.Fault{Path: path, Rewrite: func(body []byte) []byte {
		var m map[string]any
		if err := json.Unmarshal(body, &m); err != nil {
			t.Error(err)
		}
		if m[member] = value; value == nil {
			delete(m, member)
		}
		body, err := json.Marshal(m)
		if err != nil {
			t.Error(err)
		}
		return body
	}}
}

// A challenge of another authority is not signed: this one would get a badge
// there in the agent's name.
func TestChallengesNotSigned(t *testing.T) {
	a := authoritytest.New(t)
	ada := a.NewAgent("ada")
	r := requester(t, a.RequesterConfig(ada))
	for _, c := range []struct {
		member string
		value  any
	}{
		{"proof_aud", "https://other.example"}, {"proof_aud", a.Issuer + "/"}, {"proof_aud", nil}, {"proof_aud", []string{a.Issuer}},
		{"htu", "https://other.example/v1/agents/x/badge"}, {"htu", a.Issuer}, {"htu", a.Issuer + ".example/x"},
		{"htu", strings.Replace(a.Issuer, "https", "http", 1) + "/x"}, {"htu", nil},
		{"htm", "GET"}, {"htm", "post"}, {"htm", nil},
		{"challenge_id", "x"}, {"challenge_id", nil}, {"nonce", "short"}, {"nonce", nil},
		{"challenge_expires_at", nil}, {"challenge_expires_at", "tomorrow"},
		{"challenge_expires_at", "2020-01-01T00:00:00Z"},
	} {
		a.Break(rewrite(t, authoritytest.PathChallenge, c.member, c.value))
		if b, err := r.Request(t.Context()); err == nil {
			t.Errorf("%s %v: %v", c.member, c.value, b)
		}
	}
	if n := a.Asked(authoritytest.PathBadge); n != 0 {
		t.Errorf("%d proofs were sent", n)
	}
}

// A badge that is not what was asked for is not handed out.
func TestBadgesNotTaken(t *testing.T) {
	a := authoritytest.New(t)
	ada, bob := a.NewAgent("ada"), a.NewAgent("bob")
	other := authoritytest.New(t)
	web := badgetest.NewWebAgent(t, ada.DID.String())
	ca := badgetest.New(t)
	mine := &badge.IssuerKey{Issuer: a.Issuer, KeyID: a.KeyID(), Signer: badgetest.NewKey(t)}
	issue := func(change func(*badge.Template)) string {
		tmpl := &badge.Template{Subject: ada.DID, SubjectKey: ada.Public(), Level: badge.LevelRegistered}
		change(tmpl)
		token, err := badge.Issue(mine, tmpl)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	for name, token := range map[string]string{
		"of bob":              a.Issue(bob, byAccount).Token(),
		"of another issuer":   other.Issue(other.NewAgent("ada"), byAccount).Token(),
		"of a test":           ca.Issue(web, badge.LevelRegistered),
		"self-signed":         ca.Issue(badgetest.NewAgent(t), badge.LevelSelfSigned),
		"of assurance 1":      a.Issue(ada).Token(),
		"of another key":      issue(func(tmpl *badge.Template) { tmpl.SubjectKey = web.Public() }),
		"for an audience":     issue(func(tmpl *badge.Template) { tmpl.Audience = []string{"https://x.example"} }),
		"issued long ago":     issue(func(tmpl *badge.Template) { tmpl.IssuedAt = time.Now().Add(-2 * time.Minute) }),
		"over":                issue(func(tmpl *badge.Template) { tmpl.IssuedAt = time.Now().Add(-time.Hour) }),
		"of the future":       issue(func(tmpl *badge.Template) { tmpl.IssuedAt = time.Now().Add(2 * time.Minute) }),
		"of another TTL":      issue(func(tmpl *badge.Template) { tmpl.TTL = badge.MaxTTL }),
		"valid later":         issue(func(tmpl *badge.Template) { tmpl.NotBefore = time.Now().Add(2 * time.Minute) }),
		"for a challenge":     issue(func(tmpl *badge.Template) { tmpl.ChallengeID = "ch-550e8400-e29b-41d4-a716-446655440000" }),
		"with another jti":    issue(func(*badge.Template) {}),
		"no badge":            "x",
		"of a level too low":  "", // stays as it is
		"signed by who knows": "",
	} {
		cfg := a.RequesterConfig(ada)
		cfg.Assurance, cfg.TTL = badge.AssuranceAccount, badge.DefaultTTL
		var fault authoritytest.Fault
		if token != "" {
			fault = rewrite(t, authoritytest.PathBadge, "badge", token)
		}
		restore := func() {}
		switch name {
		case "of a level too low":
			cfg.MinLevel = badge.LevelDomain
		case "signed by who knows":
			restore = a.PublishOtherKeys()
			cfg.Keys = a.Client()
		}
		a.Break(fault)
		b, err := requester(t, cfg).Request(t.Context())
		var answer *client.AnswerError
		if b != nil || !errors.As(err, &answer) {
			t.Errorf("%s: %v, %v", name, b, err)
		}
		if token != "" && token != "x" && strings.Contains(err.Error(), token[:40]) {
			t.Errorf("%s: the error shows the badge: %v", name, err)
		}
		restore()
	}
}

// A badge of assurance 1 names the key by the id that proved it.
func TestPossessionBadgesNotTaken(t *testing.T) {
	a := authoritytest.New(t)
	ada := a.NewAgent("ada")
	mine := &badge.IssuerKey{Issuer: a.Issuer, KeyID: a.KeyID(), Signer: badgetest.NewKey(t)}
	for name, tmpl := range map[string]badge.Template{
		"of assurance 0": {Assurance: badge.AssuranceAccount},
		"another key id": {Assurance: badge.AssurancePossession, ConfirmationKeyID: ada.KeyID + "x"},
		"another challenge": {
			Assurance: badge.AssurancePossession, ConfirmationKeyID: ada.KeyID, ChallengeID: "ch-550e8400-e29b-41d4-a716-446655440000",
		},
	} {
		tmpl.Subject, tmpl.SubjectKey, tmpl.Level = ada.DID, ada.Public(), badge.LevelRegistered
		token, err := badge.Issue(mine, &tmpl)
		if err != nil {
			t.Fatal(err)
		}
		a.Break(rewrite(t, authoritytest.PathBadge, "badge", token))
		var answer *client.AnswerError
		if b, err := requester(t, a.RequesterConfig(ada)).Request(t.Context()); !errors.As(err, &answer) {
			t.Errorf("%s: %v, %v", name, b, err)
		}
	}
}

func TestRetryAfterDates(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "0": 0, "12": 12 * time.Second, "-1": 0, "1.5": 0, "x": 0, "99999999999": 0,
		"Sat, 21 Nov 2026 12:00:30 GMT": 30 * time.Second, "Sat, 21 Nov 2026 11:00:00 GMT": 0,
	} {
		if got := client.RetryAfter(text, now); got != want {
			t.Errorf("Retry-After %q: %v, want %v", text, got, want)
		}
	}
}

package authority

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge/pop"
)

// Requests of capiscio-core's clients, which send no mode, other names of members, or another path.
var compatBodies = []string{
	`{}`, `{"domain":"acme.com"}`, `{"trustLevel":"1"}`, `{"duration":"5m0s"}`, `{"audience":["https://a.example"]}`,
	`{"domain":"acme.com","trustLevel":"2","duration":"10m0s","audience":["https://a.example"]}`,
}

// TestCompatRefused: strict is the default, and says what to do.
func TestCompatRefused(t *testing.T) {
	b := lite(t, nil)
	p := b.agent("ada")
	for _, body := range compatBodies {
		b.send("POST", p.path("/badge"), b.issue, body).refused(400, CodeCompatOff)
	}
	c := b.challenge(p, nil)
	body := map[string]string{"challenge_id": c.ID, "proof_jws": b.proof(p, c)}
	b.send("POST", p.path("/badge"), "", body).refused(400, CodeCompatOff)
	b.send("POST", p.path("/badge/pop"), "", body).refused(404, CodeCompatOff)
	r := b.request("POST", p.path("/badge"), map[string]string{"mode": "ial0"})
	r.Header.Set("Authorization", "Bearer "+b.issue)
	b.do(r).refused(401, CodeCompatOff)
	b.send("POST", "/v1/badges/dv/orders", b.issue, map[string]any{
		"domain": "acme.com", "challenge_type": "http-01", "jwk": publicJWK(t, p.key),
	}).refused(400, CodeCompatOff)
}

// TestCompat has the same accepted, and answered in the form that those clients read.
func TestCompat(t *testing.T) {
	embedded(t, func(c *Config) { c.AllowCompat, c.AllowAnonymousOrders = true, true }, func(t *testing.T, b *bed) {
		p := b.agent("ada")
		b.level(p, "2", "acme.com")
		var out struct {
			Success bool `json:"success"`
			Data    struct {
				Token      string    `json:"token"`
				ID         string    `json:"jti"`
				Subject    string    `json:"subject"`
				LevelCamel string    `json:"trustLevel"`
				LevelSnake string    `json:"trust_level"`
				Assurance  string    `json:"assurance_level"`
				Camel      time.Time `json:"expiresAt"`
				Snake      time.Time `json:"expires_at"`
			} `json:"data"`
		}
		check := func(r *reply) {
			t.Helper()
			r.ok(&out)
			d := out.Data
			got, err := b.verifier(nil).Verify(context.Background(), d.Token)
			must(t, err)
			if !out.Success || got.ID() != d.ID || d.Subject != p.did.String() || d.LevelCamel != d.LevelSnake || !d.Camel.Equal(got.ExpiresAt()) ||
				!d.Snake.Equal(d.Camel) || d.Assurance != "IAL-"+string(got.Assurance()) || got.Level().String() != d.LevelSnake {
				t.Errorf("answer %s", r.body)
			}
		}
		for _, body := range compatBodies {
			check(b.send("POST", p.path("/badge"), b.issue, body))
		}
		r := b.request("POST", p.path("/badge"), `{}`)
		r.Header.Set("Authorization", "Bearer "+b.issue)
		check(b.do(r))
		for _, path := range []string{"/badge", "/badge/pop"} {
			c := b.compatChallenge(p)
			check(b.send("POST", p.path(path), "", map[string]string{"challenge_id": c.ID, "proof_jws": b.proof(p, c)}))
		}
		for _, body := range []string{`{"duration":"5"}`, `{"duration":"1.5s"}`, `{"duration":"24h"}`, `{"trustLevel":"x"}`} {
			b.send("POST", p.path("/badge"), b.issue, body).refused(400, CodeInvalidRequest)
		}
		b.send("POST", p.path("/badge/pop"), "", `{"mode":"ial0"}`).refused(400, CodeInvalidMode)
		var order struct {
			ID            string `json:"id"`
			ChallengeType string `json:"challenge_type"`
			Status        string `json:"status"`
			Challenge     struct{ URL, Token string }
		}
		b.send("POST", "/v1/badges/dv/orders", "", map[string]any{
			"domain": "acme.com", "challenge_type": "http-01", "jwk": publicJWK(t, p.key),
		}).ok(&order)
		if order.ID == "" || order.ChallengeType != "http-01" || order.Status != "pending" || order.Challenge.Token == "" {
			t.Errorf("order %+v", order)
		}
		b.send("GET", "/v1/badges/dv/orders/"+order.ID, "", nil).ok(nil)
	})
}

// compatChallenge reads a challenge by the names that published clients know.
func (b *bed) compatChallenge(p *party) *pop.Challenge {
	b.t.Helper()
	var a struct {
		ID        string    `json:"challenge_id"`
		Nonce     string    `json:"nonce"`
		ExpiresAt time.Time `json:"expires_at"`
		Aud       string    `json:"aud"`
		HTU       string    `json:"htu"`
		HTM       string    `json:"htm"`
	}
	must(b.t, json.Unmarshal(b.send("POST", p.path("/badge/challenge"), b.issue, `{}`).ok(nil).body, &a))
	return &pop.Challenge{
		ID: a.ID, Nonce: a.Nonce, Subject: p.did, Audience: a.Aud, HTTPMethod: a.HTM, HTTPURI: a.HTU, ExpiresAt: a.ExpiresAt,
	}
}

package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/touchmark-dev/touchmark/internal/jwk"
)

// An olderClient sends requests byte for byte as the client of capiscio-core
// 2.2.0 does, and reads of the answers what it reads.
type olderClient struct {
	ts             *testscript.TestScript
	origin         string
	account, agent string // key; DID as it stands in the path
}

// older sends a request as published clients do, to $ORIGIN, and writes the badge
// to FILE: older ial0|ial0-all|ial0-bearer|ial1 DID KEY ACCOUNT-KEY FILE, and older
// order DOMAIN KEY, which writes the order to standard output. With `!` it wants
// the request refused as compat_disabled.
func older(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 3 {
		ts.Fatalf("usage: [!] older KIND DID KEY ACCOUNT-KEY FILE")
	}
	c := &olderClient{ts: ts, origin: ts.Getenv("ORIGIN"), agent: args[1]}
	key, err := jwk.ParsePrivate([]byte(ts.ReadFile(args[2])))
	ts.Check(err)
	if args[0] == "order" {
		c.order(neg, key)
		return
	}
	c.account = strings.TrimSpace(ts.ReadFile(args[3]))
	var token string
	switch args[0] {
	case "ial0":
		token = c.badge(neg, "X-Capiscio-Registry-Key", c.account, "{}")
	case "ial0-all":
		token = c.badge(neg, "X-Capiscio-Registry-Key", c.account, `{"audience":["https://mcp.example.com"],"duration":"5m0s","trustLevel":"1"}`)
	case "ial0-bearer":
		token = c.badge(neg, "Authorization", "Bearer "+c.account, "{}")
	case "ial1":
		token = c.possession(neg, key)
	default:
		ts.Fatalf("no such kind %q", args[0])
	}
	if !neg {
		ts.Check(os.WriteFile(ts.MkAbs(args[4]), []byte(token+"\n"), 0o600))
	}
}

// send returns the body of an answer with status 200 or 201, or wants the refusal.
func (c *olderClient) send(refused bool, method, path, body string, header ...string) []byte {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(c.ts.ReadFile("cert.pem")))
	var reader io.Reader
	if body != "" {
		reader = bytes.NewReader([]byte(body))
	}
	req, err := http.NewRequest(method, c.origin+path, reader)
	c.ts.Check(err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("User-Agent", "capiscio-core/2.2.0")
	if len(header) == 2 {
		req.Header.Set(header[0], header[1])
	}
	client := &http.Client{
		Timeout:   time.Minute,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true},
	}
	resp, err := client.Do(req)
	c.ts.Check(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	c.ts.Check(err)
	var e struct{ Error, Message string }
	switch {
	case refused:
		if json.Unmarshal(text, &e) != nil || e.Error != "compat_disabled" || !strings.Contains(e.Message, "allow compat") {
			c.ts.Fatalf("%s %s: status %d: %s", method, path, resp.StatusCode, text)
		}
	case resp.StatusCode != http.StatusOK && (resp.StatusCode != http.StatusCreated || !strings.HasSuffix(path, "/orders")):
		c.ts.Fatalf("%s %s: status %d: %s", method, path, resp.StatusCode, text)
	}
	return text
}

// path is what url.PathEscape makes of the DID, whose colons stay. For assurance 0
// the client sends it as it is, which is the same for a DID without a port.
func (c *olderClient) path(tail string) string { return "/v1/agents/" + url.PathEscape(c.agent) + tail }

func (c *olderClient) badge(refused bool, header, value, body string) string {
	text := c.send(refused, http.MethodPost, c.path("/badge"), body, header, value)
	if refused {
		return ""
	}
	var out struct {
		Success bool `json:"success"`
		Data    struct {
			Token      string    `json:"token"`
			JTI        string    `json:"jti"`
			Subject    string    `json:"subject"`
			TrustLevel string    `json:"trustLevel"`
			ExpiresAt  time.Time `json:"expiresAt"`
		} `json:"data"`
	}
	c.ts.Check(json.Unmarshal(text, &out))
	if d := out.Data; !out.Success || d.JTI == "" || d.Subject != c.agent || d.TrustLevel != "1" || !d.ExpiresAt.After(time.Now()) {
		c.ts.Fatalf("answer %s", text)
	}
	return out.Data.Token
}

// possession asks for a challenge, which is in no form of its own, and sends the
// proof to where there is no endpoint in the documents.
func (c *olderClient) possession(refused bool, key *jwk.Private) string {
	text := c.send(false, http.MethodPost, c.path("/badge/challenge"), `{"badge_aud":["https://mcp.example.com"],"badge_ttl":300}`, "X-Capiscio-Registry-Key", c.account)
	var ch struct {
		ChallengeID string    `json:"challenge_id"`
		Nonce       string    `json:"nonce"`
		ExpiresAt   time.Time `json:"expires_at"`
		Aud         string    `json:"aud"`
		HTU         string    `json:"htu"`
		HTM         string    `json:"htm"`
	}
	c.ts.Check(json.Unmarshal(text, &ch))
	if ch.Aud == "" != refused || ch.ExpiresAt.IsZero() != refused {
		c.ts.Fatalf("challenge %s", text)
	}
	now := time.Now()
	claims := fmt.Sprintf(`{"cid":%q,"nonce":%q,"sub":%q,"aud":%q,"htu":%q,"htm":%q,"iat":%d,"exp":%d,"jti":%q}`,
		ch.ChallengeID, ch.Nonce, c.agent, ch.Aud, ch.HTU, ch.HTM, now.Unix(), now.Add(time.Minute).Unix(), uuid.NewString())
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: key.Key}, &jose.SignerOptions{
		ExtraHeaders: map[jose.HeaderKey]any{"kid": c.agent + "#key-1", "typ": "pop+jwt"},
	})
	c.ts.Check(err)
	signed, err := signer.Sign([]byte(claims))
	c.ts.Check(err)
	proof, err := signed.CompactSerialize()
	c.ts.Check(err)
	text = c.send(refused, http.MethodPost, c.path("/badge/pop"), fmt.Sprintf(`{"challenge_id":%q,"proof_jws":%q}`, ch.ChallengeID, proof))
	if refused {
		return ""
	}
	var out struct {
		Success bool `json:"success"`
		Data    struct {
			Token          string         `json:"token"`
			TrustLevel     string         `json:"trust_level"`
			AssuranceLevel string         `json:"assurance_level"`
			ExpiresAt      time.Time      `json:"expires_at"`
			CNF            map[string]any `json:"cnf"`
		} `json:"data"`
	}
	c.ts.Check(json.Unmarshal(text, &out))
	if d := out.Data; !out.Success || d.TrustLevel != "1" || d.AssuranceLevel != "IAL-1" || d.CNF["kid"] != c.agent+"#key-1" || !d.ExpiresAt.After(now) {
		c.ts.Fatalf("answer %s", text)
	}
	return out.Data.Token
}

// order orders a validation, looks at the order, and has it finalized, which is
// refused for what the domain shows.
func (c *olderClient) order(refused bool, key *jwk.Private) {
	public, err := json.Marshal(&jose.JSONWebKey{Key: key.Key.Public(), Algorithm: string(jose.EdDSA), Use: "sig"})
	c.ts.Check(err)
	body := fmt.Sprintf(`{"challenge_type":"http-01","domain":%q,"jwk":%s}`, c.agent, public)
	text := c.send(refused, http.MethodPost, "/v1/badges/dv/orders", body)
	if refused {
		return
	}
	var o struct {
		ID            string    `json:"id"`
		ChallengeType string    `json:"challenge_type"`
		Status        string    `json:"status"`
		ExpiresAt     time.Time `json:"expires_at"`
		Challenge     struct{ URL, Token string }
	}
	for range 2 {
		c.ts.Check(json.Unmarshal(text, &o))
		if o.ID == "" || o.ChallengeType != "http-01" || o.Status != "pending" || o.Challenge.URL == "" || o.Challenge.Token == "" || o.ExpiresAt.IsZero() {
			c.ts.Fatalf("order %s", text)
		}
		text = c.send(false, http.MethodGet, "/v1/badges/dv/orders/"+o.ID, "")
	}
}

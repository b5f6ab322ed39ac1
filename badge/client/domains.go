package client

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/internal/jwk"
	"github.com/touchmark-dev/touchmark/internal/jws"
	"github.com/touchmark-dev/touchmark/internal/safehttp"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// The ways to show control of a domain.
const (
	ChallengeHTTP01 = "http-01" // a file below the domain's web root
	ChallengeDNS01  = "dns-01"  // a TXT record below the domain
)

const (
	ordersPath     = "/v1/badges/dv/orders"
	minTokenText   = 22
	maxTokenText   = 128
	tokenDigits    = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	challengePath  = "/.well-known/capiscio-challenge/"
	challengeLabel = "_capiscio-challenge."
)

// A DomainsConfig says which authority a [Domains] has domains validated by.
type DomainsConfig struct {
	// Issuer is the origin of the authority. Required.
	Issuer string

	// AccountKey is the account's. Empty is for authorities that take orders
	// from anybody.
	AccountKey AccountKey

	// Keys, if set, knows the authority's keys, and a grant's signature has to
	// verify with one of them. Nil relies on the authority.
	Keys badge.KeySource

	// UnsafeAllowLoopback lets the authority be at a loopback address. It is
	// for development and tests.
	UnsafeAllowLoopback bool

	// RootCAs are the authorities that the server is verified against. Nil
	// means the system's.
	RootCAs *x509.CertPool

	// Timeout bounds one exchange; an authority takes up to 20 s to look at a
	// domain. Zero means a minute.
	Timeout time.Duration

	// Time returns the current time. Nil means time.Now.
	Time func() time.Time
}

// A Domains has domains validated (spec/domain-validation.md): [Domains.Order]
// says what to publish, [Domains.Finalize] has it looked at, and a [Requester]
// with the [Grant] gets badges of level 2. It is safe for concurrent use.
type Domains struct {
	*line
	keys badge.KeySource
}

const domainsTimeout = time.Minute

// NewDomains returns a Domains. It sends nothing.
func NewDomains(cfg *DomainsConfig) (*Domains, error) {
	if cfg == nil {
		return nil, errors.New("badge/client: no DomainsConfig")
	}
	if cfg.Timeout < 0 {
		return nil, fmt.Errorf("badge/client: negative Timeout %v", cfg.Timeout)
	}
	timeout, now := cfg.Timeout, cfg.Time
	setDefault(&timeout, domainsTimeout)
	if now == nil {
		now = time.Now
	}
	l, err := newLine(cfg.Issuer, cfg.AccountKey, &safehttp.Config{
		Policy: safehttp.Policy{UnsafeAllowLoopback: cfg.UnsafeAllowLoopback}, RootCAs: cfg.RootCAs, Timeout: timeout,
	}, now)
	if err != nil {
		return nil, err
	}
	return &Domains{l, cfg.Keys}, nil
}

// A DomainOrder is a domain that is to be validated, and what its owner has to
// publish for that.
type DomainOrder struct {
	ID         string `json:"order_id"`
	Issuer     string `json:"issuer"`
	Domain     string `json:"domain"`
	Type       string `json:"challenge_type"`
	Thumbprint string `json:"agent_key_thumbprint"` // RFC 7638, of the key that the grant will be bound to

	URL     string `json:"url,omitempty"`    // http-01: where Content is to be served, on port 80
	Record  string `json:"record,omitempty"` // dns-01: the name of the TXT record that is to be Content
	Content string `json:"expected_content"`

	ExpiresAt time.Time `json:"expires_at"`
}

// Order orders a validation of a domain, by [ChallengeHTTP01] or
// [ChallengeDNS01], for an Ed25519 key. What it says to publish is made here
// from the authority's token: an authority cannot have anything else published.
func (d *Domains) Order(ctx context.Context, domain, kind string, key crypto.PublicKey) (*DomainOrder, error) {
	public, ok := key.(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("badge/client: grants are bound to Ed25519 keys, not to one of type %T", key)
	}
	if kind != ChallengeHTTP01 && kind != ChallengeDNS01 {
		return nil, fmt.Errorf("badge/client: challenge %q is not known: use %q or %q", kind, ChallengeHTTP01, ChallengeDNS01)
	}
	domain = strings.ToLower(domain)
	thumbprint, err := jwk.Thumbprint(public)
	if err != nil {
		return nil, fmt.Errorf("badge/client: %w", err)
	}
	text, err := jwk.Marshal(public, "")
	if err != nil {
		return nil, fmt.Errorf("badge/client: %w", err)
	}
	answer, err := d.post(ctx, d.issuer+ordersPath, map[string]any{
		"domain": domain, "challenge_type": kind, "agent_public_key_jwk": json.RawMessage(text),
	}, true)
	if err != nil {
		return nil, err
	}
	return d.readOrder(answer, &DomainOrder{Issuer: d.issuer, Domain: domain, Type: kind, Thumbprint: thumbprint})
}

// readOrder completes an order by the answer, which has to be about it.
func (d *Domains) readOrder(answer []byte, o *DomainOrder) (*DomainOrder, error) {
	var a struct {
		ID         string    `json:"order_id"`
		Domain     string    `json:"domain"`
		Thumbprint string    `json:"agent_key_thumbprint"`
		ExpiresAt  time.Time `json:"expires_at"`
		Challenge  struct {
			Type  string `json:"type"`
			Token string `json:"token"`
		} `json:"challenge"`
	}
	if err := strictjson.Unmarshal(answer, &a); err != nil {
		return nil, d.unusable("it is not the JSON that was expected: %v", err)
	}
	token := a.Challenge.Token
	switch {
	case !isCode(a.ID):
		return nil, d.unusable("its order_id is %.100q", a.ID)
	case a.Domain != o.Domain || a.Challenge.Type != o.Type || a.Thumbprint != o.Thumbprint:
		return nil, d.unusable("it is about domain %.100q, challenge %.40q and key %.100q, and not about what was ordered", a.Domain, a.Challenge.Type, a.Thumbprint)
	case !isToken(token):
		return nil, d.unusable("its token is not %d to %d characters of base64url", minTokenText, maxTokenText)
	}
	o.ID, o.Content, o.ExpiresAt = a.ID, token+"."+o.Thumbprint, a.ExpiresAt
	if o.Type == ChallengeHTTP01 {
		o.URL = "http://" + o.Domain + challengePath + token
	} else {
		o.Record = challengeLabel + o.Domain
	}
	return o, nil
}

// isToken reports whether a token can be nothing but a segment of a path.
func isToken(s string) bool {
	return len(s) >= minTokenText && len(s) <= maxTokenText && strings.Trim(s, tokenDigits) == ""
}

// Finalize has the authority look at what the domain shows, and returns the
// grant. While it does not show it, the error is a [*RefusedError] with the code
// CHALLENGE_FAILED, and Finalize may be called again a few times.
func (d *Domains) Finalize(ctx context.Context, o *DomainOrder) (*Grant, error) {
	if o == nil || !isCode(o.ID) {
		return nil, errors.New("badge/client: an order without an ID")
	}
	if o.Issuer != d.issuer {
		return nil, fmt.Errorf("badge/client: the order is one of %q, not of %q", o.Issuer, d.issuer)
	}
	answer, err := d.post(ctx, d.issuer+ordersPath+"/"+o.ID+"/finalize", nil, true)
	if err != nil {
		return nil, err
	}
	var a struct {
		Grant string `json:"grant"`
		ID    string `json:"grant_jti"`
	}
	if err := strictjson.Unmarshal(answer, &a); err != nil {
		return nil, d.unusable("it is not the JSON that was expected: %v", err)
	}
	g, err := ParseGrant(a.Grant)
	if err != nil {
		return nil, d.unusable("%v", err)
	}
	if g.ID != a.ID || g.Issuer != d.issuer || g.Domain != o.Domain || g.Thumbprint != o.Thumbprint || !g.ExpiresAt.After(d.now()) {
		return nil, d.unusable("grant %q is not for what was ordered: of %.200q, for domain %.200q and key %.100q, until %v", g.ID, g.Issuer, g.Domain, g.Thumbprint, g.ExpiresAt)
	}
	return g, d.verify(ctx, g)
}

// verify verifies a grant's signature, if the authority's keys are known.
func (d *Domains) verify(ctx context.Context, g *Grant) error {
	if d.keys == nil {
		return nil
	}
	key, err := keyNamed(ctx, d.keys, d.issuer, g.keyID)
	if err != nil {
		return err
	}
	if key == nil {
		return d.unusable("grant %q is signed with key %.100q, which the authority does not publish", g.ID, g.keyID)
	}
	m, err := jws.ParseMax(g.token, maxGrantBytes)
	if err == nil {
		err = m.Verify(key)
	}
	if err != nil {
		return d.unusable("grant %q: %v", g.ID, err)
	}
	return nil
}

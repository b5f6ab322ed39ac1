package client

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jwk"
	"github.com/touchmark-dev/touchmark/internal/safehttp"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// A RequesterConfig says which badge a [Requester] asks for, and whom.
type RequesterConfig struct {
	// Issuer is the origin of the authority, such as
	// "https://registry.example". Required.
	Issuer string

	// Subject is the agent, a did:web that the account registered. Required.
	Subject did.DID

	// AccountKey is the account's. Required, unless there is a Grant.
	AccountKey AccountKey

	// Grant, if set, is what badges are minted from, in place of an account:
	// of level 2, for its domain, and with the proof of Key. Subject is then a
	// did:web of exactly that domain, whose document has Key.
	Grant *Grant

	// Assurance is how the authority is to tie the key to the agent. Empty
	// means badge.AssurancePossession: the key signs a challenge.
	Assurance badge.Assurance

	// Key is the agent's key. Required with badge.AssurancePossession.
	Key crypto.Signer

	// KeyID is the DID URL of Key in the document of Subject, which a badge of
	// badge.AssurancePossession names. Empty means "#key-1" of Subject, and
	// with a Grant whichever id the key has there.
	KeyID string

	// PublicKey is the key that the badge has to name. Nil means that of Key;
	// one of both is required.
	PublicKey crypto.PublicKey

	// Audience names the verifiers that the badge is for. Empty means any.
	Audience []string

	// TTL is the time from issue to expiry, in whole seconds. Zero leaves it
	// to the authority.
	TTL time.Duration

	// MinLevel is the least level that the badge has to have. Zero means
	// badge.LevelRegistered, which is the least that an authority issues, and
	// with a Grant badge.LevelDomain.
	MinLevel badge.Level

	// Keys, if set, knows the authority's keys, and the badge's signature has
	// to verify with one of them. Nil relies on the verifiers.
	Keys badge.KeySource

	// UnsafeAllowLoopback lets the authority be at a loopback address. It is
	// for development and tests.
	UnsafeAllowLoopback bool

	// RootCAs are the authorities that the server is verified against. Nil
	// means the system's.
	RootCAs *x509.CertPool

	// Timeout bounds one exchange, of which a badge takes one or two. Zero
	// means DefaultTimeout.
	Timeout time.Duration

	// Time returns the current time. Nil means time.Now.
	Time func() time.Time
}

// A Requester asks one authority for badges of one agent. It is safe for
// concurrent use.
type Requester struct {
	*line
	cfg        RequesterConfig
	url        string // of the badge; the challenge's is below it
	thumbprint string // of the key that the badge has to name
}

// NewRequester returns a Requester. It refuses a configuration that could get
// no badge, or one that nobody asked for. It sends nothing.
func NewRequester(cfg *RequesterConfig) (*Requester, error) {
	if cfg == nil {
		return nil, errors.New("badge/client: no RequesterConfig")
	}
	r := &Requester{cfg: *cfg}
	if err := r.complete(); err != nil {
		return nil, err
	}
	var err error
	if r.line, err = newLine(cfg.Issuer, cfg.AccountKey, &safehttp.Config{
		Policy: safehttp.Policy{UnsafeAllowLoopback: cfg.UnsafeAllowLoopback}, RootCAs: cfg.RootCAs, Timeout: r.cfg.Timeout,
	}, r.cfg.Time); err != nil {
		return nil, err
	}
	// QueryEscape, because PathEscape leaves colons as they are.
	r.url = cfg.Issuer + "/v1/agents/" + url.QueryEscape(cfg.Subject.String()) + "/badge"
	return r, nil
}

func (r *Requester) complete() error {
	c := &r.cfg
	setDefault(&c.Timeout, DefaultTimeout)
	if c.Assurance == "" {
		c.Assurance = badge.AssurancePossession
	}
	if c.MinLevel == badge.LevelNone {
		c.MinLevel = badge.LevelRegistered
		if c.Grant != nil {
			c.MinLevel = badge.LevelDomain
		}
	}
	if c.Time == nil {
		c.Time = time.Now
	}
	switch {
	case c.Subject.Method() != did.MethodWeb:
		return fmt.Errorf("badge/client: Subject %q is not a did:web", c.Subject)
	case (c.AccountKey.text == "") == (c.Grant == nil):
		return errors.New("badge/client: want AccountKey or Grant, and not both")
	case c.TTL != 0 && (c.TTL < badge.MinTTL || c.TTL > badge.MaxTTL || c.TTL%time.Second != 0):
		return fmt.Errorf("badge/client: TTL %v is not whole seconds from %v to %v", c.TTL, badge.MinTTL, badge.MaxTTL)
	case c.MinLevel < badge.LevelRegistered || c.MinLevel > badge.LevelExtended:
		return fmt.Errorf("badge/client: an authority issues no badge of level %v", c.MinLevel)
	case c.Timeout < 0:
		return fmt.Errorf("badge/client: negative Timeout %v", c.Timeout)
	}
	if err := checkAudience(c.Audience); err != nil {
		return err
	}
	switch c.Assurance {
	case badge.AssuranceAccount:
	case badge.AssurancePossession:
		if err := c.completePossession(); err != nil {
			return err
		}
	default:
		return fmt.Errorf("badge/client: Assurance %q is not known: use %q or %q", c.Assurance, badge.AssuranceAccount, badge.AssurancePossession)
	}
	return r.completeKey()
}

func (c *RequesterConfig) completePossession() error {
	if c.Key == nil {
		return errors.New("badge/client: a proof of possession takes Key: set it, or Assurance to badge.AssuranceAccount")
	}
	switch {
	case c.KeyID == "" && c.Grant != nil:
		return nil
	case c.KeyID == "":
		c.KeyID = c.Subject.String() + "#key-1"
	}
	if id, err := did.ParseURL(c.KeyID); err != nil || id.DID != c.Subject || id.Fragment == "" {
		return fmt.Errorf("badge/client: KeyID %.200q is not a DID URL of %q", c.KeyID, c.Subject)
	}
	return nil
}

func (r *Requester) completeKey() error {
	c := &r.cfg
	var own string
	if c.Key != nil {
		var err error
		if own, err = jwk.Thumbprint(c.Key.Public()); err != nil {
			return fmt.Errorf("badge/client: Key: %w", err)
		}
		r.thumbprint = own
	}
	if c.PublicKey != nil {
		var err error
		if r.thumbprint, err = jwk.Thumbprint(c.PublicKey); err != nil {
			return fmt.Errorf("badge/client: PublicKey: %w", err)
		}
	}
	switch {
	case r.thumbprint == "":
		return errors.New("badge/client: no Key and no PublicKey: which key is the badge to name?")
	case own != "" && own != r.thumbprint:
		return errors.New("badge/client: PublicKey is not that of Key")
	}
	return c.checkGrant(r.thumbprint)
}

func checkAudience(audience []string) error {
	seen := make(map[string]bool)
	for _, name := range audience {
		if name == "" || seen[name] {
			return fmt.Errorf("badge/client: Audience has an empty name, or %q twice", name)
		}
		seen[name] = true
	}
	return nil
}

type challengeRequest struct {
	TTL      int64    `json:"badge_ttl,omitempty"`
	Audience []string `json:"badge_aud,omitempty"`
}

type badgeRequest struct {
	Mode      string `json:"mode"`
	Challenge string `json:"challenge_id,omitempty"`
	Proof     string `json:"proof_jws,omitempty"`
	challengeRequest
}

// Request asks for a badge. The error is a [*RefusedError] when the authority
// refused, an [*AnswerError] when its answer cannot be used, and another one
// when it could not be reached.
func (r *Requester) Request(ctx context.Context) (*Issued, error) {
	if r.cfg.Grant != nil {
		return r.mint(ctx)
	}
	asked := r.cfg.Time()
	wanted := challengeRequest{TTL: int64(r.cfg.TTL / time.Second), Audience: r.cfg.Audience}
	body := badgeRequest{Mode: "ial0", challengeRequest: wanted}
	possession := r.cfg.Assurance == badge.AssurancePossession
	if possession {
		c, err := r.challenge(ctx, &wanted)
		if err != nil {
			return nil, err
		}
		asked = r.cfg.Time()
		proof, err := pop.SignIssuance(r.cfg.Key, r.cfg.KeyID, c, asked)
		if err != nil {
			return nil, fmt.Errorf("badge/client: %w", err)
		}
		body = badgeRequest{Mode: "ial1", Challenge: c.ID, Proof: proof}
	}
	answer, err := r.post(ctx, r.url, &body, !possession)
	if err != nil {
		return nil, err
	}
	return r.read(ctx, answer, body.Challenge, asked)
}

// challenge asks for a challenge. One of another authority, which this one may
// have fetched to have it signed, is refused.
func (r *Requester) challenge(ctx context.Context, wanted *challengeRequest) (*pop.Challenge, error) {
	answer, err := r.post(ctx, r.url+"/challenge", wanted, true)
	if err != nil {
		return nil, err
	}
	c, err := pop.ParseChallenge(answer, r.cfg.Issuer, r.cfg.Subject)
	if err != nil {
		return nil, &AnswerError{Issuer: r.cfg.Issuer, Status: http.StatusOK, Reason: err.Error()}
	}
	return c, nil
}

// read reads the answer with the badge.
func (r *Requester) read(ctx context.Context, answer []byte, challenge string, asked time.Time) (*Issued, error) {
	var a struct {
		Badge string `json:"badge"`
		ID    string `json:"jti"`
	}
	if err := strictjson.Unmarshal(answer, &a); err != nil {
		return nil, r.unusable("it is not the JSON that was expected: %v", err)
	}
	b, err := r.check(a.Badge, challenge, asked)
	if err != nil {
		return nil, err
	}
	if a.ID != b.ID {
		return nil, r.unusable("its jti is %.100q, and that of the badge %q", a.ID, b.ID)
	}
	if err := r.verify(ctx, a.Badge); err != nil {
		return nil, err
	}
	return b, nil
}

package serververify

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jws"
)

// How often an identity signs, unless its configuration says otherwise.
const (
	DefaultSignsPerSecond = 50
	DefaultSignBurst      = 100
)

// A BadgeSource returns a server's current badge. It is asked for every
// disclosure, so it answers from memory.
type BadgeSource func(ctx context.Context) (string, error)

// StaticBadge is the source of one badge that is never renewed.
func StaticBadge(token string) BadgeSource {
	return func(context.Context) (string, error) { return token, nil }
}

// An IdentityConfig describes a server's identity. The zero value is refused.
type IdentityConfig struct {
	// DID is who the server is. Required.
	DID did.DID

	// Badge is where the server's badge comes from; its subject is DID, and its
	// key the public key of Signer. Required.
	Badge BadgeSource

	// Signer is the server's key, Ed25519 or P-256. Required.
	Signer crypto.Signer

	// KeyID is the DID URL of Signer's verification method. Empty means the
	// method of a did:key, and for a did:web the fragment that
	// [did.NewDocument] gives a key by default, its thumbprint.
	KeyID string

	// Origins are the origins under which clients reach the server, such as
	// "https://mcp.example.com", or "unix:/run/mcp/files.sock". Proofs over HTTP
	// are made for these only.
	Origins []string

	// ProxySPKI is set where a proxy ends TLS: the SHA-256 of the public key
	// (SubjectPublicKeyInfo) of the proxy's certificate, of two while it changes.
	// Challenges that come without TLS for an https origin are then answered
	// with the weaker BindingSPKI. Let nobody but the proxy reach the server.
	ProxySPKI [][32]byte

	// Stdio answers challenges of the process that launched the server. It
	// excludes Origins: an answer over stdio is bound to no channel, so that a
	// server on a network must never give one.
	Stdio bool

	// Launch is the secret of this process's own launch, from [LaunchSecret]:
	// proofs over stdio are bound to it. The zero Launch binds them to nothing.
	Launch Launch

	// UnsafeAnswerPublishedProof answers published challenges, which have the
	// key sign 32 bytes of the client's choosing and nothing else. Anybody can
	// relay the answer. It is for clients that know no other proof; have a key
	// for it that nothing else verifies.
	UnsafeAnswerPublishedProof bool

	// SignsPerSecond and SignBurst bound how often the key signs. Zero means
	// DefaultSignsPerSecond and DefaultSignBurst.
	SignsPerSecond float64
	SignBurst      int

	// UnsafeAllowPlainHTTP answers challenges that come without TLS, with a
	// proof that anybody can relay. It is for development.
	UnsafeAllowPlainHTTP bool

	// OnError is told why a disclosure is incomplete: a badge that cannot be
	// had, a signature that fails. Nil means that nobody is told.
	OnError func(error)

	// Time is the clock; nil means time.Now.
	Time func() time.Time
}

// An Identity is a server's own identity: what it discloses, and the key with
// which it answers challenges. It is safe for concurrent use.
type Identity struct {
	cfg     IdentityConfig
	limiter *rate.Limiter

	mu      sync.RWMutex
	rotated *credential // what took the place of that in cfg, or nil
}

// NewIdentity returns an Identity. It refuses a configuration that could prove
// nothing.
func NewIdentity(cfg *IdentityConfig) (*Identity, error) {
	if cfg == nil {
		return nil, errors.New("serververify: no IdentityConfig")
	}
	c := *cfg
	switch {
	case c.DID.IsZero():
		return nil, errors.New("serververify: an identity without a DID")
	case c.Badge == nil:
		return nil, fmt.Errorf("serververify: identity %q has no Badge", c.DID)
	case c.Signer == nil:
		return nil, fmt.Errorf("serververify: identity %q has no Signer", c.DID)
	case len(c.Origins) == 0 && !c.Stdio:
		return nil, fmt.Errorf("serververify: identity %q has neither Origins nor Stdio to answer on", c.DID)
	case len(c.Origins) > 0 && c.Stdio:
		return nil, fmt.Errorf("serververify: identity %q has both Origins and Stdio: make one identity for each", c.DID)
	case !c.Launch.IsZero() && !c.Stdio:
		return nil, fmt.Errorf("serververify: identity %q has a Launch secret and no Stdio to answer on", c.DID)
	case c.SignsPerSecond < 0 || c.SignBurst < 0:
		return nil, errors.New("serververify: negative SignsPerSecond or SignBurst")
	}
	if _, err := jws.AlgorithmOf(c.Signer.Public()); err != nil {
		return nil, fmt.Errorf("serververify: identity %q: %w", c.DID, err)
	}
	if err := c.setKeyID(); err != nil {
		return nil, err
	}
	if err := c.setOrigins(); err != nil {
		return nil, err
	}
	if c.SignsPerSecond == 0 {
		c.SignsPerSecond = DefaultSignsPerSecond
	}
	if c.SignBurst == 0 {
		c.SignBurst = DefaultSignBurst
	}
	if c.Time == nil {
		c.Time = time.Now
	}
	if c.OnError == nil {
		c.OnError = func(error) {}
	}
	return &Identity{cfg: c, limiter: rate.NewLimiter(rate.Limit(c.SignsPerSecond), c.SignBurst)}, nil
}

// setKeyID completes the key id and holds it to the DID; did.NewDocument makes
// the same default.
func (c *IdentityConfig) setKeyID() error {
	if c.KeyID == "" {
		doc, err := did.NewDocument(c.DID, did.DocumentKey{Key: c.Signer.Public()})
		if err != nil {
			return fmt.Errorf("serververify: Signer is no key of %q: %w", c.DID, err)
		}
		c.KeyID = doc.Methods[0].ID.String()
	}
	u, err := did.ParseURL(c.KeyID)
	if err != nil {
		return fmt.Errorf("serververify: KeyID: %w", err)
	}
	if u.DID != c.DID {
		return fmt.Errorf("serververify: KeyID %q is not of %q", c.KeyID, c.DID)
	}
	return nil
}

func (c *IdentityConfig) setOrigins() error {
	c.Origins = slices.Clone(c.Origins)
	for i, text := range c.Origins {
		o, err := parseOrigin(text)
		if err != nil {
			return fmt.Errorf("serververify: origin %q: %w", text, err)
		}
		if o.scheme == "http" && !c.UnsafeAllowPlainHTTP {
			return fmt.Errorf("serververify: origin %q is not https", text)
		}
		c.Origins[i] = o.String()
	}
	if len(c.ProxySPKI) == 0 {
		return nil
	}
	c.ProxySPKI = slices.Clone(c.ProxySPKI)
	switch {
	case slices.Contains(c.ProxySPKI, [32]byte{}):
		return errors.New("serververify: a ProxySPKI that is no hash")
	case c.UnsafeAllowPlainHTTP:
		return errors.New("serververify: both ProxySPKI and UnsafeAllowPlainHTTP: a challenge without TLS would have two answers")
	case !slices.ContainsFunc(c.Origins, func(o string) bool { return strings.HasPrefix(o, "https:") }):
		return errors.New("serververify: ProxySPKI without an https origin that the proxy has")
	}
	return nil
}

// DID returns who the server is.
func (i *Identity) DID() did.DID { return i.cfg.DID }

// A Disclosure is what a server says about itself, in the text that goes over
// the wire. Nothing in it is verified.
type Disclosure struct {
	DID   string
	Badge string // "" when there is none
	Proof string // "" when there was no challenge, or it was not answered

	// Published is the answer to the published challenge with the same nonce,
	// "" for none. [Verifier] reads it under CheckPublishedProof; an [Identity]
	// answers with [Identity.SignPublished].
	Published string

	by *credential // whose badge it is; nil in what a client reads
}

// Disclose returns the server's DID and its current badge. When the badge
// cannot be had it is left out, and OnError is told.
func (i *Identity) Disclose(ctx context.Context) Disclosure {
	d := Disclosure{DID: i.cfg.DID.String(), by: i.credential()}
	token, err := d.by.badge(ctx)
	if err != nil {
		i.cfg.OnError(fmt.Errorf("serververify: no badge for %q: %w", i.cfg.DID, err))
		return d
	}
	d.Badge = token
	return d
}

// Handler wraps a server's handler: it names the server in the header of every
// response, serves the discovery document, and there answers the challenge of
// a client that sends one (spec/server-identity.md section 6). Discovery needs
// no credentials: put Handler outside of whatever asks for them.
func (i *Identity) Handler(next http.Handler) http.Handler {
	return &handler{identity: i, next: next}
}

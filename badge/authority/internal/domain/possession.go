package domain

import (
	"context"
	"crypto/ed25519"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"

	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jwk"
	"github.com/touchmark-dev/touchmark/internal/jws"
)

const (
	defaultSkew = 60 * time.Second // as of the other proofs of RFC-003
	maxSkew     = defaultSkew
	minRetained = 120 * time.Second // RFC-002 section 7.2.5, step 14
)

// CheckSubject returns the DID that a badge is asked for, if it belongs to the domain of a grant: a did:web of
// exactly that host, without a port. The error is an *[Error] with DID_DOMAIN_MISMATCH.
func CheckSubject(subject, domain string) (did.DID, error) {
	d, err := did.Parse(subject)
	if err != nil {
		return did.DID{}, refuse(CodeSubjectMismatch, "%v", err).because(err)
	}
	if !isAnchored(d, domain) {
		return did.DID{}, refuse(CodeSubjectMismatch, "%.200q is not a did:web of the domain %q", subject, domain)
	}
	return d, nil
}

func isAnchored(d did.DID, domain string) bool {
	origin, err := d.Origin()
	return err == nil && domain != "" && origin == "https://"+domain
}

// A ProofConfig configures a [ProofVerifier].
type ProofConfig struct {
	Resolver did.Resolver    // required
	Replay   pop.ReplayStore // remembers proofs that were used; required, and shared by all nodes

	// Started is when Replay began to remember: a proof signed before that, minus Skew, is refused. Zero
	// stands for the time of NewProofVerifier.
	Started time.Time

	// Skew is how far the clocks of callers may be off, at most 60 s; 0 stands for 60 s, anything negative
	// for no tolerance.
	Skew time.Duration

	Time func() time.Time // nil stands for time.Now
}

// A ProofVerifier checks that a caller has the key of a grant. It may be used by several goroutines.
type ProofVerifier struct {
	resolver did.Resolver
	replay   pop.ReplayStore
	started  int64 // Unix seconds
	skew     int64 // seconds
	now      func() time.Time
}

// NewProofVerifier refuses a configuration without resolver or replay store.
func NewProofVerifier(cfg *ProofConfig) (*ProofVerifier, error) {
	if cfg == nil || cfg.Resolver == nil || cfg.Replay == nil {
		return nil, errors.New("domain validation: ProofConfig needs a Resolver and a Replay store")
	}
	if cfg.Skew > maxSkew {
		return nil, fmt.Errorf("domain validation: a skew of %v: want at most %v", cfg.Skew, maxSkew)
	}
	skew := cfg.Skew
	if skew == 0 {
		skew = defaultSkew
	}
	v := &ProofVerifier{
		resolver: cfg.Resolver,
		replay:   cfg.Replay,
		skew:     max(0, int64(skew/time.Second)),
		now:      cfg.Time,
	}
	if v.now == nil {
		v.now = time.Now
	}
	started := cfg.Started
	if started.IsZero() {
		started = v.now()
	}
	v.started = started.Unix()
	return v, nil
}

// A Request is a proof and what it is compared with. All but Proof is what the authority knows itself.
type Request struct {
	Proof  string
	Method string // of the HTTP request that is served
	URI    string // of a [pop.GrantRequest]: not the URL as it came in

	Domain     string // of the grant
	Thumbprint string // of the grant: cnf.jkt

	// Subject is set for minting alone: the DID that [CheckSubject] returned. The key is then one of its
	// document. Zero stands for a request about the grant itself, where kid says whose key it is.
	Subject did.DID
}

// A Possession says who had the key of a grant, and when: only [ProofVerifier.Verify] makes one that says
// anything.
type Possession struct {
	claims  proofClaims
	keyID   did.URL
	key     ed25519.PublicKey
	subject did.DID
}

// ID returns the claim jti of the proof.
func (p *Possession) ID() string { return p.claims.ID }

// Subject returns the DID whose key it is.
func (p *Possession) Subject() did.DID { return p.subject }

// KeyID returns the verification method that the key was found in: for minting, the badge's cnf.kid.
func (p *Possession) KeyID() did.URL { return p.keyID }

// Key returns the key, whose thumbprint is the grant's.
func (p *Possession) Key() ed25519.PublicKey { return p.key }

// IssuedAt returns the claim iat of the proof.
func (p *Possession) IssuedAt() time.Time { return time.Unix(p.claims.IssuedAt, 0).UTC() }

// Verify checks a proof by the steps of spec/domain-validation.md section 6.3, in their order, and uses it up.
// An *[Error] says that it was refused or, with Undetermined set, that the DID document could not be had; any
// other error, that the replay store could not tell. There is a Possession only with a nil error.
func (v *ProofVerifier) Verify(ctx context.Context, r *Request) (*Possession, error) {
	if r.Method == "" || r.URI == "" || r.Domain == "" || !isThumbprint(r.Thumbprint) {
		return nil, errors.New("domain validation: internal error: a request without its URI or its grant")
	}
	m, c, err := parseProof(r.Proof)
	if err != nil {
		return nil, err
	}
	if err := v.judge(c, r); err != nil {
		return nil, err
	}
	p := &Possession{claims: *c}
	if err := v.find(ctx, p, m, r); err != nil {
		return nil, err
	}
	thumbprint, err := jwk.Thumbprint(p.key)
	if err != nil {
		return nil, fmt.Errorf("domain validation: %w", err)
	}
	if subtle.ConstantTimeCompare([]byte(thumbprint), []byte(r.Thumbprint)) != 1 {
		return nil, refuse(CodeKeyMismatch, "the key of %q is not the key of the grant", p.keyID)
	}
	if err := v.use(ctx, p, thumbprint); err != nil {
		return nil, err
	}
	return p, nil
}

// judge compares the claims with the request and the clock.
func (v *ProofVerifier) judge(c *proofClaims, r *Request) error {
	now := v.now().Unix()
	switch {
	case c.Audience != r.URI:
		return refuseClaim(CodeProofTargetMismatch, "aud", "%.200q, this is %.200q", c.Audience, r.URI)
	case c.URI != r.URI:
		return refuseClaim(CodeProofTargetMismatch, "htu", "%.200q, this is %.200q", c.URI, r.URI)
	case c.Method != r.Method:
		return refuseClaim(CodeProofTargetMismatch, "htm", "%.40q, this is %.40q", c.Method, r.Method)
	case c.IssuedAt > now+v.skew:
		return refuseClaim(CodeProofNotYetValid, "iat", "signed %d s from now: set the caller's clock", c.IssuedAt-now)
	case now >= c.Expires+v.skew:
		return refuseClaim(CodeProofExpired, "exp", "expired %d s ago: sign each request when it is sent", now-c.Expires)
	case c.IssuedAt < v.started-v.skew:
		return refuseClaim(CodeProofExpired, "iat", "signed before this authority began to remember proofs: sign again")
	}
	return nil
}

// find verifies the signature and fills in whose key made it.
func (v *ProofVerifier) find(ctx context.Context, p *Possession, m *jws.Message, r *Request) error {
	keyID, err := did.ParseURL(m.Kid)
	p.subject = r.Subject
	if r.Subject.IsZero() {
		if err != nil {
			return refuse(CodeProofKeyInvalid, "header member kid is not a DID URL: %v", err).because(err)
		}
		if p.subject = keyID.DID; p.subject.Method() != did.MethodKey && !isAnchored(p.subject, r.Domain) {
			return refuse(CodeProofKeyInvalid, "kid is neither a did:key nor a did:web of %q", r.Domain)
		}
	}
	if p.claims.Subject != p.subject.String() {
		return refuseClaim(CodeProofSubjectMismatch, "sub", "%.200q, the key is asked of %q", p.claims.Subject, p.subject)
	}
	doc, err := v.document(ctx, p.subject)
	if err != nil {
		return err
	}
	if r.Subject.IsZero() {
		return p.named(m, doc, keyID)
	}
	return p.scan(m, doc, keyID)
}

func (v *ProofVerifier) document(ctx context.Context, d did.DID) (*did.Document, error) {
	doc, err := v.resolver.Resolve(ctx, d)
	if refused, ok := errors.AsType[*did.DocumentError](err); ok {
		return nil, refuse(CodeProofDocumentInvalid, "%v", refused).because(err)
	}
	if err != nil {
		return nil, undetermined(CodeProofResolution, err, "%v", err)
	}
	if doc == nil || doc.ID != d {
		return nil, refuse(CodeProofDocumentInvalid, "the resolver answered with the document of another DID")
	}
	return doc, nil
}

// named verifies with the one key that the header names.
func (p *Possession) named(m *jws.Message, doc *did.Document, id did.URL) error {
	method, ok := doc.Method(id)
	key, isEd25519 := method.Key.(ed25519.PublicKey)
	switch {
	case !ok || !isEd25519 || !doc.MayAuthenticate(id):
		return refuse(CodeProofKeyInvalid, "the document has no Ed25519 key %q under authentication", id)
	case m.Verify(key) != nil:
		return refuse(CodeProofSignatureInvalid, "not signed by %q", id)
	}
	p.keyID, p.key = id, key
	return nil
}

// scan verifies with the key that the header names, and else with each key of the document: RFC-002 section
// 7.2.5, phase 5. Of several that verify, which are then the same key, the one with the smallest id counts.
func (p *Possession) scan(m *jws.Message, doc *did.Document, id did.URL) error {
	if p.named(m, doc, id) == nil {
		return nil
	}
	for _, method := range doc.Methods {
		key, ok := method.Key.(ed25519.PublicKey)
		if !ok || !doc.MayAuthenticate(method.ID) || m.Verify(key) != nil {
			continue
		}
		if p.key == nil || method.ID.String() < p.keyID.String() {
			p.keyID, p.key = method.ID, key
		}
	}
	if p.key == nil {
		return refuse(CodeProofSignatureInvalid, "signed by no Ed25519 key that %q has under authentication", doc.ID)
	}
	return nil
}

// use is the last step: what fails before it leaves no trace, and so cannot fill the store.
func (v *ProofVerifier) use(ctx context.Context, p *Possession, thumbprint string) error {
	key := pop.ReplayKey{KeyThumbprint: thumbprint, HopID: p.claims.ID, Subject: p.subject}
	until := max(p.claims.Expires+v.skew, v.now().Add(minRetained).Unix())
	switch err := v.replay.Use(ctx, key, time.Unix(until, 0)); {
	case err == nil:
		return nil
	case errors.Is(err, pop.ErrReplayed):
		return refuseClaim(CodeProofReplayed, "jti", "the proof was used before: sign each request anew").because(err)
	case errors.Is(err, pop.ErrFull):
		return refuse(CodeProofReplayStoreFull, "too many proofs in flight to remember one more").because(err)
	default:
		return fmt.Errorf("domain validation: replay store: %w", err)
	}
}

package badge

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/touchmark-dev/touchmark/did"
)

const (
	// MaxSkew is how far the clocks of issuer and verifier may be apart (spec/badge.md, "Lifetimes").
	MaxSkew = 60 * time.Second
	// MaxStatusAge is how old an answer about the status of a badge may be.
	MaxStatusAge = 300 * time.Second
	// DefaultCacheEntries is the size of the cache of a [Verifier] that is not given one.
	DefaultCacheEntries = 4096

	// maxKeyTries bounds the signatures computed for a badge that does not name its key.
	maxKeyTries = 5
)

// A Config says whom a [Verifier] trusts and what it asks for. The zero Config trusts nobody and is refused.
type Config struct {
	// Issuers are the https origins whose badges of levels 1 to 4 are accepted, such as
	// "https://registry.example". No keys of any other issuer are ever asked for.
	Issuers []string

	// SelfSigned are the did:key identities whose own badges of level 0 are accepted.
	SelfSigned []did.DID

	// Keys knows the issuers' keys. Required with Issuers or CompatIssuers.
	Keys KeySource

	// Resolver finds the documents of subjects of badges with ial "1". Without it those badges are
	// undetermined.
	Resolver did.Resolver

	// Status knows which badges were revoked. Required with Issuers or CompatIssuers, unless UnsafeNoStatus
	// or AllowLevel1WithoutStatus says otherwise.
	Status StatusSource

	// UnsafeNoStatus accepts badges without asking whether they were revoked. It excludes Status.
	UnsafeNoStatus bool

	// AllowLevel1WithoutStatus accepts badges of level 1 whose status could not be learned.
	AllowLevel1WithoutStatus bool

	// Audience are the names by which this verifier is addressed. A badge with a claim aud must have one of
	// them in it; with no Audience such badges are refused.
	Audience []string

	// AllowES256 are those among Issuers and CompatIssuers whose badges may be signed with P-256.
	AllowES256 []string

	// Compat reads what published issuers emit against their own documents (spec/badge.md, "Compat profile").
	Compat bool

	// CompatIssuers are issuers named by a did:web instead of an origin. They need Compat.
	CompatIssuers []did.DID

	// Skew is how far clocks may be apart. Zero means [MaxSkew], which is also the most; negative means none.
	Skew time.Duration

	// CacheEntries bounds the cache of verified signatures. Zero means [DefaultCacheEntries], negative none.
	CacheEntries int

	// Time is the clock; nil means time.Now.
	Time func() time.Time
}

// A Verifier checks badges. Make it with [NewVerifier]; it is safe for concurrent use.
type Verifier struct {
	keys     KeySource
	resolver did.Resolver
	status   StatusSource

	noStatus       bool
	level1NoStatus bool
	audience       []string
	compat         bool
	skew           int64 // seconds
	now            func() time.Time
	cache          *cache

	mu      sync.RWMutex
	issuers map[string]issuerRule // by the claim iss, self-signed ones too
}

// An issuerRule says what is accepted from one issuer.
type issuerRule struct {
	selfSigned bool
	es256      bool
}

// NewVerifier makes a Verifier. It refuses a Config that can accept no badge, or that contradicts itself.
func NewVerifier(cfg *Config) (*Verifier, error) {
	if cfg == nil {
		return nil, errors.New("badge: no Config")
	}
	v := &Verifier{
		keys: cfg.Keys, resolver: cfg.Resolver, status: cfg.Status,
		noStatus: cfg.UnsafeNoStatus, level1NoStatus: cfg.AllowLevel1WithoutStatus,
		audience: slices.Clone(cfg.Audience), compat: cfg.Compat,
		now: cfg.Time, issuers: make(map[string]issuerRule),
	}
	if v.now == nil {
		v.now = time.Now
	}
	if slices.Contains(v.audience, "") {
		return nil, errors.New("badge: an Audience is empty: name the verifier or leave it out")
	}
	if err := v.setSkew(cfg.Skew); err != nil {
		return nil, err
	}
	if err := v.setIssuers(cfg); err != nil {
		return nil, err
	}
	if err := checkSources(cfg); err != nil {
		return nil, err
	}
	v.cache = newCache(cfg.CacheEntries)
	return v, nil
}

func (v *Verifier) setSkew(skew time.Duration) error {
	switch {
	case skew > MaxSkew:
		return fmt.Errorf("badge: Skew %v is more than %v", skew, MaxSkew)
	case skew == 0:
		skew = MaxSkew
	case skew < 0:
		skew = 0
	}
	v.skew = int64(skew / time.Second)
	return nil
}

func (v *Verifier) setIssuers(cfg *Config) error {
	for _, issuer := range cfg.Issuers {
		if reason := checkOrigin(issuer); reason != "" {
			return fmt.Errorf("badge: issuer %q: %s", issuer, reason)
		}
		v.issuers[issuer] = issuerRule{}
	}
	for _, d := range cfg.CompatIssuers {
		if !cfg.Compat {
			return fmt.Errorf("badge: CompatIssuers names %q, but Compat is not set", d)
		}
		if d.Method() != did.MethodWeb {
			return fmt.Errorf("badge: CompatIssuers names %q, which is not a did:web", d)
		}
		v.issuers[d.String()] = issuerRule{}
	}
	for _, issuer := range cfg.AllowES256 {
		if _, ok := v.issuers[issuer]; !ok {
			return fmt.Errorf("badge: AllowES256 names %q, which is not among the issuers", issuer)
		}
		v.issuers[issuer] = issuerRule{es256: true}
	}
	for _, d := range cfg.SelfSigned {
		if d.Method() != did.MethodKey {
			return fmt.Errorf("badge: SelfSigned names %q, which is not a did:key", d)
		}
		v.issuers[d.String()] = issuerRule{selfSigned: true}
	}
	if len(v.issuers) == 0 {
		return errors.New("badge: Config trusts nobody: name Issuers or SelfSigned")
	}
	return nil
}

func checkSources(cfg *Config) error {
	if len(cfg.Issuers)+len(cfg.CompatIssuers) == 0 {
		return nil
	}
	switch {
	case cfg.Keys == nil:
		return errors.New("badge: Config has issuers and no Keys to check their signatures with")
	case cfg.Status != nil && cfg.UnsafeNoStatus:
		return errors.New("badge: Config has both Status and UnsafeNoStatus: decide for one")
	case cfg.Status == nil && !cfg.UnsafeNoStatus && !cfg.AllowLevel1WithoutStatus:
		return errors.New("badge: Config has issuers and no Status: their badges could never be accepted")
	}
	return nil
}

// rule returns what is accepted from an issuer now.
func (v *Verifier) rule(issuer string) (issuerRule, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	rule, ok := v.issuers[issuer]
	return rule, ok
}

// RemoveIssuer stops trusting an issuer: an origin, a did:web of the compat profile, or the did:key of a
// self-signed badge. It forgets what was verified with its keys, and takes effect for every Verify that
// begins after it returns.
func (v *Verifier) RemoveIssuer(issuer string) {
	v.mu.Lock()
	delete(v.issuers, issuer)
	v.mu.Unlock()
	v.cache.remove(func(e *entry) bool { return e.badge.issuer == issuer })
}

// ForgetKey forgets what was verified with one key of an issuer. That a key is no longer in the issuer's set
// is noticed without it: it frees the memory, and makes the next use verify the signature again.
func (v *Verifier) ForgetKey(issuer, keyID string) {
	v.cache.remove(func(e *entry) bool { return e.badge.issuer == issuer && e.badge.issuerKeyID == keyID })
}

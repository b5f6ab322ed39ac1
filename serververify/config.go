package serververify

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/safehttp"
)

// Defaults and limits.
const (
	DefaultTimeout = 10 * time.Second // of one verification
	DefaultMaxAge  = 5 * time.Minute  // of the verification of a connection
	MaxSkew        = 60 * time.Second
	ProofLifetime  = 60 * time.Second // of a possession proof, at most

	maxServers = 1024 // that a Verifier keeps for Verifier.Client
)

// A Config says which servers are trusted. The zero Config is refused.
type Config struct {
	// Badges verifies the servers' badges: it holds the trusted issuers.
	// Required.
	Badges *badge.Verifier

	// Resolver finds the servers' DID documents. Required.
	Resolver did.Resolver

	// MinLevel is the lowest level of badge that is enough. Required: write
	// badge.LevelSelfSigned for any.
	MinLevel badge.Level

	// Bindings are those that are enough. Empty means BindingTLS, BindingUnix,
	// BindingLaunch and BindingStdio. The weaker BindingSPKI has to be written
	// out; BindingNone never verifies anybody and is refused.
	Bindings []Binding

	// Admit is asked, in this order, after everything else held and before
	// anything is sent.
	Admit []Admission

	// UnixPeers are the user ids that a server on a unix socket may have. Empty
	// means this process's own.
	UnixPeers []uint32

	// CheckPublishedProof looks at the published proof of possession, which
	// anybody can relay, and reports what it is. No state depends on it.
	CheckPublishedProof bool

	// RootCAs are the authorities that TLS servers are verified against, the
	// system's when nil.
	RootCAs *x509.CertPool

	// AllowPorts are ports to connect to beside 443.
	AllowPorts []uint16

	// UnsafeAllowLoopback connects to loopback addresses, on any port. It is
	// for development and tests.
	UnsafeAllowLoopback bool

	// UnsafeAllowPlainHTTP accepts http endpoints on loopback addresses. There
	// is no channel to bind a proof to, so that whoever is between can relay
	// it: what holds otherwise is reported as StateDeclared, with a nil error.
	// It needs UnsafeAllowLoopback.
	UnsafeAllowPlainHTTP bool

	// Timeout bounds one verification, from the look-up of the host to the
	// verdict. Zero means DefaultTimeout.
	Timeout time.Duration

	// MaxAge is how long one verification is relied on, that of a connection or
	// of a process; it ends earlier when the badge does. Zero means
	// DefaultMaxAge.
	MaxAge time.Duration

	// Skew is how far the clocks of client and server may be apart. Zero means
	// MaxSkew, which is also the most; negative means none.
	Skew time.Duration

	// Time is the clock; nil means time.Now.
	Time func() time.Time

	testOnlyLookup func(ctx context.Context, host string) ([]netip.Addr, error)
	testOnlyMaxTLS uint16
}

// A Verifier verifies servers. It is safe for concurrent use.
type Verifier struct {
	cfg       Config
	dialer    *safehttp.Dialer
	transport *http.Transport

	mu      sync.Mutex // guards what follows
	targets map[scope]*target
	order   []scope // of targets, oldest first
}

// New returns a Verifier. It refuses a configuration that can trust no server,
// or that does not say which.
func New(cfg *Config) (*Verifier, error) {
	if cfg == nil {
		return nil, errors.New("serververify: no Config")
	}
	switch {
	case cfg.Badges == nil:
		return nil, errors.New("serververify: no Badges to verify the servers' badges with")
	case cfg.Resolver == nil:
		return nil, errors.New("serververify: no Resolver to find the servers' keys with")
	case !badge.LevelExtended.AtLeast(cfg.MinLevel):
		return nil, errors.New("serververify: no MinLevel; use badge.LevelSelfSigned if any level is enough")
	case cfg.UnsafeAllowPlainHTTP && !cfg.UnsafeAllowLoopback:
		return nil, errors.New("serververify: UnsafeAllowPlainHTTP is for loopback and needs UnsafeAllowLoopback")
	case cfg.Timeout < 0 || cfg.MaxAge < 0:
		return nil, errors.New("serververify: negative Timeout or MaxAge")
	case slices.Contains(cfg.Admit, nil):
		return nil, errors.New("serververify: a nil Admission")
	case cfg.Skew > MaxSkew:
		return nil, fmt.Errorf("serververify: Skew %v is more than %v", cfg.Skew, MaxSkew)
	}
	for _, b := range cfg.Bindings {
		if !slices.Contains([]Binding{BindingTLS, BindingUnix, BindingLaunch, BindingStdio, BindingSPKI}, b) {
			return nil, fmt.Errorf("serververify: binding %q is not one that can be enough", b)
		}
	}
	v := &Verifier{cfg: *cfg, targets: make(map[scope]*target)}
	v.setDefaults()
	v.dialer = safehttp.NewDialer(&safehttp.Config{
		Policy:  safehttp.Policy{AllowPorts: v.cfg.AllowPorts, UnsafeAllowLoopback: v.cfg.UnsafeAllowLoopback},
		Timeout: v.cfg.Timeout,
		Lookup:  v.cfg.testOnlyLookup,
	})
	v.transport = v.newTransport()
	return v, nil
}

func (v *Verifier) setDefaults() {
	c := &v.cfg
	c.Bindings, c.Admit, c.UnixPeers = slices.Clone(c.Bindings), slices.Clone(c.Admit), slices.Clone(c.UnixPeers)
	if len(c.Bindings) == 0 {
		c.Bindings = []Binding{BindingTLS, BindingUnix, BindingLaunch, BindingStdio}
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.MaxAge == 0 {
		c.MaxAge = DefaultMaxAge
	}
	switch {
	case c.Skew == 0:
		c.Skew = MaxSkew
	case c.Skew < 0:
		c.Skew = 0
	}
	if c.Time == nil {
		c.Time = time.Now
	}
}

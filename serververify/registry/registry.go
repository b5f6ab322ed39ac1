package registry

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/touchmark-dev/touchmark/internal/jwk"
	"github.com/touchmark-dev/touchmark/internal/safehttp"
)

// Defaults of a [Config].
const (
	DefaultRefresh  = 5 * time.Minute
	DefaultMaxStale = time.Hour

	retryAfter = 10 * time.Second // a reading that failed, at the earliest
)

// A Config says which list is used. The zero Config is refused.
type Config struct {
	// Path or URL is where the list is; one of them. A URL is https.
	Path, URL string

	// Keys may sign the list. Required.
	Keys []crypto.PublicKey

	// Issuer, if not "", is the name that the list has to have. Otherwise it
	// is that of the first list, which is written down in StatePath.
	Issuer string

	// Environment selects the entries. "" selects those without one.
	Environment string

	// StatePath is a file for the highest serial that was seen, so that an
	// older list is refused after a restart too. "" means Path with the suffix
	// ".serial"; for a URL it is required. UnsafeNoState keeps it in memory only.
	StatePath     string
	UnsafeNoState bool

	// Refresh is how old what was read may be before it is read again; zero
	// means DefaultRefresh for a URL, and each time for a file. MaxStale is how
	// long a list is used of which no reading succeeds any more; zero means
	// DefaultMaxStale. No list is used beyond its own end.
	Refresh, MaxStale time.Duration

	// RootCAs, AllowPorts and UnsafeAllowLoopback are about the URL, as in
	// serververify.Config.
	RootCAs             *x509.CertPool
	AllowPorts          []uint16
	UnsafeAllowLoopback bool

	// OnError, if not nil, is told why a reading failed while an older list
	// is in use.
	OnError func(error)

	// Time is the clock; nil means time.Now.
	Time func() time.Time
}

// A Registry is a signed list that is kept fresh. It is safe for concurrent
// use. It reads the list when it is asked something and what it has is old; it
// needs no Close.
type Registry struct {
	cfg    Config
	client *http.Client // for URL

	reading chan struct{} // held by who reads
	state   state         // of who holds reading

	mu      sync.Mutex // guards what follows
	current *loaded
	tried   time.Time // the last reading
	lastErr error     // of it

	admitted, unknown, notAllowed, toolsRefused, failed atomic.Uint64
}

// loaded is a list that held when it was read.
type loaded struct {
	doc   *Document
	token string
	at    time.Time // when it was last found to be the current one
}

// Open reads the list. It fails when the list cannot be had or does not hold.
func Open(ctx context.Context, cfg *Config) (*Registry, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	r := &Registry{cfg: *cfg, reading: make(chan struct{}, 1)}
	c := &r.cfg
	if c.Time == nil {
		c.Time = time.Now
	}
	if c.MaxStale == 0 {
		c.MaxStale = DefaultMaxStale
	}
	if c.URL != "" {
		if c.Refresh == 0 {
			c.Refresh = DefaultRefresh
		}
		r.client = safehttp.NewClient(&safehttp.Config{
			Policy:  safehttp.Policy{AllowPorts: c.AllowPorts, UnsafeAllowLoopback: c.UnsafeAllowLoopback},
			RootCAs: c.RootCAs,
		})
	}
	if c.StatePath == "" && !c.UnsafeNoState {
		c.StatePath = c.Path + ".serial"
	}
	if err := r.refresh(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

func (cfg *Config) check() error {
	switch {
	case cfg == nil || (cfg.Path == "") == (cfg.URL == ""):
		return errors.New("registry: want Path or URL, and not both")
	case cfg.URL != "" && !strings.HasPrefix(cfg.URL, "https://"):
		return errors.New("registry: URL is not https")
	case len(cfg.Keys) == 0:
		return errors.New("registry: no Keys that may sign the list")
	case cfg.URL != "" && cfg.StatePath == "" && !cfg.UnsafeNoState:
		return errors.New("registry: no StatePath: an older list could not be told from the newest after a restart")
	case cfg.UnsafeNoState && cfg.StatePath != "":
		return errors.New("registry: both StatePath and UnsafeNoState")
	case cfg.Refresh < 0 || cfg.MaxStale < 0:
		return errors.New("registry: negative Refresh or MaxStale")
	}
	for _, key := range cfg.Keys {
		if _, err := jwk.Thumbprint(key); err != nil {
			return errors.New("registry: a key that is neither Ed25519 nor P-256")
		}
	}
	return nil
}

// Document returns the list in use, nil when there is none that may be used.
// It must not be changed.
func (r *Registry) Document() *Document {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.usable() {
		return nil
	}
	return r.current.doc
}

// usable reports whether the list may still be used; r.mu is held.
func (r *Registry) usable() bool {
	now := r.cfg.Time()
	return r.current != nil && now.Before(r.current.doc.Expires) && now.Sub(r.current.at) < r.cfg.MaxStale
}

// Stats says how a [Registry] has decided since it was opened.
type Stats struct {
	Admitted     uint64
	Unknown      uint64 // servers that are not in the list
	NotAllowed   uint64 // servers that are, with another key, place, version or time
	ToolsRefused uint64 // by Registry.AllowsTool
	Failed       uint64 // there was no list that may be used

	Issuer    string
	Serial    uint64    // of the list in use
	Refreshed time.Time // when it was last found to be the current one
	LastError string    // of the last reading; "" when it succeeded
}

// Stats returns a snapshot.
func (r *Registry) Stats() Stats {
	s := Stats{
		Admitted: r.admitted.Load(), Unknown: r.unknown.Load(), NotAllowed: r.notAllowed.Load(),
		ToolsRefused: r.toolsRefused.Load(), Failed: r.failed.Load(),
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.current; c != nil {
		s.Issuer, s.Serial, s.Refreshed = c.doc.Issuer, c.doc.Serial, c.at
	}
	if r.lastErr != nil {
		s.LastError = r.lastErr.Error()
	}
	return s
}

package registry

import (
	"context"
	"crypto"
	"crypto/x509"
	"time"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/serververify"
)

// A Config says which list is used. The zero Config is refused.
type Config struct {
	// Path or URL is where the list is; one of them. A URL is https.
	Path, URL string

	// Keys may sign the list. Required.
	Keys []crypto.PublicKey

	// Issuer, if not "", is the name that the list has to have. Otherwise it
	// is that of the first list.
	Issuer string

	// Environment selects the entries. "" selects those without one.
	Environment string

	// StatePath is a file for the highest serial that was seen, so that an
	// older list is refused after a restart too. "" means Path with the suffix
	// ".serial"; for a URL it is required. UnsafeNoState keeps it in memory only.
	StatePath     string
	UnsafeNoState bool

	// Refresh is how old what was read may be before it is read again: zero
	// means DefaultRefresh. MaxStale is how long a list is used of which no
	// reading succeeds any more: zero means DefaultMaxStale. No list is used
	// beyond its own end.
	Refresh, MaxStale time.Duration

	// RootCAs, AllowPorts and UnsafeAllowLoopback are about the URL, as in
	// serververify.Config.
	RootCAs             *x509.CertPool
	AllowPorts          []uint16
	UnsafeAllowLoopback bool

	// Time is the clock; nil means time.Now.
	Time func() time.Time
}

// Defaults of a [Config].
const (
	DefaultRefresh  = 5 * time.Minute
	DefaultMaxStale = time.Hour
)

// A Registry is a signed list that is kept fresh. It is safe for concurrent use.
type Registry struct{ cfg Config }

// Open reads the list. It fails when the list cannot be had or does not hold.
func Open(ctx context.Context, cfg *Config) (*Registry, error) { return nil, nil }

// Document returns the list in use, nil when it is too old to be used.
func (r *Registry) Document() *Document { return nil }

// Admit refuses a server that is not in the list. It implements
// serververify.Admission.
func (r *Registry) Admit(ctx context.Context, srv *serververify.Server) error { return nil }

// AllowsTool reports whether the list in use lets a tool of a server be called.
func (r *Registry) AllowsTool(d did.DID, tool string) bool { return false }

// AllowsVersion reports whether the list in use has this version of a server.
func (r *Registry) AllowsVersion(d did.DID, version string) bool { return false }

// At returns the checks of r for a server that was launched by a command line.
func (r *Registry) At(argv []string) (*Place, error) { return nil, nil }

// A Place is a server that was launched; see [Registry.At].
type Place struct {
	registry *Registry
	digest   string
}

// Admit is [Registry.Admit] for a server at this place.
func (p *Place) Admit(ctx context.Context, srv *serververify.Server) error { return nil }

// Upstream returns the checks for a server at this place that has no identity
// and stands behind a gateway known as d, as gateway.Config.Registry wants them.
func (p *Place) Upstream(d did.DID) *Upstream { return &Upstream{p, d} }

// An Upstream is a server behind a gateway; see [Place.Upstream].
type Upstream struct {
	place *Place
	did   did.DID
}

// CheckUpstream refuses a server that is not in the list. version is what it
// says of itself, "" while it has said nothing.
func (u *Upstream) CheckUpstream(ctx context.Context, version string) error { return nil }

// AllowsTool reports whether the list lets a tool be called.
func (u *Upstream) AllowsTool(tool string) bool { return false }

// Stats says how a [Registry] has decided since it was opened.
type Stats struct {
	Admitted   uint64
	Unknown    uint64 // servers that are not in the list
	NotAllowed uint64 // servers and tools that are, in another version, place or time
	Failed     uint64 // no list could be used

	Issuer    string
	Serial    uint64    // of the list in use
	Refreshed time.Time // when it was last found to be the current one
	LastError string    // of the last reading; "" when it succeeded
}

// Stats returns a snapshot.
func (r *Registry) Stats() Stats { return Stats{} }

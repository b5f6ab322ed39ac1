package authzen

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/policy"
	"github.com/touchmark-dev/touchmark/internal/endpoint"
)

// Defaults and limits of a [Client].
const (
	DefaultTimeout     = 500 * time.Millisecond
	MaxTimeout         = 10 * time.Second
	DefaultMaxInFlight = 64
	MaxCacheTTL        = time.Minute
	MaxResponseBytes   = 64 << 10 // of one decision
	MaxListBytes       = 1 << 20  // of the decisions about a list
	maxEndpoint        = 96       // bytes, so that it fits a record
)

// A Form is how a service is spoken to.
type Form uint8

// The forms.
const (
	AuthZEN Form = iota // the Authorization API 1.0
	OPA                 // the data API of the Open Policy Agent
)

var formNames = [...]string{AuthZEN: "authzen", OPA: "opa"}

// A Config says which service is asked, and what it is told. A Config without an Endpoint is refused, and so is one
// with neither MinLevel nor Anonymous.
type Config struct {
	// Endpoint is where the service is: an https URL, an http URL of a loopback address, or "unix:" and the path of a
	// socket; without a path.
	Endpoint string
	Form     Form

	// Path is where decisions are made. Empty means /access/v1/evaluation; with OPA it is required, such as
	// /v1/data/touchmark/answer. ListPath is for several decisions at once, by default /access/v1/evaluations. With
	// NoLists, and always with OPA, the entries of a list are asked for one by one.
	Path, ListPath string
	NoLists        bool

	// Name is the rule id of the service's decisions. Empty means "authzen" or "opa".
	Name string

	// MinLevel is what a caller's badge must have for any answer but no: the service answers no more than yes or no.
	// Anonymous leaves that to the service, and to what stands beside it in [All].
	MinLevel  badge.Level
	Anonymous bool

	// SendArguments and SendClaims send what the caller passes, and all claims of its access token. By default the
	// service learns the hash of the arguments, and of the claims iss, sub and client_id.
	SendArguments, SendClaims bool

	// Capabilities describes resources to the service. Nil says nothing of them.
	Capabilities *policy.Capabilities

	// Enforces are the names of the constraints that whoever uses the decisions will enforce. A decision with an
	// obligation of another kind is no.
	Enforces []string

	// PolicyVersion is what is recorded as the version of the service's policies where a response does not say.
	PolicyVersion string

	// Timeout bounds a decision, and the decisions about one list: from the wait for a place to the last byte. Zero
	// means DefaultTimeout.
	Timeout time.Duration

	// MaxInFlight bounds requests at a time. Zero means DefaultMaxInFlight. What finds no place waits.
	MaxInFlight int

	// TokenFile has a bearer token for the service, on one line. It is read for each request, so that it can be
	// exchanged.
	TokenFile string

	// RootCAs are the authorities that the service's certificate is verified against, the system's when nil.
	RootCAs *x509.CertPool

	// AllowNetworks are where the host of an https Endpoint may be, beside public addresses: a service in a network of
	// one's own has an address that no public name should lead to.
	AllowNetworks []netip.Prefix

	// CacheTTL keeps answers for the same question, in all that the service is told but the time. Zero keeps none: an
	// answer that is kept outlives a change of the service's policies.
	CacheTTL time.Duration

	// UnsafeNoRequestID takes answers of services that do not say which request they answer. A proxy that mixes up two
	// answers then goes unnoticed.
	UnsafeNoRequestID bool

	// Server and Environment are these facts about calls whose [guard.Facts] do not say.
	Server, Environment string

	// Time is the clock. Nil means time.Now.
	Time func() time.Time
}

// New makes a Client. It does not ask the service anything.
func New(cfg *Config) (*Client, error) {
	if cfg == nil {
		return nil, errors.New("authzen: no Config")
	}
	c := &Client{cfg: *cfg}
	c.fill()
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("authzen: %w", err)
	}
	u, d, err := target(c.cfg.Endpoint, c.cfg.AllowNetworks)
	if err != nil {
		return nil, fmt.Errorf("authzen: %w", err)
	}
	if c.cfg.TokenFile != "" {
		if _, err := readToken(c.cfg.TokenFile); err != nil {
			return nil, err
		}
	}
	c.one, c.many = u.JoinPath(c.cfg.Path).String(), u.JoinPath(c.cfg.ListPath).String()
	c.slots = make(chan struct{}, c.cfg.MaxInFlight)
	c.transport = d.transport(&c.cfg)
	c.http = &http.Client{Transport: c.transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	if c.cfg.CacheTTL > 0 {
		c.cache = newCache(c.cfg.CacheTTL)
	}
	return c, nil
}

func (c *Client) fill() {
	if c.cfg.Form == AuthZEN {
		orElse(&c.cfg.Path, "/access/v1/evaluation")
		orElse(&c.cfg.ListPath, "/access/v1/evaluations")
	}
	if int(c.cfg.Form) < len(formNames) {
		orElse(&c.cfg.Name, formNames[c.cfg.Form])
	}
	orElse(&c.cfg.Timeout, DefaultTimeout)
	orElse(&c.cfg.MaxInFlight, DefaultMaxInFlight)
	if c.cfg.Time == nil {
		c.cfg.Time = time.Now
	}
}

func orElse[T comparable](v *T, otherwise T) {
	var zero T
	if *v == zero {
		*v = otherwise
	}
}

func (c *Client) check() error {
	cfg := &c.cfg
	switch {
	case int(cfg.Form) >= len(formNames):
		return fmt.Errorf("Config.Form %d is unknown", cfg.Form)
	case !strings.HasPrefix(cfg.Path, "/") || cfg.ListPath != "" && !strings.HasPrefix(cfg.ListPath, "/"):
		return errors.New("Config.Path and ListPath begin with '/'; with OPA there has to be a Path")
	case strings.ContainsAny(cfg.Path+cfg.ListPath, "?#%"):
		return errors.New("Config.Path and ListPath are plain paths")
	case !policy.ValidID(cfg.Name) || len(cfg.Name) > 32:
		return fmt.Errorf("Config.Name %q is not the id of a rule, of at most 32 characters", cfg.Name)
	case cfg.Anonymous == (cfg.MinLevel != badge.LevelNone):
		return errors.New("Config needs one of MinLevel and Anonymous")
	case cfg.PolicyVersion != "" && !plainVersion(cfg.PolicyVersion):
		return fmt.Errorf("Config.PolicyVersion %q is not of at most %d plain characters", cfg.PolicyVersion, maxVersion)
	case cfg.Timeout < 0 || cfg.Timeout > MaxTimeout || cfg.MaxInFlight < 0 || cfg.CacheTTL < 0 || cfg.CacheTTL > MaxCacheTTL:
		return errors.New("Config.Timeout, MaxInFlight or CacheTTL is out of range")
	}
	for _, name := range cfg.Enforces {
		if !slices.Contains(guard.ConstraintNames(), name) {
			return fmt.Errorf("Config.Enforces has %q, which is no constraint", name)
		}
	}
	return nil
}

// target reads the endpoint.
func target(text string, networks []netip.Prefix) (*url.URL, *dialer, error) {
	canonical, err := endpoint.Canonical(text)
	switch {
	case err != nil:
		return nil, nil, err
	case len(canonical) > maxEndpoint:
		return nil, nil, fmt.Errorf("Config.Endpoint is longer than %d bytes", maxEndpoint)
	}
	if socket, ok := strings.CutPrefix(canonical, "unix:"); ok && !strings.Contains(socket, ":") {
		return &url.URL{Scheme: "http", Host: "localhost"}, &dialer{socket: socket}, nil
	}
	u, err := url.Parse(canonical)
	if err != nil || u.Path != "/" || u.RawQuery != "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, nil, fmt.Errorf("Config.Endpoint %q is no https URL, loopback URL or socket, without a path", text)
	}
	return u, &dialer{host: u.Hostname(), networks: networks}, nil
}

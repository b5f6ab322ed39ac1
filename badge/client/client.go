package client

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/safehttp"
)

// Defaults and bounds of [Config].
const (
	DefaultTimeout         = safehttp.DefaultTimeout
	DefaultRefreshInterval = 5 * time.Minute
	DefaultMaxAge          = 15 * time.Minute
	DefaultMinInterval     = 30 * time.Second

	// minRefreshInterval is the least RefreshInterval: jwk.Cache looks at its
	// queue no more than once a second.
	minRefreshInterval = 4 * time.Second

	// retryInterval is how soon a failed fetch is repeated when there are no
	// keys to go on with.
	retryInterval = 5 * time.Second

	keySetPath = "/.well-known/jwks.json"
)

// Config says whom a [Client] asks, and how. The zero Config names no issuer
// and is refused.
type Config struct {
	// Issuers are the https origins to ask, such as
	// "https://registry.example". Their ports are those that are connected to.
	Issuers []string

	// KeyFiles are the key sets of issuers that are read from a file, once, in
	// New. No keys are fetched from these issuers; they are asked for status
	// when they stand in Issuers too.
	KeyFiles map[string]string

	// UnsafeAllowLoopback lets issuers be at loopback addresses. It is for
	// development and tests.
	UnsafeAllowLoopback bool

	// RootCAs are the authorities that issuers' servers are verified against.
	// Nil means the system's.
	RootCAs *x509.CertPool

	// Timeout bounds one exchange. Zero means DefaultTimeout.
	Timeout time.Duration

	// RefreshInterval is how often key sets are fetched again in the
	// background, once they were needed: the time for which a key that the
	// issuer removed is still used. Zero means DefaultRefreshInterval.
	RefreshInterval time.Duration

	// MaxAge is how long a key set is used when it cannot be fetched again.
	// After that its issuer's badges are undetermined. Zero means
	// DefaultMaxAge; it cannot be less than RefreshInterval.
	MaxAge time.Duration

	// MinInterval is the least time between two fetches of a key set that
	// badges bring about by naming an unknown key. Zero means
	// DefaultMinInterval.
	MinInterval time.Duration

	// StatusTTL is how long an answer about the status of a badge or an agent
	// is used again, at most badge.MaxStatusAge: the time for which a revoked
	// badge is still accepted. Zero means that every use of a badge asks.
	StatusTTL time.Duration

	// Time returns the current time. Nil means time.Now.
	Time func() time.Time
}

// A Client knows the keys of issuers and the status of their badges. It is a
// [badge.KeySource], a [badge.KeyRefresher] and a [badge.StatusSource], and is
// safe for concurrent use. Close it to stop what it does in the background.
type Client struct {
	cfg     Config
	http    *http.Client
	issuers map[string]*issuerKeys // fetched, by origin
	static  badge.StaticKeys       // from files
	listed  map[string]bool        // whom to ask for status

	status *statusCache

	life context.Context // ends with Close
	end  context.CancelFunc

	mu     sync.Mutex // guards closed, and Add of wg against Wait
	closed bool
	wg     sync.WaitGroup // background fetches
}

var (
	_ badge.KeySource    = (*Client)(nil)
	_ badge.KeyRefresher = (*Client)(nil)
	_ badge.StatusSource = (*Client)(nil)
)

// ErrClosed is returned by a [Client] after Close.
var ErrClosed = errors.New("badge/client: the client is closed")

// An UnlistedError reports that a client was asked about an issuer that it was
// not given. Nothing was sent.
type UnlistedError struct{ Issuer string }

func (e *UnlistedError) Error() string {
	return fmt.Sprintf("badge/client: issuer %.100q is not listed", e.Issuer)
}

// New returns a client. It refuses a configuration without issuers, with an
// issuer that is no https origin, or that contradicts itself, and key files
// that do not hold a key set. It fetches nothing: that begins when keys are
// first needed.
func New(cfg *Config) (*Client, error) {
	if cfg == nil {
		return nil, errors.New("badge/client: no Config")
	}
	c := &Client{cfg: *cfg, issuers: make(map[string]*issuerKeys), listed: make(map[string]bool)}
	if err := c.cfg.complete(); err != nil {
		return nil, err
	}
	var err error
	if c.static, err = FileKeys(cfg.KeyFiles); err != nil {
		return nil, err
	}
	policy := safehttp.Policy{UnsafeAllowLoopback: cfg.UnsafeAllowLoopback}
	for _, issuer := range cfg.Issuers {
		port, err := checkOrigin(issuer)
		if err != nil {
			return nil, err
		}
		policy.AllowPorts = append(policy.AllowPorts, port)
		c.listed[issuer] = true
		if _, ok := c.static[issuer]; !ok {
			c.issuers[issuer] = newIssuerKeys(c, issuer)
		}
	}
	c.http = safehttp.NewClient(&safehttp.Config{Policy: policy, RootCAs: cfg.RootCAs, Timeout: c.cfg.Timeout})
	c.status = newStatusCache(c.cfg.StatusTTL)
	c.life, c.end = context.WithCancel(context.Background())
	return c, nil
}

func (c *Config) complete() error {
	if len(c.Issuers)+len(c.KeyFiles) == 0 {
		return errors.New("badge/client: Config names no issuer")
	}
	setDefault(&c.Timeout, DefaultTimeout)
	setDefault(&c.RefreshInterval, DefaultRefreshInterval)
	setDefault(&c.MaxAge, max(DefaultMaxAge, c.RefreshInterval))
	setDefault(&c.MinInterval, DefaultMinInterval)
	switch {
	case c.Timeout < 0:
		return fmt.Errorf("badge/client: negative Timeout %v", c.Timeout)
	case c.RefreshInterval < minRefreshInterval:
		return fmt.Errorf("badge/client: RefreshInterval %v is less than %v", c.RefreshInterval, minRefreshInterval)
	case c.MaxAge < c.RefreshInterval:
		return fmt.Errorf("badge/client: MaxAge %v is less than RefreshInterval %v", c.MaxAge, c.RefreshInterval)
	case c.MinInterval < time.Second:
		return fmt.Errorf("badge/client: MinInterval %v is less than 1s", c.MinInterval)
	case c.StatusTTL < 0 || c.StatusTTL > badge.MaxStatusAge:
		return fmt.Errorf("badge/client: StatusTTL %v is not from 0 to %v", c.StatusTTL, badge.MaxStatusAge)
	}
	if c.Time == nil {
		c.Time = time.Now
	}
	return nil
}

func setDefault(d *time.Duration, value time.Duration) {
	if *d == 0 {
		*d = value
	}
}

// checkOrigin returns the port of an issuer.
func checkOrigin(issuer string) (uint16, error) {
	d, err := did.FromWebURL(issuer)
	if err == nil {
		var origin string
		if origin, err = d.BaseURL(); err == nil && (origin != issuer || len(d.PathSegments()) > 0) {
			err = errors.New("write it as https://host or https://host:port, in lower case")
		}
	}
	if err != nil {
		return 0, fmt.Errorf("badge/client: issuer %q is not an origin: %w", issuer, err)
	}
	u, err := url.Parse(issuer)
	if err != nil {
		return 0, fmt.Errorf("badge/client: issuer %q is not an origin", issuer)
	}
	if u.Port() == "" {
		return safehttp.DefaultPort, nil
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	return uint16(port), err
}

// IssuerKeys implements [badge.KeySource]. It answers from memory while the
// key set is no older than MaxAge, and fetches it otherwise. An issuer that is
// not listed is an *[UnlistedError], and is not asked.
func (c *Client) IssuerKeys(ctx context.Context, issuer string) ([]badge.Key, error) {
	if keys, ok := c.static[issuer]; ok {
		return keys, nil
	}
	k, ok := c.issuers[issuer]
	if !ok {
		return nil, &UnlistedError{issuer}
	}
	return k.get(ctx)
}

// RefreshIssuerKeys implements [badge.KeyRefresher]. It fetches the key set
// again, unless that was done less than MinInterval ago: then it answers as
// IssuerKeys does.
func (c *Client) RefreshIssuerKeys(ctx context.Context, issuer string) ([]badge.Key, error) {
	if keys, ok := c.static[issuer]; ok {
		return keys, nil
	}
	k, ok := c.issuers[issuer]
	if !ok {
		return nil, &UnlistedError{issuer}
	}
	return k.refresh(ctx)
}

// Close stops background work and waits for it. After it every answer is
// ErrClosed, but for the keys from files.
func (c *Client) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.end()
	c.wg.Wait()
	c.http.CloseIdleConnections()
}

// background runs f in a goroutine that Close waits for. It reports false when
// the client is closed.
func (c *Client) background(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.wg.Go(f)
	}
	return !c.closed
}

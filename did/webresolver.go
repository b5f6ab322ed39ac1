package did

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

	"github.com/touchmark-dev/touchmark/internal/safehttp"
)

// Defaults of [ResolverConfig].
const (
	DefaultTimeout      = 10 * time.Second
	DefaultCacheEntries = 1024
	DefaultCacheTTL     = 5 * time.Minute

	// failureTTL is how long a failure is remembered: long enough that a
	// flood of requests does not become a flood of fetches, short enough that
	// a server that comes back is soon seen.
	failureTTL = 10 * time.Second

	// maxFetches bounds the fetches at one time, maxFlights also those that
	// wait for their turn.
	maxFetches = 32
	maxFlights = 1024
)

// ResolverConfig configures a [WebResolver]. The zero value is the strict one.
type ResolverConfig struct {
	// AllowPorts are the ports of did:web that are resolved beside 443.
	AllowPorts []uint16

	// UnsafeAllowLoopback lets a did:web resolve to a loopback address, on any
	// port. It is for development and tests: whoever chooses the DID then
	// chooses a service of this machine to connect to.
	UnsafeAllowLoopback bool

	// RootCAs are the authorities that servers are verified against. Nil means
	// the system's.
	RootCAs *x509.CertPool

	// Timeout bounds one resolution, from the name look-up to the last byte.
	// Zero means DefaultTimeout.
	Timeout time.Duration

	// MaxBytes is the longest document that is read. Zero means
	// MaxDocumentBytes, which it cannot exceed.
	MaxBytes int64

	// CacheEntries is the number of documents kept, and of failures beside
	// them. Zero means DefaultCacheEntries; a negative number, none.
	CacheEntries int

	// CacheTTL is how long a document is used without asking again: the time
	// for which a key removed from a document may still be taken for valid.
	// Zero means DefaultCacheTTL; a negative duration, not at all.
	CacheTTL time.Duration

	// Time returns the current time. Nil means time.Now.
	Time func() time.Time

	testOnlyLookup func(ctx context.Context, host string) ([]netip.Addr, error)
}

// A WebResolver resolves did:key by itself and did:web over HTTPS (spec/did.md
// section 5). It is safe for concurrent use: requests for one DID at the same
// time share one fetch.
type WebResolver struct {
	cfg    ResolverConfig
	client *http.Client
	slots  chan struct{} // one token for each fetch under way

	mu       sync.Mutex // guards what follows
	docs     *cache[*Document]
	failures *cache[error] // kept apart, so that they push out no document
	flights  map[DID]*flight
}

// A flight is a fetch under way. doc and err are set before done is closed.
type flight struct {
	done chan struct{}
	doc  *Document
	err  error
}

// NewResolver returns a resolver. It refuses a configuration that contradicts
// the limits of spec/did.md. A nil cfg is the zero ResolverConfig.
func NewResolver(cfg *ResolverConfig) (*WebResolver, error) {
	if cfg == nil {
		cfg = &ResolverConfig{}
	}
	c := *cfg
	c.AllowPorts = slices.Clone(cfg.AllowPorts)
	switch {
	case slices.Contains(c.AllowPorts, 0):
		return nil, errors.New("did: AllowPorts has port 0")
	case c.Timeout < 0:
		return nil, fmt.Errorf("did: negative Timeout %v", c.Timeout)
	case c.MaxBytes < 0 || c.MaxBytes > MaxDocumentBytes:
		return nil, fmt.Errorf("did: MaxBytes %d is not from 0 to %d", c.MaxBytes, MaxDocumentBytes)
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = MaxDocumentBytes
	}
	if c.CacheEntries == 0 {
		c.CacheEntries = DefaultCacheEntries
	}
	if c.CacheTTL == 0 {
		c.CacheTTL = DefaultCacheTTL
	}
	if c.Time == nil {
		c.Time = time.Now
	}
	return &WebResolver{
		cfg: c,
		client: safehttp.NewClient(&safehttp.Config{
			Policy: safehttp.Policy{
				AllowPorts:          c.AllowPorts,
				UnsafeAllowLoopback: c.UnsafeAllowLoopback,
			},
			RootCAs: c.RootCAs,
			Timeout: c.Timeout,
			Lookup:  c.testOnlyLookup,
		}),
		slots:    make(chan struct{}, maxFetches),
		docs:     newCache[*Document](c.CacheEntries),
		failures: newCache[error](c.CacheEntries),
		flights:  make(map[DID]*flight),
	}, nil
}

// Resolve implements [Resolver].
func (r *WebResolver) Resolve(ctx context.Context, d DID) (*Document, error) {
	switch d.Method() {
	case MethodKey:
		return keyDocument(d)
	case MethodWeb:
	default:
		return nil, refuse(d.text, "the zero DID has no document")
	}
	f := r.join(d)
	select {
	case <-f.done:
	case <-ctx.Done():
		return nil, &ResolveError{DID: d, Reason: ctx.Err().Error(), err: ctx.Err()}
	}
	if f.err != nil {
		return nil, f.err
	}
	return f.doc.clone(), nil
}

// join returns the flight that answers for d: one that has landed when the
// answer is in the cache, the one under way, or a new one.
func (r *WebResolver) join(d DID) *flight {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.cfg.Time()
	if doc, ok := r.docs.get(d, now); ok {
		return landed(doc, nil)
	}
	if err, ok := r.failures.get(d, now); ok {
		return landed(nil, err)
	}
	if f, ok := r.flights[d]; ok {
		return f
	}
	if len(r.flights) >= maxFlights {
		return landed(nil, &ResolveError{DID: d, Reason: "too many resolutions under way, try again"})
	}
	f := &flight{done: make(chan struct{})}
	r.flights[d] = f
	// Others may come to wait for this fetch: it does not end with the request
	// that began it, but at the resolver's own time limit.
	go r.fly(d, f)
	return f
}

func landed(doc *Document, err error) *flight {
	f := &flight{done: make(chan struct{}), doc: doc, err: err}
	close(f.done)
	return f
}

func (r *WebResolver) fly(d DID, f *flight) {
	ctx, cancel := context.WithTimeout(context.Background(), r.cfg.Timeout)
	defer cancel()
	select {
	case r.slots <- struct{}{}:
		f.doc, f.err = r.fetch(ctx, d)
		<-r.slots
	case <-ctx.Done():
		f.err = &ResolveError{DID: d, Reason: "too many resolutions under way, try again"}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.cfg.Time()
	if f.err == nil {
		r.docs.put(d, f.doc, now.Add(r.cfg.CacheTTL))
	} else {
		r.failures.put(d, f.err, now.Add(failureTTL))
	}
	delete(r.flights, d)
	close(f.done)
}

// fetch obtains and reads one document.
func (r *WebResolver) fetch(ctx context.Context, d DID) (*Document, error) {
	u, err := d.DocumentURL()
	if err != nil {
		return nil, err
	}
	data, err := safehttp.Get(ctx, r.client, u, r.cfg.MaxBytes)
	var tooLarge *safehttp.TooLargeError
	switch {
	case errors.As(err, &tooLarge):
		return nil, &DocumentError{DID: d, Reason: tooLarge.Error()}
	case err != nil:
		return nil, &ResolveError{DID: d, Reason: err.Error(), err: err}
	}
	return ParseDocument(data, d)
}

package domain

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/touchmark-dev/touchmark/internal/safehttp"
)

// Times of one validation.
const (
	DefaultTimeout = 20 * time.Second // from the first question to the last byte
	MaxTimeout     = 30 * time.Second // RFC-002 section 7.3.7
	connectTimeout = 10 * time.Second // the same; also of the look-up, and of the wait for a header
)

// A Resolver asks the DNS. *[net.Resolver] is one. Names are given with a final dot, so that no search list
// completes them; what is returned is checked like any other answer.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	// LookupTXT returns one string for each record, which joins the record's strings.
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

// A Config configures a [Validator]. The zero Config is the strict one.
type Config struct {
	// Resolver nil stands for the servers in the system's resolv.conf. An authority should use one that
	// validates DNSSEC.
	Resolver Resolver

	// Timeout bounds one validation. Zero stands for DefaultTimeout; at most MaxTimeout.
	Timeout time.Duration

	// UnsafeAllowLoopback lets a domain have loopback addresses. It is for tests: it lets whoever names a
	// domain reach the services of this machine. All other addresses stay refused as they are.
	UnsafeAllowLoopback bool

	// UnsafePort is dialled instead of port 80. It may be set only with UnsafeAllowLoopback, and then only
	// loopback addresses are reached.
	UnsafePort uint16
}

// A Validator looks whether domains show what they were asked to show. It may be used by several goroutines.
type Validator struct {
	resolver Resolver
	timeout  time.Duration
	port     uint16
	client   *http.Client
	dialer   *safehttp.Dialer
}

// New returns a Validator; nil stands for the zero Config.
func New(cfg *Config) (*Validator, error) {
	if cfg == nil {
		cfg = new(Config)
	}
	v := &Validator{resolver: cfg.Resolver, timeout: cfg.Timeout, port: httpPort}
	switch {
	case cfg.UnsafePort != 0 && !cfg.UnsafeAllowLoopback:
		return nil, errors.New("domain validation: Config.UnsafePort without UnsafeAllowLoopback: domains are validated on port 80")
	case cfg.Timeout < 0 || cfg.Timeout > MaxTimeout:
		return nil, fmt.Errorf("domain validation: a timeout of %v: want at most %v", cfg.Timeout, MaxTimeout)
	case cfg.Timeout == 0:
		v.timeout = DefaultTimeout
	}
	if v.resolver == nil {
		v.resolver = &net.Resolver{PreferGo: true} // not the C library, which cannot be interrupted
	}
	if cfg.UnsafePort != 0 {
		v.port = cfg.UnsafePort
	}
	v.dialer = safehttp.NewDialer(&safehttp.Config{
		Policy:  safehttp.Policy{AllowPorts: []uint16{httpPort}, UnsafeAllowLoopback: cfg.UnsafeAllowLoopback},
		Timeout: min(connectTimeout, v.timeout),
		Lookup:  v.lookup,
	})
	v.client = &http.Client{Transport: v.transport(), CheckRedirect: noRedirect}
	return v, nil
}

func (v *Validator) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	addrs, err := v.resolver.LookupNetIP(ctx, "ip", absolute(host))
	if err == nil && len(addrs) == 0 {
		return nil, notFound(host)
	}
	return addrs, err
}

// notFound is the error of the standard library's resolver for an answer without records.
func notFound(name string) error {
	return &net.DNSError{Err: "no such record", Name: name, IsNotFound: true}
}

// absolute gives a name the final dot that keeps resolvers from completing it: in a cluster, the search list
// would be tried first.
func absolute(name string) string { return name + "." }

// failure tells what a look-up or an exchange that failed says about the domain: a refused address and a name
// that does not exist are verdicts, everything else may be another way the next time. otherwise is the code of what
// is none of the cases.
func failure(ctx context.Context, err error, otherwise Code) *Error {
	if refused, ok := errors.AsType[*safehttp.AddrError](err); ok {
		return refuse(CodeChallengeAddressRefused, "%v", refused).because(err)
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return refuse(CodeChallengeDNSNotFound, "the DNS has no such record for %.260q", strings.TrimSuffix(dns.Name, ".")).because(err)
	}
	timeout, ok := errors.AsType[net.Error](err)
	if ctx.Err() != nil || ok && timeout.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		return undetermined(CodeChallengeTimeout, err, "no answer in the time allowed")
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return undetermined(CodeChallengeDNSFailed, err, "the DNS did not answer: %v", err)
	}
	return undetermined(otherwise, err, "%v", err)
}

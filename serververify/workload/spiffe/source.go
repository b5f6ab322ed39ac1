// Package spiffe gets SVIDs and bundles from a SPIFFE Workload API, such as an
// agent of SPIRE, and keeps them fresh. Use [NewSource], and give the [Source] to
// workload.TLSConfig and workload.JWTVerifier (spec/workload.md section 3).
//
// It is apart from package workload because it brings gRPC along.
package spiffe

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/touchmark-dev/touchmark/serververify/workload"
)

// DefaultTimeout is how long [NewSource] waits for a first identity.
const DefaultTimeout = 5 * time.Second

// A Config says where the Workload API is and whose identities count.
type Config struct {
	// Socket is the address of the Workload API, as unix:///path or tcp://ip:port.
	// Required: the environment is not looked at.
	Socket string

	// TrustDomains are the names of those whose SVIDs are accepted, such as
	// "example.org". One that the agent federates with and that is not listed is
	// not accepted. Required.
	TrustDomains []string

	// ID is the SPIFFE ID to be, of several that the agent may give. Empty means
	// the first.
	ID string

	// JWT keeps the keys of JWT-SVIDs, too.
	JWT bool

	// Timeout bounds the wait for the first identity; zero means DefaultTimeout.
	Timeout time.Duration
}

// A Source has a workload's identity and the bundles with which it verifies
// others. Both change while it is open, without an error anywhere. Make it with
// [NewSource]; it is safe for concurrent use.
type Source struct {
	client  *workloadapi.Client
	x509    *workloadapi.X509Source
	jwt     *workloadapi.JWTSource // nil without Config.JWT
	domains map[spiffeid.TrustDomain]bool
	socket  string
}

var (
	_ workload.SVIDSource = (*Source)(nil)
	_ workload.JWTSource  = (*Source)(nil)
)

// NewSource connects to the Workload API. When there is no agent, or it has no
// identity for this process, it says so at once or after the timeout; it does not
// wait for somebody to register one. Close the Source after use.
func NewSource(ctx context.Context, cfg *Config) (*Source, error) {
	if cfg == nil || cfg.Socket == "" {
		return nil, errors.New("spiffe: Config has no Socket; write unix:///path/of/the/agent.sock")
	}
	s := &Source{socket: cfg.Socket, domains: make(map[spiffeid.TrustDomain]bool)}
	for _, name := range cfg.TrustDomains {
		td, err := spiffeid.TrustDomainFromString(name)
		if err != nil {
			return nil, fmt.Errorf("spiffe: trust domain %q: %w", name, err)
		}
		s.domains[td] = true
	}
	if len(s.domains) == 0 {
		return nil, errors.New("spiffe: Config has no TrustDomains: nobody could be verified")
	}
	pick, err := picker(cfg.ID)
	if err != nil {
		return nil, err
	}
	timeout := cfg.Timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := s.open(ctx, cfg, pick); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func picker(id string) (func([]*x509svid.SVID) *x509svid.SVID, error) {
	if id == "" {
		return func(all []*x509svid.SVID) *x509svid.SVID { return all[0] }, nil
	}
	want, err := spiffeid.FromString(id)
	if err != nil {
		return nil, fmt.Errorf("spiffe: SPIFFE ID %q: %w", id, err)
	}
	return func(all []*x509svid.SVID) *x509svid.SVID {
		for _, svid := range all {
			if svid.ID == want {
				return svid
			}
		}
		return nil
	}, nil
}

func (s *Source) open(ctx context.Context, cfg *Config, pick func([]*x509svid.SVID) *x509svid.SVID) (err error) {
	if s.client, err = workloadapi.New(ctx, workloadapi.WithAddr(cfg.Socket)); err != nil {
		return fmt.Errorf("spiffe: Workload API %q: %w", cfg.Socket, err)
	}
	// A source waits for an identity for as long as there is none; asking once says why.
	first, err := s.client.FetchX509Context(ctx)
	if err != nil {
		return s.explain(err)
	}
	if pick(first.SVIDs) == nil {
		return fmt.Errorf("spiffe: the Workload API %q has no SVID %q for this process, only %s",
			cfg.Socket, cfg.ID, names(first.SVIDs))
	}
	if s.x509, err = workloadapi.NewX509Source(ctx, workloadapi.WithClient(s.client), workloadapi.WithDefaultX509SVIDPicker(pick)); err != nil {
		return s.explain(err)
	}
	if !cfg.JWT {
		return nil
	}
	if _, err := s.client.FetchJWTBundles(ctx); err != nil {
		return s.explain(err)
	}
	if s.jwt, err = workloadapi.NewJWTSource(ctx, workloadapi.WithClient(s.client)); err != nil {
		return s.explain(err)
	}
	return nil
}

func names(svids []*x509svid.SVID) string {
	all := make([]string, len(svids))
	for i, svid := range svids {
		all[i] = fmt.Sprintf("%q", svid.ID)
	}
	return strings.Join(all, ", ")
}

// explain says what to do about what an agent answered.
func (s *Source) explain(err error) error {
	switch {
	case status.Code(err) == codes.PermissionDenied:
		return fmt.Errorf("spiffe: the Workload API %q has no identity for this process (uid %d, gid %d): "+
			"register an entry with selectors that it meets, such as unix:uid:%d: %w",
			s.socket, os.Geteuid(), os.Getegid(), os.Geteuid(), err)
	case status.Code(err) == codes.Unavailable:
		return fmt.Errorf("spiffe: no agent answers at the Workload API %q: %w", s.socket, err)
	case status.Code(err) == codes.DeadlineExceeded || errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("spiffe: the Workload API %q gave no identity in time: "+
			"is the agent up, and is there an entry for this process (uid %d)? %w", s.socket, os.Geteuid(), err)
	}
	return fmt.Errorf("spiffe: Workload API %q: %w", s.socket, err)
}

// X509SVID implements workload.SVIDSource.
func (s *Source) X509SVID() (*tls.Certificate, error) {
	svid, err := s.x509.GetX509SVID()
	if err != nil {
		return nil, fmt.Errorf("spiffe: Workload API %q: %w", s.socket, err)
	}
	leaf := svid.Certificates[0]
	if !time.Now().Before(leaf.NotAfter) {
		return nil, fmt.Errorf("spiffe: the SVID %q expired at %s, and the Workload API %q gave no other; see the agent's log",
			svid.ID, leaf.NotAfter.UTC().Format(time.RFC3339), s.socket)
	}
	c := &tls.Certificate{PrivateKey: svid.PrivateKey, Leaf: leaf}
	for _, cert := range svid.Certificates {
		c.Certificate = append(c.Certificate, cert.Raw)
	}
	return c, nil
}

// ID returns the SPIFFE ID that the workload has now.
func (s *Source) ID() (string, error) {
	svid, err := s.x509.GetX509SVID()
	if err != nil {
		return "", fmt.Errorf("spiffe: Workload API %q: %w", s.socket, err)
	}
	return svid.ID.String(), nil
}

// X509Authorities implements workload.SVIDSource.
func (s *Source) X509Authorities(trustDomain string) ([]*x509.Certificate, error) {
	td, err := s.accepted(trustDomain)
	if err != nil {
		return nil, err
	}
	bundle, err := s.x509.GetX509BundleForTrustDomain(td)
	if err != nil {
		return nil, fmt.Errorf("spiffe: the Workload API %q has no bundle of trust domain %q: does the entry federate with it? %w",
			s.socket, trustDomain, err)
	}
	return bundle.X509Authorities(), nil
}

// JWTAuthorities implements workload.JWTSource. It takes Config.JWT.
func (s *Source) JWTAuthorities(trustDomain string) (map[string]crypto.PublicKey, error) {
	td, err := s.accepted(trustDomain)
	if err != nil {
		return nil, err
	}
	if s.jwt == nil {
		return nil, errors.New("spiffe: Config.JWT is not set: there are no keys of JWT-SVIDs")
	}
	bundle, err := s.jwt.GetJWTBundleForTrustDomain(td)
	if err != nil {
		return nil, fmt.Errorf("spiffe: the Workload API %q has no keys of trust domain %q: %w", s.socket, trustDomain, err)
	}
	return bundle.JWTAuthorities(), nil
}

func (s *Source) accepted(name string) (spiffeid.TrustDomain, error) {
	td, err := spiffeid.TrustDomainFromString(name)
	if err != nil {
		return td, fmt.Errorf("spiffe: trust domain %q: %w", name, err)
	}
	if !s.domains[td] {
		return td, fmt.Errorf("spiffe: trust domain %q is not among those that are accepted", td.Name())
	}
	return td, nil
}

// JWTSVID gets a fresh JWT-SVID of this workload for services that go by one of
// these names. It is a secret until it expires.
func (s *Source) JWTSVID(ctx context.Context, audience string, more ...string) (string, error) {
	params := jwtsvid.Params{Audience: audience, ExtraAudiences: more}
	if own, err := s.x509.GetX509SVID(); err == nil {
		params.Subject = own.ID
	}
	svid, err := s.client.FetchJWTSVID(ctx, params)
	if err != nil {
		return "", s.explain(err)
	}
	return svid.Marshal(), nil
}

// Close lets go of the Workload API. What the Source gave out stays as it is.
func (s *Source) Close() error {
	var errs []error
	if s.x509 != nil {
		errs = append(errs, s.x509.Close())
	}
	if s.jwt != nil {
		errs = append(errs, s.jwt.Close())
	}
	if s.client != nil {
		errs = append(errs, s.client.Close())
	}
	return errors.Join(errs...)
}

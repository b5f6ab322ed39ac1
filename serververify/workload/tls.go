package workload

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
)

// An SVIDSource has a workload's own X.509-SVID and the bundles of the trust
// domains that it accepts. It is asked at each handshake, so that both may
// change at any time. *spiffe.Source is one.
type SVIDSource interface {
	// X509SVID returns the current X.509-SVID with its key.
	X509SVID() (*tls.Certificate, error)

	// X509Authorities returns the current roots of a trust domain, and an error
	// for one that is not accepted.
	X509Authorities(trustDomain string) ([]*x509.Certificate, error)
}

// A TLSConfig says who one end of a TLS channel is and whom it admits at the
// other. Give SVIDs, or Certificate and Roots.
type TLSConfig struct {
	// SVIDs authenticates both ends by SPIFFE.
	SVIDs SVIDSource

	// Certificate returns this end's certificate. It is asked at each handshake.
	// A client without one cannot be admitted by [ServerTLS].
	Certificate func() (*tls.Certificate, error)

	// Roots are the authorities below which the other end's certificate has to
	// be. The system's roots are never used unless they are given.
	Roots *x509.CertPool

	// Authorize admits the other end. Required, except of a client with Roots,
	// which checks the server's host name in any case.
	Authorize Authorizer

	// NextProtos are the protocols on top; empty means h2 and http/1.1.
	NextProtos []string

	// Time is the clock. Nil means time.Now.
	Time func() time.Time
}

func (c *TLSConfig) validate(server bool) error {
	switch {
	case c == nil:
		return errors.New("workload: no TLSConfig")
	case c.SVIDs != nil && (c.Certificate != nil || c.Roots != nil):
		return errors.New("workload: TLSConfig has SVIDs and Certificate or Roots; give one or the other")
	case c.SVIDs == nil && c.Roots == nil:
		return errors.New("workload: TLSConfig has neither SVIDs nor Roots: nobody could be admitted")
	case c.SVIDs == nil && c.Certificate == nil && server:
		return errors.New("workload: TLSConfig has Roots and no Certificate")
	case c.Authorize == nil && (server || c.SVIDs != nil):
		return errors.New("workload: TLSConfig has no Authorize: say who is admitted, or AuthorizeVerified()")
	}
	return nil
}

func (c *TLSConfig) now() time.Time {
	if c.Time != nil {
		return c.Time()
	}
	return time.Now()
}

// ServerTLS returns the configuration of a server that admits clients by
// certificate, over TLS 1.3. Who was admitted is known to [FromRequest] when the
// http.Server has [ConnContext].
func ServerTLS(c *TLSConfig) (*tls.Config, error) {
	if err := c.validate(true); err != nil {
		return nil, err
	}
	cfg := *c
	base := cfg.base()
	if cfg.SVIDs != nil {
		base.ClientAuth = tls.RequireAnyClientCert // verify does the rest
	} else {
		base.ClientAuth, base.ClientCAs = tls.RequireAndVerifyClientCert, cfg.Roots
	}
	base.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return cfg.own() }
	base.VerifyConnection = func(cs tls.ConnectionState) error {
		_, err := cfg.verify(&cs)
		return err
	}
	base.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		h, ok := hello.Context().Value(holderKey{}).(*holder)
		if !ok {
			return nil, nil
		}
		one := base.Clone()
		one.GetConfigForClient = nil
		one.VerifyConnection = func(cs tls.ConnectionState) error {
			p, err := cfg.verify(&cs)
			h.principal.Store(p)
			return err
		}
		return one, nil
	}
	return base, nil
}

// ClientTLS returns the configuration of a client that verifies servers, over TLS
// 1.3.
func ClientTLS(c *TLSConfig) (*tls.Config, error) {
	if err := c.validate(false); err != nil {
		return nil, err
	}
	cfg := *c
	base := cfg.base()
	if cfg.SVIDs != nil {
		base.InsecureSkipVerify = true // of names in DNS; verify does the rest
	} else {
		base.RootCAs = cfg.Roots
	}
	if cfg.SVIDs != nil || cfg.Certificate != nil {
		base.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cfg.own() }
	}
	base.VerifyConnection = func(cs tls.ConnectionState) error {
		_, err := cfg.verify(&cs)
		return err
	}
	return base, nil
}

// base has no session tickets: a session that is resumed is not verified anew by
// the other end's current certificate.
func (c *TLSConfig) base() *tls.Config {
	protos := slices.Clone(c.NextProtos)
	if len(protos) == 0 {
		protos = []string{"h2", "http/1.1"}
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: protos, SessionTicketsDisabled: true, Time: c.Time}
}

func (c *TLSConfig) own() (*tls.Certificate, error) {
	if c.SVIDs != nil {
		return c.SVIDs.X509SVID()
	}
	return c.Certificate()
}

// verify says who is at the other end, and whether it is admitted.
func (c *TLSConfig) verify(cs *tls.ConnectionState) (*Principal, error) {
	var p *Principal
	switch {
	case c.SVIDs != nil:
		var err error
		if p, err = c.verifySVID(cs.PeerCertificates); err != nil {
			return nil, err
		}
	case len(cs.VerifiedChains) > 0: // below Roots, by crypto/tls
		p = fromChain(cs.VerifiedChains[0][0])
	default:
		return nil, ErrNoIdentity
	}
	if c.Authorize == nil {
		return p, nil
	}
	if err := c.Authorize(p); err != nil {
		return nil, err
	}
	return p, nil
}

func (c *TLSConfig) verifySVID(certs []*x509.Certificate) (*Principal, error) {
	if len(certs) == 0 {
		return nil, ErrNoIdentity
	}
	id, _, err := x509svid.Verify(certs, bundles{c.SVIDs}, x509svid.WithTime(c.now()))
	if err != nil {
		return nil, fmt.Errorf("workload: peer %q: %w", nameOf(certs[0]), err)
	}
	if id.Path() == "" {
		return nil, fmt.Errorf("workload: peer %q: the SPIFFE ID of a trust domain is nobody's", id)
	}
	return &Principal{scheme: SchemeSPIFFE, subject: id.String(), id: id, cert: certs[0], expires: certs[0].NotAfter}, nil
}

// bundles gives go-spiffe an SVIDSource in its own terms.
type bundles struct{ SVIDSource }

func (b bundles) GetX509BundleForTrustDomain(td spiffeid.TrustDomain) (*x509bundle.Bundle, error) {
	roots, err := b.X509Authorities(td.Name())
	if err != nil {
		return nil, err
	}
	return x509bundle.FromX509Authorities(td, roots), nil
}

// A holder is where a handshake leaves its principal for the requests of the
// connection.
type holder struct{ principal atomic.Pointer[Principal] }

type holderKey struct{}

func withHolder(ctx context.Context) context.Context {
	return context.WithValue(ctx, holderKey{}, new(holder))
}

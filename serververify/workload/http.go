package workload

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/touchmark-dev/touchmark/serververify"
)

const (
	headerTimeout    = 10 * time.Second
	idleTimeout      = 2 * time.Minute // less than the third of a certificate's life in which Renew can act
	idleConnTimeout  = 90 * time.Second
	handshakeTimeout = 10 * time.Second
)

// ConnContext is the http.Server.ConnContext with which [FromRequest] knows the
// peers of [ServerTLS] and of [ListenUnix].
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(*tls.Conn); ok {
		ctx = withHolder(ctx)
		c = t.NetConn()
	}
	if u, ok := c.(*unixConn); ok {
		ctx = serververify.WithUnixPeer(context.WithValue(ctx, unixKey{}, u), u.cred, u.path)
	}
	return ctx
}

type (
	unixKey  struct{}
	tokenKey struct{}
)

// FromRequest returns who sent a request, as the channel showed it: by a
// certificate, else as the peer of a unix socket, else by the JWT-SVID that
// [JWTVerifier.Handler] verified. It is [ErrNoIdentity] when there is nobody, and
// another error when there was somebody who no longer is: whose certificate has
// expired, or whose process has ended. Ask it for each request.
//
// A client certificate that a server of another make verified against its
// ClientCAs counts too; one that it did not verify does not.
func FromRequest(r *http.Request) (*Principal, error) {
	p := principalOf(r)
	if p == nil {
		return nil, ErrNoIdentity
	}
	if err := p.check(time.Now()); err != nil {
		return nil, err
	}
	return p, nil
}

func principalOf(r *http.Request) *Principal {
	ctx := r.Context()
	if r.TLS != nil {
		if h, ok := ctx.Value(holderKey{}).(*holder); ok && h.principal.Load() != nil {
			return h.principal.Load()
		}
		if len(r.TLS.VerifiedChains) > 0 {
			return fromChain(r.TLS.VerifiedChains[0][0])
		}
	}
	if u, ok := ctx.Value(unixKey{}).(*unixConn); ok {
		return &Principal{scheme: SchemeUnix, subject: unixSubject(u.cred.UID), peer: u}
	}
	p, _ := ctx.Value(tokenKey{}).(*Principal)
	return p
}

// NewServer returns a server for [http.Server.ServeTLS] with empty file names. It
// knows its callers by certificate, and has clients whose certificate is about
// to expire connect anew, so that rotation is not an error.
func NewServer(c *TLSConfig, h http.Handler) (*http.Server, error) {
	t, err := ServerTLS(c)
	if err != nil {
		return nil, err
	}
	if h == nil {
		return nil, errors.New("workload: NewServer without a handler")
	}
	return &http.Server{
		Handler: Renew(h), TLSConfig: t, ConnContext: ConnContext, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout,
	}, nil
}

// NewUnixServer returns a server for a listener of [ListenUnix].
func NewUnixServer(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ConnContext: ConnContext, ReadHeaderTimeout: headerTimeout}
}

// Renew ends a connection gracefully with the first answer after two thirds of
// the life of the certificate with which its client authenticated: the client
// then connects with the certificate that it has by now.
func Renew(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
			cert := r.TLS.PeerCertificates[0]
			if life := cert.NotAfter.Sub(cert.NotBefore); time.Until(cert.NotAfter) < life/3 {
				w.Header().Set("Connection", "close")
			}
		}
		next.ServeHTTP(w, r)
	})
}

// NewClient returns a client that verifies each server and shows it this end's
// certificate. It uses no proxy, follows no redirect, and serves http URLs not at
// all.
func NewClient(c *TLSConfig) (*http.Client, error) {
	t, err := ClientTLS(c)
	if err != nil {
		return nil, err
	}
	return client(explainer{&http.Transport{
		TLSClientConfig: t, ForceAttemptHTTP2: true, TLSHandshakeTimeout: handshakeTimeout, IdleConnTimeout: idleConnTimeout,
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			return nil, &dialError{errors.New("workload: this client has no use for http URLs")}
		},
		DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return dialTLS(ctx, t, network, addr)
		},
	}}), nil
}

// An explainer says what it means that a server ends a connection at once: with TLS 1.3 a client learns only after
// its own handshake that it is not admitted, and in many ways, of which few say so.
type explainer struct{ *http.Transport }

func (e explainer) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := e.Transport.RoundTrip(req)
	var dialled *dialError
	if err == nil || errors.As(err, &dialled) || req.Context().Err() != nil {
		return res, err
	}
	return nil, fmt.Errorf("workload: the server ended the connection without an answer; if it does so each time, "+
		"it does not admit this client's certificate, and its log says why: %w", err)
}

// A dialError says why this end made no connection.
type dialError struct{ err error }

func (e *dialError) Error() string { return e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }

func dialTLS(ctx context.Context, t *tls.Config, network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	c, err := (&tls.Dialer{Config: t}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, &dialError{err}
	}
	return c, nil
}

func client(t http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

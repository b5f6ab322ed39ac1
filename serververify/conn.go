package serververify

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
)

const (
	maxHeaderBytes = 64 << 10
	idleTimeout    = 30 * time.Second // after which an unused connection is closed
)

// newTransport returns what opens the connections. Requests are never given to
// it, only to the connections.
func (v *Verifier) newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  nil, // a proxy would dial for us, unchecked
		DialContext:            v.dialer.DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: v.cfg.RootCAs, MinVersion: tls.VersionTLS12, MaxVersion: v.cfg.testOnlyMaxTLS},
		TLSHandshakeTimeout:    v.cfg.Timeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		DisableCompression:     true, // a limit on the body is a limit on what is read
		ForceAttemptHTTP2:      true,
	}
}

// A conn is one connection, and until when it is known who is at its other
// end.
type conn struct {
	cc   *http.ClientConn
	idle *time.Timer
	peer *UnixPeer // who listens on the unix socket, nil elsewhere
	spki string    // digest of the certificate's key, "" unless BindingSPKI may be enough

	mu    sync.Mutex // held while the connection is verified
	until time.Time
}

// open connects to e without saying more than a TLS handshake does.
func (v *Verifier) open(ctx context.Context, e *endpoint) (*conn, error) {
	connect := v.openTCP
	if e.origin.scheme == schemeUnix {
		connect = v.openUnix
	}
	c, err := connect(ctx, e)
	if err != nil {
		return nil, err
	}
	c.idle = time.AfterFunc(idleTimeout, c.closeIfIdle)
	c.cc.SetStateHook(func(cc *http.ClientConn) {
		if cc.Err() == nil && cc.InFlight() == 0 {
			c.idle.Reset(idleTimeout)
		}
	})
	return c, nil
}

func (v *Verifier) openTCP(ctx context.Context, e *endpoint) (*conn, error) {
	c := new(conn)
	if slices.Contains(v.cfg.Bindings, BindingSPKI) {
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{TLSHandshakeDone: func(cs tls.ConnectionState, err error) {
			if err == nil && len(cs.PeerCertificates) > 0 {
				c.spki = CertificateOf(cs.PeerCertificates[0]).spki()
			}
		}})
	}
	cc, err := v.transport.NewClientConn(ctx, e.origin.scheme, e.origin.address())
	var cert *tls.CertificateVerificationError
	switch {
	case errors.As(err, &cert):
		return nil, &UntrustedError{Code: CodeDomainMismatch, State: StateUnverified, Reason: "its certificate: " + err.Error(), err: err}
	case err != nil:
		return nil, &UndeterminedError{Reason: err.Error(), err: err}
	}
	c.cc = cc
	return c, nil
}

func (c *conn) closeIfIdle() {
	if c.cc.Reserve() != nil {
		return // in use, or closed already
	}
	if c.cc.InFlight() > 1 {
		c.cc.Release()
		return
	}
	c.close()
}

func (c *conn) close() {
	c.idle.Stop()
	c.cc.Close()
}

// verifyConn establishes who is at the other end of c. pin is who it has to
// be, or zero.
func (v *Verifier) verifyConn(ctx context.Context, c *conn, e *endpoint, pin did.DID) (*Server, error) {
	ctx, cancel := context.WithTimeout(ctx, v.cfg.Timeout)
	defer cancel()
	ch := &challenge{nonce: NewNonce(), endpoint: e, pin: pin, peer: c.peer}
	a, cs, err := ask(ctx, c, e, ch.nonce)
	if err != nil {
		return nil, &UndeterminedError{Reason: err.Error(), err: err}
	}
	switch e.origin.scheme {
	case "http":
		ch.channels = []channel{{binding: BindingNone}}
	case schemeUnix:
		own := unixChannel{peer: UnixPeer{PID: os.Getpid(), UID: uint32(os.Geteuid())}, path: e.origin.host} //nolint:gosec // not negative where sockets are supported
		ch.channels = []channel{{binding: BindingUnix, digest: own.digest()}}
	default:
		ch.overTLS(cs)
	}
	return v.judgeAnswer(ctx, ch, a)
}

// judgeAnswer is judge for what came back over HTTP.
func (v *Verifier) judgeAnswer(ctx context.Context, ch *challenge, a *answer) (*Server, error) {
	if a.temporary() {
		return nil, &UndeterminedError{Reason: fmt.Sprintf("status %d for the discovery document", a.status)}
	}
	d, refused := a.disclosure()
	if refused == nil {
		return v.judge(ctx, ch, d)
	}
	refused.State = StateUnverified
	if parsed, err := did.Parse(d.DID); err == nil {
		refused.State, refused.DID = StateDeclared, parsed
	} else if refused.Code != CodeDIDMismatch {
		refused.Code = CodeIdentityMissing
	}
	return nil, refused
}

// ask sends the challenge on a connection, and nothing about the caller.
func ask(ctx context.Context, c *conn, e *endpoint, nonce string) (*answer, *tls.ConnectionState, error) {
	base := e.origin.String()
	if e.origin.scheme == schemeUnix {
		base = "http://" + unixHost
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+mcpwire.DiscoveryPath, nil)
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set(mcpwire.HeaderNonce, nonce)
	if c.spki != "" {
		req.Header.Set(mcpwire.HeaderServerSPKI, c.spki)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Cache-Control", "no-store")
	req.Header.Set("User-Agent", "touchmark")
	resp, err := c.cc.RoundTrip(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxDiscoveryBytes+1))
	if err == nil {
		// When time runs out, the server sees the connection go and may end
		// the body in good order, in the middle.
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, nil, err
	}
	return &answer{status: resp.StatusCode, header: resp.Header, body: body}, resp.TLS, nil
}

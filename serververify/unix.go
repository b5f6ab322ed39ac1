package serververify

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"
)

const (
	schemeUnix = "unix"
	unixHost   = "localhost" // in the Host field of requests over a unix socket

	maxSocketPath = 107 // of sockaddr_un on Linux
)

// splitUnix reads unix:/path.sock[:/http/path], the form of nginx.
func splitUnix(u *url.URL) (socket, httpPath string, err error) {
	if u.Host != "" || u.User != nil || u.Opaque != "" {
		return "", "", errors.New("unix: with a host: write unix:/path.sock")
	}
	socket, httpPath, ok := strings.Cut(u.EscapedPath(), ":")
	if !ok {
		httpPath = "/"
	}
	switch {
	case !path.IsAbs(socket) || path.Clean(socket) != socket || socket == "/":
		return "", "", errors.New("the socket's path is not absolute and clean")
	case strings.ContainsAny(socket, "%\\") || len(socket) > maxSocketPath:
		return "", "", errors.New("the socket's path is too long, or has characters that a URL has to encode")
	case httpPath == "" || httpPath[0] != '/':
		return "", "", errors.New("what follows the socket is no path")
	}
	return socket, httpPath, nil
}

// overUnix returns req as it goes over a socket.
func overUnix(req *http.Request) (*http.Request, error) {
	_, httpPath, err := splitUnix(req.URL)
	if err != nil {
		return nil, err
	}
	plain, err := url.PathUnescape(httpPath)
	if err != nil {
		return nil, errors.New("what follows the socket is no path")
	}
	out := req.WithContext(req.Context()) // a copy
	out.URL = &url.URL{Scheme: "http", Host: unixHost, Path: plain, RawPath: httpPath, RawQuery: req.URL.RawQuery}
	out.Host = unixHost
	return out, nil
}

// A placeError says that a socket is not where nobody else could have put it,
// or that somebody else listens on it.
type placeError struct{ reason string }

func (e *placeError) Error() string { return e.reason }

// openUnix connects to the socket of e.
func (v *Verifier) openUnix(ctx context.Context, e *endpoint) (*conn, error) {
	var peer *UnixPeer
	t := v.newTransport()
	t.DialContext = func(ctx context.Context, _, _ string) (c net.Conn, err error) {
		c, peer, err = dialUnix(ctx, e.origin.host, v.cfg.UnixPeers)
		return c, err
	}
	cc, err := t.NewClientConn(ctx, "http", unixHost+":80")
	var place *placeError
	switch {
	case errors.As(err, &place):
		return nil, &UntrustedError{Code: CodeDomainMismatch, State: StateUnverified, Reason: place.reason, err: err}
	case err != nil:
		return nil, &UndeterminedError{Reason: err.Error(), err: err}
	}
	return &conn{cc: cc, peer: peer}, nil
}

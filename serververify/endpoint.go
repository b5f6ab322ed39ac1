package serververify

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/touchmark-dev/touchmark/did"
)

// An origin is a scheme, a host and a port in one spelling each, so that equal
// origins are equal values.
type origin struct {
	scheme string // https, http or unix
	host   string // lower case, an IPv6 address without brackets; the socket's path for unix
	port   uint16 // 0 for unix
}

func defaultPort(scheme string) uint16 {
	if scheme == "https" {
		return 443
	}
	return 80
}

// String returns the origin as it stands in proofs: the default port is left
// out.
func (o origin) String() string {
	if o.scheme == schemeUnix {
		return schemeUnix + ":" + o.host
	}
	if o.port == defaultPort(o.scheme) {
		if strings.Contains(o.host, ":") {
			return o.scheme + "://[" + o.host + "]"
		}
		return o.scheme + "://" + o.host
	}
	return o.scheme + "://" + o.address()
}

// address returns host:port to dial.
func (o origin) address() string {
	return net.JoinHostPort(o.host, strconv.Itoa(int(o.port)))
}

func originOf(u *url.URL) (origin, error) {
	if u.Scheme == schemeUnix {
		socket, _, err := splitUnix(u)
		return origin{scheme: schemeUnix, host: socket}, err
	}
	o := origin{scheme: u.Scheme, host: lowerASCII(u.Hostname()), port: defaultPort(u.Scheme)}
	if o.scheme != "https" && o.scheme != "http" {
		return origin{}, fmt.Errorf("scheme %q is not https", u.Scheme)
	}
	if o.host == "" {
		return origin{}, errors.New("no host")
	}
	for i := range len(o.host) {
		switch c := o.host[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '.', c == ':', c == '_':
		default:
			return origin{}, errors.New("a host with characters other than a-z, 0-9, hyphen and dot (write other alphabets as xn--)")
		}
	}
	if p := u.Port(); p != "" {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 || p[0] == '0' {
			return origin{}, fmt.Errorf("port %q is not a number from 1 to 65535", p)
		}
		o.port = uint16(n)
	} else if strings.HasSuffix(u.Host, ":") {
		return origin{}, errors.New("an empty port")
	}
	return o, nil
}

// parseOrigin reads scheme://host[:port] and nothing more.
func parseOrigin(text string) (origin, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return origin{}, errors.New("not a URL")
	case u.User != nil || u.Opaque != "" || strings.ContainsAny(text, "?#") || strings.HasPrefix(text, schemeUnix+"://"):
		return origin{}, errors.New("more than scheme, host and port")
	case u.Scheme == schemeUnix && strings.Contains(u.Path, ":"), u.Scheme != schemeUnix && u.Path != "":
		return origin{}, errors.New("more than scheme, host and port, or scheme and socket")
	}
	return originOf(u)
}

// lowerASCII folds the letters that host names consist of, and no others:
// strings.ToLower turns the Kelvin sign into a k.
func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// An endpoint is a URL at which a server is to be reached.
type endpoint struct {
	text   string
	origin origin
	path   string // escaped, as it is sent
	url    *url.URL
}

func (v *Verifier) parseEndpoint(text string) (endpoint, error) {
	u, err := url.Parse(text)
	if err != nil {
		return endpoint{}, fmt.Errorf("serververify: endpoint %q is not a URL", text)
	}
	o, err := originOf(u)
	switch {
	case err != nil:
		return endpoint{}, fmt.Errorf("serververify: endpoint %q: %w", text, err)
	case u.User != nil || u.Opaque != "" || strings.Contains(text, "#"):
		return endpoint{}, errors.New("serververify: an endpoint with userinfo or fragment")
	case strings.HasPrefix(text, schemeUnix+"://"):
		return endpoint{}, fmt.Errorf("serververify: endpoint %q: write unix:/path.sock", text)
	case o.scheme == "http" && !v.cfg.UnsafeAllowPlainHTTP:
		return endpoint{}, fmt.Errorf("serververify: endpoint %q is not https", text)
	}
	e := endpoint{text: text, origin: o, path: u.EscapedPath(), url: u}
	if o.scheme == schemeUnix {
		_, e.path, err = splitUnix(u)
	}
	return e, err
}

// errAmbiguousPath: the path can be read in more than one way by what routes
// it, so that it names no server.
var errAmbiguousPath = errors.New("empty, encoded or relative segments in the path")

// pathSegments returns the decoded segments of an escaped path.
func pathSegments(escaped string) ([]string, error) {
	if escaped == "" || escaped == "/" {
		return nil, nil
	}
	if escaped[0] != '/' {
		return nil, errAmbiguousPath
	}
	segments := strings.Split(escaped[1:], "/")
	for i, s := range segments {
		plain, err := url.PathUnescape(s)
		if err != nil || plain == "" || plain == "." || plain == ".." || strings.ContainsAny(plain, "/\\;%\x00") {
			return nil, errAmbiguousPath
		}
		segments[i] = plain
	}
	return segments, nil
}

// bind holds a DID to the endpoint that named it (spec/server-identity.md
// section 5.3). A did:web without a path stands for its whole origin; one with
// a path for the endpoint at exactly that path. A did:key names no place.
func (e *endpoint) bind(d did.DID) (Code, string) {
	if d.Method() == did.MethodKey || e.origin.scheme == schemeUnix {
		return "", ""
	}
	text, err := d.Origin()
	if err != nil {
		return CodeDomainMismatch, err.Error()
	}
	o, err := parseOrigin(text)
	if err != nil {
		return CodeDomainMismatch, err.Error()
	}
	if e.origin.scheme == "http" { // UnsafeAllowPlainHTTP
		o.scheme = "http"
	}
	if o != e.origin {
		return CodeDomainMismatch, fmt.Sprintf("the DID is of %s, the endpoint at %s", o, e.origin)
	}
	want := d.PathSegments()
	if len(want) == 0 {
		return "", ""
	}
	got, err := pathSegments(e.path)
	if err != nil {
		return CodePathMismatch, err.Error()
	}
	if !slices.Equal(got, want) {
		return CodePathMismatch, fmt.Sprintf("the DID is of /%s, the endpoint at %s", strings.Join(want, "/"), e.path)
	}
	return "", ""
}

// A scope is where requests to a verified server may go: an origin, or one
// path of it.
type scope struct {
	origin origin
	path   string // decoded segments joined by "/"; "" for the whole origin
}

func scopeOf(o origin, d did.DID) scope {
	if o.scheme == schemeUnix {
		return scope{origin: o} // a socket has one server behind it
	}
	return scope{o, strings.Join(d.PathSegments(), "/")} // no segment has a slash
}

// under reports whether a request for r falls under o.
func (r scope) under(o scope) bool { return r.origin == o.origin && (o.path == "" || o.path == r.path) }

// readRequest returns where a request goes. Its path is "" when it can be read
// in more than one way: it then falls under whole origins alone.
func readRequest(req *http.Request) (scope, error) {
	if req.URL == nil || req.URL.Opaque != "" {
		return scope{}, errors.New("a request without a plain URL")
	}
	o, err := originOf(req.URL)
	if err != nil {
		return scope{}, err
	}
	if o.scheme == schemeUnix {
		if req.Host != "" && req.Host != unixHost {
			return scope{}, fmt.Errorf("the Host field %q is not %s, which it is over a socket", req.Host, unixHost)
		}
		return scope{origin: o}, nil
	}
	if req.Host != "" && req.Host != req.URL.Host {
		host, err := parseOrigin(o.scheme + "://" + req.Host)
		if err != nil || host != o {
			return scope{}, fmt.Errorf("the Host field %q is not that of %s", req.Host, o)
		}
	}
	r := scope{origin: o}
	if segments, err := pathSegments(req.URL.EscapedPath()); err == nil {
		r.path = strings.Join(segments, "/")
	}
	return r, nil
}

// isURL reports whether a request is for the endpoint as it was written, which
// was read and bound to its DID already. It saves reading most requests.
func (e *endpoint) isURL(req *http.Request) bool {
	u, own := req.URL, e.url
	return u != nil && own != nil && u.Scheme == own.Scheme && u.Host == own.Host && u.Opaque == "" && u.User == nil &&
		u.Path == own.Path && u.RawPath == own.RawPath && (req.Host == "" || req.Host == u.Host)
}

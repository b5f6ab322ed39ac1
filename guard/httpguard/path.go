package httpguard

import (
	"net/http"
	"net/url"
	"path"
	"strings"
	"unicode/utf8"
)

// The causes of REQUEST_MALFORMED that this package adds (spec/guard.md section 13.2).
const (
	CauseMethod  = "HTTP_METHOD"
	CauseTarget  = "HTTP_TARGET"
	CauseUpgrade = "HTTP_UPGRADE"
	CauseQuery   = "HTTP_QUERY"
	CauseHeader  = "HTTP_HEADER"
	CauseBody    = "HTTP_BODY"
	CauseTooLong = "HTTP_BODY_TOO_LARGE"
)

// A malformed request is refused before anybody decides about it.
type malformed struct {
	status int
	cause  string
}

func bad(cause string) *malformed { return &malformed{http.StatusBadRequest, cause} }

// overrides are header fields by which handlers and proxies let a request say that it is another one. Nobody behind the
// guard sees them.
var overrides = []string{
	"X-Http-Method-Override", "X-Http-Method", "X-Method-Override", "X-Original-Method", "X-Forwarded-Method",
	"X-Original-Url", "X-Original-Uri", "X-Rewrite-Url", "X-Forwarded-Uri",
}

// checkForm refuses what two programs could route in two ways.
func checkForm(req *http.Request) *malformed {
	switch {
	case req.Method == http.MethodConnect || req.Method == "" || strings.Trim(req.Method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-") != "":
		return bad(CauseMethod)
	case hasHeader(req, "Upgrade"):
		return bad(CauseUpgrade)
	case len(req.Header["Content-Type"]) > 1 || len(req.Header["Content-Encoding"]) > 1 || len(req.Header["Host"]) > 0:
		return bad(CauseHeader)
	case !strings.HasPrefix(req.RequestURI, "/") || req.URL.Host != "" || req.URL.Opaque != "" || !cleanPath(req.URL):
		return bad(CauseTarget)
	}
	return nil
}

func hasHeader(req *http.Request, name string) bool {
	_, ok := req.Header[name]
	return ok
}

// cleanPath reports whether a path is one in which every reader finds the same segments: no empty ones, no dots, no
// separator or percent sign that was encoded, none of the signs that some take for a separator.
func cleanPath(u *url.URL) bool {
	p := u.Path
	if !strings.HasPrefix(p, "/") || !utf8.ValidString(p) {
		return false
	}
	for _, r := range p {
		if r < ' ' || r == 0x7f || r == '\\' || r == ';' || r == '%' {
			return false
		}
	}
	escaped := strings.ToLower(u.EscapedPath())
	if strings.Contains(escaped, "%2f") || strings.Contains(escaped, "%2e") {
		return false
	}
	clean := path.Clean(p)
	if clean != "/" && strings.HasSuffix(p, "/") {
		clean += "/"
	}
	return clean == p
}

// routed returns the request as it is judged and run: with one spelling of its path, and without what could make another
// request of it.
func routed(req *http.Request) *http.Request {
	out := req.Clone(req.Context())
	out.URL.RawPath = ""
	out.RequestURI = out.URL.RequestURI()
	out.Form, out.PostForm, out.MultipartForm = nil, nil, nil // what somebody in front has read was not judged
	for _, name := range overrides {
		deleteField(out.Header, name)
	}
	return out
}

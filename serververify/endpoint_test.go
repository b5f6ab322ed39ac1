package serververify

import (
	"net/http"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/did"
)

// The published code takes any path that begins like the DID's, accepts http,
// and compares hosts byte by byte.
func TestKnownFault10OriginAndPath(t *testing.T) {
	v := newWorld(t, option{}).verifier()
	for _, tt := range []struct {
		did, endpoint string
		code          Code
	}{
		{"did:web:example.com", "https://example.com/mcp", ""},
		{"did:web:example.com", "https://example.com", ""},
		{"did:web:example.com", "https://EXAMPLE.com:443/mcp", ""},
		{"did:web:example.com", "https://example.com:8443/mcp", CodeDomainMismatch},
		{"did:web:example.com", "https://example.com.evil.com/mcp", CodeDomainMismatch},
		{"did:web:example.com", "https://mcp.example.com/mcp", CodeDomainMismatch},
		{"did:web:example.com", "https://example.com./mcp", CodeDomainMismatch},
		{"did:web:mcp.example.com", "https://example.com/mcp", CodeDomainMismatch},
		{"did:web:example.com%3A8443", "https://example.com:8443/", ""},
		{"did:web:example.com%3A8443", "https://example.com/", CodeDomainMismatch},
		{"did:web:example.com:mcp:fs", "https://example.com/mcp/fs", ""},
		{"did:web:example.com:mcp:fs", "https://example.com/mcp/%66s?q=1", ""},
		{"did:web:example.com:mcp:fs", "https://example.com/mcp/fs-evil", CodePathMismatch},
		{"did:web:example.com:mcp:fs", "https://example.com/mcp/fs/", CodePathMismatch},
		{"did:web:example.com:mcp:fs", "https://example.com/mcp/fs/x", CodePathMismatch},
		{"did:web:example.com:mcp:fs", "https://example.com/mcp/FS", CodePathMismatch},
		{"did:web:example.com:mcp:fs", "https://example.com/mcp", CodePathMismatch},
		{"did:web:example.com:mcp:fs", "https://example.com/", CodePathMismatch},
		{"did:web:example.com:mcp:fs", "https://example.com/mcp%2Ffs", CodePathMismatch},
		{"did:web:example.com:mcp:fs", "https://example.com/x/../mcp/fs", CodePathMismatch},
		{"did:web:example.com:mcp:fs", "https://example.com/mcp/%2e/fs", CodePathMismatch},
		{"did:web:example.com:mcp:fs", "https://example.com//mcp/fs", CodePathMismatch},
		{"did:web:example.com:mcp:fs", "https://example.com/mcp/fs;v=1", CodePathMismatch},
		{"did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK", "https://example.com/mcp", ""},
	} {
		e, err := v.parseEndpoint(tt.endpoint)
		if err != nil {
			t.Errorf("%s: %v", tt.endpoint, err)
			continue
		}
		if code, reason := e.bind(did.MustParse(tt.did)); code != tt.code || (reason == "") != (code == "") {
			t.Errorf("%s at %s: %s, want %s", tt.did, tt.endpoint, code, tt.code)
		}
	}
}

func TestKnownFault10EndpointsRefused(t *testing.T) {
	v := newWorld(t, option{}).verifier()
	for _, text := range []string{
		"http://example.com/mcp", "http://localhost/mcp", "example.com/mcp", "//example.com/mcp", "ftp://example.com", "https://",
		"https:///mcp", "https://user:pw@example.com/mcp", "https://example.com/mcp#x", "https://example.com:/mcp",
		"https://example.com:0/", "https://example.com:65536/", "https://example.com:0443/", "https://exa mple.com/",
		"https://exämple.com/", "https://exa%6Dple.com/", "mailto:x@example.com", "https:example.com", "https://\u212Aexample.com/", "",
	} {
		_, err := v.Verify(t.Context(), text)
		if err == nil || CodeOf(err) != "" {
			t.Errorf("%q: %v", text, err)
		}
		if err != nil && strings.Contains(err.Error(), "pw") {
			t.Errorf("%q: the error shows the password", text)
		}
	}
}

func TestOriginHasOneForm(t *testing.T) {
	for in, want := range map[string]string{
		"https://Example.COM":      "https://example.com",
		"https://example.com:443":  "https://example.com",
		"https://example.com:8443": "https://example.com:8443",
		"http://example.com:80":    "http://example.com",
		"https://[::1]":            "https://[::1]",
		"https://[::1]:8443":       "https://[::1]:8443",
		"HTTPS://example.com":      "https://example.com",
	} {
		o, err := parseOrigin(in)
		if err != nil || o.String() != want {
			t.Errorf("%s: %s, %v", in, o, err)
		}
	}
	for _, bad := range []string{"https://example.com/", "https://example.com?", "https://example.com#", "https://u@example.com", "x", "https:x", "https://[fe80::1%25eth0]"} {
		if o, err := parseOrigin(bad); err == nil {
			t.Errorf("%s: read as %s", bad, o)
		}
	}
}

// What was read as an endpoint leads to one place, whoever reads it again.
func FuzzEndpoint(f *testing.F) {
	for _, text := range []string{
		"https://mcp.example.com/mcp", "https://[::1]:8443/a%20b?x=1", "unix:/run/mcp.sock", "unix:/run/mcp.sock:/a/b?x=1", "unix://x/y", "https://EXAMPLE.com:443", "http://localhost:1",
	} {
		f.Add(text)
	}
	v := newWorld(f, option{}).verifier()
	f.Fuzz(func(t *testing.T, text string) {
		e, err := v.parseEndpoint(text)
		if err != nil {
			return
		}
		if o, err := parseOrigin(e.origin.String()); err != nil || o != e.origin {
			t.Fatalf("%q: the origin %s reads back as %s, %v", text, e.origin, o, err)
		}
		req, err := http.NewRequest("GET", text, nil)
		if err != nil {
			return
		}
		r, err := readRequest(req)
		if err != nil || r.origin != e.origin || !e.isURL(req) {
			t.Fatalf("%q: a request goes to %+v, %v", text, r, err)
		}
		if e.origin.scheme != schemeUnix {
			return
		}
		if out, err := overUnix(req); err == nil && (out.URL.EscapedPath() != e.path || out.Host != unixHost) {
			t.Fatalf("%q: sent to %s, want %s", text, out.URL, e.path)
		}
	})
}

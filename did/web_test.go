package did_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/did"
)

var webCases = []struct {
	did, origin, base, document string
	segments                    []string
}{
	{
		"did:web:example.com", "https://example.com", "https://example.com",
		"https://example.com/.well-known/did.json", nil,
	},
	{
		"did:web:example.com:user:alice", "https://example.com", "https://example.com/user/alice",
		"https://example.com/user/alice/did.json",
		[]string{"user", "alice"},
	},
	{
		"did:web:example.com%3A3000", "https://example.com:3000", "https://example.com:3000",
		"https://example.com:3000/.well-known/did.json", nil,
	},
	{
		"did:web:example.com%3A65535:a", "https://example.com:65535", "https://example.com:65535/a",
		"https://example.com:65535/a/did.json",
		[]string{"a"},
	},
	{
		"did:web:localhost%3A8443", "https://localhost:8443", "https://localhost:8443",
		"https://localhost:8443/.well-known/did.json", nil,
	},
	{
		"did:web:xn--bcher-kva.example:B%C3%BCcher", "https://xn--bcher-kva.example",
		"https://xn--bcher-kva.example/B%C3%BCcher", "https://xn--bcher-kva.example/B%C3%BCcher/did.json",
		[]string{"Bücher"},
	},
	{
		"did:web:a.example:.well-known:x", "https://a.example", "https://a.example/.well-known/x",
		"https://a.example/.well-known/x/did.json",
		[]string{".well-known", "x"},
	},
	{
		"did:web:a.example:x:.well-known", "https://a.example", "https://a.example/x/.well-known",
		"https://a.example/x/.well-known/did.json",
		[]string{"x", ".well-known"},
	},
	{
		"did:web:a.example:did.json", "https://a.example", "https://a.example/did.json",
		"https://a.example/did.json/did.json",
		[]string{"did.json"},
	},
	{
		"did:web:a.example:...:%7Eme:a%20b:Aa-_.9", "https://a.example", "https://a.example/.../%7Eme/a%20b/Aa-_.9",
		"https://a.example/.../%7Eme/a%20b/Aa-_.9/did.json",
		[]string{"...", "~me", "a b", "Aa-_.9"},
	},
	{
		"did:web:0.a1.9z:1", "https://0.a1.9z", "https://0.a1.9z/1", "https://0.a1.9z/1/did.json",
		[]string{"1"},
	},
}

func TestWeb(t *testing.T) {
	for _, c := range webCases {
		d, err := did.Parse(c.did)
		if err != nil {
			t.Error(err)
			continue
		}
		if d.String() != c.did || d.Method() != did.MethodWeb {
			t.Errorf("Parse(%q) = %q, method %q", c.did, d, d.Method())
		}
		if s, err := d.Origin(); err != nil || s != c.origin {
			t.Errorf("%s: Origin = %q, %v, want %q", d, s, err, c.origin)
		}
		if s, err := d.BaseURL(); err != nil || s != c.base {
			t.Errorf("%s: BaseURL = %q, %v, want %q", d, s, err, c.base)
		}
		if s, err := d.DocumentURL(); err != nil || s != c.document {
			t.Errorf("%s: DocumentURL = %q, %v, want %q", d, s, err, c.document)
		}
		if got := d.PathSegments(); !slices.Equal(got, c.segments) {
			t.Errorf("%s: PathSegments = %q, want %q", d, got, c.segments)
		}
		if back, err := did.FromWebURL(c.base); err != nil || back != d {
			t.Errorf("FromWebURL(%q) = %q, %v, want %q", c.base, back, err, d)
		}
		if back, err := did.FromDocumentURL(c.document); err != nil || back != d {
			t.Errorf("FromDocumentURL(%q) = %q, %v, want %q", c.document, back, err, d)
		}
		if _, err := d.PublicKey(); err == nil || d.KeyURL() != "" {
			t.Errorf("%s has a key of its own", d)
		}
	}
}

func TestWebRefused(t *testing.T) {
	long := strings.Repeat("a", 63)
	for _, s := range []string{
		"did:web:", "did:web::a", "did:web:%3A8443", "did:web:a.example:", "did:web:a.example::b", "did:web:a.example:b:",
		"did:web:A.example", "did:web:a.EXAMPLE", "did:web:bücher.example", "did:web:a_b.example", "did:web:a.example.",
		"did:web:.a.example", "did:web:a..example", "did:web:-a.example", "did:web:a-.example", "did:web:a.example-",
		"did:web:" + long + "a.example", "did:web:" + strings.Repeat(long+".", 4) + "example",
		"did:web:intranet", "did:web:com", "did:web:127.0.0.1", "did:web:1.1.1.1", "did:web:1.1", "did:web:0x7f.1", "did:web:2130706433",
		"did:web:0x7f000001", "did:web:a.0x1", "did:web:a.example.0x", "did:web:a.example.12", "did:web:%5B%3A%3A1%5D",
		"did:web:[::1]", "did:web:::1", "did:web:user@a.example", "did:web:user%40a.example", "did:web:a.example/b",
		"did:web:a.example%2Fb", "did:web:a.example?q", "did:web:a.example#f", "did:web:a.example%3a8443",
		"did:web:a.example%3A", "did:web:a.example%3A0", "did:web:a.example%3A443", "did:web:a.example%3A0443",
		"did:web:a.example%3A65536", "did:web:a.example%3A-1", "did:web:a.example%3A+1", "did:web:a.example%3A1e3",
		"did:web:a.example%3A80%3A81", "did:web:a.example%3A8443/x", "did:web:a.example%3A٣",
		"did:web:a.example:.", "did:web:a.example:..", "did:web:a.example:a:..:b", "did:web:a.example:%2E", "did:web:a.example:%2E%2E",
		"did:web:a.example:a%2Fb", "did:web:a.example:a%2fb", "did:web:a.example:a%5Cb", "did:web:a.example:a%00b",
		"did:web:a.example:a%0Ab", "did:web:a.example:a%7Fb", "did:web:a.example:a%C2%85b", "did:web:a.example:%252F", "did:web:a.example:%25",
		"did:web:a.example:%C3", "did:web:a.example:%FF", "did:web:a.example:%ED%A0%80", "did:web:a.example:é", "did:web:a.example:a/b",
		"did:web:a.example:a~b", "did:web:a.example:a b", "did:web:a.example:a+b", "did:web:a.example:%41", "did:web:a.example:%7e",
		"did:web:a.example:%c3%bc", "did:web:a.example:%", "did:web:a.example:%4", "did:web:a.example:%4G", "did:web:a.example:%+4", "did:web:a.example:.well-known",
		"did:web:a.example\x00", "did:web:a.example ", " did:web:a.example", "did:web:a.example\n", "DID:web:a.example",
		"did:WEB:a.example", "did:webvh:a.example", "did:ion:x", "did:", "did:web", "did", "", "https://a.example",
		"did:key:", "did:key:z", "did:key:6Mk", "did:key:u7QE", "did:key:z6Mk!", "did:key:z6Mk0", "did:keyz:x",
	} {
		d, err := did.Parse(s)
		var refused *did.ParseError
		if !errors.As(err, &refused) || !d.IsZero() {
			t.Errorf("Parse(%q) = %q, %v", s, d, err)
		}
	}
}

func TestFromWebURL(t *testing.T) {
	for u, want := range map[string]string{
		"https://Example.COM":                 "did:web:example.com",
		"https://example.com/":                "did:web:example.com",
		"https://example.com:443/mcp":         "did:web:example.com:mcp",
		"https://example.com:8443/mcp/Fs":     "did:web:example.com%3A8443:mcp:Fs",
		"https://example.com/~me/b%c3%bccher": "did:web:example.com:%7Eme:b%C3%BCcher",
		"https://example.com/a:b@c":           "did:web:example.com:a%3Ab%40c",
		"https://example.com/%61":             "did:web:example.com:a",
		"https://LOCALHOST:1":                 "did:web:localhost%3A1",
	} {
		if d, err := did.FromWebURL(u); err != nil || d.String() != want {
			t.Errorf("FromWebURL(%q) = %q, %v, want %q", u, d, err, want)
		}
	}
	for _, u := range []string{
		"", "example.com", "//example.com", "http://example.com", "HTTPS", "https:", "https://", "https:///a", "https:example.com",
		"https://u@example.com", "https://u:p@example.com", "https://example.com?q", "https://example.com/?", "https://example.com/#", "https://example.com#f",
		"https://example.com/a/", "https://example.com//", "https://example.com/a//b", "https://example.com/./a",
		"https://example.com/a/..", "https://example.com/%2e%2e/a", "https://example.com/a%2fb", "https://example.com/a\\b",
		"https://example.com/a%5cb", "https://example.com/a%00", "https://example.com/%zz", "https://example.com/.well-known",
		"https://example.com:0", "https://example.com:", "https://example.com:x", "https://example.com:65536", "https://example.com:08443",
		"https://127.0.0.1", "https://[::1]", "https://[::1]:8443", "https://[fe80::1%25a.example]", "https://intranet",
		"https://bücher.example", "https://\u212aelvin.example", "https://exam%70le.com", "https://example.com./", "https://a_b.example",
		"https://example.com/" + strings.Repeat("x", did.MaxLength), "https://example.com/" + strings.Repeat("~", did.MaxLength/2),
		"https://example.com/" + strings.Repeat("%61", did.MaxLength/3),
	} {
		d, err := did.FromWebURL(u)
		var refused *did.ParseError
		if !errors.As(err, &refused) || !d.IsZero() {
			t.Errorf("FromWebURL(%q) = %q, %v", u, d, err)
		}
	}
}

func TestFromDocumentURLRefused(t *testing.T) {
	for _, u := range []string{
		"https://example.com", "https://example.com/", "https://example.com/did.json", "https://example.com//did.json",
		"https://example.com/.well-known", "https://example.com/.well-known/did.json/", "https://example.com/a/did.jsonx",
		"https://example.com//.well-known/did.json", "https://example.com/a//did.json", "https://example.com/a/did.json?x",
		"http://example.com/.well-known/did.json", "https://example.com/..//did.json", "/.well-known/did.json", "https:///did.json",
		"https://example.com/%2Ewell-known/did.json",
	} {
		if d, err := did.FromDocumentURL(u); err == nil {
			t.Errorf("FromDocumentURL(%q) = %q", u, d)
		}
	}
}

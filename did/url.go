package did

import "strings"

// MaxFragment is the longest fragment of a DID URL, in bytes.
const MaxFragment = 256

// A URL is a DID URL that names one verification method: a DID and a fragment.
// URLs are comparable with ==. The zero URL names nothing.
type URL struct {
	DID      DID
	Fragment string // without the '#', as it stands in the text
}

// ParseURL reads a DID URL of the form DID#fragment. It refuses paths,
// queries, DID parameters and a missing or empty fragment: nothing in the
// formats of this module needs them. Every error is a *[ParseError].
func ParseURL(s string) (URL, error) {
	base, fragment, ok := strings.Cut(s, "#")
	if !ok {
		return URL{}, refuse(s, "no fragment to name a verification method")
	}
	d, err := Parse(base)
	if err != nil {
		return URL{}, err
	}
	if reason := checkFragment(fragment); reason != "" {
		return URL{}, refuse(s, "%s", reason)
	}
	return URL{DID: d, Fragment: fragment}, nil
}

// HasURL reports whether s is a DID URL of d: one that [ParseURL] accepts, and
// whose DID is d. It does not read d again.
func (d DID) HasURL(s string) bool {
	rest, ok := strings.CutPrefix(s, d.text)
	if !ok || d.IsZero() {
		return false
	}
	fragment, ok := strings.CutPrefix(rest, "#")
	return ok && checkFragment(fragment) == ""
}

// String returns DID#fragment, "" for the zero URL.
func (u URL) String() string {
	if u.DID.IsZero() {
		return ""
	}
	return u.DID.text + "#" + u.Fragment
}

// IsZero reports whether u is the zero URL.
func (u URL) IsZero() bool { return u == URL{} }

// checkFragment returns why a fragment is refused, or "". It accepts the
// fragment characters of RFC 3986, percent-encodings in upper-case
// hexadecimal only.
func checkFragment(s string) string {
	switch {
	case s == "":
		return "empty fragment"
	case len(s) > MaxFragment:
		return "fragment too long"
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case isIDChar(c), strings.IndexByte("~!$&'()*+,;=:@/?", c) >= 0:
		case c == '%' && i+2 < len(s) && isUpperHex(s[i+1]) && isUpperHex(s[i+2]):
			i += 2
		default:
			return "a character in the fragment that RFC 3986 does not allow there"
		}
	}
	return ""
}

func isUpperHex(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'F'
}

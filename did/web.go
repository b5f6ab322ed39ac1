package did

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	maxHost  = 253 // RFC 1035, without the trailing dot
	maxLabel = 63

	documentName = "did.json"
	wellKnown    = ".well-known"
	defaultPort  = 443
)

// webParts are the parts of a did:web, as they stand in the DID.
type webParts struct {
	host     string
	port     int      // 0 for the default
	segments []string // percent-encoded
}

// splitWeb reads a did:web (spec/did.md section 2.2).
func splitWeb(s string) (webParts, error) {
	first, rest, more := strings.Cut(s[len(prefixWeb):], ":")
	host, port, hasPort := strings.Cut(first, "%3A")
	w := webParts{host: host}
	if err := checkHost(host); err != nil {
		return w, err
	}
	if hasPort {
		n, err := parsePort(port)
		if err != nil {
			return w, err
		}
		w.port = n
	}
	if !more {
		return w, nil
	}
	w.segments = strings.Split(rest, ":")
	for _, seg := range w.segments {
		plain, err := decodeSegment(seg)
		if err != nil {
			return w, err
		}
		if encodeSegment(plain) != seg {
			return w, fmt.Errorf("path segment %q is not in its canonical form %q", seg, encodeSegment(plain))
		}
	}
	if len(w.segments) == 1 && w.segments[0] == wellKnown {
		return w, errors.New("the path .well-known is that of the DID without a path")
	}
	return w, nil
}

// checkHost accepts a lower-case DNS name or "localhost". A name whose last
// label is a number would be read as an IPv4 address by some parsers, and a
// name of one label would be completed by a resolver's search list.
func checkHost(host string) error {
	if host == "" {
		return errors.New("no host")
	}
	if len(host) > maxHost {
		return fmt.Errorf("host of %d bytes, the limit is %d", len(host), maxHost)
	}
	labels, last := 0, ""
	for last = range strings.SplitSeq(host, ".") {
		if err := checkLabel(last); err != nil {
			return fmt.Errorf("host %q %w", host, err)
		}
		labels++
	}
	if isNumber(last) {
		return fmt.Errorf("host %q is an IP address or can be read as one, use a DNS name", host)
	}
	if labels == 1 && host != "localhost" {
		return fmt.Errorf("host %q is not a fully qualified DNS name", host)
	}
	return nil
}

func checkLabel(label string) error {
	switch {
	case label == "":
		return errors.New("has an empty label")
	case len(label) > maxLabel:
		return fmt.Errorf("has a label of more than %d bytes", maxLabel)
	case label[0] == '-' || label[len(label)-1] == '-':
		return errors.New("has a label that begins or ends with a hyphen")
	}
	for i := range len(label) {
		switch c := label[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-':
		case 'A' <= c && c <= 'Z':
			return errors.New("has upper-case letters, use lower case")
		default:
			return errors.New("has a character other than a-z, 0-9, hyphen and dot (write other alphabets as xn--)")
		}
	}
	return nil
}

// isNumber reports whether the WHATWG URL parser would take label as a number
// of an IPv4 address.
func isNumber(label string) bool {
	digits, hex := strings.CutPrefix(label, "0x")
	for i := range len(digits) {
		c := digits[i]
		if ('0' <= c && c <= '9') || (hex && 'a' <= c && c <= 'f') {
			continue
		}
		return false
	}
	return true
}

func parsePort(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	switch {
	case err != nil || n == 0:
		return 0, fmt.Errorf("port %q is not a number from 1 to 65535", s)
	case strconv.FormatUint(n, 10) != s:
		return 0, fmt.Errorf("port %q has leading zeros or a sign", s)
	case n == defaultPort:
		return 0, errors.New("port 443 is the default and is left out")
	}
	return int(n), nil
}

// decodeSegment undoes the percent-encoding of one path segment, and refuses
// what a server could take for something else than a name.
func decodeSegment(seg string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(seg); i++ {
		if seg[i] != '%' {
			b.WriteByte(seg[i])
			continue
		}
		if i+2 >= len(seg) {
			return "", fmt.Errorf("path segment %q has an incomplete percent-encoding", seg)
		}
		n, err := strconv.ParseUint(seg[i+1:i+3], 16, 8)
		if err != nil {
			return "", fmt.Errorf("path segment %q has a malformed percent-encoding", seg)
		}
		b.WriteByte(byte(n))
		i += 2
	}
	return b.String(), checkSegment(b.String())
}

func checkSegment(plain string) error {
	switch {
	case plain == "":
		return errors.New("empty path segment")
	case plain == "." || plain == "..":
		return fmt.Errorf("path segment %q moves in the path", plain)
	case !utf8.ValidString(plain):
		return fmt.Errorf("path segment %q is not UTF-8", plain)
	}
	for _, r := range plain {
		switch {
		case r < 0x20, 0x7f <= r && r < 0xa0:
			return fmt.Errorf("path segment %q has a control character", plain)
		case strings.ContainsRune(`/\%`, r):
			return fmt.Errorf("path segment %q has an encoded %q", plain, r)
		}
	}
	return nil
}

// encodeSegment writes a path segment in the characters of a DID: letters,
// digits, '.', '-' and '_' as they are, everything else percent-encoded in
// upper-case hexadecimal.
func encodeSegment(plain string) string {
	var b strings.Builder
	for i := range len(plain) {
		if c := plain[i]; isIDChar(c) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func isIDChar(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '.' || c == '-' || c == '_'
}

// origin returns https://host, with the port unless it is the default.
func (w webParts) origin() string {
	if w.port == 0 {
		return "https://" + w.host
	}
	return "https://" + w.host + ":" + strconv.Itoa(w.port)
}

// web returns the parts of a did:web, which Parse has checked.
func (d DID) web() (webParts, error) {
	if d.Method() != MethodWeb {
		return webParts{}, fmt.Errorf("did: %q is not a did:web and has no URL", d.text)
	}
	return splitWeb(d.text)
}

// Origin returns https://host or https://host:port of a did:web: what its
// server must be reached at. It fails for any other method.
func (d DID) Origin() (string, error) {
	w, err := d.web()
	if err != nil {
		return "", err
	}
	return w.origin(), nil
}

// PathSegments returns the decoded path segments of a did:web, none for a DID
// that consists of a host, and none for any other method. No segment is empty,
// "." or "..", and none has a slash, a backslash or a percent sign.
func (d DID) PathSegments() []string {
	w, err := d.web()
	if err != nil {
		return nil
	}
	plain := make([]string, len(w.segments))
	for i, seg := range w.segments {
		plain[i], _ = decodeSegment(seg) // checked by Parse
	}
	return plain
}

// BaseURL returns the URL that a did:web names, https://host[:port][/a/b].
// [FromWebURL] is its inverse. It fails for any other method.
func (d DID) BaseURL() (string, error) {
	w, err := d.web()
	if err != nil {
		return "", err
	}
	return strings.Join(append([]string{w.origin()}, w.segments...), "/"), nil
}

// DocumentURL returns where the document of a did:web is published. No two
// DIDs share one, and [FromDocumentURL] is its inverse. It fails for any other
// method.
func (d DID) DocumentURL() (string, error) {
	w, err := d.web()
	if err != nil {
		return "", err
	}
	segments := w.segments
	if len(segments) == 0 {
		segments = []string{wellKnown}
	}
	return w.origin() + "/" + strings.Join(segments, "/") + "/" + documentName, nil
}

// FromWebURL returns the did:web of a URL without its document's name:
// https://host:8443/a/b is did:web:host%3A8443:a:b. The host is folded to
// lower case, the default port and a path of "/" are dropped. Anything else
// that [Parse] would not have in a DID is refused, as are userinfo, queries
// and fragments. Every error is a *[ParseError].
func FromWebURL(u string) (DID, error) {
	d, err := fromURL(u)
	if err != nil {
		return DID{}, refuse(u, "%s", err)
	}
	return d, nil
}

// FromDocumentURL returns the did:web whose [DID.DocumentURL] is u, which ends
// in /did.json. Every error is a *[ParseError].
func FromDocumentURL(u string) (DID, error) {
	base, ok := strings.CutSuffix(u, "/"+documentName)
	if !ok {
		return DID{}, refuse(u, "the URL of a DID document ends in /%s", documentName)
	}
	host, rooted := strings.CutSuffix(base, "/"+wellKnown)
	if rooted && strings.Count(host, "/") == 2 {
		base = host
	}
	d, err := fromURL(base)
	if err != nil {
		return DID{}, refuse(u, "%s", err)
	}
	if !rooted && len(d.PathSegments()) == 0 {
		return DID{}, refuse(u, "the document of a host is at /%s/%s", wellKnown, documentName)
	}
	return d, nil
}

func fromURL(raw string) (DID, error) {
	if len(raw) > MaxLength {
		return DID{}, fmt.Errorf("%d bytes, the limit is %d", len(raw), MaxLength)
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return DID{}, errors.New("not a URL")
	case u.Scheme != "https":
		return DID{}, errors.New("not an https URL")
	case strings.HasPrefix(u.Host, "["):
		return DID{}, errors.New("an IP address, use a DNS name")
	case u.User != nil:
		return DID{}, errors.New("userinfo in the URL")
	case strings.ContainsAny(raw, "?#"):
		return DID{}, errors.New("a query or fragment in the URL")
	}
	host, port, hasPort := strings.Cut(u.Host, ":")
	text := prefixWeb + lowerASCII(host)
	if hasPort && port != strconv.Itoa(defaultPort) {
		text += "%3A" + port
	}
	if path := u.EscapedPath(); path != "" && path != "/" {
		for seg := range strings.SplitSeq(path[1:], "/") {
			plain, err := decodeSegment(seg)
			if err != nil {
				return DID{}, err
			}
			text += ":" + encodeSegment(plain)
		}
	}
	d, err := Parse(text)
	var refused *ParseError
	if errors.As(err, &refused) {
		return DID{}, errors.New(refused.Reason)
	}
	return d, err
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

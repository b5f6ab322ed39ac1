package badge

import (
	"encoding/base64"
	"strings"
)

const (
	hashPrefix  = "sha256:"
	hashBytes   = 32
	maxHostname = 253
	maxLabel    = 63
)

// isUUID4 reports whether s is a UUID of version 4 (RFC 9562), in lower case: one badge has one id.
func isUUID4(s string) bool {
	if len(s) != 36 || s[14] != '4' || strings.IndexByte("89ab", s[19]) < 0 {
		return false
	}
	return isUUID(s)
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case c >= '0' && c <= '9', c >= 'a' && c <= 'f':
		default:
			return false
		}
	}
	return true
}

func isChallengeID(s string) bool {
	id, ok := strings.CutPrefix(s, challengePrefix)
	return ok && isUUID(id)
}

// isHash reports whether s is sha256: and the one base64url spelling of 32 bytes.
func isHash(s string) bool {
	digest, ok := strings.CutPrefix(s, hashPrefix)
	return ok && isDigest(digest)
}

// isDigest reports whether s is the strict base64url of a SHA-256.
func isDigest(s string) bool {
	if len(s) != base64.RawURLEncoding.EncodedLen(hashBytes) {
		return false
	}
	out, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil && len(out) == hashBytes
}

// isHostname reports whether s is a domain name of letters, digits and hyphens, in lower case and without a
// final dot.
func isHostname(s string) bool {
	if s == "" || len(s) > maxHostname {
		return false
	}
	for rest, more := s, true; more; {
		var label string
		label, rest, more = strings.Cut(rest, ".")
		if !isLabel(label) {
			return false
		}
	}
	return true
}

func isLabel(s string) bool {
	if s == "" || len(s) > maxLabel || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-':
		default:
			return false
		}
	}
	return true
}

// checkOrigin returns why s is not an https origin in its one spelling (RFC 6454: no path, no default port,
// lower case), or "". An issuer is named by a host name or an IPv4 address, not by an IPv6 address.
func checkOrigin(s string) string {
	rest, ok := strings.CutPrefix(s, "https://")
	if !ok {
		return "it does not begin with https://"
	}
	if i := strings.IndexAny(rest, "/?#@\\"); i >= 0 {
		return "it has more than a host and a port"
	}
	host, port, hasPort := strings.Cut(rest, ":")
	if !isHostname(host) {
		return "its host is not a name in lower case"
	}
	if hasPort && !isPort(port) {
		return "its port is not a number other than 443"
	}
	return ""
}

func isPort(s string) bool {
	if s == "" || len(s) > 5 || s[0] == '0' || s == "443" {
		return false
	}
	n := 0
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n <= 65535
}

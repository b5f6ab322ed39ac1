// Package endpoint has the one spelling of where a server is that pins and
// registries compare: an https URL, a unix socket, or a command line. Use
// [Canonical] for what somebody wrote and [Launch] for a command line.
package endpoint

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"
)

// MaxBytes is the length of the longest endpoint.
const MaxBytes = 2048

const (
	unixPrefix   = "unix:"
	launchPrefix = "stdio:"
)

// Canonical returns the canonical spelling of an endpoint: a URL has its host
// in lower case, no default port, a path, and no query; a socket has no HTTP
// path if that is "/". Everything that has no such spelling is refused, also
// text with spaces or with characters outside of ASCII.
func Canonical(text string) (string, error) {
	if len(text) > MaxBytes {
		return "", fmt.Errorf("an endpoint of more than %d bytes", MaxBytes)
	}
	for i := range len(text) {
		if text[i] <= ' ' || text[i] > '~' {
			return "", fmt.Errorf("endpoint %q has a space, or a character outside of ASCII", text)
		}
	}
	var out string
	var err error
	switch {
	case strings.HasPrefix(text, launchPrefix):
		out, err = canonicalLaunch(text)
	case strings.HasPrefix(text, unixPrefix):
		out, err = canonicalUnix(text)
	default:
		out, err = canonicalURL(text)
	}
	if err == nil && len(out) > MaxBytes {
		err = fmt.Errorf("more than %d bytes", MaxBytes)
	}
	if err != nil {
		return "", fmt.Errorf("endpoint %q: %w", text, err)
	}
	return out, nil
}

func canonicalURL(text string) (string, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return "", errors.New("not a URL")
	case u.Scheme != "https" && u.Scheme != "http":
		return "", errors.New("neither of https, nor of unix or stdio")
	case u.User != nil || u.Opaque != "" || strings.Contains(text, "#"):
		return "", errors.New("userinfo or a fragment")
	}
	host, port := strings.ToLower(u.Hostname()), u.Port()
	if host == "" || strings.HasSuffix(u.Host, ":") || strings.ContainsAny(host, "%[]\\<>\"") {
		return "", errors.New("no host, or an empty port")
	}
	if u.Scheme == "http" && !isLoopback(host) {
		return "", errors.New("plain http to another machine")
	}
	if port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || port[0] == '0' {
			return "", errors.New("the port is not a number from 1 to 65535")
		}
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port != "" && port != map[string]string{"https": "443", "http": "80"}[u.Scheme] {
		host += ":" + port
	}
	escaped := u.EscapedPath()
	if escaped == "" {
		escaped = "/"
	}
	return u.Scheme + "://" + host + escaped, nil
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

func canonicalUnix(text string) (string, error) {
	socket, at, _ := strings.Cut(strings.TrimPrefix(text, unixPrefix), ":")
	if !path.IsAbs(socket) || path.Clean(socket) != socket || socket == "/" {
		return "", errors.New("the socket's path is not absolute and clean")
	}
	if at == "" && !strings.HasSuffix(text, ":") || at == "/" {
		return unixPrefix + socket, nil
	}
	if !strings.HasPrefix(at, "/") || strings.ContainsAny(at, "?#:") {
		return "", errors.New("what follows the socket is no path")
	}
	return unixPrefix + socket + ":" + at, nil
}

func canonicalLaunch(text string) (string, error) {
	words := strings.Split(strings.TrimPrefix(text, launchPrefix), "+")
	for i, word := range words {
		plain, err := url.PathUnescape(word)
		if err != nil {
			return "", errors.New("a word that is not percent-encoded")
		}
		words[i] = plain
	}
	return Launch(words)
}

// Launch returns the endpoint of a server that is launched by a command line:
// its words percent-encoded and joined by plus signs.
func Launch(argv []string) (string, error) {
	if len(argv) == 0 || argv[0] == "" {
		return "", errors.New("a command line without a command")
	}
	var b strings.Builder
	b.WriteString(launchPrefix)
	for i, word := range argv {
		if i > 0 {
			b.WriteByte('+')
		}
		for j := range len(word) {
			if c := word[j]; plainInLaunch(c) {
				b.WriteByte(c)
			} else {
				fmt.Fprintf(&b, "%%%02X", c)
			}
		}
	}
	if b.Len() > MaxBytes {
		return "", fmt.Errorf("a command line of more than %d bytes", MaxBytes)
	}
	return b.String(), nil
}

func plainInLaunch(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~/@:=,", c) >= 0
}

// LaunchDigest returns the SHA-256 of [Launch] of a command line, as text.
func LaunchDigest(argv []string) (string, error) {
	text, err := Launch(argv)
	if err != nil {
		return "", err
	}
	return Digest([]byte(text)), nil
}

// Digest is the text form of a SHA-256: "sha256:" and unpadded base64url.
func Digest(data []byte) string {
	sum := sha256.Sum256(data)
	return digestPrefix + base64.RawURLEncoding.EncodeToString(sum[:])
}

const digestPrefix = "sha256:"

// IsDigest reports whether text has the form that [Digest] gives.
func IsDigest(text string) bool {
	rest, ok := strings.CutPrefix(text, digestPrefix)
	return ok && IsThumbprint(rest)
}

// IsThumbprint reports whether text is unpadded base64url of 32 bytes, as an
// RFC 7638 thumbprint by SHA-256 is.
func IsThumbprint(text string) bool {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return err == nil && len(raw) == sha256.Size && len(text) == 43
}

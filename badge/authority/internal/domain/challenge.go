package domain

import (
	"crypto/rand"
	"encoding/base64"
	"strings"
)

// A Type is a way to show control of a domain.
type Type string

// The types of challenge.
const (
	HTTP01 Type = "http-01" // a file below the domain's web root
	DNS01  Type = "dns-01"  // a TXT record below the domain
)

const (
	challengePath   = "/.well-known/capiscio-challenge/"
	challengeLabel  = "_capiscio-challenge."
	tokenBytes      = 32
	minTokenText    = 22 // 128 bits in base64url
	maxTokenText    = 128
	thumbprintText  = 43 // SHA-256 in unpadded base64url
	base64urlDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
)

// NewToken returns a token that was never used before: 256 random bits in unpadded base64url.
func NewToken() string {
	var b [tokenBytes]byte
	rand.Read(b[:]) //nolint:errcheck // never fails, see crypto/rand
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// Content returns what a domain must show for a token: the token and the RFC 7638 thumbprint of the key that
// the grant will be bound to.
func Content(token, thumbprint string) string { return token + "." + thumbprint }

// URL returns where [Validator.HTTP01] fetches the content.
func URL(domain, token string) string { return "http://" + domain + challengePath + token }

// Record returns the name of the TXT record that [Validator.DNS01] asks for.
func Record(domain string) string { return challengeLabel + domain }

// checkDomain holds a validation to a name that [CheckDomain] made. It is repeated here because this is where
// the name is put into a URL and a question.
func checkDomain(domain string) error {
	name, err := CheckDomain(domain)
	if err != nil {
		return err
	}
	if name != domain {
		return refuse(CodeDomainSyntax, "%.80q is not in lower case", domain)
	}
	return nil
}

// checkToken keeps everything out of the path that could lead out of it, or be read in two ways.
func checkToken(token string) error {
	if len(token) < minTokenText || len(token) > maxTokenText ||
		!isBase64URL(token) {
		return refuse(CodeChallengeInvalid, "a token is %d to %d characters of base64url", minTokenText, maxTokenText)
	}
	return nil
}

// checkContent holds the expected content to a token and a thumbprint, so that nothing that a server could show
// by chance, such as an empty body, is ever what is expected.
func checkContent(want string) (token string, err error) {
	token, thumbprint, _ := strings.Cut(want, ".")
	if err := checkToken(token); err != nil {
		return "", err
	}
	if !isThumbprint(thumbprint) {
		return "", refuse(CodeChallengeInvalid, "the expected content does not end in the thumbprint of a key")
	}
	return token, nil
}

func isBase64URL(s string) bool {
	for i := 0; i < len(s); i++ {
		if strings.IndexByte(base64urlDigits, s[i]) < 0 {
			return false
		}
	}
	return true
}

// isThumbprint reports whether s is the one base64url spelling of 32 bytes.
func isThumbprint(s string) bool {
	if len(s) != thumbprintText || !isBase64URL(s) {
		return false
	}
	_, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil
}

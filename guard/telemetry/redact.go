package telemetry

import (
	"regexp"
	"strings"
)

// Redacted stands where a secret stood.
const Redacted = "[redacted]"

// shortestToken is the length of the shortest text that is looked at for a secret by its shape alone.
const shortestToken = 16

// shapes are secrets that are known by how they look, wherever they stand. Hashes, ids and DIDs have other shapes.
var shapes = regexp.MustCompile(strings.Join([]string{
	`-----BEGIN [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----(?s:.*?)(?:-----END [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----|$)`,
	`eyJ[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_~-]*)*`, // a badge, a proof, any JWS, JWE or SD-JWT, and the first part of one
	`AGE-SECRET-KEY-(?:PQ-)?1[0-9A-Za-z]+`,
	`(?:gh[pousr]_|github_pat_|glpat-|npm_|sk-|sk_live_|sk_test_|rk_live_|pypi-|hf_|ya29\.)[A-Za-z0-9_-]{10,}`,
	`xox[a-z]-[A-Za-z0-9-]{8,}`,
	`(?:AKIA|ASIA)[A-Z0-9]{16}`,
	`AIza[A-Za-z0-9_-]{30,}`,
}, "|"))

// assignments are secrets that are known by the name before them: in JSON, in a query, in a header, in a log line.
var assignments = regexp.MustCompile(`(?i)((?:^|[^a-z0-9])["']?(?:` + strings.Join([]string{
	`[a-z0-9_.-]*(?:password|passwd|passphrase|secret|credentials?|api[_-]?key|private[_-]?key|access[_-]?key|token)`,
	`(?:proxy-)?authorization`, `(?:set-)?cookie`, `x-capiscio-(?:badge|hop)`, `pwd`, `capiscio_hop`,
}, "|") + `)["']?\s*[:=]\s*\[*(?:(?:bearer|basic|dpop|digest)\s+)?)(\[redacted\]|"(?:[^"\\]|\\.)*"?|'[^']*'?|[^\s"'&;,}\])]+)`)

// schemes are credentials that are known by the scheme of an Authorization header before them.
var schemes = regexp.MustCompile(`(?i)(\b(?:bearer|basic|dpop)\s+)[A-Za-z0-9._~+/=-]{8,}`)

// privateMember is the private part of a JWK.
var privateMember = regexp.MustCompile(`("(?:d|p|q|dp|dq|qi|k)"\s*:\s*)"[A-Za-z0-9_=-]{16,}"?`)

// userinfo is the user and password of a URI.
var userinfo = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)[^/\s?#@"']+@`)

// Redact returns s with [Redacted] in the place of each secret in it that can be told by its shape or by the name
// before it: tokens of JOSE, so badges and proofs, private keys, credentials of HTTP, passwords in URIs, values of
// members such as "password", and API keys that say what they are. It is a second line of defence: a secret that
// looks like any other word is not found.
func Redact(s string) string {
	if len(s) >= shortestToken && mayHoldToken(s) {
		s = shapes.ReplaceAllLiteralString(s, Redacted)
		s = schemes.ReplaceAllString(s, "${1}"+Redacted)
		s = userinfo.ReplaceAllString(s, "${1}"+Redacted+"@")
	}
	if strings.ContainsAny(s, ":=") {
		s = assignments.ReplaceAllString(s, "${1}"+Redacted)
		s = privateMember.ReplaceAllString(s, `${1}"`+Redacted+`"`)
	}
	return s
}

// marks are what each of shapes, schemes and userinfo contains in lower case. Most texts contain none.
var marks = []string{"eyj", "-----begin", "age-secret", "gh", "glpat-", "npm_", "sk-", "_live_", "sk_test_", "pypi-",
	"hf_", "ya29.", "xox", "akia", "asia", "aiza", "bearer", "basic", "dpop", "://"}

func mayHoldToken(s string) bool {
	lower := strings.ToLower(s)
	for _, mark := range marks {
		if strings.Contains(lower, mark) {
			return true
		}
	}
	return false
}

// secretWords are the words that make a name that of a secret, whatever its value looks like.
var secretWords = []string{"badge", "proof", "jws", "jwt", "token", "secret", "password", "passwd", "passphrase",
	"authorization", "cookie", "credential", "credentials", "seed", "salt", "nonce", "pwd", "bearer"}

// plainWords make a name that has a secret word that of something else: badge_id is no badge.
var plainWords = []string{"id", "hash", "level", "kind", "count", "total", "expires", "issuer", "url", "file", "path",
	"type", "code", "version", "length", "size", "ttl", "cause", "reason", "subject", "verified", "required", "seconds"}

// secretNames are whole names of secrets whose words are no secrets by themselves.
var secretNames = []string{"key", "privatekey", "apikey", "accesskey", "signingkey", "secretkey", "hop", "capisciohop",
	"xcapisciohop", "jwk", "pem", "arguments", "inputresponses", "result"}

// isSecretName reports whether values of this name are secrets: badge, call_proof, API-Key, userPassword; and what a
// caller sends or gets.
func isSecretName(name string) bool {
	words := wordsOf(name)
	if len(words) == 0 {
		return false
	}
	whole := strings.Join(words, "")
	for _, n := range secretNames {
		if whole == n {
			return true
		}
	}
	last := words[len(words)-1]
	for _, n := range plainWords {
		if last == n {
			return false
		}
	}
	for _, w := range words {
		for _, secret := range secretWords {
			if w == secret || w == secret+"s" {
				return true
			}
		}
	}
	return strings.HasSuffix(whole, "privatekey") || strings.HasSuffix(whole, "apikey")
}

// wordsOf splits a name at what is no letter or digit, and before upper-case letters; the words are lower case.
func wordsOf(name string) []string {
	var words []string
	start, lower := -1, false
	for i := 0; i <= len(name); i++ {
		letter, upper := false, false
		if i < len(name) {
			c := name[i]
			upper = 'A' <= c && c <= 'Z'
			letter = upper || 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
		}
		if start >= 0 && (!letter || upper && lower) {
			words = append(words, strings.ToLower(name[start:i]))
			start = -1
		}
		if letter && start < 0 {
			start = i
		}
		lower = letter && !upper
	}
	return words
}

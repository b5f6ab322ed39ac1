package mcpwire

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
)

// Presented is what one request brought along. An empty member was absent; a
// member that was present and empty is an error instead.
type Presented struct {
	Badge string // compact JWS
	Hop   string // compact JWS, the call proof
	Txn   string
	Nonce string // unpadded base64url of NonceBytes bytes
}

// Error says which member of a request is unusable. It never holds the value.
type Error struct {
	Name   string // header field or `_meta` member
	Reason string
}

func (e *Error) Error() string { return fmt.Sprintf("%s %s", e.Name, e.Reason) }

// Cause names what was malformed by the code that its verifier would have given
// (spec/guard.md section 6), and "" for what no verifier sees.
func (e *Error) Cause() string {
	switch e.Name {
	case MetaBadge, HeaderBadge, "Authorization":
		return "BADGE_MALFORMED"
	case MetaHop, HeaderHop:
		return "CALL_PROOF_MALFORMED"
	case MetaTxn, HeaderTxn:
		return "TXN_MALFORMED"
	}
	return ""
}

// Rules changes what Extract accepts. The zero value is the strict one.
type Rules struct {
	// AllowAuthorizationBeside leaves Authorization to another layer: it may
	// stand beside a badge, and is not looked at whether there is one or not. A
	// badge must then come in X-Capiscio-Badge or in `_meta`.
	AllowAuthorizationBeside bool
}

// Extract returns what a request presents in its headers and its `_meta`,
// either of which may be nil. A value that stands in both must be the same in
// both. The error is an *[Error].
func Extract(h http.Header, meta map[string]any) (Presented, error) {
	return Rules{}.Extract(h, meta)
}

// Extract is [Extract] under the rules r.
func (r Rules) Extract(h http.Header, meta map[string]any) (Presented, error) {
	a, err := r.FromHeader(h)
	if err != nil {
		return Presented{}, err
	}
	b, err := FromMeta(meta)
	if err != nil {
		return Presented{}, err
	}
	return merge(a, b)
}

// FromMeta returns what a request's `_meta` presents.
func FromMeta(meta map[string]any) (Presented, error) {
	return collect(names{MetaBadge, MetaHop, MetaTxn, MetaNonce}, func(name string) (string, bool, error) {
		v, ok := meta[name]
		if !ok {
			return "", false, nil
		}
		s, ok := v.(string)
		if !ok {
			return "", false, &Error{name, "is not a string"}
		}
		return s, true, nil
	})
}

// FromHeader returns what a request's header fields present. A field given
// twice is refused, and so is a badge field beside Authorization: Bearer.
func FromHeader(h http.Header) (Presented, error) { return Rules{}.FromHeader(h) }

// FromHeader is [FromHeader] under the rules r.
func (r Rules) FromHeader(h http.Header) (Presented, error) {
	p, err := collect(names{HeaderBadge, HeaderHop, HeaderTxn, HeaderNonce}, func(name string) (string, bool, error) {
		return Single(h, name)
	})
	if err != nil {
		return Presented{}, err
	}
	if r.AllowAuthorizationBeside {
		return p, nil
	}
	bearer, err := bearerToken(h)
	if err != nil {
		return Presented{}, err
	}
	if bearer != "" && p.Badge != "" {
		return Presented{}, &Error{HeaderBadge, "stands beside Authorization: Bearer; send the badge in one of them"}
	}
	if bearer != "" {
		p.Badge = bearer
	}
	return p, nil
}

// Single returns the value of a header field that may stand once. Field names
// that differ from the canonical form only in case count as the same field,
// since a map filled by hand can hold both.
func Single(h http.Header, name string) (value string, ok bool, err error) {
	n := 0
	for k, values := range h {
		if len(values) > 0 && strings.EqualFold(k, name) {
			n += len(values)
			value = values[0]
		}
	}
	switch n {
	case 0:
		return "", false, nil
	case 1:
		return value, true, nil
	}
	return "", false, &Error{name, fmt.Sprintf("is given %d times", n)}
}

// bearerToken returns the token of Authorization: Bearer, or "" when there is
// no Authorization or one of another scheme.
func bearerToken(h http.Header) (string, error) {
	v, ok, err := Single(h, "Authorization")
	if err != nil || !ok {
		return "", err
	}
	scheme, token, _ := strings.Cut(v, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", nil
	}
	if reason := checkToken(token); reason != "" {
		return "", &Error{"Authorization", reason}
	}
	return token, nil
}

type names struct{ badge, hop, txn, nonce string }

// collect looks each name up once and checks the form of what it finds.
func collect(n names, lookUp func(name string) (string, bool, error)) (Presented, error) {
	var p Presented
	for _, m := range []struct {
		name  string
		to    *string
		check func(string) string
	}{
		{n.badge, &p.Badge, checkToken},
		{n.hop, &p.Hop, checkToken},
		{n.txn, &p.Txn, checkTxn},
		{n.nonce, &p.Nonce, checkNonce},
	} {
		s, ok, err := lookUp(m.name)
		if err != nil {
			return Presented{}, err
		}
		if !ok {
			continue
		}
		if reason := m.check(s); reason != "" {
			return Presented{}, &Error{m.name, reason}
		}
		*m.to = s
	}
	return p, nil
}

func merge(a, b Presented) (Presented, error) {
	out := a
	for _, m := range []struct {
		name     string
		to       *string
		fromMeta string
	}{
		{MetaBadge, &out.Badge, b.Badge},
		{MetaHop, &out.Hop, b.Hop},
		{MetaTxn, &out.Txn, b.Txn},
		{MetaNonce, &out.Nonce, b.Nonce},
	} {
		switch {
		case m.fromMeta == "" || m.fromMeta == *m.to:
		case *m.to == "":
			*m.to = m.fromMeta
		default:
			return Presented{}, &Error{m.name, "differs from the header field of the same meaning"}
		}
	}
	return out, nil
}

// checkToken admits the alphabet and the shape of a compact JWS; the JWS itself
// is judged by who verifies it.
func checkToken(s string) string {
	switch {
	case s == "":
		return "is empty"
	case len(s) > MaxTokenBytes:
		return fmt.Sprintf("is longer than %d bytes", MaxTokenBytes)
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '.' && c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return "is not a compact JWS"
		}
	}
	if strings.Count(s, ".") != 2 {
		return "is not a compact JWS"
	}
	return ""
}

func checkTxn(s string) string {
	if s == "" {
		return "is empty"
	}
	if len(s) > MaxTxnBytes {
		return fmt.Sprintf("is longer than %d bytes", MaxTxnBytes)
	}
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] > '~' {
			return "holds a character that is not visible ASCII"
		}
	}
	return ""
}

func checkNonce(s string) string {
	if _, ok := decodeNonce(s); !ok {
		return nonceReason
	}
	return ""
}

// EncodeNonce returns the one text form of a nonce.
func EncodeNonce(n [NonceBytes]byte) string { return base64.RawURLEncoding.EncodeToString(n[:]) }

// DecodeNonce is the inverse of [EncodeNonce]; it accepts nothing else. The
// error is an *[Error].
func DecodeNonce(s string) ([NonceBytes]byte, error) {
	n, ok := decodeNonce(s)
	if !ok {
		return n, &Error{"nonce", nonceReason}
	}
	return n, nil
}

const nonceReason = "is not 32 bytes in unpadded base64url"

func decodeNonce(s string) (n [NonceBytes]byte, ok bool) {
	// The length first: Decode skips CR and LF, and writes as far as it gets.
	if len(s) != base64.RawURLEncoding.EncodedLen(NonceBytes) {
		return n, false
	}
	got, err := base64.RawURLEncoding.Strict().Decode(n[:], []byte(s))
	return n, err == nil && got == NonceBytes
}

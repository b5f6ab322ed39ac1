// Package jws reads and writes the only form of JWS that Touchmark knows: the compact serialization (RFC
// 7515), signed with Ed25519 (EdDSA, RFC 8037) or P-256 (ES256), with a header of `alg`, `typ` and `kid` and
// nothing else.
//
// [Parse] is where strictness lives: it refuses everything that another reader could read in another way.
// go-jose does the cryptography in [Message.Verify] and [Sign]; what it would tolerate never reaches it.
// See spec/badge.md, "Format".
package jws

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

const (
	// MaxTokenBytes is the length of the longest token that is read or written.
	MaxTokenBytes = 16 << 10
	// MaxKeyIDBytes is the length of the longest kid.
	MaxKeyIDBytes = 512
)

// The algorithms, as the header names them.
const (
	EdDSA = "EdDSA"
	ES256 = "ES256"
)

// A Header is the protected header of a token: these members and no others may be present.
type Header struct {
	Alg string // EdDSA or ES256
	Typ string // says what kind of token this is; never empty in what Parse returns
	Kid string // names the signer's key; empty when absent
}

// A MalformedError says that a text is not a token in this package's sense. The reason never quotes more of
// the token than a member's name or a header value.
type MalformedError struct {
	Reason string
}

func (e *MalformedError) Error() string { return "jws: malformed token: " + e.Reason }

func malformed(format string, args ...any) error {
	return &MalformedError{Reason: fmt.Sprintf(format, args...)}
}

// A Message is a parsed token whose signature has not been checked: nothing in it may be believed before
// [Message.Verify] has returned nil.
type Message struct {
	Header
	Payload []byte

	token string
	text  string // Payload as a string
}

// Token returns the text that was parsed.
func (m *Message) Token() string { return m.token }

// Parse takes a token apart. The caller compares Typ with what it expects. Every error is a
// [*MalformedError].
func Parse(token string) (*Message, error) { return ParseMax(token, MaxTokenBytes) }

// ParseMax is [Parse] with a limit of its own, for kinds of token that are lists.
func ParseMax(token string, maxBytes int) (*Message, error) {
	m, err := parse(token, maxBytes)
	if err != nil {
		return nil, err
	}
	if m.Typ == "" {
		return nil, malformed("the header has no typ")
	}
	return m, nil
}

// ParseAllowMissingTyp is [Parse], and lets a header without `typ` pass: Typ is empty then. It exists for
// the compat profile of badges (spec/badge.md, "Compat profile").
func ParseAllowMissingTyp(token string) (*Message, error) { return parse(token, MaxTokenBytes) }

func parse(token string, maxBytes int) (*Message, error) {
	if len(token) > maxBytes {
		return nil, malformed("more than %d bytes", maxBytes)
	}
	head, rest, _ := strings.Cut(token, ".")
	body, sig, ok := strings.Cut(rest, ".")
	if !ok || strings.Contains(sig, ".") {
		return nil, malformed("not three parts separated by dots")
	}
	m := &Message{token: token}
	if err := m.decode(head, body, sig); err != nil {
		return nil, err
	}
	return m, nil
}

// decode decodes the three parts. Header and payload share one buffer and one string: this runs for every
// call that a badge is presented with.
func (m *Message) decode(head, body, sig string) error {
	buf := make([]byte, 0, strict.DecodedLen(len(head))+strict.DecodedLen(len(body)))
	buf, err := appendPart(buf, "header", head)
	if err != nil {
		return err
	}
	n := len(buf)
	if buf, err = appendPart(buf, "payload", body); err != nil {
		return err
	}
	var room [128]byte
	if _, err = appendPart(room[:0], "signature", sig); err != nil {
		return err
	}
	text := string(buf)
	m.Payload, m.text = buf[n:], text[n:]
	m.Header, err = parseHeader(buf[:n], text[:n])
	return err
}

// PayloadValue returns the payload as JSON. The error is about the JSON and is not a [*MalformedError].
func (m *Message) PayloadValue() (strictjson.Value, error) {
	if err := strictjson.Validate(m.Payload); err != nil {
		return "", err
	}
	return strictjson.Trusted(m.text), nil
}

// strict refuses set bits that no byte uses. It passes over line breaks, as all decoders of the standard
// library do, so appendPart looks for those itself.
var strict = base64.RawURLEncoding.Strict()

func appendPart(dst []byte, part, text string) ([]byte, error) {
	if text == "" {
		return nil, malformed("the %s is empty", part)
	}
	if strings.ContainsAny(text, "\r\n") {
		return nil, malformed("the %s has a line break", part)
	}
	out, err := strict.AppendDecode(dst, []byte(text))
	if err != nil {
		return nil, malformed("the %s is not strict base64url without padding", part)
	}
	return out, nil
}

// parseHeader reads the header, which it is given as bytes and as a string.
func parseHeader(data []byte, text string) (Header, error) {
	var h Header
	if err := strictjson.Validate(data); err != nil {
		return h, malformed("header: %v", err)
	}
	v := strictjson.Trusted(text)
	if v.Kind() != '{' {
		return h, malformed("the header is not a JSON object")
	}
	for m := v.Members(); m.Next(); {
		if err := h.read(m.Name, m.Value); err != nil {
			return h, err
		}
	}
	switch h.Alg {
	case EdDSA, ES256:
		return h, nil
	case "":
		return h, malformed("the header has no alg")
	case "none":
		return h, malformed(`header member alg is "none": the token is not signed`)
	case "HS256", "HS384", "HS512":
		return h, malformed("header member alg is %q: a public key is not a shared secret", h.Alg)
	default:
		return h, malformed("header member alg is %.20q: want EdDSA or ES256", h.Alg)
	}
}

func (h *Header) read(name string, v strictjson.Value) error {
	var field *string
	switch name {
	case "alg":
		field = &h.Alg
	case "typ":
		field = &h.Typ
	case "kid":
		field = &h.Kid
	default:
		return refuseMember(name)
	}
	s, ok := v.Text()
	if !ok {
		return malformed("header member %s is not a string", name)
	}
	if s == "" {
		return malformed("header member %s is empty", name)
	}
	if len(s) > MaxKeyIDBytes {
		return malformed("header member %s is longer than %d bytes", name, MaxKeyIDBytes)
	}
	*field = s
	return nil
}

// refuseMember says why a header may not have a member. All of them are refused, known or not; those that
// attacks are made of are told apart.
func refuseMember(name string) error {
	switch name {
	case "crit":
		return malformed(`header member "crit" is not allowed: no extension is understood`)
	case "b64":
		return malformed(`header member "b64" is not allowed: every payload is base64url`)
	case "zip":
		return malformed(`header member "zip" is not allowed: no payload is compressed`)
	case "jwk", "x5c":
		return malformed("header member %q is not allowed: a token does not bring its own key", name)
	case "jku", "x5u":
		return malformed("header member %q is not allowed: a token does not say where its key is", name)
	default:
		return malformed("header member %.40q is not allowed", name)
	}
}

// TokenHash is the SHA-256 of a token's text: what names it in caches and in evidence.
func TokenHash(token string) [sha256.Size]byte {
	var room [1024]byte // most tokens are shorter, and are hashed without a copy on the heap
	return sha256.Sum256(append(room[:0], token...))
}

package pop

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jcs"
	"github.com/touchmark-dev/touchmark/internal/jws"
)

// contextCall separates the hash of a call from all other hashes.
const contextCall = "touchmark/call/v1\n"

const hashPrefix = "sha256:"

var b64 = base64.RawURLEncoding.Strict()

// A Call is what a proof is about, taken from what the server is going to execute and from nothing else.
// spec/call-proof.md section 3.1 says what the members are for each method of MCP.
type Call struct {
	Method string // "tools/call"
	Target string // name of the tool or prompt, URI of the resource; empty where the method has none

	// Arguments and InputResponses are JSON objects. Absent, null and {} are the same.
	Arguments      json.RawMessage
	InputResponses json.RawMessage
}

// Hash returns the claim call_hash: SHA-256, under salt, of the RFC 8785 form of the object with the members
// arguments, input_responses, method and target. It fails for what has no canonical form: text that is not
// valid UTF-8, parameters that are not an object, numbers that two readers could read as two.
func (c *Call) Hash(salt [32]byte) (string, error) {
	text, err := c.canonical()
	if err != nil {
		return "", err
	}
	h := sha256.New()
	h.Write([]byte(contextCall))
	h.Write(salt[:])
	h.Write(text)
	return hashPrefix + b64.EncodeToString(h.Sum(nil)), nil
}

// canonical puts canonical parts together in the order of RFC 8785; a test compares it with the
// canonicalization of the whole.
func (c *Call) canonical() ([]byte, error) {
	if c.Method == "" || !utf8.ValidString(c.Method) || !utf8.ValidString(c.Target) {
		return nil, errors.New("call proof: want a method, and a method and a target in UTF-8")
	}
	arguments, err := canonicalObject(c.Arguments)
	if err != nil {
		return nil, fmt.Errorf("call proof: arguments: %w", err)
	}
	responses, err := canonicalObject(c.InputResponses)
	if err != nil {
		return nil, fmt.Errorf("call proof: input responses: %w", err)
	}
	b := make([]byte, 0, len(arguments)+len(responses)+len(c.Method)+len(c.Target)+80)
	b = append(append(b, `{"arguments":`...), arguments...)
	b = append(append(b, `,"input_responses":`...), responses...)
	b, _ = jsontext.AppendQuote(append(b, `,"method":`...), c.Method) // fails only for what is not UTF-8
	b, _ = jsontext.AppendQuote(append(b, `,"target":`...), c.Target)
	return append(b, '}'), nil
}

func canonicalObject(text json.RawMessage) ([]byte, error) {
	const empty = "{}"
	if len(text) == 0 || string(text) == empty {
		return []byte(empty), nil
	}
	out, err := jcs.Canonicalize(text)
	switch {
	case err != nil:
		return nil, err
	case string(out) == "null":
		return []byte(empty), nil
	case out[0] != '{':
		return nil, errors.New("not a JSON object")
	}
	return out, nil
}

// TargetURI returns the claim htu of a call over MCP: mcp://, the server's DID, a slash and the method. All
// bytes but unreserved ones are percent-encoded, except the slashes of the method.
func TargetURI(server did.DID, method string) string {
	b := make([]byte, 0, len("mcp:///")+2*len(server.String())+len(method))
	b = appendEscaped(append(b, "mcp://"...), server.String(), "")
	return string(appendEscaped(append(b, '/'), method, "/"))
}

// appendEscaped percent-encodes all bytes of s that are neither unreserved (RFC 3986) nor in keep.
func appendEscaped(b []byte, s, keep string) []byte {
	const digits = "0123456789ABCDEF"
	for i := 0; i < len(s); i++ {
		c := s[i]
		if isAlphanumeric(c) || strings.IndexByte("-._~", c) >= 0 || strings.IndexByte(keep, c) >= 0 {
			b = append(b, c)
		} else {
			b = append(b, '%', digits[c>>4], digits[c&15])
		}
	}
	return b
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// HashHop returns the hash by which a later hop names this one as its parent: of the payload's RFC 8785 form,
// as RFC-004 section 8.6 defines it. It does not verify the proof.
func HashHop(proof string) (string, error) {
	m, err := jws.Parse(proof)
	if err != nil {
		return "", refuse(CodeMalformed, "", "%v", err)
	}
	text, err := jcs.Canonicalize(m.Payload)
	if err != nil {
		return "", refuse(CodeMalformed, "", "payload: %v", err)
	}
	sum := sha256.Sum256(text)
	return hashPrefix + b64.EncodeToString(sum[:]), nil
}

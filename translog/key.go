package translog

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"

	"github.com/touchmark-dev/touchmark/internal/jwk"
)

// Signature types of C2SP signed-note.
const (
	algEd25519       = 0x01
	algCosignatureV1 = 0x04
)

// A Signer signs the checkpoints of one log. Its name is the log's origin. It
// is a note.Signer that also knows its public half. Make one with
// [ParseSigner] or [NewSigner]; the zero Signer cannot sign.
type Signer struct {
	origin string
	hash   uint32
	vkey   string
	key    crypto.Signer
}

var _ note.Signer = (*Signer)(nil)

// GenerateKey makes an Ed25519 key for the log of this origin, which should be
// a URL without scheme such as "log.example.com/calls", and returns the secret
// signer key and the verifier key, in the encoding of C2SP signed-note. The
// error is a [*RejectedError] with [CodeKeyMalformed], for an origin that no
// signature line can carry.
func GenerateKey(origin string) (skey, vkey string, err error) {
	if !validName(origin) {
		return "", "", reject(CodeKeyMalformed, "origin %q is empty or has a space or a plus", origin)
	}
	return note.GenerateKey(rand.Reader, origin)
}

// ParseSigner reads a signer key as [GenerateKey] returns it, and nothing else.
// No error shows the key.
func ParseSigner(skey string) (*Signer, error) {
	if _, err := note.NewSigner(skey); err != nil {
		return nil, reject(CodeKeyMalformed, "the signer key cannot be read: %v", err)
	}
	fields := strings.SplitN(skey, "+", 5) // PRIVATE, KEY, name, hash, key
	raw, err := base64.StdEncoding.DecodeString(fields[4])
	if err != nil {
		return nil, reject(CodeKeyMalformed, "the signer key cannot be read")
	}
	s, err := NewSigner(fields[2], ed25519.NewKeyFromSeed(raw[1:]))
	if err != nil {
		return nil, err
	}
	if skey != fmt.Sprintf("PRIVATE+KEY+%s+%08x+%s", s.origin, s.hash, base64.StdEncoding.EncodeToString(raw)) {
		return nil, reject(CodeKeyMalformed, "the signer key is not in its one encoding")
	}
	return s, nil
}

// NewSigner signs for the log of this origin with an Ed25519 key that may live
// elsewhere, in an agent or in hardware.
func NewSigner(origin string, key crypto.Signer) (*Signer, error) {
	if !validName(origin) {
		return nil, reject(CodeKeyMalformed, "origin %q is empty or has a space or a plus", origin)
	}
	public, ok := key.Public().(ed25519.PublicKey)
	if !ok {
		return nil, reject(CodeKeyMalformed, "the key is a %T, want Ed25519", key.Public())
	}
	vkey, err := note.NewEd25519VerifierKey(origin, public)
	if err != nil {
		return nil, reject(CodeKeyMalformed, "%v", err)
	}
	parsed, rejected := parseKey(vkey, algEd25519)
	if rejected != nil {
		return nil, rejected
	}
	return &Signer{origin: origin, hash: parsed.verifier.KeyHash(), vkey: vkey, key: key}, nil
}

// Name returns the log's origin.
func (s *Signer) Name() string { return s.origin }

// KeyHash returns the key's identifier in signature lines.
func (s *Signer) KeyHash() uint32 { return s.hash }

// Sign returns the raw Ed25519 signature over msg.
func (s *Signer) Sign(msg []byte) ([]byte, error) {
	return s.key.Sign(rand.Reader, msg, crypto.Hash(0))
}

// VerifierKey returns the public half, as a policy's log line wants it.
func (s *Signer) VerifierKey() string { return s.vkey }

// String returns the public half, so that printing a Signer shows no secret.
func (s *Signer) String() string { return s.vkey }

// Format prints what String returns, whatever the verb.
func (s *Signer) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.vkey) }

// A verifierKey is a vkey, parsed.
type verifierKey struct {
	name     string
	public   ed25519.PublicKey
	verifier note.Verifier
}

// parseKey reads a vkey of this signature type. formats/note does not compare
// the key ID, takes a log's key for a witness's, and both it and x/mod decode
// base64 and hexadecimal generously; so the key must encode to the same text.
func parseKey(vkey string, alg byte) (*verifierKey, *RejectedError) {
	name, rest, _ := strings.Cut(vkey, "+")
	id, encoded, _ := strings.Cut(rest, "+")
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(raw) == 0 || len(id) != 8 || !validName(name) {
		return nil, reject(CodeKeyMalformed, "%q is not a name, a key ID and a key", vkey)
	}
	if raw[0] != alg {
		return nil, reject(CodeKeyMalformed, "the signature type is 0x%02x, want 0x%02x", raw[0], alg)
	}
	public := ed25519.PublicKey(raw[1:])
	if err := jwk.CheckEd25519(public); err != nil {
		return nil, reject(CodeKeyMalformed, "the key of %q is no usable Ed25519 key", name)
	}
	canonical, err := note.NewEd25519VerifierKey(name, public)
	if err == nil && alg == algCosignatureV1 {
		canonical, err = fnote.VKeyToCosignatureV1(canonical)
	}
	if err != nil {
		return nil, reject(CodeKeyMalformed, "%v", err)
	}
	if !strings.EqualFold(canonical[:len(name)+9], vkey[:len(name)+9]) {
		return nil, reject(CodeKeyMalformed, "key ID %q does not belong to this name and key", id)
	}
	if canonical != vkey {
		return nil, reject(CodeKeyMalformed, "the key of %q is not in its one encoding", name)
	}
	return newVerifierKey(name, public, canonical)
}

func newVerifierKey(name string, public ed25519.PublicKey, vkey string) (*verifierKey, *RejectedError) {
	v, err := fnote.NewVerifier(vkey)
	if err != nil {
		return nil, reject(CodeKeyMalformed, "%v", err)
	}
	return &verifierKey{name: name, public: bytes.Clone(public), verifier: v}, nil
}

// validName follows C2SP signed-note: not empty, no Unicode space, no plus.
func validName(name string) bool {
	return name != "" && utf8.ValidString(name) &&
		!strings.ContainsFunc(name, func(r rune) bool { return r == '+' || unicode.IsSpace(r) || unicode.IsControl(r) })
}

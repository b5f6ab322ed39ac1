// Package jwk reads and writes JSON Web Keys (RFC 7517, RFC 8037) of the two kinds that Touchmark uses:
// Ed25519 and P-256. [ParsePublic] is for one key, [ParseSet] for an issuer's set, [ParsePrivate] for a key
// file.
//
// Parsing is strict: exact base64url with no unused bits set, coordinates of full length, points on the
// curve and not of small order, no private member in a public key, and `use`, `alg` and `key_ops`, where they are
// given, must allow signatures of the key's own algorithm.
package jwk

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// MaxBytes is the size of the longest text of one key that is read.
const MaxBytes = 4 << 10

// The signature algorithms of the two kinds of key, as JWS names them.
const (
	AlgEd25519 = "EdDSA"
	AlgP256    = "ES256"
)

// ErrUnsupported is wrapped by errors about keys that are of another kind or for another use than ours.
// [ParseSet] passes over those.
var ErrUnsupported = errors.New("unsupported key")

// A Public is a public key and what its JWK says of it.
type Public struct {
	Key   crypto.PublicKey // ed25519.PublicKey or *ecdsa.PublicKey on P-256
	KeyID string           // kid; empty when absent
	Alg   string           // alg; empty when absent
	Use   string           // use; "sig" or empty
}

// ParsePublic reads one public key.
func ParsePublic(data []byte) (*Public, error) {
	if len(data) > MaxBytes {
		return nil, fmt.Errorf("jwk: key of more than %d bytes", MaxBytes)
	}
	v, err := strictjson.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("jwk: %w", err)
	}
	p, err := FromValue(v)
	if err != nil {
		return nil, err
	}
	return &p, nil
}

// FromValue is [ParsePublic] for a value that is already parsed, such as a member of a token. It does not
// bound the size.
func FromValue(v strictjson.Value) (Public, error) {
	m, err := readMembers(v)
	if err != nil {
		return Public{}, err
	}
	if m.private != "" {
		return Public{}, fmt.Errorf("jwk: public key with private member %q", m.private)
	}
	return m.public()
}

// members are those members of a JWK that matter here, still as text.
type members struct {
	kty, crv, x, y, d, kid, alg, use string

	private string // name of the first private member met
	verify  bool   // key_ops is absent or contains "verify"
}

func readMembers(v strictjson.Value) (members, error) {
	m := members{verify: true}
	if v.Kind() != '{' {
		return m, errors.New("jwk: not a JSON object")
	}
	for it := v.Members(); it.Next(); {
		if err := m.read(it.Name, it.Value); err != nil {
			return m, err
		}
	}
	return m, nil
}

func (m *members) read(name string, v strictjson.Value) error {
	var field *string
	switch name {
	case "kty":
		field = &m.kty
	case "crv":
		field = &m.crv
	case "x":
		field = &m.x
	case "y":
		field = &m.y
	case "kid":
		field = &m.kid
	case "alg":
		field = &m.alg
	case "use":
		field = &m.use
	case "d":
		field, m.private = &m.d, name
	case "p", "q", "dp", "dq", "qi", "oth", "k", "priv":
		m.private = name
		return nil
	case "key_ops":
		return m.readOps(v)
	default:
		return nil
	}
	s, ok := v.Text()
	if !ok || s == "" {
		return fmt.Errorf("jwk: member %q is not a non-empty string", name)
	}
	*field = s
	return nil
}

func (m *members) readOps(v strictjson.Value) error {
	if v.Kind() != '[' {
		return errors.New(`jwk: member "key_ops" is not an array`)
	}
	m.verify = false
	for it := v.Elements(); it.Next(); {
		op, ok := it.Value.Text()
		if !ok {
			return errors.New(`jwk: member "key_ops" holds something else than strings`)
		}
		if op == "verify" {
			m.verify = true
		}
	}
	return nil
}

func (m *members) public() (Public, error) {
	// Not as a part of the text that it was read from: keys are kept.
	p := Public{KeyID: strings.Clone(m.kid), Alg: m.alg, Use: m.use}
	var alg string
	var err error
	switch {
	case m.kty == "OKP" && m.crv == "Ed25519":
		alg = AlgEd25519
		p.Key, err = m.ed25519()
	case m.kty == "EC" && m.crv == "P-256":
		alg = AlgP256
		p.Key, err = m.p256()
	case m.kty == "":
		return p, errors.New("jwk: no kty")
	default:
		return p, fmt.Errorf("jwk: %w: kty %q, crv %q", ErrUnsupported, m.kty, m.crv)
	}
	if err != nil {
		return p, err
	}
	return p, m.checkUse(alg)
}

func (m *members) checkUse(alg string) error {
	switch {
	case m.use != "" && m.use != "sig":
		return fmt.Errorf("jwk: %w: use %q", ErrUnsupported, m.use)
	case m.alg != "" && m.alg != alg:
		return fmt.Errorf("jwk: %w: alg %q for a key of %s", ErrUnsupported, m.alg, alg)
	case !m.verify:
		return fmt.Errorf(`jwk: %w: key_ops without "verify"`, ErrUnsupported)
	}
	return nil
}

func (m *members) ed25519() (crypto.PublicKey, error) {
	if m.y != "" {
		return nil, errors.New(`jwk: Ed25519 key with a member "y"`)
	}
	x, err := coordinate("x", m.x)
	if err != nil {
		return nil, err
	}
	if err := CheckEd25519(x[:]); err != nil {
		return nil, err
	}
	return ed25519.PublicKey(x[:]), nil
}

func (m *members) p256() (crypto.PublicKey, error) {
	x, err := coordinate("x", m.x)
	if err != nil {
		return nil, err
	}
	y, err := coordinate("y", m.y)
	if err != nil {
		return nil, err
	}
	point := append(append([]byte{4}, x[:]...), y[:]...)
	pub, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return nil, errors.New("jwk: not a point on P-256")
	}
	return pub, nil
}

// coordinateBytes is the length of a coordinate on either curve.
const coordinateBytes = 32

// strict is unpadded base64url; with it unused bits must be zero. Like every decoder of the standard library
// it passes over line breaks, which is why [coordinate] checks the length of the text too.
var strict = base64.RawURLEncoding.Strict()

func coordinate(name, text string) (*[coordinateBytes]byte, error) {
	switch {
	case text == "":
		return nil, fmt.Errorf("jwk: no member %q", name)
	case len(text) != strict.EncodedLen(coordinateBytes):
		return nil, fmt.Errorf("jwk: member %q is not of %d bytes", name, coordinateBytes)
	}
	var buf [coordinateBytes + 1]byte
	n, err := strict.Decode(buf[:], []byte(text))
	if err != nil || n != coordinateBytes {
		return nil, fmt.Errorf("jwk: member %q is not strict base64url", name)
	}
	out := [coordinateBytes]byte(buf[:coordinateBytes])
	return &out, nil
}

// Marshal writes a public key as a JWK in canonical form (RFC 8785), with a kid unless that is empty.
func Marshal(pub crypto.PublicKey, kid string) ([]byte, error) {
	return marshal(&Public{Key: pub, KeyID: kid}, "")
}

// Thumbprint returns the SHA-256 thumbprint of RFC 7638 as unpadded base64url.
func Thumbprint(pub crypto.PublicKey) (string, error) {
	text, err := marshal(&Public{Key: pub}, "")
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text) // the required members alone, sorted: just what RFC 7638 hashes
	return base64.RawURLEncoding.EncodeToString(sum[:]), nil
}

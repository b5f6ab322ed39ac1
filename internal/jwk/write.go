package jwk

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// A Private is an Ed25519 key pair with its name. It prints as its public half.
type Private struct {
	Key   ed25519.PrivateKey
	KeyID string // kid; empty when absent
}

// String names the key without giving it away.
func (k *Private) String() string { return fmt.Sprintf("jwk.Private{KeyID: %q}", k.KeyID) }

// GoString is [Private.String], so that %#v gives nothing away either.
func (k *Private) GoString() string { return k.String() }

// ParsePrivate reads an Ed25519 private key and checks that its halves belong together.
func ParsePrivate(data []byte) (*Private, error) {
	if len(data) > MaxBytes {
		return nil, fmt.Errorf("jwk: key of more than %d bytes", MaxBytes)
	}
	v, err := strictjson.Parse(data)
	if err != nil {
		return nil, errors.New("jwk: private key is not strict JSON") // no detail: it could quote the key
	}
	m, err := readMembers(v)
	if err != nil {
		return nil, err
	}
	if m.kty != "OKP" || m.crv != "Ed25519" {
		return nil, fmt.Errorf("jwk: %w: private key with kty %q, crv %q", ErrUnsupported, m.kty, m.crv)
	}
	seed, err := coordinate("d", m.d)
	if err != nil {
		return nil, err
	}
	pub, err := m.ed25519()
	if err != nil {
		return nil, err
	}
	m.verify = true // a private key's key_ops say "sign"
	if err := m.checkUse(AlgEd25519); err != nil {
		return nil, err
	}
	key := ed25519.NewKeyFromSeed(seed[:])
	if !key.Public().(ed25519.PublicKey).Equal(pub) {
		return nil, errors.New(`jwk: members "d" and "x" are not one key pair`)
	}
	return &Private{Key: key, KeyID: m.kid}, nil
}

// MarshalPrivate writes a private key as a JWK in canonical form. The result is a secret.
func MarshalPrivate(k *Private) ([]byte, error) {
	if len(k.Key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("jwk: Ed25519 private key of %d bytes", len(k.Key))
	}
	return marshal(&Public{Key: k.Key.Public(), KeyID: k.KeyID}, base64.RawURLEncoding.EncodeToString(k.Key.Seed()))
}

// MarshalSet writes a key set (RFC 7517 section 5) of public keys. It refuses one that [ParseSet] would pass over.
func MarshalSet(keys []*Public) ([]byte, error) {
	out := []byte(`{"keys":[`)
	for i, k := range keys {
		text, err := marshal(k, "")
		if err != nil {
			return nil, err
		}
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, text...)
	}
	return append(out, "]}"...), nil
}

// marshal writes the members in the order of RFC 8785: alg, crv, d, kid, kty, use, x, y.
func marshal(k *Public, d string) ([]byte, error) {
	var alg, crv, kty string
	var point []byte
	switch key := k.Key.(type) {
	case ed25519.PublicKey:
		if len(key) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("jwk: Ed25519 public key of %d bytes", len(key))
		}
		alg, crv, kty, point = AlgEd25519, "Ed25519", "OKP", key
	case *ecdsa.PublicKey:
		if key == nil || key.Curve != elliptic.P256() {
			return nil, fmt.Errorf("jwk: %w: not on P-256", ErrUnsupported)
		}
		bytes, err := key.Bytes()
		if err != nil {
			return nil, fmt.Errorf("jwk: %w", err)
		}
		alg, crv, kty, point = AlgP256, "P-256", "EC", bytes[1:] // after the 4 of an uncompressed point
	default:
		return nil, fmt.Errorf("jwk: %w: %T", ErrUnsupported, k.Key)
	}
	if k.Alg != "" && k.Alg != alg || k.Use != "" && k.Use != "sig" {
		return nil, fmt.Errorf("jwk: alg %q and use %q for a key that signs with %s", k.Alg, k.Use, alg)
	}
	out := []byte(`{`)
	if k.Alg != "" {
		out = append(out, `"alg":"`+alg+`",`...)
	}
	out = append(out, `"crv":"`+crv+`"`...)
	if d != "" {
		out = append(out, `,"d":"`+d+`"`...)
	}
	if k.KeyID != "" {
		quoted, err := jsontext.AppendQuote(nil, k.KeyID)
		if err != nil {
			return nil, fmt.Errorf("jwk: kid %q: %w", k.KeyID, err)
		}
		out = append(append(out, `,"kid":`...), quoted...)
	}
	out = append(out, `,"kty":"`+kty+`"`...)
	if k.Use != "" {
		out = append(out, `,"use":"sig"`...)
	}
	for i, name := range []string{"x", "y"} {
		if part := point[min(i*coordinateBytes, len(point)):]; len(part) > 0 {
			text := base64.RawURLEncoding.EncodeToString(part[:coordinateBytes])
			out = append(out, `,"`+name+`":"`+text+`"`...)
		}
	}
	return append(out, '}'), nil
}

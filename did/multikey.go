package did

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/touchmark-dev/touchmark/internal/jwk"
)

// Multicodec codes of public keys: the two that are read, and those that are
// named in a refusal.
const (
	codecEd25519   = 0xed
	codecP256      = 0x1200
	codecX25519    = 0xec
	codecSecp256k1 = 0xe7
	codecBLS12381  = 0xeb
	codecP384      = 0x1201
	codecP521      = 0x1202
	codecRSA       = 0x1205
)

// maxMultikey bounds what is decoded, in characters. An Ed25519 key has 48 and
// a P-256 key 49; an RSA key has some hundreds, and is refused either way.
const maxMultikey = 512

// encodeMultikey encodes a public key as a multibase string: 'z', base58btc,
// the multicodec code as a varint, the key.
func encodeMultikey(codec uint64, key []byte) string {
	b := binary.AppendUvarint(make([]byte, 0, len(key)+3), codec)
	return "z" + encodeBase58(append(b, key...))
}

// decodeKey returns the key of a did:key.
func decodeKey(s string) (ed25519.PublicKey, error) {
	codec, raw, err := splitMultikey(s[len(prefixKey):])
	if err != nil {
		return nil, err
	}
	if codec != codecEd25519 {
		return nil, fmt.Errorf("holds %s, only Ed25519 keys (z6Mk...) are supported", codecName(codec))
	}
	if err := checkEd25519(raw); err != nil {
		return nil, err
	}
	return raw, nil
}

// decodeMultikey reads a publicKeyMultibase: Ed25519 or compressed P-256.
func decodeMultikey(s string) (crypto.PublicKey, error) {
	codec, raw, err := splitMultikey(s)
	if err != nil {
		return nil, err
	}
	switch codec {
	case codecEd25519:
		if err := checkEd25519(raw); err != nil {
			return nil, err
		}
		return ed25519.PublicKey(raw), nil
	case codecP256:
		return decodeP256(raw)
	}
	return nil, fmt.Errorf("holds %s, which is not supported", codecName(codec))
}

// decodeP256 reads a compressed point.
func decodeP256(raw []byte) (*ecdsa.PublicKey, error) {
	x, y := elliptic.UnmarshalCompressed(elliptic.P256(), raw)
	if x == nil {
		return nil, errors.New("not a compressed P-256 point")
	}
	point := make([]byte, 65)
	point[0] = 4 // uncompressed
	x.FillBytes(point[1:33])
	y.FillBytes(point[33:])
	return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
}

// splitMultikey undoes encodeMultikey. It refuses a code that is not in its
// shortest form, so that a key has one spelling.
func splitMultikey(s string) (codec uint64, key []byte, err error) {
	switch {
	case s == "" || s[0] != 'z':
		return 0, nil, errors.New("key not in base58btc, which begins with z")
	case len(s) > maxMultikey:
		return 0, nil, fmt.Errorf("key of %d characters, the limit is %d", len(s), maxMultikey)
	}
	b, err := decodeBase58(s[1:])
	if err != nil {
		return 0, nil, err
	}
	codec, n := binary.Uvarint(b)
	if n <= 0 || n != len(binary.AppendUvarint(nil, codec)) {
		return 0, nil, errors.New("key without a well-formed multicodec prefix")
	}
	return codec, b[n:], nil
}

func codecName(codec uint64) string {
	name := "a key of an unknown kind"
	switch codec {
	case codecP256:
		name = "a P-256 key"
	case codecX25519:
		name = "an X25519 key"
	case codecSecp256k1:
		name = "a secp256k1 key"
	case codecBLS12381:
		name = "a BLS12-381 key"
	case codecP384:
		name = "a P-384 key"
	case codecP521:
		name = "a P-521 key"
	case codecRSA:
		name = "an RSA key"
	}
	return fmt.Sprintf("%s (multicodec 0x%x)", name, codec)
}

// checkEd25519 refuses keys that crypto/ed25519 would verify with and that
// must not identify anybody: those of small order, and second spellings of a
// point. It does not decompress the point; an encoding of no point verifies
// nothing.
func checkEd25519(pub []byte) error {
	if len(pub) != ed25519.PublicKeySize {
		return fmt.Errorf("an Ed25519 key of %d bytes, want %d", len(pub), ed25519.PublicKeySize)
	}
	y := [ed25519.PublicKeySize]byte(pub)
	y[31] &= 0x7f // the sign of x
	if !belowPrime(&y) {
		return errors.New("an Ed25519 key that is not canonically encoded")
	}
	if jwk.CheckEd25519(pub) != nil {
		return errors.New("an Ed25519 key of small order, for which anybody can sign")
	}
	return nil
}

// belowPrime reports whether y, little endian with its top bit clear, is less
// than 2^255-19.
func belowPrime(y *[ed25519.PublicKeySize]byte) bool {
	if y[0] < 0xed || y[31] != 0x7f {
		return true
	}
	for _, b := range y[1:31] {
		if b != 0xff {
			return true
		}
	}
	return false
}

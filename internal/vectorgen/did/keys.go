package did

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"math/big"
	"strings"
)

// Multicodec prefixes of public keys.
var (
	prefixEd25519   = []byte{0xed, 0x01}
	prefixP256      = []byte{0x80, 0x24}
	prefixX25519    = []byte{0xec, 0x01}
	prefixSecp256k1 = []byte{0xe7, 0x01}
	prefixRSA       = []byte{0x85, 0x24}
)

// edKey is the Ed25519 key of a name.
func edKey(name string) []byte {
	seed := sha256.Sum256([]byte("touchmark did vectors: " + name))
	return ed25519.NewKeyFromSeed(seed[:]).Public().(ed25519.PublicKey)
}

// p256Key is the P-256 key of a name, uncompressed.
func p256Key(name string) []byte {
	scalar := sha256.Sum256([]byte("touchmark did vectors: " + name))
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar[:])
	if err != nil {
		panic(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		panic(err)
	}
	return point
}

// compress is the compressed form of an uncompressed P-256 point.
func compress(point []byte) []byte {
	return append([]byte{2 + point[64]&1}, point[1:33]...)
}

// multikey is the multibase form of a prefix and a key: base58btc is the number
// that the bytes are, in base 58, with a 1 for each leading zero byte.
func multikey(prefix, key []byte) string {
	const alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
	all := append(append([]byte{}, prefix...), key...)
	n, base, digit := new(big.Int).SetBytes(all), big.NewInt(58), new(big.Int)
	var text string
	for n.Sign() > 0 {
		n.DivMod(n, base, digit)
		text = string(alphabet[digit.Int64()]) + text
	}
	zeros := 0
	for zeros < len(all) && all[zeros] == 0 {
		zeros++
	}
	return "z" + strings.Repeat("1", zeros) + text
}

func edDID(key []byte) string { return "did:key:" + multikey(prefixEd25519, key) }

func edJWK(key []byte) string {
	return `{"kty":"OKP","crv":"Ed25519","x":"` + base64.RawURLEncoding.EncodeToString(key) + `"}`
}

func p256JWK(point []byte) string {
	return `{"kty":"EC","crv":"P-256","x":"` + base64.RawURLEncoding.EncodeToString(point[1:33]) +
		`","y":"` + base64.RawURLEncoding.EncodeToString(point[33:]) + `"}`
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

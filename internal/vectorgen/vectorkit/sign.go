package vectorkit

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/asn1"
	"fmt"
	"math/big"
)

// ECKey makes a P-256 key of a hash. That a hash is no valid scalar has a chance
// of 2^-32.
func ECKey(seed [32]byte) *ecdsa.PrivateKey {
	private, err := ecdh.P256().NewPrivateKey(seed[:])
	must(err)
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), private.Bytes())
	must(err)
	return key
}

// SignJWS signs the JWS signing input with the key's own algorithm, the same on
// every run.
func SignJWS(key crypto.Signer, input string) []byte {
	switch k := key.(type) {
	case ed25519.PrivateKey:
		return ed25519.Sign(k, []byte(input))
	case *ecdsa.PrivateKey:
		digest := sha256.Sum256([]byte(input))
		der, err := k.Sign(nil, digest[:], crypto.SHA256) // no randomness: RFC 6979
		must(err)
		var rs struct{ R, S *big.Int }
		_, err = asn1.Unmarshal(der, &rs)
		must(err)
		sig := make([]byte, 64)
		rs.R.FillBytes(sig[:32])
		rs.S.FillBytes(sig[32:])
		return sig
	default:
		panic(fmt.Sprintf("vectorkit: internal error: key of type %T", key))
	}
}

// must is for what fixed input cannot fail.
func must(err error) {
	if err != nil {
		panic("vectorkit: internal error: " + err.Error())
	}
}

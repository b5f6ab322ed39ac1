package callproof

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jwk"
)

// The fixed points of all vectors.
const (
	now     = 1790000000 // Unix seconds, in the year 2026
	subject = "did:web:agents.example:ada"
	server  = "did:web:mcp.example.com%3A8443:files"
	origin  = "https://mcp.example.com:8443"
	badgeID = "0b5c1f9e-6d3a-4c57-9f0e-2a8d4b7c6e10"
	hopID   = "550e8400-e29b-41d4-a716-446655440000"
	txnID   = "018f4e1d-7e5d-7a9f-a9d2-8b6a0f2c9b11"
)

// A world has the keys of everybody.
type world struct {
	agent, stranger ed25519.PrivateKey
	ec              *ecdsa.PrivateKey
	self, keyServer did.DID // did:key of the agent, and of a server
}

func newWorld() *world {
	w := &world{agent: edKey("agent"), stranger: edKey("stranger"), ec: ecKey("agent ec")}
	w.self = did.FromKey(w.agent.Public().(ed25519.PublicKey))
	w.keyServer = did.FromKey(edKey("server").Public().(ed25519.PublicKey))
	return w
}

func seed(name string) [32]byte {
	return sha256.Sum256([]byte("touchmark call proof vectors: " + name))
}

func edKey(name string) ed25519.PrivateKey {
	s := seed(name)
	return ed25519.NewKeyFromSeed(s[:])
}

// ecKey makes a P-256 key of a hash. That a hash is no valid scalar has a chance of 2^-32.
func ecKey(name string) *ecdsa.PrivateKey {
	d := seed(name)
	private, err := ecdh.P256().NewPrivateKey(d[:])
	must(err)
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), private.Bytes())
	must(err)
	return key
}

// must is for what fixed input cannot fail.
func must(err error) {
	if err != nil {
		panic("vectorgen/callproof: internal error: " + err.Error())
	}
}

// signJWS signs the JWS signing input with the key's own algorithm, deterministically.
func signJWS(key crypto.Signer, input string) []byte {
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
		panic(fmt.Sprintf("vectorgen/callproof: internal error: key of type %T", key))
	}
}

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

func publicJWK(key crypto.Signer) json.RawMessage {
	text, err := jwk.Marshal(key.Public(), "")
	must(err)
	return text
}

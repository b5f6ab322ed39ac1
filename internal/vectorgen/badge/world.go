package badge

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
	now      = 1790000000 // Unix seconds, in the year 2026
	issuer   = "https://registry.example"
	unlisted = "https://registry.invalid"
	subject  = "did:web:agents.example:ada"
	server   = "https://mcp.example.com"
	badgeID  = "0b5c1f9e-6d3a-4c57-9f0e-2a8d4b7c6e10"
	keyID    = "ca-1"
	ecKeyID  = "ca-2"
)

// A world has the keys of everybody.
type world struct {
	ca, next, agent, stranger ed25519.PrivateKey
	ecCA                      *ecdsa.PrivateKey
	self                      did.DID // the did:key of agent
	more                      []ed25519.PrivateKey
}

func newWorld() *world {
	w := &world{ca: edKey("ca"), next: edKey("ca next"), agent: edKey("agent"), stranger: edKey("stranger"), ecCA: ecKey("ca ec")}
	w.self = did.FromKey(w.agent.Public().(ed25519.PublicKey))
	for i := range 6 {
		w.more = append(w.more, edKey(fmt.Sprintf("ca %d", i)))
	}
	return w
}

func edKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("touchmark badge vectors: " + name))
	return ed25519.NewKeyFromSeed(seed[:])
}

// ecKey makes a P-256 key of a hash. That a hash is no valid scalar has a chance of 2^-32.
func ecKey(name string) *ecdsa.PrivateKey {
	d := sha256.Sum256([]byte("touchmark badge vectors: " + name))
	private, err := ecdh.P256().NewPrivateKey(d[:])
	must(err)
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), private.Bytes())
	must(err)
	return key
}

// must is for what fixed input cannot fail.
func must(err error) {
	if err != nil {
		panic("vectorgen/badge: internal error: " + err.Error())
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
		panic(fmt.Sprintf("vectorgen/badge: internal error: key of type %T", key))
	}
}

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

func publicJWK(key crypto.PublicKey) json.RawMessage {
	text, err := jwk.Marshal(key, "")
	must(err)
	return text
}

// A named key is one of a key set.
type named struct {
	kid string
	key crypto.Signer
}

// keySet writes a JWKS, in the order given.
func keySet(set ...named) json.RawMessage {
	var keys []*jwk.Public
	for _, n := range set {
		keys = append(keys, &jwk.Public{KeyID: n.kid, Key: n.key.Public()})
	}
	text, err := jwk.MarshalSet(keys)
	must(err)
	return text
}

// document writes a DID document of the subject with one key under a fragment.
func document(id, fragment string, key crypto.PublicKey) json.RawMessage {
	method := id + "#" + fragment
	text, err := json.Marshal(map[string]any{
		"@context": []string{"https://www.w3.org/ns/did/v1"},
		"id":       id,
		"verificationMethod": []any{map[string]any{
			"id": method, "type": "JsonWebKey2020", "controller": id, "publicKeyJwk": publicJWK(key),
		}},
		"authentication":  []string{method},
		"assertionMethod": []string{method},
	})
	must(err)
	return text
}

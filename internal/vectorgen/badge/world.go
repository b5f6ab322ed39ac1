package badge

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jwk"
	"github.com/touchmark-dev/touchmark/internal/vectorgen/vectorkit"
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

	// certificate is the SHA-256 of nothing, in place of a certificate.
	certificate = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
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

func ecKey(name string) *ecdsa.PrivateKey {
	return vectorkit.ECKey(sha256.Sum256([]byte("touchmark badge vectors: " + name)))
}

// must is for what fixed input cannot fail.
func must(err error) {
	if err != nil {
		panic("vectorgen/badge: internal error: " + err.Error())
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

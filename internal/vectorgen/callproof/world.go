package callproof

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jwk"
	"github.com/touchmark-dev/touchmark/internal/vectorgen/vectorkit"
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

func ecKey(name string) *ecdsa.PrivateKey {
	return vectorkit.ECKey(seed(name))
}

// must is for what fixed input cannot fail.
func must(err error) {
	if err != nil {
		panic("vectorgen/callproof: internal error: " + err.Error())
	}
}

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

func publicJWK(key crypto.Signer) json.RawMessage {
	text, err := jwk.Marshal(key.Public(), "")
	must(err)
	return text
}

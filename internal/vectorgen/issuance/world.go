package issuance

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
	now         = 1790000000 // Unix seconds, in the year 2026
	subject     = "did:web:registry.example:agents:ada"
	issuer      = "https://registry.example"
	uri         = "https://registry.example/v1/agents/did%3Aweb%3Aregistry.example%3Aagents%3Aada/badge"
	challengeID = "ch-550e8400-e29b-41d4-a716-446655440000"
	proofID     = "660e8400-e29b-41d4-a716-446655440001"
)

// A world has the keys of everybody.
type world struct {
	agent, second, stranger ed25519.PrivateKey
	ec                      *ecdsa.PrivateKey
	nonce                   string
	self                    did.DID // did:key of the agent
}

func newWorld() *world {
	nonce := seed("nonce")
	w := &world{
		agent: edKey("agent"), second: edKey("second"), stranger: edKey("stranger"),
		ec: vectorkit.ECKey(seed("agent ec")), nonce: b64(nonce[:]),
	}
	w.self = did.FromKey(w.agent.Public().(ed25519.PublicKey))
	return w
}

func seed(name string) [32]byte {
	return sha256.Sum256([]byte("touchmark issuance vectors: " + name))
}

func edKey(name string) ed25519.PrivateKey {
	s := seed(name)
	return ed25519.NewKeyFromSeed(s[:])
}

// must is for what fixed input cannot fail.
func must(err error) {
	if err != nil {
		panic("vectorgen/issuance: internal error: " + err.Error())
	}
}

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

func publicJWK(key crypto.Signer) json.RawMessage {
	text, err := jwk.Marshal(key.Public(), "")
	must(err)
	return text
}

// document is the subject's, with the keys key-1 and key-2, and the key ec-1 on P-256.
func (w *world) document() object {
	method := func(fragment string, key crypto.Signer) object {
		return object{
			"id": subject + fragment, "type": "JsonWebKey2020", "controller": subject, "publicKeyJwk": publicJWK(key),
		}
	}
	return object{
		"@context":           []string{"https://www.w3.org/ns/did/v1"},
		"id":                 subject,
		"verificationMethod": []object{method("#key-1", w.agent), method("#key-2", w.second), method("#ec-1", w.ec)},
		"authentication":     []any{subject + "#key-1", subject + "#key-2", subject + "#ec-1"},
		"assertionMethod":    []string{subject + "#key-1"},
	}
}

func mustText(part string) string {
	text, err := base64.RawURLEncoding.DecodeString(part)
	must(err)
	return string(text)
}

package serverproof

import (
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/jwk"
)

// The fixed points of all vectors.
const (
	now      = 1790000000 // Unix seconds, in the year 2026
	issuer   = "https://registry.example"
	caKeyID  = "ca-1"
	server   = "did:web:mcp.example.com"
	endpoint = "https://mcp.example.com/mcp"
	origin   = "https://mcp.example.com"
	fragment = "key-1"
	badgeID  = "5d0c2a6e-9b1f-4e3a-8c7d-1f2e3d4c5b6a"
)

// A world has the keys of everybody.
type world struct {
	ca, server, stranger ed25519.PrivateKey
	self                 did.DID // the did:key of server
	nonce, exporter      string
	badge                string // of server, level 2
}

func newWorld() (*world, error) {
	w := &world{
		ca: edKey("ca"), server: edKey("server"), stranger: edKey("stranger"),
		nonce: b64(hash("nonce")), exporter: b64(hash("exporter")),
	}
	w.self = did.FromKey(w.server.Public().(ed25519.PublicKey))
	var err error
	w.badge, err = w.issue(nil)
	return w, err
}

func hash(name string) []byte {
	h := sha256.Sum256([]byte("touchmark server proof vectors: " + name))
	return h[:]
}

func sha256Of(text string) []byte {
	h := sha256.Sum256([]byte(text))
	return h[:]
}

func edKey(name string) ed25519.PrivateKey { return ed25519.NewKeyFromSeed(hash(name)) }

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

// issue signs the server's badge, of level 2 unless the template is changed.
func (w *world) issue(change func(*badge.Template)) (string, error) {
	t := &badge.Template{
		Subject: did.MustParse(server), SubjectKey: w.server.Public(), Level: badge.LevelDomain, Domain: "mcp.example.com",
		ID: badgeID, IssuedAt: time.Unix(now-10, 0), TTL: 300 * time.Second,
	}
	if change != nil {
		change(t)
	}
	return badge.Issue(&badge.IssuerKey{Issuer: issuer, KeyID: caKeyID, Signer: w.ca}, t)
}

// selfSign signs the server's badge about its did:key.
func (w *world) selfSign() (string, error) {
	return badge.SelfSign(w.server, &badge.Template{ID: badgeID, IssuedAt: time.Unix(now-10, 0), TTL: 300 * time.Second})
}

func (w *world) trust() (Trust, error) {
	set, err := jwk.MarshalSet([]*jwk.Public{{KeyID: caKeyID, Key: w.ca.Public()}})
	if err != nil {
		return Trust{}, err
	}
	doc, err := document(server, w.server.Public(), nil)
	return Trust{
		Issuers:   []string{issuer},
		JWKS:      map[string]json.RawMessage{issuer: set},
		Documents: map[string]json.RawMessage{server: doc},
	}, err
}

// document writes a DID document with one key.
func document(id string, key crypto.PublicKey, change func(map[string]any)) (json.RawMessage, error) {
	text, err := jwk.Marshal(key, "")
	if err != nil {
		return nil, err
	}
	method := id + "#" + fragment
	doc := map[string]any{
		"id": id,
		"verificationMethod": []any{map[string]any{
			"id": method, "type": "JsonWebKey2020", "controller": id, "publicKeyJwk": json.RawMessage(text),
		}},
		"authentication":  []string{method},
		"assertionMethod": []string{method},
	}
	if change != nil {
		change(doc)
	}
	return json.Marshal(doc)
}

package registry

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
)

const (
	now      = 1790000000
	server   = "did:web:mcp.example.com"
	endpoint = "https://mcp.example.com/mcp"
	issuer   = "https://registry.example/servers"
)

type object = map[string]any

// A draft is a vector before its list is signed. The functions that make drafts
// start from a good one and change one thing.
type draft struct {
	name, defect    string
	header, payload object
	entry           object
	text            string // instead of payload, if set
	key             ed25519.PrivateKey
	token           func(string) string // changes the token after signing
	v               Vector
}

func signer(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("touchmark test vectors, registry, " + name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return b64(sum[:])
}

func jwkOf(k ed25519.PrivateKey) string {
	return fmt.Sprintf(`{"crv":"Ed25519","kty":"OKP","x":%q}`, b64(k.Public().(ed25519.PublicKey)))
}

// good is a list that nothing is wrong with.
func good(name string) *draft {
	key := signer("key")
	return &draft{
		name: name, key: key,
		header: object{"alg": "EdDSA", "kid": hash(jwkOf(key)), "typ": "touchmark-registry+jwt"},
		entry: object{
			"did": server, "endpoints": []string{endpoint}, "environment": "production", "keys": []string{hash("key")},
			"launch": []string{"sha256:" + hash("stdio:node+server.js")}, "owner": "files team", "tools": []string{"read_file", "list_files"},
			"valid_from": now - 1000, "valid_until": now + 1000, "versions": []string{"1.4.0", "1.4.1"},
		},
		payload: object{"exp": now + 86400, "iat": now, "iss": issuer, "serial": 7},
		v: Vector{
			Now: now, Keys: json.RawMessage(`{"keys":[` + jwkOf(signer("unrelated")) + `,` + jwkOf(key) + `]}`), Environment: "production",
			Server: &Server{Endpoint: endpoint, DID: server, Key: hash("key"), Version: "1.4.0"}, Tool: "read_file",
		},
	}
}

// bad is a draft with a defect, refused by a step of the specification.
func bad(name, defect, step string, change func(*draft)) *draft {
	d := good(name)
	d.defect, d.v.Expect = defect, Expect{Verdict: Rejected, Step: step}
	change(d)
	return d
}

func (d *draft) vector() *Vector {
	v := d.v
	v.Name, v.Defect = d.name, d.defect
	if v.Expect.Verdict == "" {
		v.Expect.Verdict = Accepted
	}
	if d.payload["servers"] == nil {
		d.payload["servers"] = []object{d.entry}
	}
	payload := d.text
	if payload == "" {
		payload = string(encode(d.payload))
	}
	input := b64(encode(d.header)) + "." + b64([]byte(payload))
	v.List = input + "." + b64(ed25519.Sign(d.key, []byte(input)))
	if d.token != nil {
		v.List = d.token(v.List)
	}
	return &v
}

func encode(v object) []byte {
	out, err := json.Marshal(v)
	if err != nil {
		panic(err) // of strings and numbers
	}
	return out
}

// rewrite replaces a part of the payload's text.
func (d *draft) rewrite(old, repl string) {
	d.payload["servers"] = []object{d.entry}
	d.text = strings.Replace(string(encode(d.payload)), old, repl, 1)
}

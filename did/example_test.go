package did_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/touchmark-dev/touchmark/did"
)

// The DID of an MCP server, from where it is to where its keys are published.
func Example() {
	d, err := did.FromWebURL("https://mcp.example.com:8443/fs")
	if err != nil {
		fmt.Println(err)
		return
	}
	document, _ := d.DocumentURL()
	fmt.Println(d)
	fmt.Println(document)
	// Output:
	// did:web:mcp.example.com%3A8443:fs
	// https://mcp.example.com:8443/fs/did.json
}

func ExampleFromKey() {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	fmt.Println(did.FromKey(key.Public().(ed25519.PublicKey)))
	// Output:
	// did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp
}

func ExampleNewDocument() {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	doc, err := did.NewDocument(did.MustParse("did:web:mcp.example.com"),
		did.DocumentKey{Key: key.Public(), Fragment: "key-1"})
	if err != nil {
		fmt.Println(err)
		return
	}
	text, _ := json.MarshalIndent(doc, "", "  ")
	fmt.Println(string(text))
	// Output:
	// {
	//   "@context": [
	//     "https://www.w3.org/ns/did/v1",
	//     "https://w3id.org/security/suites/jws-2020/v1"
	//   ],
	//   "id": "did:web:mcp.example.com",
	//   "verificationMethod": [
	//     {
	//       "id": "did:web:mcp.example.com#key-1",
	//       "type": "JsonWebKey2020",
	//       "controller": "did:web:mcp.example.com",
	//       "publicKeyJwk": {
	//         "crv": "Ed25519",
	//         "kty": "OKP",
	//         "x": "O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik"
	//       }
	//     }
	//   ],
	//   "authentication": [
	//     "did:web:mcp.example.com#key-1"
	//   ],
	//   "assertionMethod": [
	//     "did:web:mcp.example.com#key-1"
	//   ]
	// }
}

// The zero configuration connects to public addresses on port 443 and to
// nothing else: not to this machine, whatever a DID says.
func ExampleNewResolver() {
	resolver, err := did.NewResolver(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = resolver.Resolve(context.Background(), did.MustParse("did:web:localhost%3A6379"))
	var undetermined *did.ResolveError
	fmt.Println(errors.As(err, &undetermined))
	// Output:
	// true
}

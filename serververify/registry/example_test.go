package registry_test

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/serververify"
	"github.com/touchmark-dev/touchmark/serververify/registry"
)

func Example() {
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		panic(err)
	}
	now := time.Now()
	files := did.MustParse("did:web:files.example.com")
	token, err := registry.Sign(key, &registry.Document{
		Issuer: "https://registry.example/servers", Serial: 1, IssuedAt: now, Expires: now.Add(24 * time.Hour),
		Servers: []registry.Entry{{
			DID: files, Owner: "files team", Endpoints: []string{"https://files.example.com/mcp"},
			Versions: []string{registry.Any}, Tools: []string{"read_file"}, ValidFrom: now, ValidUntil: now.Add(24 * time.Hour),
		}},
	})
	if err != nil {
		panic(err)
	}
	dir, err := os.MkdirTemp("", "registry")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "servers.jwt")
	if err := os.WriteFile(path, []byte(token), 0o600); err != nil {
		panic(err)
	}

	ctx := context.Background()
	list, err := registry.Open(ctx, &registry.Config{Path: path, Keys: []crypto.PublicKey{public}})
	if err != nil {
		panic(err)
	}
	// A serververify.Verifier with list among its Config.Admit makes these calls.
	srv := &serververify.Server{State: serververify.StateVerified, DID: files, Endpoint: "https://files.example.com/mcp"}
	fmt.Println(list.Admit(ctx, srv), list.AllowsTool(files, "read_file"), list.AllowsTool(files, "write_file"))
	srv.DID = did.MustParse("did:web:other.example.com")
	fmt.Println(serververify.CodeOf(list.Admit(ctx, srv)), list.Stats().Unknown)
	// Output:
	// <nil> true false
	// SERVER_NOT_REGISTERED 1
}

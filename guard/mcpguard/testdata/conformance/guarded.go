// This file is compiled into a copy of the SDK's own conformance server, whose
// main function TestConformance changes to call it.
package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"log"
	"net/http"
	"os"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/mcpguard"
)

// restrictive denies one tool, one prompt, one resource, one template and all completion, and allows the rest.
type restrictive struct{ guard.UnsafeAllowAll }

var denied = map[string]bool{
	"test_simple_text": true, "test_simple_prompt": true, "test://static-text": true, "test://template/{id}/data": true,
	"test://template/123/data": true,
}

func (p restrictive) Decide(ctx context.Context, in *guard.Input) (guard.Decision, error) {
	if denied[in.Capability.Name] || in.Method == "completion/complete" {
		return guard.Decision{Kind: guard.Deny, Rule: "denied"}, nil
	}
	return p.UnsafeAllowAll.Decide(ctx, in)
}

// guarded puts a guard that allows everything, or what is not restricted, and records all of it, in front of a server
// and its HTTP handler.
func guarded(server *mcp.Server, handler http.Handler) http.Handler {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	self := did.FromKey(key.Public().(ed25519.PublicKey))
	ledger, err := evidence.Open(context.Background(), &evidence.LedgerConfig{
		Dir: os.Getenv("CONFORMANCE_EVIDENCE"), Server: self, Key: key, KeyID: self.KeyURL(), AllowNoLog: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	var policy guard.Policy = guard.UnsafeAllowAll{}
	if os.Getenv("CONFORMANCE_RESTRICTIVE") != "" {
		policy = restrictive{}
	}
	g, err := guard.New(&guard.Config{Policy: policy, Evidence: ledger})
	if err != nil {
		log.Fatal(err)
	}
	return mcpguard.Protect(server, g).Handler(handler)
}

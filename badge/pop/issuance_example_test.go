package pop_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"time"

	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/did"
)

// An agent shows an authority that it has its key before it gets a badge.
func ExampleSignIssuance() {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		panic(err)
	}
	agent := did.FromKey(key.Public().(ed25519.PublicKey))
	now := time.Now()

	// The authority made this challenge, keeps it, and has sent it to the agent.
	stored := &pop.Challenge{
		ID: "ch-550e8400-e29b-41d4-a716-446655440000", Nonce: "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE", Subject: agent,
		Audience: "https://registry.example", HTTPMethod: "POST", HTTPURI: "https://registry.example/v1/agents/ada/badge",
		CreatedAt: now, ExpiresAt: now.Add(5 * time.Minute),
	}
	answer := fmt.Sprintf(`{"challenge_id": %q, "nonce": %q, "proof_aud": %q, "htu": %q, "htm": "POST", "challenge_expires_at": %q}`,
		stored.ID, stored.Nonce, stored.Audience, stored.HTTPURI, stored.ExpiresAt.Format(time.RFC3339))

	// The agent:
	challenge, err := pop.ParseChallenge([]byte(answer), "https://registry.example", agent)
	if err != nil {
		panic(err)
	}
	proof, err := pop.SignIssuance(key, "", challenge, now)
	if err != nil {
		panic(err)
	}

	// The authority:
	verifier, err := pop.NewIssuanceVerifier(&pop.IssuanceConfig{Resolver: did.StaticResolver{}})
	if err != nil {
		panic(err)
	}
	shown, err := verifier.Verify(context.Background(), proof, stored, agent)
	if err != nil {
		panic(err)
	}
	fmt.Println(shown.KeyID == agent.KeyURL())

	// Output:
	// true
}

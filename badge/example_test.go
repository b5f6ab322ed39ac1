package badge_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/did"
)

// exampleKey is a key for examples, which everybody knows.
func exampleKey(n byte) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = n
	return ed25519.NewKeyFromSeed(seed)
}

func Example() {
	issuer := &badge.IssuerKey{Issuer: "https://registry.example", KeyID: "ca-1", Signer: exampleKey(1)}
	token, err := badge.Issue(issuer, &badge.Template{
		Subject:    did.MustParse("did:web:agents.example:ada"),
		SubjectKey: exampleKey(2).Public(),
		Level:      badge.LevelDomain,
		Domain:     "agents.example",
		Audience:   []string{"https://mcp.example.com"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	// The issuer also says which badges it revoked: here, in a signed list.
	list, err := badge.SignRevocationList(issuer, &badge.RevocationClaims{Issuer: issuer.Issuer, AsOf: time.Now()})
	if err != nil {
		fmt.Println(err)
		return
	}
	keys := badge.StaticKeys{issuer.Issuer: {{ID: issuer.KeyID, Public: issuer.Signer.Public()}}}
	status, err := badge.ParseRevocationList(list, issuer.Issuer, keys[issuer.Issuer])
	if err != nil {
		fmt.Println(err)
		return
	}

	verifier, err := badge.NewVerifier(&badge.Config{
		Issuers:  []string{issuer.Issuer},
		Keys:     keys,
		Status:   status,
		Audience: []string{"https://mcp.example.com"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	b, err := verifier.Verify(context.Background(), token)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(b.Subject(), "level", b.Level(), b.Level().AtLeast(badge.LevelDomain))

	_, err = verifier.Verify(context.Background(), token[:len(token)-8]+"AAAAAAAA")
	var rejected *badge.RejectedError
	fmt.Println(errors.As(err, &rejected), badge.CodeOf(err))
	// Output:
	// did:web:agents.example:ada level 2 true
	// true BADGE_SIGNATURE_INVALID
}

func ExampleSelfSign() {
	key := exampleKey(3)
	token, err := badge.SelfSign(key, &badge.Template{})
	if err != nil {
		fmt.Println(err)
		return
	}
	own := did.FromKey(key.Public().(ed25519.PublicKey))
	verifier, err := badge.NewVerifier(&badge.Config{SelfSigned: []did.DID{own}})
	if err != nil {
		fmt.Println(err)
		return
	}
	b, err := verifier.Verify(context.Background(), token)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("level", b.Level(), b.SelfSigned())
	// Output: level 0 true
}

package client_test

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/client"
	"github.com/touchmark-dev/touchmark/did"
)

// An agent that gets one badge, with a proof that it has its key.
func ExampleRequester() {
	text, err := os.ReadFile("account.key")
	if err != nil {
		log.Fatal(err)
	}
	var key crypto.Signer // the agent's
	account, err := client.NewAccountKey(string(text))
	if err != nil {
		log.Fatal(err)
	}
	r, err := client.NewRequester(&client.RequesterConfig{
		Issuer:     "https://registry.example",
		Subject:    did.MustParse("did:web:registry.example:agents:ada"),
		AccountKey: account,
		Key:        key,
		Audience:   []string{"https://mcp.example.com"},
	})
	if err != nil {
		log.Fatal(err)
	}
	b, err := r.Request(context.Background())
	var refused *client.RefusedError
	switch {
	case errors.As(err, &refused) && refused.Permanent():
		log.Fatal("somebody has to do something: ", refused.Code)
	case err != nil:
		log.Fatal("try again later: ", err)
	}
	fmt.Println("got", b, "until", b.ExpiresAt)
}

// An agent that has a badge for each of its requests.
func ExampleKeeper() {
	var r *client.Requester // see the example of Requester
	keeper, err := client.NewKeeper(&client.KeeperConfig{Requester: r})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		if err := keeper.Run(ctx); err != nil {
			log.Print(err) // the agent was disabled, or the account key revoked
		}
	}()

	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://mcp.example.com/", nil)
	if err != nil {
		log.Fatal(err)
	}
	b, err := keeper.Current(ctx) // never one that is over
	if err != nil {
		log.Fatal(err)
	}
	req.Header.Set("X-Capiscio-Badge", b.Token())
	// Output:
	// badge/client: a KeeperConfig without a Requester
}

// A verifier that asks nobody about each badge: it goes by the issuer's signed
// list, which may come from a mirror.
func ExampleRevocationSync() {
	issuers := []string{"https://registry.example"}
	keys, err := client.New(&client.Config{Issuers: issuers})
	if err != nil {
		log.Fatal(err)
	}
	defer keys.Close()
	list, err := client.NewRevocationSync(&client.SyncConfig{
		Issuer:  issuers[0],
		Keys:    keys,
		Mirrors: []string{"https://mirror.example/registry", issuers[0]},
		OnError: func(err error, _ time.Duration) { log.Print(err) },
	})
	if err != nil {
		log.Fatal(err)
	}
	defer list.Close()
	ctx := context.Background() // and then: go list.Run(ctx)

	verifier, err := badge.NewVerifier(&badge.Config{Issuers: issuers, Keys: keys, Status: list})
	if err != nil {
		log.Fatal(err)
	}
	_, err = verifier.Verify(ctx, "not a badge")
	fmt.Println(badge.CodeOf(err))

	// Before there is a list, nothing is known.
	_, err = list.Status(ctx, badge.StatusQuery{Issuer: issuers[0]})
	fmt.Println(errors.Is(err, client.ErrNoList))
	// Output:
	// BADGE_MALFORMED
	// true
}

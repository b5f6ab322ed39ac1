package client_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/client"
)

// A verifier that asks one issuer, and nobody else, for keys and status.
func Example() {
	issuers := []string{"https://registry.example"}
	c, err := client.New(&client.Config{Issuers: issuers})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	verifier, err := badge.NewVerifier(&badge.Config{Issuers: issuers, Keys: c, Status: c})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = verifier.Verify(context.Background(), "not a badge")
	fmt.Println(badge.CodeOf(err))

	// An issuer that is not listed is not asked.
	_, err = c.IssuerKeys(context.Background(), "https://elsewhere.example")
	var unlisted *client.UnlistedError
	fmt.Println(errors.As(err, &unlisted))
	// Output:
	// BADGE_MALFORMED
	// true
}

func ExampleParseKeys() {
	keys, err := client.ParseKeys([]byte(`{"keys":[
		{"kid":"ca-1","kty":"OKP","crv":"Ed25519","x":"O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik"},
		{"kid":"rsa-1","kty":"RSA","n":"AQ","e":"AQAB"}]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, k := range keys {
		fmt.Println(k.ID)
	}
	// Output:
	// ca-1
}

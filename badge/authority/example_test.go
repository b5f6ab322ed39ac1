package authority_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/authority"
	"github.com/touchmark-dev/touchmark/did"
)

// An authority of one process, with its keys in files, that issues a badge of assurance 0.
func ExampleAuthority() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "authority")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	keys, err := authority.OpenKeyFiles(dir, nil)
	if err != nil {
		panic(err)
	}
	a, err := authority.New(ctx, &authority.Config{
		Issuer:     "https://registry.example",
		Database:   "sqlite:" + filepath.Join(dir, "authority.db"),
		Signers:    keys,
		Resolver:   did.StaticResolver{}, // of agents whose documents are elsewhere
		AllowNoLog: true,                 // give it a Log instead
	})
	if err != nil {
		panic(err)
	}
	defer a.Close()
	keyID, err := keys.Create("")
	if err != nil {
		panic(err)
	}
	if err := a.AddKey(ctx, keyID, true); err != nil {
		panic(err)
	}
	account, accountKey, err := a.AddAccount(ctx, "Acme")
	if err != nil {
		panic(err)
	}
	agent, err := a.AddAgent(ctx, &authority.NewAgent{
		Account: account, Name: "ada",
		KeyJWK: []byte(`{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`),
	})
	if err != nil {
		panic(err)
	}

	r := httptest.NewRequest(http.MethodPost, "/v1/agents/"+agent.String()+"/badge", strings.NewReader(`{"mode":"ial0"}`))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Capiscio-Registry-Key", accountKey.Reveal())
	w := httptest.NewRecorder()
	a.Handler().ServeHTTP(w, r)
	token := strings.Split(w.Body.String(), `"`)[3]
	b, err := badge.Inspect(token)
	if err != nil {
		panic(err)
	}
	fmt.Println(w.Code, b.Subject)
	// Output: 200 did:web:registry.example:agents:ada
}

package httpguard_test

import (
	"crypto/ed25519"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/httpguard"
)

// A payment API that takes payments from agents with a badge of level 0 or more, and from nobody else.
func Example() {
	public, key, err := ed25519.GenerateKey(nil)
	check(err)
	server := did.MustParse("did:web:pay.example")
	badges, err := badge.NewVerifier(&badge.Config{SelfSigned: []did.DID{did.FromKey(public)}})
	check(err)
	proofs, err := pop.NewVerifier(&pop.Config{Server: server, Replay: pop.NewMemoryReplay(nil)})
	check(err)
	g, err := guard.New(&guard.Config{
		Server: server, Badges: badges, Proofs: proofs, Evidence: guardtest.NewRecorder(), // an *evidence.Ledger
	})
	check(err)

	mux := http.NewServeMux()
	mux.HandleFunc("POST /payments", func(w http.ResponseWriter, req *http.Request) {
		fmt.Fprintf(w, "paid by a caller of level %s", httpguard.GrantOf(req.Context()).Caller().Level())
	})
	api := httptest.NewUnstartedServer(nil)
	url := "http://" + api.Listener.Addr().String()
	api.Config.Handler, err = httpguard.Protect(mux, g, &httpguard.Options{
		URL: url, Routes: []httpguard.Route{{Pattern: "POST /payments", Tool: "pay", Level: badge.LevelSelfSigned}},
	})
	check(err)
	api.Start()
	defer api.Close()

	token, err := badge.SelfSign(key, &badge.Template{})
	check(err)
	client := &http.Client{Transport: &httpguard.Transport{URL: url, Server: server, Badge: token, Key: key}}
	for _, c := range []*http.Client{client, http.DefaultClient} {
		resp, err := c.Post(url+"/payments", "application/json", strings.NewReader(`{"amount": 5}`))
		check(err)
		body, err := io.ReadAll(resp.Body)
		check(err)
		check(resp.Body.Close())
		fmt.Println(resp.StatusCode, strings.Split(string(body), `,"decision_id"`)[0])
	}
	// Output:
	// 200 paid by a caller of level 0
	// 401 {"type":"about:blank","title":"Unauthorized","status":401,"detail":"this needs a badge; present one","reason_code":"TOOL_AUTH_MISSING"
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

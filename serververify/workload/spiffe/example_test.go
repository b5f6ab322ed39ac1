package spiffe_test

import (
	"context"
	"fmt"
	"net"
	"net/http"

	"github.com/touchmark-dev/touchmark/serververify/workload"
	"github.com/touchmark-dev/touchmark/serververify/workload/spiffe"
)

// A server that admits one agent of a federated trust domain. Both ends' SVIDs may rotate at any time.
func Example() {
	source, err := spiffe.NewSource(context.Background(), &spiffe.Config{
		Socket:       "unix:///run/spire/agent.sock",
		TrustDomains: []string{"example.org", "partner.test"},
	})
	if err != nil {
		fmt.Println("no identity") // the error says what to do
		return
	}
	admit, err := workload.AuthorizeID("spiffe://partner.test/agent/eve")
	if err != nil {
		panic(err)
	}
	server, err := workload.NewServer(&workload.TLSConfig{SVIDs: source, Authorize: admit}, http.NotFoundHandler())
	if err != nil {
		panic(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:8443")
	if err != nil {
		panic(err)
	}
	_ = server.ServeTLS(ln, "", "")
}

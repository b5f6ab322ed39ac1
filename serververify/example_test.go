package serververify_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/serververify"
)

// A server discloses its identity and proves it on every connection; a client
// asks who it is before it sends anything. The server here speaks for itself,
// with a did:key and a badge of level 0, which the client lists.
func Example() {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	self := did.FromKey(key.Public().(ed25519.PublicKey))
	token, err := badge.SelfSign(key, &badge.Template{})
	check(err)

	// The server.
	ts := httptest.NewUnstartedServer(nil)
	identity, err := serververify.NewIdentity(&serververify.IdentityConfig{
		DID: self, Signer: key, Badge: serververify.StaticBadge(token),
		Origins: []string{"https://" + ts.Listener.Addr().String()},
	})
	check(err)
	ts.Config.Handler = identity.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "hello")
	}))
	ts.StartTLS()
	defer ts.Close()

	// The client.
	badges, err := badge.NewVerifier(&badge.Config{SelfSigned: []did.DID{self}})
	check(err)
	v, err := serververify.New(&serververify.Config{
		Badges: badges, Resolver: did.StaticResolver{}, MinLevel: badge.LevelSelfSigned,
		RootCAs:             ts.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs,
		UnsafeAllowLoopback: true, // the example's server is on this machine
	})
	check(err)
	srv, err := v.Verify(context.Background(), ts.URL+"/mcp")
	check(err)
	fmt.Println(srv.State, "level", srv.Level, srv.DID == self)

	resp, err := srv.Client().Get(srv.Endpoint)
	check(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	check(err)
	fmt.Printf("%s\n", body)

	_, err = srv.Client().Get("https://elsewhere.example/mcp")
	fmt.Println(err != nil)
	// Output:
	// VERIFIED_PRINCIPAL level 0 true
	// hello
	// true
}

// The error is the verdict. It says how far the server's identity held.
func ExampleVerifier_Verify() {
	ts := httptest.NewTLSServer(http.NotFoundHandler()) // no identity at all
	defer ts.Close()
	self := did.MustParse("did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK")
	badges, err := badge.NewVerifier(&badge.Config{SelfSigned: []did.DID{self}})
	check(err)
	v, err := serververify.New(&serververify.Config{
		Badges: badges, Resolver: did.StaticResolver{}, MinLevel: badge.LevelSelfSigned,
		RootCAs:             ts.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs,
		UnsafeAllowLoopback: true,
	})
	check(err)
	_, err = v.Verify(context.Background(), ts.URL)
	fmt.Println(err)
	// Output:
	// serververify: server refused: SERVER_IDENTITY_MISSING: status 404 for the discovery document
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

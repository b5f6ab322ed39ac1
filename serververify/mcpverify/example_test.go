package mcpverify_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"os"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/serververify"
	"github.com/touchmark-dev/touchmark/serververify/mcpverify"
)

// A server that a client launches proves who it is in its first answer. Here
// both are in one process; over stdio the client's transport is an
// mcp.CommandTransport, and the server's an mcp.StdioTransport.
func Example() {
	ctx := context.Background()
	clientEnd, serverEnd := mcp.NewInMemoryTransports()

	// The server.
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	self := did.FromKey(key.Public().(ed25519.PublicKey))
	token, err := badge.SelfSign(key, &badge.Template{})
	check(err)
	identity, err := serververify.NewIdentity(&serververify.IdentityConfig{
		DID: self, Signer: key, Badge: serververify.StaticBadge(token), Stdio: true,
	})
	check(err)
	server := mcp.NewServer(&mcp.Implementation{Name: "files", Version: "1.0"}, nil)
	mcpverify.Disclose(server, identity)
	_, err = server.Connect(ctx, serverEnd, nil)
	check(err)

	// The client.
	badges, err := badge.NewVerifier(&badge.Config{SelfSigned: []did.DID{self}})
	check(err)
	v, err := serververify.New(&serververify.Config{Badges: badges, Resolver: did.StaticResolver{}, MinLevel: badge.LevelSelfSigned})
	check(err)
	client := mcpverify.NewClient(mcp.NewClient(&mcp.Implementation{Name: "agent", Version: "1.0"}, nil), v)
	session, srv, err := client.ConnectStdio(ctx, clientEnd, nil)
	check(err)
	defer session.Close()
	fmt.Println(srv.State, srv.Binding, srv.DID == self)
	// Output: VERIFIED_PRINCIPAL stdio true
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// A desktop client starts this program where it would start a server, and
// talks through it to one that is verified.
func ExampleBridge() {
	var v *serververify.Verifier // of serververify.New
	var caller *mcpverify.Caller // the agent's badge and key
	err := mcpverify.Bridge(context.Background(), &mcpverify.BridgeConfig{
		Verifier: v, Caller: caller, Endpoint: "https://mcp.example.com/mcp",
		OnServer: func(s *serververify.Server) { fmt.Fprintln(os.Stderr, "connected to", s.DID, "at level", s.Level) },
	})
	check(err)
}

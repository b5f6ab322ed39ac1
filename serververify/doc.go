// Package serververify answers, before anything of value is sent to a server:
// who is this, and do they hold the key of who they say they are?
//
// On the client's side use [New] and [Verifier.Verify]; the error is the
// verdict. Send what follows through [Server.Client], which opens each of its
// connections itself, verifies each of them before the first request goes out
// on it, and reaches no other server:
//
//	v, err := serververify.New(&serververify.Config{Badges: badges, Resolver: resolver, MinLevel: badge.LevelDomain})
//	srv, err := v.Verify(ctx, "https://mcp.example.com/mcp")
//	client := srv.Client()
//
// On the server's side use [NewIdentity] and [Identity.Handler].
//
// What is proved, and how, is in spec/server-identity.md: the client's nonce,
// the server's DID, the id of its badge, its origin and the TLS channel
// (RFC 9266) stand together under one signature, so that a proof is worth
// nothing on another connection. Servers that speak MCP over stdio have no
// channel to bind to; see package serververify/mcpverify.
package serververify

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
// On the server's side use [NewIdentity] and [Identity.Handler]; a server that
// changes its key calls [Identity.Rotate].
//
// What is proved, and how, is in spec/server-identity.md: the client's nonce,
// the server's DID, the id of its badge, its origin and the TLS channel
// (RFC 9266) stand together under one signature, so that a proof is worth
// nothing on another connection. On a unix socket the channel is its path and
// the client's process; a process that the client started is bound by a secret
// of its launch ([Launch]), and one behind a proxy that ends TLS by the proxy's
// key, where both sides ask for it. [Config.Bindings] says which are enough, and
// [Config.Admit] what else a server has to pass. Over stdio, package
// serververify/mcpverify does all of it.
package serververify

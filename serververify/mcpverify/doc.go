// Package mcpverify brings server identity into MCP, on both sides and in both
// generations of the protocol: initialize (2025-11-25 and before) and
// server/discover (2026-07-28).
//
// A client makes one [Client] of its mcp.Client and connects through it:
// [Client.ConnectHTTP] verifies every connection as package serververify does,
// over TLS and over unix sockets, and [Client.ConnectStdio] verifies the server
// in its very first answer, before any other request and any badge goes out; a
// process that it launches is given a secret that its proof is bound to. With a
// [Caller] the Client presents a badge, and signs each request as it leaves.
// With a [ToolChecker] it calls no tool before the server's list of tools was
// judged.
//
// [Bridge] does all of that for a client that knows nothing of it, and talks on
// standard input and output.
//
// A server calls [Disclose]. What relays MCP without the SDK's server, such as
// a gateway, uses [DiscloseRaw] and [IdentifyRaw] on the messages instead.
//
// The members of `_meta` are those of spec/server-identity.md section 8.
package mcpverify

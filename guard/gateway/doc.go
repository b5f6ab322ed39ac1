// Package gateway puts a guard in front of an MCP server that nobody changes.
//
// Make a [Gateway] with [New] and let [Gateway.Run] carry the messages between
// a client and the server, each over a pair of byte streams: those of a process
// that [Start] launched, standard input and output, a socket. Both protocol
// generations pass: 2025-11-25 with its handshake, and 2026-07-28 without.
//
// Tools, prompts, resources and completion are guarded. Every other capability is
// refused, in both directions, and not announced (spec/guard.md section 10): an
// upstream server cannot ask the client for its files, its model or its user
// through the gateway, and the caller's badge and proofs never reach the upstream.
package gateway

// Package workload knows who is at the other end of a channel: by an X.509
// certificate, a SPIFFE SVID, or the credentials of a unix socket's peer
// (spec/workload.md).
//
// Servers use [NewServer] over TLS and [ListenUnix] with [ConnContext] on a
// socket, and ask [FromRequest] for the [Principal] of each request. Clients use
// [NewClient] and [NewUnixClient]. [ParseRules] reads the file that says what
// principals mean: a trust level and a class of actor.
//
// TLS is 1.3 alone. Package serververify/workload/spiffe gets SVIDs from a
// Workload API; it is apart because it brings gRPC along.
package workload

// Package safehttp fetches documents whose address somebody else chose: DID
// documents, issuer key sets, discovery documents.
//
// Use [NewClient] and [Get]. The client speaks https only, to public unicast
// addresses only, follows no redirect, uses no proxy, and bounds time and
// size. Whether an address is allowed is decided on the address that is
// dialled, in net.Dialer.Control, so that neither a DNS answer that changes
// nor an unusual spelling of an address gets around it.
//
// The rules, with the table of addresses, are in spec/did.md section 5.
package safehttp

// Package did reads decentralized identifiers, resolves them to public keys
// and makes the documents that publish them.
//
// Start with [Parse], which accepts did:key (Ed25519) and did:web and nothing
// else, and with [NewResolver], whose [WebResolver] turns a [DID] into a
// [Document] over HTTPS without letting the DID's author choose what it
// connects to. [NewDocument] makes a document for a key of one's own.
//
// The rules are those of spec/did.md. Every accepted identifier has one
// spelling, so that == compares DIDs and a DID may be a map key.
//
// Errors tell apart what was examined and refused ([ParseError],
// [DocumentError]) and what could not be examined ([ResolveError]). Callers
// deny in both cases, and report the difference.
package did

// Package mcpwire names what Touchmark puts on the wire of MCP, and takes it
// off again strictly.
//
// Use [Extract] for what a request carries, in its HTTP headers and in its
// `_meta`. The result is what was presented, nothing of it verified.
//
// The names are those of the published CapiscIO documents where these have one
// (capiscio_*, Capiscio-*) and our own otherwise (dev.touchmark/*, Touchmark-*).
package mcpwire

// Members of the `_meta` of a request.
const (
	MetaBadge = "dev.touchmark/badge" // badge, where there is no HTTP header for it
	MetaTxn   = "capiscio_txn"        // transaction id of the call proof
	MetaHop   = "capiscio_hop"        // call proof
	MetaNonce = "dev.touchmark/nonce" // a client's challenge to a server without HTTP

	MetaPublishedNonce     = "capiscio_pop_nonce"      // the published challenge
	MetaPublishedCreatedAt = "capiscio_pop_created_at" // Unix seconds
)

// Members of the `_meta` of a result.
const (
	MetaServerDID   = "capiscio_server_did"        // who answers
	MetaServerBadge = "capiscio_server_badge"      // the badge of who answers
	MetaServerProof = "dev.touchmark/server_proof" // the answer to MetaNonce
	MetaEvidence    = "dev.touchmark/evidence"     // id and leaf hash of the call's record

	MetaPublishedSignature = "capiscio_pop_signature" // the answer to MetaPublishedNonce
	MetaPublishedSignedAt  = "capiscio_pop_signed_at" // Unix seconds; nothing covers it
)

// MetaMinTrustLevel is the member of a tool's `_meta` that holds the lowest
// badge level that may call the tool.
const MetaMinTrustLevel = "dev.touchmark/minTrustLevel"

// ExtensionGuard is the id under which a guarded server announces itself among
// its capabilities' extensions.
const ExtensionGuard = "dev.touchmark/guard"

// MethodIdentify asks a server without HTTP to disclose and prove its identity
// again: params and result hold a `_meta` as the handshake's do.
const MethodIdentify = "dev.touchmark/identify"

// HTTP header fields, in canonical form.
const (
	HeaderBadge       = "X-Capiscio-Badge"
	HeaderTxn         = "X-Capiscio-Txn"
	HeaderHop         = "X-Capiscio-Hop"
	HeaderServerDID   = "Capiscio-Server-Did" // written Capiscio-Server-DID in prose
	HeaderServerBadge = "Capiscio-Server-Badge"
	HeaderNonce       = "Touchmark-Nonce"
	HeaderServerProof = "Touchmark-Server-Proof"
	HeaderServerSPKI  = "Touchmark-Server-Spki" // of the certificate that the client sees
)

// DiscoveryPath is where a server's discovery document is.
const DiscoveryPath = "/.well-known/capiscio/mcp-server.json"

// Values of the `typ` header of our JWS. No two uses of a key share one.
const (
	TypeBadge       = "JWT"
	TypeCallProof   = "capiscio.hop+jwt"
	TypeServerProof = "touchmark-server-proof+jwt"
	TypeRevocations = "touchmark-revocations+jwt"
	TypePromise     = "touchmark-promise+jwt"

	TypePublishedProof = "pop+jws" // of the published proof, which signs a nonce alone
)

// ContextEvidence precedes the bytes that an evidence signature covers.
const ContextEvidence = "touchmark/evidence/v1\n"

// Limits on what is taken off the wire.
const (
	MaxTokenBytes = 16 << 10 // a badge or a proof
	MaxTxnBytes   = 128      // a transaction id
	NonceBytes    = 32       // a decoded nonce, exactly
)

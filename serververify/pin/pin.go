package pin

import (
	"time"

	"github.com/touchmark-dev/touchmark/did"
)

// Any stands for every key, and for every list of tools, in a [Pin] that was
// made that way on purpose.
const Any = "any"

// A Pin is one line of a known-servers file: one server.
type Pin struct {
	// Endpoint is where the server is, in the form of [CanonicalEndpoint]: an
	// https URL without a query, unix:/path.sock, or what [LaunchEndpoint]
	// makes of a command line. A file has one pin for an endpoint.
	Endpoint string

	// DID is who the server is. It is zero for a server without an identity,
	// such as the one behind a gateway: such a pin holds tools alone, and
	// admits nobody.
	DID did.DID

	// Key is the RFC 7638 thumbprint of the server's key, or [Any] for every
	// key of the DID. It is "" where DID is zero.
	Key string

	// FirstSeen is when the pin was made, LastSeen when the server was last
	// found to agree with it, to within an hour; zero for never. Whole seconds.
	FirstSeen, LastSeen time.Time

	// Tools is the digest of the tool definitions that were approved, as
	// [Digest] gives it; [Any] for no comparison, "" while none are approved.
	Tools string

	// Expires is when the pin ends, in whole seconds; zero for never. A server
	// whose pin has ended is refused, unless the pin is Forgotten then, as if
	// it had never been: that is for servers that come and go.
	Expires   time.Time
	Forgotten bool
}

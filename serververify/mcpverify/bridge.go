package mcpverify

import (
	"context"
	"errors"
	"os/exec"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/serververify"
)

// Limits of a bridge, unless its configuration says otherwise.
const (
	DefaultMaxInFlight     = 64       // requests of the client that were not answered yet
	DefaultMaxMessageBytes = 16 << 20 // of one message, in either direction
)

// A BridgeConfig says what a bridge connects. The zero value is refused.
type BridgeConfig struct {
	// Client is where the unmodified client talks. Nil means this process's
	// standard input and output.
	Client mcp.Transport

	// Verifier says which servers are trusted. Required.
	Verifier *serververify.Verifier

	// Endpoint is the server: an https URL, or unix:/path of a socket. Either it
	// or Command is set.
	Endpoint string

	// Command launches the server instead, on its standard input and output. It
	// must not be started yet.
	Command *exec.Cmd

	// Caller presents a badge and signs each request as it leaves. Nil calls as
	// nobody.
	Caller *Caller

	// Tools, if not nil, judges the server's list of tools before the first call
	// of one, and whenever the list is read again. See [Client.Tools].
	Tools ToolChecker

	// RefuseServerRequests keeps the server from asking the client for anything:
	// its model, its user, its files. The capabilities are taken out of what the
	// client says about itself, and requests are answered with an error.
	//
	// By default what the client declared that it can do is relayed, and nothing
	// else: a bridge stands in for a plain connection, to a server that is
	// verified besides. The client asked for these requests in its own
	// handshake, and it is the client that asks its user about each; a bridge
	// that withheld them would make servers behave worse for no gain in safety,
	// and would be taken out again.
	RefuseServerRequests bool

	// MaxInFlight and MaxMessageBytes are limits. Zero means DefaultMaxInFlight
	// and DefaultMaxMessageBytes.
	MaxInFlight     int
	MaxMessageBytes int

	// OnServer, if not nil, is told whom the bridge talks to, whenever the server
	// of a session was verified.
	OnServer func(*serververify.Server)

	// OnError, if not nil, is told what went wrong and was answered with an
	// error.
	OnError func(error)
}

// Bridge relays an MCP client that knows nothing of identities to a server that
// it verifies, until the client ends or ctx does.
func Bridge(ctx context.Context, cfg *BridgeConfig) error {
	if cfg == nil || cfg.Verifier == nil {
		return errors.New("mcpverify: a bridge needs a Verifier")
	}
	return errors.New("mcpverify: no bridge")
}

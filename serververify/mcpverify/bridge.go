package mcpverify

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/serververify"
)

// Limits of a bridge, unless its configuration says otherwise.
const (
	DefaultMaxInFlight     = 64       // requests that were not answered yet, in each direction
	DefaultMaxMessageBytes = 16 << 20 // of one message

	drainTimeout  = 5 * time.Second  // for what is under way when the client ends
	notifyTimeout = 10 * time.Second // for a notification to be taken
	retryPause    = time.Second      // between verifications that fail
	maxRefusals   = 16               // of the server's requests, under way
)

// A BridgeConfig says what a bridge connects. The zero value is refused.
type BridgeConfig struct {
	// Client is where the unmodified client talks. Nil means this process's
	// standard input and output.
	Client mcp.Transport

	// Verifier says which servers are trusted. Required.
	Verifier *serververify.Verifier

	// Endpoint is the server, as [serververify.Verifier.Verify] takes it. Either
	// it or Command is set.
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
	// its model, its user, its files. These capabilities are taken out of what
	// the client says about itself, and requests are answered with an error.
	//
	// By default what the client declared that it can do is relayed, and nothing
	// else. A bridge stands in for a plain connection, to a server that is
	// verified besides: the client asked for these requests in its own handshake,
	// and it is the client that asks its user about each. A bridge that withheld
	// them would break servers for no gain in safety, and would be taken out
	// again.
	RefuseServerRequests bool

	// MaxInFlight and MaxMessageBytes are limits. Zero means DefaultMaxInFlight
	// and DefaultMaxMessageBytes. What a launched server says has the SDK's own
	// limit, 16 MiB, and so has what a Client that is given says.
	MaxInFlight     int
	MaxMessageBytes int

	// OnServer, if not nil, is told whom the bridge talks to, whenever it has
	// verified the server for a session.
	OnServer func(*serververify.Server)

	// OnResume, if not nil, judges the result of a handshake that the bridge made
	// itself, for a session in the place of one that was lost. An error refuses that
	// session.
	OnResume func(result json.RawMessage) error

	// OnError, if not nil, is told what the client was answered an error for.
	OnError func(error)
}

// Bridge relays an MCP client that knows nothing of identities to a server that
// it verifies, of either generation of the protocol. No request of the client
// leaves before the server is verified, and each is signed as it leaves. A
// server that is refused, or lost, is an error to each request that says what to
// do. When a server over HTTP loses the client's session, or the connection
// breaks, the next request verifies it again, must find the same DID, and begins
// a new session with the client's own handshake; subscriptions are gone then.
//
// Bridge returns when the client ends, when a launched server does, or when ctx
// does. The error is nil when the client ended and the server was not refused.
func Bridge(ctx context.Context, cfg *BridgeConfig) error {
	b, err := newBridge(cfg)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	b.ctx, b.end = ctx, cancel
	if b.local, err = b.cfg.Client.Connect(ctx); err != nil {
		return err
	}
	defer b.local.Close()
	err = b.readClient()
	b.close()
	return err
}

func newBridge(cfg *BridgeConfig) (*bridge, error) {
	switch {
	case cfg == nil || cfg.Verifier == nil:
		return nil, errors.New("mcpverify: a bridge needs a Verifier")
	case (cfg.Endpoint == "") == (cfg.Command == nil):
		return nil, errors.New("mcpverify: a bridge needs an Endpoint or a Command, and one of them")
	case cfg.MaxInFlight < 0 || cfg.MaxMessageBytes < 0:
		return nil, errors.New("mcpverify: negative MaxInFlight or MaxMessageBytes")
	}
	b := &bridge{
		cfg: *cfg, linking: make(chan struct{}, 1), refusals: make(chan struct{}, maxRefusals), calls: make(map[jsonrpc.ID]*bridgeCall),
	}
	c := &b.cfg
	if c.Caller != nil {
		if err := c.Caller.check(); err != nil {
			return nil, err
		}
	}
	if c.MaxInFlight == 0 {
		c.MaxInFlight = DefaultMaxInFlight
	}
	if c.MaxMessageBytes == 0 {
		c.MaxMessageBytes = DefaultMaxMessageBytes
	}
	if c.Client == nil {
		c.Client = &mcp.IOTransport{Reader: os.Stdin, Writer: keepOpen{os.Stdout}, MaxLineLength: c.MaxMessageBytes}
	}
	if c.OnServer == nil {
		c.OnServer = func(*serververify.Server) {}
	}
	if c.OnResume == nil {
		c.OnResume = func(json.RawMessage) error { return nil }
	}
	if c.OnError == nil {
		c.OnError = func(error) {}
	}
	return b, nil
}

// keepOpen is standard output, which is not the bridge's to close.
type keepOpen struct{ io.Writer }

// Close implements [io.Closer].
func (keepOpen) Close() error { return nil }

// sameServer holds every session to the server of the first.
func sameServer(first did.DID, srv *serververify.Server) error {
	if !first.IsZero() && first != srv.DID {
		return anotherServer(srv, "it was "+first.String()+" before")
	}
	return nil
}

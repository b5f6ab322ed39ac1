package mcpverify

import (
	"context"
	"errors"
	"fmt"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/internal/mcpwire"
	"github.com/touchmark-dev/touchmark/serververify"
)

// A Client connects an mcp.Client to servers that it has verified. Make it
// with [NewClient]; its methods are safe for concurrent use.
type Client struct {
	// Caller presents a badge to the servers, once each is verified, and signs
	// the requests to it. Nil calls as nobody. Set it before the first session.
	Caller *Caller

	// Tools, if not nil, judges a server's list of tools before the first call of
	// one, and whenever the list is read again. What [mcp.ClientSession.ListTools]
	// then shows is the list that was judged, on one page; tools that are not on
	// it are not called. Set it before the first session.
	Tools ToolChecker

	client   *mcp.Client
	verifier *serververify.Verifier
}

// NewClient returns a Client that connects c. It adds a middleware to c, which
// does nothing on sessions that are made without the Client.
func NewClient(c *mcp.Client, v *serververify.Verifier) *Client {
	c.AddSendingMiddleware(checkInBand)
	return &Client{client: c, verifier: v}
}

// ConnectHTTP verifies the server at endpoint and begins a session with it. Its
// `_meta` must not name another server than its connection does. The error is
// that of [serververify.Verifier.Verify], or says why the session failed.
func (c *Client) ConnectHTTP(ctx context.Context, endpoint string, opts *mcp.ClientSessionOptions) (*mcp.ClientSession, *serververify.Server, error) {
	srv, err := c.verifier.Verify(ctx, endpoint)
	if err != nil {
		return nil, nil, err
	}
	t := &mcp.StreamableClientTransport{Endpoint: endpoint, HTTPClient: srv.Client()}
	if c.Caller != nil {
		if err := c.Caller.checkFor(srv); err != nil {
			return nil, nil, err
		}
		t.HTTPClient = c.Caller.httpClient(t.HTTPClient, srv.DID)
	}
	session, err := c.client.Connect(context.WithValue(ctx, expectedKey{}, srv), t, opts)
	if err != nil {
		return nil, nil, err
	}
	return session, srv, nil
}

// ConnectStdio begins a session with the server at the other end of t, which
// the client launched, for instance with an mcp.CommandTransport. Until the
// server's answer to the first request proves who it is, nothing else goes out,
// and no badge with it. The error is an [*serververify.UntrustedError] or
// [*serververify.UndeterminedError], or says why the session failed.
func (c *Client) ConnectStdio(ctx context.Context, t mcp.Transport, opts *mcp.ClientSessionOptions) (*mcp.ClientSession, *serververify.Server, error) {
	vt := &Transport{Transport: t, Verifier: c.verifier, Caller: c.Caller}
	session, err := c.client.Connect(ctx, vt, opts)
	if failure := vt.failure(); failure != nil {
		err = failure // the SDK reports a lost connection
	}
	if err != nil {
		if session != nil {
			session.Close()
		}
		return nil, nil, err
	}
	return session, vt.Server(), nil
}

// expectedKey is the key of the *serververify.Server that a context expects in
// the results of the handshake.
type expectedKey struct{}

// checkInBand holds what a server says in its `_meta` to what it proved on its
// connection.
func checkInBand(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
		res, err := next(ctx, method, req)
		srv, ok := ctx.Value(expectedKey{}).(*serververify.Server)
		if err != nil || !ok {
			return res, err
		}
		var meta mcp.Meta
		switch r := res.(type) {
		case *mcp.InitializeResult:
			meta = r.Meta
		case *mcp.DiscoverResult:
			meta = r.Meta
		default:
			return res, nil
		}
		if named, ok := meta[mcpwire.MetaServerDID]; ok && named != srv.DID.String() {
			return nil, anotherServer(srv, fmt.Sprintf("its _meta names %.200q", fmt.Sprint(named)))
		}
		return res, nil
	}
}

func anotherServer(srv *serververify.Server, reason string) error {
	return &serververify.UntrustedError{
		Code: serververify.CodeDIDMismatch, State: serververify.StateDeclared, DID: srv.DID, Reason: reason,
		BadgeValid: true, BadgeID: srv.BadgeID, Level: srv.Level,
	}
}

// errUnverified reports a message that was not sent.
var errUnverified = errors.New("mcpverify: the server is not verified yet, nothing is sent to it")

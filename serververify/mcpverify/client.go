package mcpverify

import (
	"context"
	"errors"

	"github.com/modelcontextprotocol/go-sdk/mcp"

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

// NewClient returns a Client that connects c.
func NewClient(c *mcp.Client, v *serververify.Verifier) *Client {
	return &Client{client: c, verifier: v}
}

// ConnectHTTP verifies the server at endpoint and begins a session with it. Its
// `_meta` must not name another server than its connection does. The error is
// that of [serververify.Verifier.Verify], or says why the session failed.
func (c *Client) ConnectHTTP(ctx context.Context, endpoint string, opts *mcp.ClientSessionOptions) (*mcp.ClientSession, *serververify.Server, error) {
	t, err := verifyHTTP(ctx, c.verifier, endpoint, c.Caller)
	if err != nil {
		return nil, nil, err
	}
	session, err := c.client.Connect(ctx, withTools(t, c.Tools, t.Server), opts)
	if failure := t.failure(); failure != nil {
		err = failure // the SDK reports a lost connection
	}
	if err != nil {
		if session != nil {
			session.Close()
		}
		return nil, nil, err
	}
	return session, t.Server(), nil
}

// verifyHTTP verifies the server at endpoint and returns the transport to it.
func verifyHTTP(ctx context.Context, v *serververify.Verifier, endpoint string, caller *Caller) (*httpTransport, error) {
	srv, err := v.Verify(ctx, endpoint)
	if err != nil {
		return nil, err
	}
	t := &httpTransport{endpoint: endpoint, client: srv.Client(), verifier: v, server: srv, maxBytes: DefaultMaxMessageBytes}
	if caller != nil {
		if err := caller.checkFor(srv); err != nil {
			return nil, err
		}
		t.client = caller.httpClient(t.client, srv.DID)
	}
	return t, nil
}

// withTools puts a judge of tools, if there is one, over t.
func withTools(t mcp.Transport, checker ToolChecker, server func() *serververify.Server) mcp.Transport {
	if checker == nil {
		return t
	}
	return &toolsTransport{t, checker, server}
}

// ConnectStdio begins a session with the server at the other end of t, which
// the client launched, for instance with an mcp.CommandTransport. Until the
// server's answer to the first request proves who it is, nothing else goes out,
// and no badge with it. The error is an [*serververify.UntrustedError] or
// [*serververify.UndeterminedError], or says why the session failed.
func (c *Client) ConnectStdio(ctx context.Context, t mcp.Transport, opts *mcp.ClientSessionOptions) (*mcp.ClientSession, *serververify.Server, error) {
	vt := &Transport{Transport: t, Verifier: c.verifier, Caller: c.Caller}
	session, err := c.client.Connect(ctx, withTools(vt, c.Tools, vt.Server), opts)
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

func anotherServer(srv *serververify.Server, reason string) error {
	return srv.Refuse(serververify.CodeDIDMismatch, "%s", reason)
}

// errUnverified reports a message that was not sent.
var errUnverified = errors.New("mcpverify: the server is not verified yet, nothing is sent to it")

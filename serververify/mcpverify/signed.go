package mcpverify

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/did"
)

// A signedTransport signs what leaves another transport.
type signedTransport struct {
	mcp.Transport
	caller *Caller
}

// Connect implements [mcp.Transport].
func (t *signedTransport) Connect(ctx context.Context) (mcp.Connection, error) {
	inner, err := t.Transport.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &signedConn{inner, t.caller}, nil
}

type signedConn struct {
	mcp.Connection
	caller *Caller
}

// Write implements [mcp.Connection].
func (c *signedConn) Write(ctx context.Context, msg jsonrpc.Message) error {
	signed, err := c.caller.sign(ctx, c.caller.Server, msg)
	if err != nil {
		return err
	}
	return c.Connection.Write(ctx, signed)
}

// httpClient returns a client like inner, nil for the default one, that signs the
// messages that it posts. It follows no redirect: one would be signed too, for a
// place that nobody has verified. HTTP is signed here and not on an
// mcp.Connection because the SDK tells the version of the protocol to connections
// of its own only.
func (c *Caller) httpClient(inner *http.Client, server did.DID) *http.Client {
	if inner == nil {
		inner = http.DefaultClient
	}
	signed := *inner
	signed.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	next := inner.Transport
	if next == nil {
		next = http.DefaultTransport
	}
	signed.Transport = &signedHTTP{next: next, caller: c, server: server}
	return &signed
}

type signedHTTP struct {
	next   http.RoundTripper
	caller *Caller
	server did.DID
}

// RoundTrip implements [http.RoundTripper].
func (s *signedHTTP) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodPost || r.Body == nil {
		return s.next.RoundTrip(r)
	}
	body, err := s.sign(r)
	if err != nil {
		return nil, err
	}
	signed := r.Clone(r.Context())
	signed.ContentLength = int64(len(body))
	signed.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	signed.Body, _ = signed.GetBody()
	return s.next.RoundTrip(signed)
}

// sign returns the signed form of a request's body, which is one message.
func (s *signedHTTP) sign(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	if err := r.Body.Close(); err != nil {
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	msg, err := jsonrpc.DecodeMessage(body)
	if err != nil {
		return nil, fmt.Errorf("mcpverify: what is posted is no message: %w", err)
	}
	signed, err := s.caller.sign(r.Context(), s.server, msg)
	if err != nil || signed == msg {
		return body, err
	}
	return jsonrpc.EncodeMessage(signed)
}

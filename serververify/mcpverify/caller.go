package mcpverify

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
	"github.com/touchmark-dev/touchmark/serververify"
)

// A Caller is an agent's side of a call: the badge it presents and the key with
// which it signs (spec/call-proof.md). Set it in a [Client], which shows it to
// the servers that it has verified. Every request is signed as it leaves, but the
// handshake's, which are answered to anybody: a request that the SDK makes of its
// own accord, such as the next round when a server asks for input, has its own
// proof. The zero Caller is refused. It is safe for concurrent use, and must not
// be changed once it is in use.
type Caller struct {
	// Badge returns the current badge. It is asked for every request, so it
	// answers from memory. Required.
	Badge func(ctx context.Context) (string, error)

	// Key is the badge's key, Ed25519. Required.
	Key crypto.Signer

	// Server is the only server that is called. The zero DID stands for the one
	// that the [Client] has verified, whichever it is.
	Server did.DID

	// Audience is the name by which the server is known to call proofs. Empty
	// stands for the origin of a did:web server, and else for its DID.
	Audience string

	// TxnID is the transaction that the calls belong to. Empty makes every
	// request a transaction of its own.
	TxnID string

	// OnSign, if not nil, is told what a request is sent with, before it is sent.
	// The context is the call's. It may be called concurrently.
	OnSign func(ctx context.Context, s Signed)
}

// Signed is what a request presents: its badge and the proof for it. Both are as
// good as the request itself until the proof was used: do not log them.
type Signed struct {
	Method string
	Badge  string
	Proof  string
	TxnID  string
}

// A SignError says that a request was not sent, since it could not be signed. The
// session goes on.
type SignError struct {
	Method string
	err    error
}

func (e *SignError) Error() string { return fmt.Sprintf("signing %q: %v", e.Method, e.err) }

// Unwrap returns the cause.
func (e *SignError) Unwrap() error { return e.err }

// codeNotSent is the code of the SDK's error for a message that a transport
// declined: any other error of a transport ends the connection.
const codeNotSent = -32005

// Is reports whether target is the SDK's error for a message that was not sent.
func (e *SignError) Is(target error) bool { return isNotSent(target) }

func isNotSent(target error) bool {
	var w *jsonrpc.Error
	return errors.As(target, &w) && w != nil && w.Code == codeNotSent
}

func (c *Caller) check() error {
	if c.Badge == nil || c.Key == nil {
		return errors.New("mcpverify: a Caller needs a Badge and its Key")
	}
	return nil
}

// checkFor refuses a server, which was verified, that is not the one to call.
func (c *Caller) checkFor(srv *serververify.Server) error {
	if err := c.check(); err != nil {
		return err
	}
	if !c.Server.IsZero() && c.Server != srv.DID {
		return anotherServer(srv, fmt.Sprintf("the caller signs for %q", c.Server))
	}
	return nil
}

// Transport returns a transport that leads where t does, and on which every
// request is signed for c.Server. It is for whoever knows by other means than a
// [Client] that t leads to that server and to no other. Redirects are not
// followed. Sessions on other transports show nothing of c.
func (c *Caller) Transport(t mcp.Transport) (mcp.Transport, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	if c.Server.IsZero() {
		return nil, errors.New("mcpverify: a Caller needs the verified Server: a badge is shown to nobody else")
	}
	switch t := t.(type) {
	case *Transport:
		return nil, errors.New("mcpverify: a Transport that verifies its server signs by its own Caller: set it there")
	case *mcp.StreamableClientTransport:
		signed := *t
		signed.HTTPClient = c.httpClient(t.HTTPClient, c.Server)
		return &signed, nil
	}
	return &signedTransport{t, c}, nil
}

// isHandshake reports whether a request is open to anybody, and so sent without
// a badge.
func isHandshake(method string) bool {
	switch method {
	case methodInitialize, methodDiscover, "ping":
		return true
	}
	return strings.HasPrefix(method, "notifications/")
}

// sign returns msg with the badge and a proof for it, if it is a request that
// needs them. The error is a [*SignError].
func (c *Caller) sign(ctx context.Context, server did.DID, msg jsonrpc.Message) (jsonrpc.Message, error) {
	req, ok := msg.(*jsonrpc.Request)
	if !ok || isHandshake(req.Method) {
		return msg, nil
	}
	params, err := c.signParams(ctx, server, req)
	if err != nil {
		return nil, &SignError{Method: req.Method, err: err}
	}
	signed := *req
	signed.Params = params
	return &signed, nil
}

func (c *Caller) signParams(ctx context.Context, server did.DID, req *jsonrpc.Request) (json.RawMessage, error) {
	members, meta, err := callMembers(req.Params)
	if err != nil {
		return nil, err
	}
	call, err := callOf(req.Method, members)
	if err != nil {
		return nil, err
	}
	s := Signed{Method: req.Method, TxnID: c.TxnID}
	if s.TxnID == "" {
		s.TxnID = pop.NewTxnID()
	}
	if s.Badge, err = c.Badge(ctx); err != nil {
		return nil, fmt.Errorf("badge: %w", err)
	}
	s.Proof, err = SignCall(c.Key, s.Badge, &pop.Statement{Call: call, Server: server, Audience: c.Audience, TxnID: s.TxnID})
	if err != nil {
		return nil, err
	}
	meta[mcpwire.MetaBadge], meta[mcpwire.MetaHop], meta[mcpwire.MetaTxn] = quote(s.Badge), quote(s.Proof), quote(s.TxnID)
	if members["_meta"], err = marshal(meta); err != nil {
		return nil, err
	}
	if c.OnSign != nil {
		c.OnSign(ctx, s)
	}
	return marshal(members)
}

// SignCall signs a statement about a call for the badge token: subject and
// badge id of the statement are the badge's.
func SignCall(key crypto.Signer, token string, s *pop.Statement) (string, error) {
	own, err := badge.Inspect(token)
	if err != nil {
		return "", fmt.Errorf("own badge: %w", err)
	}
	if own.Problem != nil {
		return "", fmt.Errorf("own badge: %w", own.Problem)
	}
	st := *s
	st.BadgeID, st.Subject = own.BadgeID, own.Subject
	return pop.Sign(key, &st)
}

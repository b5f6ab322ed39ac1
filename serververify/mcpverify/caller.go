package mcpverify

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"sync/atomic"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
)

// A Caller is an agent's side of a call: the badge it presents and the key with
// which it signs each request (spec/call-proof.md). It says both to one
// verified server only. The zero Caller is refused.
type Caller struct {
	// Badge returns the current badge. It is asked for every request, so it
	// answers from memory. Required.
	Badge func(ctx context.Context) (string, error)

	// Key is the badge's key, Ed25519. Required.
	Key crypto.Signer

	// Server is who is called, as it was verified. Required.
	Server did.DID

	// Audience is the name by which the server is known to call proofs. Empty
	// stands for the origin of a did:web server, and else for its DID.
	Audience string

	// Session is the session with Server. Nil stands for the first session of
	// the client that makes a request after Sign. Requests of other sessions go
	// out as they are, without the badge.
	Session *mcp.ClientSession

	// TxnID is the transaction that the calls belong to. Empty makes every
	// request a transaction of its own.
	TxnID string
}

// Sign makes client present the badge and sign every request of one session but
// the handshake's, which are answered to anybody. Call it before other sending
// middleware is added: one that was there before sees the signed request, and
// what it changes is not what was signed. For the same reason set
// mcp.MultiRoundTripOptions.Disabled where servers ask for input, and make the
// second call with the session: the SDK's own would carry the first one's proof,
// and be refused.
func (c *Caller) Sign(client *mcp.Client) error {
	switch {
	case c.Badge == nil || c.Key == nil:
		return errors.New("mcpverify: a Caller needs a Badge and its Key")
	case c.Server.IsZero():
		return errors.New("mcpverify: a Caller needs the verified Server: a badge is shown to nobody else")
	}
	one := new(atomic.Pointer[mcp.ClientSession])
	one.Store(c.Session)
	client.AddSendingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler { return c.middleware(one, next) })
	return nil
}

// middleware signs the requests of the session one, which is that of the first
// request while it is nil.
func (c *Caller) middleware(one *atomic.Pointer[mcp.ClientSession], next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
		session, ok := req.GetSession().(*mcp.ClientSession)
		if !ok || isHandshake(method) {
			return next(ctx, method, req)
		}
		one.CompareAndSwap(nil, session)
		if one.Load() != session {
			return next(ctx, method, req)
		}
		params, err := c.sign(ctx, method, req.GetParams())
		if err != nil {
			return nil, fmt.Errorf("signing %s: %w", method, err)
		}
		return next(ctx, method, &mcp.ClientRequest[mcp.Params]{Session: session, Params: params})
	}
}

// isHandshake reports whether a request is open to anybody, and so sent without
// a badge.
func isHandshake(method string) bool {
	switch method {
	case "initialize", "server/discover", "ping":
		return true
	}
	const notification = "notifications/"
	return len(method) > len(notification) && method[:len(notification)] == notification
}

// sign returns a copy of params with the badge and a proof for it.
func (c *Caller) sign(ctx context.Context, method string, params mcp.Params) (mcp.Params, error) {
	params, err := copyParams(params)
	if err != nil {
		return nil, err
	}
	call, err := callOf(method, params)
	if err != nil {
		return nil, err
	}
	token, err := c.Badge(ctx)
	if err != nil {
		return nil, fmt.Errorf("badge: %w", err)
	}
	txn := c.TxnID
	if txn == "" {
		txn = pop.NewTxnID()
	}
	proof, err := SignCall(c.Key, token, &pop.Statement{Call: call, Server: c.Server, Audience: c.Audience, TxnID: txn})
	if err != nil {
		return nil, err
	}
	meta := maps.Clone(params.GetMeta())
	if meta == nil {
		meta = map[string]any{}
	}
	meta[mcpwire.MetaBadge], meta[mcpwire.MetaHop], meta[mcpwire.MetaTxn] = token, proof, txn
	params.SetMeta(meta)
	return params, nil
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

// copyParams returns a shallow copy, so that what the application holds is not
// changed under it.
func copyParams(params mcp.Params) (mcp.Params, error) {
	v := reflect.ValueOf(params)
	if v.Kind() != reflect.Pointer {
		return nil, fmt.Errorf("cannot sign parameters of type %T", params)
	}
	fresh := reflect.New(v.Type().Elem())
	if !v.IsNil() {
		fresh.Elem().Set(v.Elem())
	}
	return fresh.Interface().(mcp.Params), nil
}

package mcpverify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/internal/endpoint"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
	"github.com/touchmark-dev/touchmark/serververify"
)

// A Transport verifies the server at the other end of another transport, one
// without HTTP. [Client.ConnectStdio] makes one; use it by itself where the
// session is made elsewhere. It is for one connection.
type Transport struct {
	Transport mcp.Transport
	Verifier  *serververify.Verifier

	// Caller signs the requests to the server, once it is verified. Nil calls as
	// nobody.
	Caller *Caller

	// Launch is the secret that the server's process was started with. An
	// mcp.CommandTransport that was not started yet is given one of its own; the
	// zero Launch stands for none elsewhere.
	Launch serververify.Launch

	// Endpoint is what the server is called where servers are compared by their
	// place (serververify/pin). Empty stands for the command line of an
	// mcp.CommandTransport, in the spelling of spec/pins.md.
	Endpoint string

	mu   sync.Mutex
	conn *conn
}

// errNetwork reports a transport whose other end the client did not launch.
var errNetwork = errors.New("mcpverify: over HTTP a proof has to be bound to the connection: use Client.ConnectHTTP")

// Connect implements [mcp.Transport].
func (t *Transport) Connect(ctx context.Context) (mcp.Connection, error) {
	switch t.Transport.(type) {
	case *mcp.StreamableClientTransport, *mcp.SSEClientTransport:
		return nil, errNetwork
	}
	if t.Caller != nil {
		if err := t.Caller.check(); err != nil {
			return nil, err
		}
	}
	c := newConn(t)
	if command, ok := t.Transport.(*mcp.CommandTransport); ok {
		c.launchedBy(command.Command)
	}
	var err error
	if c.Connection, err = t.Transport.Connect(ctx); err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.conn = c
	return c, nil
}

// launchedBy gives the process that cmd is going to be a secret that no other
// has, also not the one that started this process.
func (c *conn) launchedBy(cmd *exec.Cmd) {
	if c.launch.IsZero() {
		c.launch = serververify.NewLaunch()
	}
	env := slices.DeleteFunc(cmd.Environ(), func(v string) bool { return strings.HasPrefix(v, serververify.LaunchVariable+"=") })
	cmd.Env = append(env, c.launch.Environ())
	if c.endpoint == "" {
		c.endpoint, _ = endpoint.Launch(cmd.Args) // one without a spelling has no pin either
	}
}

// Server returns who the server was at its last verification, nil before the
// first.
func (t *Transport) Server() *serververify.Server {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn == nil {
		return nil
	}
	return t.conn.verified()
}

func (t *Transport) failure() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn == nil {
		return nil
	}
	t.conn.mu.Lock()
	defer t.conn.mu.Unlock()
	return t.conn.failed
}

// A conn lets a handshake through, verifies what comes back, and lets nothing
// else through before.
type conn struct {
	mcp.Connection
	v        *serververify.Verifier
	caller   *Caller // may be nil
	launch   serververify.Launch
	endpoint string

	again chan struct{} // holds a token while the server is being verified again

	mu        sync.Mutex // guards what follows
	server    *serververify.Server
	failed    error
	handshake json.RawMessage          // params of the handshake that succeeded
	pending   map[jsonrpc.ID]handshake // sent and not answered

	own ownRequests
}

type handshake struct {
	nonce  string
	params json.RawMessage
}

func newConn(t *Transport) *conn {
	return &conn{
		v: t.Verifier, caller: t.Caller, launch: t.Launch, endpoint: t.Endpoint, again: make(chan struct{}, 1),
		pending: make(map[jsonrpc.ID]handshake),
	}
}

func (c *conn) verified() *serververify.Server {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.server
}

// Write implements [mcp.Connection].
func (c *conn) Write(ctx context.Context, msg jsonrpc.Message) error {
	req, ok := msg.(*jsonrpc.Request)
	resp, isAnswer := msg.(*jsonrpc.Response)
	switch {
	case ok && req.IsCall() && (req.Method == methodInitialize || req.Method == methodDiscover):
		return c.challenge(ctx, req)
	case c.verified() == nil && ok && req.Method == methodCancelled:
		return nil // of a handshake that is given up: nothing anybody waits for
	case c.verified() == nil && (!ok || !req.IsCall() || requestVersion(req) < generation2026):
		return errUnverified
	case c.verified() == nil: // a client of the newer generation needs no handshake
		if err := c.introduce(ctx, req); err != nil {
			return err
		}
	case ok && req.IsCall(), isAnswer && resp.Error == nil:
		// Notifications go along with the calls around them. Errors tell the
		// server nothing, and may be written by who reads: that must not wait
		// for an answer.
		if err := c.refresh(ctx); err != nil {
			return err
		}
	}
	if c.caller != nil {
		var err error
		if msg, err = c.caller.sign(ctx, c.verified().DID, msg); err != nil {
			return err
		}
	}
	return c.Connection.Write(ctx, msg)
}

// challenge sends a handshake with a challenge, and without what only a
// verified server may see.
func (c *conn) challenge(ctx context.Context, req *jsonrpc.Request) error {
	h := handshake{nonce: serververify.NewNonce()}
	var err error
	if h.params, err = challengeParams(req.Params, h.nonce, c.v.ChecksPublished()); err != nil {
		return err
	}
	c.mu.Lock()
	c.pending[req.ID] = h
	c.mu.Unlock()
	sent := *req
	sent.Params = h.params
	return c.Connection.Write(ctx, &sent)
}

// challengeParams puts a nonce into the `_meta` of params, and takes badge and
// call proof out.
func challengeParams(params json.RawMessage, nonce string, published bool) (json.RawMessage, error) {
	if len(params) == 0 {
		params = json.RawMessage("{}")
	}
	members, meta, err := rawObject(params)
	if err != nil {
		return nil, fmt.Errorf("mcpverify: params: %w", err)
	}
	for _, secret := range []string{mcpwire.MetaBadge, mcpwire.MetaHop, mcpwire.MetaTxn} {
		delete(meta, secret)
	}
	meta[mcpwire.MetaNonce] = quote(nonce)
	if published {
		addPublished(meta, nonce)
	}
	if members["_meta"], err = marshal(meta); err != nil {
		return nil, err
	}
	return marshal(members)
}

// Read implements [mcp.Connection].
func (c *conn) Read(ctx context.Context) (jsonrpc.Message, error) {
	for {
		msg, err := c.Connection.Read(ctx)
		if err != nil {
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.failed != nil {
				err = c.failed
			}
			return nil, err
		}
		pass, err := c.incoming(ctx, msg)
		if err != nil {
			c.cut(err)
			return nil, err
		}
		if pass {
			return msg, nil
		}
	}
}

// cut ends the connection to a server that was refused.
func (c *conn) cut(err error) {
	c.mu.Lock()
	if c.failed == nil {
		c.failed = err
	}
	c.mu.Unlock()
	c.Close()
}

// incoming judges a message and reports whether the session may have it. Before
// the server is verified, a session gets nothing but the answer to its
// handshake: it would react to a request, and show a notification.
func (c *conn) incoming(ctx context.Context, msg jsonrpc.Message) (bool, error) {
	resp, ok := msg.(*jsonrpc.Response)
	if !ok {
		if c.verified() != nil {
			return true, nil
		}
		return false, c.decline(ctx, msg)
	}
	c.mu.Lock()
	h, isHandshake := c.pending[resp.ID]
	delete(c.pending, resp.ID)
	server := c.server
	c.mu.Unlock()
	switch {
	case c.own.take(resp):
		return false, nil
	case isHandshake && resp.Error == nil:
		srv, err := c.judge(ctx, h.nonce, resp.Result)
		if err != nil {
			return false, err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.server, c.handshake = srv, h.params
		return true, nil
	}
	return isHandshake || server != nil, nil
}

func (c *conn) decline(ctx context.Context, msg jsonrpc.Message) error {
	req, ok := msg.(*jsonrpc.Request)
	if !ok || !req.IsCall() {
		return nil
	}
	return c.Connection.Write(ctx, &jsonrpc.Response{ID: req.ID, Error: &jsonrpc.Error{
		Code: jsonrpc.CodeInvalidRequest, Message: "the client has not verified this server yet",
	}})
}

// judge verifies the server by a result that answers nonce. It must be who it
// was before.
func (c *conn) judge(ctx context.Context, nonce string, result json.RawMessage) (*serververify.Server, error) {
	d, err := disclosureOf(result)
	if err != nil {
		return nil, &serververify.UntrustedError{Code: serververify.CodeIdentityMissing, State: serververify.StateUnverified, Reason: err.Error()}
	}
	srv, err := c.v.VerifyLaunched(ctx, &serververify.StdioExchange{Nonce: nonce, Disclosure: d, Launch: c.launch, Endpoint: c.endpoint})
	if err != nil {
		return nil, err
	}
	if before := c.verified(); before != nil {
		if before.DID != srv.DID {
			return nil, anotherServer(srv, fmt.Sprintf("it was %q before", before.DID))
		}
		if before.Binding != srv.Binding {
			return nil, srv.Refuse(serververify.CodePoPFailed, "its proof was bound by %s before, and is by %s now", before.Binding, srv.Binding)
		}
	}
	if c.caller != nil {
		if err := c.caller.checkFor(srv); err != nil {
			return nil, err
		}
	}
	return srv, nil
}

func disclosureOf(result json.RawMessage) (d serververify.Disclosure, err error) {
	_, meta, err := rawObject(result)
	if err != nil {
		return d, err
	}
	for name, to := range map[string]*string{
		mcpwire.MetaServerDID: &d.DID, mcpwire.MetaServerBadge: &d.Badge, mcpwire.MetaServerProof: &d.Proof,
		mcpwire.MetaPublishedSignature: &d.Published,
	} {
		if *to, err = metaText(meta, name); err != nil {
			return serververify.Disclosure{}, err
		}
	}
	return d, nil
}

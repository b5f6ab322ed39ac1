package mcpverify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/internal/mcpwire"
	"github.com/touchmark-dev/touchmark/serververify"
)

// How long to wait before the stream on which a server speaks first is opened
// again.
const (
	streamRetry    = time.Second
	streamRetryMax = 30 * time.Second
)

// methodListen is the method of the newer generation's stream. As the SDK's
// connections take its failure for that of one request, the older generation's
// stream goes under it too.
const methodListen = "subscriptions/listen"

// An httpTransport leads to one server over HTTP, by a client that reaches no
// other. It is the SDK's, made so that other connections can be put around it:
// the SDK tells the version of the protocol to connections of its own type
// alone, and has only those open the stream on which a server of the older
// generation speaks first. Here both follow from the messages that pass.
type httpTransport struct {
	endpoint string
	client   *http.Client
	verifier *serververify.Verifier
	maxBytes int

	mu     sync.Mutex // guards what follows
	server *serververify.Server
	failed error // why the connection was given up
}

// Server returns the server that was verified, as Transport.Server does.
func (t *httpTransport) Server() *serververify.Server {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.server
}

func (t *httpTransport) setPublished(r serververify.PublishedResult) {
	t.mu.Lock()
	defer t.mu.Unlock()
	srv := *t.server // others may be looking at it
	srv.PublishedProof = r
	t.server = &srv
}

func (t *httpTransport) failure() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failed
}

func (t *httpTransport) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failed = err
}

// Connect implements [mcp.Transport].
func (t *httpTransport) Connect(ctx context.Context) (mcp.Connection, error) {
	c := &httpConn{
		transport: t, server: t.Server(), published: t.verifier.ChecksPublished(),
		pending: make(map[jsonrpc.ID]string), nonces: make(map[jsonrpc.ID]string), params: make(map[string][]paramHeader),
	}
	client := *t.client
	client.Transport = &httpHeaders{next: client.Transport, conn: c, maxBytes: int64(t.maxBytes)}
	inner, err := (&mcp.StreamableClientTransport{Endpoint: t.endpoint, HTTPClient: &client, MaxEventSize: t.maxBytes}).Connect(ctx)
	if err != nil {
		return nil, err
	}
	c.Connection = inner
	c.ctx, c.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return c, nil
}

type httpConn struct {
	mcp.Connection
	transport *httpTransport
	server    *serververify.Server
	published bool            // the published challenge is sent
	ctx       context.Context // of the stream
	cancel    context.CancelFunc

	mu       sync.Mutex            // guards what follows
	version  string                // of the protocol, "" before it is known
	pending  map[jsonrpc.ID]string // methods
	nonces   map[jsonrpc.ID]string // of published challenges
	stream   jsonrpc.ID            // of the request that stands for the stream
	streams  int
	noStream bool
	params   map[string][]paramHeader // of the tools that were listed
	refusal  error                    // of the last request, if its server was refused
}

// The contexts of requests say what they are to the round tripper below.
type (
	messageKey struct{} // of the jsonrpc.Message that is sent
	streamKey  struct{} // of true for the stream
)

// Write implements [mcp.Connection].
func (c *httpConn) Write(ctx context.Context, msg jsonrpc.Message) error {
	req, ok := msg.(*jsonrpc.Request)
	if ok {
		c.outgoing(req)
		challenged, err := c.challengePublished(req)
		if err != nil {
			return &notSentError{err}
		}
		msg = challenged
	}
	err := c.Connection.Write(context.WithValue(ctx, messageKey{}, msg), msg)
	if ok && err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.pending, req.ID)
	}
	return err
}

// outgoing notes what an answer will be read for.
func (c *httpConn) outgoing(req *jsonrpc.Request) {
	version := requestVersion(req)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case version != "":
		c.version = version
	case req.Method == methodInitialize:
		c.version = "" // it is going to be settled
	}
	switch req.Method {
	case methodInitialize, methodDiscover, methodToolsList:
		if req.IsCall() {
			c.pending[req.ID] = req.Method
		}
	case methodCancelled:
		if id, ok := cancelledID(req.Params); ok {
			delete(c.pending, id)
		}
	}
}

// Read implements [mcp.Connection].
func (c *httpConn) Read(ctx context.Context) (jsonrpc.Message, error) {
	for {
		msg, err := c.Connection.Read(ctx)
		if err != nil {
			return nil, c.reason(err)
		}
		resp, ok := msg.(*jsonrpc.Response)
		if !ok {
			return msg, nil
		}
		pass, err := c.incoming(resp)
		if err != nil {
			c.transport.fail(err)
			c.Close()
			return nil, err
		}
		if pass {
			return resp, nil
		}
	}
}

// reason prefers to say that a server was refused over what that led to.
func (c *httpConn) reason(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refusal != nil {
		return c.refusal
	}
	return err
}

// incoming reads a response and reports whether it is for the session.
func (c *httpConn) incoming(resp *jsonrpc.Response) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stream.IsValid() && resp.ID == c.stream {
		c.stream = jsonrpc.ID{}
		go c.listen()
		return false, nil
	}
	method, nonce := c.pending[resp.ID], c.nonces[resp.ID]
	delete(c.pending, resp.ID)
	delete(c.nonces, resp.ID)
	var wire *jsonrpc.Error
	switch {
	case resp.Error != nil && !errors.As(resp.Error, &wire): // the SDK's own, of a stream that ended
		resp.Error = lostError(resp.Error)
		return true, nil
	case resp.Error != nil:
		return true, nil
	case method == methodToolsList:
		c.learn(resp.Result)
	case method == methodInitialize:
		c.version = resultVersion(resp.Result)
		go c.listen()
	}
	if method == methodInitialize || method == methodDiscover {
		return true, c.checkHandshake(resp.Result, nonce)
	}
	return true, nil
}

// checkHandshake holds what a server says in its `_meta` to what it proved on
// its connection, and looks at its answer to the published challenge, if there
// was one.
func (c *httpConn) checkHandshake(result json.RawMessage, nonce string) error {
	_, meta, err := rawObject(result)
	if err != nil {
		return anotherServer(c.server, fmt.Sprintf("its handshake cannot be read: %v", err))
	}
	if proof, err := metaText(meta, mcpwire.MetaPublishedSignature); err == nil && proof != "" && nonce != "" {
		c.transport.setPublished(c.transport.verifier.CheckPublished(c.server, nonce, proof))
	}
	raw, ok := meta[mcpwire.MetaServerDID]
	if !ok {
		return nil
	}
	if named, err := metaText(meta, mcpwire.MetaServerDID); err != nil || named != c.server.DID.String() {
		return anotherServer(c.server, fmt.Sprintf("its _meta names %.200q", raw))
	}
	return nil
}

// listen opens the stream on which a server of the older generation says what
// nobody asked for, until the server has one or says that it has none. It is
// called again when the stream ends.
func (c *httpConn) listen() {
	c.mu.Lock()
	wait := time.Duration(0)
	if c.streams > 0 {
		wait = streamRetry
	}
	c.mu.Unlock()
	for ; ; wait = min(max(2*wait, streamRetry), streamRetryMax) {
		select {
		case <-time.After(wait):
		case <-c.ctx.Done():
			return
		}
		if c.openStream() {
			return
		}
	}
}

// openStream reports whether there is nothing more to try.
func (c *httpConn) openStream() bool {
	c.mu.Lock()
	c.streams++
	id := ownID("stream")
	c.stream = id
	c.mu.Unlock()
	err := c.Connection.Write(context.WithValue(c.ctx, streamKey{}, true), &jsonrpc.Request{ID: id, Method: methodListen})
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil || c.noStream {
		return true
	}
	c.stream = jsonrpc.ID{}
	return c.ctx.Err() != nil
}

// Close implements [mcp.Connection].
func (c *httpConn) Close() error {
	c.cancel()
	return c.Connection.Close()
}

package mcpverify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/internal/mcpwire"
	"github.com/touchmark-dev/touchmark/serververify"
)

// A toolsTransport puts a judge of tools over a transport that verifies its
// server.
type toolsTransport struct {
	mcp.Transport
	checker ToolChecker
	server  func() *serververify.Server
}

// Connect implements [mcp.Transport].
func (t *toolsTransport) Connect(ctx context.Context) (mcp.Connection, error) {
	inner, err := t.Transport.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return newToolsConn(ctx, inner, t.checker, t.server), nil
}

// A toolsConn asks the server for its tools before the session calls one, and
// gives the session the list that was judged.
type toolsConn struct {
	mcp.Connection
	checker ToolChecker
	server  func() *serververify.Server
	ctx     context.Context
	cancel  context.CancelFunc
	arrived chan arrival  // for the session
	lost    chan struct{} // closed when there is nothing more to read
	reading chan struct{} // holds a token while the list is read

	mu      sync.Mutex // guards what follows
	list    *toolList  // that was accepted; nil before, and when it may have changed
	changes int        // that the server announced, or may have had before it announced any

	own ownRequests
}

type arrival struct {
	msg jsonrpc.Message
	err error
}

func newToolsConn(ctx context.Context, inner mcp.Connection, checker ToolChecker, server func() *serververify.Server) *toolsConn {
	c := &toolsConn{
		Connection: inner, checker: checker, server: server,
		arrived: make(chan arrival), lost: make(chan struct{}), reading: make(chan struct{}, 1),
	}
	c.ctx, c.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go c.pump()
	return c
}

// pump reads what the server says, and keeps the answers to this connection's
// own requests.
func (c *toolsConn) pump() {
	defer close(c.lost)
	for {
		msg, err := c.Connection.Read(c.ctx)
		if err == nil && c.keep(msg) {
			continue
		}
		c.deliver(arrival{msg, err})
		if err != nil {
			return
		}
	}
}

func (c *toolsConn) deliver(a arrival) {
	select {
	case c.arrived <- a:
	case <-c.ctx.Done():
	}
}

func (c *toolsConn) keep(msg jsonrpc.Message) bool {
	switch msg := msg.(type) {
	case *jsonrpc.Request:
		if msg.Method == methodToolsChanged || msg.Method == methodSubscribed {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.list = nil
			c.changes++
		}
	case *jsonrpc.Response:
		return c.own.take(msg)
	}
	return false
}

// Read implements [mcp.Connection].
func (c *toolsConn) Read(ctx context.Context) (jsonrpc.Message, error) {
	select {
	case a := <-c.arrived:
		return a.msg, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-c.ctx.Done():
		return nil, io.EOF
	}
}

// Close implements [mcp.Connection].
func (c *toolsConn) Close() error {
	c.cancel()
	return c.Connection.Close()
}

// Write implements [mcp.Connection].
func (c *toolsConn) Write(ctx context.Context, msg jsonrpc.Message) error {
	req, ok := msg.(*jsonrpc.Request)
	if !ok || !req.IsCall() && req.Method != methodToolsCall { // a call that wants no answer is one
		return c.Connection.Write(ctx, msg)
	}
	switch req.Method {
	case methodToolsList:
		return c.answerList(ctx, req)
	case methodToolsCall:
		if err := c.allow(ctx, req); err != nil {
			return &notSentError{err}
		}
	}
	return c.Connection.Write(ctx, msg)
}

// answerList gives the session the server's list of tools, read and judged now.
func (c *toolsConn) answerList(ctx context.Context, req *jsonrpc.Request) error {
	resp := &jsonrpc.Response{ID: req.ID}
	if cursor := listCursor(req.Params); cursor != "" {
		resp.Error = &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: fmt.Sprintf("no page %.100q: the list has one", cursor)}
	} else {
		list, err := c.read(ctx, req.Params, false)
		var wire *jsonrpc.Error
		switch {
		case errors.As(err, &wire) && wire.Code != codeNotSent:
			resp.Error = wire // the server's own answer
		case err != nil:
			return &notSentError{err}
		default:
			resp.Result = list.result()
		}
	}
	go c.deliver(arrival{msg: resp})
	return nil
}

// allow refuses the call of a tool that is not on the list that was accepted.
func (c *toolsConn) allow(ctx context.Context, req *jsonrpc.Request) error {
	name, err := mcpwire.ToolName(req.Params)
	if err != nil {
		return &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: err.Error()}
	}
	list, err := c.read(ctx, req.Params, true)
	if err != nil {
		return err
	}
	if !list.names[name] {
		return c.server().Refuse(serververify.CodeToolsChanged, "%.200q is not on the list of tools that was judged", name)
	}
	return nil
}

// read returns the list that the server has now, judged; kept says that one
// that was accepted before and that nobody said has changed will do. params are
// those of the request that asks.
func (c *toolsConn) read(ctx context.Context, params json.RawMessage, kept bool) (*toolList, error) {
	ctx, cancel := context.WithTimeout(ctx, toolsTimeout)
	defer cancel()
	select {
	case c.reading <- struct{}{}:
		defer func() { <-c.reading }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for range maxToolReads {
		c.mu.Lock()
		list, changes := c.list, c.changes
		c.mu.Unlock()
		if kept && list != nil {
			return list, nil
		}
		list, err := readTools(params, func(p json.RawMessage) (json.RawMessage, error) { return c.ask(ctx, p) })
		if err == nil {
			err = c.checker.CheckTools(ctx, c.server(), list.array())
		}
		c.mu.Lock()
		same := c.changes == changes
		if c.list = nil; err == nil && same {
			c.list = list
		}
		c.mu.Unlock()
		if err != nil || same {
			return list, err
		}
	}
	return nil, &serververify.UndeterminedError{Reason: "its list of tools changes while it is read", DID: c.server().DID}
}

// ask asks the server for a page of its list.
func (c *toolsConn) ask(ctx context.Context, params json.RawMessage) (json.RawMessage, error) {
	resp, err := c.own.ask(ctx, c.Connection, "tools", methodToolsList, params, c.lost)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, &serververify.UndeterminedError{Reason: "its tools were not listed: " + ctx.Err().Error(), DID: c.server().DID}
	case err != nil:
		return nil, err
	case resp == nil:
		return nil, &serververify.UndeterminedError{Reason: "the connection was lost while its tools were listed", DID: c.server().DID}
	}
	return resp.Result, resp.Error
}

// A notSentError says why a request was not sent. The session goes on.
type notSentError struct{ err error }

func (e *notSentError) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *notSentError) Unwrap() error { return e.err }

// Is reports whether target is the SDK's error for a message that was not sent.
func (e *notSentError) Is(target error) bool { return isNotSent(target) }

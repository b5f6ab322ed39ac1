package mcpverify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/did"
)

// A bridge is a call of [Bridge]: this file has its client's side, link.go the
// server's.
type bridge struct {
	cfg      BridgeConfig
	ctx      context.Context
	end      context.CancelCauseFunc
	local    mcp.Connection
	linking  chan struct{} // holds a token while a link is made
	refusals chan struct{} // holds a token for each that is under way

	mu        sync.Mutex // guards what follows
	link      *link      // nil when there is none
	first     did.DID    // the server of the first link
	launched  bool
	failure   error // of the last attempt to make a link, or what ended the launched server
	recent    bool  // that failure is not to be tried again yet
	calls     map[jsonrpc.ID]*bridgeCall
	finishing int             // calls that were taken, and whose answers the client does not have yet
	handshake json.RawMessage // params of the initialize that the server accepted
	offers    map[string]json.RawMessage
	ready     bool   // the client has said notifications/initialized
	settled   string // the version that the handshake settled on
}

// A bridgeCall is a request of the client that was not answered.
type bridgeCall struct {
	req    *jsonrpc.Request
	ctx    context.Context
	cancel context.CancelFunc
	link   *link // that it was given to; guarded by bridge.mu, as is what follows
	sent   bool  // the link has taken it
}

// readClient relays what the client says until there is no more.
func (b *bridge) readClient() error {
	for {
		msg, err := b.local.Read(b.ctx)
		switch {
		case b.ctx.Err() != nil:
			return context.Cause(b.ctx)
		case errors.Is(err, io.EOF):
			b.drain()
			return b.refused()
		case err != nil:
			return fmt.Errorf("mcpverify: reading from the client: %w", err)
		}
		switch msg := msg.(type) {
		case *jsonrpc.Response:
			b.clientAnswers(msg)
		case *jsonrpc.Request:
			if msg.IsCall() {
				b.clientCalls(msg)
			} else {
				b.clientNotifies(msg)
			}
		}
	}
}

func (b *bridge) clientCalls(req *jsonrpc.Request) {
	if b.cfg.RefuseServerRequests {
		var err error
		if req, err = withoutOffers(req); err != nil {
			b.answer(req.ID, &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: err.Error()})
			return
		}
	}
	call := &bridgeCall{req: req}
	call.ctx, call.cancel = context.WithCancel(b.ctx)
	b.mu.Lock()
	_, twice := b.calls[req.ID]
	full := len(b.calls) >= b.cfg.MaxInFlight
	if !twice && !full {
		b.calls[req.ID] = call
	}
	b.mu.Unlock()
	switch {
	case twice:
		call.cancel()
		b.answer(req.ID, &jsonrpc.Error{Code: jsonrpc.CodeInvalidRequest, Message: "a request with this id is under way"})
	case full:
		call.cancel()
		b.answer(req.ID, tooMany(b.cfg.MaxInFlight))
	default:
		go b.forward(call)
	}
}

// forward gives a call to the server. A call that met the end of its session was
// not carried out, and goes out again in a new one.
func (b *bridge) forward(call *bridgeCall) {
	for again := false; ; again = true {
		l, err := b.connect(call.ctx)
		if err == nil {
			err = b.send(l, call)
		}
		if l != nil && broken(call.ctx, err) {
			b.lost(l, err)
		}
		if errors.Is(err, mcp.ErrSessionMissing) && !again && call.req.Method != methodInitialize {
			continue
		}
		if err != nil {
			b.fail(call, err)
		}
		return
	}
}

// broken reports whether a connection that failed to take a message takes no
// other. One that declined the message, or that is being verified, does.
func broken(ctx context.Context, err error) bool {
	if err == nil || ctx.Err() != nil || errors.Is(err, errUnverified) {
		return false
	}
	var declined *jsonrpc.Error
	return !errors.As(err, &declined) && !isVerdict(err)
}

func (b *bridge) send(l *link, call *bridgeCall) error {
	b.mu.Lock()
	call.link, call.sent = l, false
	b.mu.Unlock()
	if err := l.conn.Write(call.ctx, call.req); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	call.sent = true
	return l.dead // the answer, if there was one, was not read any more
}

// fail answers a call with an error, unless it was answered or cancelled.
func (b *bridge) fail(call *bridgeCall, err error) {
	if b.take(call.req.ID, nil) != call {
		return
	}
	b.cfg.OnError(fmt.Errorf("%s: %w", call.req.Method, err))
	b.finish(&jsonrpc.Response{ID: call.req.ID, Error: refusalError(err)})
}

// take removes a call, which is for the caller to finish, and returns it, nil
// when there is none that was given to l; nil stands for any link.
func (b *bridge) take(id jsonrpc.ID, l *link) *bridgeCall {
	b.mu.Lock()
	defer b.mu.Unlock()
	call := b.calls[id]
	if call == nil || l != nil && call.link != l {
		return nil
	}
	delete(b.calls, id)
	b.finishing++
	call.cancel()
	return call
}

// finish gives the client the answer to a call that was taken.
func (b *bridge) finish(resp *jsonrpc.Response) {
	b.tellClient(resp)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.finishing--
}

func (b *bridge) answer(id jsonrpc.ID, e *jsonrpc.Error) {
	b.tellClient(&jsonrpc.Response{ID: id, Error: e})
}

func (b *bridge) tellClient(msg jsonrpc.Message) {
	if err := b.local.Write(b.ctx, msg); err != nil && b.ctx.Err() == nil {
		b.end(fmt.Errorf("mcpverify: writing to the client: %w", err))
	}
}

// clientNotifies relays a notification. What nobody is there to hear is dropped,
// and so is a request that wants no answer: nothing would have judged it.
func (b *bridge) clientNotifies(n *jsonrpc.Request) {
	if !strings.HasPrefix(n.Method, "notifications/") {
		b.cfg.OnError(fmt.Errorf("mcpverify: %.100q of the client wants no answer, and was not sent", n.Method))
		return
	}
	b.mu.Lock()
	l := b.link
	if n.Method == methodInitialized {
		b.ready = true
	}
	b.mu.Unlock()
	switch {
	case n.Method == methodCancelled:
		b.clientCancels(n)
		return
	case n.Method == "notifications/roots/list_changed" && b.cfg.RefuseServerRequests, l == nil:
		return
	}
	b.tellServer(l, n)
}

// clientCancels ends a call: the server is told, and where that is what ends it,
// the stream of its answer is closed. A call that did not leave yet does not.
func (b *bridge) clientCancels(n *jsonrpc.Request) {
	id, ok := cancelledID(n.Params)
	if !ok {
		return
	}
	b.mu.Lock()
	call := b.calls[id]
	delete(b.calls, id)
	b.mu.Unlock()
	if call == nil {
		return
	}
	if call.link != nil {
		b.tellServer(call.link, n)
	}
	call.cancel()
}

func (b *bridge) clientAnswers(resp *jsonrpc.Response) {
	b.mu.Lock()
	l := b.link
	wanted := false
	if l != nil {
		_, wanted = l.asked[resp.ID]
		delete(l.asked, resp.ID)
	}
	b.mu.Unlock()
	if wanted {
		b.tellServer(l, resp)
	}
}

func (b *bridge) tellServer(l *link, msg jsonrpc.Message) {
	ctx, cancel := context.WithTimeout(b.ctx, notifyTimeout)
	defer cancel()
	if err := l.conn.Write(ctx, msg); err != nil {
		b.cfg.OnError(err)
	}
}

// drain waits for what is under way when the client has ended, but for streams
// that end with it.
func (b *bridge) drain() {
	ctx, cancel := context.WithTimeout(b.ctx, drainTimeout)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for b.busy() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (b *bridge) busy() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.finishing > 0 {
		return true
	}
	for _, call := range b.calls {
		if call.req.Method != methodListen {
			return true
		}
	}
	return false
}

func tooMany(limit int) *jsonrpc.Error {
	return refusalError(fmt.Errorf("mcpverify: more than %d requests are under way", limit))
}

// clientOffers are the requests that a server may send to a client, and the
// capability by which the client says so.
var clientOffers = map[string]string{
	"sampling/createMessage": "sampling",
	"elicitation/create":     "elicitation",
	"roots/list":             "roots",
	"tasks/get":              "tasks",
	"tasks/result":           "tasks",
	"tasks/list":             "tasks",
	"tasks/cancel":           "tasks",
}

// withoutOffers takes what the client offers to the server out of a request.
func withoutOffers(req *jsonrpc.Request) (*jsonrpc.Request, error) {
	members, meta, err := callMembers(req.Params)
	if err != nil {
		return req, err
	}
	in, name := meta, mcp.MetaKeyClientCapabilities
	if req.Method == methodInitialize {
		in, name = members, "capabilities"
	}
	raw, ok := in[name]
	if !ok {
		return req, nil
	}
	var offers map[string]json.RawMessage
	if err := json.Unmarshal(raw, &offers); err != nil {
		return req, err
	}
	for _, offer := range clientOffers {
		delete(offers, offer)
	}
	if in[name], err = marshal(offers); err != nil {
		return req, err
	}
	if len(meta) > 0 {
		if members["_meta"], err = marshal(meta); err != nil {
			return req, err
		}
	}
	out := *req
	out.Params, err = marshal(members)
	return &out, err
}

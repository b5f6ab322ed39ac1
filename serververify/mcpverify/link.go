package mcpverify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/internal/mcpwire"
	"github.com/touchmark-dev/touchmark/serververify"
)

// A link is a bridge's connection to its server.
type link struct {
	conn   mcp.Connection
	server func() *serververify.Server

	asked    map[jsonrpc.ID]struct{} // requests of the server for the client; guarded by bridge.mu, as is what follows
	dead     error                   // why the connection ended
	hello    jsonrpc.ID              // of the bridge's own handshake; made with the link
	own      chan *jsonrpc.Response  // for the answer to it
	verified bool                    // OnServer was told; of the goroutine that reads
}

// connect returns the link to the server, and makes one when there is none.
func (b *bridge) connect(ctx context.Context) (*link, error) {
	if l, err := b.current(); l != nil || err != nil {
		return l, err
	}
	select {
	case b.linking <- struct{}{}:
		defer func() { <-b.linking }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if l, err := b.current(); l != nil || err != nil {
		return l, err
	}
	l, err := b.open(ctx)
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil {
		err = l.dead
	}
	if err != nil {
		if ctx.Err() == nil {
			b.failure, b.recent = err, true
			time.AfterFunc(retryPause, b.forget)
		}
		return nil, err
	}
	b.link, b.failure = l, nil
	return l, nil
}

func (b *bridge) current() (*link, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.link != nil:
		return b.link, nil
	case b.recent, b.launched:
		return nil, b.failure
	}
	return nil, nil
}

func (b *bridge) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.recent = false
}

// refused returns why the server was refused, if that was the last that was
// heard of it.
func (b *bridge) refused() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var untrusted *serververify.UntrustedError
	if errors.As(b.failure, &untrusted) {
		return untrusted
	}
	return nil
}

// open verifies the server, and goes on with the session that the client
// began. A launched server is verified by the client's handshake.
func (b *bridge) open(ctx context.Context) (*link, error) {
	l := &link{asked: make(map[jsonrpc.ID]struct{}), hello: ownID("initialize"), own: make(chan *jsonrpc.Response, 1)}
	var t mcp.Transport
	if b.cfg.Command != nil {
		b.mu.Lock()
		b.launched = true
		b.mu.Unlock()
		launched := &Transport{Transport: &mcp.CommandTransport{Command: b.cfg.Command}, Verifier: b.cfg.Verifier, Caller: b.cfg.Caller}
		t, l.server = launched, launched.Server
	} else {
		http, err := verifyHTTP(ctx, b.cfg.Verifier, b.cfg.Endpoint, b.cfg.Caller)
		if err != nil {
			return nil, err
		}
		b.mu.Lock()
		first := b.first
		b.mu.Unlock()
		if err := sameServer(first, http.Server()); err != nil {
			return nil, err
		}
		http.maxBytes = b.cfg.MaxMessageBytes
		t, l.server = http, http.Server
	}
	var err error
	if l.conn, err = withTools(t, b.cfg.Tools, l.server).Connect(ctx); err != nil {
		return nil, err
	}
	b.announce(l)
	go b.readServer(l)
	if err := b.resume(ctx, l); err != nil {
		l.conn.Close()
		return nil, err
	}
	return l, nil
}

// announce tells who the server is, once for each link.
func (b *bridge) announce(l *link) {
	srv := l.server()
	if srv == nil || l.verified {
		return
	}
	l.verified = true
	b.mu.Lock()
	b.first = srv.DID
	b.mu.Unlock()
	b.cfg.OnServer(srv)
}

// resume begins a new session with the client's own handshake, when there was
// one before. The client must not notice: the server has to settle on the same
// version.
func (b *bridge) resume(ctx context.Context, l *link) error {
	b.mu.Lock()
	params, ready, version := b.handshake, b.ready, b.settled
	b.mu.Unlock()
	if params == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, serververify.DefaultTimeout)
	defer cancel()
	if err := l.conn.Write(ctx, &jsonrpc.Request{ID: l.hello, Method: methodInitialize, Params: params}); err != nil {
		return err
	}
	select {
	case resp := <-l.own:
		switch {
		case resp.Error != nil:
			return &serververify.UndeterminedError{Reason: "it begins no new session: " + resp.Error.Error()}
		case resultVersion(resp.Result) != version:
			return &serververify.UndeterminedError{Reason: "its new session speaks another version of the protocol: start the client again"}
		}
		if err := b.cfg.OnResume(resp.Result); err != nil {
			return err
		}
	case <-ctx.Done():
		return &serververify.UndeterminedError{Reason: "it begins no new session: " + ctx.Err().Error()}
	}
	if !ready {
		return nil
	}
	return l.conn.Write(ctx, &jsonrpc.Request{Method: methodInitialized})
}

// readServer relays what the server says until the connection ends.
func (b *bridge) readServer(l *link) {
	for {
		msg, err := l.conn.Read(b.ctx)
		if err != nil {
			b.lost(l, err)
			return
		}
		b.announce(l)
		switch msg := msg.(type) {
		case *jsonrpc.Response:
			b.serverAnswers(l, msg)
		case *jsonrpc.Request:
			if msg.IsCall() {
				b.serverAsks(l, msg)
			} else {
				b.tellClient(msg)
			}
		}
	}
}

// serverAnswers relays the answer to a request of the client, and no other.
func (b *bridge) serverAnswers(l *link, resp *jsonrpc.Response) {
	if resp.ID == l.hello {
		select {
		case l.own <- resp:
		default:
		}
		return
	}
	call := b.take(resp.ID, l)
	if call == nil {
		return
	}
	if call.req.Method == methodInitialize && resp.Error == nil {
		b.mu.Lock()
		b.handshake, b.settled, b.offers = call.req.Params, resultVersion(resp.Result), offersOf(call.req.Params)
		b.mu.Unlock()
	}
	if err := b.checkAsked(call.req, resp); err != nil {
		b.cfg.OnError(err)
		resp = &jsonrpc.Response{ID: resp.ID, Error: wireError(mcpwire.CodeDenied, "", err.Error())}
	}
	b.finish(resp)
}

// serverAsks relays a request of the server for something that the client has
// offered.
func (b *bridge) serverAsks(l *link, req *jsonrpc.Request) {
	b.mu.Lock()
	_, offered := b.offers[clientOffers[req.Method]]
	full := len(l.asked) >= b.cfg.MaxInFlight
	pass := (offered || req.Method == "ping") && !full
	if pass {
		l.asked[req.ID] = struct{}{}
	}
	b.mu.Unlock()
	if pass {
		b.tellClient(req)
		return
	}
	refusal := &jsonrpc.Error{Code: jsonrpc.CodeMethodNotFound, Message: fmt.Sprintf("the client does not offer %.100q", req.Method)}
	if full {
		refusal = tooMany(b.cfg.MaxInFlight)
	}
	select {
	case b.refusals <- struct{}{}:
		go func() {
			defer func() { <-b.refusals }()
			b.tellServer(l, &jsonrpc.Response{ID: req.ID, Error: refusal})
		}()
	default: // a server that asks faster than it listens is not answered
	}
}

// lost ends a link, and tells the client about what was under way on it. It may
// be called twice.
func (b *bridge) lost(l *link, err error) {
	b.mu.Lock()
	if l.dead == nil {
		l.dead = err
	}
	if b.link == l {
		b.link = nil
	}
	if b.cfg.Command != nil {
		b.failure = err
	}
	var calls []*bridgeCall
	for id, call := range b.calls {
		if call.link == l && call.sent {
			calls = append(calls, call)
			delete(b.calls, id)
			b.finishing++
		}
	}
	b.mu.Unlock()
	go l.conn.Close()
	refused := isVerdict(err)
	for _, call := range calls {
		call.cancel()
		e := lostError(err)
		if refused {
			e = refusalError(err)
		}
		b.finish(&jsonrpc.Response{ID: call.req.ID, Error: e})
	}
	if b.ctx.Err() != nil {
		return
	}
	b.cfg.OnError(err)
	if b.cfg.Command != nil && !refused {
		b.end(fmt.Errorf("mcpverify: the server that was started has ended: %w", err))
	}
}

// isVerdict reports whether a connection ended since its server was refused, or
// could not be examined.
func isVerdict(err error) bool {
	var untrusted *serververify.UntrustedError
	var undetermined *serververify.UndeterminedError
	return errors.As(err, &untrusted) || errors.As(err, &undetermined)
}

func (b *bridge) close() {
	b.end(nil)
	b.mu.Lock()
	l := b.link
	b.mu.Unlock()
	if l != nil {
		l.conn.Close()
	}
}

// offersOf returns the capabilities in the params of initialize.
func offersOf(params json.RawMessage) map[string]json.RawMessage {
	var p struct {
		Capabilities map[string]json.RawMessage `json:"capabilities"`
	}
	if json.Unmarshal(params, &p) != nil {
		return nil
	}
	return maps.Clone(p.Capabilities)
}

package mcpverify

import (
	"context"
	"fmt"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/touchmark-dev/touchmark/internal/mcpwire"
	"github.com/touchmark-dev/touchmark/serververify"
)

// refresh verifies the server again when its verification has aged, by the
// method dev.touchmark/identify. One call does it, others wait.
func (c *conn) refresh(ctx context.Context) error {
	if c.v.Fresh(c.verified()) {
		return nil
	}
	select {
	case c.again <- struct{}{}:
		defer func() { <-c.again }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if c.v.Fresh(c.verified()) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, serververify.DefaultTimeout)
	defer cancel()
	nonce := serververify.NewNonce()
	resp, err := c.identify(ctx, nonce)
	if err != nil {
		return err
	}
	srv, err := c.judge(ctx, nonce, resp.Result)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.server = srv
	return nil
}

// identify sends a challenge as a request of its own, with what else the
// handshake had in its `_meta`: the newer protocol asks for its version there.
func (c *conn) identify(ctx context.Context, nonce string) (*jsonrpc.Response, error) {
	answer := make(chan *jsonrpc.Response, 1)
	c.mu.Lock()
	c.asked++
	name := fmt.Sprintf("touchmark-identify-%d", c.asked)
	handshake := c.handshake
	c.mu.Unlock()
	id, err := jsonrpc.MakeID(name)
	if err != nil {
		return nil, err
	}
	_, meta, err := rawObject(handshake)
	if err != nil {
		return nil, err
	}
	meta[mcpwire.MetaNonce] = quote(nonce)
	params, err := marshal(map[string]any{"_meta": meta})
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.waiting[id] = answer
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.waiting, id)
	}()
	if err := c.Connection.Write(ctx, &jsonrpc.Request{ID: id, Method: mcpwire.MethodIdentify, Params: params}); err != nil {
		return nil, err
	}
	select {
	case resp := <-answer:
		if resp.Error != nil {
			return nil, &serververify.UndeterminedError{Reason: "the server does not identify itself again: " + resp.Error.Error()}
		}
		return resp, nil
	case <-ctx.Done():
		return nil, &serververify.UndeterminedError{Reason: "the server does not identify itself again: " + ctx.Err().Error()}
	}
}

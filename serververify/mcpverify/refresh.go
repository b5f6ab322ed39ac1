package mcpverify

import (
	"context"
	"encoding/json"
	"errors"

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
	return c.verifyBy(ctx, mcpwire.MethodIdentify, nil)
}

// introduce verifies the server for a client that begins with the request req.
func (c *conn) introduce(ctx context.Context, req *jsonrpc.Request) error {
	params, err := marshal(map[string]any{"_meta": protocolMeta(req.Params)})
	if err != nil {
		return err
	}
	return c.verifyBy(ctx, methodDiscover, params)
}

// verifyBy sends a challenge as a request of its own, unless another call has
// done it meanwhile. params are nil for those of the handshake: the newer
// protocol asks for its version there.
func (c *conn) verifyBy(ctx context.Context, method string, params json.RawMessage) error {
	select {
	case c.again <- struct{}{}:
		defer func() { <-c.again }()
	case <-ctx.Done():
		return ctx.Err()
	}
	c.mu.Lock()
	before, handshake := c.server, c.handshake
	c.mu.Unlock()
	if before != nil && c.v.Fresh(before) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, serververify.DefaultTimeout)
	defer cancel()
	if params == nil {
		_, meta, err := rawObject(handshake)
		if err != nil {
			return err
		}
		if params, err = marshal(map[string]any{"_meta": meta}); err != nil {
			return err
		}
	}
	nonce := serververify.NewNonce()
	params, err := challengeParams(params, nonce, c.v.ChecksPublished())
	if err != nil {
		return err
	}
	result, err := c.request(ctx, method, params)
	if err != nil {
		return err
	}
	srv, err := c.judge(ctx, nonce, result)
	var refused *serververify.UntrustedError
	if errors.As(err, &refused) {
		c.cut(err)
	}
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server = srv; before == nil {
		c.handshake = params
	}
	return nil
}

// request sends a request of this connection's own and returns its result.
func (c *conn) request(ctx context.Context, method string, params json.RawMessage) (json.RawMessage, error) {
	resp, err := c.own.ask(ctx, c.Connection, "identify", method, params, nil)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, &serververify.UndeterminedError{Reason: "the server does not identify itself: " + ctx.Err().Error()}
	case err != nil:
		return nil, err
	case resp.Error != nil:
		return nil, &serververify.UndeterminedError{Reason: "the server does not identify itself: " + resp.Error.Error()}
	}
	return resp.Result, nil
}

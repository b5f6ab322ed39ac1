package mcpverify

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// ownRequests are those that a connection of ours sends for itself, whose answers its session must not see.
// The zero value is ready to use.
type ownRequests struct {
	mu      sync.Mutex
	waiting map[jsonrpc.ID]chan<- *jsonrpc.Response
}

// ask sends a request over c and returns its answer, or nil if lost is closed before there is one.
func (o *ownRequests) ask(ctx context.Context, c mcp.Connection, what, method string, params json.RawMessage, lost <-chan struct{}) (*jsonrpc.Response, error) {
	answer, id := make(chan *jsonrpc.Response, 1), ownID(what)
	o.mu.Lock()
	if o.waiting == nil {
		o.waiting = make(map[jsonrpc.ID]chan<- *jsonrpc.Response)
	}
	o.waiting[id] = answer
	o.mu.Unlock()
	defer func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		delete(o.waiting, id)
	}()
	if err := c.Write(ctx, &jsonrpc.Request{ID: id, Method: method, Params: params}); err != nil {
		return nil, err
	}
	select {
	case resp := <-answer:
		return resp, nil
	case <-lost:
		return nil, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// take reports whether resp answers a request of ask, which gets it then.
func (o *ownRequests) take(resp *jsonrpc.Response) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	answer, ok := o.waiting[resp.ID]
	if ok {
		delete(o.waiting, resp.ID)
		answer <- resp // buffered
	}
	return ok
}

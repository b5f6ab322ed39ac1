package mcpguard

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
	"github.com/touchmark-dev/touchmark/serververify/workload"
)

// Options change what an [Adapter] does. The zero Options are the strict ones.
type Options struct {
	// AllowAuthorizationBeside leaves Authorization: Bearer to another layer, which verifies access tokens for
	// example. A badge must then come in X-Capiscio-Badge or in _meta, and the token is neither verified nor
	// recorded here. By default Authorization may carry the badge, and both at once are refused.
	AllowAuthorizationBeside bool

	// AllowDenialDetails answers a call to something that the caller may not use with the reason, instead of
	// as if it did not exist. It tells callers what there is.
	AllowDenialDetails bool

	// Facts are what is known of every call of the servers that the adapter protects: the name, the environment and
	// the tenant. Claims are those of the access token that the SDK's bearer middleware verified for a request.
	Facts guard.Facts

	// Actors say which class of actor a workload is that the channel of a request authenticated (see
	// [Adapter.Handler]). The levels in them are not used: a workload without a badge has none. It excludes
	// an Actor in Facts.
	Actors *workload.Rules

	// Logger hears of panics in handlers. Nil discards.
	Logger *slog.Logger
}

// An Adapter guards MCP servers. Make it with [New] or [Protect]. It may protect several servers, for instance
// one for each session.
type Adapter struct {
	guard   *guard.Guard
	rules   mcpwire.Rules
	explain bool
	facts   guard.Facts
	actors  *workload.Rules
	log     *slog.Logger

	tasks   *tasks
	tickets sync.Map // string to *ticket: the HTTP requests that are being answered
}

// New makes an Adapter; nil Options are the zero Options. It panics if g is nil, and for Options that contradict
// themselves.
func New(g *guard.Guard, opts *Options) *Adapter {
	if g == nil {
		panic("mcpguard: New with a nil guard")
	}
	if opts == nil {
		opts = &Options{}
	}
	if opts.Actors != nil && opts.Facts.Actor != "" {
		panic("mcpguard: Options with Actors and an Actor for all")
	}
	a := &Adapter{
		guard: g, rules: mcpwire.Rules{AllowAuthorizationBeside: opts.AllowAuthorizationBeside},
		explain: opts.AllowDenialDetails, facts: opts.Facts, actors: opts.Actors, log: opts.Logger, tasks: newTasks(time.Now),
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	return a
}

// Protect guards a server with the zero [Options]; see [Adapter.Protect].
func Protect(server *mcp.Server, g *guard.Guard) *Adapter {
	a := New(g, nil)
	a.Protect(server)
	return a
}

// Protect guards a server. Call it once for a server, after all other middleware was added: middleware that
// is added later runs before the guard, and is trusted to be what its author meant.
func (a *Adapter) Protect(server *mcp.Server) {
	server.AddReceivingMiddleware(a.middleware)
}

// exchange is one request on its way through the adapter.
type exchange struct {
	method string
	req    mcp.Request
	next   mcp.MethodHandler
}

func (x *exchange) run(ctx context.Context) (mcp.Result, error) {
	return x.next(ctx, x.method, x.req)
}

func (a *Adapter) middleware(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, req mcp.Request) (res mcp.Result, err error) {
		x := &exchange{method: method, req: req, next: next}
		defer func() {
			if p := recover(); p != nil {
				res, err = nil, a.panicked(ctx, x, p)
			}
		}()
		return a.answer(ctx, x)
	}
}

// answer sends a request the way of its class (spec/guard.md section 2). A method that is in no class is a
// capability of its own, which nothing opens but a rule for it.
func (a *Adapter) answer(ctx context.Context, x *exchange) (mcp.Result, error) {
	if isOpen(x.method) {
		res, err := x.run(ctx)
		return a.advertise(res), err
	}
	r, err := a.request(x)
	if err != nil {
		return nil, a.refuse(ctx, r, err)
	}
	switch {
	case isList(x.method):
		return a.list(ctx, x, r)
	case x.method == methodListen && r.Capability.Kind == "":
		return x.run(ctx)
	}
	return a.use(ctx, x, r)
}

// panicked turns a panic of the guard, of other middleware or of a handler into a refusal with a record: the
// SDK would let the process die of it.
func (a *Adapter) panicked(ctx context.Context, x *exchange, p any) error {
	a.log.Error("mcpguard: panic", "method", x.method, "value", fmt.Sprint(p), "stack", string(debug.Stack()))
	r := &guard.Request{Method: x.method, Facts: a.facts}
	return a.wireError(r, a.guard.Refuse(ctx, r, guard.CodeGuardFailed, guard.CausePanic))
}

// advertise adds the extension to what a server says of itself in the handshake of either generation
// (spec/guard.md section 7.1).
func (a *Adapter) advertise(res mcp.Result) mcp.Result {
	switch r := res.(type) {
	case *mcp.InitializeResult:
		if r == nil {
			return res
		}
		out := *r
		out.Capabilities = a.extend(r.Capabilities)
		return &out
	case *mcp.DiscoverResult:
		if r == nil {
			return res
		}
		out := *r
		out.Capabilities = a.extend(r.Capabilities)
		return &out
	}
	return res
}

func (a *Adapter) extend(c *mcp.ServerCapabilities) *mcp.ServerCapabilities {
	out := mcp.ServerCapabilities{}
	if c != nil {
		out = *c
		out.Extensions = maps.Clone(c.Extensions)
	}
	out.AddExtension(mcpwire.ExtensionGuard, a.guard.Extension())
	return &out
}

var errInternal = &jsonrpc.Error{Code: jsonrpc.CodeInternalError, Message: "internal error"}

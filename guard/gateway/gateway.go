package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/serververify"
)

// Limits of a gateway.
const (
	// MaxInFlight is how many requests of the client are worked on at once.
	MaxInFlight = 64

	// maxHeld is how many further requests wait, so that the gateway still
	// hears what is cancelled and that the client is gone. A long one counts
	// for as many as it has heldUnits. With as many the gateway reads no
	// further.
	maxHeld  = 4096
	heldUnit = 16 << 10

	// drainTime is how long requests in flight may go on after the client's
	// stream has ended, and how long they may take to end once they must.
	drainTime = 5 * time.Second
)

// A Config says what a [Gateway] guards. The zero Config is refused.
type Config struct {
	// Guard decides. Required.
	Guard *guard.Guard

	// Facts are what who runs the gateway knows of all that comes through it: what
	// the rules call the server, where it runs, and whose it is; and of the client,
	// if it is one whose class and claims somebody else has verified.
	Facts guard.Facts

	// Channel is what the client's stream authenticated, nil for nothing: one
	// gateway serves one client.
	Channel guard.ChannelIdentity

	// Identity is disclosed to clients, and proven over standard input and
	// output; what the upstream says of its own is dropped. Nil discloses
	// nothing.
	Identity *serververify.Identity

	// Tools, if not nil, judges the upstream's whole list of tools whenever it
	// was read, before it is shown and before a call relies on it. While it
	// refuses the list, every list and call is refused.
	Tools ToolChecker

	// Registry, if not nil, says whether the upstream and its tools may be used
	// at all.
	Registry Registry

	// MaxListAge is how old the upstream's list may be when it is shown, or a
	// call relies on it; an older one is read again first, whether or not the
	// upstream has said that it changed. Zero means DefaultMaxListAge.
	MaxListAge time.Duration

	// Time is the clock; nil means time.Now.
	Time func() time.Time

	// Logger hears of what the gateway drops and refuses below the level of
	// the guard. Nil discards. No parameter, badge or proof is logged.
	Logger *slog.Logger
}

// A Gateway carries messages between one client and one upstream server. Make
// it with [New].
type Gateway struct {
	guard    *guard.Guard
	facts    guard.Facts
	channel  guard.ChannelIdentity
	identity *serververify.Identity
	checker  ToolChecker // nil for none
	registry Registry    // nil for none
	log      *slog.Logger

	client   *stream
	upstream *upstream
	shelves  map[*listKind]*shelf
	slots    chan struct{} // one for each request that is worked on
	held     chan struct{} // units of the requests that wait or are worked on

	mu       sync.Mutex                    // guards what follows, but for nCalls
	calls    map[string]context.CancelFunc // requests in flight, by the client's id
	progress map[string]int                // tokens of calls in flight of which the upstream may tell how they get on
	ended    bool                          // no request is begun any more
	version  string                        // of the upstream, as it says
	logged   string                        // the last refusal of the upstream
	nCalls   sync.WaitGroup
}

// New makes a Gateway.
func New(cfg *Config) (*Gateway, error) {
	if cfg == nil || cfg.Guard == nil {
		return nil, errors.New("gateway: no Guard: there would be nothing in front of the server")
	}
	if cfg.MaxListAge < 0 {
		return nil, errors.New("gateway: negative MaxListAge")
	}
	g := &Gateway{
		guard: cfg.Guard, facts: cfg.Facts, channel: cfg.Channel, identity: cfg.Identity, checker: cfg.Tools, registry: cfg.Registry, log: cfg.Logger,
		shelves: make(map[*listKind]*shelf, len(listKinds)), slots: make(chan struct{}, MaxInFlight), held: make(chan struct{}, maxHeld),
		calls: map[string]context.CancelFunc{}, progress: map[string]int{},
	}
	for _, k := range listKinds {
		g.shelves[k] = newShelf(k, cfg.MaxListAge, cfg.Time)
	}
	if g.log == nil {
		g.log = slog.New(slog.DiscardHandler)
	}
	return g, nil
}

// A Pipe is one side of a gateway: R is what that side says, W what it hears.
type Pipe struct {
	R io.Reader
	W io.WriteCloser
}

// Run carries messages until the client's stream ends, which is the regular
// end and gives nil; until the upstream's does, or ctx ends, which are errors.
// It can be called once. What is still in flight when the client is gone is
// given a few seconds to end and to be recorded. Run closes the server's W, by
// which a server on standard input is told to stop, and nothing else: a Read
// that never returns outlives it, and so does a Write that the client never
// takes.
func (g *Gateway) Run(ctx context.Context, client, server Pipe) error {
	if g.client != nil {
		return errors.New("gateway: Run was called before")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g.client = newStream(client.R, client.W)
	up := newStream(server.R, server.W)
	g.upstream = newUpstream(up)

	ended := make(chan error, 2)
	go func() { ended <- g.readUpstream(ctx, up) }()
	go func() { ended <- g.readClient(ctx) }()
	var err error
	select {
	case err = <-ended:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err == nil {
		g.drain()
	}
	cancel()
	g.mu.Lock()
	g.ended = true
	g.mu.Unlock()
	g.upstream.close()
	closeErr := server.W.Close() // also frees a write that the upstream never took
	g.drain()
	if err == nil && closeErr != nil && !errors.Is(closeErr, os.ErrClosed) {
		err = fmt.Errorf("gateway: closing the upstream's input: %w", closeErr)
	}
	return err
}

// drain waits for requests in flight, for a while.
func (g *Gateway) drain() {
	done := make(chan struct{})
	go func() { g.nCalls.Wait(); close(done) }()
	timer := time.NewTimer(drainTime)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

func (g *Gateway) readClient(ctx context.Context) error {
	for {
		m, err := g.client.read()
		var malformed *malformedError
		switch {
		case errors.As(err, &malformed):
			g.refuseMalformed(ctx, malformed)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("gateway: reading from the client: %w", err)
		case m.isRequest():
			if err := g.startRequest(ctx, m); err != nil {
				return err
			}
		case m.isNotification():
			g.clientNotification(ctx, m)
		default:
			g.log.Warn("gateway: dropped an answer to nothing that was asked")
		}
	}
}

// refuseMalformed records what cannot be read, and answers it. It may have been
// a request, so it counts as an attempt.
func (g *Gateway) refuseMalformed(ctx context.Context, err error) {
	refusal := guard.RefusalOf(g.guard.Refuse(ctx, g.attempt("malformed"), guard.CodeRequestRejected, causeMalformed))
	g.log.Warn("gateway: malformed message from the client", "error", err)
	g.answerError(nil, &wireError{Code: codeInvalidRequest, Message: "malformed message", Data: refusalData(refusal)})
}

// startRequest works on a request in a goroutine of its own.
func (g *Gateway) startRequest(ctx context.Context, m *message) error {
	units := 1 + len(m.Params)/heldUnit
	for range units { // only the reader takes any, so that it cannot wait for itself
		select {
		case g.held <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	id := string(m.ID)
	g.mu.Lock()
	if g.ended {
		g.mu.Unlock()
		cancel()
		return ctx.Err()
	}
	_, twice := g.calls[id]
	if !twice {
		g.calls[id] = cancel
	}
	g.nCalls.Add(1)
	g.mu.Unlock()
	go func() {
		defer g.nCalls.Done()
		defer func() {
			for range units {
				<-g.held
			}
		}()
		defer cancel()
		if twice {
			g.refuseRequest(ctx, m, causeDuplicateID)
			return
		}
		defer func() {
			g.mu.Lock()
			delete(g.calls, id)
			g.mu.Unlock()
		}()
		g.await(ctx, m)
	}()
	return nil
}

// await works on a request when its turn comes.
func (g *Gateway) await(ctx context.Context, m *message) {
	select {
	case g.slots <- struct{}{}:
		defer func() { <-g.slots }()
		g.serve(ctx, m)
	case <-ctx.Done():
		g.refuseRequest(ctx, m, causeCancelled)
	}
}

// clientNotification passes on the little that an upstream has to hear. What is
// none of the connection's own notifications is an attempt to use something.
func (g *Gateway) clientNotification(ctx context.Context, m *message) {
	switch m.Method {
	case "notifications/initialized":
		if err := g.upstream.s.write(&message{Method: m.Method}); err != nil {
			g.log.Warn("gateway: writing to the upstream", "error", err)
		}
	case "notifications/cancelled":
		params, err := parseObject(m.Params)
		if err != nil {
			return
		}
		g.mu.Lock()
		cancel := g.calls[string(params["requestId"])]
		g.mu.Unlock()
		if cancel != nil {
			cancel()
		}
	case "notifications/progress", "notifications/roots/list_changed":
		g.log.Info("gateway: dropped a notification of the client", "method", m.Method)
	default:
		_ = g.guard.Refuse(ctx, g.attempt(m.Method), guard.CodeMethodDenied, guard.CauseNoRule) // nobody waits for the answer
	}
}

func (g *Gateway) readUpstream(ctx context.Context, up *stream) error {
	for {
		m, err := up.read()
		var malformed *malformedError
		switch {
		case errors.As(err, &malformed) && !malformed.object:
			g.log.Warn("gateway: dropped a line of the upstream that is no message")
		case err != nil: // also a message that two readers could read as two: somebody waits for it in vain
			g.upstream.close()
			return fmt.Errorf("gateway: %w: %w", errUpstreamGone, err)
		case m.isResponse():
			g.upstream.deliver(m)
		case m.isRequest():
			g.answerUpstream(up, m)
		default:
			g.upstreamNotification(m)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// answerUpstream refuses what an upstream asks of the client, but for a sign of
// life.
func (g *Gateway) answerUpstream(up *stream, m *message) {
	var err error
	if m.Method == "ping" {
		err = up.reply(m.ID, json.RawMessage(`{}`))
	} else {
		g.log.Warn("gateway: refused a request of the upstream", "method", clip(m.Method))
		err = up.refuse(m.ID, &wireError{Code: codeMethodNotFound, Message: "the gateway passes no requests to the client"})
	}
	if err != nil {
		g.log.Warn("gateway: writing to the upstream", "error", err)
	}
}

// upstreamNotification passes on that a list changed, and how calls get on.
func (g *Gateway) upstreamNotification(m *message) {
	told := &message{Method: m.Method}
	switch {
	case g.invalidate(m.Method):
	case m.Method == "notifications/progress":
		params, err := parseObject(m.Params)
		if err == nil {
			_, err = stripMeta(params)
		}
		if err != nil {
			g.log.Warn("gateway: dropped a malformed notification of the upstream", "method", m.Method)
			return
		}
		if !g.follows(params) { // nobody asked, or nobody waits any more
			g.log.Info("gateway: dropped a notification of the upstream about no call", "method", m.Method)
			return
		}
		told.Params = params.encode()
	default:
		g.log.Info("gateway: dropped a notification of the upstream", "method", clip(m.Method))
		return
	}
	if err := g.client.write(told); err != nil {
		g.log.Warn("gateway: writing to the client", "error", err)
	}
}

// invalidate forgets the lists of which a notification says that they changed, and
// reports whether it is about any.
func (g *Gateway) invalidate(method string) (any bool) {
	for k, s := range g.shelves {
		if k.changed == method {
			s.invalidate()
			any = true
		}
	}
	return any
}

// clip bounds what the other side chose before it is logged.
func clip(s string) string {
	const most = 64
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}

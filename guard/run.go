package guard

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// errRuntime is why the context of a call ends that outlived its maximum runtime.
var errRuntime = fmt.Errorf("guard: %w: the maximum runtime is over", context.DeadlineExceeded)

// Constraints returns under which constraints the attempt was granted, nil if under none or if they are not enforced
// because of shadow mode. They are shared and must not be changed. [Grant.Run] and [Grant.Finish] enforce the maximum
// runtime and the maximum size of the result: an adapter that runs things by itself has to keep to [Grant.Context].
func (gr *Grant) Constraints() *Constraints { return gr.constraints }

// Context returns ctx with the deadline of the maximum runtime, if there is one, and the span of the [Observer], if
// there is one. The runtime begins with this call.
func (gr *Grant) Context(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx = gr.watch.context(ctx)
	if limit := gr.maxRuntime(); limit > 0 {
		return context.WithTimeoutCause(ctx, limit, errRuntime)
	}
	return ctx, func() {}
}

func (gr *Grant) maxRuntime() time.Duration {
	if gr.constraints == nil {
		return 0
	}
	return gr.constraints.MaxRuntime
}

// patience is how long a call with a maximum runtime may take until it is abandoned.
func (gr *Grant) patience() time.Duration {
	limit := gr.maxRuntime()
	return max(limit, limit+gr.guard.grace) // a sum that is too large is less than either
}

// Run runs fn with the context of [Grant.Context] and returns its Outcome, for [Grant.Finish]. With a maximum runtime fn
// runs in a goroutine of its own: if it does not end in time, its context ends, and its result is thrown away whatever it
// is; [ClassTimeout] is then returned when fn returns within [Config.Grace], and otherwise [ClassAbandoned], with fn still
// running. Finish then returns an *[ExceededError]. What fn wrote elsewhere must not be read after either.
//
// A panic of fn is logged and gives [ClassPanic].
func (gr *Grant) Run(ctx context.Context, fn func(context.Context) Outcome) Outcome {
	ctx, cancel := gr.Context(ctx)
	defer cancel()
	if gr.maxRuntime() == 0 {
		return gr.shielded(ctx, fn)
	}
	gr.timed.Store(true)
	call := &timedCall{grant: gr, done: make(chan ended, 1), begun: gr.guard.now()}
	gr.holds.Add(1)
	go call.run(ctx, fn)
	patience := time.NewTimer(gr.patience())
	defer patience.Stop()
	select {
	case e := <-call.done:
		return gr.onTime(e)
	case <-patience.C:
	}
	if !call.abandon() { // it ended just now
		return gr.onTime(<-call.done)
	}
	gr.overran.Store(true)
	gr.guard.log.Warn("guard: a call that ignores its deadline was abandoned", "evidence", gr.ack.ID)
	return Outcome{ErrorClass: ClassAbandoned}
}

// onTime returns what a call ended with, unless that was too late.
func (gr *Grant) onTime(e ended) Outcome {
	if !e.late {
		return e.outcome
	}
	gr.overran.Store(true)
	return Outcome{ErrorClass: ClassTimeout}
}

// shielded runs fn here.
func (gr *Grant) shielded(ctx context.Context, fn func(context.Context) Outcome) (o Outcome) {
	defer func() {
		if p := recover(); p != nil {
			o = gr.guard.ranIntoPanic(p)
		}
	}()
	return fn(ctx)
}

func (g *Guard) ranIntoPanic(p any) Outcome {
	g.log.Error("guard: panic in guarded function", "value", fmt.Sprint(p), "stack", string(debug.Stack()))
	return Outcome{ErrorClass: ClassPanic}
}

// A timedCall is a call that may be abandoned.
type timedCall struct {
	grant *Grant
	done  chan ended
	begun time.Time
	state atomic.Uint32 // 0, callEnded or callAbandoned: which came first
}

const (
	callEnded = iota + 1
	callAbandoned
)

// ended is how a call ended, and whether that was after its deadline.
type ended struct {
	outcome Outcome
	late    bool
}

// run runs fn, and gives back what the call holds when fn has really ended.
func (c *timedCall) run(ctx context.Context, fn func(context.Context) Outcome) {
	g := c.grant.guard
	e := ended{outcome: Outcome{ErrorClass: ClassExit}}
	defer func() {
		if p := recover(); p != nil {
			e.outcome = g.ranIntoPanic(p)
		}
		e.late = errors.Is(context.Cause(ctx), errRuntime) || g.now().Sub(c.begun) >= c.grant.maxRuntime()
		c.grant.letGo()
		if !c.state.CompareAndSwap(0, callEnded) {
			g.abandoned.Add(-1)
			g.log.Warn("guard: an abandoned call has ended", "evidence", c.grant.ack.ID)
		}
		c.done <- e
	}()
	e.outcome = fn(ctx)
}

// abandon gives up on the call, and reports whether it did so before the call ended.
func (c *timedCall) abandon() bool {
	g := c.grant.guard
	g.abandoned.Add(1)
	if c.state.CompareAndSwap(0, callAbandoned) {
		return true
	}
	g.abandoned.Add(-1)
	return false
}

// letGo gives back what the call holds at the [Limiter], when nobody needs it any more: neither who has to call Finish,
// nor a function that still runs.
func (gr *Grant) letGo() {
	if gr.holds.Add(-1) == 0 {
		gr.guard.release(gr.held)
	}
}

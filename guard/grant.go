package guard

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/touchmark-dev/touchmark/evidence"
)

// A Grant lets one attempt run. Only [Guard.Check] makes Grants.
type Grant struct {
	guard   *Guard
	caller  *Principal
	ack     evidence.Ack
	started time.Time
	ended   atomic.Bool

	constraints *Constraints
}

// Caller returns who may go on.
func (gr *Grant) Caller() *Principal { return gr.caller }

// Evidence returns the acknowledgement of the decision's record.
func (gr *Grant) Evidence() evidence.Ack { return gr.ack }

// The error classes that this package gives. Adapters may add words of their own.
const (
	ClassError     = "error"
	ClassPanic     = "panic"
	ClassExit      = "exit" // the goroutine ended without returning
	ClassCancelled = "cancelled"
	ClassTimeout   = "timeout"

	ClassAbandoned      = "abandoned"        // it outlived its maximum runtime and the grace after it, and may still run
	ClassResultTooLarge = "result_too_large" // it ended, and its result is withheld
)

// An Outcome says how an attempt ended.
type Outcome struct {
	// ErrorClass is a word for what went wrong; empty when the attempt ended well. It is not the text of an
	// error: that may hold what the caller sent.
	ErrorClass string

	// InputRequired says that the attempt was answered with a question. It excludes ErrorClass.
	InputRequired bool

	// Result is the octets of the answer, which the record commits to and does not hold. Nil means that
	// there was none.
	Result []byte
}

// Constraints returns under which constraints the attempt was granted, nil if under none or if they are not enforced
// because of shadow mode. They are shared and must not be changed. [Grant.Run] and [Grant.Finish] enforce the maximum
// runtime and the maximum size of the result: an adapter that runs things by itself has to keep to [Grant.Context].
func (gr *Grant) Constraints() *Constraints { return gr.constraints }

// Context returns ctx with the deadline of the maximum runtime, if there is one, and the span of the [Observer], if
// there is one. The runtime begins with this call.
func (gr *Grant) Context(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithCancel(ctx)
}

// Run runs fn with the context of [Grant.Context] and returns its Outcome, for [Grant.Finish]. With a maximum runtime fn
// runs in a goroutine of its own: if it does not end in time, its context ends, and its result is thrown away whatever it
// is; [ClassTimeout] is then returned when fn returns within [Config.Grace], and otherwise [ClassAbandoned], with fn still
// running. Finish then returns an *[ExceededError]. What fn writes is not to be read after either class: use what it returns.
//
// A panic of fn is logged and gives [ClassPanic].
func (gr *Grant) Run(ctx context.Context, fn func(context.Context) Outcome) Outcome {
	ctx, cancel := gr.Context(ctx)
	defer cancel()
	return fn(ctx)
}

// Finish records the outcome of what was granted. It must be called once, also when the attempt failed or
// its context ended. An error means that the outcome could not be recorded: the answer must then be withheld
// (spec/guard.md section 8). Without one the outcome has its place in the records; it is durable already where
// [Config] has DurableOutcomes, or its Evidence is no [Enqueuer].
//
// An *[ExceededError] means that the outcome is recorded, and the answer must be withheld all the same: the result is
// larger than MaxResultBytes, or the attempt took longer than MaxRuntime.
func (gr *Grant) Finish(ctx context.Context, o Outcome) error {
	if gr.ended.Swap(true) {
		return errors.New("guard: the grant was finished before")
	}
	out := &evidence.Outcome{
		DecisionID: gr.ack.ID, DecisionSequence: gr.ack.Sequence,
		Status: evidence.OutcomeOK, ErrorClass: o.ErrorClass,
		Duration: max(0, gr.guard.now().Sub(gr.started)),
	}
	switch {
	case o.ErrorClass != "":
		out.Status = evidence.OutcomeError
	case o.InputRequired:
		out.Status = evidence.OutcomeInputRequired
	}
	return gr.guard.recordOutcome(ctx, &evidence.Draft{Outcome: out, Result: o.Result})
}

// ClassOf returns the error class of an error that an attempt returned, and "" for nil. The end of ctx
// explains an error whatever the error itself says.
func ClassOf(ctx context.Context, err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(ctx.Err(), context.DeadlineExceeded):
		return ClassTimeout
	case errors.Is(err, context.Canceled) || ctx.Err() != nil:
		return ClassCancelled
	}
	return ClassError
}

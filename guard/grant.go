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

	watch       watch
	constraints *Constraints // nil: none that are enforced

	held    []func()     // at the Limiter
	holds   atomic.Int32 // who still needs it: Finish, and functions that run
	timed   atomic.Bool  // Run keeps the time
	overran atomic.Bool  // and it was over
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

	ClassNotIncluded = "not_included" // it did not run: its record was not in the log in time
	ClassNotCosigned = "not_cosigned" // it did not run: no witnesses' quorum had cosigned its record in time
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

	// Size is how large the answer is, for MaxResultBytes, where Result is not the answer but stands for it: an adapter
	// that passes an answer on while it is made has only its hash in the end. 0 means the length of Result.
	Size int64
}

func (o *Outcome) size() int64 {
	if o.Size != 0 {
		return o.Size
	}
	return int64(len(o.Result))
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
	defer gr.letGo()
	took := max(0, gr.guard.now().Sub(gr.started))
	cause := gr.exceeded(&o, took)
	out := &evidence.Outcome{
		DecisionID: gr.ack.ID, DecisionSequence: gr.ack.Sequence,
		Status: evidence.OutcomeOK, ErrorClass: o.ErrorClass, Duration: took,
	}
	switch {
	case o.ErrorClass != "":
		out.Status = evidence.OutcomeError
	case o.InputRequired:
		out.Status = evidence.OutcomeInputRequired
	}
	err := gr.guard.recordOutcome(ctx, &evidence.Draft{Outcome: out, Result: o.Result})
	gr.watch.finished(o, o.ErrorClass, took)
	if err == nil && cause != "" {
		return &ExceededError{Refusal{Code: CodeConstraintExceeded, Cause: cause, EvidenceID: gr.ack.ID}}
	}
	return err
}

// exceeded says which limit an attempt went beyond, and makes that its outcome. Of what took too long there is no result.
func (gr *Grant) exceeded(o *Outcome, took time.Duration) (cause string) {
	c := gr.constraints
	switch {
	case c == nil:
		return ""
	case gr.overran.Load(), c.MaxRuntime > 0 && !gr.timed.Load() && took > gr.patience():
		if o.ErrorClass == "" {
			o.ErrorClass = ClassTimeout
		}
		o.InputRequired, o.Result = false, nil
		return CauseRuntime
	case c.MaxResultBytes > 0 && o.size() > c.MaxResultBytes:
		o.InputRequired, o.ErrorClass = false, ClassResultTooLarge
		return CauseResultSize
	}
	return ""
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

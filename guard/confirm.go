package guard

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/touchmark-dev/touchmark/evidence"
)

// A Confirmer waits until others can see a record. It must be safe for concurrent use, and end with ctx: with nil when
// the record is where it is to be, proven, and with an error in every other case.
type Confirmer interface {
	Confirm(ctx context.Context, ack *evidence.Ack) error
}

// errConfirm is why the context of a Confirmer ends that takes too long.
var errConfirm = fmt.Errorf("guard: %w: the record was not in the log in time", context.DeadlineExceeded)

// confirm waits for what the constraints ask of the record of the decision, before anything runs. If it does not come,
// that is the outcome of the attempt, and the Grant is at its end (spec/guard.md section 5.2).
func (gr *Grant) confirm(ctx context.Context) error {
	c := gr.constraints
	if c.asked()&confirmed == 0 {
		return nil
	}
	begun := gr.guard.now()
	for _, one := range [...]struct {
		confirmer    Confirmer
		within       time.Duration
		class, cause string
	}{
		{gr.guard.included, c.IncludedWithin, ClassNotIncluded, CauseNotIncluded},
		{gr.guard.cosigned, c.CosignedWithin, ClassNotCosigned, CauseNotCosigned},
	} {
		if one.within == 0 {
			continue
		}
		left := one.within - gr.guard.now().Sub(begun)
		if cause, err := gr.await(ctx, one.confirmer, left); err != nil {
			refusal := Refusal{Code: CodeEvidenceUnconfirmed, Cause: one.cause, EvidenceID: gr.ack.ID}
			if cause != "" {
				refusal.Cause = cause
			}
			return gr.withhold(ctx, one.class, &UndeterminedError{Refusal: refusal, err: fmt.Errorf("confirm: %w", err)})
		}
	}
	gr.started = gr.guard.now() // what runs has all of its time
	return nil
}

// await asks a Confirmer, and trusts nothing but nil. The cause is that of a panic.
func (gr *Grant) await(ctx context.Context, c Confirmer, within time.Duration) (cause string, err error) {
	defer func() {
		if p := recover(); p != nil {
			cause, err = CausePanic, gr.guard.panicked(p).err
		}
	}()
	if c == nil { // the constraint would have been refused
		return "", errors.New("guard: nothing here waits for the log")
	}
	ctx, cancel := context.WithTimeoutCause(ctx, within, errConfirm)
	defer cancel()
	ack := gr.ack
	if err := c.Confirm(ctx, &ack); err != nil {
		return "", err
	}
	return "", ctx.Err() // too late is not in time
}

// withhold ends an attempt that may not run.
func (gr *Grant) withhold(ctx context.Context, class string, refusal *UndeterminedError) error {
	gr.guard.log.Error("guard: confirmation", "error", refusal.err, "evidence", gr.ack.ID)
	if err := gr.Finish(ctx, Outcome{ErrorClass: class}); err != nil {
		var exceeded *ExceededError // it took longer than it may run
		if !errors.As(err, &exceeded) {
			return err
		}
	}
	return refusal
}

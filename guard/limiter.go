package guard

import (
	"context"
	"fmt"
	"time"
)

// A Limiter enforces the constraints that count calls: [ConstraintRate], [ConstraintConcurrency] and
// [ConstraintRetries]. Package guard/limit has two. It must be safe for concurrent use.
//
// Acquire takes what one call needs, or returns a *[LimitedError] if a limit is reached. Any other error means that it
// could not be told, and refuses too; so does a panic. It must not wait for others to release, and must end with ctx.
// The guard calls release exactly once, when the call has really ended: a call that ignores its deadline holds what
// it took. A nil release is allowed.
//
// It is asked after everything else allowed a call, and before the record is made, so that the record says what came
// of it. It is not asked about lists.
type Limiter interface {
	Acquire(ctx context.Context, k LimitKey, c *Constraints) (release func(), err error)
}

// A LimitKey says whose calls of what are counted together.
type LimitKey struct {
	// Caller is the DID of the badge's subject, else "channel:", scheme, ":" and subject of the channel, else
	// "anonymous": all that show nothing are counted together.
	Caller string

	Capability Capability

	// Params is what a repeat of the same call has in common with it, for [ConstraintRetries]: a hash of the method,
	// the target, the arguments and the input responses, in their canonical form where they have one. It has no salt, so
	// that arguments can be guessed from it. Zero where nothing asks for it.
	Params [32]byte
}

// A LimitedError says that a call would go beyond a limit.
type LimitedError struct {
	Cause      string        // CauseRate, CauseConcurrency or CauseRetries; another one counts as a failure
	RetryAfter time.Duration // when it may be worth to try again; 0 is not known, or never
}

func (e *LimitedError) Error() string { return fmt.Sprintf("guard: limit: %s", e.Cause) }

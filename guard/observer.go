package guard

import (
	"context"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/evidence"
)

// An Observer is told of every request that a guard decides, for telemetry: package guard/telemetry has one. It
// changes nothing: one that panics is logged, and the decision stands. It must be safe for concurrent use, and must
// not keep or change the request.
type Observer interface {
	// Begin is called before the caller is identified, by Check, List and Refuse. Nothing in r has been verified. Nil
	// observes nothing of this request.
	Begin(ctx context.Context, r *Request) Observation
}

// An Observation follows one request. Its methods are called in the order Context and Span (any number of times),
// Decided (once), and, only for what was granted, Finished (once).
type Observation interface {
	// Context returns ctx with the span of the request, for what is done on its behalf: the check itself, and what
	// [Grant.Context] and [Grant.Run] run. It must end with ctx.
	Context(ctx context.Context) context.Context

	// Span returns the ids of the span, in lower-case hex of 32 and 16 digits, for the record; two empty strings if
	// there is none. They take the place of [Request.TraceID].
	Span() (traceID, spanID string)

	// Decided is called when the decision was recorded, or could not be. A list is decided when it was filtered.
	Decided(d *Decided)

	// Finished is called when the outcome of a granted request was recorded, or could not be. Class is the error class
	// of the record, empty for a good end; o is what the adapter said, and its Result must not be kept.
	Finished(o *Outcome, class string, took time.Duration)
}

// Decided is what came of a request. It holds no secret, but Rule, Cause and About are for operators and not for callers.
// It must not be changed.
type Decided struct {
	Allowed bool // by the decision
	Shadow  bool // the decision was written down and not enforced: what was not allowed runs
	Final   bool // the decision is one that is enforced in shadow mode too

	Kind          evidence.DecisionKind
	Code          Code // none if allowed
	Cause         string
	Rule          string
	PolicyVersion string
	Capability    Capability  // that was refused, or else the first of the request
	Level         badge.Level // of the caller's verified badge
	Anonymous     bool
	Actor         Actor
	About         *Description // of the capability by the policy; nil if it knows nothing

	// Shadowed is what a rule in shadow would have changed; its Rule is empty if there is none.
	Shadowed ShadowAnswer

	Shown, Withheld *uint64 // of a list, nil for others

	EvidenceID   string // empty if the record could not be kept
	DecisionTook time.Duration
	RecordTook   time.Duration
}

// Runs reports whether what was asked for runs.
func (d *Decided) Runs() bool { return d.Code != CodeEvidenceUnavailable && (d.Allowed || d.Shadow) }

package guard

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/evidence"
)

// A Recorder makes records durable. *evidence.Ledger is one. When Record returns without an error the record
// is kept; when it cannot keep it, nothing runs.
type Recorder interface {
	Record(ctx context.Context, d *evidence.Draft) (*evidence.Ack, error)
}

// An Enqueuer is a Recorder that can take an outcome without waiting for the disk, as *evidence.Ledger does. An
// outcome that it took and then lost is unknown, and it must say so in its records; what made it lose one must make
// it refuse what comes after.
type Enqueuer interface {
	Recorder
	Enqueue(ctx context.Context, outcome *evidence.Draft) error
}

// A Guard decides. Make it with [New]; it is safe for concurrent use.
type Guard struct {
	server   did.DID
	badges   *badge.Verifier
	proofs   *pop.Verifier
	policy   Policy
	evidence Recorder
	outcomes Enqueuer // nil: evidence keeps them
	bearer   bool
	shadow   bool
	log      *slog.Logger
	now      func() time.Time

	limiter      Limiter
	included     Confirmer
	cosigned     Confirmer
	enforced     constraintSet
	refusals     *refusals
	factSource   FactSource
	observer     Observer
	grace        time.Duration
	maxAbandoned int64
	abandoned    atomic.Int64 // calls that still run
}

// Server returns the DID that call proofs must name, the zero DID when badges are not accepted at all.
func (g *Guard) Server() did.DID { return g.server }

// AcceptsBadges reports whether a badge can be of use here.
func (g *Guard) AcceptsBadges() bool { return g.badges != nil }

// RequiresProof reports whether a badge must come with a call proof to invoke anything.
func (g *Guard) RequiresProof() bool { return g.badges != nil && !g.bearer }

// Check decides about one attempt to use something, and records the decision. With a nil error the attempt
// may run; the caller must then end it with [Grant.Finish]. The error is a *[DeniedError] or an
// *[UndeterminedError]; the decision is recorded in both cases, unless the code of the latter is
// [CodeEvidenceUnavailable]. Where the policy asks that the record is in the log
// first, Check waits for it, and the code is [CodeEvidenceUnconfirmed] if it does not come in time.
func (g *Guard) Check(ctx context.Context, r *Request) (*Grant, error) {
	started := g.now()
	w := g.watch(ctx, r)
	ctx = w.context(ctx)
	caller, v := g.judge(ctx, r)
	var held []func()
	if v.allowed() {
		held = g.acquire(ctx, r, caller, &v)
	}
	ack, err := g.record(ctx, &entry{request: r, caller: caller, verdict: &v}, &w)
	if err != nil {
		g.release(held)
		return nil, err
	}
	if !v.allowed() && !g.spares(&v) {
		return nil, v.refuse(ack)
	}
	grant := &Grant{guard: g, caller: caller, ack: *ack, started: started, watch: w, held: held}
	grant.holds.Store(1)
	if !g.spares(&v) {
		grant.constraints = v.constraints
	}
	if err := grant.confirm(ctx); err != nil {
		return nil, err
	}
	return grant, nil
}

// spares reports whether a verdict is written down and not enforced.
func (g *Guard) spares(v *verdict) bool { return g.shadow && !v.final }

// Refuse records that an adapter refused a request before it could be checked: what cannot be read, what the
// protocol's library rejected, what panicked. It returns the error for the caller, never nil. Nothing about
// the caller is believed. Shadow mode does not change it.
func (g *Guard) Refuse(ctx context.Context, r *Request, code Code, cause string) error {
	v := verdict{code: code, cause: cause, version: g.policyVersion(), final: true}
	w := g.watch(ctx, r)
	ack, err := g.record(w.context(ctx), &entry{request: r, caller: &Principal{tenant: r.Facts.Tenant}, verdict: &v}, &w)
	if err != nil {
		return err
	}
	return v.refuse(ack)
}

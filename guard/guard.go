package guard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
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

// A Config says what a [Guard] protects, and with what. The zero Config is refused.
type Config struct {
	// Server is who is protected: the DID that call proofs must name. Required with Badges.
	Server did.DID

	// Badges verifies badges. Without it every badge is refused, and only what the policy opens to anonymous
	// callers can be used.
	Badges *badge.Verifier

	// Proofs verifies call proofs. Required with Badges.
	Proofs *pop.Verifier

	// Policy decides. Without it the annotations of the server's own capabilities decide, and everything
	// else is denied.
	Policy Policy

	// Evidence keeps the records. Required.
	Evidence Recorder

	// DurableOutcomes makes [Grant.Finish] wait until the outcome is durable, as Check always does for the
	// decision. By default an outcome is left to an Evidence that is an [Enqueuer]: the answer does not wait for
	// the disk, and after a crash the outcome may be unknown (spec/guard.md section 8).
	DurableOutcomes bool

	// AllowBearerUnsafe admits badges without a call proof, so that whoever has seen a badge can use it
	// until it expires. It is stamped on every record. A call proof that is presented must still hold.
	AllowBearerUnsafe bool

	// UnsafeShadow writes decisions down and does not enforce them: what would have been denied runs. It is
	// stamped on every record. What cannot be recorded is refused even so.
	UnsafeShadow bool

	// Limiter enforces the constraints that count calls. Nil: a policy that asks for them is refused by [New] where it
	// says so beforehand (see [Constrainer]), and otherwise denied with CauseConstraintsUnsupported.
	Limiter Limiter

	// Enforces names constraints that something else in front of the guard or behind it enforces, such as
	// [ConstraintNetwork] where a firewall does. Naming what nobody enforces is a lie that the records repeat.
	Enforces []string

	// Grace is how long a call that outlived [Constraints.MaxRuntime] may take to end after its context did, before it is
	// abandoned. 0 means [DefaultGrace].
	Grace time.Duration

	// MaxAbandoned bounds the abandoned calls that still run: beyond it calls with a maximum runtime are refused. 0
	// means [DefaultMaxAbandoned].
	MaxAbandoned int

	// Facts knows more about requests than the adapter. Nil knows nothing.
	Facts FactSource

	// Observer is told of every request. Nil tells nobody.
	Observer Observer

	// Logger hears of panics and of failures of the parts that the guard depends on. Nil discards.
	Logger *slog.Logger

	// Time is the clock of durations. Nil means time.Now.
	Time func() time.Time
}

// The defaults of a [Config].
const (
	DefaultGrace        = time.Second
	DefaultMaxAbandoned = 64
)

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
}

// New makes a Guard. It refuses a Config that can allow nothing, one that could admit no caller it was told
// to verify, and one without evidence.
func New(cfg *Config) (*Guard, error) {
	switch {
	case cfg == nil:
		return nil, errors.New("guard: no Config")
	case cfg.Evidence == nil:
		return nil, errors.New("guard: Config has no Evidence: nothing runs without a record")
	case cfg.Badges == nil && cfg.Policy == nil:
		return nil, errors.New("guard: Config has neither Badges nor Policy: it could allow nothing")
	case cfg.Badges != nil && cfg.Proofs == nil:
		return nil, errors.New("guard: Config has Badges and no Proofs: it could not tell a holder from a thief")
	case cfg.Badges != nil && cfg.Server.IsZero():
		return nil, errors.New("guard: Config has Badges and no Server: call proofs must name it")
	case cfg.Badges == nil && cfg.AllowBearerUnsafe:
		return nil, errors.New("guard: AllowBearerUnsafe without Badges admits nobody")
	}
	if err := cfg.checkConstraints(); err != nil {
		return nil, err
	}
	g := &Guard{
		server: cfg.Server, badges: cfg.Badges, proofs: cfg.Proofs, policy: cfg.Policy,
		evidence: cfg.Evidence, bearer: cfg.AllowBearerUnsafe, shadow: cfg.UnsafeShadow,
		log: cfg.Logger, now: cfg.Time,
	}
	if q, ok := cfg.Evidence.(Enqueuer); ok && !cfg.DurableOutcomes {
		g.outcomes = q
	}
	if g.log == nil {
		g.log = slog.New(slog.DiscardHandler)
	}
	if g.now == nil {
		g.now = time.Now
	}
	return g, nil
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
// [CodeEvidenceUnavailable].
func (g *Guard) Check(ctx context.Context, r *Request) (*Grant, error) {
	started := g.now()
	caller, v := g.judge(ctx, r)
	ack, err := g.record(ctx, &entry{request: r, caller: caller, verdict: &v})
	if err != nil {
		return nil, err
	}
	if !v.allowed() && !g.shadow {
		return nil, v.refuse(ack)
	}
	return &Grant{guard: g, caller: caller, ack: *ack, started: started}, nil
}

// Refuse records that an adapter refused a request before it could be checked: what cannot be read, what the
// protocol's library rejected, what panicked. It returns the error for the caller, never nil. Nothing about
// the caller is believed. Shadow mode does not change it.
func (g *Guard) Refuse(ctx context.Context, r *Request, code Code, cause string) error {
	v := verdict{code: code, cause: cause, version: g.policyVersion()}
	ack, err := g.record(ctx, &entry{request: r, caller: &Principal{}, verdict: &v, enforced: true})
	if err != nil {
		return err
	}
	return v.refuse(ack)
}

// judge identifies the caller and decides. Whatever goes wrong in it is a verdict: it never panics.
func (g *Guard) judge(ctx context.Context, r *Request) (caller *Principal, v verdict) {
	caller = &Principal{channel: r.Channel}
	version := g.policyVersion()
	defer func() {
		if p := recover(); p != nil {
			v = g.panicked(p)
		}
		if v.version == "" {
			v.version = version
		}
	}()
	if v = g.identify(ctx, r, caller); v.code != "" {
		return caller, v
	}
	if r.Verb != Invoke {
		return caller, verdict{code: CodeMethodDenied, cause: CauseNoRule}
	}
	items := r.items(caller)
	if len(items) == 0 {
		return caller, verdict{code: CodeNotFound, cause: CauseCapabilityUnknown, hidden: true}
	}
	for i := range items {
		it := &items[i]
		in := &Input{
			Caller: caller, Verb: r.Verb, Method: r.Method, Capability: it.Capability,
			Require: it.Require, Arguments: r.Arguments, Facts: r.Facts,
		}
		v = g.decide(ctx, in, rights{isRule: it.RequireIsRule, missing: it.Missing})
		if !v.allowed() || r.Owned != nil {
			v.about = &it.Capability
		}
		if !v.allowed() {
			break
		}
	}
	return caller, v
}

func (g *Guard) panicked(p any) verdict {
	g.log.Error("guard: panic", "value", fmt.Sprint(p), "stack", string(debug.Stack()))
	return verdict{code: CodeGuardFailed, cause: CausePanic, err: fmt.Errorf("panic: %v", p)}
}

// noPolicyVersion is recorded where no policy is in force that has a digest.
const noPolicyVersion = "none"

// policyVersion asks the policy for its digest. One that panics has none.
func (g *Guard) policyVersion() (version string) {
	defer func() {
		if p := recover(); p != nil || version == "" {
			version = noPolicyVersion
		}
	}()
	if v, ok := g.policy.(Versioned); ok {
		return v.Version()
	}
	return noPolicyVersion
}

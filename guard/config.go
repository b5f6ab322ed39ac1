package guard

import (
	"errors"
	"log/slog"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/did"
)

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

	// UnsafeShadow writes decisions down and does not enforce them: what would have been denied runs, and without its
	// constraints. It is stamped on every record. What cannot be recorded is refused even so, and decisions that are
	// Final are enforced (spec/guard.md section 5.1).
	UnsafeShadow bool

	// Limiter enforces the constraints that count calls. Nil: a policy that asks for them is refused by [New] where it
	// says so beforehand (see [Constrainer]), and otherwise denied with CauseConstraintsUnsupported.
	Limiter Limiter

	// Included and Cosigned wait until a record is in a checkpoint that the log has signed, and in one that its witnesses
	// have cosigned: for the constraints of these names. Package guard/confirm has both. Nil: a policy that asks for one
	// is refused, as without a Limiter.
	Included, Cosigned Confirmer

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

	// Refusals bounds what refused attempts cost. The zero Refusals are the defaults.
	Refusals Refusals

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
	case cfg.Grace < 0 || cfg.MaxAbandoned < 0:
		return nil, errors.New("guard: Grace and MaxAbandoned are not below 0; leave them 0 for the defaults")
	}
	if err := errors.Join(cfg.checkConstraints(), cfg.checkPrivacy()); err != nil {
		return nil, err
	}
	g := &Guard{
		server: cfg.Server, badges: cfg.Badges, proofs: cfg.Proofs, policy: cfg.Policy,
		evidence: cfg.Evidence, bearer: cfg.AllowBearerUnsafe, shadow: cfg.UnsafeShadow,
		limiter: cfg.Limiter, included: cfg.Included, cosigned: cfg.Cosigned, enforced: setOf(cfg.EnforcedConstraints()...), factSource: cfg.Facts, observer: cfg.Observer,
		grace: cfg.Grace, maxAbandoned: int64(cfg.MaxAbandoned),
		log: cfg.Logger, now: cfg.Time,
	}
	if g.grace == 0 {
		g.grace = DefaultGrace
	}
	if g.maxAbandoned == 0 {
		g.maxAbandoned = DefaultMaxAbandoned
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
	var err error
	if g.refusals, err = newRefusals(g, cfg.Refusals); err != nil {
		return nil, err
	}
	return g, nil
}

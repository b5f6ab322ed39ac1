package guard

import (
	"context"
	"encoding/json"

	"github.com/touchmark-dev/touchmark/badge"
)

// A Policy answers whether a caller may use a capability. Package guard/policy reads policies from files.
//
// An error means that it could not be told, and refuses. So does a panic. Decide must be safe for concurrent
// use.
type Policy interface {
	Decide(ctx context.Context, in *Input) (Decision, error)
}

// A Versioned policy names itself: the digest of the rules that are in force. It is recorded as the policy
// version of decisions that do not carry one of their own.
type Versioned interface {
	Version() string
}

// A ListPolicy can answer about all entries of a list together, which saves one that asks somebody else a round for
// each. What it answers, and the error at the same place, are as of Decide.
type ListPolicy interface {
	Policy
	DecideAll(ctx context.Context, ins []*Input) ([]Decision, []error)
}

// A DiscoveryPolicy can ask for a call proof on discovery methods too, where a badge alone suffices by
// default (spec/guard.md section 4).
type DiscoveryPolicy interface {
	RequireDiscoveryProof() bool
}

// A FinalPolicy says without deciding whether its decision would be Final ([Decision]), for who asks several policies and
// not always all of them. It must be safe for concurrent use.
type FinalPolicy interface {
	Final(in *Input) bool
}

// Input is what a policy is asked about.
type Input struct {
	Caller     *Principal
	Verb       Verb
	Method     string
	Capability Capability

	// Require is the level that the capability's annotation asks for, LevelNone if there is none. The guard
	// enforces it beside the policy's own minimum.
	Require badge.Level

	Arguments json.RawMessage // as the caller sent them: nobody has validated them

	Facts Facts

	answered *answered // by a ListPolicy, already
}

type answered struct {
	Decision
	err error
}

// An Answer is one of the four that a policy can give. The zero Answer denies.
type Answer uint8

// The answers.
const (
	Deny Answer = iota
	RequireApproval
	AllowWithConstraints
	Allow
)

// A Decision is a policy's answer. The zero Decision denies.
type Decision struct {
	Kind Answer

	// NoRule says that the policy has nothing to say about the capability. The annotation beside the
	// capability may then be the rule; without one the call is denied. Kind is ignored.
	NoRule bool

	// Rule is the id of the rule that decided, for the record.
	Rule string

	// MinLevel is the level that the caller's badge must have for any answer but Deny. LevelNone is reached
	// by no badge: a rule that forgets its minimum opens to nobody, unless it is Anonymous.
	MinLevel badge.Level

	// Anonymous opens the capability to callers without a badge, and to those with any badge. It holds only
	// with MinLevel LevelNone, and not for a capability whose annotation asks for a level.
	Anonymous bool

	// Constraints are what must be enforced when the call runs: required with AllowWithConstraints, which Allow
	// becomes with them. Beside RequireApproval they are recorded. The guard does not change them.
	Constraints *Constraints

	// Final says that the decision is enforced where the guard is in shadow mode ([Config.UnsafeShadow]), too. It holds
	// beside an error of Decide as well. About callers that could not be identified, a guard in shadow mode asks as
	// if they were anonymous, to learn whether this is so: it has to hold if a rule that matches or may match is final.
	Final bool

	// Shadow is what the policy would have answered with its rules in shadow in force: the strictest of what they would
	// have changed, and nil where they would have changed nothing.
	Shadow *Shadowed

	// Actor is the class that the policy found for the caller, for the record. Empty means that the policy does not
	// look for one: [Facts] says it. ActorUnclear means that its sources disagree.
	Actor Actor

	// About is what the policy knows of the capability, for the [Observer]. Nil knows nothing. It is shared: a policy makes
	// it once and not for every answer.
	About *Description

	// Version is the digest of the rules that decided. Empty means that of [Versioned].
	Version string
}

// A Description is what a policy knows of a capability. Nobody changes it once it was handed out.
type Description struct {
	RiskTags []string
	Labels   map[string]string
}

// Against holds d against the level of the caller's badge, LevelNone for an anonymous caller, by steps 5 to 7 of
// spec/guard.md section 5, where the named constraints are enforced. It returns why the caller is refused, and no Code if
// it may go on, with [Decision.Constraints].
func (d Decision) Against(level badge.Level, enforces ...string) (Code, string) {
	return d.against(level, setOf(enforces...))
}

func (d *Decision) against(level badge.Level, enforced constraintSet) (Code, string) {
	switch {
	case d.NoRule:
		return CodePolicyDenied, CauseNoRule
	case d.Kind != Allow && d.Kind != AllowWithConstraints && d.Kind != RequireApproval:
		return CodePolicyDenied, CauseRuleDenies
	case d.Kind != RequireApproval && !d.boundBy(enforced):
		return CodePolicyDenied, CauseConstraintsUnsupported // an obligation that nothing here can meet
	}
	open := d.Anonymous && d.MinLevel == badge.LevelNone
	switch {
	case !open && d.MinLevel == badge.LevelNone:
		return CodeTrustInsufficient, CauseNoMinimum
	case !open && !level.AtLeast(d.MinLevel):
		return CodeTrustInsufficient, CauseLevelTooLow
	case d.Kind == RequireApproval:
		return CodeApprovalRequired, ""
	}
	return "", ""
}

// boundBy reports whether all that an answer asks for is enforced. One that is bound to nothing has to be a plain one.
func (d *Decision) boundBy(enforced constraintSet) bool {
	if d.Constraints == nil {
		return d.Kind == Allow
	}
	return d.Constraints.sound() && d.Constraints.asked()&^enforced == 0
}

// actor returns the class of the caller for the record, of which the facts say known.
func (d *Decision) actor(known Actor) Actor {
	switch {
	case d.Actor == "" && known.Known():
		return known
	case d.Actor.Known():
		return d.Actor
	}
	return ""
}

// UnsafeAllowAll is a policy that lets everybody use everything. It exists to measure and to test what a
// guard changes when it changes nothing.
type UnsafeAllowAll struct{}

// Decide allows.
func (UnsafeAllowAll) Decide(context.Context, *Input) (Decision, error) {
	return Decision{Kind: Allow, Rule: "unsafe_allow_all", Anonymous: true}, nil
}

// Version is "unsafe_allow_all".
func (UnsafeAllowAll) Version() string { return "unsafe_allow_all" }

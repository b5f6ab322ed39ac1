package guard

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/evidence"
)

// A verdict is what came of the checks. It allows when it has no code.
type verdict struct {
	code   Code
	cause  string
	quiet  bool // the cause is for the record alone
	hidden bool
	err    error // for operators

	about    *Capability // that was refused, of several; nil for the first
	rule     string
	minLevel badge.Level
	version  string

	final       bool // enforced in shadow mode too
	shadow      ShadowAnswer
	actor       Actor
	known       *Description
	constraints *Constraints  // under which it allows, would allow, or would have allowed
	limits      []limited     // what a Limiter is to be asked for
	retryAfter  time.Duration // of a limit
}

func (v *verdict) allowed() bool { return v.code == "" }

// kind is the answer as evidence names it.
func (v *verdict) kind() evidence.DecisionKind {
	switch {
	case v.code == "" && v.constraints != nil:
		return evidence.AllowWithConstraints
	case v.code == "":
		return evidence.Allow
	case v.code == CodeApprovalRequired:
		return evidence.RequireApproval
	}
	return evidence.Deny
}

func (v *verdict) refuse(ack *evidence.Ack) error {
	refusal := Refusal{Code: v.code, Cause: v.cause, Hidden: v.hidden, RetryAfter: v.retryAfter}
	if v.quiet {
		refusal.Cause = ""
	}
	if ack != nil {
		refusal.EvidenceID = ack.ID
	}
	if refusal.Undetermined() {
		return &UndeterminedError{Refusal: refusal, err: v.err}
	}
	return &DeniedError{Refusal: refusal}
}

// rights are what the adapter knows of a capability.
type rights struct {
	isRule  bool // the annotation is a rule
	missing bool // there is no such capability
}

// annotationRule is the rule id of decisions that rest on an annotation alone.
const annotationRule = "annotation"

// decide asks the policy, and holds its answer against the annotation, the caller and what is enforced here
// (spec/guard.md section 5).
func (g *Guard) decide(ctx context.Context, in *Input, know rights) (v verdict) {
	var d Decision
	g.ask(ctx, in, &d, &v)
	v.final, v.known, v.actor = v.final || d.Final, d.About, d.actor(in.Facts.Actor)
	if v.code != "" {
		return v
	}
	if d.NoRule {
		d.Kind, d.Rule, d.MinLevel, d.Anonymous, d.Constraints = Deny, "", badge.LevelNone, false, nil
		if know.isRule && in.Require != badge.LevelNone && nameable(in.Capability.Name) {
			d.NoRule, d.Kind, d.Rule = false, Allow, annotationRule
		}
	}
	v.rule, v.version = d.Rule, d.Version
	g.weigh(&d, &v, in, know)
	if d.Shadow != nil {
		v.shadow = d.Shadow.answer(g, &v, in, know)
	}
	return v
}

// weigh says what comes of an answer for this caller.
func (g *Guard) weigh(d *Decision, v *verdict, in *Input, know rights) {
	d.MinLevel = raise(d.MinLevel, in.Require)
	v.minLevel = d.MinLevel
	v.code, v.cause = d.against(in.Caller.Level(), g.enforced)
	conceal(v, in, know)
	if v.code == "" || v.code == CodeApprovalRequired {
		v.constraints = d.Constraints
	}
}

// nameable reports whether a policy could have a rule for a name at all. Where it could not, that it has none
// says nothing: not even a rule that denies everything matches.
func nameable(name string) bool { return len(name) <= MaxNameBytes && utf8.ValidString(name) }

// ask puts the question to the policy. A policy that fails or panics has not decided.
func (g *Guard) ask(ctx context.Context, in *Input, d *Decision, v *verdict) {
	if ok := nameable(in.Capability.Name); g.policy == nil || !ok {
		d.NoRule, d.Final = true, !ok // no rule of a final level could be about it either
		return
	}
	defer func() {
		if p := recover(); p != nil {
			*v = g.panicked(p)
			v.code = CodePolicyIndeterminate
		}
	}()
	var err error
	if in.answered != nil {
		*d, err = in.answered.Decision, in.answered.err
	} else {
		*d, err = g.policy.Decide(ctx, in)
	}
	if err != nil {
		g.log.Error("guard: policy", "error", err)
		v.code, v.cause, v.err = CodePolicyIndeterminate, CausePolicyError, fmt.Errorf("policy: %w", err)
	}
}

// askAll puts the questions of a list to a policy that takes several. One that panics, or does not answer all, has
// decided nothing.
func (g *Guard) askAll(ctx context.Context, ins []*Input) {
	p, ok := g.policy.(ListPolicy)
	asked := make([]*Input, 0, len(ins))
	for _, in := range ins {
		if nameable(in.Capability.Name) {
			asked = append(asked, in)
		}
	}
	if !ok || len(asked) == 0 {
		return
	}
	var decisions []Decision
	var errs []error
	defer func() {
		failed := answered{Decision{Final: true}, errors.New("guard: the policy did not answer about all entries of a list")}
		if p := recover(); p != nil {
			failed.err = g.panicked(p).err
			decisions = nil
		}
		for i, in := range asked {
			if in.answered = &failed; len(decisions) == len(asked) && len(errs) == len(asked) {
				in.answered = &answered{decisions[i], errs[i]}
			}
		}
	}()
	decisions, errs = p.DecideAll(ctx, asked)
}

// raise returns the stronger of two minimums. What is no level at all is the strongest: it is reached by
// nobody.
func raise(a, b badge.Level) badge.Level {
	switch {
	case b == badge.LevelNone || a == LevelUnsatisfiable:
		return a
	case a == badge.LevelNone || b.AtLeast(a):
		return b
	case a.AtLeast(b):
		return a
	}
	return LevelUnsatisfiable
}

// conceal makes the refusals of what exists look like those of what does not. An anonymous caller is told to
// present a badge in either case, and nothing more; a badge caller is told that there is no such thing.
func conceal(v *verdict, in *Input, know rights) {
	if know.missing && (v.code == "" || !in.Caller.Anonymous()) {
		v.code, v.cause = CodeNotFound, CauseCapabilityUnknown
	}
	switch {
	case v.code == "" || v.code == CodeApprovalRequired:
	case in.Caller.Anonymous() && v.code != CodeNotFound:
		v.code, v.quiet = CodeAuthMissing, true
	case in.Capability.Kind == KindMethod:
		v.code, v.quiet = CodeMethodDenied, true
	default:
		v.hidden = true
	}
}

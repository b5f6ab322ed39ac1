package guard

import (
	"context"
	"fmt"
	"runtime/debug"
)

// judge identifies the caller and decides. Whatever goes wrong in it is a verdict: it never panics.
func (g *Guard) judge(ctx context.Context, r *Request) (caller *Principal, v verdict) {
	caller, facts, met := g.meet(ctx, r)
	defer func() {
		if p := recover(); p != nil {
			v = g.panicked(p)
		}
		if v.version == "" {
			v.version = met.version
		}
	}()
	switch {
	case !met.allowed():
		met.final = g.shadow && g.finalFor(ctx, r, caller)
		return caller, met
	case r.Verb != Invoke:
		return caller, verdict{code: CodeMethodDenied, cause: CauseNoRule}
	}
	return caller, g.decideAll(ctx, r, caller, facts)
}

// meet finds out who asks, and what is known beside.
func (g *Guard) meet(ctx context.Context, r *Request) (caller *Principal, facts Facts, v verdict) {
	caller = &Principal{channel: r.Channel, tenant: r.Facts.Tenant} // nobody else is asked about one that cannot be identified
	defer func() {
		if p := recover(); p != nil {
			v = g.panicked(p)
		}
		v.version = g.policyVersion()
	}()
	if v = g.identify(ctx, r, caller); v.allowed() {
		facts, v = g.facts(ctx, caller, r)
		caller.tenant = facts.Tenant
	}
	return caller, facts, v
}

// decideAll decides about all that a request uses. The first refusal decides; in shadow mode the first that is
// enforced.
func (g *Guard) decideAll(ctx context.Context, r *Request, caller *Principal, facts Facts) verdict {
	var room [1]Item
	items := r.items(caller, &room)
	switch len(items) {
	case 0:
		return verdict{code: CodeNotFound, cause: CauseCapabilityUnknown, hidden: true, final: true}
	case 1:
		return g.decideItem(ctx, r, &items[0], &Input{Caller: caller, Facts: facts})
	}
	var granted, spared verdict
	for i := range items {
		v := g.decideItem(ctx, r, &items[i], &Input{Caller: caller, Facts: facts})
		switch {
		case !v.allowed() && !g.spares(&v):
			return v
		case !v.allowed() && spared.allowed():
			spared = v
		case v.allowed():
			if i > 0 {
				v.join(&granted)
			}
			granted = v
		}
	}
	if spared.allowed() {
		return granted
	}
	spared.final = granted.final && granted.constraints != nil // what runs in shadow mode runs without constraints
	return spared
}

// decideItem decides about one thing that a request uses, by a caller and facts that are in in.
func (g *Guard) decideItem(ctx context.Context, r *Request, it *Item, in *Input) verdict {
	in.Verb, in.Method, in.Arguments = r.Verb, r.Method, r.Arguments
	in.Capability, in.Require = it.Capability, it.Require
	v := g.decide(ctx, in, rights{isRule: it.RequireIsRule, missing: it.Missing})
	if !v.allowed() || r.Owned != nil {
		v.about = &in.Capability
	}
	if v.constraints != nil && v.allowed() && g.limiter != nil && r.Owned == nil && v.constraints.asked()&counted != 0 {
		v.limits = []limited{{it.Capability, v.constraints}}
	}
	return v
}

// join adds what an earlier verdict of the same request asks for.
func (v *verdict) join(earlier *verdict) {
	v.constraints = Tighter(earlier.constraints, v.constraints)
	v.limits = append(earlier.limits, v.limits...)
	v.final = v.final || earlier.final
	if earlier.known != nil {
		v.known = earlier.known
	}
	if earlier.shadow.Rule != "" {
		v.shadow = earlier.shadow
	}
}

// finalFor reports whether a request whose caller could not be identified asks for what is enforced in shadow mode too.
func (g *Guard) finalFor(ctx context.Context, r *Request, caller *Principal) bool {
	var room [1]Item
	items := r.items(caller, &room)
	for i := range items {
		if g.finalItem(ctx, &Input{
			Verb: r.Verb, Method: r.Method, Capability: items[i].Capability, Require: items[i].Require,
			Arguments: r.Arguments, Facts: r.Facts,
		}) {
			return true
		}
	}
	return len(items) == 0
}

// finalItem asks the policy as if nobody in particular asked for something. What it cannot say by a panic is final.
func (g *Guard) finalItem(ctx context.Context, in *Input) bool {
	in.Caller = &Principal{}
	var d Decision
	var v verdict
	g.ask(ctx, in, &d, &v)
	return d.Final || v.final
}

// panicked is the verdict when something panicked. It is enforced in shadow mode too, since nobody knows whether what
// is not known would be.
func (g *Guard) panicked(p any) verdict {
	g.log.Error("guard: panic", "value", fmt.Sprint(p), "stack", string(debug.Stack()))
	return verdict{code: CodeGuardFailed, cause: CausePanic, err: fmt.Errorf("panic: %v", p), final: true}
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

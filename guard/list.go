package guard

import (
	"context"

	"github.com/touchmark-dev/touchmark/evidence"
)

// A Listing is a list that a caller may ask for. It ends with one call of [Listing.Filter].
type Listing struct {
	guard   *Guard
	request *Request
	caller  *Principal
	verdict verdict // on the caller; refuses only in shadow mode
}

// List identifies a caller that asks for a list. Anonymous callers may ask: what they may not use is taken
// out by [Listing.Filter]. Refusals are recorded, as by [Guard.Check]; an allowed list is recorded by Filter,
// when it is known what is in it.
func (g *Guard) List(ctx context.Context, r *Request) (*Listing, error) {
	asked := *r
	asked.Verb = Discover
	caller, v := g.meet(ctx, &asked)
	if v.allowed() || g.shadow {
		return &Listing{guard: g, request: &asked, caller: caller, verdict: v}, nil
	}
	ack, err := g.record(ctx, &entry{request: &asked, caller: caller, verdict: &v})
	if err != nil {
		return nil, err
	}
	return nil, v.refuse(ack)
}

// Caller returns who asks.
func (l *Listing) Caller() *Principal { return l.caller }

// meet is the part of judge that concerns the caller alone.
func (g *Guard) meet(ctx context.Context, r *Request) (caller *Principal, v verdict) {
	caller = &Principal{channel: r.Channel}
	defer func() {
		if p := recover(); p != nil {
			v = g.panicked(p)
		}
		v.version = g.policyVersion()
	}()
	return caller, g.identify(ctx, r, caller)
}

// Filter says which items the caller may see: those it could invoke, and those for which it could ask for an
// approval. It records how many those are before it returns them. An item about which the policy cannot tell
// is withheld. In shadow mode it records what it would have shown, and returns everything as visible.
func (l *Listing) Filter(ctx context.Context, items []Item) ([]bool, *evidence.Ack, error) {
	visible := make([]bool, len(items))
	var shown uint64
	for i := range items {
		if l.verdict.allowed() && l.visible(ctx, &items[i]) {
			visible[i] = true
			shown++
		}
	}
	withheld := uint64(len(items)) - shown
	ack, err := l.guard.record(ctx, &entry{
		request: l.request, caller: l.caller, verdict: &l.verdict, shown: &shown, withheld: &withheld,
	})
	if err != nil {
		return nil, nil, err
	}
	if l.guard.shadow {
		for i := range visible {
			visible[i] = true
		}
	}
	return visible, ack, nil
}

func (l *Listing) visible(ctx context.Context, it *Item) bool {
	in := &Input{
		Caller: l.caller, Verb: Discover, Method: l.request.Method, Capability: it.Capability, Require: it.Require,
		Facts: l.request.Facts,
	}
	v := l.guard.decide(ctx, in, rights{isRule: it.RequireIsRule, missing: it.Missing})
	return !it.Missing && (v.allowed() || v.code == CodeApprovalRequired)
}

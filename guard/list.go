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
	facts   Facts
	verdict verdict // on the caller; refuses only in shadow mode
	watch   watch
}

// List identifies a caller that asks for a list. Anonymous callers may ask: what they may not use is taken
// out by [Listing.Filter]. Refusals are recorded, as by [Guard.Check]; an allowed list is recorded by Filter,
// when it is known what is in it.
func (g *Guard) List(ctx context.Context, r *Request) (*Listing, error) {
	asked := *r
	asked.Verb = Discover
	w := g.watch(ctx, &asked)
	ctx = w.context(ctx)
	caller, facts, v := g.meet(ctx, &asked)
	v.actor = facts.Actor
	if v.allowed() || g.shadow {
		v.final = false
		return &Listing{guard: g, request: &asked, caller: caller, facts: facts, verdict: v, watch: w}, nil
	}
	ack, err := g.record(ctx, &entry{request: &asked, caller: caller, verdict: &v}, &w)
	if err != nil {
		return nil, err
	}
	return nil, v.refuse(ack)
}

// Caller returns who asks.
func (l *Listing) Caller() *Principal { return l.caller }

// Filter says which items the caller may see: those it could invoke, and those for which it could ask for an
// approval. It records how many those are before it returns them. An item about which the policy cannot tell
// is withheld. In shadow mode it records what it would have shown, and returns everything as visible.
//
// An item about which the decision is final is withheld in shadow mode too.
func (l *Listing) Filter(ctx context.Context, items []Item) ([]bool, *evidence.Ack, error) {
	ctx = l.watch.context(ctx)
	visible := make([]bool, len(items))
	var shown uint64
	ins := l.inputs(items)
	if l.verdict.allowed() {
		l.guard.askAll(ctx, ins)
	}
	for i := range items {
		var final bool
		if visible[i], final = l.look(ctx, &items[i], ins[i]); visible[i] {
			shown++
		}
		visible[i] = visible[i] || l.guard.shadow && !final
	}
	withheld := uint64(len(items)) - shown
	ack, err := l.guard.record(ctx, &entry{
		request: l.request, caller: l.caller, verdict: &l.verdict, list: true, shown: shown, withheld: withheld,
	}, &l.watch)
	if err != nil {
		return nil, nil, err
	}
	return visible, ack, nil
}

func (l *Listing) inputs(items []Item) []*Input {
	ins := make([]*Input, len(items))
	for i := range items {
		it := &items[i]
		ins[i] = &Input{
			Caller: l.caller, Verb: Discover, Method: l.request.Method, Capability: it.Capability, Require: it.Require,
			Facts: l.facts,
		}
	}
	return ins
}

// look says whether the caller may see an item, and whether that is final.
func (l *Listing) look(ctx context.Context, it *Item, in *Input) (visible, final bool) {
	if !l.verdict.allowed() {
		in.Facts = l.request.Facts
		return false, l.guard.finalItem(ctx, in)
	}
	v := l.guard.decide(ctx, in, rights{isRule: it.RequireIsRule, missing: it.Missing})
	if v.actor != "" {
		l.verdict.actor = v.actor
	}
	return !it.Missing && (v.allowed() || v.code == CodeApprovalRequired), v.final
}

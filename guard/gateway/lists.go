package gateway

import (
	"context"
	"encoding/json"

	"github.com/touchmark-dev/touchmark/guard"
)

// answerList answers with what the caller may see of one of the upstream's lists.
func (g *Gateway) answerList(ctx context.Context, m *message, k *listKind, params, meta object) {
	r, err := g.request(m, params, meta)
	if err != nil {
		g.refuseCredentials(ctx, m, err)
		return
	}
	if _, ok := params["cursor"]; ok { // the gateway gives none out: it answers with one page
		g.refuseRequest(ctx, m, guard.CauseParamsMalformed)
		return
	}
	r.Verb, r.Capability, r.Arguments, r.InputResponses = guard.Discover, guard.Capability{}, nil, nil
	listing, err := g.guard.List(ctx, r)
	if err != nil {
		g.answerRefusal(m, guard.RefusalOf(err), guard.Capability{})
		return
	}
	c, err := g.catalog(ctx, k, params)
	if err != nil {
		g.noUpstream(ctx, m, r, err)
		return
	}
	keep, ack, err := listing.Filter(ctx, c.items)
	if err != nil {
		g.answerRefusal(m, guard.RefusalOf(err), guard.Capability{})
		return
	}
	g.answer(m, c.page(keep, ack))
}

// catalog returns one of the upstream's lists, if the upstream may be used. What a
// 2026-07-28 server wants to know with every request is taken from the client's
// request at hand.
func (g *Gateway) catalog(ctx context.Context, k *listKind, params object) (*catalog, error) {
	if k != listOfTools {
		if err := g.fit(ctx, params); err != nil {
			return nil, err
		}
	}
	s := g.shelves[k]
	if c, err := s.cached(); c != nil || err != nil {
		return c, err
	}
	meta, err := params.child("_meta")
	if err != nil {
		return nil, err
	}
	delete(meta, "progressToken")
	list := func(ctx context.Context, cursor string) (object, error) {
		ask := object{}
		if len(meta) > 0 {
			ask["_meta"] = meta.encode()
		}
		if cursor != "" {
			text, err := json.Marshal(cursor)
			if err != nil {
				return nil, err
			}
			ask["cursor"] = text
		}
		if err := narrowClient(ask); err != nil {
			return nil, err
		}
		raw, err := g.upstream.call(ctx, k.method, ask.encode(), 0)
		if err != nil {
			return nil, err
		}
		return readResult(raw, false)
	}
	return s.get(ctx, listing{list, g.approve})
}

// fit returns an error while the upstream may not be used at all, whatever of it is
// asked for: what is approved of an upstream is its list of tools.
func (g *Gateway) fit(ctx context.Context, params object) error {
	if g.checker == nil && g.registry == nil {
		return nil
	}
	_, err := g.catalog(ctx, listOfTools, params)
	return err
}

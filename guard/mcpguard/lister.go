package mcpguard

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/guard"
)

// A lister reads one of the server's lists.
type lister[T any] struct {
	cursor string // that the client sent
	fetch  func(ctx context.Context, cursor string) (*page[T], error)
	name   func(T) string
	item   func(ctx context.Context, caller *guard.Principal, entry T) guard.Item
}

// A page is a part of a list, or all of it.
type page[T any] struct {
	entries []T
	next    string                                    // the server's cursor
	size    int                                       // of the server's pages; 0 when there is but one
	fill    func(entries []T, next string) mcp.Result // makes a result like that of the page
}

// walk reads the pages of the server until one is enough.
func (l *lister[T]) walk(ctx context.Context, enough func(*page[T]) bool) error {
	seen := 0
	for cursor := ""; ; {
		p, err := l.fetch(ctx, cursor)
		if err != nil {
			return err
		}
		seen += len(p.entries) + 1 // a server could leave its pages empty
		switch {
		case seen > maxListed+1:
			return errTooLong
		case enough(p) || p.next == "":
			return nil
		case p.next == cursor:
			return errors.New("mcpguard: the server's list does not end")
		}
		cursor = p.next
	}
}

// all puts the pages of the server together.
func (l *lister[T]) all(ctx context.Context) (*page[T], error) {
	var whole *page[T]
	err := l.walk(ctx, func(p *page[T]) bool {
		if whole == nil {
			if whole = p; p.next != "" {
				whole.size = len(p.entries)
			}
		} else {
			whole.entries = append(whole.entries, p.entries...)
		}
		return false
	})
	if err != nil {
		return nil, err
	}
	return whole, nil
}

// find returns the first entry of a name.
func (l *lister[T]) find(ctx context.Context, name string) (found T, ok bool, err error) {
	err = l.walk(ctx, func(p *page[T]) bool {
		for _, e := range p.entries {
			if l.name(e) == name {
				found, ok = e, true
				return true
			}
		}
		return false
	})
	return found, ok, err
}

// fetch asks the server behind the guard for a list. Whatever other middleware made of the answer, it must
// still be one that can be filtered.
func fetch[R any, P mcp.Params](ctx context.Context, x *exchange, method string, params P) (*R, error) {
	session, ok := x.req.GetSession().(*mcp.ServerSession)
	if !ok {
		return nil, errors.New("mcpguard: a request outside a server session")
	}
	res, err := x.next(ctx, method, &mcp.ServerRequest[P]{Session: session, Params: params, Extra: x.req.GetExtra()})
	if err != nil {
		return nil, err
	}
	list, ok := any(res).(*R)
	if !ok || list == nil {
		return nil, fmt.Errorf("mcpguard: answer of type %T to %q", res, method)
	}
	out := *list
	return &out, nil
}

// paramsOf returns a copy of the parameters of an exchange, or new ones if it has none of this type.
func paramsOf[P any](x *exchange) *P {
	out := new(P)
	if p, ok := any(x.req.GetParams()).(*P); ok && p != nil {
		*out = *p
	}
	return out
}

func (x *exchange) tools() *lister[*mcp.Tool] {
	params := paramsOf[mcp.ListToolsParams](x)
	return &lister[*mcp.Tool]{
		cursor: params.Cursor,
		fetch: func(ctx context.Context, cursor string) (*page[*mcp.Tool], error) {
			p := *params
			p.Cursor = cursor
			res, err := fetch[mcp.ListToolsResult](ctx, x, methodListTools, &p)
			if err != nil {
				return nil, err
			}
			fill := func(entries []*mcp.Tool, next string) mcp.Result {
				res.Tools, res.NextCursor, res.CacheScope = entries, next, cachePrivate
				return res
			}
			return &page[*mcp.Tool]{entries: present(res.Tools), next: res.NextCursor, fill: fill}, nil
		},
		name: func(t *mcp.Tool) string { return t.Name },
		item: func(_ context.Context, _ *guard.Principal, t *mcp.Tool) guard.Item {
			return annotated(guard.KindTool, t.Name, t.Meta)
		},
	}
}

func (x *exchange) prompts() *lister[*mcp.Prompt] {
	params := paramsOf[mcp.ListPromptsParams](x)
	return &lister[*mcp.Prompt]{
		cursor: params.Cursor,
		fetch: func(ctx context.Context, cursor string) (*page[*mcp.Prompt], error) {
			p := *params
			p.Cursor = cursor
			res, err := fetch[mcp.ListPromptsResult](ctx, x, methodListPrompts, &p)
			if err != nil {
				return nil, err
			}
			fill := func(entries []*mcp.Prompt, next string) mcp.Result {
				res.Prompts, res.NextCursor, res.CacheScope = entries, next, cachePrivate
				return res
			}
			return &page[*mcp.Prompt]{entries: present(res.Prompts), next: res.NextCursor, fill: fill}, nil
		},
		name: func(p *mcp.Prompt) string { return p.Name },
		item: func(_ context.Context, _ *guard.Principal, p *mcp.Prompt) guard.Item {
			return annotated(guard.KindPrompt, p.Name, p.Meta)
		},
	}
}

func (x *exchange) resources() *lister[*mcp.Resource] {
	params := paramsOf[mcp.ListResourcesParams](x)
	return &lister[*mcp.Resource]{
		cursor: params.Cursor,
		fetch: func(ctx context.Context, cursor string) (*page[*mcp.Resource], error) {
			p := *params
			p.Cursor = cursor
			res, err := fetch[mcp.ListResourcesResult](ctx, x, methodListResources, &p)
			if err != nil {
				return nil, err
			}
			fill := func(entries []*mcp.Resource, next string) mcp.Result {
				res.Resources, res.NextCursor, res.CacheScope = entries, next, cachePrivate
				return res
			}
			return &page[*mcp.Resource]{entries: present(res.Resources), next: res.NextCursor, fill: fill}, nil
		},
		name: func(r *mcp.Resource) string { return r.URI },
		item: func(_ context.Context, _ *guard.Principal, r *mcp.Resource) guard.Item {
			return annotated(guard.KindResource, r.URI, r.Meta)
		},
	}
}

func (x *exchange) templates() *lister[*mcp.ResourceTemplate] {
	params := paramsOf[mcp.ListResourceTemplatesParams](x)
	return &lister[*mcp.ResourceTemplate]{
		cursor: params.Cursor,
		fetch: func(ctx context.Context, cursor string) (*page[*mcp.ResourceTemplate], error) {
			p := *params
			p.Cursor = cursor
			res, err := fetch[mcp.ListResourceTemplatesResult](ctx, x, methodListTemplates, &p)
			if err != nil {
				return nil, err
			}
			fill := func(entries []*mcp.ResourceTemplate, next string) mcp.Result {
				res.ResourceTemplates, res.NextCursor, res.CacheScope = entries, next, cachePrivate
				return res
			}
			return &page[*mcp.ResourceTemplate]{entries: present(res.ResourceTemplates), next: res.NextCursor, fill: fill}, nil
		},
		name: func(t *mcp.ResourceTemplate) string { return t.URITemplate },
		item: func(_ context.Context, _ *guard.Principal, t *mcp.ResourceTemplate) guard.Item {
			return annotated(guard.KindTemplate, t.URITemplate, t.Meta)
		},
	}
}

// present returns a copy without what is nil.
func present[T any](entries []*T) []*T {
	return slices.DeleteFunc(slices.Clone(entries), func(e *T) bool { return e == nil })
}

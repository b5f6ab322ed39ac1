package mcpguard

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/guard"
)

const (
	// maxListed bounds what a server can make the guard hold of one of its lists.
	maxListed = 100_000
	// maxCursorBytes bounds what a client can make it decode.
	maxCursorBytes = 4 << 10
)

var errTooLong = fmt.Errorf("mcpguard: the server lists more than %d entries", maxListed)

// list answers one of the four list methods (spec/guard.md section 4). The server's own pages are put
// together, filtered, and paged again: a cursor of the server names an entry that the caller may not know of.
func (a *Adapter) list(ctx context.Context, x *exchange, r *guard.Request) (mcp.Result, error) {
	switch x.method {
	case methodListTools:
		return filtered(ctx, a, r, x.tools())
	case "prompts/list":
		return filtered(ctx, a, r, x.prompts())
	case "resources/list":
		return filtered(ctx, a, r, x.resources())
	case "resources/templates/list":
		return filtered(ctx, a, r, x.templates())
	}
	return nil, a.refuse(ctx, r, fmt.Errorf("mcpguard: %q is not a list", x.method))
}

func filtered[T any](ctx context.Context, a *Adapter, r *guard.Request, l *lister[T]) (mcp.Result, error) {
	listing, err := a.guard.List(ctx, r)
	if err != nil {
		return nil, a.wireError(r, err)
	}
	all, err := l.all(ctx)
	if err != nil {
		return nil, a.refuse(ctx, r, err)
	}
	items := make([]guard.Item, len(all.entries))
	for i, e := range all.entries {
		items[i] = l.item(e)
	}
	visible, ack, err := listing.Filter(ctx, items)
	if err != nil {
		return nil, a.wireError(r, err)
	}
	var shown []T
	var names []string
	for i, e := range all.entries {
		if visible[i] {
			shown, names = append(shown, e), append(names, items[i].Capability.Name)
		}
	}
	first, last, next, ok := cut(names, l.cursor, all.size)
	if !ok {
		return nil, &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: "invalid cursor"}
	}
	res := detach(all.fill(append([]T{}, shown[first:last]...), next))
	attach(res, *ack)
	return res, nil
}

// cut returns the page of names that begins after the cursor, and the cursor of the page after it. It looks
// at what the caller may see and at nothing else, so that a cursor can be made up and tells nothing. size 0
// stands for one page.
func cut(names []string, cursor string, size int) (first, last int, next string, ok bool) {
	if cursor != "" {
		after, valid := decodeCursor(cursor)
		if !valid {
			return 0, 0, "", false
		}
		if i := slices.Index(names, after); i >= 0 {
			first = i + 1
		} else if slices.IsSorted(names) {
			first, _ = slices.BinarySearch(names, after) // it went away between two pages
		} else {
			return 0, 0, "", false
		}
	}
	last = len(names)
	if size > 0 && last-first > size {
		last = first + size
		next = encodeCursor(names[last-1])
	}
	return first, last, next, true
}

// cursorMark tells our cursors from the server's.
const cursorMark = "after:"

func encodeCursor(name string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(cursorMark + name))
}

func decodeCursor(cursor string) (name string, ok bool) {
	if len(cursor) > maxCursorBytes {
		return "", false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || strings.ContainsAny(cursor, "\r\n") {
		return "", false
	}
	return strings.CutPrefix(string(raw), cursorMark)
}

// A lister reads one of the server's lists.
type lister[T any] struct {
	cursor string // that the client sent
	fetch  func(ctx context.Context, cursor string) (*page[T], error)
	item   func(T) guard.Item
}

// A page is a part of a list, or all of it.
type page[T any] struct {
	entries []T
	next    string                                    // the server's cursor
	size    int                                       // of the server's pages; 0 when there is but one
	fill    func(entries []T, next string) mcp.Result // makes a result like that of the page
}

// all puts the pages of the server together.
func (l *lister[T]) all(ctx context.Context) (*page[T], error) {
	whole, err := l.fetch(ctx, "")
	if err != nil {
		return nil, err
	}
	if whole.next != "" {
		whole.size = len(whole.entries)
	}
	fetched := 1 // pages, which a server could leave empty
	for next := whole.next; next != ""; fetched++ {
		p, err := l.fetch(ctx, next)
		switch {
		case err != nil:
			return nil, err
		case p.next == next:
			return nil, errors.New("mcpguard: the server's list does not end")
		case len(whole.entries)+len(p.entries)+fetched > maxListed:
			return nil, errTooLong
		}
		whole.entries = append(whole.entries, p.entries...)
		next = p.next
	}
	return whole, nil
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
		item: func(t *mcp.Tool) guard.Item {
			return guard.Item{
				Capability: guard.Capability{Kind: guard.KindTool, Name: t.Name},
				Require:    Annotation(t.Meta), RequireIsRule: true,
			}
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
			res, err := fetch[mcp.ListPromptsResult](ctx, x, "prompts/list", &p)
			if err != nil {
				return nil, err
			}
			fill := func(entries []*mcp.Prompt, next string) mcp.Result {
				res.Prompts, res.NextCursor, res.CacheScope = entries, next, cachePrivate
				return res
			}
			return &page[*mcp.Prompt]{entries: present(res.Prompts), next: res.NextCursor, fill: fill}, nil
		},
		item: func(p *mcp.Prompt) guard.Item { return named(guard.KindPrompt, p.Name) },
	}
}

func (x *exchange) resources() *lister[*mcp.Resource] {
	params := paramsOf[mcp.ListResourcesParams](x)
	return &lister[*mcp.Resource]{
		cursor: params.Cursor,
		fetch: func(ctx context.Context, cursor string) (*page[*mcp.Resource], error) {
			p := *params
			p.Cursor = cursor
			res, err := fetch[mcp.ListResourcesResult](ctx, x, "resources/list", &p)
			if err != nil {
				return nil, err
			}
			fill := func(entries []*mcp.Resource, next string) mcp.Result {
				res.Resources, res.NextCursor, res.CacheScope = entries, next, cachePrivate
				return res
			}
			return &page[*mcp.Resource]{entries: present(res.Resources), next: res.NextCursor, fill: fill}, nil
		},
		item: func(r *mcp.Resource) guard.Item { return named(guard.KindResource, r.URI) },
	}
}

func (x *exchange) templates() *lister[*mcp.ResourceTemplate] {
	params := paramsOf[mcp.ListResourceTemplatesParams](x)
	return &lister[*mcp.ResourceTemplate]{
		cursor: params.Cursor,
		fetch: func(ctx context.Context, cursor string) (*page[*mcp.ResourceTemplate], error) {
			p := *params
			p.Cursor = cursor
			res, err := fetch[mcp.ListResourceTemplatesResult](ctx, x, "resources/templates/list", &p)
			if err != nil {
				return nil, err
			}
			fill := func(entries []*mcp.ResourceTemplate, next string) mcp.Result {
				res.ResourceTemplates, res.NextCursor, res.CacheScope = entries, next, cachePrivate
				return res
			}
			return &page[*mcp.ResourceTemplate]{entries: present(res.ResourceTemplates), next: res.NextCursor, fill: fill}, nil
		},
		item: func(t *mcp.ResourceTemplate) guard.Item { return named(guard.KindTemplate, t.URITemplate) },
	}
}

// present returns a copy without what is nil.
func present[T any](entries []*T) []*T {
	return slices.DeleteFunc(slices.Clone(entries), func(e *T) bool { return e == nil })
}

func named(kind guard.Kind, name string) guard.Item {
	return guard.Item{Capability: guard.Capability{Kind: kind, Name: name}}
}

package mcpguard

import (
	"context"
	"encoding/base64"
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

// list answers one of the list methods (spec/guard.md section 4). The server's own pages are put
// together, filtered, and paged again: a cursor of the server names an entry that the caller may not know of.
func (a *Adapter) list(ctx context.Context, x *exchange, r *guard.Request) (mcp.Result, error) {
	switch x.method {
	case methodListTools:
		return filtered(ctx, a, r, x.tools())
	case methodListPrompts:
		return filtered(ctx, a, r, x.prompts())
	case methodListResources:
		return filtered(ctx, a, r, x.resources())
	case methodListTemplates:
		return filtered(ctx, a, r, x.templates())
	case methodListTasks:
		return filtered(ctx, a, r, x.taskList(a.tasks))
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
		items[i] = l.item(ctx, listing.Caller(), e)
	}
	visible, ack, err := listing.Filter(ctx, items)
	if err != nil {
		return nil, a.wireError(r, err)
	}
	var shown []T
	var names []string
	for i, e := range all.entries {
		if visible[i] {
			shown, names = append(shown, e), append(names, l.name(e))
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

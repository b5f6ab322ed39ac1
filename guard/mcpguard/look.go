package mcpguard

import (
	"context"
	"errors"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/yosida95/uritemplate/v3"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
)

// annotated is a capability with what the _meta of its definition asks for.
func annotated(kind guard.Kind, name string, meta map[string]any) guard.Item {
	return guard.Item{Capability: guard.Capability{Kind: kind, Name: name}, Require: Annotation(meta), RequireIsRule: true}
}

// look fills in what stands beside the definitions of what a request is about, as the server lists it now, and whose
// it is, if it is a task.
func (a *Adapter) look(ctx context.Context, x *exchange, r *guard.Request) error {
	if r.Capability.Kind == guard.KindTask {
		id := r.Capability.Name
		r.Owned = func(caller *guard.Principal) (guard.Item, bool) { return x.owned(ctx, a.tasks, caller, id) }
		return nil
	}
	it, err := x.look(ctx, r.Capability)
	if err != nil {
		return err
	}
	r.Require, r.RequireIsRule, r.Missing = it.Require, it.RequireIsRule, it.Missing
	for i := range r.Further {
		if r.Further[i], err = x.look(ctx, r.Further[i].Capability); err != nil {
			return err
		}
	}
	return nil
}

// look looks up one capability.
func (x *exchange) look(ctx context.Context, c guard.Capability) (guard.Item, error) {
	switch c.Kind {
	case guard.KindTool:
		return found(ctx, x.tools(), c)
	case guard.KindPrompt:
		return found(ctx, x.prompts(), c)
	case guard.KindResource:
		return x.lookResource(ctx, c)
	case guard.KindTemplate:
		it, err := found(ctx, x.templates(), c)
		if it.Missing { // it names no template, and what completes it need not mind
			return x.lookResource(ctx, c)
		}
		return it, err
	}
	return guard.Item{Capability: c}, nil
}

// found looks up what cannot be there without being listed.
func found[T any](ctx context.Context, l *lister[T], c guard.Capability) (guard.Item, error) {
	e, ok, err := l.find(ctx, c.Name)
	switch {
	case err != nil && !isAbsent(err):
		return guard.Item{}, err
	case !ok:
		return guard.Item{Capability: c, Missing: true}, nil
	}
	return l.item(ctx, nil, e), nil
}

// lookResource looks up a resource, which need not be listed: the annotation is its own if it is, and otherwise the
// highest of the templates that stand for it. It opens the resource only if all of these have one.
func (x *exchange) lookResource(ctx context.Context, c guard.Capability) (guard.Item, error) {
	r, ok, err := x.resources().find(ctx, c.Name)
	switch {
	case err != nil && !isAbsent(err):
		return guard.Item{}, err
	case ok:
		return annotated(c.Kind, c.Name, r.Meta), nil
	}
	it := guard.Item{Capability: c, RequireIsRule: true}
	err = x.templates().walk(ctx, func(p *page[*mcp.ResourceTemplate]) bool {
		for _, t := range p.entries {
			if !stands(t, c.Name) {
				continue
			}
			level := Annotation(t.Meta)
			it.RequireIsRule = it.RequireIsRule && level != badge.LevelNone
			it.Require = max(it.Require, level)
		}
		return false
	})
	if err != nil && !isAbsent(err) {
		return guard.Item{}, err
	}
	return it, nil
}

// stands reports whether a template stands for a URI, by the rules of the SDK.
func stands(t *mcp.ResourceTemplate, uri string) bool {
	if t.URITemplate == uri {
		return true
	}
	parsed, err := uritemplate.New(t.URITemplate)
	return err == nil && parsed.Regexp().MatchString(uri)
}

// isAbsent reports whether a server says that it has no list of a sort.
func isAbsent(err error) bool {
	var wire *jsonrpc.Error
	return errors.As(err, &wire) && wire.Code == jsonrpc.CodeMethodNotFound
}

// owned returns what a task of the caller came from, with what is beside its definition now: one that is no longer
// there is missing. If that cannot be told, nobody may use the task.
func (x *exchange) owned(ctx context.Context, known *tasks, caller *guard.Principal, id string) (guard.Item, bool) {
	from, ok := known.of(caller, id)
	if !ok {
		return guard.Item{}, false
	}
	it, err := x.look(ctx, from)
	if err != nil {
		return guard.Item{Capability: from, Require: guard.LevelUnsatisfiable}, true
	}
	return it, true
}

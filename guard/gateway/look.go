package gateway

import (
	"context"

	"github.com/yosida95/uritemplate/v3"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
)

// look says which level the upstream itself asks for something, and whether it is
// known not to have it (spec/guard.md section 7.5).
func (g *Gateway) look(ctx context.Context, params object, c guard.Capability) (level badge.Level, missing bool, err error) {
	switch c.Kind {
	case guard.KindTool:
		return g.listed(ctx, listOfTools, params, c.Name)
	case guard.KindPrompt:
		return g.listed(ctx, listOfPrompts, params, c.Name)
	case guard.KindTemplate:
		if level, missing, err = g.listed(ctx, listOfTemplates, params, c.Name); !missing || err != nil {
			return level, missing, err
		}
	}
	level, err = g.lookResource(ctx, params, c.Name)
	return level, false, err
}

// listed looks up what cannot be there without being listed.
func (g *Gateway) listed(ctx context.Context, k *listKind, params object, name string) (level badge.Level, missing bool, err error) {
	c, err := g.catalog(ctx, k, params)
	if err != nil {
		return badge.LevelNone, false, err
	}
	level, known := c.require(name)
	return level, !known, nil
}

// lookResource looks up a resource, which need not be listed: it has the level of its
// own entry, and otherwise the highest of the templates that stand for it.
func (g *Gateway) lookResource(ctx context.Context, params object, uri string) (badge.Level, error) {
	level, missing, err := g.listed(ctx, listOfResources, params, uri)
	if !missing || err != nil {
		return level, err
	}
	templates, err := g.catalog(ctx, listOfTemplates, params)
	if err != nil {
		return badge.LevelNone, err
	}
	for i := range templates.items {
		it := &templates.items[i]
		if it.Require > level && stands(it.Capability.Name, uri) {
			level = it.Require
		}
	}
	return level, nil
}

// stands reports whether a template stands for a URI.
func stands(template, uri string) bool {
	if template == uri {
		return true
	}
	parsed, err := uritemplate.New(template)
	return err == nil && parsed.Regexp().MatchString(uri)
}

package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// Limits on what an upstream server may list.
const (
	MaxTools        = 10_000
	MaxToolPages    = 1_000
	MaxCatalogBytes = 8 << 20 // of all tools together
)

// A catalog is the upstream's whole list of tools, read over all of its pages.
type catalog struct {
	template object            // what of the first page goes into every answer
	bytes    int               // of raw
	items    []guard.Item      // in the upstream's order
	raw      []json.RawMessage // beside items
	byName   map[string]int
}

// require returns the level that the upstream itself asks for a tool, and
// whether the upstream has such a tool.
func (c *catalog) require(name string) (badge.Level, bool) {
	i, ok := c.byName[name]
	if !ok {
		return badge.LevelNone, false
	}
	return c.items[i].Require, true
}

// add takes one page of a list.
func (c *catalog) add(page object) error {
	var tools []json.RawMessage
	if err := strictjson.Unmarshal(page["tools"], &tools); err != nil {
		return fmt.Errorf("member tools: %w", err)
	}
	if len(c.items)+len(tools) > MaxTools {
		return fmt.Errorf("more than %d tools", MaxTools)
	}
	for i, raw := range tools {
		name, level, err := readTool(raw)
		if err != nil {
			return fmt.Errorf("tool %d: %w", i, err)
		}
		if _, ok := c.byName[name]; ok {
			return fmt.Errorf("tool %q is listed twice", name)
		}
		if c.bytes += len(raw); c.bytes > MaxCatalogBytes {
			return fmt.Errorf("more than %d bytes of tools", MaxCatalogBytes)
		}
		c.byName[name] = len(c.items)
		c.raw = append(c.raw, raw)
		c.items = append(c.items, guard.Item{
			Capability: guard.Capability{Kind: guard.KindTool, Name: name},
			Require:    level,
		})
	}
	return nil
}

func readTool(raw json.RawMessage) (string, badge.Level, error) {
	tool, err := parseObject(raw)
	if err != nil {
		return "", 0, err
	}
	name, err := tool.str("name")
	if err != nil || name == "" {
		return "", 0, errors.New("no name")
	}
	meta, err := tool.child("_meta")
	if err != nil {
		return "", 0, fmt.Errorf("%q: member _meta: %w", name, err)
	}
	return name, annotatedLevel(meta), nil
}

// annotatedLevel reads the annotation of an upstream's tool, an integer or a
// string from 0 to 4. What cannot be read closes the tool to everybody: its
// author meant to restrict it.
func annotatedLevel(meta object) badge.Level {
	raw, ok := meta[mcpwire.MetaMinTrustLevel]
	if !ok {
		return badge.LevelNone
	}
	text := string(raw)
	if text[0] == '"' {
		if err := strictjson.Unmarshal(raw, &text); err != nil {
			return guard.LevelUnsatisfiable
		}
	}
	level, err := badge.ParseLevel(text)
	if err != nil {
		return guard.LevelUnsatisfiable
	}
	return level
}

// tools holds the current catalog and reads it anew after the upstream said
// that it changed.
type tools struct {
	mu      sync.Mutex // guards generation, current and valid; never held across I/O
	reading chan struct{}
	current *catalog
	stale   bool
}

func newTools() *tools { return &tools{reading: make(chan struct{}, 1)} }

func (t *tools) invalidate() {
	t.mu.Lock()
	t.stale = true
	t.mu.Unlock()
}

func (t *tools) cached() *catalog {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stale {
		return nil
	}
	return t.current
}

// get returns the catalog, read with list if there is none yet. A change that
// is announced while the list is read makes the next get read it again.
func (t *tools) get(ctx context.Context, list func(ctx context.Context, cursor string) (object, error)) (*catalog, error) {
	select {
	case t.reading <- struct{}{}:
		defer func() { <-t.reading }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if c := t.cached(); c != nil {
		return c, nil
	}
	t.mu.Lock()
	t.stale = false
	t.mu.Unlock()
	c, err := readCatalog(ctx, list)
	if err != nil {
		t.invalidate()
		return nil, err
	}
	t.mu.Lock()
	t.current = c
	t.mu.Unlock()
	return c, nil
}

func readCatalog(ctx context.Context, list func(ctx context.Context, cursor string) (object, error)) (*catalog, error) {
	c := &catalog{byName: map[string]int{}}
	cursor := ""
	for range MaxToolPages {
		page, err := list(ctx, cursor)
		if err != nil {
			return nil, err
		}
		if err := c.add(page); err != nil {
			return nil, fmt.Errorf("the upstream's list of tools: %w", err)
		}
		if cursor, err = page.str("nextCursor"); err != nil {
			return nil, fmt.Errorf("the upstream's list of tools: %w", err)
		}
		if c.template == nil {
			c.template = page.only("resultType", "ttlMs", "cacheScope", "_meta")
		}
		if cursor == "" {
			return c, nil
		}
	}
	return nil, fmt.Errorf("the upstream's list of tools has more than %d pages", MaxToolPages)
}

// page makes the answer that shows the items keep selects, of which ack is the
// record.
func (c *catalog) page(keep []bool, ack *evidence.Ack) json.RawMessage {
	shown := make([]json.RawMessage, 0, len(c.raw))
	for i, raw := range c.raw {
		if keep[i] {
			shown = append(shown, raw)
		}
	}
	out := make(object, len(c.template)+2)
	for k, v := range c.template {
		out[k] = v
	}
	list, err := json.Marshal(shown)
	if err != nil {
		panic("gateway: internal error: " + err.Error()) // the elements were parsed
	}
	out["tools"] = list
	if out["ttlMs"] != nil || out["cacheScope"] != nil {
		out["cacheScope"] = json.RawMessage(`"private"`) // the list is one caller's
	}
	out.addEvidence(ack)
	return out.encode()
}

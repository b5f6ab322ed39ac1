package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
	"github.com/touchmark-dev/touchmark/internal/strictjson"
)

// Limits on each list of an upstream server.
const (
	MaxTools        = 10_000 // entries, of any list
	MaxToolPages    = 1_000
	MaxCatalogBytes = 8 << 20 // of all entries together

	maxReads = 4 // of a list that changes meanwhile
)

// A catalog is one of the upstream's lists as a whole, read over all of its pages.
type catalog struct {
	list     *listKind
	template object            // what of the first page goes into every answer
	bytes    int               // of raw
	items    []guard.Item      // in the upstream's order
	raw      []json.RawMessage // beside items
	byName   map[string]int
}

// require returns the level that the upstream itself asks for something, and
// whether the list has an entry of this name.
func (c *catalog) require(name string) (badge.Level, bool) {
	i, ok := c.byName[name]
	if !ok {
		return badge.LevelNone, false
	}
	return c.items[i].Require, true
}

// add takes one page of a list.
func (c *catalog) add(page object) error {
	var entries []json.RawMessage
	if err := strictjson.Unmarshal(page[c.list.member], &entries); err != nil {
		return fmt.Errorf("member %s: %w", c.list.member, err)
	}
	if len(c.items)+len(entries) > MaxTools {
		return fmt.Errorf("more than %d entries", MaxTools)
	}
	for i, raw := range entries {
		name, level, err := c.list.readEntry(raw)
		if err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
		if before, ok := c.byName[name]; ok {
			if !c.list.repeats {
				return fmt.Errorf("%q is listed twice", name)
			}
			level = max(level, c.items[before].Require)
			c.items[before].Require = level // of several the last has the highest, and is the one that is found
		}
		if c.bytes += len(raw); c.bytes > MaxCatalogBytes {
			return fmt.Errorf("more than %d bytes", MaxCatalogBytes)
		}
		c.byName[name] = len(c.items)
		c.raw = append(c.raw, raw)
		c.items = append(c.items, guard.Item{
			Capability: guard.Capability{Kind: c.list.kind, Name: name},
			Require:    level,
		})
	}
	return nil
}

// readEntry returns the name of an entry, and the level that it asks for.
func (k *listKind) readEntry(raw json.RawMessage) (string, badge.Level, error) {
	entry, err := parseObject(raw)
	if err != nil {
		return "", 0, err
	}
	name, err := entry.str(k.name)
	if err != nil || name == "" {
		return "", 0, fmt.Errorf("no %s", k.name)
	}
	meta, err := entry.child("_meta")
	if err != nil {
		return "", 0, fmt.Errorf("%q: member _meta: %w", name, err)
	}
	return name, annotatedLevel(meta), nil
}

// annotatedLevel reads the annotation of an entry, an integer or a
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

// A shelf holds the current catalog of one list. It reads it anew after the upstream
// said that it changed, and when it is old: an upstream may also say nothing.
type shelf struct {
	list    *listKind
	maxAge  time.Duration
	time    func() time.Time
	reading chan struct{} // held by who reads

	mu      sync.Mutex // guards what follows; never held across I/O
	current *catalog
	at      time.Time // when current was asked for, or refused was
	stale   bool
	refused error // what the last list was refused for
}

func newShelf(list *listKind, maxAge time.Duration, clock func() time.Time) *shelf {
	if maxAge == 0 {
		maxAge = DefaultMaxListAge
	}
	if clock == nil {
		clock = time.Now
	}
	return &shelf{list: list, maxAge: maxAge, time: clock, reading: make(chan struct{}, 1)}
}

func (t *shelf) invalidate() {
	t.mu.Lock()
	t.stale, t.refused = true, nil
	t.mu.Unlock()
}

// cached returns the catalog, or that it is refused, or neither when it has to
// be read.
func (t *shelf) cached() (*catalog, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	age := t.time().Sub(t.at)
	switch {
	case t.refused != nil && age >= 0 && age < min(refusalAge, t.maxAge):
		return nil, t.refused
	case t.current == nil || t.stale || age >= t.maxAge || age < 0:
		return nil, nil
	}
	return t.current, nil
}

// A listing is how a shelf reads a catalog, and who has to accept it.
type listing struct {
	list    func(ctx context.Context, cursor string) (object, error)
	approve func(ctx context.Context, c *catalog) error
}

// get returns the catalog, read if there is none that will do. A list of which a
// change is announced while it is read, or judged, is read again.
func (t *shelf) get(ctx context.Context, how listing) (*catalog, error) {
	select {
	case t.reading <- struct{}{}:
		defer func() { <-t.reading }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if c, err := t.cached(); c != nil || err != nil {
		return c, err
	}
	for range maxReads {
		if c, err := t.read(ctx, how); c != nil || err != nil {
			return c, err
		}
	}
	return nil, fmt.Errorf("the upstream's list of %s changes while it is read", t.list.noun)
}

// read reads the catalog once, and returns neither it nor an error when it has
// changed since.
func (t *shelf) read(ctx context.Context, how listing) (*catalog, error) {
	t.mu.Lock()
	t.stale, t.refused = false, nil
	at := t.time()
	t.mu.Unlock()
	c, err := readCatalog(ctx, t.list, how.list)
	if err == nil {
		err = how.approve(ctx, c)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		if isVerdict(err) { // not for somebody who was in a hurry, or what could not be read
			t.refused, t.at = err, at
		}
		t.stale = true
		return nil, err
	}
	if t.stale {
		return nil, nil
	}
	t.current, t.at = c, at
	return c, nil
}

// readCatalog reads a list. An upstream that does not know of such lists has none.
func readCatalog(ctx context.Context, k *listKind, list func(ctx context.Context, cursor string) (object, error)) (*catalog, error) {
	c := &catalog{list: k, byName: map[string]int{}}
	cursor := ""
	for range MaxToolPages {
		page, err := list(ctx, cursor)
		if c.template == nil && hasNoMethod(err) {
			c.template = object{}
			return c, nil
		}
		if err != nil {
			return nil, err
		}
		if err := c.add(page); err != nil {
			return nil, fmt.Errorf("the upstream's list of %s: %w", k.noun, err)
		}
		if cursor, err = page.str("nextCursor"); err != nil {
			return nil, fmt.Errorf("the upstream's list of %s: %w", k.noun, err)
		}
		if c.template == nil {
			c.template = page.only("resultType", "ttlMs", "cacheScope", "_meta")
		}
		if cursor == "" {
			return c, nil
		}
	}
	return nil, fmt.Errorf("the upstream's list of %s has more than %d pages", k.noun, MaxToolPages)
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
	out[c.list.member] = list
	out.private() // the list is one caller's
	out.addEvidence(ack)
	return out.encode()
}

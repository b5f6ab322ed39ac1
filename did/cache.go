package did

import (
	"container/list"
	"time"
)

// A cache keeps values for DIDs, each until its time, and no more than max of
// them: the one that was used longest ago makes room. It is not safe for
// concurrent use.
type cache[V any] struct {
	max     int
	entries map[DID]*list.Element // of *cacheEntry[V]
	order   *list.List            // most recently used first
}

type cacheEntry[V any] struct {
	did   DID
	value V
	until time.Time
}

func newCache[V any](max int) *cache[V] {
	return &cache[V]{max: max, entries: make(map[DID]*list.Element), order: list.New()}
}

func (c *cache[V]) get(d DID, now time.Time) (V, bool) {
	var none V
	el, ok := c.entries[d]
	if !ok {
		return none, false
	}
	e := el.Value.(*cacheEntry[V])
	if !now.Before(e.until) {
		c.remove(el)
		return none, false
	}
	c.order.MoveToFront(el)
	return e.value, true
}

func (c *cache[V]) put(d DID, v V, until time.Time) {
	if c.max <= 0 {
		return
	}
	if el, ok := c.entries[d]; ok {
		c.remove(el)
	}
	for len(c.entries) >= c.max {
		c.remove(c.order.Back())
	}
	c.entries[d] = c.order.PushFront(&cacheEntry[V]{d, v, until})
}

func (c *cache[V]) remove(el *list.Element) {
	delete(c.entries, c.order.Remove(el).(*cacheEntry[V]).did)
}

package authzen

import (
	"crypto/sha256"
	"sync"
	"time"
)

// maxCached is how many answers are kept.
const maxCached = 4096

// A cache keeps answers by the hash of the question. Questions that were not answered are not in it.
type cache struct {
	ttl time.Duration

	mu      sync.Mutex
	entries map[[sha256.Size]byte]cached
}

type cached struct {
	answer answer
	until  time.Time
}

func newCache(ttl time.Duration) *cache {
	return &cache{ttl: ttl, entries: make(map[[sha256.Size]byte]cached)}
}

func (c *cache) get(key [sha256.Size]byte, now time.Time) (answer, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[key]
	// A clock that was set back does not make an answer last.
	return e.answer, ok && now.Before(e.until) && e.until.Sub(now) <= c.ttl
}

func (c *cache) put(key [sha256.Size]byte, a answer, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.entries) >= maxCached {
		clear(c.entries)
	}
	c.entries[key] = cached{a, now.Add(c.ttl)}
}

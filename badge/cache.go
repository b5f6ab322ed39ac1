package badge

import (
	"crypto"
	"sync"
)

// An entry says that a token's signature was verified with a key, and what the token says. Whether the key,
// the issuer, the times, the audience and the status still allow the badge is not in it: those are judged at
// each use (spec/badge.md, "Caching").
type entry struct {
	badge     Badge
	issuerKey crypto.PublicKey // nil when self-signed
}

// A cache holds entries by token hash. When it is full the oldest entry goes: badges live for an hour at most,
// so the oldest is the one that expires first, near enough. A nil cache holds nothing.
type cache struct {
	mu      sync.RWMutex
	entries map[[32]byte]*entry
	ring    [][32]byte // hashes in the order in which they came; next is overwritten next
	next    int
}

func newCache(size int) *cache {
	if size < 0 {
		return nil
	}
	if size == 0 {
		size = DefaultCacheEntries
	}
	return &cache{entries: make(map[[32]byte]*entry), ring: make([][32]byte, size)}
}

func (c *cache) get(hash [32]byte) *entry {
	if c == nil {
		return nil
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.entries[hash]
}

func (c *cache) put(hash [32]byte, e *entry) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.entries[hash]; !ok {
		// A slot of an entry that was removed and came back names it twice. It may then go early, which
		// costs a signature and nothing else.
		delete(c.entries, c.ring[c.next])
		c.ring[c.next] = hash
		c.next = (c.next + 1) % len(c.ring)
	}
	c.entries[hash] = e
}

func (c *cache) remove(match func(*entry) bool) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for hash, e := range c.entries {
		if match(e) {
			delete(c.entries, hash)
		}
	}
}

func (c *cache) len() int {
	if c == nil {
		return 0
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.entries)
}

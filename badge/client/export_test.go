package client

import "time"

const MaxStatusEntries = maxStatusEntries

// StatusCache is the cache of answers, for tests.
type StatusCache struct{ *statusCache }

func NewStatusCache(ttl time.Duration) StatusCache { return StatusCache{newStatusCache(ttl)} }

func (s StatusCache) Put(u string, now time.Time) { s.put(u, statusAnswer{asOf: now}, now) }

func (s StatusCache) Has(u string, now time.Time) bool {
	_, ok := s.get(u, now)
	return ok
}

func (s StatusCache) Len() int { return len(s.answers) }

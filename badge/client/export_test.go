package client

import (
	"context"
	"net/http"
	"time"
)

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

// RetryAfter reads a header.
func RetryAfter(text string, now time.Time) time.Duration {
	return retryAfter(http.Header{"Retry-After": {text}}, now)
}

// NewTestKeeper makes a Keeper of badges from anywhere. random is from 0 up to
// 1.
func NewTestKeeper(cfg *KeeperConfig, random float64, request func(context.Context) (*Issued, error)) (*Keeper, error) {
	k, err := newKeeper(cfg, request)
	if err == nil {
		k.pace.random = func() float64 { return random }
	}
	return k, err
}

// NewIssued makes a badge of which nothing is true.
func NewIssued(id string, issued time.Time, ttl time.Duration) *Issued {
	return &Issued{ID: id, IssuedAt: issued, ExpiresAt: issued.Add(ttl), token: "token of " + id, until: issued.Add(ttl)}
}

// NewPace makes what says when to try again.
func NewPace(least, most time.Duration, random float64) func(error) time.Duration {
	p := &pace{least: least, most: most}
	if err := p.complete(); err != nil {
		panic(err)
	}
	p.random = func() float64 { return random }
	return p.next
}

// ReadAnswer reads the answer to a request that was sent at a time.
func (r *Requester) ReadAnswer(answer []byte, asked time.Time) (*Issued, error) {
	return r.read(context.Background(), answer, "", asked)
}

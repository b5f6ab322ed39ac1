package readers

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// rates bound how often each address asks. Addresses that did not ask for a while are forgotten, and when very many do,
// some early: the table has a bound, and a flood of addresses costs those who rush their count and nobody else.
type rates struct {
	mu          sync.Mutex
	young, aged map[netip.Prefix]*rate.Limiter
}

// take counts a request, or returns how long to wait until there is room for it.
func (r *rates) take(c *Config, from netip.Prefix) time.Duration {
	now := c.Time()
	limiter := r.of(c, from)
	if limiter.AllowN(now, 1) {
		return 0
	}
	missing := 1 - limiter.TokensAt(now)
	return max(time.Duration(missing/c.Rate*float64(time.Second)), 1)
}

func (r *rates) of(c *Config, from netip.Prefix) *rate.Limiter {
	r.mu.Lock()
	defer r.mu.Unlock()
	if limiter := r.young[from]; limiter != nil {
		return limiter
	}
	if r.young == nil || len(r.young) >= maxAddressesRemembered {
		r.young, r.aged = make(map[netip.Prefix]*rate.Limiter), r.young
	}
	limiter := r.aged[from]
	if limiter == nil {
		limiter = rate.NewLimiter(rate.Limit(c.Rate), c.Burst)
	}
	r.young[from] = limiter
	return limiter
}

// len returns how many addresses are remembered.
func (r *rates) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.young) + len(r.aged)
}

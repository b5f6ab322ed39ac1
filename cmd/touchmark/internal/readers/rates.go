package readers

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// rates bound how often each address asks, and each network. Addresses that did not ask for a while are forgotten, and
// when very many do, some early: the table has a bound, and a flood of addresses costs those who rush their count and
// nobody else. One network is no such flood: beyond what it may, its addresses are not looked at.
type rates struct {
	mu          sync.Mutex
	young, aged map[netip.Prefix]*rate.Limiter
}

// take counts a request, or returns how long to wait until there is room for it.
func (r *rates) take(c *Config, from netip.Prefix) time.Duration {
	now := c.Time()
	var all [1 + len(widerOf6)]*rate.Limiter
	n := 0
	for network, times := range networks(from) { // the widest first
		limiter := r.of(c, network, times)
		if missing := 1 - limiter.TokensAt(now); missing > 0 {
			return max(time.Duration(missing/float64(limiter.Limit())*float64(time.Second)), 1)
		}
		all[n] = limiter
		n++
	}
	for _, limiter := range all[:n] {
		if !limiter.AllowN(now, 1) {
			return 1 // others have asked at this moment
		}
	}
	return 0
}

func (r *rates) of(c *Config, from netip.Prefix, times int) *rate.Limiter {
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
		limiter = rate.NewLimiter(rate.Limit(c.Rate*float64(times)), c.Burst*times)
	}
	r.young[from] = limiter
	return limiter
}

// len returns how many addresses and networks are remembered.
func (r *rates) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.young) + len(r.aged)
}

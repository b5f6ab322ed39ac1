package authority

import (
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/touchmark-dev/touchmark/badge/authority/internal/store"
)

const (
	ratesKept     = 1 << 14 // limiters of one kind, at most twice as many
	failures      = 5       // proofs of a subject that fail within failureWindow
	failureWindow = 15 * time.Minute
)

// rates are the limits that each node counts for itself, in memory: on n nodes up to n times as much is done, and
// after a restart counting begins anew. They keep off noise; what must be exact, the badges of an hour, is counted in
// the database. Keeping them here costs no write.
type rates struct {
	challengesOfAgent, challengesOfAccount, proofs, failures, requests limiters
	now                                                                func() time.Time
}

func newRates(cfg *Config) *rates {
	return &rates{
		challengesOfAgent:   perMinute(cfg.ChallengesPerAgent),
		challengesOfAccount: perMinute(cfg.ChallengesPerAccount),
		proofs:              perMinute(cfg.ChallengesPerAgent),
		failures:            limiters{burst: failures, every: failureWindow / failures},
		requests:            perMinute(cfg.ChallengesPerAccount),
		now:                 cfg.Time,
	}
}

// challenge allows one more challenge, or says when. After too many failed proofs there is none for some time.
func (r *rates) challenge(c *store.Challenge) error {
	now := r.now()
	if wait := r.failures.wait(c.DID, now); wait > 0 {
		return tooOften("proofs of this agent failed", failures, wait)
	}
	if wait := r.challengesOfAgent.take(c.DID, now); wait > 0 {
		return tooOften("challenges for this agent", r.challengesOfAgent.burst, wait)
	}
	if wait := r.challengesOfAccount.take(c.AccountID, now); wait > 0 {
		return tooOften("challenges for this account", r.challengesOfAccount.burst, wait)
	}
	return nil
}

// proof allows one more proof to be examined, for which a document may have to be fetched.
func (r *rates) proof(c *store.Challenge) error {
	now := r.now()
	if wait := r.failures.wait(c.DID, now); wait > 0 {
		return tooOften("proofs of this agent failed", failures, wait)
	}
	if wait := r.proofs.take(c.DID, now); wait > 0 {
		return tooOften("proofs of this agent", r.proofs.burst, wait)
	}
	return nil
}

// failed counts a proof that was refused.
func (r *rates) failed(subject string) { r.failures.take(subject, r.now()) }

// request allows one more of the requests that make this authority ask other hosts, or write for good.
func (r *rates) request(kind, of string) error {
	if wait := r.requests.take(kind+" "+of, r.now()); wait > 0 {
		return tooOften("requests of this kind", r.requests.burst, wait)
	}
	return nil
}

// room is request without counting.
func (r *rates) room(kind, of string) error {
	if wait := r.requests.wait(kind+" "+of, r.now()); wait > 0 {
		return tooOften("requests of this kind", r.requests.burst, wait)
	}
	return nil
}

func tooOften(what string, most int, wait time.Duration) error {
	e := refuse(http.StatusTooManyRequests, CodeRateLimit, "%d %s are the limit for the time being: try again later", most, what)
	e.RetryAfter = wait
	return e
}

// limiters bound how often something happens for each of many keys. Keys that nobody used for a while are forgotten,
// and when very many are in use, some of them early.
type limiters struct {
	burst int
	every time.Duration // after which one more is allowed

	mu          sync.Mutex
	young, aged map[string]*rate.Limiter
}

func perMinute(n int) limiters { return limiters{burst: n, every: time.Minute / time.Duration(n)} }

// take counts one, or returns how long to wait until it would be allowed.
func (l *limiters) take(key string, now time.Time) time.Duration {
	limiter := l.of(key)
	if limiter.AllowN(now, 1) {
		return 0
	}
	return l.until(limiter, now)
}

// wait returns how long to wait until one would be allowed, and counts none.
func (l *limiters) wait(key string, now time.Time) time.Duration {
	if limiter := l.of(key); limiter.TokensAt(now) < 1 {
		return l.until(limiter, now)
	}
	return 0
}

func (l *limiters) until(limiter *rate.Limiter, now time.Time) time.Duration {
	return max(time.Duration((1-limiter.TokensAt(now))*float64(l.every)), time.Second)
}

func (l *limiters) of(key string) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if limiter := l.young[key]; limiter != nil {
		return limiter
	}
	if l.young == nil || len(l.young) >= ratesKept {
		l.young, l.aged = make(map[string]*rate.Limiter), l.young
	}
	limiter := l.aged[key]
	if limiter == nil {
		limiter = rate.NewLimiter(rate.Every(l.every), l.burst)
	}
	l.young[key] = limiter
	return limiter
}

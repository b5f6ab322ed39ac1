package limit

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/internal/limitkey"
)

// The defaults of a [Config]. A full table takes some 60 MB.
const (
	DefaultRetryWindow = 5 * time.Minute
	DefaultMaxEntries  = 1 << 18
)

// entriesPerCall is how many entries one call can need.
const entriesPerCall = 3

// A Config bounds a [Limiter]. Zero members stand for defaults.
type Config struct {
	// RetryWindow is for how long after a call the same call by the same caller is a retry: of it, and of all that it
	// was a retry of. 0 means [DefaultRetryWindow].
	RetryWindow time.Duration

	// MaxEntries bounds the memory: one entry for each bucket that is not full, each capability that a caller is using
	// under max_concurrent, and each call whose retries are counted. 0 means [DefaultMaxEntries].
	MaxEntries int

	// MaxPerCaller is how many of them one caller can have; callers that show nothing are one. 0 means an eighth of
	// MaxEntries, and there is room for one call in any case.
	MaxPerCaller int

	Time func() time.Time // nil means time.Now
}

// A Limiter is a guard.Limiter for a server of one process. Make it with [New].
type Limiter struct {
	window       time.Duration
	maxEntries   int
	maxPerCaller int
	now          func() time.Time

	mu sync.Mutex
	table
}

// New makes a Limiter; nil stands for the defaults.
func New(cfg *Config) *Limiter {
	if cfg == nil {
		cfg = &Config{}
	}
	l := &Limiter{
		window: cfg.RetryWindow, maxEntries: cfg.MaxEntries, maxPerCaller: cfg.MaxPerCaller, now: cfg.Time,
		table: table{callers: make(map[limitkey.Key]*caller)},
	}
	if l.window <= 0 {
		l.window = DefaultRetryWindow
	}
	if l.maxEntries <= 0 {
		l.maxEntries = DefaultMaxEntries
	}
	if l.maxPerCaller <= 0 {
		l.maxPerCaller = l.maxEntries / 8
	}
	l.maxPerCaller = max(l.maxPerCaller, entriesPerCall)
	if l.now == nil {
		l.now = time.Now
	}
	return l
}

// ErrFull says that a call cannot be counted. The guard refuses it with guard.CodeConstraintIndeterminate.
var ErrFull = errors.New("limit: no room to count another call")

// Acquire implements guard.Limiter.
func (l *Limiter) Acquire(_ context.Context, k guard.LimitKey, c *guard.Constraints) (release func(), err error) {
	keys := limitkey.Of(k.Caller, string(k.Capability.Kind), k.Capability.Name, k.Params, c.RatePerMinute)
	l.mu.Lock()
	defer l.mu.Unlock()
	x := &call{Limiter: l, keys: keys, now: l.now(), who: l.callers[keys.Caller]}
	if err := x.check(c); err != nil {
		return nil, err
	}
	if err := x.makeRoom(x.missing(c)); err != nil {
		return nil, err
	}
	return x.take(c), nil
}

// Len returns how many entries there are.
func (l *Limiter) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.n
}

// A call is one Acquire, under the lock.
type call struct {
	*Limiter
	keys limitkey.Keys
	now  time.Time
	who  *caller // nil if nothing is known of it
}

// check changes nothing.
func (x *call) check(c *guard.Constraints) error {
	if e := x.who.entry(x.keys.Retries); c.MaxRetries != nil && e != nil {
		if wait := e.last.Add(x.window).Sub(x.now); wait > 0 && e.calls > *c.MaxRetries {
			return &guard.LimitedError{Cause: guard.CauseRetries, RetryAfter: min(wait, x.window)}
		}
	}
	if e := x.who.entry(x.keys.Running); c.MaxConcurrent > 0 && e != nil && e.running >= c.MaxConcurrent {
		return &guard.LimitedError{Cause: guard.CauseConcurrency}
	}
	if e := x.who.entry(x.keys.Rate); c.RatePerMinute > 0 && e != nil {
		if tokens := e.bucket.TokensAt(x.now); tokens < 1 {
			wait := (1 - tokens) / float64(e.bucket.Limit())
			return &guard.LimitedError{Cause: guard.CauseRate, RetryAfter: time.Duration(wait * float64(time.Second))}
		}
	}
	return nil
}

// missing counts the entries that the call needs and that there are not.
func (x *call) missing(c *guard.Constraints) (n int) {
	if c.MaxRetries != nil && x.who.entry(x.keys.Retries) == nil {
		n++
	}
	if c.MaxConcurrent > 0 && x.who.entry(x.keys.Running) == nil {
		n++
	}
	if c.RatePerMinute > 0 && x.who.entry(x.keys.Rate) == nil {
		n++
	}
	return n
}

// take counts the call.
func (x *call) take(c *guard.Constraints) (release func()) {
	if c.MaxRetries != nil {
		e := x.make(x.keys.Retries)
		if !x.now.Before(e.last.Add(x.window)) {
			e.calls = 0
		}
		e.last = x.now
		e.calls++
	}
	if c.RatePerMinute > 0 {
		e := x.make(x.keys.Rate)
		if e.bucket == nil {
			e.bucket = rate.NewLimiter(rate.Limit(float64(c.RatePerMinute)/60), c.RatePerMinute)
		}
		e.bucket.AllowN(x.now, 1) // check has seen to it
	}
	if c.MaxConcurrent <= 0 {
		return nil
	}
	e := x.make(x.keys.Running)
	e.running++
	return sync.OnceFunc(func() { x.release(e) })
}

func (x *call) release(e *entry) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if e.running--; e.running > 0 {
		return
	}
	if x.drop(x.who, x.keys.Running); len(x.who.entries) == 0 && x.who.owes.IsZero() {
		x.forget(x.who)
	}
}

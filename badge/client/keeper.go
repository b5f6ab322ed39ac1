package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ExpiryMargin is how long a badge that a [Keeper] hands out still lasts at
// least: for the request that it is sent with.
const ExpiryMargin = 5 * time.Second

// A KeeperConfig says what a [Keeper] keeps.
type KeeperConfig struct {
	// Requester gets the badges. Required.
	Requester *Requester

	// File, if set, has the newest badge and a newline: replaced atomically,
	// mode 0600, its directory has to be there. The Keeper holds File.lock
	// while it runs. A badge that could not be renewed stays in the file:
	// readers look at its expiry.
	File string

	// OnBadge, if set, is told of each new badge, one after another, before it
	// is written to File. Run waits for it.
	OnBadge func(*Issued)

	// OnError, if set, is told of each failure that is not final, and how long
	// the Keeper waits before it goes on. Run waits for it.
	OnError func(err error, wait time.Duration)

	// MinBackoff and MaxBackoff bound the time between two attempts when one
	// failed, if the authority does not ask for more, which it can up to
	// MaxRetryAfter. Zero means DefaultMinBackoff and DefaultMaxBackoff.
	MinBackoff, MaxBackoff time.Duration

	// Time returns the current time. Nil means time.Now.
	Time func() time.Time

	// After returns a channel that is sent to after a time. Nil means
	// time.After.
	After func(time.Duration) <-chan time.Time
}

// A Keeper keeps a badge fresh: it gets the next one between half and three
// quarters of the lifetime of the last. It asks as its Requester does, with the
// account key or by a grant, and never by the badge that it has, although
// spec/issuance.md section 6 would allow that for a challenge: a badge names
// the verifiers it is for, among which the authority seldom is, and after an
// outage that outlasts a badge there is none to ask with. An agent that is to
// have no account key has a grant, if it controls a domain. Its methods are safe
// for concurrent use, but for Run, which is called once.
type Keeper struct {
	cfg     KeeperConfig
	request func(context.Context) (*Issued, error)
	wake    chan struct{} // takes one: the badge was wanted, and is over

	mu      sync.Mutex // guards what follows
	started bool
	badge   *Issued
	changed chan struct{} // closed when what follows or badge changes
	last    error         // of the last attempt
	stopped error         // not nil after Run

	// Of the goroutine that runs Run:
	pace    pace
	renew   time.Time // when badge is to be replaced
	unsaved *Issued   // not written to File yet
}

// A StoppedError reports that a [Keeper] does not go on: the authority refused
// for good, or Run was ended.
type StoppedError struct {
	Cause error // a [*RefusedError], or the context's
}

func (e *StoppedError) Error() string {
	return fmt.Sprintf("badge/client: no badge is kept any more: %v", e.Cause)
}

// Unwrap returns the cause.
func (e *StoppedError) Unwrap() error { return e.Cause }

// A NoBadgeError reports that there was no badge in time.
type NoBadgeError struct {
	Cause error // of the context that ended
	Last  error // of the last attempt to get one, nil if none has failed
}

func (e *NoBadgeError) Error() string {
	if e.Last == nil {
		return fmt.Sprintf("badge/client: no badge yet: %v", e.Cause)
	}
	return fmt.Sprintf("badge/client: no badge: %v; the last attempt: %v", e.Cause, e.Last)
}

// Unwrap returns both causes.
func (e *NoBadgeError) Unwrap() []error {
	if e.Last == nil {
		return []error{e.Cause}
	}
	return []error{e.Cause, e.Last}
}

// NewKeeper returns a Keeper. It keeps nothing before Run is called.
func NewKeeper(cfg *KeeperConfig) (*Keeper, error) {
	if cfg == nil || cfg.Requester == nil {
		return nil, errors.New("badge/client: a KeeperConfig without a Requester")
	}
	return newKeeper(cfg, cfg.Requester.Request)
}

func newKeeper(cfg *KeeperConfig, request func(context.Context) (*Issued, error)) (*Keeper, error) {
	k := &Keeper{
		cfg: *cfg, request: request, wake: make(chan struct{}, 1), changed: make(chan struct{}),
		pace: pace{least: cfg.MinBackoff, most: cfg.MaxBackoff, after: cfg.After},
	}
	if err := k.pace.complete(); err != nil {
		return nil, err
	}
	if k.cfg.Time == nil {
		k.cfg.Time = time.Now
	}
	return k, nil
}

// Current returns a badge that lasts for ExpiryMargin or more. If there is
// none it waits: until Run has got one, or ctx ends (a [*NoBadgeError]), or Run
// ends (a [*StoppedError]). Call it for each request.
func (k *Keeper) Current(ctx context.Context) (*Issued, error) {
	for {
		b, changed, err := k.state()
		if b != nil || err != nil {
			return b, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			k.mu.Lock()
			defer k.mu.Unlock()
			return nil, &NoBadgeError{ctx.Err(), k.last}
		}
	}
}

// Ready returns nil while there is a badge to hand out: what a watchdog asks.
// The error is that with which Current would wait or fail.
func (k *Keeper) Ready() error {
	b, _, err := k.state()
	if b == nil && err == nil {
		k.mu.Lock()
		defer k.mu.Unlock()
		return &NoBadgeError{errNotNow, k.last}
	}
	return err
}

var errNotNow = errors.New("there is none at the moment")

// state returns a badge to hand out, or an error that is final, or what to
// wait for.
func (k *Keeper) state() (*Issued, <-chan struct{}, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.badge != nil && k.badge.Valid(k.cfg.Time().Add(ExpiryMargin)) {
		return k.badge, nil, nil
	}
	if k.badge != nil {
		select {
		case k.wake <- struct{}{}: // timers may have stood still while the machine slept
		default:
		}
	}
	return nil, k.changed, k.stopped
}

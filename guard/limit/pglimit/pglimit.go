package pglimit

import (
	"context"
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/limit"
	"github.com/touchmark-dev/touchmark/internal/limitkey"
	"github.com/touchmark-dev/touchmark/internal/sqlstore"
)

//go:embed migrations/*.sql
var migrations embed.FS

// The defaults of a [Config].
const (
	DefaultTimeout      = time.Second
	DefaultLease        = 30 * time.Second
	DefaultMaxPerCaller = 4096
)

// A Config has to be the same on all nodes. Zero members stand for defaults.
type Config struct {
	RetryWindow  time.Duration // as in [limit.Config]
	MaxPerCaller int           // how many buckets and repeated calls of one caller are counted; 0 means [DefaultMaxPerCaller]

	// Timeout is how long a call waits for the database. 0 means [DefaultTimeout].
	Timeout time.Duration

	// Lease is for how long the calls of a node that is not heard of count as under way. 0 means [DefaultLease]; at least
	// a second.
	Lease time.Duration

	// Logger hears when leases cannot be put off. Nil discards.
	Logger *slog.Logger
}

// A Limiter is a guard.Limiter that shares its counts. Make it with [Open].
type Limiter struct {
	db           *sqlstore.DB
	window       time.Duration
	maxPerCaller int
	timeout      time.Duration
	lease        time.Duration
	log          *slog.Logger

	mu      sync.Mutex
	running map[leaseID]limitkey.Key // what this node runs
	ended   map[leaseID]time.Time    // what the database may still hold for running

	stop func()
	done chan struct{}
}

// Open opens the database at url, "postgres://..." as pgx reads it, and makes its tables if there are none. The database is
// for limiters alone; its clock must not be set back.
func Open(ctx context.Context, url string, cfg *Config) (*Limiter, error) {
	if cfg == nil {
		cfg = &Config{}
	}
	l := &Limiter{
		window: orDefault(cfg.RetryWindow, limit.DefaultRetryWindow), timeout: orDefault(cfg.Timeout, DefaultTimeout),
		maxPerCaller: orDefault(cfg.MaxPerCaller, DefaultMaxPerCaller),
		lease:        max(orDefault(cfg.Lease, DefaultLease), time.Second), log: cfg.Logger,
		running: make(map[leaseID]limitkey.Key), ended: make(map[leaseID]time.Time), done: make(chan struct{}),
	}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	if !strings.HasPrefix(url, "postgres") {
		return nil, errors.New(`pglimit: the URL does not begin with "postgres://"`)
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	if l.db, err = sqlstore.Open(ctx, url, files); err != nil {
		return nil, fmt.Errorf("pglimit: %w", err)
	}
	beat, stop := context.WithCancel(context.Background())
	l.stop = stop
	go l.keep(beat)
	return l, nil
}

func orDefault[N int | time.Duration](n, def N) N {
	if n <= 0 {
		return def
	}
	return n
}

// Close ends the connections. Calls that are still under way count until their leases end.
func (l *Limiter) Close() error {
	l.stop()
	<-l.done
	return l.db.Close()
}

// Acquire implements guard.Limiter. It does not end with ctx, but in time: a caller that hangs up leaves no call behind
// that may or may not have been counted.
func (l *Limiter) Acquire(ctx context.Context, k guard.LimitKey, c *guard.Constraints) (release func(), err error) {
	keys := limitkey.Of(k.Caller, string(k.Capability.Kind), k.Capability.Name, k.Params, c.RatePerMinute)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.timeout)
	defer cancel()
	var retries, running, rate, id, maxRetries any
	if c.MaxRetries != nil {
		retries, maxRetries = keys.Retries[:], int64(*c.MaxRetries)
	}
	if c.RatePerMinute > 0 {
		rate = keys.Rate[:]
	}
	var lease leaseID
	if c.MaxConcurrent > 0 {
		rand.Read(lease[:]) //nolint:errcheck // never fails, see crypto/rand
		running, id = keys.Running[:], lease[:]
	}
	var cause string
	var wait int64
	err = l.db.Row(ctx, `SELECT cause, wait FROM acquire(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		keys.Caller[:], l.maxPerCaller, strconv.FormatInt(max(l.timeout.Milliseconds(), 1), 10), retries, maxRetries,
		l.window.Microseconds(), running, c.MaxConcurrent, id, l.lease.Microseconds(), rate, c.RatePerMinute,
	).Scan(&cause, &wait)
	switch {
	case err != nil:
		if running != nil {
			l.forget(lease)
		}
		return nil, fmt.Errorf("pglimit: %w", err)
	case cause == "FULL":
		return nil, limit.ErrFull
	case cause != "":
		return nil, &guard.LimitedError{Cause: cause, RetryAfter: time.Duration(wait) * time.Microsecond}
	case running == nil:
		return nil, nil
	}
	l.hold(lease, keys.Running)
	return sync.OnceFunc(func() { l.release(lease) }), nil
}

package client

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/internal/safehttp"
)

// Bounds of the time between two fetches of a revocation list. A list is good
// for badge.MaxStatusAge, which the last of them leaves room in for failures.
const (
	DefaultSyncInterval = time.Minute
	MaxSyncInterval     = badge.MaxStatusAge / 2

	revocationListPath = "/v1/revocations/list"
)

// A SyncConfig says which revocation list a [RevocationSync] has.
type SyncConfig struct {
	// Issuer is the origin whose badges the list is about. Required.
	Issuer string

	// Keys knows the issuer's keys, with which lists are verified: a [Client],
	// or [FileKeys]. Required.
	Keys badge.KeySource

	// Mirrors are base URLs, such as "https://mirror.example/registry", that
	// are asked one after another until one has a list that can be used. They
	// are trusted to deliver and for nothing else. None means the issuer.
	Mirrors []string

	// File, if set, keeps the list over restarts: replaced atomically, mode
	// 0600, as "touchmark badge verify --revocations" reads it. Its directory
	// has to be there. File.lock is held until Close.
	File string

	// Interval is the time between two fetches. Zero means
	// DefaultSyncInterval; the most is MaxSyncInterval.
	Interval time.Duration

	// OnList, if set, is told of each list that takes the place of another one,
	// or is the first. Run waits for it.
	OnList func(*badge.RevocationList)

	// OnError, if set, is told of each failure, and how long Run waits before
	// it goes on: not at all if another mirror had the list. Run waits for it.
	// A [*HistoryError] deserves an alarm.
	OnError func(err error, wait time.Duration)

	// UnsafeAllowLoopback lets issuer and mirrors be at loopback addresses. It
	// is for development and tests.
	UnsafeAllowLoopback bool

	// RootCAs are the authorities that servers are verified against. Nil means
	// the system's.
	RootCAs *x509.CertPool

	// Timeout bounds one exchange. Zero means DefaultTimeout.
	Timeout time.Duration

	// Time returns the current time. Nil means time.Now.
	Time func() time.Time

	// After returns a channel that is sent to after a time. Nil means
	// time.After.
	After func(time.Duration) <-chan time.Time
}

// A RevocationSync has the newest revocation list of one issuer. It is a
// [badge.StatusSource] that asks nobody when it is asked: the badge.Verifier
// takes what is more than badge.MaxStatusAge old for unknown, which refuses
// badges of levels 2 to 4, and of level 1 unless it is configured otherwise.
// For several issuers use badge.StatusByIssuer. It is safe for concurrent use.
type RevocationSync struct {
	cfg    SyncConfig
	http   *http.Client
	urls   []string
	unlock func()

	syncing sync.Mutex // one Sync at a time; guards stored, unsaved and pace
	pace    pace
	stored  bool // what File has was looked at
	unsaved bool // token is not in File yet

	mu     sync.Mutex // guards what follows, which only a Sync changes
	list   *badge.RevocationList
	token  string
	filed  *badge.RevocationList // the one that File has, nil for none
	closed bool
}

var _ badge.StatusSource = (*RevocationSync)(nil)

// ErrNoList is the answer of a [RevocationSync] about every badge before it has
// a list.
var ErrNoList = errors.New("badge/client: there is no revocation list yet")

// NewRevocationSync returns a RevocationSync without a list: call Sync, or Run.
// It refuses a File that another one has. Close it when it is not used any
// more.
func NewRevocationSync(cfg *SyncConfig) (*RevocationSync, error) {
	if cfg == nil {
		return nil, errors.New("badge/client: no SyncConfig")
	}
	s := &RevocationSync{cfg: *cfg}
	if err := s.complete(); err != nil {
		return nil, err
	}
	policy := safehttp.Policy{UnsafeAllowLoopback: cfg.UnsafeAllowLoopback}
	port, err := checkOrigin(cfg.Issuer)
	if err != nil {
		return nil, err
	}
	policy.AllowPorts = append(policy.AllowPorts, port)
	for _, base := range cfg.Mirrors {
		port, err := checkBase(base)
		if err != nil {
			return nil, err
		}
		policy.AllowPorts = append(policy.AllowPorts, port)
		s.urls = append(s.urls, base+revocationListPath)
	}
	if len(s.urls) == 0 {
		s.urls = []string{cfg.Issuer + revocationListPath}
	}
	s.http = safehttp.NewClient(&safehttp.Config{Policy: policy, RootCAs: cfg.RootCAs, Timeout: s.cfg.Timeout})
	s.unlock, err = lockFile(cfg.File)
	return s, err
}

func (s *RevocationSync) complete() error {
	c := &s.cfg
	setDefault(&c.Interval, DefaultSyncInterval)
	setDefault(&c.Timeout, DefaultTimeout)
	switch {
	case c.Keys == nil:
		return errors.New("badge/client: a SyncConfig without Keys: no list could be verified")
	case c.Interval < time.Second || c.Interval > MaxSyncInterval:
		return fmt.Errorf("badge/client: Interval %v is not from 1s to %v", c.Interval, MaxSyncInterval)
	case c.Timeout < 0:
		return fmt.Errorf("badge/client: negative Timeout %v", c.Timeout)
	}
	if c.Time == nil {
		c.Time = time.Now
	}
	s.pace = pace{least: DefaultMinBackoff, most: c.Interval, after: c.After}
	return s.pace.complete()
}

// checkBase returns the port of the base URL of a mirror.
func checkBase(base string) (uint16, error) {
	u, err := url.Parse(base)
	if err != nil || u.Path != "" && (strings.HasSuffix(u.Path, "/") || u.EscapedPath() != u.Path || u.JoinPath().Path != u.Path) {
		return 0, fmt.Errorf("badge/client: mirror %q is not an https origin and a path without a slash at its end", base)
	}
	origin, path := base, u.Path
	return checkOrigin(strings.TrimSuffix(origin, path))
}

// Close gives up the file. After it there are no answers.
func (s *RevocationSync) Close() {
	s.syncing.Lock() // a Sync that runs may write
	defer s.syncing.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		s.unlock()
		s.http.CloseIdleConnections()
	}
}

// List returns the newest list, nil before there is one.
func (s *RevocationSync) List() *badge.RevocationList {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list
}

// Fresh returns nil while there is a list that verifiers go by, which File has
// too: what a watchdog asks. A list that is older than badge.MaxStatusAge is a
// [*StaleError], and none ErrNoList.
func (s *RevocationSync) Fresh() error {
	s.mu.Lock()
	list, filed := s.list, s.filed
	s.mu.Unlock()
	if list == nil {
		return ErrNoList
	}
	if age := s.cfg.Time().Sub(list.AsOf()); age > badge.MaxStatusAge {
		return &StaleError{s.cfg.Issuer, age}
	}
	if s.cfg.File != "" && filed != list {
		return fmt.Errorf("badge/client: the list of %q is not in its file yet", s.cfg.Issuer)
	}
	return nil
}

// A StaleError reports a list that is too old to say that a badge is good.
type StaleError struct {
	Issuer string
	Age    time.Duration
}

func (e *StaleError) Error() string {
	return fmt.Sprintf("badge/client: the list of %q is %v old: badges that it does not name are of unknown status", e.Issuer, e.Age.Round(time.Second))
}

// Status implements [badge.StatusSource]. Without a list it is ErrNoList, and
// about badges of another issuer an error: nothing is known, which is not the
// same as good.
func (s *RevocationSync) Status(ctx context.Context, q badge.StatusQuery) (badge.Status, error) {
	s.mu.Lock()
	list, closed := s.list, s.closed
	s.mu.Unlock()
	switch {
	case q.Issuer != s.cfg.Issuer:
		return badge.Status{}, &UnlistedError{q.Issuer}
	case closed:
		return badge.Status{}, ErrClosed
	case list == nil:
		return badge.Status{}, ErrNoList
	}
	return list.Status(ctx, q)
}

// Run calls Sync, again and again, until ctx ends.
func (s *RevocationSync) Run(ctx context.Context) {
	for ctx.Err() == nil {
		err := s.Sync(ctx)
		if ctx.Err() != nil || errors.Is(err, ErrClosed) {
			return
		}
		s.syncing.Lock()
		wait := s.pace.spread(s.cfg.Interval*9/10, s.cfg.Interval)
		if err == nil {
			s.pace.failures = 0
		} else {
			wait = min(s.pace.next(err), s.cfg.Interval)
		}
		s.syncing.Unlock()
		if err != nil && s.cfg.OnError != nil {
			s.cfg.OnError(err, wait)
		}
		s.pace.wait(ctx, wait, nil)
	}
}

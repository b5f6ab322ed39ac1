package witness

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	fnote "github.com/transparency-dev/formats/note"

	"github.com/touchmark-dev/touchmark/translog"
)

// Defaults of a collector, and the bounds between which it leaves a witness alone
// that has failed.
const (
	DefaultTimeout = 10 * time.Second
	DefaultGrace   = 500 * time.Millisecond

	minBackoff = time.Second
	maxBackoff = time.Minute
)

// A CollectorConfig says from whom cosignatures are collected. Policy and Proof
// are needed.
type CollectorConfig struct {
	// Policy names the witnesses, where they are, and how many of them make a
	// quorum.
	Policy *translog.Policy

	// Proof returns the consistency proof of two sizes of the log. See
	// tlogclient.Client.ConsistencyHashes.
	Proof func(ctx context.Context, older, newer uint64) ([][32]byte, error)

	// Client makes the requests; nil means one that follows no redirect. A
	// witness is not believed, so that http costs privacy and not truth.
	Client *http.Client

	// Timeout bounds what one witness may take; zero means DefaultTimeout. Grace
	// is how long the others are waited for once there is a quorum; zero means
	// DefaultGrace, negative not at all.
	Timeout, Grace time.Duration

	// OnError, if not nil, is told that a witness did not cosign. It may be called
	// concurrently.
	OnError func(witness string, err error)

	// Time is the clock; nil means time.Now.
	Time func() time.Time
}

// A Collector asks witnesses for cosignatures. Its methods are not for concurrent
// use.
type Collector struct {
	cfg       CollectorConfig
	logs      *translog.Policy
	witnesses []*remote
}

// NewCollector returns a collector. It refuses a policy whose quorum can never be
// reached with the witnesses that it has a URL for.
func NewCollector(cfg *CollectorConfig) (*Collector, error) {
	if cfg == nil || cfg.Policy == nil || cfg.Proof == nil {
		return nil, errors.New("witness: a collector needs a Policy and a Proof")
	}
	c := &Collector{cfg: *cfg, logs: cfg.Policy.LogsOnly()}
	if !cfg.Policy.NeedsWitnesses() {
		return nil, errors.New("witness: the policy asks for no witness: its quorum is none")
	}
	var named []string
	for _, w := range cfg.Policy.Witnesses() {
		if w.URL == "" {
			continue
		}
		v, err := fnote.NewVerifierForCosignatureV1(w.Key)
		if err != nil {
			return nil, fmt.Errorf("witness: %q: %w", w.Name, err)
		}
		c.witnesses = append(c.witnesses, &remote{name: w.Name, url: strings.TrimSuffix(w.URL, "/") + addPath, verifier: v})
		named = append(named, w.Name)
	}
	if !cfg.Policy.Quorum(named) {
		return nil, errors.New("witness: the witnesses that the policy has a URL for are no quorum")
	}
	c.setDefaults()
	return c, nil
}

func (c *Collector) setDefaults() {
	if c.cfg.Client == nil {
		c.cfg.Client = &http.Client{
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	if c.cfg.Timeout <= 0 {
		c.cfg.Timeout = DefaultTimeout
	}
	if c.cfg.Grace == 0 {
		c.cfg.Grace = DefaultGrace
	}
	if c.cfg.OnError == nil {
		c.cfg.OnError = func(string, error) {}
	}
	if c.cfg.Time == nil {
		c.cfg.Time = time.Now
	}
}

// Collect has a checkpoint that its log has signed cosigned, and returns it with
// the cosignatures. The error is a [*translog.RejectedError] with
// CodeWitnessQuorum when too few witnesses cosigned; each of their reasons went to
// OnError.
func (c *Collector) Collect(ctx context.Context, raw []byte) (*translog.Checkpoint, error) {
	cp, err := c.logs.VerifyCheckpoint(raw)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	ctx, cancelTimeout := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancelTimeout()
	defer cancel(errEnough)
	asked := c.ask(ctx, cp)
	merged := slices.Clone(raw)
	var seen []string
	var grace <-chan time.Time
	for range cap(asked) {
		select {
		case a := <-asked:
			if a.err != nil {
				c.cfg.OnError(a.witness, a.err)
				continue
			}
			merged = append(merged, a.line...)
			seen = append(seen, a.witness)
			if grace == nil && c.cfg.Policy.Quorum(seen) {
				grace = time.After(c.cfg.Grace)
			}
			continue
		case <-grace:
		}
		break
	}
	return c.cfg.Policy.VerifyCheckpoint(merged)
}

// errEnough ends requests to witnesses that are not needed for a quorum.
var errEnough = errors.New("witness: there are cosignatures enough")

// An answer is what became of a request to a witness.
type answer struct {
	witness string
	line    []byte // signature line, verified
	err     error
}

// ask asks all witnesses that are not left alone. The channel has room for each.
func (c *Collector) ask(ctx context.Context, cp *translog.Checkpoint) <-chan answer {
	now := c.cfg.Time()
	ready := slices.DeleteFunc(slices.Clone(c.witnesses), func(w *remote) bool { return w.left(now) })
	answers := make(chan answer, len(ready))
	for _, w := range ready {
		go func() {
			line, err := c.cosign(ctx, w, cp)
			answers <- answer{w.name, line, err}
		}()
	}
	return answers
}

package guard

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/touchmark-dev/touchmark/evidence"
)

// Refusals bounds what refused attempts cost (spec/guard.md section 8.1). Up to a budget each has a record of its own;
// beyond it they are counted, and each refused caller waits until the record that counts it is durable. Zero members
// mean the defaults.
type Refusals struct {
	// PerSecond is how many refused attempts have a record of their own in the long run: so many of callers whose
	// badge was verified, and so many of all others. A record of more than 4 KiB counts for several.
	PerSecond int

	// Burst is how many of them have one at once, after a quiet time.
	Burst int

	// Interval is the least time between two records that count. A refused caller waits for about that long.
	Interval time.Duration

	// MaxWaiting bounds the refused callers that wait. Further ones are counted and told at once that the guard
	// cannot keep evidence now.
	MaxWaiting int
}

// The defaults of [Refusals].
const (
	DefaultRefusalsPerSecond = 50
	DefaultRefusalsBurst     = 1000
	DefaultRefusalsInterval  = 100 * time.Millisecond
	DefaultRefusalsWaiting   = 16384
)

func (c Refusals) withDefaults() (Refusals, error) {
	if c.PerSecond < 0 || c.Burst < 0 || c.Interval < 0 || c.MaxWaiting < 0 {
		return c, errors.New("guard: the members of Refusals are not below 0; leave them 0 for the defaults")
	}
	for _, m := range []struct {
		is     *int
		normal int
	}{
		{&c.PerSecond, DefaultRefusalsPerSecond}, {&c.Burst, DefaultRefusalsBurst}, {&c.MaxWaiting, DefaultRefusalsWaiting},
	} {
		if *m.is == 0 {
			*m.is = m.normal
		}
	}
	if c.Interval == 0 {
		c.Interval = DefaultRefusalsInterval
	}
	return c, nil
}

// write keeps the record of a decision, or has it counted.
func (g *Guard) write(ctx context.Context, e *entry, w *watch) (*evidence.Ack, error) {
	if refused := !e.verdict.allowed() && !e.shadow && !e.list; refused && !g.refusals.single(e) {
		return g.refusals.count(ctx, e)
	}
	d := g.draft(e)
	if trace, span := w.span(); span != "" {
		d.Decision.TraceID, d.Decision.SpanID = trace, span
	}
	return g.keep(ctx, d)
}

// A budget is a token bucket.
type budget struct {
	left float64
	at   time.Time
}

// take takes n if there are as many.
func (b *budget) take(n float64, now time.Time, c *Refusals) bool {
	if since := now.Sub(b.at); since > 0 {
		b.left = min(b.left+since.Seconds()*float64(c.PerSecond), float64(c.Burst))
	}
	b.at = now
	if b.left < n {
		return false
	}
	b.left -= n
	return true
}

// recordUnit is what a record may take for one of [Refusals.PerSecond]. A journal writes blocks of this size.
const recordUnit = 4096

// cost is how many units the record of a refused attempt takes, at most about. All that a caller can make longer is in
// it, as far as a record and its private part hold it: longer tokens and texts are recorded as their hashes.
func (e *entry) cost() float64 {
	r := e.request
	bytes := 2048
	for _, token := range [...]string{r.Badge, r.Proof} {
		if len(token) <= evidence.MaxTokenBytes {
			bytes += len(token)
		}
	}
	for _, text := range [...]string{
		e.about().Name, r.Method, r.RequestID, r.TxnID, r.TraceID, r.Claimed.Actor, r.Claimed.Policy, r.Claimed.Mode, r.Claimed.Approval,
	} {
		if len(text) <= MaxNameBytes {
			bytes += 2 * len(text) // each octet may need an escape
		}
	}
	return float64((bytes + recordUnit - 1) / recordUnit)
}

// single reports whether a refused attempt has a record of its own. Callers whose badge was verified have a budget of
// their own, so that nobody without a badge can make those anonymous in numbers.
func (r *refusals) single(e *entry) bool {
	n := e.cost()
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.guard.now() // under the lock: a time that is overtaken would count what is between twice
	if e.caller.badge != nil {
		return r.known.take(n, now, &r.cfg)
	}
	return r.unknown.take(n, now, &r.cfg)
}

// count counts a refused attempt, and waits for the record that counts it. It does not wait longer than the caller
// does; the attempt is counted all the same.
func (r *refusals) count(ctx context.Context, e *entry) (*evidence.Ack, error) {
	t := r.add(e)
	if t == nil {
		return nil, uncounted(errors.New("too many refused callers wait"))
	}
	defer r.waiting.Add(-1)
	select {
	case <-t.done:
		return t.ack, t.err
	case <-ctx.Done():
		return nil, uncounted(context.Cause(ctx))
	}
}

// uncounted is for a caller that is not going to learn where it was counted. Nothing is logged: it happens as often as
// callers like.
func uncounted(err error) error {
	return &UndeterminedError{Refusal: Refusal{Code: CodeEvidenceUnavailable}, err: fmt.Errorf("evidence: %w", err)}
}

// Flush waits until every refused attempt so far is in the records. Call it before the ledger is closed: then those
// are counted, too, whose callers did not wait.
func (g *Guard) Flush(ctx context.Context) error {
	r := g.refusals
	r.mu.Lock()
	t := r.open
	if t == nil {
		t = r.last
	}
	r.mu.Unlock()
	if t == nil {
		return nil
	}
	select {
	case <-t.done:
		return t.err
	case <-ctx.Done():
		return fmt.Errorf("guard: refused attempts are not in the records: %w", ctx.Err())
	}
}

package guard

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/touchmark-dev/touchmark/evidence"
)

// refusals counts refused attempts.
type refusals struct {
	guard   *Guard
	cfg     Refusals
	waiting atomic.Int64 // callers

	mu             sync.Mutex
	known, unknown budget // of callers with a verified badge, and of all others
	busy           bool   // a tally is being written, or the interval after it is not over
	open           *tally // that counts now; nil if there was nothing to count
	last           *tally // that was or is being written
}

func newRefusals(g *Guard, c Refusals) (*refusals, error) {
	c, err := c.withDefaults()
	r := &refusals{guard: g, cfg: c}
	r.known.left, r.unknown.left = float64(c.Burst), float64(c.Burst)
	return r, err
}

// A tally is what will be one record.
type tally struct {
	from, to time.Time
	groups   map[group]uint64

	done chan struct{} // closed when ack or err is set
	ack  *evidence.Ack
	err  error
}

// A group is what tells refused attempts apart.
type group struct {
	auth                              evidence.AuthLevel
	reason, cause, capability, method string
}

// Bounds of a tally. Callers choose methods, so those are told apart as long as there are few groups; two places are
// for what has no place.
const (
	maxMethodGroups = evidence.MaxRefusalGroups / 2
	maxGroups       = evidence.MaxRefusalGroups - 2
	maxMethodBytes  = 64 // of a method that is counted by itself
)

// add counts one attempt in g, or in a coarser group.
func (t *tally) add(g group, at time.Time) {
	if t.from.IsZero() || at.Before(t.from) {
		t.from = at
	}
	if at.After(t.to) {
		t.to = at
	}
	if len(g.method) > maxMethodBytes {
		g.method = evidence.RefusalAnyMethod
	}
	if _, ok := t.groups[g]; !ok && len(t.groups) >= maxMethodGroups {
		g.method = evidence.RefusalAnyMethod
	}
	if _, ok := t.groups[g]; !ok {
		if len(t.groups) >= maxGroups {
			g = group{auth: g.auth, reason: evidence.RefusalOther, method: evidence.RefusalAnyMethod}
		}
		g.method = strings.Clone(g.method) // it may be a part of a large request
	}
	t.groups[g]++
}

// add counts an attempt, and returns the tally to wait for; nil if too many wait.
func (r *refusals) add(e *entry) *tally {
	g := group{
		auth: e.caller.recorded().Auth, reason: string(e.verdict.code), cause: e.verdict.cause,
		capability: string(e.about().Kind), method: e.request.Method,
	}
	wait := r.waiting.Add(1) <= int64(r.cfg.MaxWaiting)
	if !wait {
		r.waiting.Add(-1)
	}
	now := r.guard.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open == nil {
		r.open = &tally{groups: make(map[group]uint64, 4), done: make(chan struct{})}
	}
	t := r.open
	t.add(g, now)
	if !r.busy {
		r.busy = true
		r.seal()
	}
	if !wait {
		return nil
	}
	return t
}

// seal has the open tally written. The lock is held.
func (r *refusals) seal() {
	r.last, r.open = r.open, nil
	go r.write(r.last)
}

// write writes a tally, and sees to it that the next one is written after the interval: while one is written, the next
// one grows.
func (r *refusals) write(t *tally) {
	began := time.Now()
	defer func() { // also when the recorder ends the goroutine
		if t.ack == nil && t.err == nil {
			t.err = r.guard.unkept(errors.New("the recorder did not return"))
		}
		close(t.done)
		time.AfterFunc(r.cfg.Interval-time.Since(began), r.next)
	}()
	t.ack, t.err = r.guard.keep(context.Background(), &evidence.Draft{Refusals: t.recorded(r.guard.bearer)})
}

// next writes what was counted meanwhile.
func (r *refusals) next() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open == nil {
		r.busy = false
		return
	}
	r.seal()
}

func (t *tally) recorded(bearer bool) *evidence.Refusals {
	out := &evidence.Refusals{From: t.from, To: t.to, BearerUnsafe: bearer}
	for g, n := range t.groups {
		out.Groups = append(out.Groups, evidence.RefusalGroup{
			Count: n, Auth: g.auth, Reason: g.reason, Cause: g.cause, Capability: g.capability, Method: g.method,
		})
	}
	return out
}

package guardtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/touchmark-dev/touchmark/evidence"
)

// A Recorder keeps drafts in memory. It holds callers to the rule of a ledger that an outcome belongs to a
// decision that is open.
type Recorder struct {
	mu        sync.Mutex
	drafts    []*evidence.Draft
	forgotten uint64
	open      map[uint64]string
	err       error
	hook      func(*evidence.Draft) error
}

// Promise is the promise in every acknowledgement of a [Recorder]. It promises nothing.
const Promise = "e30.e30."

// NewRecorder makes an empty Recorder.
func NewRecorder() *Recorder { return &Recorder{open: make(map[uint64]string)} }

// Fail makes every further Record return err; nil makes it work again.
func (r *Recorder) Fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

// Hook has fn asked before each further draft is kept; its error is Record's. It may panic.
func (r *Recorder) Hook(fn func(*evidence.Draft) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hook = fn
}

// Record implements guard.Recorder.
func (r *Recorder) Record(_ context.Context, d *evidence.Draft) (*evidence.Ack, error) {
	r.mu.Lock()
	hook := r.hook
	r.mu.Unlock()
	if hook != nil {
		if err := hook(d); err != nil {
			return nil, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return nil, r.err
	}
	seq := r.forgotten + uint64(len(r.drafts)) + 1
	ack := &evidence.Ack{ID: newID(), Sequence: seq, LeafHash: evidence.Hash{1}, Promise: Promise}
	switch {
	case d.Outcome != nil:
		if id, ok := r.open[d.Outcome.DecisionSequence]; !ok || id != d.Outcome.DecisionID {
			return nil, errors.New("guardtest: outcome of a decision that is not open")
		}
		delete(r.open, d.Outcome.DecisionSequence)
	case d.Refusals != nil:
	case d.Decision != nil:
		if (d.Decision.Kind.Allows() || d.Decision.Shadow) && d.Decision.Shown == nil {
			r.open[seq] = ack.ID
		}
	default:
		return nil, errors.New("guardtest: draft of another kind than a guard makes")
	}
	r.drafts = append(r.drafts, d)
	return ack, nil
}

// Enqueue implements guard.Enqueuer.
func (r *Recorder) Enqueue(ctx context.Context, outcome *evidence.Draft) error {
	_, err := r.Record(ctx, outcome)
	return err
}

// Drafts returns what was recorded, in order.
func (r *Recorder) Drafts() []*evidence.Draft {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.drafts)
}

// Decisions returns the decisions that were recorded, in order.
func (r *Recorder) Decisions() []*evidence.Decision {
	var out []*evidence.Decision
	for _, d := range r.Drafts() {
		if d.Decision != nil {
			out = append(out, d.Decision)
		}
	}
	return out
}

// Outcomes returns the outcomes that were recorded, in order.
func (r *Recorder) Outcomes() []*evidence.Outcome {
	var out []*evidence.Outcome
	for _, d := range r.Drafts() {
		if d.Outcome != nil {
			out = append(out, d.Outcome)
		}
	}
	return out
}

// Open returns how many decisions wait for their outcome.
func (r *Recorder) Open() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.open)
}

func newID() string {
	var b [16]byte
	rand.Read(b[:]) //nolint:errcheck // never fails, see crypto/rand
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// Forget drops what was recorded. Decisions that wait for their outcome still do.
func (r *Recorder) Forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forgotten += uint64(len(r.drafts))
	r.drafts = nil
}

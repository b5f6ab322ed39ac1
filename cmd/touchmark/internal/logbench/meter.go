package logbench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/touchmark-dev/touchmark/translog"
)

// A publisher is what a meter asks of a log.
type publisher interface {
	AwaitPublished(ctx context.Context, index uint64) (*translog.Checkpoint, error)
}

// A meter keeps the times of records, and the callers from running away from the log.
type meter struct {
	ahead  uint64
	cancel context.CancelFunc
	done   chan struct{}

	mu          sync.Mutex
	admitted    uint64 // records that callers were let make
	covered     uint64 // by the last published checkpoint
	pending     []ack  // not covered
	acknowledge sample
	inclusion   sample
	err         error         // why nothing more will be covered
	changed     chan struct{} // closed when covered or err changes
}

type ack struct {
	sequence uint64
	at       time.Time
}

func newMeter(ctx context.Context, ahead int, log publisher) *meter {
	ctx, cancel := context.WithCancel(ctx)
	m := &meter{
		ahead: uint64(ahead), cancel: cancel, //nolint:gosec // checked
		done: make(chan struct{}), changed: make(chan struct{}), admitted: 1, // the genesis record
	}
	go m.follow(ctx, log)
	return m
}

// follow looks at every checkpoint that the log publishes.
func (m *meter) follow(ctx context.Context, log publisher) {
	defer close(m.done)
	for covered := uint64(0); ; {
		cp, err := log.AwaitPublished(ctx, covered)
		if err == nil {
			covered = cp.Size()
		}
		m.published(covered, time.Now(), err)
		if err != nil {
			return
		}
	}
}

func (m *meter) stop() {
	m.cancel()
	<-m.done
}

func (m *meter) published(covered uint64, now time.Time, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.covered, m.err = covered, err
	m.pending = slices.DeleteFunc(m.pending, func(a ack) bool {
		if a.sequence >= covered {
			return false
		}
		m.inclusion.add(now.Sub(a.at))
		return true
	})
	close(m.changed)
	m.changed = make(chan struct{})
}

func (m *meter) acknowledged(sequence uint64, began, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.acknowledge.add(at.Sub(began))
	if sequence < m.covered {
		m.inclusion.add(0)
		return
	}
	m.pending = append(m.pending, ack{sequence, at})
}

// admit waits until the log is near enough for one more call.
func (m *meter) admit(ctx context.Context) error {
	return m.wait(ctx, func() bool {
		if m.admitted-m.covered > m.ahead {
			return false
		}
		m.admitted += callRecords
		return true
	})
}

// await waits until a published checkpoint has so many records.
func (m *meter) await(ctx context.Context, records uint64) error {
	return m.wait(ctx, func() bool { return m.covered >= records })
}

func (m *meter) wait(ctx context.Context, there func() bool) error {
	for {
		m.mu.Lock()
		ok, err, changed := there(), m.err, m.changed
		m.mu.Unlock()
		switch {
		case ok:
			return nil
		case err != nil:
			return fmt.Errorf("the log publishes no more: %w", err)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// reset begins another stage.
func (m *meter) reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.acknowledge, m.inclusion = sample{}, sample{}
}

// sampleSize bounds what is kept of a distribution. A thousand of it are beyond the 99th percentile.
const sampleSize = 100_000

// A sample is a random part of what was added to it. The zero sample is empty.
type sample struct {
	seen   int
	values []time.Duration
}

func (s *sample) add(d time.Duration) {
	s.seen++
	if len(s.values) < sampleSize {
		s.values = append(s.values, d)
		return
	}
	if i := rand.IntN(s.seen); i < sampleSize { //nolint:gosec // no secret
		s.values[i] = d
	}
}

// quantiles returns the zero Quantiles for an empty sample.
func (s *sample) quantiles() Quantiles {
	if len(s.values) == 0 {
		return Quantiles{}
	}
	slices.Sort(s.values)
	at := func(percent int) time.Duration { return s.values[(len(s.values)-1)*percent/100] }
	return Quantiles{P50: at(50), P99: at(99)}
}

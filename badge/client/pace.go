package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Bounds of the time between two attempts.
const (
	DefaultMinBackoff = time.Second
	DefaultMaxBackoff = time.Minute

	// MaxRetryAfter is the longest wait that an authority can ask for.
	MaxRetryAfter = time.Hour
)

// pace says when to try again.
type pace struct {
	least, most time.Duration
	after       func(time.Duration) <-chan time.Time
	random      func() float64 // from 0 up to 1

	failures int // in a row
}

func (p *pace) complete() error {
	setDefault(&p.least, DefaultMinBackoff)
	setDefault(&p.most, max(DefaultMaxBackoff, p.least))
	if p.least < 0 || p.most < p.least {
		return fmt.Errorf("badge/client: backoff from %v to %v", p.least, p.most)
	}
	if p.after == nil {
		p.after = time.After
	}
	p.random = rand.Float64
	return nil
}

// next counts a failure and returns how long to wait: between half and all of
// a time that doubles up to most, or for as long as the authority said and up
// to a tenth more, so that many that it sent away do not come back together.
func (p *pace) next(err error) time.Duration {
	full := p.least
	for range p.failures {
		if full >= p.most/2 {
			full = p.most
			break
		}
		full *= 2
	}
	p.failures++
	wait := p.spread(full/2, full)
	if asked := min(askedToWait(err), MaxRetryAfter); asked > wait {
		return p.spread(asked, asked+asked/10)
	}
	return wait
}

// spread returns a time from low up to high.
func (p *pace) spread(low, high time.Duration) time.Duration {
	return low + time.Duration(p.random()*float64(high-low))
}

// wait waits, until it is woken; nil wakes nobody. It reports whether ctx has
// not ended.
func (p *pace) wait(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	select {
	case <-ctx.Done():
	case <-wake:
	case <-p.after(d):
	}
	return ctx.Err() == nil
}

func askedToWait(err error) time.Duration {
	var refused *RefusedError
	var answer *AnswerError
	switch {
	case errors.As(err, &refused):
		return refused.RetryAfter
	case errors.As(err, &answer):
		return answer.RetryAfter
	}
	return 0
}

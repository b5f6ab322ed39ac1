package guard_test

import (
	"context"
	"errors"
	"math"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
)

// timed are constraints whose slot the tests follow, too.
var timed = &guard.Constraints{MaxRuntime: 5 * time.Second, MaxConcurrent: 1}

type running struct {
	*guardtest.World
	g     *guard.Guard
	slots *limiter
}

func newRunning(t *testing.T, c *guard.Constraints, edits ...func(*guard.Config)) *running {
	r := &running{World: guardtest.New(t), slots: &limiter{}}
	r.g = r.Guard(append(edits, withPolicy(under(c)), withLimiter(r.slots))...)
	return r
}

func (r *running) grant(t *testing.T) *guard.Grant {
	t.Helper()
	grant, err := r.g.Check(t.Context(), guardtest.Call("x", "{}"))
	if err != nil {
		t.Fatal(err)
	}
	return grant
}

// exceeded finishes and wants to be told to withhold.
func exceeded(t *testing.T, grant *guard.Grant, o guard.Outcome, cause string) {
	t.Helper()
	var over *guard.ExceededError
	if err := grant.Finish(t.Context(), o); !errors.As(err, &over) {
		t.Fatalf("finished with %v", err)
	}
	if got := guard.RefusalOf(over); got != over.Refusal || got.Undetermined() || got.Hidden ||
		got.Code != guard.CodeConstraintExceeded || got.Cause != cause || got.EvidenceID != grant.Evidence().ID {
		t.Errorf("told %+v", got)
	}
}

func TestRunInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRunning(t, timed)
		grant := r.grant(t)
		o := grant.Run(t.Context(), func(ctx context.Context) guard.Outcome {
			if at, ok := ctx.Deadline(); !ok || time.Until(at) != timed.MaxRuntime {
				t.Errorf("deadline %v, %v", at, ok)
			}
			time.Sleep(timed.MaxRuntime - 1)
			return guard.Outcome{Result: []byte("ok")}
		})
		if string(o.Result) != "ok" || r.slots.held.Load() != 1 {
			t.Errorf("ended with %+v, %d held", o, r.slots.held.Load())
		}
		if err := grant.Finish(t.Context(), o); err != nil || r.slots.held.Load() != 0 {
			t.Errorf("%v, %d held", err, r.slots.held.Load())
		}
		if got := last(t, r.Recorder.Outcomes()); got.Status != evidence.OutcomeOK || got.Duration != timed.MaxRuntime-1 {
			t.Errorf("recorded %+v", got)
		}
	})
}

// TestRunTimeout: what ends because its time was over, or just after, is a timeout, and its result is nobody's.
func TestRunTimeout(t *testing.T) {
	for name, fn := range map[string]func(context.Context) guard.Outcome{
		"heeds its context": func(ctx context.Context) guard.Outcome {
			<-ctx.Done()
			return guard.Outcome{Result: []byte("late"), InputRequired: true}
		},
		"ends in the grace": func(context.Context) guard.Outcome {
			time.Sleep(timed.MaxRuntime + guard.DefaultGrace - 1)
			return guard.Outcome{Result: []byte("late")}
		},
		"panics late": func(ctx context.Context) guard.Outcome { <-ctx.Done(); panic("late") },
		"fails late": func(ctx context.Context) guard.Outcome {
			<-ctx.Done()
			return guard.Outcome{ErrorClass: guard.ClassError}
		},
		"ends without return": func(ctx context.Context) guard.Outcome { <-ctx.Done(); runtime.Goexit(); panic("") },
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRunning(t, timed)
			grant := r.grant(t)
			o := grant.Run(t.Context(), fn)
			if o.ErrorClass != guard.ClassTimeout || o.Result != nil || o.InputRequired {
				t.Errorf("%s: ended with %+v", name, o)
			}
			o.Result, o.InputRequired = []byte("late"), true // by an adapter that thinks it knows better
			exceeded(t, grant, o, guard.CauseRuntime)
			d := last(t, r.Recorder.Drafts())
			if d.Outcome.ErrorClass != guard.ClassTimeout || d.Result != nil || r.slots.held.Load() != 0 {
				t.Errorf("%s: recorded %+v, %d held", name, d.Outcome, r.slots.held.Load())
			}
		})
	}
}

// TestRunAbandoned: a call that ignores its deadline is left behind, and holds its slot until it really ends. So many
// of them, and no call with a maximum runtime is let in any more.
func TestRunAbandoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRunning(t, timed, func(c *guard.Config) { c.MaxAbandoned, c.Grace = 2, 2*time.Second })
		end := make(chan struct{})
		abandon := func() {
			grant, began := r.grant(t), time.Now()
			o := grant.Run(t.Context(), func(context.Context) guard.Outcome {
				<-end
				return guard.Outcome{Result: []byte("late")}
			})
			if took := time.Since(began); o.ErrorClass != guard.ClassAbandoned || o.Result != nil || took != timed.MaxRuntime+2*time.Second {
				t.Errorf("ended with %+v after %v", o, took)
			}
			exceeded(t, grant, o, guard.CauseRuntime)
			if got := last(t, r.Recorder.Outcomes()); got.Status != evidence.OutcomeError || got.ErrorClass != guard.ClassAbandoned {
				t.Errorf("recorded %+v", got)
			}
		}
		abandon()
		if r.slots.held.Load() != 1 {
			t.Fatal("the slot of a call that still runs was given back")
		}
		abandon()
		_, err := r.g.Check(t.Context(), guardtest.Call("x", "{}"))
		got := refusal(t, err)
		if got.Code != guard.CodeConstraintIndeterminate || got.Cause != guard.CauseAbandoned || r.slots.held.Load() != 2 {
			t.Errorf("got %+v, %d held", got, r.slots.held.Load())
		}
		close(end)
		synctest.Wait()
		if r.slots.held.Load() != 0 || r.slots.released.Load() != 2 {
			t.Errorf("%d held, %d released", r.slots.held.Load(), r.slots.released.Load())
		}
		if err := r.grant(t).Finish(t.Context(), guard.Outcome{}); err != nil {
			t.Errorf("after they ended: %v", err)
		}
		if n := len(r.Recorder.Outcomes()); n != 3 {
			t.Errorf("%d outcomes", n)
		}
	})
}

// TestRunEnds: what fn does to its goroutine is an outcome, with a maximum runtime or without one.
func TestRunEnds(t *testing.T) { synctest.Test(t, testRunEnds) }

func testRunEnds(t *testing.T) {
	for _, c := range []*guard.Constraints{timed, oneAtATime} {
		r := newRunning(t, c)
		grant := r.grant(t)
		o := grant.Run(t.Context(), func(context.Context) guard.Outcome { panic("hunter2") })
		if o.ErrorClass != guard.ClassPanic {
			t.Errorf("ended with %+v", o)
		}
		if err := grant.Finish(t.Context(), o); err != nil || r.slots.held.Load() != 0 {
			t.Errorf("%v, %d held", err, r.slots.held.Load())
		}
	}
	r := newRunning(t, timed)
	o := r.grant(t).Run(t.Context(), func(context.Context) guard.Outcome { runtime.Goexit(); panic("") })
	if o.ErrorClass != guard.ClassExit {
		t.Errorf("ended with %+v", o)
	}
}

// TestRunHungUp: a caller that is gone does not shorten the time that a call has to end in.
func TestRunHungUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRunning(t, timed)
		gone, hangUp := context.WithCancel(t.Context())
		hangUp()
		o := r.grant(t).Run(gone, func(ctx context.Context) guard.Outcome {
			if ctx.Err() == nil {
				t.Error("does not learn that the caller is gone")
			}
			time.Sleep(time.Second)
			return guard.Outcome{ErrorClass: guard.ClassCancelled}
		})
		if o.ErrorClass != guard.ClassCancelled {
			t.Errorf("ended with %+v", o)
		}
		began := time.Now()
		end := make(chan struct{})
		defer close(end)
		o = r.grant(t).Run(gone, func(context.Context) guard.Outcome { <-end; return guard.Outcome{} })
		if took := time.Since(began); o.ErrorClass != guard.ClassAbandoned || took != timed.MaxRuntime+guard.DefaultGrace {
			t.Errorf("ended with %+v after %v", o, took)
		}
	})
}

// TestRunForever: a maximum that is as good as none does not turn into none at all by a sum that is too large.
func TestRunForever(t *testing.T) {
	r := newRunning(t, &guard.Constraints{MaxRuntime: math.MaxInt64})
	grant := r.grant(t)
	o := grant.Run(t.Context(), func(context.Context) guard.Outcome {
		time.Sleep(time.Millisecond)
		return guard.Outcome{Result: []byte("ok")}
	})
	if err := grant.Finish(t.Context(), o); err != nil || string(o.Result) != "ok" {
		t.Errorf("ended with %+v, %v", o, err)
	}
	if err := r.grant(t).Finish(t.Context(), guard.Outcome{}); err != nil {
		t.Errorf("without Run: %v", err)
	}
}

package guard_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/limit"
)

// wrappedUnder returns a function behind a guard that allows it under constraints, and what its guard records.
func wrappedUnder[T any](t *testing.T, c *guard.Constraints, fn func(context.Context, string) (T, error)) (func(string) (T, error), *guardtest.Recorder) {
	t.Helper()
	w := guardtest.New(t)
	g := w.Guard(withPolicy(under(c)), withLimiter(limit.New(nil)))
	wrapped := guard.Wrap(g, guard.Function{Name: "x"}, fn)
	return func(in string) (T, error) { return wrapped(t.Context(), guard.Credentials{}, in) }, w.Recorder
}

func echo(_ context.Context, in string) (string, error) { return in, nil }

func TestWrapRuntime(t *testing.T) {
	for name, test := range map[string]struct {
		fn    func(context.Context, string) (string, error)
		class string
	}{
		"in time": {func(ctx context.Context, in string) (string, error) { return echo(ctx, in) }, ""},
		"ends with its context": {func(ctx context.Context, _ string) (string, error) {
			<-ctx.Done()
			return "late", nil
		}, guard.ClassTimeout},
		"ignores its context": {func(context.Context, string) (string, error) {
			time.Sleep(time.Hour)
			return "late", nil
		}, guard.ClassAbandoned},
		"panics": {func(context.Context, string) (string, error) { panic("hunter2") }, guard.ClassPanic},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				call, recorder := wrappedUnder(t, &guard.Constraints{MaxRuntime: 5 * time.Second}, test.fn)
				got, err := call("in")
				if (err == nil) != (test.class == "") || err != nil && got != "" {
					t.Errorf("got %q, %v", got, err)
				}
				var over *guard.ExceededError
				var panicked *guard.PanicError
				if errors.As(err, &panicked) != (test.class == guard.ClassPanic) ||
					errors.As(err, &over) != (test.class == guard.ClassTimeout || test.class == guard.ClassAbandoned) {
					t.Errorf("error %v", err)
				}
				if d := last(t, recorder.Drafts()); d.Outcome.ErrorClass != test.class || (d.Result == nil) != (err != nil) {
					t.Errorf("recorded %+v with %q", d.Outcome, d.Result)
				}
				time.Sleep(2 * time.Hour) // until what was abandoned has ended
			})
		})
	}
}

func TestWrapResultSize(t *testing.T) {
	c := &guard.Constraints{MaxResultBytes: 5}
	call, recorder := wrappedUnder(t, c, echo)
	if got, err := call("abc"); got != "abc" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	var over *guard.ExceededError
	if got, err := call("abcd"); got != "" || !errors.As(err, &over) || over.Cause != guard.CauseResultSize {
		t.Errorf("got %q, %v", got, err)
	}
	if o := last(t, recorder.Outcomes()); o.ErrorClass != guard.ClassResultTooLarge {
		t.Errorf("recorded %+v", o)
	}
	// What cannot be measured is not small.
	odd, recorder := wrappedUnder(t, c, func(context.Context, string) (any, error) { return func() {}, nil })
	if got, err := odd(""); got != nil || !errors.As(err, &over) {
		t.Errorf("got a result, %v", err)
	}
	if o := last(t, recorder.Outcomes()); o.ErrorClass != guard.ClassResultTooLarge {
		t.Errorf("recorded %+v", o)
	}
}

func TestWrapLimits(t *testing.T) {
	refuses := func(err error, cause string) {
		t.Helper()
		if got := guard.RefusalOf(err); got.Code != guard.CodeConstraintExceeded || got.Cause != cause || got.EvidenceID == "" {
			t.Errorf("got %+v, want %s", got, cause)
		}
	}
	call, _ := wrappedUnder(t, &guard.Constraints{RatePerMinute: 2}, echo)
	for _, in := range []string{"a", "b"} {
		if _, err := call(in); err != nil {
			t.Error(err)
		}
	}
	_, err := call("c")
	refuses(err, guard.CauseRate)

	call, _ = wrappedUnder(t, &guard.Constraints{MaxRetries: new(int)}, echo)
	for _, in := range []string{"a", "b"} {
		if _, err := call(in); err != nil {
			t.Error(err)
		}
	}
	_, err = call("a")
	refuses(err, guard.CauseRetries)

	var inside error
	call, _ = wrappedUnder(t, &guard.Constraints{MaxConcurrent: 1}, func(_ context.Context, in string) (string, error) {
		if in == "outer" {
			_, inside = call("inner")
		}
		return in, nil
	})
	for range 2 {
		if _, err := call("outer"); err != nil {
			t.Error(err)
		}
		refuses(inside, guard.CauseConcurrency)
	}
}

func TestWrapNetwork(t *testing.T) {
	call, _ := wrappedUnder(t, &guard.Constraints{NetworkAllowlist: []string{}}, echo)
	if _, err := call("a"); err == nil {
		t.Error("a constraint that nobody enforces was taken for met")
	}
}

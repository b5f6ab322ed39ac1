package guard_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
)

// A confirmer answers as it is told.
type confirmer struct {
	answer func(context.Context, *evidence.Ack) error
}

func (c confirmer) Confirm(ctx context.Context, ack *evidence.Ack) error {
	if c.answer == nil {
		return nil
	}
	return c.answer(ctx, ack)
}

func confirmedBy(included, cosigned guard.Confirmer) func(*guard.Config) {
	return func(c *guard.Config) { c.Included, c.Cosigned = included, cosigned }
}

var both = &guard.Constraints{IncludedWithin: 10 * time.Second, CosignedWithin: 20 * time.Second, MaxConcurrent: 1}

// TestConfirm: nothing runs before the record is where it is to be, and what runs has an outcome of its own.
func TestConfirm(t *testing.T) {
	w := guardtest.New(t)
	var asked []string
	note := func(name string) confirmer {
		return confirmer{func(ctx context.Context, ack *evidence.Ack) error {
			if _, ok := ctx.Deadline(); !ok || ack.ID == "" {
				t.Errorf("%s: asked about %+v, without an end: %v", name, ack, !ok)
			}
			asked = append(asked, name)
			return nil
		}}
	}
	g := w.Guard(withPolicy(under(both)), withLimiter(&limiter{}), confirmedBy(note("included"), note("cosigned")))
	ran := false
	_, err := guard.Do(t.Context(), g, guardtest.Call("x", "{}"), func(context.Context) (int, error) {
		ran = true
		return 0, nil
	})
	if err != nil || !ran || len(asked) != 2 || asked[0] != "included" || asked[1] != "cosigned" {
		t.Errorf("%v, ran %v, asked %q", err, ran, asked)
	}
	d := last(t, w.Recorder.Decisions())
	if d.Kind != evidence.AllowWithConstraints || d.Constraints.IncludedWithinSec != 10 || d.Constraints.CosignedWithinSec != 20 {
		t.Errorf("recorded %+v", d)
	}
	if o := last(t, w.Recorder.Outcomes()); o.Status != evidence.OutcomeOK {
		t.Errorf("outcome %+v", o)
	}
}

// TestNotConfirmed: whatever goes wrong with the waiting, nothing runs, nothing is held, and the outcome says why.
func TestNotConfirmed(t *testing.T) {
	w := guardtest.New(t)
	failing := func(answer func(context.Context, *evidence.Ack) error) confirmer { return confirmer{answer} }
	waits := failing(func(ctx context.Context, _ *evidence.Ack) error { <-ctx.Done(); return ctx.Err() })
	short := &guard.Constraints{IncludedWithin: time.Millisecond, CosignedWithin: time.Millisecond, MaxConcurrent: 1, MaxRuntime: 1, MaxResultBytes: 1}
	for name, c := range map[string]struct {
		included, cosigned guard.Confirmer
		under              *guard.Constraints
		cause, class       string
	}{
		"not included":  {failing(func(context.Context, *evidence.Ack) error { return errors.New("no log") }), confirmer{}, both, guard.CauseNotIncluded, guard.ClassNotIncluded},
		"not cosigned":  {confirmer{}, failing(func(context.Context, *evidence.Ack) error { return errors.New("no witness") }), both, guard.CauseNotCosigned, guard.ClassNotCosigned},
		"in no time":    {waits, confirmer{}, short, guard.CauseNotIncluded, guard.ClassNotIncluded},
		"yes, too late": {failing(func(ctx context.Context, _ *evidence.Ack) error { <-ctx.Done(); return nil }), confirmer{}, short, guard.CauseNotIncluded, guard.ClassNotIncluded},
		"panic":         {confirmer{}, failing(func(context.Context, *evidence.Ack) error { panic("log") }), both, guard.CausePanic, guard.ClassNotCosigned},
	} {
		t.Run(name, func(t *testing.T) {
			l := &limiter{}
			g := w.Guard(withPolicy(under(c.under)), withLimiter(l), confirmedBy(c.included, c.cosigned))
			_, err := guard.Do(t.Context(), g, guardtest.Call("x", "{}"), func(context.Context) (int, error) {
				t.Error("it ran")
				return 0, nil
			})
			var undetermined *guard.UndeterminedError
			got := guard.RefusalOf(err)
			if !errors.As(err, &undetermined) || got.Code != guard.CodeEvidenceUnconfirmed || got.Cause != c.cause || got.EvidenceID == "" || got.Hidden {
				t.Errorf("got %v", err)
			}
			if d := last(t, w.Recorder.Decisions()); d.Kind != evidence.AllowWithConstraints {
				t.Errorf("recorded %+v", d)
			}
			if o := last(t, w.Recorder.Outcomes()); o.Status != evidence.OutcomeError || o.ErrorClass != c.class || o.DecisionID != got.EvidenceID {
				t.Errorf("outcome %+v of %s", o, got.EvidenceID)
			}
			if l.held.Load() != 0 || l.released.Load() != 1 {
				t.Errorf("%d held, %d released", l.held.Load(), l.released.Load())
			}
		})
	}
}

// TestCallerGoesWhileItWaits: the end of the request ends the waiting.
func TestCallerGoesWhileItWaits(t *testing.T) {
	w := guardtest.New(t)
	ctx, cancel := context.WithCancel(t.Context())
	g := w.Guard(withPolicy(under(both)), withLimiter(&limiter{}), confirmedBy(confirmer{func(ctx context.Context, _ *evidence.Ack) error {
		cancel()
		<-ctx.Done()
		return ctx.Err()
	}}, confirmer{}))
	if _, err := g.Check(ctx, guardtest.Call("x", "{}")); guard.RefusalOf(err).Code != guard.CodeEvidenceUnconfirmed {
		t.Errorf("got %v", err)
	}
	if o := last(t, w.Recorder.Outcomes()); o.ErrorClass != guard.ClassNotIncluded {
		t.Errorf("outcome %+v", o)
	}
}

// TestNobodyWaitsForTheLog: such a constraint is refused where nothing enforces it, whoever claims to.
func TestNobodyWaitsForTheLog(t *testing.T) {
	w := guardtest.New(t)
	for _, c := range []*guard.Constraints{{IncludedWithin: time.Second}, {CosignedWithin: time.Second}, {IncludedWithin: -1}} {
		g := w.Guard(withPolicy(under(c)))
		if _, err := g.Check(t.Context(), guardtest.Call("x", "{}")); guard.RefusalOf(err).Code != guard.CodeAuthMissing {
			t.Errorf("%+v: %v", c, err)
		}
		if d := last(t, w.Recorder.Decisions()); d.DenyCause != guard.CauseConstraintsUnsupported {
			t.Errorf("recorded %+v", d)
		}
	}
	for _, name := range []string{guard.ConstraintIncluded, guard.ConstraintCosigned} {
		cfg := &guard.Config{Evidence: w.Recorder, Policy: guard.UnsafeAllowAll{}, Enforces: []string{name}}
		if _, err := guard.New(cfg); err == nil {
			t.Errorf("%s: somebody else enforces it", name)
		}
	}
	d := guard.Tighter(&guard.Constraints{IncludedWithin: 3, CosignedWithin: 4}, &guard.Constraints{IncludedWithin: 2, CosignedWithin: 5})
	if d.IncludedWithin != 2 || d.CosignedWithin != 4 {
		t.Errorf("the tighter of two is %+v", d)
	}
}

// TestShadowWaitsForNothing: what runs in shadow mode runs without constraints.
func TestShadowWaitsForNothing(t *testing.T) {
	w := guardtest.New(t)
	g := w.Guard(withPolicy(always(guard.Decision{Kind: guard.Deny, Rule: "no"})), func(c *guard.Config) { c.UnsafeShadow = true },
		confirmedBy(confirmer{func(context.Context, *evidence.Ack) error { return errors.New("asked") }}, confirmer{}))
	grant, err := g.Check(t.Context(), guardtest.Call("x", "{}"))
	if err != nil {
		t.Fatal(err)
	}
	if err := grant.Finish(t.Context(), guard.Outcome{}); err != nil {
		t.Error(err)
	}
}

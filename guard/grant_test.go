package guard_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
)

func TestFinish(t *testing.T) {
	w := guardtest.New(t)
	now := time.Unix(1_800_000_000, 0)
	g := w.Guard(withPolicy(guard.UnsafeAllowAll{}), func(c *guard.Config) { c.Time = func() time.Time { return now } })
	grant, err := g.Check(t.Context(), guardtest.Call("x", "{}"))
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(3 * time.Second)
	if err := grant.Finish(t.Context(), guard.Outcome{Result: []byte("abc")}); err != nil {
		t.Fatal(err)
	}
	draft := last(t, w.Recorder.Drafts())
	o := draft.Outcome
	if o.DecisionID != grant.Evidence().ID || o.Status != evidence.OutcomeOK || o.Duration != 3*time.Second || string(draft.Result) != "abc" {
		t.Errorf("recorded %+v with result %q", o, draft.Result)
	}
	if err := grant.Finish(t.Context(), guard.Outcome{}); err == nil {
		t.Error("finished twice")
	}
	if n := len(w.Recorder.Outcomes()); n != 1 {
		t.Errorf("%d outcomes", n)
	}
	grant, err = g.Check(t.Context(), guardtest.Call("x", "{}"))
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(-time.Hour)
	if err := grant.Finish(t.Context(), guard.Outcome{InputRequired: true}); err != nil {
		t.Fatal(err)
	}
	if o := last(t, w.Recorder.Outcomes()); o.Status != evidence.OutcomeInputRequired || o.Duration != 0 {
		t.Errorf("recorded %+v", o)
	}
}

func TestDo(t *testing.T) {
	w := guardtest.New(t)
	g := w.Guard(withPolicy(guard.UnsafeAllowAll{}))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	late, stop := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer stop()
	failure := errors.New("password is hunter2")
	for _, c := range []struct {
		name   string
		ctx    context.Context
		fn     func(context.Context) (string, error)
		want   string
		class  string
		result string
	}{
		{"result", t.Context(), func(context.Context) (string, error) { return "a", nil }, "a", "", `"a"`},
		{"error", t.Context(), func(context.Context) (string, error) { return "", failure }, "", guard.ClassError, ""},
		{"cancelled", ended, func(ctx context.Context) (string, error) { return "", ctx.Err() }, "", guard.ClassCancelled, ""},
		{"timeout", late, func(ctx context.Context) (string, error) { return "", failure }, "", guard.ClassTimeout, ""},
		{"panic", t.Context(), func(context.Context) (string, error) { panic("hunter2") }, "", guard.ClassPanic, ""},
		{"nil panic", t.Context(), func(context.Context) (string, error) { panic(error(nil)) }, "", guard.ClassPanic, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := guard.Do(c.ctx, g, guardtest.Call("x", "{}"), c.fn)
			if got != c.want || (err == nil) != (c.class == "") {
				t.Errorf("got %q, %v", got, err)
			}
			var panicked *guard.PanicError
			if errors.As(err, &panicked) != (c.class == guard.ClassPanic) {
				t.Errorf("error of type %T", err)
			}
			draft := last(t, w.Recorder.Drafts())
			if draft.Outcome == nil || draft.Outcome.ErrorClass != c.class || string(draft.Result) != c.result {
				t.Errorf("recorded %+v with result %q", draft.Outcome, draft.Result)
			}
		})
	}
	t.Run("exit", func(t *testing.T) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = guard.Do(t.Context(), g, guardtest.Call("x", "{}"), func(context.Context) (int, error) {
				runtime.Goexit()
				return 0, nil
			})
		}()
		<-done
		if o := last(t, w.Recorder.Outcomes()); o.ErrorClass != guard.ClassExit {
			t.Errorf("recorded %+v", o)
		}
	})
	t.Run("refused", func(t *testing.T) {
		ran := false
		_, err := guard.Do(t.Context(), w.Guard(), guardtest.Call("x", "{}"), func(context.Context) (int, error) {
			ran = true
			return 1, nil
		})
		if err == nil || ran {
			t.Errorf("got %v, ran %v", err, ran)
		}
	})
	t.Run("outcome lost", func(t *testing.T) {
		w.Recorder.Hook(func(d *evidence.Draft) error {
			if d.Outcome != nil {
				return errors.New("disk full")
			}
			return nil
		})
		defer w.Recorder.Hook(nil)
		got, err := guard.Do(t.Context(), g, guardtest.Call("x", "{}"), func(context.Context) (string, error) { return "a", nil })
		if got != "" || guard.RefusalOf(err).Code != guard.CodeEvidenceUnavailable {
			t.Errorf("got %q, %v: the answer was handed out without its record", got, err)
		}
	})
	for _, d := range w.Recorder.Outcomes() {
		if strings.Contains(d.ErrorClass, "hunter2") {
			t.Error("the text of an error is in a record")
		}
	}
}

func TestWrap(t *testing.T) {
	w := guardtest.New(t)
	g := w.Guard()
	type transfer struct {
		To     string `json:"to"`
		Amount int    `json:"amount"`
	}
	pay := guard.Wrap(g, guard.Function{Name: "pay", Level: badge.LevelDomain},
		func(_ context.Context, in transfer) (string, error) { return "paid " + in.To, nil })
	in := transfer{"bob", 10}
	if _, err := pay(t.Context(), guard.Credentials{}, in); guard.RefusalOf(err).Code != guard.CodeAuthMissing {
		t.Errorf("anonymous: %v", err)
	}
	agent := w.Agent(badge.LevelDomain)
	c := guard.Credentials{Badge: agent.Badge}
	c.Proof, c.TxnID = agent.Prove(&pop.Call{Method: guard.MethodCall, Target: "pay", Arguments: []byte(`{"to":"bob","amount":10}`)})
	if got, err := pay(t.Context(), c, in); got != "paid bob" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	c.Proof, c.TxnID = agent.Prove(&pop.Call{Method: guard.MethodCall, Target: "pay", Arguments: []byte(`{"to":"bob","amount":1}`)})
	if _, err := pay(t.Context(), c, in); guard.RefusalOf(err).Code != guard.Code(pop.CodeParamsMismatch) {
		t.Errorf("other amount: %v", err)
	}
	broken := guard.Wrap(g, guard.Function{Name: "broken"}, func(context.Context, func()) (int, error) { return 0, nil })
	if _, err := broken(t.Context(), guard.Credentials{}, func() {}); guard.RefusalOf(err).Code != guard.CodeRequestMalformed {
		t.Errorf("an argument that has no JSON form: %v", err)
	}
	if d := last(t, w.Recorder.Decisions()); d.Target != "broken" || d.DenyCause != guard.CauseParamsMalformed {
		t.Errorf("recorded %+v", d)
	}
}

// hostile is a result that cannot be encoded without a panic.
type hostile struct{}

func (hostile) MarshalJSON() ([]byte, error) { panic("hunter2") }

func TestResultThatPanics(t *testing.T) {
	w := guardtest.New(t)
	g := w.Guard(withPolicy(guard.UnsafeAllowAll{}))
	_, err := guard.Do(t.Context(), g, guardtest.Call("a", "{}"), func(context.Context) (hostile, error) { return hostile{}, nil })
	var panicked *guard.PanicError
	if !errors.As(err, &panicked) {
		t.Errorf("got %v", err)
	}
	if o := last(t, w.Recorder.Outcomes()); o.ErrorClass != guard.ClassPanic || w.Recorder.Open() != 0 {
		t.Errorf("recorded %+v", o)
	}
}

// queue is a recorder that counts what it is to keep and what is left to it.
type queue struct {
	*guardtest.Recorder
	kept, left int
	panics     bool
}

func (q *queue) Record(ctx context.Context, d *evidence.Draft) (*evidence.Ack, error) {
	q.kept++
	return q.Recorder.Record(ctx, d)
}

func (q *queue) Enqueue(ctx context.Context, d *evidence.Draft) error {
	if q.panics {
		panic("queue")
	}
	q.left++
	return errors.Join(ctx.Err(), q.Recorder.Enqueue(ctx, d))
}

// TestDurableOutcomes: an outcome is left to the recorder, if that can take it and nobody wants it durable.
func TestDurableOutcomes(t *testing.T) {
	w := guardtest.New(t)
	q := &queue{Recorder: w.Recorder}
	call := func(r guard.Recorder, durable bool) error {
		g := w.Guard(withPolicy(guard.UnsafeAllowAll{}), func(c *guard.Config) {
			c.Evidence, c.DurableOutcomes = r, durable
		})
		q.kept, q.left = 0, 0
		grant, err := g.Check(t.Context(), guardtest.Call("x", "{}"))
		if err != nil {
			t.Fatal(err)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		return grant.Finish(ended, guard.Outcome{})
	}
	if err := call(q, false); err != nil || q.kept != 1 || q.left != 1 {
		t.Errorf("by default: %d kept, %d left, %v", q.kept, q.left, err)
	}
	if err := call(q, true); err != nil || q.kept != 2 || q.left != 0 {
		t.Errorf("durable: %d kept, %d left, %v", q.kept, q.left, err)
	}
	if err := call(recorderFunc(q.Record), false); err != nil || q.kept != 2 || q.left != 0 {
		t.Errorf("a recorder that takes nothing without waiting: %d kept, %d left, %v", q.kept, q.left, err)
	}
	q.panics = true
	if err := call(q, false); guard.RefusalOf(err).Code != guard.CodeEvidenceUnavailable {
		t.Errorf("a recorder that panics: %v", err)
	}
}

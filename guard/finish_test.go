package guard_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
)

// TestFinishTooLate: an adapter that runs things by itself, and pays no heed to the time, gives no result either.
func TestFinishTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRunning(t, timed)
		grant := r.grant(t)
		time.Sleep(timed.MaxRuntime + guard.DefaultGrace)
		if err := grant.Finish(t.Context(), guard.Outcome{Result: []byte("x")}); err != nil {
			t.Error(err)
		}
		grant = r.grant(t)
		time.Sleep(timed.MaxRuntime + guard.DefaultGrace + 1)
		exceeded(t, grant, guard.Outcome{Result: []byte("x")}, guard.CauseRuntime)
		if d := last(t, r.Recorder.Drafts()); d.Outcome.ErrorClass != guard.ClassTimeout || d.Result != nil {
			t.Errorf("recorded %+v", d.Outcome)
		}
	})
}

// TestResultTooLarge: a larger result is withheld, and the record says how large it was.
func TestResultTooLarge(t *testing.T) {
	r := newRunning(t, &guard.Constraints{MaxResultBytes: 4})
	if err := r.grant(t).Finish(t.Context(), guard.Outcome{Result: []byte("1234")}); err != nil {
		t.Error(err)
	}
	for _, o := range []guard.Outcome{
		{Result: []byte("12345")}, {Result: []byte("12345"), ErrorClass: "tool_error"}, {Result: []byte("12345"), InputRequired: true},
	} {
		exceeded(t, r.grant(t), o, guard.CauseResultSize)
		d := last(t, r.Recorder.Drafts())
		if d.Outcome.Status != evidence.OutcomeError || d.Outcome.ErrorClass != guard.ClassResultTooLarge || string(d.Result) != "12345" {
			t.Errorf("recorded %+v, %q", d.Outcome, d.Result)
		}
	}
	grant := r.grant(t)
	r.Recorder.Fail(errors.New("disk full"))
	err := grant.Finish(t.Context(), guard.Outcome{Result: []byte("12345")})
	if got := refusal(t, err); got.Code != guard.CodeEvidenceUnavailable {
		t.Errorf("without a record: %+v", got)
	}
}

package guard_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
)

func TestShadow(t *testing.T) {
	w := guardtest.New(t)
	g := w.Guard(withPolicy(levels), func(c *guard.Config) { c.UnsafeShadow = true })
	for _, r := range []*guard.Request{
		w.Agent(badge.LevelSelfSigned).Call("need4", "{}"), guardtest.Call("need4", "{}"), guardtest.Call("other", "{}"),
		{Verb: guard.Invoke, Method: "tools/call", Badge: "nonsense"},
	} {
		grant, err := g.Check(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		d := last(t, w.Recorder.Decisions())
		if d.Kind != evidence.Deny || !d.Shadow || d.DenyReason == "" {
			t.Errorf("recorded %+v", d)
		}
		if err := grant.Finish(t.Context(), guard.Outcome{}); err != nil {
			t.Error(err)
		}
	}
	w.Recorder.Fail(errors.New("disk full"))
	_, err := g.Check(t.Context(), guardtest.Call("need4", "{}"))
	if got := refusal(t, err); got.Code != guard.CodeEvidenceUnavailable {
		t.Errorf("without evidence: %+v", got)
	}
	w.Recorder.Fail(nil)
	refuse := g.Refuse(t.Context(), guardtest.Call("x", ""), guard.CodeRequestMalformed, "")
	if got := refusal(t, refuse); got.Code != guard.CodeRequestMalformed {
		t.Errorf("got %+v", got)
	}
	if d := last(t, w.Recorder.Decisions()); d.Shadow {
		t.Error("a refusal that was enforced is stamped as one that was not")
	}
}

// TestNotShadowByDefault: published code observes by default, so that a DENY is overruled.
func TestKnownFault12NotShadowByDefault(t *testing.T) {
	w := guardtest.New(t)
	g := w.Guard(withPolicy(always(guard.Decision{})))
	if _, err := g.Check(t.Context(), w.Agent(badge.LevelExtended).Call("x", "{}")); err == nil {
		t.Fatal("the policy's DENY was allowed")
	}
	if d := last(t, w.Recorder.Decisions()); d.Shadow || d.BearerUnsafe {
		t.Errorf("recorded %+v", d)
	}
}

// TestKnownFault13AnyString: published code takes any string for an API key and records such a caller.
func TestKnownFault13AnyString(t *testing.T) {
	w := guardtest.New(t)
	g := w.Guard(withPolicy(guard.UnsafeAllowAll{}))
	for _, s := range []string{"x", "sk-0123", "apikey:admin", "a.b.c", strings.Repeat("k", 1<<15)} {
		r := guardtest.Call("x", "{}")
		r.Badge = s
		if _, err := g.Check(t.Context(), r); err == nil {
			t.Errorf("%.20q let in", s)
		}
		if d := last(t, w.Recorder.Decisions()); d.Caller != (evidence.Caller{Auth: evidence.AuthAnonymous}) {
			t.Errorf("%.20q recorded as %+v", s, d.Caller)
		}
	}
}

// TestKnownFault05EvidenceError: published code discards the error of its evidence store and allows.
func TestKnownFault05EvidenceError(t *testing.T) {
	w := guardtest.New(t)
	for name, hook := range map[string]func(*evidence.Draft) error{
		"error": func(*evidence.Draft) error { return errors.New("disk full") },
		"panic": func(*evidence.Draft) error { panic("recorder") },
	} {
		t.Run(name, func(t *testing.T) {
			w.Recorder.Hook(hook)
			g := w.Guard(withPolicy(guard.UnsafeAllowAll{}))
			ran := false
			_, err := guard.Do(t.Context(), g, guardtest.Call("x", "{}"), func(context.Context) (int, error) {
				ran = true
				return 1, nil
			})
			got := refusal(t, err)
			if got.Code != guard.CodeEvidenceUnavailable || got.EvidenceID != "" || ran {
				t.Errorf("got %+v, ran %v", got, ran)
			}
			if got := refusal(t, g.Refuse(t.Context(), guardtest.Call("x", ""), guard.CodeRequestMalformed, "")); got.Code != guard.CodeEvidenceUnavailable {
				t.Errorf("refused with %+v", got)
			}
		})
	}
	t.Run("nothing acknowledged", func(t *testing.T) {
		for _, ack := range []*evidence.Ack{nil, {}} {
			g := w.Guard(withPolicy(guard.UnsafeAllowAll{}), func(c *guard.Config) { c.Evidence = ackFunc(ack) })
			_, err := g.Check(t.Context(), guardtest.Call("x", "{}"))
			if got := refusal(t, err); got.Code != guard.CodeEvidenceUnavailable {
				t.Errorf("got %+v", got)
			}
		}
	})
}

type fixedAck struct{ ack *evidence.Ack }

func ackFunc(ack *evidence.Ack) guard.Recorder { return fixedAck{ack} }

func (f fixedAck) Record(context.Context, *evidence.Draft) (*evidence.Ack, error) { return f.ack, nil }

// TestCancelledCallersAreRecorded: hanging up does not keep an attempt out of the evidence.
func TestCancelledCallersAreRecorded(t *testing.T) {
	w := guardtest.New(t)
	var live bool
	g := w.Guard(withPolicy(levels), func(c *guard.Config) {
		c.Evidence = recorderFunc(func(ctx context.Context, d *evidence.Draft) (*evidence.Ack, error) {
			live = ctx.Err() == nil
			return w.Recorder.Record(ctx, d)
		})
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := g.Check(ctx, guardtest.Call("need4", "{}")); err == nil || !live {
		t.Errorf("got %v, recorded with a live context: %v", err, live)
	}
}

package guard_test

import (
	"context"
	"testing"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/badgetest"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
)

// openLedger opens a ledger of the World's kind of server, without a log.
func openLedger(t testing.TB) *evidence.Ledger {
	t.Helper()
	server := badgetest.NewAgent(t)
	l, err := evidence.Open(t.Context(), &evidence.LedgerConfig{
		Dir: t.TempDir(), Server: server.DID, Key: server.Key, KeyID: server.DID.KeyURL(), AllowNoLog: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestLedgerTakesEveryDecision: whatever a guard decides is something that a ledger records, so that nothing
// is refused for the form of its record.
func TestLedgerTakesEveryDecision(t *testing.T) {
	w := guardtest.New(t)
	ledger := openLedger(t)
	g := w.Guard(withPolicy(listPolicy), func(c *guard.Config) { c.Evidence = ledger })
	odd := guardtest.Call("na\x00me\u202e", `{"a":1,"a":2}`)
	odd.RequestID, odd.TraceID, odd.TxnID = "\xff", "sha256:x", "\x01"
	bad := guardtest.Call("need0", "{}")
	bad.Badge = "sk-0123"
	unreadable := w.Agent(badge.LevelDomain).Call("need0", "{}")
	unreadable.Require = guard.LevelUnsatisfiable
	for _, r := range []*guard.Request{
		guardtest.Call("need0", `{"pin":"1234"}`), guardtest.Call("open", `{"pin":"1234"}`), guardtest.Call("open", ""),
		w.Agent(badge.LevelSelfSigned).Call("need0", `{}`), w.Agent(badge.LevelExtended).Call("need4", `{"a":[1,2]}`),
		w.Agent(badge.LevelDomain).Call("ask", `{}`), w.Agent(badge.LevelDomain).Call("broken", `{}`),
		odd, bad, unreadable, {Verb: guard.Invoke, Method: "x"},
	} {
		grant, err := g.Check(t.Context(), r)
		if err == nil {
			err = grant.Finish(t.Context(), guard.Outcome{Result: []byte(`{}`)})
		}
		if code := guard.RefusalOf(err).Code; err != nil && code == guard.CodeEvidenceUnavailable {
			t.Errorf("%q: %v", r.Capability.Name, err)
		}
		if err := g.Refuse(t.Context(), r, guard.CodeRequestRejected, "HTTP_400"); guard.RefusalOf(err).Code != guard.CodeRequestRejected {
			t.Errorf("%q refused: %v", r.Capability.Name, err)
		}
	}
	l, err := g.List(t.Context(), listRequest(w.Agent(badge.LevelDomain)))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := l.Filter(t.Context(), catalog); err != nil {
		t.Error(err)
	}
	if err := ledger.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	ran := false
	_, err = guard.Do(t.Context(), g, guardtest.Call("open", "{}"), func(context.Context) (int, error) {
		ran = true
		return 0, nil
	})
	if guard.RefusalOf(err).Code != guard.CodeEvidenceUnavailable || ran {
		t.Errorf("with a closed ledger: %v, ran %v", err, ran)
	}
}

// TestLedgerTakesConstraints: so is what constraints, rules in shadow, claims and observers add, and what outcomes they
// have.
func TestLedgerTakesConstraints(t *testing.T) {
	w := guardtest.New(t)
	ledger := openLedger(t)
	defer ledger.Close(t.Context())
	limits := &limiter{}
	g := w.Guard(withLimiter(limits), withObserver(&observer{trace: traceID, span: spanID}), func(c *guard.Config) {
		c.Evidence, c.Enforces = ledger, []string{guard.ConstraintNetwork}
		c.Policy = policyFunc(func(in *guard.Input) (guard.Decision, error) {
			d := guard.Decision{
				Kind: guard.AllowWithConstraints, Rule: "r", Anonymous: true, Actor: guard.ActorServiceAccount,
				Shadow: &guard.Shadowed{Rule: "s", Kind: guard.RequireApproval, Anonymous: true},
				Constraints: &guard.Constraints{
					MaxRuntime: 1, MaxRetries: ptr(0), MaxResultBytes: 1, RatePerMinute: 1, MaxConcurrent: 1, NetworkAllowlist: []string{},
				},
			}
			if in.Capability.Name == "ask" {
				d.Kind, d.Shadow.Kind = guard.RequireApproval, guard.AllowWithConstraints
			}
			return d, nil
		})
	})
	for _, class := range []string{guard.ClassAbandoned, guard.ClassTimeout, guard.ClassResultTooLarge, ""} {
		r := guardtest.Call("x", "{}")
		r.Claimed = guard.Claimed{Actor: "\xff", Policy: "\x00", Mode: "observe", Approval: "yes"}
		grant, err := g.Check(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if err := grant.Finish(t.Context(), guard.Outcome{ErrorClass: class, Result: []byte("too large")}); guard.RefusalOf(err).Code != guard.CodeConstraintExceeded {
			t.Errorf("%q: %v", class, err)
		}
	}
	for code, answer := range map[guard.Code]func(guard.LimitKey) error{
		guard.CodeConstraintExceeded: limitedBy(guard.CauseRate), guard.CodeConstraintIndeterminate: limitedBy(""),
	} {
		limits.answer = answer
		if _, err := g.Check(t.Context(), guardtest.Call("x", "{}")); guard.RefusalOf(err).Code != code {
			t.Errorf("got %v", err)
		}
	}
	if _, err := g.Check(t.Context(), guardtest.Call("ask", "{}")); guard.RefusalOf(err).Code != guard.CodeApprovalRequired {
		t.Errorf("got %v", err)
	}
}

package guard_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/badgetest"
	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
)

// brokenStore is a replay store that does not answer.
type brokenStore struct{ use func() error }

func (s brokenStore) Use(context.Context, pop.ReplayKey, time.Time) error { return s.use() }

// TestBrokenParts: a part that fails, or panics, is not a verdict on the caller, and admits nobody.
func TestBrokenParts(t *testing.T) {
	w := guardtest.New(t)
	withStore := func(use func() error) func(*guard.Config) {
		proofs, err := pop.NewVerifier(&pop.Config{Server: w.Server, Replay: brokenStore{use}})
		if err != nil {
			t.Fatal(err)
		}
		return func(c *guard.Config) { c.Proofs = proofs }
	}
	panicking := func(c *guard.Config) {
		ca := badgetest.New(t)
		cfg := ca.Config()
		cfg.Keys = panickingKeys{}
		v, err := badge.NewVerifier(cfg)
		if err != nil {
			t.Fatal(err)
		}
		c.Badges = v
	}
	for _, c := range []struct {
		name  string
		edit  func(*guard.Config)
		code  guard.Code
		cause string
	}{
		{"replay store fails", withStore(func() error { return errors.New("no route to host") }), guard.CodeIdentityUndetermined, ""},
		{"replay store panics", withStore(func() error { panic("store") }), guard.CodeGuardFailed, guard.CausePanic},
		{"key source panics", panicking, guard.CodeGuardFailed, guard.CausePanic},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := w.Guard(withPolicy(guard.UnsafeAllowAll{}), c.edit)
			_, err := g.Check(t.Context(), w.Agent(badge.LevelDomain).Call("x", "{}"))
			if got := refusal(t, err); got.Code != c.code || got.Cause != c.cause || got.EvidenceID == "" {
				t.Errorf("got %+v", got)
			}
			if d := last(t, w.Recorder.Decisions()); d.Kind != evidence.Deny || d.DenyReason != string(c.code) {
				t.Errorf("recorded %+v", d)
			}
			list := listRequest(w.Agent(badge.LevelDomain))
			list.Proof, list.TxnID = w.Agent(badge.LevelDomain).Prove(&pop.Call{Method: "tools/list"})
			if _, err := g.List(t.Context(), list); guard.RefusalOf(err).Code != c.code {
				t.Errorf("list: %v", err)
			}
		})
	}
}

type panickingKeys struct{}

func (panickingKeys) IssuerKeys(context.Context, string) ([]badge.Key, error) { panic("keys") }

// TestListWithoutEvidence: a list that is refused is recorded, or refused for want of a record.
func TestListWithoutEvidence(t *testing.T) {
	w := guardtest.New(t)
	bad := listRequest(nil)
	bad.Badge = "x"
	w.Recorder.Fail(errors.New("disk full"))
	if _, err := w.Guard().List(t.Context(), bad); guard.RefusalOf(err).Code != guard.CodeEvidenceUnavailable {
		t.Errorf("got %v", err)
	}
}

// TestTarget: an adapter may name the target of a call otherwise than its capability.
func TestTarget(t *testing.T) {
	w := guardtest.New(t)
	g := w.Guard(withPolicy(levels))
	r := w.Agent(badge.LevelDomain).Call("need2", "{}")
	r.Target = "other"
	if _, err := g.Check(t.Context(), r); guard.RefusalOf(err).Code != guard.Code(pop.CodeParamsMismatch) {
		t.Errorf("got %v", err)
	}
	r.Proof, r.TxnID = w.Agent(badge.LevelDomain).Prove(&pop.Call{Method: r.Method, Target: "other"})
	if _, err := g.Check(t.Context(), r); err != nil {
		t.Error(err)
	}
}

// TestHops: a verified call proof's hop, and the parent it names, are recorded.
func TestHops(t *testing.T) {
	w := guardtest.New(t)
	g := w.Guard(withPolicy(levels))
	agent := w.Agent(badge.LevelDomain)
	r := agent.Call("need2", "{}")
	parent, err := pop.HashHop(r.Proof)
	if err != nil {
		t.Fatal(err)
	}
	r.Proof, r.TxnID = agent.ProveAs(&pop.Statement{
		Call: &pop.Call{Method: r.Method, Target: "need2"}, Server: w.Server, ParentHopHash: parent,
	})
	if _, err := g.Check(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if d := last(t, w.Recorder.Decisions()); d.HopID == "" || d.ParentHopHash.String() != parent || d.TxnID != r.TxnID {
		t.Errorf("recorded %+v", d)
	}
}

type channel struct{}

func (channel) Scheme() string  { return "unix" }
func (channel) Subject() string { return "uid=0" }

// TestPrincipal: a policy sees who asks, as far as that was shown.
func TestPrincipal(t *testing.T) {
	w := guardtest.New(t)
	var seen []*guard.Principal
	g := w.Guard(withPolicy(policyFunc(func(in *guard.Input) (guard.Decision, error) {
		seen = append(seen, in.Caller)
		return guard.Decision{Kind: guard.Allow, Anonymous: true}, nil
	})))
	agent := w.Agent(badge.LevelDomain)
	for _, r := range []*guard.Request{agent.Call("x", "{}"), guardtest.Call("x", "{}")} {
		r.Channel = channel{}
		if _, err := g.Check(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	known, nobody := seen[0], seen[1]
	if known.Anonymous() || known.Subject() != agent.DID || known.Badge().ID() != agent.BadgeID || !known.Proven() || known.Channel() != (channel{}) {
		t.Errorf("a caller with a badge: %+v", known)
	}
	if !nobody.Anonymous() || !nobody.Subject().IsZero() || nobody.Badge() != nil || nobody.Level() != badge.LevelNone || nobody.Proven() {
		t.Errorf("a caller without: %+v", nobody)
	}
	if d := last(t, w.Recorder.Decisions()); d.Caller.Auth != evidence.AuthAnonymous {
		t.Errorf("a channel's identity was recorded as a badge: %+v", d.Caller)
	}
}

func TestConfiguration(t *testing.T) {
	w := guardtest.New(t)
	g := w.Guard()
	if g.Server() != w.Server || !g.AcceptsBadges() || !g.RequiresProof() {
		t.Error("a guard of badges and proofs")
	}
	g = w.Guard(func(c *guard.Config) { c.AllowBearerUnsafe = true })
	if !g.AcceptsBadges() || g.RequiresProof() {
		t.Error("a guard of bearers")
	}
	g = w.Guard(func(c *guard.Config) { c.Badges, c.Policy = nil, guard.UnsafeAllowAll{} })
	if g.AcceptsBadges() || g.RequiresProof() {
		t.Error("a guard without badges")
	}
}

// TestErrorsForOperators: the text of an error has the code, and what failed where something did.
func TestErrorsForOperators(t *testing.T) {
	w := guardtest.New(t)
	_, denied := w.Guard().Check(t.Context(), guardtest.Call("x", "{}"))
	w.Recorder.Fail(errors.New("disk full"))
	_, failed := w.Guard().Check(t.Context(), guardtest.Call("x", "{}"))
	for want, err := range map[string]error{
		"guard: TOOL_AUTH_MISSING: this needs a badge": denied,
		"guard: EVIDENCE_UNAVAILABLE: ":                failed,
		"guard: POLICY_INDETERMINATE/PANIC: ":          &guard.UndeterminedError{Refusal: guard.Refusal{Code: guard.CodePolicyIndeterminate, Cause: guard.CausePanic}},
		"panic in guarded function: x":                 &guard.PanicError{Value: "x"},
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %q, want %q in it", err, want)
		}
	}
	if !strings.Contains(failed.Error(), "disk full") || errors.Unwrap(failed) == nil {
		t.Errorf("got %q", failed)
	}
}

package guard_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
)

func inShadow(c *guard.Config) { c.UnsafeShadow = true }

// finals: what is called final... needs level 4 and is final; the rest needs it too, and is not. Names that end in "down"
// make the policy fail, and those in "panic" panic.
var finals = policyFunc(func(in *guard.Input) (guard.Decision, error) {
	name := in.Capability.Name
	d := guard.Decision{Kind: guard.Allow, Rule: "r", MinLevel: badge.LevelExtended, Final: strings.HasPrefix(name, "final")}
	switch {
	case strings.HasSuffix(name, "down"):
		return d, errors.New("down")
	case strings.HasSuffix(name, "panic"):
		panic("policy")
	}
	return d, nil
})

// TestShadowFinal: what is final is enforced in shadow mode too, whatever is wrong with the caller or its request, and
// also where nobody can tell whether it is final.
func TestShadowFinal(t *testing.T) {
	w := guardtest.New(t)
	g := w.Guard(withPolicy(finals), inShadow)
	several := guardtest.Call("plain", "{}")
	several.Further = []guard.Item{item("final")}
	thief := w.Agent(badge.LevelExtended).Call("final", "{}")
	thief.Proof = w.Agent(badge.LevelDomain).Call("final", "{}").Proof
	notMine := guardtest.Call("plain", "{}")
	notMine.Owned = func(*guard.Principal) (guard.Item, bool) { return guard.Item{}, false }
	panics := guardtest.Call("plain", "{}")
	panics.Owned = func(*guard.Principal) (guard.Item, bool) { panic("owned") }
	for name, c := range map[string]struct {
		r    *guard.Request
		runs bool
	}{
		"plain, level too low":      {w.Agent(badge.LevelDomain).Call("plain", "{}"), true},
		"plain, anonymous":          {guardtest.Call("plain", "{}"), true},
		"plain, no badge at all":    {&guard.Request{Verb: guard.Invoke, Method: "m", Capability: item("plain").Capability, Badge: "x"}, true},
		"plain, policy fails":       {guardtest.Call("plain-down", "{}"), true},
		"plain, of a method":        {&guard.Request{Verb: guard.Discover, Method: "m", Capability: item("plain").Capability}, true},
		"final, level too low":      {w.Agent(badge.LevelDomain).Call("final", "{}"), false},
		"final, anonymous":          {guardtest.Call("final", "{}"), false},
		"final, no badge at all":    {&guard.Request{Verb: guard.Invoke, Method: "m", Capability: item("final").Capability, Badge: "x"}, false},
		"final, proof of another":   {thief, false},
		"final, among several":      {several, false},
		"final, policy fails":       {guardtest.Call("final-down", "{}"), false},
		"policy panics":             {guardtest.Call("plain-panic", "{}"), false},
		"policy panics, no badge":   {&guard.Request{Verb: guard.Invoke, Method: "m", Capability: item("panic").Capability, Badge: "x"}, false},
		"of another":                {notMine, false},
		"of another, no badge":      {&guard.Request{Verb: guard.Invoke, Method: "m", Badge: "x", Owned: notMine.Owned}, false},
		"the adapter panics":        {panics, false},
		"the adapter panics, badge": {&guard.Request{Verb: guard.Invoke, Method: "m", Badge: "x", Owned: panics.Owned}, false},
	} {
		grant, err := g.Check(t.Context(), c.r)
		d := last(t, w.Recorder.Decisions())
		if (err == nil) != c.runs || d.Shadow != c.runs || d.Kind != evidence.Deny {
			t.Errorf("%s: %v, recorded %+v", name, err, d)
		}
		if err != nil {
			if got := refusal(t, err); got.EvidenceID == "" {
				t.Errorf("%s: %+v", name, got)
			}
			continue
		}
		if err := grant.Finish(t.Context(), guard.Outcome{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if grant, err := g.Check(t.Context(), w.Agent(badge.LevelExtended).Call("final", "{}")); err != nil || last(t, w.Recorder.Decisions()).Shadow {
		t.Errorf("what is final and allowed: %+v, %v", grant, err)
	}
}

// TestShadowFirstOfSeveral: where nothing is final, the first refusal is the one that is written down.
func TestShadowFirstOfSeveral(t *testing.T) {
	w := guardtest.New(t)
	g := w.Guard(withPolicy(levels), inShadow)
	r := guardtest.Call("need0", "{}")
	r.Further = []guard.Item{item("need1"), item("need2")}
	if _, err := g.Check(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if d := last(t, w.Recorder.Decisions()); d.Target != "need0" || !d.Shadow {
		t.Errorf("recorded %+v", d)
	}
}

// TestShadowFinalList: what is final does not show up in lists either, not for a caller that could not be identified.
func TestShadowFinalList(t *testing.T) {
	w := guardtest.New(t)
	g := w.Guard(withPolicy(finals), inShadow)
	bad := listRequest(nil)
	bad.Badge = "x"
	for name, c := range map[string]struct {
		r       *guard.Request
		visible []bool
		shown   uint64
	}{
		"anonymous":  {listRequest(nil), []bool{true, false, true, false, false}, 0},
		"level 4":    {listRequest(w.Agent(badge.LevelExtended)), []bool{true, true, true, false, false}, 2},
		"not a soul": {bad, []bool{true, false, true, false, false}, 0},
	} {
		l, err := g.List(t.Context(), c.r)
		if err != nil {
			t.Fatal(err)
		}
		visible, _, err := l.Filter(t.Context(), []guard.Item{item("plain"), item("final"), item("plain-down"), item("final-down"), item("panic")})
		if err != nil || !slices.Equal(visible, c.visible) {
			t.Errorf("%s: %v, %v", name, visible, err)
		}
		if d := last(t, w.Recorder.Decisions()); *d.Shown != c.shown || !d.Shadow {
			t.Errorf("%s: recorded %+v, %d shown", name, d, *d.Shown)
		}
	}
}

// listAnswer is a policy that answers about lists at once.
type listAnswer func(ins []*guard.Input) ([]guard.Decision, []error)

func (listAnswer) Decide(context.Context, *guard.Input) (guard.Decision, error) {
	return guard.Decision{}, errors.New("asked one by one")
}

func (f listAnswer) DecideAll(_ context.Context, ins []*guard.Input) ([]guard.Decision, []error) {
	return f(ins)
}

// TestShadowListUnanswered: where a policy does not say whether an entry is final, it is.
func TestShadowListUnanswered(t *testing.T) {
	w := guardtest.New(t)
	for name, p := range map[string]listAnswer{
		"panics": func([]*guard.Input) ([]guard.Decision, []error) { panic("list") },
		"fewer":  func([]*guard.Input) ([]guard.Decision, []error) { return make([]guard.Decision, 1), make([]error, 1) },
	} {
		l, err := w.Guard(withPolicy(p), inShadow).List(t.Context(), listRequest(nil))
		if err != nil {
			t.Fatal(err)
		}
		if visible, _, err := l.Filter(t.Context(), []guard.Item{item("a"), item("b")}); err != nil || visible[0] || visible[1] {
			t.Errorf("%s: %v, %v", name, visible, err)
		}
	}
}

// TestShadowConstraints: constraints are enforced in shadow mode where the decision is final, and else only written down.
func TestShadowConstraints(t *testing.T) {
	w := guardtest.New(t)
	for _, final := range []bool{false, true} {
		l := &limiter{}
		g := w.Guard(inShadow, withLimiter(l), withPolicy(always(guard.Decision{
			Kind: guard.Allow, Anonymous: true, Final: final, Constraints: &guard.Constraints{MaxRuntime: time.Minute, MaxResultBytes: 1, MaxConcurrent: 1},
		})))
		grant, err := g.Check(t.Context(), guardtest.Call("x", "{}"))
		if err != nil || l.held.Load() != 1 || (grant.Constraints() != nil) != final {
			t.Fatalf("final %v: %+v, %v", final, grant, err)
		}
		if d := last(t, w.Recorder.Decisions()); d.Shadow == final || d.Constraints.MaxConcurrent != 1 {
			t.Errorf("final %v: recorded %+v", final, d)
		}
		o := grant.Run(t.Context(), func(ctx context.Context) guard.Outcome {
			if _, bound := ctx.Deadline(); bound != final {
				t.Errorf("final %v: has a deadline: %v", final, bound)
			}
			return guard.Outcome{Result: []byte("too large")}
		})
		if err := grant.Finish(t.Context(), o); (err != nil) != final || l.held.Load() != 0 {
			t.Errorf("final %v: %v", final, err)
		}
		l.answer = limitedBy(guard.CauseConcurrency)
		_, err = g.Check(t.Context(), guardtest.Call("x", "{}"))
		if d := last(t, w.Recorder.Decisions()); (err != nil) != final || d.DenyReason != string(guard.CodeConstraintExceeded) || d.Shadow == final {
			t.Errorf("final %v: %v, recorded %+v", final, err, d)
		}
	}
}

// TestShadowRule: a rule in shadow changes nothing, and the record says what the caller would have met.
func TestShadowRule(t *testing.T) {
	w := guardtest.New(t)
	open := guard.Decision{Kind: guard.Allow, Rule: "open", Anonymous: true}
	closed := guard.Decision{Kind: guard.Deny, Rule: "closed"}
	limits := &guard.Constraints{MaxResultBytes: 1}
	bound := guard.Decision{Kind: guard.Allow, Rule: "bound", Anonymous: true, Constraints: limits}
	for name, c := range map[string]struct {
		enforced guard.Decision
		tried    *guard.Shadowed
		kind     evidence.DecisionKind // none: nothing is recorded
		reason   guard.Code
	}{
		"none":                {open, nil, "", ""},
		"without a name":      {open, &guard.Shadowed{}, "", ""},
		"denies":              {open, &guard.Shadowed{Rule: "s"}, evidence.Deny, guard.CodeAuthMissing},
		"approval":            {open, &guard.Shadowed{Rule: "s", Kind: guard.RequireApproval, Anonymous: true}, evidence.RequireApproval, guard.CodeApprovalRequired},
		"level":               {open, &guard.Shadowed{Rule: "s", Kind: guard.Allow, MinLevel: badge.LevelDomain}, evidence.Deny, guard.CodeAuthMissing},
		"constraints":         {open, &guard.Shadowed{Rule: "s", Kind: guard.Allow, Anonymous: true, Constraints: limits}, evidence.AllowWithConstraints, ""},
		"more constraints":    {bound, &guard.Shadowed{Rule: "s", Kind: guard.Allow, Anonymous: true, Constraints: &guard.Constraints{MaxResultBytes: 2}}, evidence.AllowWithConstraints, ""},
		"same constraints":    {bound, &guard.Shadowed{Rule: "s", Kind: guard.AllowWithConstraints, Anonymous: true, Constraints: limits}, "", ""},
		"nobody enforces":     {open, &guard.Shadowed{Rule: "s", Kind: guard.AllowWithConstraints, Anonymous: true, Constraints: oneAtATime}, evidence.Deny, guard.CodeAuthMissing},
		"allows what is open": {open, &guard.Shadowed{Rule: "s", Kind: guard.Allow, Anonymous: true}, "", ""},
		"allows":              {closed, &guard.Shadowed{Rule: "s", Kind: guard.Allow, Anonymous: true}, evidence.Allow, ""},
		"denies what is":      {closed, &guard.Shadowed{Rule: "s"}, "", ""},
		"beside no rule":      {guard.Decision{NoRule: true}, &guard.Shadowed{Rule: "s", Kind: guard.Allow, Anonymous: true}, evidence.Allow, ""},
	} {
		c.enforced.Shadow = c.tried
		g := w.Guard(withPolicy(always(c.enforced)))
		_, err := g.Check(t.Context(), guardtest.Call("x", "{}"))
		d := last(t, w.Recorder.Decisions())
		if (err == nil) != (c.enforced.Kind == guard.Allow) || d.Rule != c.enforced.Rule || d.Shadow {
			t.Errorf("%s: %v, recorded %+v", name, err, d)
		}
		rule := "s"
		if c.kind == "" {
			rule = ""
		}
		if d.ShadowRule != rule || d.ShadowKind != c.kind || d.ShadowReason != string(c.reason) {
			t.Errorf("%s: recorded %q, %q, %q", name, d.ShadowRule, d.ShadowKind, d.ShadowReason)
		}
	}
	open.Shadow = &guard.Shadowed{Rule: "s", Kind: guard.Allow, MinLevel: badge.LevelDomain}
	r := guardtest.Call("x", "{}")
	r.Require, r.RequireIsRule = badge.LevelExtended, true
	r.Badge = "" // the annotation holds for the rule in shadow, too: both refuse
	if _, err := w.Guard(withPolicy(always(open))).Check(t.Context(), r); err == nil {
		t.Error("allowed")
	}
	if d := last(t, w.Recorder.Decisions()); d.ShadowRule != "" {
		t.Errorf("recorded %+v", d)
	}
}

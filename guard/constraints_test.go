package guard_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
)

func ptr[T any](v T) *T { return &v }

// under is a policy that lets everybody do everything under constraints.
func under(c *guard.Constraints) guard.Policy {
	return always(guard.Decision{Kind: guard.AllowWithConstraints, Rule: "bound", Anonymous: true, Constraints: c})
}

func withLimiter(l guard.Limiter) func(*guard.Config) {
	return func(c *guard.Config) { c.Limiter = l }
}

// TestConstraintsUnsupported: an obligation that nothing here can meet is not one that may be skipped.
func TestConstraintsUnsupported(t *testing.T) {
	w := guardtest.New(t)
	enforces := func(names ...string) func(*guard.Config) {
		return func(c *guard.Config) { c.Enforces = names }
	}
	for name, c := range map[string]struct {
		kind guard.Answer
		c    *guard.Constraints
		edit func(*guard.Config)
	}{
		"none at all":         {guard.AllowWithConstraints, nil, withLimiter(&limiter{})},
		"none in them":        {guard.AllowWithConstraints, &guard.Constraints{}, withLimiter(&limiter{})},
		"allow, none in them": {guard.Allow, &guard.Constraints{}, withLimiter(&limiter{})},
		"rate":                {guard.AllowWithConstraints, &guard.Constraints{RatePerMinute: 1}, enforces()},
		"concurrency":         {guard.AllowWithConstraints, &guard.Constraints{MaxConcurrent: 1}, enforces()},
		"retries":             {guard.AllowWithConstraints, &guard.Constraints{MaxRetries: ptr(0)}, enforces()},
		"allow, and retries":  {guard.Allow, &guard.Constraints{MaxRetries: ptr(0)}, enforces()},
		"network":             {guard.AllowWithConstraints, &guard.Constraints{NetworkAllowlist: []string{}}, withLimiter(&limiter{})},
		"one of two":          {guard.AllowWithConstraints, &guard.Constraints{MaxRuntime: 1, NetworkAllowlist: []string{"a"}}, enforces(guard.ConstraintRate)},
		"negative runtime":    {guard.AllowWithConstraints, &guard.Constraints{MaxRuntime: -1}, enforces()},
		"negative size":       {guard.AllowWithConstraints, &guard.Constraints{MaxResultBytes: -1}, enforces()},
		"negative rate":       {guard.AllowWithConstraints, &guard.Constraints{RatePerMinute: -1}, withLimiter(&limiter{})},
		"negative concurrent": {guard.AllowWithConstraints, &guard.Constraints{MaxConcurrent: -1}, withLimiter(&limiter{})},
		"negative retries":    {guard.AllowWithConstraints, &guard.Constraints{MaxRetries: ptr(-1)}, withLimiter(&limiter{})},
	} {
		t.Run(name, func(t *testing.T) {
			g := w.Guard(withPolicy(always(guard.Decision{Kind: c.kind, Anonymous: true, Constraints: c.c})), c.edit)
			_, err := g.Check(t.Context(), w.Agent(badge.LevelDomain).Call("x", "{}"))
			if got := refusal(t, err); got.Code != guard.CodePolicyDenied || got.Cause != guard.CauseConstraintsUnsupported || !got.Hidden {
				t.Errorf("got %+v", got)
			}
			_, err = g.Check(t.Context(), guardtest.Call("x", "{}"))
			if got := refusal(t, err); got.Code != guard.CodeAuthMissing || got.Cause != "" {
				t.Errorf("anonymous: got %+v", got)
			}
			if d := last(t, w.Recorder.Decisions()); d.Kind != evidence.Deny || d.DenyCause != guard.CauseConstraintsUnsupported || !d.Constraints.IsZero() {
				t.Errorf("recorded %+v", d)
			}
		})
	}
}

// TestConstraintsGranted: what can be enforced is granted, and the record says under what.
func TestConstraintsGranted(t *testing.T) {
	w := guardtest.New(t)
	all := &guard.Constraints{
		MaxRuntime: 1500 * time.Millisecond, MaxRetries: ptr(0), MaxResultBytes: 1 << 62, RatePerMinute: 2, MaxConcurrent: 3,
		NetworkAllowlist: []string{"a.example", "b.example:443"},
	}
	want := evidence.Constraints{
		MaxRuntimeSec: 2, MaxRetries: ptr(uint64(0)), MaxResultBytes: 999_999_999_999_999, RatePerMinute: 2, MaxConcurrent: 3,
		NetworkAllowlist: ptr("a.example b.example:443"),
	}
	for _, kind := range []guard.Answer{guard.Allow, guard.AllowWithConstraints} {
		g := w.Guard(withLimiter(&limiter{}), func(c *guard.Config) {
			c.Policy = always(guard.Decision{Kind: kind, Anonymous: true, Constraints: all})
			c.Enforces = []string{guard.ConstraintNetwork}
		})
		grant, err := g.Check(t.Context(), guardtest.Call("x", "{}"))
		if err != nil {
			t.Fatal(err)
		}
		if grant.Constraints() != all {
			t.Errorf("granted under %+v", grant.Constraints())
		}
		d := last(t, w.Recorder.Decisions())
		got := d.Constraints
		if d.Kind != evidence.AllowWithConstraints || *got.MaxRetries != *want.MaxRetries || *got.NetworkAllowlist != *want.NetworkAllowlist {
			t.Errorf("recorded %+v", d)
		}
		got.MaxRetries, got.NetworkAllowlist = want.MaxRetries, want.NetworkAllowlist
		if got != want {
			t.Errorf("recorded %+v", got)
		}
	}
	g := w.Guard(withPolicy(under(&guard.Constraints{MaxResultBytes: 1})))
	l, err := g.List(t.Context(), listRequest(nil))
	if err != nil {
		t.Fatal(err)
	}
	if visible, _, err := l.Filter(t.Context(), []guard.Item{item("x")}); err != nil || !visible[0] {
		t.Errorf("what may be used under constraints is not listed: %v", err)
	}
}

// TestConstraintsOfSeveral: of each constraint the tightest of all that a request uses holds.
func TestConstraintsOfSeveral(t *testing.T) {
	w := guardtest.New(t)
	by := map[string]*guard.Constraints{
		"a": {MaxRuntime: time.Minute, MaxResultBytes: 7, MaxRetries: ptr(3), NetworkAllowlist: []string{"a", "b"}},
		"b": {MaxRuntime: time.Second, RatePerMinute: 5, MaxRetries: ptr(1), NetworkAllowlist: []string{"b", "c"}},
	}
	g := w.Guard(withLimiter(&limiter{}), func(c *guard.Config) {
		c.Enforces = []string{guard.ConstraintNetwork}
		c.Policy = policyFunc(func(in *guard.Input) (guard.Decision, error) {
			return guard.Decision{Kind: guard.Allow, Anonymous: true, Constraints: by[in.Capability.Name]}, nil
		})
	})
	r := guardtest.Call("a", "{}")
	r.Further = []guard.Item{item("free"), item("b")}
	grant, err := g.Check(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	c := grant.Constraints()
	if c.MaxRuntime != time.Second || c.MaxResultBytes != 7 || *c.MaxRetries != 1 || c.RatePerMinute != 5 || !slices.Equal(c.NetworkAllowlist, []string{"b"}) {
		t.Errorf("granted under %+v", c)
	}
	if len(by["a"].NetworkAllowlist) != 2 || by["a"].NetworkAllowlist[0] != "a" {
		t.Errorf("the policy's own constraints were changed to %q", by["a"].NetworkAllowlist)
	}
}

// TestApprovalUnderConstraints: an approval that nobody gave is not replaced by constraints, enforceable or not.
func TestApprovalUnderConstraints(t *testing.T) {
	w := guardtest.New(t)
	for _, c := range []*guard.Constraints{{MaxRuntime: time.Second}, {NetworkAllowlist: []string{}}, {MaxRetries: ptr(0)}} {
		g := w.Guard(withPolicy(always(guard.Decision{Kind: guard.RequireApproval, Anonymous: true, Constraints: c})))
		_, err := g.Check(t.Context(), guardtest.Call("x", "{}"))
		if got := refusal(t, err); got.Code != guard.CodeApprovalRequired {
			t.Errorf("got %+v", got)
		}
		if d := last(t, w.Recorder.Decisions()); d.Kind != evidence.RequireApproval || d.Constraints.IsZero() {
			t.Errorf("recorded %+v", d)
		}
	}
}

// asking is a policy that says what it may ask for.
type asking struct {
	guard.Policy
	names []string
}

func (c asking) Constraints() []string { return c.names }

// TestConstraintsWhenLoaded: a policy that asks for what nobody enforces is refused before it decides anything.
func TestConstraintsWhenLoaded(t *testing.T) {
	w := guardtest.New(t)
	for _, c := range []struct {
		asks, enforces []string
		limiter        guard.Limiter
		refused        string
	}{
		{asks: nil},
		{asks: []string{guard.ConstraintRuntime, guard.ConstraintResultSize}},
		{asks: []string{guard.ConstraintRate}, refused: guard.ConstraintRate},
		{asks: []string{guard.ConstraintRate, guard.ConstraintConcurrency, guard.ConstraintRetries}, limiter: &limiter{}},
		{asks: []string{guard.ConstraintNetwork}, limiter: &limiter{}, refused: guard.ConstraintNetwork},
		{asks: []string{guard.ConstraintNetwork, guard.ConstraintRate}, enforces: []string{guard.ConstraintRate, guard.ConstraintNetwork}},
		{asks: []string{"max_cost"}, limiter: &limiter{}, refused: "max_cost"},
		{enforces: []string{"max_cost"}, refused: "max_cost"},
		{enforces: []string{""}, refused: `""`},
	} {
		cfg := &guard.Config{
			Evidence: w.Recorder, Policy: asking{guard.UnsafeAllowAll{}, c.asks}, Limiter: c.limiter, Enforces: c.enforces,
		}
		_, err := guard.New(cfg)
		if (err != nil) != (c.refused != "") || err != nil && !strings.Contains(err.Error(), c.refused) {
			t.Errorf("asks for %q, enforces %q: %v", c.asks, c.enforces, err)
		}
	}
	for _, cfg := range []*guard.Config{{Grace: -1}, {MaxAbandoned: -1}} {
		cfg.Evidence, cfg.Policy = w.Recorder, guard.UnsafeAllowAll{}
		if _, err := guard.New(cfg); err == nil {
			t.Errorf("grace %v, %d abandoned: accepted", cfg.Grace, cfg.MaxAbandoned)
		}
	}
	cfg := &guard.Config{Enforces: []string{guard.ConstraintNetwork, guard.ConstraintRuntime}}
	if got := cfg.EnforcedConstraints(); strings.Join(got, " ") != "max_result_bytes max_runtime_sec network_allowlist" {
		t.Errorf("enforces %q", got)
	}
	cfg.Limiter, cfg.Included, cfg.Cosigned = &limiter{}, confirmer{}, confirmer{}
	if got := cfg.EnforcedConstraints(); !slices.Equal(got, guard.ConstraintNames()) {
		t.Errorf("enforces %q", got)
	}
}

package authzen_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/policy/authzen"
)

// fixed always answers the same.
type fixed struct {
	guard.Decision
	err   error
	asked atomic.Int32
}

func (f *fixed) Decide(context.Context, *guard.Input) (guard.Decision, error) {
	f.asked.Add(1)
	return f.Decision, f.err
}

func TestAll(t *testing.T) {
	retries := 3
	open := guard.Decision{Kind: guard.Allow, Rule: "o", Anonymous: true, Version: "v"}
	bound := guard.Decision{Kind: guard.AllowWithConstraints, Rule: "b", Anonymous: true, Constraints: &guard.Constraints{MaxRetries: &retries}}
	nobody := guard.Decision{Kind: guard.Allow, Rule: "n"}
	denies := guard.Decision{Kind: guard.Deny, Rule: "d"}
	level := guard.Decision{Kind: guard.Allow, Rule: "l", MinLevel: badge.LevelDomain}
	approval := guard.Decision{Kind: guard.RequireApproval, Rule: "a", Anonymous: true}
	none := guard.Decision{NoRule: true}
	for _, test := range []struct {
		a, b   guard.Decision
		kind   guard.Answer
		rule   string
		level  badge.Level
		noRule bool
		asked  int32
	}{
		{a: open, b: open, kind: guard.Allow, rule: "o", asked: 1},
		{a: open, b: bound, kind: guard.AllowWithConstraints, rule: "b", asked: 1},
		{a: open, b: denies, kind: guard.Deny, rule: "d", asked: 1},
		{a: open, b: approval, kind: guard.RequireApproval, rule: "a", asked: 1},
		{a: open, b: level, kind: guard.Allow, rule: "o", level: badge.LevelDomain, asked: 1},
		{a: open, b: nobody, kind: guard.Allow, rule: "o", level: guard.LevelUnsatisfiable, asked: 1},
		{a: denies, b: open, kind: guard.Deny, rule: "d"},
		{a: nobody, b: open, kind: guard.Allow, rule: "n"},
		{a: level, b: open, kind: guard.Allow, rule: "l", level: badge.LevelDomain}, // below it, so that nobody else is asked
		{a: none, b: none, noRule: true, asked: 1},
		{a: none, b: open, noRule: true, asked: 1},
		{a: none, b: bound, kind: guard.Deny, rule: "b", asked: 1},
		{a: none, b: level, kind: guard.Deny, rule: "l", asked: 1},
		{a: none, b: denies, kind: guard.Deny, rule: "d", asked: 1},
		{a: open, b: none, noRule: true, asked: 1},
		{a: approval, b: none, kind: guard.Deny, rule: "a", asked: 1},
	} {
		a, b := &fixed{Decision: test.a}, &fixed{Decision: test.b}
		in := input("t", "")
		in.Require = badge.LevelRegistered
		d, err := authzen.All(a, b).Decide(t.Context(), in)
		if err != nil || d.Kind != test.kind || d.Rule != test.rule || d.MinLevel != test.level || d.NoRule != test.noRule ||
			b.asked.Load() != test.asked || d.Anonymous && d.MinLevel != badge.LevelNone {
			t.Errorf("%+v and %+v: %+v, %v, asked %d times", test.a, test.b, d, err, b.asked.Load())
		}
	}
}

// Of random answers the combination never lets anybody do what one of them does not.
func TestAllLetsNothingThrough(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same cases each time
	some := func() *fixed {
		f := &fixed{Decision: guard.Decision{
			Kind: guard.Answer(rng.IntN(4)), NoRule: rng.IntN(6) == 0, Rule: "r", Anonymous: rng.IntN(2) == 0,
		}}
		if rng.IntN(2) == 0 {
			f.MinLevel = badge.Level(rng.IntN(6))
		}
		if rng.IntN(10) == 0 {
			f.err = errors.New("no answer")
		}
		return f
	}
	lets := func(f *fixed) bool {
		code, _ := f.Against(badge.LevelNone)
		return code == "" && f.err == nil
	}
	for range 30_000 {
		a, b, c := some(), some(), some()
		d, err := authzen.All(a, b, c).Decide(t.Context(), input("t", ""))
		code, _ := d.Against(badge.LevelNone)
		if got, want := err == nil && code == "", lets(a) && lets(b) && lets(c); got != want {
			t.Fatalf("%+v, %+v, %+v: %+v, %v", a.Decision, b.Decision, c.Decision, d, err)
		}
	}
}

// A list costs one request, and no entry that the local policy does not show is asked about.
func TestLists(t *testing.T) {
	var requests atomic.Int32
	s := newService(t, func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		if r.URL.Path != "/access/v1/evaluations" {
			t.Errorf("path %s", r.URL.Path)
		}
		answers(`{"evaluations":[{"decision":true},{"decision":false}]}`)(w, r)
	})
	local := local(t, "  - {id: readers, match: {tool: \"read_*\"}, anonymous: true, decision: allow}\n")
	all := authzen.All(local, client(t, s.URL)).(guard.ListPolicy)
	var ins []*guard.Input
	for _, name := range []string{"read_a", "write", "read_b"} {
		in := input(name, "")
		in.Verb, in.Method = guard.Discover, "tools/list"
		ins = append(ins, in)
	}
	decisions, errs := all.DecideAll(t.Context(), ins)
	if err := errors.Join(errs...); err != nil || decisions[0].Kind != guard.Allow || !decisions[1].NoRule ||
		decisions[2].NoRule || decisions[2].Kind != guard.Deny {
		t.Errorf("%+v, %v", decisions, err)
	}
	if requests.Load() != 1 {
		t.Errorf("%d requests", requests.Load())
	}
	for _, text := range []string{
		`{"evaluations":[{"decision":true}]}`, `{"evaluations":[{"decision":true},{"decision":true},{"decision":true},{"decision":true}]}`,
		`{"evaluations":[{"decision":true},{"decision":"true"},{"decision":true}]}`, yes, `{"evaluations":null}`, `{"Evaluations":[]}`,
		`{"decision":true,"evaluations":{}}`,
	} {
		s.set(answers(text))
		decisions, errs := all.DecideAll(t.Context(), ins)
		if errs[0] == nil || !decisions[1].NoRule || errs[2] == nil {
			t.Errorf("%s: %+v, %v", text, decisions, errs)
		}
	}
}

func TestVersions(t *testing.T) {
	s := newService(t, answers(`{"decision":true,"context":{"policy_version":"r7"}}`))
	p := local(t, readers)
	all := authzen.All(p, client(t, s.URL))
	if v := all.(guard.Versioned).Version(); v != "all "+p.Version()+", authzen "+s.URL {
		t.Error(v)
	}
	w := guardtest.New(t)
	g := w.Guard(func(cfg *guard.Config) { cfg.Policy = all })
	allowed(t, g, w.Agent(badge.LevelDomain).Call("read_a", `{}`))
	if d := w.Recorder.Decisions()[0]; d.PolicyVersion != "all "+p.Version()+", authzen "+s.URL+" r7" || d.Rule != "readers" {
		t.Errorf("%s %s", d.PolicyVersion, d.Rule)
	}
	many := []guard.Policy{}
	for i := range 20 {
		many = append(many, &fixed{Decision: guard.Decision{Kind: guard.Allow, Anonymous: true, Version: fmt.Sprintf("policies of part %d", i)}})
	}
	d, err := authzen.All(p, append(many, p)...).Decide(t.Context(), input("t", ""))
	if err != nil || !strings.HasPrefix(d.Version, "sha256:") || len(d.Version) != 50 {
		t.Errorf("%s, %v", d.Version, err)
	}
}

package guard_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
)

func item(name string) guard.Item {
	return guard.Item{Capability: guard.Capability{Kind: guard.KindTool, Name: name}}
}

func listRequest(a *guardtest.Agent) *guard.Request {
	r := &guard.Request{Verb: guard.Discover, Method: "tools/list"}
	if a != nil {
		r.Badge = a.Badge
	}
	return r
}

var catalog = []guard.Item{
	item("need0"), item("need2"), item("need4"), item("other"), item("broken"), item("ask"), item("open"),
	{Capability: guard.Capability{Kind: guard.KindTool, Name: "annotated"}, Require: badge.LevelSelfSigned, RequireIsRule: true},
	{Capability: guard.Capability{Kind: guard.KindTool, Name: "upstream"}, Require: badge.LevelSelfSigned},
	{Capability: guard.Capability{Kind: guard.KindTool, Name: "need0"}, Require: badge.LevelExtended},
}

var listPolicy = policyFunc(func(in *guard.Input) (guard.Decision, error) {
	switch in.Capability.Name {
	case "broken":
		return guard.Decision{Kind: guard.Allow, Anonymous: true}, errors.New("down")
	case "ask":
		return guard.Decision{Kind: guard.RequireApproval, MinLevel: badge.LevelSelfSigned}, nil
	case "open":
		return guard.Decision{Kind: guard.Allow, Anonymous: true}, nil
	}
	return levels(in)
})

func TestListFilter(t *testing.T) {
	w := guardtest.New(t)
	g := w.Guard(withPolicy(listPolicy))
	for _, c := range []struct {
		name  string
		agent *guardtest.Agent
		want  []int
	}{
		{"anonymous", nil, []int{6}},
		{"level 0", w.Agent(badge.LevelSelfSigned), []int{0, 5, 6, 7}},
		{"level 2", w.Agent(badge.LevelDomain), []int{0, 1, 5, 6, 7}},
		{"level 4", w.Agent(badge.LevelExtended), []int{0, 1, 2, 5, 6, 7, 9}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := g.List(t.Context(), listRequest(c.agent))
			if err != nil {
				t.Fatal(err)
			}
			visible, ack, err := l.Filter(t.Context(), catalog)
			if err != nil || ack.ID == "" {
				t.Fatal(ack, err)
			}
			var got []int
			for i, v := range visible {
				if v {
					got = append(got, i)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("visible %v, want %v", got, c.want)
			}
			d := last(t, w.Recorder.Decisions())
			if d.Kind != evidence.Allow || *d.Shown != uint64(len(c.want)) || *d.Withheld != uint64(len(catalog)-len(c.want)) {
				t.Errorf("recorded %+v: %d shown, %d withheld", d, *d.Shown, *d.Withheld)
			}
		})
	}
	if w.Recorder.Open() != 0 {
		t.Error("a list waits for an outcome")
	}
}

// TestListAgreesWithCheck: what is shown can be called or asked for, and what is withheld cannot.
func TestListAgreesWithCheck(t *testing.T) {
	w := guardtest.New(t)
	g := w.Guard(withPolicy(listPolicy))
	for level := badge.LevelSelfSigned; level <= badge.LevelExtended; level++ {
		l, err := g.List(t.Context(), listRequest(w.Agent(level)))
		if err != nil {
			t.Fatal(err)
		}
		visible, _, err := l.Filter(t.Context(), catalog)
		if err != nil {
			t.Fatal(err)
		}
		for i, it := range catalog {
			r := w.Agent(level).Call(it.Capability.Name, "{}")
			r.Require, r.RequireIsRule = it.Require, it.RequireIsRule
			_, err := g.Check(t.Context(), r)
			if usable := err == nil || guard.RefusalOf(err).Code == guard.CodeApprovalRequired; usable != visible[i] {
				t.Errorf("level %v, item %d: visible %v, call: %v", level, i, visible[i], err)
			}
		}
	}
}

func TestListRefusals(t *testing.T) {
	w := guardtest.New(t)
	g := w.Guard(withPolicy(levels))
	bad := listRequest(nil)
	bad.Badge = "x"
	if _, err := g.List(t.Context(), bad); guard.RefusalOf(err).Code != guard.CodeBadgeInvalid {
		t.Errorf("bad badge: %v", err)
	}
	if d := last(t, w.Recorder.Decisions()); d.Kind != evidence.Deny || d.Shown != nil {
		t.Errorf("recorded %+v", d)
	}
	replayed := listRequest(w.Agent(badge.LevelDomain))
	replayed.Proof, replayed.TxnID = w.Agent(badge.LevelDomain).Prove(&pop.Call{Method: "tools/list"})
	if _, err := g.List(t.Context(), replayed); err != nil {
		t.Fatal(err)
	}
	if _, err := g.List(t.Context(), replayed); guard.RefusalOf(err).Code != guard.Code(pop.CodeReplayed) {
		t.Errorf("proof used before: %v", err)
	}
	l, err := g.List(t.Context(), listRequest(nil))
	if err != nil {
		t.Fatal(err)
	}
	w.Recorder.Fail(errors.New("disk full"))
	if visible, _, err := l.Filter(t.Context(), catalog); guard.RefusalOf(err).Code != guard.CodeEvidenceUnavailable || visible != nil {
		t.Errorf("without evidence: %v, %v", visible, err)
	}
}

type proving struct{ guard.Policy }

func (proving) RequireDiscoveryProof() bool { return true }

func TestDiscoveryProof(t *testing.T) {
	w := guardtest.New(t)
	g := w.Guard(withPolicy(proving{levels}))
	agent := w.Agent(badge.LevelDomain)
	if _, err := g.List(t.Context(), listRequest(agent)); guard.RefusalOf(err).Code != guard.Code(pop.CodeMissing) {
		t.Errorf("without proof: %v", err)
	}
	r := listRequest(agent)
	r.Proof, r.TxnID = agent.Prove(&pop.Call{Method: "tools/list"})
	if _, err := g.List(t.Context(), r); err != nil {
		t.Error(err)
	}
	if _, err := g.List(t.Context(), listRequest(nil)); err != nil {
		t.Errorf("anonymous: %v", err)
	}
}

func TestListShadow(t *testing.T) {
	w := guardtest.New(t)
	g := w.Guard(withPolicy(listPolicy), func(c *guard.Config) { c.UnsafeShadow = true })
	bad := listRequest(nil)
	bad.Badge = "x"
	for _, c := range []struct {
		r     *guard.Request
		shown uint64
		kind  evidence.DecisionKind
	}{{listRequest(nil), 1, evidence.Allow}, {bad, 0, evidence.Deny}} {
		l, err := g.List(t.Context(), c.r)
		if err != nil {
			t.Fatal(err)
		}
		visible, _, err := l.Filter(t.Context(), catalog)
		if err != nil || slices.Contains(visible, false) {
			t.Errorf("got %v, %v", visible, err)
		}
		if d := last(t, w.Recorder.Decisions()); *d.Shown != c.shown || !d.Shadow || d.Kind != c.kind {
			t.Errorf("recorded %+v, %d shown", d, *d.Shown)
		}
	}
	if w.Recorder.Open() != 0 {
		t.Error("a list waits for an outcome")
	}
}

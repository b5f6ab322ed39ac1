package guard_test

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
)

type factSource func(*guard.Principal, *guard.Request) (guard.Facts, error)

func (f factSource) Facts(_ context.Context, p *guard.Principal, r *guard.Request) (guard.Facts, error) {
	return f(p, r)
}

func withFacts(f factSource) func(*guard.Config) {
	return func(c *guard.Config) { c.Facts = f }
}

func knows(f guard.Facts) factSource {
	return func(*guard.Principal, *guard.Request) (guard.Facts, error) { return f, nil }
}

// TestFacts: what two sources know is put together; what they disagree about is not known.
func TestFacts(t *testing.T) {
	w := guardtest.New(t)
	claims := func(s string) json.RawMessage { return json.RawMessage(s) }
	for name, c := range map[string]struct{ adapter, source, want guard.Facts }{
		"none":     {},
		"adapter":  {guard.Facts{Server: "a", Actor: guard.ActorHuman}, guard.Facts{}, guard.Facts{Server: "a", Actor: guard.ActorHuman}},
		"source":   {guard.Facts{}, guard.Facts{Tenant: "t", Claims: claims(`{}`)}, guard.Facts{Tenant: "t", Claims: claims(`{}`)}},
		"together": {guard.Facts{Environment: "e"}, guard.Facts{Tenant: "t"}, guard.Facts{Environment: "e", Tenant: "t"}},
		"agree":    {guard.Facts{Server: "a", Claims: claims(`1`)}, guard.Facts{Server: "a", Claims: claims(`1`)}, guard.Facts{Server: "a", Claims: claims(`1`)}},
		"disagree": {
			guard.Facts{Server: "a", Environment: "a", Tenant: "a", Actor: guard.ActorHuman, Claims: claims(`1`)},
			guard.Facts{Server: "b", Environment: "b", Tenant: "b", Actor: guard.ActorAutomation, Claims: claims(`2`)},
			guard.Facts{Disputed: true, DisputedServer: true, DisputedEnvironment: true},
		},
		"disputed by the adapter": {
			guard.Facts{Server: "a", DisputedServer: true, DisputedEnvironment: true}, guard.Facts{Server: "a", Environment: "e"},
			guard.Facts{DisputedServer: true, DisputedEnvironment: true},
		},
		"no class":             {guard.Facts{Actor: "robot"}, guard.Facts{}, guard.Facts{Disputed: true}},
		"disputed":             {guard.Facts{Disputed: true}, guard.Facts{Actor: guard.ActorHuman}, guard.Facts{Disputed: true}},
		"no class and a class": {guard.Facts{Actor: "robot"}, guard.Facts{Actor: guard.ActorHuman}, guard.Facts{Disputed: true}},
	} {
		var seen []guard.Facts
		g := w.Guard(withFacts(knows(c.source)), withPolicy(policyFunc(func(in *guard.Input) (guard.Decision, error) {
			seen = append(seen, in.Facts)
			return guard.Decision{Kind: guard.Allow, Anonymous: true}, nil
		})))
		r := guardtest.Call("x", "{}")
		r.Facts = c.adapter
		if _, err := g.Check(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if d := last(t, w.Recorder.Decisions()); d.Actor != string(c.want.Actor) || d.Tenant != c.want.Tenant {
			t.Errorf("%s: recorded %+v", name, d)
		}
		list := listRequest(nil)
		list.Facts = c.adapter
		l, err := g.List(t.Context(), list)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := l.Filter(t.Context(), []guard.Item{item("x")}); err != nil {
			t.Fatal(err)
		}
		if d := last(t, w.Recorder.Decisions()); d.Actor != string(c.want.Actor) || d.Tenant != c.want.Tenant {
			t.Errorf("%s: recorded of the list %+v", name, d)
		}
		if !reflect.DeepEqual(seen, []guard.Facts{c.want, c.want}) {
			t.Errorf("%s: the policy saw %+v", name, seen)
		}
		if !reflect.DeepEqual(r.Facts, c.adapter) {
			t.Errorf("%s: the request was changed", name)
		}
	}
}

// TestFactsFail: a source that cannot tell leaves nothing to decide by. It is not asked about callers that nobody knows.
func TestFactsFail(t *testing.T) {
	w := guardtest.New(t)
	for cause, source := range map[string]factSource{
		guard.CauseFacts: func(*guard.Principal, *guard.Request) (guard.Facts, error) {
			return guard.Facts{Actor: guard.ActorHuman}, errors.New("no route to host")
		},
		guard.CausePanic: func(*guard.Principal, *guard.Request) (guard.Facts, error) { panic("facts") },
	} {
		g := w.Guard(withFacts(source), withPolicy(guard.UnsafeAllowAll{}))
		_, err := g.Check(t.Context(), w.Agent(badge.LevelExtended).Call("x", "{}"))
		if got := refusal(t, err); got.Code != guard.CodePolicyIndeterminate || got.Cause != cause || got.EvidenceID == "" {
			t.Errorf("got %+v", got)
		}
		if d := last(t, w.Recorder.Decisions()); d.Kind != evidence.Deny || d.DenyCause != cause || d.Actor != "" || d.Caller.Level != "4" {
			t.Errorf("recorded %+v", d)
		}
		if _, err := g.List(t.Context(), listRequest(nil)); guard.RefusalOf(err).Code != guard.CodePolicyIndeterminate {
			t.Errorf("list: %v", err)
		}
		bad := guardtest.Call("x", "{}")
		bad.Badge, bad.Facts.Tenant = "x", "acme"
		if _, err := g.Check(t.Context(), bad); guard.RefusalOf(err).Code != guard.CodeBadgeInvalid {
			t.Errorf("not a badge: %v", err)
		}
		if d := last(t, w.Recorder.Decisions()); d.Tenant != "acme" {
			t.Errorf("not a badge: recorded %+v", d)
		}
		if err := g.Refuse(t.Context(), bad, guard.CodeRequestMalformed, "X"); err == nil {
			t.Error("no refusal")
		}
		if d := last(t, w.Recorder.Decisions()); d.Tenant != "acme" {
			t.Errorf("refused: recorded %+v", d)
		}
	}
	g := w.Guard(withPolicy(guard.UnsafeAllowAll{}), withFacts(func(p *guard.Principal, r *guard.Request) (guard.Facts, error) {
		if p.Level() != badge.LevelDomain || r.Method != "tools/call" {
			t.Errorf("asked about %+v, %+v", p, r)
		}
		return guard.Facts{}, nil
	}))
	if _, err := g.Check(t.Context(), w.Agent(badge.LevelDomain).Call("x", "{}")); err != nil {
		t.Error(err)
	}
}

// TestActorRecorded: the class that the policy found is recorded, and that of the facts where it looks for none.
func TestActorRecorded(t *testing.T) {
	w := guardtest.New(t)
	for _, c := range []struct {
		policy, facts guard.Actor
		want          string
	}{
		{"", "", ""}, {"", guard.ActorHuman, "human"}, {guard.ActorAutomation, guard.ActorHuman, "automation"},
		{guard.ActorSupervisedAI, "", "supervised_ai"}, {guard.ActorUnclear, guard.ActorHuman, ""}, {"robot", guard.ActorHuman, ""},
		{"", "robot", ""}, {"", guard.ActorUnclear, ""}, {guard.ActorServiceAccount, "robot", "service_account"},
	} {
		for _, kind := range []guard.Answer{guard.Allow, guard.Deny} {
			g := w.Guard(withPolicy(always(guard.Decision{Kind: kind, Anonymous: true, Actor: c.policy})))
			r := guardtest.Call("x", "{}")
			r.Facts.Actor = c.facts
			g.Check(t.Context(), r) //nolint:errcheck // its record counts
			if d := last(t, w.Recorder.Decisions()); d.Actor != c.want {
				t.Errorf("policy %q, facts %q: recorded %q", c.policy, c.facts, d.Actor)
			}
		}
	}
}

// TestClaimed: what a caller says of itself is recorded as claimed, and no policy sees it.
func TestClaimed(t *testing.T) {
	w := guardtest.New(t)
	g := w.Guard(withPolicy(policyFunc(func(in *guard.Input) (guard.Decision, error) {
		if !reflect.DeepEqual(in.Facts, guard.Facts{}) {
			t.Errorf("the policy saw %+v", in.Facts)
		}
		return guard.Decision{Kind: guard.RequireApproval, Anonymous: true}, nil
	})))
	r := guardtest.Call("x", "{}")
	r.Claimed = guard.Claimed{Actor: "human", Policy: "allow-all", Mode: "shadow", Approval: "granted"}
	_, err := g.Check(t.Context(), r)
	if got := refusal(t, err); got.Code != guard.CodeApprovalRequired {
		t.Errorf("got %+v", got)
	}
	d := last(t, w.Recorder.Decisions())
	if d.Claimed != evidence.Claimed(r.Claimed) || d.Actor != "" || d.Shadow {
		t.Errorf("recorded %+v", d)
	}
	if err := g.Refuse(t.Context(), r, guard.CodeRequestMalformed, ""); err == nil {
		t.Error("not refused")
	}
	if d := last(t, w.Recorder.Decisions()); d.Claimed.Mode != "shadow" || d.Shadow {
		t.Errorf("recorded %+v", d)
	}
}

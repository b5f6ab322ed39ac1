package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/did"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
)

// recordOf writes down what a guard would have, of a call that p decided.
func recordOf(t testing.TB, p *Policy, c *Call, d guard.Decision, sequence uint64) *evidence.Record {
	t.Helper()
	out := &evidence.Decision{
		Caller: evidence.Caller{Auth: evidence.AuthAnonymous}, Method: c.Method, Capability: string(c.Capability.Kind), Target: c.Capability.Name,
		Rule: d.Rule, PolicyVersion: p.Version(), Actor: string(c.Facts.Actor),
	}
	if p.actors != nil {
		out.Actor = string(d.Actor)
	}
	if c.Facts.Disputed || !guard.Actor(out.Actor).Known() {
		out.Actor = ""
	}
	if c.Caller.Level != badge.LevelNone {
		subject, err := did.Parse(c.Caller.DID)
		if err != nil {
			t.Fatal(err)
		}
		out.Caller = evidence.Caller{
			Auth: evidence.AuthBadge, DID: subject, Issuer: c.Caller.Issuer, Level: c.Caller.Level.String(), Assurance: c.Caller.Assurance,
		}
	}
	switch {
	case c.Caller.HasUID:
		out.Channel = evidence.Channel{Scheme: "unix", Subject: "uid:" + strconv.Itoa(int(c.Caller.UID))}
	case c.Caller.SPIFFEID != "":
		out.Channel = evidence.Channel{Scheme: "spiffe", Subject: c.Caller.SPIFFEID}
	}
	name, code, cause := answer(d, c.Caller.Level)
	out.Kind = evidence.DecisionKind(name)
	if !out.Kind.Allows() {
		out.DenyReason, out.DenyCause = string(code), cause
	}
	if d.MinLevel != badge.LevelNone {
		out.MinLevel = d.MinLevel.String()
	}
	return &evidence.Record{Header: evidence.Header{ID: fmt.Sprint("id", sequence), Sequence: sequence, Time: c.Time}, Decision: out}
}

func inOrder(records ...*evidence.Record) iter.Seq2[*evidence.Record, error] {
	return func(yield func(*evidence.Record, error) bool) {
		for _, r := range records {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// TestReplayNeverGuesses: of random policies and calls, what a replay tells from the record is what the policy answers
// to the call itself.
func TestReplayNeverGuesses(t *testing.T) {
	var all, toldAnswers, toldRules int
	policies := map[bool]*Policy{}
	for seed := range uint64(400) {
		g := &generator{rand.New(rand.NewPCG(seed, 3))}
		for _, before := range []bool{true, false} {
			for {
				text, err := json.Marshal(g.file())
				if err != nil {
					t.Fatal(err)
				}
				if policies[before], err = (&Config{Enforces: ConstraintNames()}).Parse(text); err == nil {
					break
				}
			}
		}
		old, p := policies[true], policies[false]
		if g.some(0.2) {
			p = old
		}
		for range callsEach {
			c := g.call()
			if c.Verb == guard.Discover {
				continue
			}
			if c.Caller.DID == "did:key:z6Mk" { // no DID
				c.Caller.DID = "did:web:a.example"
			}
			if c.Caller.Level == badge.LevelSelfSigned {
				c.Caller.BadgeActor = ""
			}
			if c.Caller.HasUID {
				c.Caller.SPIFFEID = "" // a channel has one scheme
			}
			cfg := &ReplayConfig{}
			if g.some(0.5) {
				cfg.Before = old
			}
			record := recordOf(t, old, c, old.decide(&question{call: *c}), 1)
			replay, err := p.Replay(inOrder(record), cfg)
			if err != nil || replay.Decisions+replay.Elsewhere != 1 {
				t.Fatalf("seed %d: %+v, %v", seed, replay, err)
			}
			if replay.Elsewhere > 0 {
				continue
			}
			all++
			if replay.Untold == 1 {
				continue
			}
			toldAnswers++
			d := p.decide(&question{call: *c})
			name, _, _ := answer(d, c.Caller.Level)
			got := ReplayChange{From: string(record.Decision.Kind), To: string(record.Decision.Kind), FromRule: record.Decision.Rule, ToRule: record.Decision.Rule}
			if len(replay.Changes) == 1 {
				got = replay.Changes[0]
			}
			if got.To != name || got.ToRule != d.Rule && got.ToRule != UntoldRule {
				t.Fatalf("seed %d: told %+v, is %s by %q\nold %s\nnew %s\n%+v\n%+v", seed, got, name, d.Rule, old.Canonical(), p.Canonical(), c, record.Decision)
			}
			if got.ToRule != UntoldRule {
				toldRules++
			}
		}
	}
	t.Logf("%d decisions, %d told, %d with the rule", all, toldAnswers, toldRules)
	if toldAnswers < all/2 || toldRules < all/3 || toldAnswers > all*99/100 {
		t.Errorf("of %d decisions %d told, %d with the rule", all, toldAnswers, toldRules)
	}
}

// TestReplay: what counts as what, and why something cannot be told.
func TestReplay(t *testing.T) {
	const text = `version: 1
rules:
  - {id: read, match: {tool: "read_*"}, min_level: 2, decision: allow}
  - {id: data, match: {tool: write, arguments: [{pointer: /path, prefix: /data/}]}, min_level: 1, decision: allow}
  - {id: acme, match: {tool: send, tenant: acme, caller: [{claims: [{pointer: /a, eq: 1}]}, {uid: 0}]}, min_level: 1, decision: require_approval}
  - {id: send, match: {tool: send}, min_level: 1, decision: allow}
  - {id: slow, match: {tool: slow}, min_level: 1, decision: allow_with_constraints, constraints: {max_concurrent: 1}}
  - {id: trial, match: {tool: "*"}, decision: deny, shadow: true}
  - {id: night, match: {tool: night, time: {hours: "00:00-06:00"}}, min_level: 1, decision: allow}
`
	p, err := (&Config{Enforces: ConstraintNames()}).Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	sequence := uint64(0)
	record := func(tool, level string, change func(*evidence.Decision)) *evidence.Record {
		sequence++
		d := &evidence.Decision{
			Caller: evidence.Caller{Auth: evidence.AuthBadge, Level: level, Issuer: "https://ca.example"}, Method: "tools/call", Capability: "tool",
			Target: tool, Kind: evidence.Allow, Rule: "old", PolicyVersion: "sha256:old", MinLevel: "1",
		}
		if change != nil {
			change(d)
		}
		return &evidence.Record{
			Header: evidence.Header{ID: fmt.Sprint("id", sequence), Sequence: sequence, Time: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}, Decision: d,
		}
	}
	denied := func(reason, cause string) func(*evidence.Decision) {
		return func(d *evidence.Decision) {
			d.Kind, d.DenyReason, d.DenyCause, d.Rule = evidence.Deny, reason, cause, ""
		}
	}
	one := uint64(1)
	records := []*evidence.Record{
		record("read_a", "2", func(d *evidence.Decision) { d.Rule = "read" }), // the same
		record("read_a", "1", nil), // stricter
		record("read_b", "1", nil), // stricter, in the same way
		record("read_a", "2", nil), // by another rule
		record("other", "4", denied("TOOL_POLICY_DENIED", guard.CauseNoRule)),      // the same
		record("read_a", "3", denied("TOOL_POLICY_DENIED", guard.CauseRuleDenies)), // looser
		record("write", "2", nil), // arguments
		record("write", "0", denied("TOOL_TRUST_INSUFFICIENT", "LEVEL_TOO_LOW")), // denied in either case
		record("send", "2", nil), // tenant, claims
		record("slow", "2", denied("CONSTRAINT_EXCEEDED", guard.CauseConcurrency)), // whether the limit was reached
		record("slow", "0", denied("CONSTRAINT_EXCEEDED", guard.CauseConcurrency)), // denied in either case
		record("night", "2", nil),    // stricter: by day
		record("sha256:x", "2", nil), // which tool
		record("read_a", "", denied("TOOL_BADGE_INVALID", "BADGE_EXPIRED")),           // elsewhere
		record("read_a", "2", denied("TOOL_NOT_FOUND", guard.CauseCapabilityUnknown)), // elsewhere
		record("", "2", func(d *evidence.Decision) { d.Method, d.Shown = "tools/list", &one }),
		{Refusals: &evidence.Refusals{Count: 40}},
		{Change: &evidence.Change{}},
		record("noted", "2", func(d *evidence.Decision) { d.Rule, d.MinLevel = "annotation", "2" }),  // the same
		record("read_a", "3", func(d *evidence.Decision) { d.Rule, d.MinLevel = "annotation", "3" }), // by another rule
	}
	got, err := p.Replay(inOrder(records...), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := &Replay{
		Records: 20, Decisions: 15, Same: 3, Stricter: 3, Looser: 1, OtherRule: 4, Untold: 4, Elsewhere: 2, Lists: 1, Counted: 40,
		Changes: []ReplayChange{
			{"allow", "deny", "old", "read", 2, 2, "id2"}, {"allow", "allow", "old", "read", 1, 4, "id4"}, {"deny", "allow", "", "read", 1, 6, "id6"},
			{"deny", "deny", "", UntoldRule, 1, 8, "id8"}, {"deny", "deny", "", "slow", 1, 11, "id11"}, {"allow", "deny", "old", "", 1, 12, "id12"},
			{"allow", "allow", "annotation", "read", 1, 18, "id18"},
		},
		Missing: []ReplayCount{
			{"arguments", 1}, {"caller.claims", 1}, {"tenant", 1}, {"the name of the capability", 1}, {"whether a limit was reached", 1},
		},
		Before: []ReplayCount{{"sha256:old", 15}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}

	// where capabilities have levels beside them that are not recorded
	got, err = p.Replay(inOrder(record("other", "4", denied("TOOL_POLICY_DENIED", guard.CauseNoRule)), record("read_a", "4", nil), record("read_a", "1", nil)),
		&ReplayConfig{Annotations: true})
	if err != nil || got.Untold != 1 || !slices.Equal(got.Missing, []ReplayCount{{"annotation", 1}}) || got.OtherRule != 1 || got.Stricter != 1 {
		t.Errorf("annotations: %+v, %v", got, err)
	}

	broken := errors.New("broken")
	if _, err := p.Replay(func(yield func(*evidence.Record, error) bool) { yield(nil, broken) }, nil); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if _, err := p.Replay(inOrder(nil), nil); err == nil {
		t.Error("a record that is nil")
	}
}

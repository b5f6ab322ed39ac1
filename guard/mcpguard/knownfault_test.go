package mcpguard_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/badgetest"
	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
)

// TestKnownFault04VerdictIsAnError: in published code the verdict hides in a result, whose error is nil. Here every
// refusal is an error, to who calls the guard and to who calls the server, and no result has one in it.
func TestKnownFault04VerdictIsAnError(t *testing.T) {
	for name, p := range map[string]guard.Policy{
		"denied": deniesAll, "undetermined": policyFunc(func(*guard.Input) (guard.Decision, error) { return guard.Decision{}, errors.New("x") }),
	} {
		t.Run(name, func(t *testing.T) {
			onDraft(t, p, anonymous, func(d *draftRun) {
				res, err := d.session.CallTool(d.Context(), &mcp.CallToolParams{Name: "restart_service", Arguments: map[string]any{"text": "x"}})
				var wire *jsonrpc.Error
				if !errors.As(err, &wire) || res != nil || len(d.p.all()) != 0 {
					d.Errorf("got %+v, %v", res, err)
				}
				r := &guard.Request{Verb: guard.Invoke, Method: "tools/call", Capability: guard.Capability{Kind: guard.KindTool, Name: "restart_service"}}
				if grant, err := d.w.Guard(func(c *guard.Config) { c.Policy = p }).Check(d.Context(), r); err == nil || grant != nil {
					d.Errorf("got %v, %v", grant, err)
				}
			})
		})
	}
}

// TestKnownFault05ZeroValuesStop: in published code the zero value of the enforcement mode observes. Here the zero values
// of answer, decision, verb, level and configuration refuse.
func TestKnownFault05ZeroValuesStop(t *testing.T) {
	if guard.Answer(0) != guard.Deny || guard.Verb(0) == guard.Discover || guard.Verb(0) == guard.Invoke {
		t.Error("the zero value of an enumeration lets through")
	}
	if _, err := guard.New(&guard.Config{}); err == nil {
		t.Error("the zero Config makes a guard")
	}
	zero := policyFunc(func(*guard.Input) (guard.Decision, error) { return guard.Decision{}, nil })
	onDraft(t, zero, anonymous, func(d *draftRun) {
		d.refusedAll(nil, guard.CodeAuthMissing)
		r := &guard.Request{Method: "tools/call", Capability: guard.Capability{Kind: guard.KindTool, Name: "restart_service"}}
		if _, err := d.w.Guard(func(c *guard.Config) { c.Policy = guard.UnsafeAllowAll{} }).Check(d.Context(), r); err == nil {
			d.Error("a request without a verb is allowed")
		}
	})
}

// TestKnownFault06AudienceOfBadgeAndProof: in published code no audience is checked, and a server can use the badge that
// it saw elsewhere. Here a badge for others is refused, and so is the proof of a call to others, or of another call.
func TestKnownFault06AudienceOfBadgeAndProof(t *testing.T) {
	p := policyFunc(func(*guard.Input) (guard.Decision, error) {
		return guard.Decision{Kind: guard.Allow, MinLevel: badge.LevelRegistered}, nil
	})
	strict := func(c *guard.Config) { c.AllowBearerUnsafe = false }
	onDraft(t, p, anonymous, func(d *draftRun) {
		agent, other := d.w.Agent(badge.LevelDomain), badgetest.NewAgent(d.T).DID
		use := func(token string, s *pop.Statement) string {
			d.Helper()
			s.Call = &pop.Call{Method: "tools/call", Target: "restart_service", Arguments: []byte(`{"text":"x"}`)}
			if s.Audience == "other call" {
				s.Audience, s.Call.Target = "", "another_tool"
			}
			proof, txn := agent.ProveAs(s)
			_, err := d.session.CallTool(d.Context(), &mcp.CallToolParams{
				Meta: mcp.Meta{mcpwire.MetaBadge: token, mcpwire.MetaHop: proof, mcpwire.MetaTxn: txn},
				Name: "restart_service", Arguments: map[string]any{"text": "x"},
			})
			if err == nil {
				return "allowed"
			}
			x := denialOf(d.T, err)
			return strings.TrimSuffix(x.ReasonCode+" "+x.Cause, " ")
		}
		forOthers := d.w.CA.Issue(agent.Agent, badge.LevelDomain, func(x *badge.Template) { x.Audience = []string{"https://other.example"} })
		for want, got := range map[string]string{
			"TOOL_BADGE_INVALID BADGE_AUDIENCE_MISMATCH": use(forOthers, &pop.Statement{Server: d.w.Server}),
			"CALL_PROOF_SERVER_MISMATCH":                 use(agent.Badge, &pop.Statement{Server: other}),
			"CALL_PROOF_PARAMS_MISMATCH":                 use(agent.Badge, &pop.Statement{Server: d.w.Server, Audience: "other call"}),
			"allowed":                                    use(agent.Badge, &pop.Statement{Server: d.w.Server}),
		} {
			if got != want {
				d.Errorf("got %s, want %s", got, want)
			}
		}
		if len(d.p.all()) != 1 {
			d.Errorf("ran: %v", d.p.all())
		}
	}, strict)
}

// TestKnownFault07NoEvidenceStoreOfNothing: in published code a store that fails, or none, becomes one that keeps
// nothing. Here there is no guard without one, and none goes on without it.
func TestKnownFault07NoEvidenceStoreOfNothing(t *testing.T) {
	if _, err := guard.New(&guard.Config{Policy: guard.UnsafeAllowAll{}}); err == nil {
		t.Error("a guard without evidence")
	}
	onDraft(t, guard.UnsafeAllowAll{}, anonymous, func(d *draftRun) {
		d.w.Recorder.Fail(errors.New("disk full"))
		for method, err := range d.useAll(d.session, nil) {
			if x := denialOf(d.T, err); x.ReasonCode != string(guard.CodeEvidenceUnavailable) || x.DecisionID != "" {
				d.Errorf("%s: %+v", method, x)
			}
		}
		if ran := d.p.all(); len(ran) != 0 {
			d.Errorf("ran: %v", ran)
		}
		d.w.Recorder.Fail(nil)
	})
}

// TestKnownFault11NothingIsDropped: in published code the class of the capability is taken and not passed on. Here the
// policy sees all that a request asks for, and the class is what the method says, whatever the client calls it.
func TestKnownFault11NothingIsDropped(t *testing.T) {
	var seen []string
	p := policyFunc(func(in *guard.Input) (guard.Decision, error) {
		seen = append(seen, fmt.Sprintf("%d %s %s %s %s", in.Verb, in.Method, in.Capability.Kind, in.Capability.Name, in.Arguments))
		return guard.Decision{Kind: guard.Allow, Anonymous: true}, nil
	})
	onDraft(t, p, anonymous, func(d *draftRun) {
		seen = nil
		d.useAll(d.session, mcp.Meta{"capiscio_capability_class": "read", "dev.touchmark/kind": "prompt"})
		want := []string{
			`2 tools/call tool restart_service {"text":"database"}`, `2 prompts/get prompt runbook `,
			`2 resources/read resource file:///logs/monday `, `2 completion/complete prompt runbook {"argument":{"name":"a","value":""}}`,
			`2 example/probe method example/probe {"x":0}`,
		}
		if d.rig.version == withSessions {
			want = append(want, `2 resources/subscribe resource file:///config `, `2 resources/unsubscribe resource file:///config `)
		}
		if got := strings.Join(seen, "\n"); got != strings.Join(want, "\n") {
			d.Errorf("the policy saw\n%s", got)
		}
	})
}

// TestKnownFault12DecisionIsNotCached: in published code a decision is cached without the class of what it was about, so
// that leave to read is leave to write. Here each use is decided by itself.
func TestKnownFault12DecisionIsNotCached(t *testing.T) {
	allowed := true
	p := policyFunc(func(in *guard.Input) (guard.Decision, error) {
		if !allowed || in.Capability.Kind != guard.KindPrompt && in.Capability.Name != "restart_service" || strings.Contains(string(in.Arguments), "production") {
			return guard.Decision{}, nil
		}
		return guard.Decision{Kind: guard.Allow, Anonymous: true}, nil
	})
	onDraft(t, p, anonymous, func(d *draftRun) {
		allowed = true
		restart := func(what string) error {
			_, err := d.session.CallTool(d.Context(), &mcp.CallToolParams{Name: "restart_service", Arguments: map[string]any{"text": what}})
			return err
		}
		for range 2 {
			if err := restart("staging"); err != nil {
				d.Error(err)
			}
			if restart("production") == nil {
				d.Error("the arguments make no difference")
			}
			if errs := d.useAll(d.session, nil); errs["prompts/get"] != nil || errs["resources/read"] == nil || errs[probeMethod] == nil {
				d.Errorf("got %v", errs)
			}
		}
		if allowed = false; restart("staging") == nil {
			d.Error("a decision from before is remembered")
		}
	})
}

// TestKnownFault13APIKeyOverTheWire: in published code any string is an API key, and the record says so. Here there is no
// such caller: a string is a badge that does not hold, or nothing at all.
func TestKnownFault13APIKeyOverTheWire(t *testing.T) {
	onDraft(t, mustParse(t, `version: 1
rules: [{id: secret-rule, match: {tool: "*"}, min_level: 0, decision: allow}]`), anonymous, func(d *draftRun) {
		url := serve(d.T, d.p.Server, d.a, &mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true})
		for _, key := range []string{"sk-0123456789", "a.b.c", "admin"} {
			for _, header := range []string{"Authorization", "X-Api-Key", "X-Capiscio-Badge", "X-Capiscio-Api-Key"} {
				body, headers := modern("tools/call", "restart_service", `"name":"restart_service","arguments":{"text":"x"}`)
				if headers[header] = key; header == "Authorization" {
					headers[header] = "Bearer " + key
				}
				_, answer := post(d.T, url, body, headers)
				x := last(d.T, d.w.Recorder.Decisions())
				if !strings.Contains(answer, "reason_code") || x.Kind.Allows() || x.Caller != (evidence.Caller{Auth: evidence.AuthAnonymous}) {
					d.Errorf("%s: %s: %s, recorded %+v", header, key, answer, x)
				}
			}
		}
		if ran := d.p.all(); len(ran) != 0 {
			d.Errorf("ran: %v", ran)
		}
	})
}

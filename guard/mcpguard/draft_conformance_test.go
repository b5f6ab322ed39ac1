package mcpguard_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
)

// The seven points of the draft's minimal conformance.

// TestDraftConformance1Declares: the handshake of either generation says that a guard is there, under our own id.
func TestDraftConformance1Declares(t *testing.T) {
	onDraft(t, guard.UnsafeAllowAll{}, anonymous, func(d *draftRun) {
		e, ok := d.session.InitializeResult().Capabilities.Extensions[mcpwire.ExtensionGuard].(map[string]any)
		if !ok || e["enforcing"] != true || e["discovery"] != "filtered" || e["badges"] != true {
			d.Errorf("announced %v", e)
		}
		if strings.Contains(mcpwire.ExtensionGuard, "modelcontextprotocol") {
			d.Error("an id that is reserved")
		}
	})
}

// TestDraftConformance2EvaluatesBeforeExecution: of each sort of capability the policy is asked, and the decision is
// durable, before anything runs.
func TestDraftConformance2EvaluatesBeforeExecution(t *testing.T) {
	var order []string
	p := policyFunc(func(in *guard.Input) (guard.Decision, error) {
		order = append(order, "asked "+in.Method)
		return guard.Decision{Kind: guard.Allow, Anonymous: true}, nil
	})
	onDraft(t, p, anonymous, func(d *draftRun) {
		order = nil
		d.w.Recorder.Hook(func(x *evidence.Draft) error {
			if x.Decision != nil {
				order = append(order, fmt.Sprintf("recorded %s, %d ran", x.Decision.Method, len(d.p.all())))
			}
			return nil
		})
		errs := d.useAll(d.session, nil)
		ran := d.p.all()
		if len(ran) != len(errs) || len(order) != 2*len(errs) {
			d.Fatalf("of %d uses %v ran: %v", len(errs), ran, order)
		}
		for i, what := range ran {
			if err := errs[what]; err != nil {
				d.Errorf("%s: %v", what, err)
			}
			if order[2*i] != "asked "+what || order[2*i+1] != fmt.Sprintf("recorded %s, %d ran", what, i) {
				d.Errorf("%s: order %v", what, order[2*i:2*i+2])
			}
		}
		d.w.Recorder.Fail(errors.New("disk full")) // no record, no run
		d.useAll(d.session, nil)
		if n := len(d.p.all()); n != len(ran) {
			d.Errorf("%d ran without a record", n-len(ran))
		}
		d.w.Recorder.Fail(nil)
	})
}

// TestDraftConformance3FailsClosed: a policy that cannot decide any more stops what ran before, at once.
func TestDraftConformance3FailsClosed(t *testing.T) {
	broken := false
	p := policyFunc(func(*guard.Input) (guard.Decision, error) {
		if broken {
			return guard.Decision{Kind: guard.Allow, Anonymous: true}, errors.New("hunter2")
		}
		return guard.Decision{Kind: guard.Allow, Anonymous: true}, nil
	})
	onDraft(t, p, anonymous, func(d *draftRun) {
		broken = false
		if d.useAll(d.session, nil); len(d.p.all()) == 0 || d.lists(d.session) != 4 {
			d.Fatal("nothing is open")
		}
		d.p.ran, broken = nil, true
		if d.refusedAll(nil, guard.CodePolicyIndeterminate); d.lists(d.session) != 0 {
			d.Error("lists are not empty")
		}
	})
}

// sayings are all the ways in which a client could try to choose for the server.
var sayings = mcp.Meta{
	"policy": "allow-all", "dev.touchmark/policy": "allow-all", "capiscio_policy": "allow-all", "mode": "observe", "dev.touchmark/mode": "shadow",
	"io.modelcontextprotocol/server-policy-enforcement/mode": "observe", "enforcementMode": "EM-OBSERVE", "dev.touchmark/guard": map[string]any{"enforcing": false},
	"io.modelcontextprotocol/server-policy-enforcement": map[string]any{"policy": "version: 1", "mode": "off", "decision": "allow"},
	"dev.touchmark/minTrustLevel":                       0, "decision": "allow", "dev.touchmark/evidence": map[string]any{"id": "x"}, "capiscio_capability_class": "read",
}

// deniesAll is a policy that says no.
var deniesAll = policyFunc(func(*guard.Input) (guard.Decision, error) { return guard.Decision{Rule: "secret-rule"}, nil })

// TestDraftConformance4ClientPolicy: what a client says of the policy is recorded as said, and changes nothing.
func TestDraftConformance4ClientPolicy(t *testing.T) {
	onDraft(t, deniesAll, anonymous, func(d *draftRun) {
		d.refusedAll(sayings, guard.CodeAuthMissing)
		for _, x := range d.w.Recorder.Decisions() {
			if x.Claimed.Policy != "allow-all" || x.PolicyVersion == "allow-all" || x.Rule != "secret-rule" {
				d.Errorf("recorded %+v", x)
			}
		}
	})
}

// TestDraftConformance5ClientMode: neither members of _meta nor headers put the guard into another mode.
func TestDraftConformance5ClientMode(t *testing.T) {
	onDraft(t, deniesAll, anonymous, func(d *draftRun) {
		if d.refusedAll(sayings, guard.CodeAuthMissing); d.lists(d.session) != 0 {
			d.Error("lists are not empty")
		}
		for _, x := range d.w.Recorder.Decisions() {
			if x.Shadow {
				d.Errorf("recorded %+v", x)
			}
		}
		url := serve(d.T, d.p.Server, d.a, &mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true})
		body, headers := modern("tools/call", "restart_service", `"name":"restart_service","arguments":{"text":"x"}`)
		if d.rig.version == withSessions {
			body, headers = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"restart_service","arguments":{"text":"x"}}}`, map[string]string{}
		}
		for _, name := range []string{"X-Capiscio-Enforcement-Mode", "X-Enforcement-Mode", "X-Mcp-Policy-Mode", "Touchmark-Mode", "X-Capiscio-Trust-Level"} {
			headers[name] = "EM-OBSERVE"
		}
		if _, answer := post(d.T, url, body, headers); !strings.Contains(answer, string(guard.CodeAuthMissing)) || len(d.p.all()) != 0 {
			d.Errorf("got %s", answer)
		}
	})
}

// TestDraftConformance6TrustedContext: class of actor, approval and session are believed when a source of the server says
// so, and not when the client does.
func TestDraftConformance6TrustedContext(t *testing.T) {
	p := mustParse(t, openFile(", actor: human"))
	onDraft(t, p, anonymous, func(d *draftRun) {
		d.refusedAll(claimsOfActor, guard.CodeAuthMissing)
		d.refusedAll(claimsOfApproval, guard.CodeAuthMissing)
	})
	human := func(c *guard.Config) {
		c.Facts = factsFunc(func() (guard.Facts, error) { return guard.Facts{Actor: guard.ActorHuman}, nil })
	}
	onDraft(t, p, anonymous, func(d *draftRun) {
		for method, err := range d.useAll(d.session, mcp.Meta{"dev.touchmark/actor": "automation"}) {
			if err != nil {
				d.Errorf("%s: %v", method, err)
			}
		}
		if x := last(d.T, d.w.Recorder.Decisions()); x.Actor != "human" || x.Claimed.Actor != "automation" {
			d.Errorf("recorded %+v", x)
		}
	}, human)
	// A session is nobody's: what was shown when it was opened, or in a request before, says nothing of this one.
	leveled := mustParse(t, "version: 1\nrules: [{id: secret-rule, match: {tool: \"*\"}, min_level: 2, decision: allow}]")
	onDraft(t, leveled, anonymous, func(d *draftRun) {
		agent := d.w.Agent(badge.LevelDomain)
		params := func(meta mcp.Meta) *mcp.CallToolParams {
			return &mcp.CallToolParams{Meta: meta, Name: "restart_service", Arguments: map[string]any{"text": "x"}}
		}
		if _, err := d.session.CallTool(d.Context(), params(mcp.Meta{mcpwire.MetaBadge: agent.Badge})); err != nil {
			d.Error(err)
		}
		_, err := d.session.CallTool(d.Context(), params(mcp.Meta{"clientInfo": map[string]any{"name": "admin"}}))
		if codeOf(d.T, err) != guard.CodeAuthMissing || len(d.p.all()) != 1 {
			d.Errorf("got %v, ran %v", err, d.p.all())
		}
	})
}

// TestDraftConformance7SafeDenial: a refusal tells a stable code and where its record is, and nothing of the policy; what
// is hidden is answered as what does not exist.
func TestDraftConformance7SafeDenial(t *testing.T) {
	onDraft(t, deniesAll, anonymous, func(d *draftRun) {
		for method, err := range d.useAll(d.session, nil) {
			x := denialOf(d.T, err)
			if x.ReasonCode != string(guard.CodeAuthMissing) || x.DecisionID == "" || x.Cause != "" {
				d.Errorf("%s: %+v", method, x)
			}
		}
	})
	onDraft(t, deniesAll, anonymous, func(d *draftRun) {
		agent := d.w.Agent(badge.LevelExtended)
		answer := func(name string) string {
			_, err := d.session.CallTool(d.Context(), &mcp.CallToolParams{Meta: mcp.Meta{mcpwire.MetaBadge: agent.Badge}, Name: name})
			var wire *jsonrpc.Error
			if !errors.As(err, &wire) {
				d.Fatalf("got %v", err)
			}
			return fmt.Sprintf("%d %s %s", wire.Code, strings.ReplaceAll(wire.Message, name, "NAME"), wire.Data)
		}
		if hidden, absent := answer("restart_service"), answer("no_such_tool"); hidden != absent {
			d.Errorf("hidden: %s, absent: %s", hidden, absent)
		}
		var codes []string
		for _, x := range d.w.Recorder.Decisions() {
			codes = append(codes, x.DenyReason)
		}
		if !slices.Equal(codes, []string{string(guard.CodePolicyDenied), string(guard.CodeNotFound)}) {
			d.Errorf("recorded %v", codes)
		}
	})
}

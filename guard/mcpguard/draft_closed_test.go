package mcpguard_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/policy"
	"github.com/touchmark-dev/touchmark/guard/policy/authzen"
	"github.com/touchmark-dev/touchmark/internal/peers"
)

// The nine conditions of the draft under which a server has to deny, or safely block, what is asked of it.

func mustParse(t *testing.T, text string) *policy.Policy {
	t.Helper()
	p, err := policy.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// openFile opens everything in openFile's server to everybody, as far as the conditions hold.
func openFile(conditions string) string {
	text := "version: 1\nrules:\n"
	for i, what := range []string{`tool: "*"`, `prompt: "*"`, `resource: "*"`, `resource_template: "*"`, `custom_method: "*"`} {
		text += fmt.Sprintf("  - {id: secret-rule%d, match: {%s%s}, anonymous: true, decision: allow}\n", i, what, conditions)
	}
	return text
}

// TestDraftFailsClosed01PolicyNotLoaded: a file that cannot be read gives no policy, there is no guard without one, and
// a policy that a program loads later and that is not there yet allows nothing.
func TestDraftFailsClosed01PolicyNotLoaded(t *testing.T) {
	for _, text := range []string{"", "version: 2\nrules: []", "version: 1\nrules: [{id: a, match: {tool: x}, decision: maybe}]", openFile("") + "more: true\n"} {
		if p, err := policy.Parse([]byte(text)); err == nil || p != nil {
			t.Errorf("a policy of %q", text)
		}
	}
	w := guardtest.New(t)
	if _, err := guard.New(&guard.Config{Evidence: w.Recorder}); err == nil {
		t.Error("a guard without policy and badges")
	}
	path := filepath.Join(t.TempDir(), "policy.yaml")
	if _, err := policy.Watch(&policy.WatchConfig{Path: path}); err == nil {
		t.Error("a file that is not there is watched")
	}
	if err := os.WriteFile(path, []byte("version: 1\nrules: ["), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := policy.Watch(&policy.WatchConfig{Path: path}); err == nil {
		t.Error("a file that cannot be read is watched")
	}
	notYet := policyFunc(func(*guard.Input) (guard.Decision, error) {
		return guard.Decision{Kind: guard.Allow, Anonymous: true, Rule: "secret-rule"}, errors.New("backend.internal: not loaded")
	})
	onDraft(t, notYet, anonymous, func(d *draftRun) {
		if d.refusedAll(nil, guard.CodePolicyIndeterminate); d.lists(d.session) != 0 {
			d.Error("lists are not empty")
		}
	})
	onDraft(t, nil, anonymous, func(d *draftRun) {
		if d.refusedAll(nil, guard.CodeAuthMissing); d.lists(d.session) != 0 {
			d.Error("lists are not empty")
		}
	})
}

// TestDraftFailsClosed02PolicyNotEvaluated: a policy that panics has not decided.
func TestDraftFailsClosed02PolicyNotEvaluated(t *testing.T) {
	p := policyFunc(func(*guard.Input) (guard.Decision, error) { panic("hunter2") })
	onDraft(t, p, anonymous, func(d *draftRun) {
		if d.refusedAll(nil, guard.CodePolicyIndeterminate); d.lists(d.session) != 0 {
			d.Error("lists are not empty")
		}
	})
}

// service is a policy that asks a decision service.
func service(t *testing.T, url string) guard.Policy {
	t.Helper()
	c, err := authzen.New(&authzen.Config{Endpoint: url, Anonymous: true, Timeout: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestDraftFailsClosed03ExternalServiceUnavailable: a service that is gone, that fails, or that does not answer.
func TestDraftFailsClosed03ExternalServiceUnavailable(t *testing.T) {
	gone := "http://127.0.0.1:" + peers.Port(t)
	failing := httptest.NewServer(http.NotFoundHandler())
	defer failing.Close()
	end := make(chan struct{})
	hung := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-end:
		case <-r.Context().Done():
		}
	}))
	defer hung.Close()
	defer close(end)
	for name, url := range map[string]string{"gone": gone, "failing": failing.URL, "hung": hung.URL} {
		t.Run(name, func(t *testing.T) {
			onDraft(t, service(t, url), anonymous, func(d *draftRun) { d.refusedAll(nil, guard.CodePolicyIndeterminate) })
		})
	}
}

// TestDraftFailsClosed04MalformedDecision: an answer that is none of the four, one without what belongs to it, and one
// that cannot be read.
func TestDraftFailsClosed04MalformedDecision(t *testing.T) {
	none := 0
	for name, answer := range map[string]guard.Decision{
		"empty":                      {},
		"unknown answer":             {Kind: 99, Anonymous: true, MinLevel: badge.LevelSelfSigned},
		"no caller":                  {Kind: guard.Allow, Rule: "secret-rule"},
		"no level":                   {Kind: guard.Allow, MinLevel: 77, Anonymous: true},
		"constraints without any":    {Kind: guard.AllowWithConstraints, Anonymous: true, Constraints: &guard.Constraints{}},
		"constraints missing":        {Kind: guard.AllowWithConstraints, Anonymous: true},
		"constraint that cannot be":  {Kind: guard.AllowWithConstraints, Anonymous: true, Constraints: &guard.Constraints{MaxRuntime: -1}},
		"constraint nobody enforces": {Kind: guard.AllowWithConstraints, Anonymous: true, Constraints: &guard.Constraints{MaxRetries: &none}},
		"no rule":                    {Kind: guard.Allow, NoRule: true, Anonymous: true},
	} {
		t.Run(name, func(t *testing.T) {
			p := policyFunc(func(*guard.Input) (guard.Decision, error) { return answer, nil })
			onDraft(t, p, anonymous, func(d *draftRun) { d.refusedAll(nil, guard.CodeAuthMissing) })
		})
	}
	for _, answer := range []string{`{"decision": true`, `{"decision": "true"}`, `{"decision": true, "decision": true}`, `[]`, ``, `hunter2`} {
		t.Run("service "+answer, func(t *testing.T) {
			babble := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.Header().Set("X-Request-Id", r.Header.Get("X-Request-Id"))
				_, _ = w.Write([]byte(answer))
			}))
			defer babble.Close()
			onDraft(t, service(t, babble.URL), anonymous, func(d *draftRun) { d.refusedAll(nil, guard.CodePolicyIndeterminate) })
		})
	}
}

var claimsOfActor = mcp.Meta{
	"dev.touchmark/actor": "human", "io.modelcontextprotocol/server-policy-enforcement/actor": "human", "actor": "human", "actor_type": "human",
	"io.modelcontextprotocol/server-policy-enforcement": map[string]any{"actor": "human"},
}

// TestDraftFailsClosed05ActorNotValidated: what a caller says of its class is no evidence of it.
func TestDraftFailsClosed05ActorNotValidated(t *testing.T) {
	p := mustParse(t, openFile(", actor: human"))
	onDraft(t, p, anonymous, func(d *draftRun) {
		if d.refusedAll(claimsOfActor, guard.CodeAuthMissing); d.lists(d.session) != 0 {
			d.Error("lists are not empty")
		}
		if x := last(d.T, d.w.Recorder.Decisions()); x.Actor != "" {
			d.Errorf("recorded %+v", x)
		}
	})
	// A class that is none of the four is no class.
	stranger := func(c *guard.Config) {
		c.Facts = factsFunc(func() (guard.Facts, error) { return guard.Facts{Actor: "robot"}, nil })
	}
	onDraft(t, p, anonymous, func(d *draftRun) { d.refusedAll(claimsOfActor, guard.CodeAuthMissing) }, stranger)
	broken := func(c *guard.Config) {
		c.Facts = factsFunc(func() (guard.Facts, error) { return guard.Facts{Actor: guard.ActorHuman}, errors.New("hunter2") })
	}
	onDraft(t, p, anonymous, func(d *draftRun) { d.refusedAll(claimsOfActor, guard.CodePolicyIndeterminate) }, broken)
}

type factsFunc func() (guard.Facts, error)

func (f factsFunc) Facts(context.Context, *guard.Principal, *guard.Request) (guard.Facts, error) {
	return f()
}

var claimsOfApproval = mcp.Meta{
	"dev.touchmark/approval": "granted", "io.modelcontextprotocol/server-policy-enforcement.approval": true, "approved": true,
	"io.modelcontextprotocol/server-policy-enforcement": map[string]any{"approval": map[string]any{"present": true}},
}

// TestDraftFailsClosed06ApprovalNotValidated: what has to be approved does not run on the word of who asks for it.
func TestDraftFailsClosed06ApprovalNotValidated(t *testing.T) {
	p := policyFunc(func(*guard.Input) (guard.Decision, error) {
		return guard.Decision{Kind: guard.RequireApproval, Anonymous: true, Rule: "secret-rule"}, nil
	})
	onDraft(t, p, anonymous, func(d *draftRun) {
		d.refusedAll(claimsOfApproval, guard.CodeApprovalRequired)
		if _, err := call(d.T, d.session, "restart_service"); codeOf(d.T, err) != guard.CodeApprovalRequired {
			d.Errorf("got %v", err)
		}
	})
}

// TestDraftFailsClosed07UnknownMethod: a method that no table knows is denied, though everything else is open, and
// whether or not the server has it.
func TestDraftFailsClosed07UnknownMethod(t *testing.T) {
	closed := policyFunc(func(in *guard.Input) (guard.Decision, error) {
		return guard.Decision{NoRule: in.Capability.Kind == guard.KindMethod, Kind: guard.Allow, Anonymous: true}, nil
	})
	table := mustParse(t, openFile("")+"_methods: {tools/call: evaluate, _other: deny}\n")
	for _, p := range []guard.Policy{closed, table} {
		onDraft(t, p, anonymous, func(d *draftRun) {
			if _, err := call(d.T, d.session, "restart_service"); err != nil {
				d.Errorf("the rest is not open: %v", err)
			}
			_, err := mcp.CallCustomMethod[*customParams, *customResult](d.Context(), d.session, probeMethod, &customParams{})
			if codeOf(d.T, err) != guard.CodeAuthMissing {
				d.Errorf("got %v", err)
			}
			if x := last(d.T, d.w.Recorder.Decisions()); x.Kind.Allows() || x.Method != probeMethod {
				d.Errorf("recorded %+v", x)
			}
			c := newClient(anonymous)
			if err := mcp.AddSendingCustomMethod[*customParams, *customResult](c, "example/future"); err != nil {
				d.Fatal(err)
			}
			session := d.rig.connect(d.T, d.p.Server, d.a, c, d.rig.version)
			if _, err := mcp.CallCustomMethod[*customParams, *customResult](d.Context(), session, "example/future", &customParams{}); err == nil {
				d.Error("a method that does not exist is answered")
			}
			for _, what := range d.p.all() {
				if what == probeMethod {
					d.Error("it ran")
				}
			}
		})
	}
}

// TestDraftFailsClosed08NoApplicablePolicy: where no rule speaks of a capability, it is denied.
func TestDraftFailsClosed08NoApplicablePolicy(t *testing.T) {
	for _, text := range []string{
		"version: 1\nrules: [{id: secret-rule, match: {tool: other}, anonymous: true, decision: allow}]",
		openFile(`, environment: staging`), // which nobody knows
	} {
		onDraft(t, mustParse(t, text), anonymous, func(d *draftRun) {
			if d.refusedAll(nil, guard.CodeAuthMissing); d.lists(d.session) != 0 {
				d.Error("lists are not empty")
			}
			if x := d.w.Recorder.Decisions()[0]; x.DenyCause != guard.CauseNoRule {
				d.Errorf("recorded %+v", x)
			}
		})
	}
}

// TestDraftFailsClosed09BackendIndeterminate: an error of what decides is no decision, whatever stands beside it, and it
// is told apart from one.
func TestDraftFailsClosed09BackendIndeterminate(t *testing.T) {
	p := policyFunc(func(*guard.Input) (guard.Decision, error) {
		return guard.Decision{Kind: guard.Allow, Anonymous: true}, errors.New("hunter2 at backend.internal")
	})
	onDraft(t, p, anonymous, func(d *draftRun) {
		d.refusedAll(nil, guard.CodePolicyIndeterminate)
		_, err := call(d.T, d.session, "restart_service")
		var wire *jsonrpc.Error
		if !errors.As(err, &wire) || wire.Code != -31503 || denialOf(d.T, err).DecisionID == "" {
			d.Errorf("got %v", err)
		}
	})
}

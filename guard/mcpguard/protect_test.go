package mcpguard_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/mcpguard"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
)

func last[T any](t *testing.T, all []T) T {
	t.Helper()
	if len(all) == 0 {
		t.Fatal("nothing was recorded")
	}
	return all[len(all)-1]
}

func TestCalls(t *testing.T) {
	each(t, func(t *testing.T, w *guardtest.World, open func(credentials) *mcp.ClientSession) {
		for _, c := range []struct {
			level badge.Level
			tool  string
			ok    bool
		}{
			{badge.LevelSelfSigned, "a_level0", true}, {badge.LevelSelfSigned, "c_level2", false},
			{badge.LevelDomain, "c_level2", true}, {badge.LevelDomain, "g_level3", false},
			{badge.LevelOrganization, "g_level3", true}, {badge.LevelExtended, "d_bare", false},
		} {
			agent := w.Agent(c.level)
			res, err := call(t, open(as(agent)), c.tool)
			d := last(t, w.Recorder.Decisions())
			if d.Caller.DID != agent.DID || d.Method != "tools/call" || d.Capability != "tool" || d.Target != c.tool {
				t.Errorf("recorded %+v", d)
			}
			if !c.ok {
				if wire := wireError(t, err); wire.Code != jsonrpc.CodeInvalidParams || wire.Message != `unknown tool "`+c.tool+`"` {
					t.Errorf("level %v, %s: %v", c.level, c.tool, err)
				}
				if d.Kind != evidence.Deny {
					t.Errorf("recorded %+v", d)
				}
				continue
			}
			if err != nil {
				t.Fatalf("level %v, %s: %v", c.level, c.tool, err)
			}
			ack, ok := res.Meta[mcpwire.MetaEvidence].(map[string]any)
			o := last(t, w.Recorder.Outcomes())
			if !ok || ack["id"] != o.DecisionID || ack["promise"] != guardtest.Promise || !strings.HasPrefix(ack["leaf_hash"].(string), "sha256:") {
				t.Errorf("_meta %v, outcome of %q", res.Meta, o.DecisionID)
			}
			if o.Status != evidence.OutcomeOK {
				t.Errorf("recorded outcome %+v", o)
			}
		}
		checkClosed(t, w)
	})
}

func TestAnonymousCalls(t *testing.T) {
	each(t, func(t *testing.T, w *guardtest.World, open func(credentials) *mcp.ClientSession) {
		session := open(anonymous)
		var answers []string
		for _, tool := range []string{"a_level0", "d_bare", "no_such_tool"} {
			_, err := call(t, session, tool)
			d := denialOf(t, err)
			if d.ReasonCode != string(guard.CodeAuthMissing) || d.DecisionID == "" {
				t.Errorf("%s: %+v", tool, d)
			}
			answers = append(answers, wireError(t, err).Message)
		}
		if answers[0] != answers[2] || answers[1] != answers[2] {
			t.Errorf("an anonymous caller can tell what exists: %q", answers)
		}
		list, err := session.ListTools(t.Context(), &mcp.ListToolsParams{})
		if err != nil || len(list.Tools) != 0 {
			t.Errorf("list: %v, %v", list, err)
		}
		if d := last(t, w.Recorder.Decisions()); *d.Shown != 0 || *d.Withheld != 15 {
			t.Errorf("recorded %d shown, %d withheld", *d.Shown, *d.Withheld)
		}
	})
}

func TestOutcomes(t *testing.T) {
	each(t, func(t *testing.T, w *guardtest.World, open func(credentials) *mcp.ClientSession) {
		session := open(as(w.Agent(badge.LevelSelfSigned)))
		for tool, want := range map[string]string{
			"x_error": "error", "x_wire": "protocol_error", "x_tool": "tool_error", "x_panic": "panic", "x_nil": "error",
		} {
			_, err := call(t, session, tool)
			if (err == nil) != (tool == "x_tool") {
				t.Errorf("%s: %v", tool, err)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: the value of a panic reached the caller: %v", tool, err)
			}
			draft := last(t, w.Recorder.Drafts())
			if draft.Outcome == nil || draft.Outcome.ErrorClass != want {
				t.Errorf("%s: recorded %+v", tool, draft.Outcome)
			}
			if (draft.Result != nil) != (tool == "x_tool") {
				t.Errorf("%s: result %q", tool, draft.Result)
			}
		}
		// The server survives all of it.
		if _, err := call(t, session, "a_level0"); err != nil {
			t.Error(err)
		}
		checkClosed(t, w)
	})
}

func TestCancelledCall(t *testing.T) {
	for _, r := range rigs[:4] {
		t.Run(r.name+" "+r.version, func(t *testing.T) {
			w := guardtest.New(t)
			s := newServer(nil)
			a := mcpguard.Protect(s, w.Guard())
			session := r.connect(t, s, a, newClient(as(w.Agent(badge.LevelSelfSigned))), r.version)
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() {
				_, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "x_wait", Arguments: map[string]any{}})
				ended <- err
			}()
			running := func(want int) {
				for range 6000 {
					if w.Recorder.Open() == want {
						return
					}
					time.Sleep(10 * time.Millisecond)
				}
				t.Errorf("%d calls are running, want %d", w.Recorder.Open(), want)
			}
			running(1)
			cancel()
			if err := <-ended; err == nil {
				t.Fatal("no error")
			}
			running(0)
			if o := last(t, w.Recorder.Outcomes()); o.ErrorClass != guard.ClassCancelled {
				t.Errorf("recorded %+v", o)
			}
		})
	}
}

// TestInputRequired: a call that is answered with a question is recorded as such, and the retry is another.
func TestInputRequired(t *testing.T) {
	w := guardtest.New(t)
	s := newServer(nil)
	a := mcpguard.Protect(s, w.Guard())
	session := overMemory(t, s, a, newClient(as(w.Agent(badge.LevelSelfSigned))), withoutSessions)
	res, err := call(t, session, "x_ask")
	if err != nil || !res.NeedsInput() {
		t.Fatalf("got %+v, %v", res, err)
	}
	if o := last(t, w.Recorder.Outcomes()); o.Status != evidence.OutcomeInputRequired {
		t.Errorf("recorded %+v", o)
	}
}

// TestSharedResult: a handler may return one result to everybody; what the guard adds to it is for one caller.
func TestSharedResult(t *testing.T) {
	each(t, func(t *testing.T, w *guardtest.World, open func(credentials) *mcp.ClientSession) {
		session := open(as(w.Agent(badge.LevelSelfSigned)))
		ids := map[any]bool{}
		for range 3 {
			res, err := call(t, session, "x_shared")
			if err != nil {
				t.Fatal(err)
			}
			ack, ok := res.Meta[mcpwire.MetaEvidence].(map[string]any)
			if !ok || res.Meta["kept"] != true {
				t.Fatalf("_meta %v", res.Meta)
			}
			ids[ack["id"]] = true
		}
		if len(ids) != 3 || shared.Meta[mcpwire.MetaEvidence] != "forged" {
			t.Errorf("ids %v, shared %v", ids, shared.Meta)
		}
	})
}

// TestResultCommitment: what an outcome commits to is what the caller gets, but for the _meta.
func TestResultCommitment(t *testing.T) {
	w := guardtest.New(t)
	s := newServer(nil)
	a := mcpguard.Protect(s, w.Guard())
	for _, version := range []string{withSessions, withoutSessions} {
		session := overMemory(t, s, a, newClient(as(w.Agent(badge.LevelSelfSigned))), version)
		res, err := call(t, session, "x_shared")
		if err != nil {
			t.Fatal(err)
		}
		res.Meta = nil
		text, err := json.Marshal(res)
		if err != nil {
			t.Fatal(err)
		}
		var got, want any
		if err := errors.Join(json.Unmarshal(text, &got), json.Unmarshal(last(t, w.Recorder.Drafts()).Result, &want)); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: the caller got %v, committed to %v", version, got, want)
		}
	}
}

func TestLists(t *testing.T) {
	each(t, func(t *testing.T, w *guardtest.World, open func(credentials) *mcp.ClientSession) {
		for _, c := range []struct {
			level badge.Level
			want  int
		}{{badge.LevelSelfSigned, 10}, {badge.LevelDomain, 11}, {badge.LevelOrganization, 12}, {badge.LevelExtended, 14}} {
			list, err := open(as(w.Agent(c.level))).ListTools(t.Context(), &mcp.ListToolsParams{})
			if err != nil {
				t.Fatal(err)
			}
			names := toolNames(list.Tools)
			if len(names) != c.want || slices.Contains(names, "d_bare") {
				t.Errorf("level %v: %v", c.level, names)
			}
			if list.CacheScope != "private" || list.NextCursor != "" {
				t.Errorf("cacheScope %q, nextCursor %q", list.CacheScope, list.NextCursor)
			}
			d := last(t, w.Recorder.Decisions())
			if *d.Shown != uint64(c.want) || *d.Withheld != uint64(15-c.want) || d.Caller.Level != c.level.String() {
				t.Errorf("recorded %+v: %d, %d", d, *d.Shown, *d.Withheld)
			}
			ack, ok := list.Meta[mcpwire.MetaEvidence].(map[string]any)
			if !ok || ack["id"] == "" {
				t.Errorf("_meta %v", list.Meta)
			}
		}
		// Nothing opens the rest, so the rest is not there.
		session := open(as(w.Agent(badge.LevelExtended)))
		prompts, err1 := session.ListPrompts(t.Context(), &mcp.ListPromptsParams{})
		resources, err2 := session.ListResources(t.Context(), &mcp.ListResourcesParams{})
		templates, err3 := session.ListResourceTemplates(t.Context(), &mcp.ListResourceTemplatesParams{})
		if err := errors.Join(err1, err2, err3); err != nil {
			t.Fatal(err)
		}
		if len(prompts.Prompts)+len(resources.Resources)+len(templates.ResourceTemplates) != 0 {
			t.Error("prompts or resources without a rule are listed")
		}
		for _, scope := range []string{prompts.CacheScope, resources.CacheScope, templates.CacheScope} {
			if scope != "private" {
				t.Errorf("cacheScope %q", scope)
			}
		}
	})
}

// TestToolsAreNotChanged: definitions are shared between callers.
func TestToolsAreNotChanged(t *testing.T) {
	tool := &mcp.Tool{Name: "x", Meta: mcp.Meta{"a": 1}}
	annotated := mcpguard.MinLevel(tool, badge.LevelDomain)
	if len(tool.Meta) != 1 || annotated.Meta[mcpwire.MetaMinTrustLevel] != 2 || annotated.Meta["a"] != 1 {
		t.Errorf("%v, %v", tool.Meta, annotated.Meta)
	}
	for _, level := range []badge.Level{badge.LevelNone, 6, guard.LevelUnsatisfiable} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("MinLevel of %d did not panic", level)
				}
			}()
			mcpguard.MinLevel(tool, level)
		}()
	}
}

func TestAnnotation(t *testing.T) {
	for _, c := range []struct {
		value any
		want  badge.Level
	}{
		{0, badge.LevelSelfSigned}, {4, badge.LevelExtended}, {float64(2), badge.LevelDomain}, {"3", badge.LevelOrganization},
		{json.Number("1"), badge.LevelRegistered},
		{5, guard.LevelUnsatisfiable}, {-1, guard.LevelUnsatisfiable}, {2.5, guard.LevelUnsatisfiable}, {"02", guard.LevelUnsatisfiable},
		{"high", guard.LevelUnsatisfiable}, {nil, guard.LevelUnsatisfiable}, {true, guard.LevelUnsatisfiable},
		{[]any{2}, guard.LevelUnsatisfiable}, {json.Number("1.0"), guard.LevelUnsatisfiable}, {"", guard.LevelUnsatisfiable},
	} {
		if got := mcpguard.Annotation(map[string]any{mcpwire.MetaMinTrustLevel: c.value}); got != c.want {
			t.Errorf("%#v: got %v, want %v", c.value, got, c.want)
		}
	}
	if got := mcpguard.Annotation(nil); got != badge.LevelNone {
		t.Errorf("no annotation: %v", got)
	}
}

// TestExtension: the guard announces itself in the handshake of either generation, to anybody, without a
// record.
func TestExtension(t *testing.T) {
	w := guardtest.New(t)
	for _, c := range []struct {
		proof, rest string
		g           *guard.Guard
	}{
		{"required", "true filtered [max_result_bytes max_runtime_sec]", w.Guard()},
		{"optional", "true filtered [max_result_bytes max_runtime_sec]", w.Guard(func(c *guard.Config) { c.AllowBearerUnsafe = true })},
		{"required", "false whole [max_result_bytes max_runtime_sec network_allowlist]", w.Guard(func(c *guard.Config) {
			c.UnsafeShadow, c.Enforces = true, []string{guard.ConstraintNetwork}
		})},
		{"none", "true filtered [max_result_bytes max_runtime_sec]", w.Guard(func(c *guard.Config) {
			c.Badges, c.Proofs, c.Policy = nil, nil, guard.UnsafeAllowAll{}
		})},
	} {
		for _, version := range []string{withSessions, withoutSessions} {
			s := newServer(&mcp.ServerOptions{Capabilities: &mcp.ServerCapabilities{Extensions: map[string]any{"example/other": map[string]any{}}}})
			a := mcpguard.Protect(s, c.g)
			session := overMemory(t, s, a, newClient(anonymous), version)
			caps := session.InitializeResult().Capabilities
			e, ok := caps.Extensions[mcpwire.ExtensionGuard].(map[string]any)
			if !ok || e["callProof"] != c.proof || e["badges"] != (c.proof != "none") || e["server"] != w.Server.String() {
				t.Errorf("%s: extensions %v", version, caps.Extensions)
			}
			if rest := fmt.Sprint(e["enforcing"], " ", e["discovery"], " ", e["constraints"]); rest != c.rest {
				t.Errorf("%s: extension %s, want %s", version, rest, c.rest)
			}
			if _, ok := caps.Extensions["example/other"]; !ok {
				t.Errorf("%s: another extension is gone", version)
			}
		}
	}
	if n := len(w.Recorder.Drafts()); n != 0 {
		t.Errorf("%d records of handshakes", n)
	}
}

// TestPing: the SDK gives ping typed nil parameters and a result whose methods panic.
func TestPing(t *testing.T) {
	for _, r := range rigs {
		if r.version == withoutSessions {
			continue // has no ping
		}
		t.Run(r.name, func(t *testing.T) {
			w := guardtest.New(t)
			s := newServer(nil)
			a := mcpguard.Protect(s, w.Guard())
			if err := r.connect(t, s, a, newClient(anonymous), r.version).Ping(t.Context(), nil); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestPanicInMiddleware: a panic anywhere behind the guard is a refusal with a record. Without the guard it
// ends the process.
func TestPanicInMiddleware(t *testing.T) {
	for _, method := range []string{"ping", "tools/list", "tools/call"} {
		t.Run(method, func(t *testing.T) {
			w := guardtest.New(t)
			s := newServer(nil)
			s.AddReceivingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler {
				return func(ctx context.Context, m string, req mcp.Request) (mcp.Result, error) {
					if m == method {
						panic("hunter2")
					}
					return next(ctx, m, req)
				}
			})
			a := mcpguard.Protect(s, w.Guard())
			session := overMemory(t, s, a, newClient(as(w.Agent(badge.LevelSelfSigned))), withSessions)
			var err error
			switch method {
			case "ping":
				err = session.Ping(t.Context(), nil)
			case "tools/list":
				_, err = session.ListTools(t.Context(), &mcp.ListToolsParams{})
			default:
				_, err = call(t, session, "a_level0")
			}
			if err == nil || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v", err)
			}
			if method == "tools/call" {
				if o := last(t, w.Recorder.Outcomes()); o.ErrorClass != guard.ClassPanic {
					t.Errorf("recorded %+v", o)
				}
				return
			}
			if d := last(t, w.Recorder.Decisions()); d.DenyReason != string(guard.CodeGuardFailed) || d.DenyCause != guard.CausePanic || d.Method != method {
				t.Errorf("recorded %+v", d)
			}
			if d := denialOf(t, err); d.ReasonCode != string(guard.CodeGuardFailed) {
				t.Errorf("got %+v", d)
			}
		})
	}
}

// TestEvidenceLost: no record, no run; no outcome, no answer.
func TestEvidenceLost(t *testing.T) {
	each(t, func(t *testing.T, w *guardtest.World, open func(credentials) *mcp.ClientSession) {
		session := open(as(w.Agent(badge.LevelSelfSigned)))
		w.Recorder.Fail(errors.New("disk full"))
		_, err := call(t, session, "a_level0")
		if codeOf(t, err) != guard.CodeEvidenceUnavailable {
			t.Errorf("got %v", err)
		}
		if _, err := session.ListTools(t.Context(), &mcp.ListToolsParams{}); codeOf(t, err) != guard.CodeEvidenceUnavailable {
			t.Errorf("list: %v", err)
		}
		w.Recorder.Fail(nil)
		w.Recorder.Hook(func(d *evidence.Draft) error {
			if d.Outcome != nil {
				return errors.New("disk full")
			}
			return nil
		})
		_, err = call(t, session, "a_level0")
		if codeOf(t, err) != guard.CodeEvidenceUnavailable {
			t.Errorf("got %v", err)
		}
		w.Recorder.Hook(nil)
	})
}

// TestDenialDetails: a server may choose to explain what it withholds.
func TestDenialDetails(t *testing.T) {
	w := guardtest.New(t)
	s := newServer(nil)
	a := mcpguard.New(w.Guard(), &mcpguard.Options{AllowDenialDetails: true})
	a.Protect(s)
	session := overMemory(t, s, a, newClient(as(w.Agent(badge.LevelSelfSigned))), withoutSessions)
	_, err := call(t, session, "c_level2")
	if d := denialOf(t, err); d.ReasonCode != string(guard.CodeTrustInsufficient) || d.Cause != guard.CauseLevelTooLow || d.DecisionID == "" {
		t.Errorf("got %+v", d)
	}
	_, err = call(t, session, "no_such_tool")
	if d := denialOf(t, err); d.ReasonCode != string(guard.CodeNotFound) {
		t.Errorf("got %+v", d)
	}
}

// policyFunc is a policy of one function.
type policyFunc func(in *guard.Input) (guard.Decision, error)

func (f policyFunc) Decide(_ context.Context, in *guard.Input) (guard.Decision, error) { return f(in) }

// TestOtherCapabilities: with a policy that opens them, prompts and resources work as without a guard.
func TestOtherCapabilities(t *testing.T) {
	for _, r := range rigs {
		t.Run(r.name+" "+r.version, func(t *testing.T) {
			w := guardtest.New(t)
			s := newServer(nil)
			g := w.Guard(func(c *guard.Config) {
				c.Policy = policyFunc(func(in *guard.Input) (guard.Decision, error) {
					return guard.Decision{Kind: guard.Allow, Anonymous: in.Capability.Name != "file:///t/secret"}, nil
				})
			})
			a := mcpguard.Protect(s, g)
			session := r.connect(t, s, a, newClient(anonymous), r.version)
			if _, err := session.GetPrompt(t.Context(), &mcp.GetPromptParams{Name: "hello"}); err != nil {
				t.Error(err)
			}
			res, err := session.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: "file:///t/1"})
			if err != nil {
				t.Fatal(err)
			}
			if r.version == withoutSessions && res.CacheScope != "private" {
				t.Errorf("cacheScope %q", res.CacheScope)
			}
			if _, err := session.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: "file:///t/secret"}); err == nil {
				t.Error("a resource that the policy closes was read")
			}
			list, err := session.ListResourceTemplates(t.Context(), &mcp.ListResourceTemplatesParams{})
			if err != nil || len(list.ResourceTemplates) != 1 {
				t.Errorf("got %v, %v", list, err)
			}
		})
	}
}

package mcpguard_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/mcpguard"
)

// constrained is a policy that allows everything under one constraint.
func constrained(c *guard.Constraints) guard.Policy {
	return policyFunc(func(*guard.Input) (guard.Decision, error) {
		return guard.Decision{Kind: guard.AllowWithConstraints, Rule: "bounded", Anonymous: true, Constraints: c}, nil
	})
}

// newSlowServer has tools that end with their context, that do not, and that say much.
func newSlowServer(stop <-chan struct{}) *mcp.Server {
	s := mcp.NewServer(&mcp.Implementation{Name: "slow", Version: "1"}, nil)
	add := func(name string, fn func(context.Context) string) {
		s.AddTool(&mcp.Tool{Name: name, InputSchema: json.RawMessage(`{"type":"object"}`)}, func(ctx context.Context, _ *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: fn(ctx)}}}, nil
		})
	}
	add("quick", func(context.Context) string { return "secret" })
	add("obeys", func(ctx context.Context) string { <-ctx.Done(); return "secret" })
	add("ignores", func(context.Context) string { <-stop; return "secret" })
	add("long", func(context.Context) string { return strings.Repeat("secret", 100) })
	long, _ := json.Marshal(strings.Repeat("secret", 100)) //nolint:errcheck // a string has a form
	for name, answer := range map[string]func() (*mcp.CallToolResult, error){
		"aside": func() (*mcp.CallToolResult, error) {
			return &mcp.CallToolResult{Meta: mcp.Meta{"more": json.RawMessage(long)}}, nil
		},
		"fails": func() (*mcp.CallToolResult, error) {
			return nil, &jsonrpc.Error{Code: -32000, Message: "no", Data: long}
		},
	} {
		s.AddTool(&mcp.Tool{Name: name, InputSchema: json.RawMessage(`{"type":"object"}`)}, func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return answer()
		})
	}
	return s
}

// TestRuntime: a call that outlives its maximum runtime is answered as refused, whether it ends or not; what it says
// later reaches nobody.
func TestRuntime(t *testing.T) {
	for _, r := range rigs {
		t.Run(r.name+" "+r.version, func(t *testing.T) {
			stop := make(chan struct{})
			w := guardtest.New(t)
			s := newSlowServer(stop)
			a := mcpguard.Protect(s, w.Guard(func(c *guard.Config) {
				c.Policy, c.Grace = constrained(&guard.Constraints{MaxRuntime: 50 * time.Millisecond}), 50*time.Millisecond
				if r.name == "memory" {
					c.Grace = time.Minute // "obeys" ends within it
				}
			}))
			session := r.connect(t, s, a, newClient(anonymous), r.version)
			tools := map[string]string{"obeys": guard.ClassTimeout}
			if r.name != "memory" {
				tools = map[string]string{"ignores": guard.ClassAbandoned}
			}
			for tool, class := range tools {
				_, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: map[string]any{}})
				d := denialOf(t, err)
				if d.ReasonCode != string(guard.CodeConstraintExceeded) || d.Cause != guard.CauseRuntime || d.DecisionID == "" || strings.Contains(err.Error(), "secret") {
					t.Errorf("%s: %+v", tool, d)
				}
				if o := last(t, w.Recorder.Outcomes()); o.ErrorClass != class {
					t.Errorf("%s: recorded %+v", tool, o)
				}
			}
			close(stop)
			if d := last(t, w.Recorder.Decisions()); d.Kind != evidence.AllowWithConstraints || d.Rule != "bounded" {
				t.Errorf("recorded %+v", d)
			}
			checkClosed(t, w)
		})
	}
}

// TestResultSize: a result that is too large is withheld, and a smaller one is not. What stands in its _meta, or in an
// error, is as large.
func TestResultSize(t *testing.T) {
	for _, r := range rigs {
		t.Run(r.name+" "+r.version, func(t *testing.T) {
			w := guardtest.New(t)
			s := newSlowServer(nil)
			a := mcpguard.Protect(s, w.Guard(func(c *guard.Config) { c.Policy = constrained(&guard.Constraints{MaxResultBytes: 200}) }))
			session := r.connect(t, s, a, newClient(anonymous), r.version)
			if res, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "quick", Arguments: map[string]any{}}); err != nil || len(res.Content) != 1 {
				t.Errorf("got %+v, %v", res, err)
			}
			for _, tool := range []string{"long", "aside", "fails"} {
				_, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: map[string]any{}})
				if d := denialOf(t, err); d.ReasonCode != string(guard.CodeConstraintExceeded) || d.Cause != guard.CauseResultSize {
					t.Errorf("%s: got %+v", tool, d)
				}
				if o := last(t, w.Recorder.Outcomes()); o.ErrorClass != guard.ClassResultTooLarge {
					t.Errorf("%s: recorded %+v", tool, o)
				}
			}
		})
	}
}

// limiterFunc is a limiter of one function.
type limiterFunc func(guard.LimitKey) (func(), error)

func (f limiterFunc) Acquire(_ context.Context, k guard.LimitKey, _ *guard.Constraints) (func(), error) {
	return f(k)
}

// TestRetryAfter: who is limited is told when to come back, and nobody else's calls are counted.
func TestRetryAfter(t *testing.T) {
	for _, version := range []string{withSessions, withoutSessions} {
		w := guardtest.New(t)
		s := newSlowServer(nil)
		var held atomic.Int32
		limited := &guard.LimitedError{Cause: guard.CauseRate, RetryAfter: 1500*time.Millisecond + 1}
		mcpguard.Protect(s, w.Guard(func(c *guard.Config) {
			c.Policy = constrained(&guard.Constraints{RatePerMinute: 1})
			c.Limiter = limiterFunc(func(k guard.LimitKey) (func(), error) {
				if k.Capability.Name == "long" {
					return nil, limited
				}
				held.Add(1)
				return func() { held.Add(-1) }, nil
			})
		}))
		session := overMemory(t, s, nil, newClient(anonymous), version)
		_, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "long", Arguments: map[string]any{}})
		if d := denialOf(t, err); d.ReasonCode != string(guard.CodeConstraintExceeded) || d.Cause != guard.CauseRate || d.RetryAfterMS != 1501 {
			t.Errorf("got %+v", d)
		}
		if _, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "quick", Arguments: map[string]any{}}); err != nil {
			t.Error(err)
		}
		if held.Load() != 0 {
			t.Errorf("%d places are held", held.Load())
		}
	}
}

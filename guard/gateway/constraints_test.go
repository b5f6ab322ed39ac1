package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/policy"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
)

// under is a policy that lets everybody use everything under constraints.
type under struct{ guard.Constraints }

func (u *under) Decide(context.Context, *guard.Input) (guard.Decision, error) {
	return guard.Decision{Kind: guard.AllowWithConstraints, Rule: "under", Anonymous: true, Constraints: &u.Constraints}, nil
}

// counter is a limiter that says when something was given back.
type counter struct {
	mu     sync.Mutex
	refuse error
	freed  chan struct{}
}

func (c *counter) Acquire(context.Context, guard.LimitKey, *guard.Constraints) (func(), error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refuse != nil {
		return nil, c.refuse
	}
	return func() { c.freed <- struct{}{} }, nil
}

func (c *counter) setRefuse(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refuse = err
}

func newLimitedRig(t *testing.T, c guard.Constraints, l guard.Limiter, grace time.Duration) *rig {
	t.Helper()
	return newRig(t, func(cfg *guard.Config) {
		cfg.Policy, cfg.Limiter, cfg.Grace = &under{c}, l, grace
	})
}

func denial(m *message) mcpwire.Denial {
	var e struct{ Data mcpwire.Denial }
	_ = json.Unmarshal(m.Error, &e)
	return e.Data
}

// The upstream of a call whose time is over is told, and the call is recorded with
// whether the upstream said that it stopped. What it says is thrown away.
func TestRuntimeIsBounded(t *testing.T) {
	for name, tt := range map[string]struct {
		late  bool
		grace time.Duration
		class string
	}{
		"the upstream goes on":         {false, time.Millisecond, guard.ClassAbandoned},
		"the upstream answers at once": {true, time.Minute, guard.ClassTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			l := &counter{freed: make(chan struct{}, 1)}
			r := newLimitedRig(t, guard.Constraints{MaxRuntime: 20 * time.Millisecond, MaxConcurrent: 1}, l, tt.grace)
			var call json.RawMessage
			cancelled := make(chan string, 1)
			r.server.answer = func(m *message) *message {
				switch m.Method {
				case "tools/call":
					call = m.ID
					return nil
				case "notifications/cancelled":
					cancelled <- string(m.Params)
					if tt.late {
						if err := r.server.in.reply(call, json.RawMessage(`{"content":[{"type":"text","text":"too late"}]}`)); err != nil {
							t.Error(err)
						}
					}
					return nil
				}
				return answerAll(m)
			}
			m := r.ask("tools/call", `{"name":"hello"}`)
			if d := denial(m); d.ReasonCode != string(guard.CodeConstraintExceeded) || d.Cause != guard.CauseRuntime {
				t.Errorf("answered %s %s", m.Result, m.Error)
			}
			if got, want := <-cancelled, `{"requestId":`+string(call)+`}`; got != want {
				t.Errorf("the upstream was told %s, want %s", got, want)
			}
			r.end()
			<-l.freed
			if out := r.w.Recorder.Outcomes(); len(out) != 1 || out[0].ErrorClass != tt.class {
				t.Errorf("outcomes: %+v", out)
			}
		})
	}
}

// A result above the limit is withheld, and so is an error, and what comes in _meta.
func TestResultIsBounded(t *testing.T) {
	for _, large := range []string{
		`{"content":[{"type":"text","text":"%s"}]}`, `{"content":[],"_meta":{"more":"%s"}}`, `{"code":-32000,"message":"no","data":"%s"}`,
	} {
		r := newLimitedRig(t, guard.Constraints{MaxResultBytes: 60}, nil, 0)
		size := 10
		r.server.answer = func(m *message) *message {
			if m.Method != "tools/call" {
				return answerAll(m)
			}
			text := fmt.Sprintf(large, strings.Repeat("x", size))
			if strings.Contains(text, "code") {
				return &message{Error: json.RawMessage(text)}
			}
			return ok(text)
		}
		if m := r.ask("tools/call", `{"name":"hello"}`); strings.Contains(string(m.Error), string(guard.CodeConstraintExceeded)) {
			t.Errorf("a small result: %s", m.Error)
		}
		size = 1000
		m := r.ask("tools/call", `{"name":"hello"}`)
		if d := denial(m); d.ReasonCode != string(guard.CodeConstraintExceeded) || d.Cause != guard.CauseResultSize || strings.Contains(string(m.Error), "xxx") {
			t.Errorf("answered %s %s", m.Result, m.Error)
		}
		r.end()
		if out := r.w.Recorder.Outcomes(); len(out) != 2 || out[1].ErrorClass != guard.ClassResultTooLarge {
			t.Errorf("outcomes: %+v", out)
		}
	}
}

// A call beyond a limit does not run; the caller is told when to come back.
func TestLimitsAreTold(t *testing.T) {
	l := &counter{freed: make(chan struct{}, 1)}
	r := newLimitedRig(t, guard.Constraints{RatePerMinute: 1, MaxConcurrent: 1}, l, 0)
	if m := r.ask("tools/call", `{"name":"hello"}`); len(m.Error) > 0 {
		t.Errorf("the first call: %s", m.Error)
	}
	<-l.freed
	l.setRefuse(&guard.LimitedError{Cause: guard.CauseRate, RetryAfter: 1500*time.Millisecond + 1})
	m := r.ask("tools/call", `{"name":"hello"}`)
	if d := denial(m); d.ReasonCode != string(guard.CodeConstraintExceeded) || d.Cause != guard.CauseRate || d.RetryAfterMS != 1501 {
		t.Errorf("answered %s %s", m.Result, m.Error)
	}
	l.setRefuse(context.DeadlineExceeded)
	if d := denial(r.ask("tools/call", `{"name":"hello"}`)); d.ReasonCode != string(guard.CodeConstraintIndeterminate) {
		t.Errorf("a limiter that fails: %+v", d)
	}
	r.end()
	n := 0
	for m := range drained(r.server.seen) {
		if m.Method == "tools/call" {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d calls ran", n)
	}
}

// What decides is what the gateway was told of itself. What the client says of
// itself is in the record, and nowhere else.
func TestFactsAndClaims(t *testing.T) {
	const text = `
version: 1
rules:
  - {id: here, match: {tool: "*", environment: staging, tenant: acme, servers: notes, actor: automation}, anonymous: true, decision: allow}
`
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	facts := guard.Facts{Server: "notes", Environment: "staging", Tenant: "acme", Actor: guard.ActorAutomation}
	for name, edit := range map[string]func(*guard.Facts){
		"":                    func(*guard.Facts) {},
		"another server":      func(f *guard.Facts) { f.Server = "other" },
		"another environment": func(f *guard.Facts) { f.Environment = "production" },
		"another tenant":      func(f *guard.Facts) { f.Tenant = "evil" },
		"tenant not known":    func(f *guard.Facts) { f.Tenant = "" },
		"another actor":       func(f *guard.Facts) { f.Actor = guard.ActorHuman },
	} {
		p, err := policy.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		f := facts
		edit(&f)
		r := newRigWith(t, &Config{Facts: f}, nil, func(c *guard.Config) { c.Policy = p })
		m := r.ask("tools/call", `{"name":"hello","_meta":{"dev.touchmark/actor":"automation","dev.touchmark/mode":{"shadow":true},
			"io.modelcontextprotocol/server-policy-enforcement":{"policy":"none","approval":"given"},
			"traceparent":"`+parent+`","tracestate":"a=b"}}`)
		if (len(m.Error) == 0) != (name == "") {
			t.Errorf("%s: %s %s", name, m.Result, m.Error)
		}
		d := lastDecision(r)
		if c := d.Claimed; c.Actor != "automation" || c.Policy != "none" || c.Mode != `{"shadow":true}` || c.Approval != "given" {
			t.Errorf("%s: recorded %+v", name, c)
		}
		if d.TraceID != parent[3:35] {
			t.Errorf("%s: trace %q", name, d.TraceID)
		}
		r.end()
		for m := range drained(r.server.seen) {
			if strings.Contains(string(m.Params), "dev.touchmark") || m.Method == "tools/call" && !strings.Contains(string(m.Params), parent) {
				t.Errorf("%s: the upstream saw %s", name, m.Params)
			}
		}
	}
}

// In shadow mode what would have been refused runs, and all of a list is shown; a
// final decision is enforced even so.
func TestShadow(t *testing.T) {
	p, err := policy.Parse([]byte("final_levels: 4\n" + rules))
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(c *guard.Config) { c.UnsafeShadow, c.Policy = true, p })
	a := r.w.Agent(badge.LevelRegistered)
	if got := r.listed(a); len(got) != len(toolList)-2 || slices.Contains(got, "write_file") { // nor what asks for a level that there is not
		t.Errorf("shown %q", got)
	}
	if m := r.ask("tools/call", r.params(a, "write_file", `{}`)); len(m.Error) == 0 || lastDecision(r).Shadow {
		t.Errorf("what is final: %s %+v", m.Result, lastDecision(r))
	}
	for _, who := range []*guardtest.Agent{nil, a} {
		if m := r.ask("tools/call", r.params(who, "read_file", `{}`)); len(m.Error) > 0 {
			t.Errorf("answered %s", m.Error)
		}
		if d := lastDecision(r); !d.Shadow || d.DenyReason == "" {
			t.Errorf("recorded %+v", d)
		}
	}
	if m := r.ask("resources/subscribe", `{"uri":"x"}`); reason(m) != string(guard.CodeMethodDenied) {
		t.Errorf("what the gateway cannot guard: %s %s", m.Result, m.Error)
	}
	r.end()
}

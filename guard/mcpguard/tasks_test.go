package mcpguard_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/touchmark-dev/touchmark/badge"
	"github.com/touchmark-dev/touchmark/badge/pop"
	"github.com/touchmark-dev/touchmark/evidence"
	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/guardtest"
	"github.com/touchmark-dev/touchmark/guard/mcpguard"
	"github.com/touchmark-dev/touchmark/internal/mcpwire"
)

// The shapes of tasks, of which the SDK has none.
type (
	taskParams struct {
		mcp.ParamsBase
		TaskID string `json:"taskId,omitempty"`
		Cursor string `json:"cursor,omitempty"`
	}
	taskResult struct { // of the extension: flat
		mcp.ResultBase
		ResultType string `json:"resultType"`
		TaskID     string `json:"taskId"`
		Status     string `json:"status,omitempty"`
		TTLMS      int64  `json:"ttlMs,omitempty"`
	}
	nestedTaskResult struct { // of 2025-11-25
		mcp.ResultBase
		Task struct {
			TaskID string `json:"taskId"`
			TTL    *int64 `json:"ttl"`
		} `json:"task"`
	}
	taskEntry struct {
		TaskID string `json:"taskId"`
		Status string `json:"status"`
	}
	tasksResult struct {
		mcp.ResultBase
		Tasks      []taskEntry `json:"tasks"`
		NextCursor string      `json:"nextCursor,omitempty"`
	}
)

// taskMethods are those that are about one task.
var taskMethods = []string{"tasks/get", "tasks/result", "tasks/cancel", "tasks/update"}

// taskServer is a server whose tools "start" and "start_nested" begin tasks. It looks at nobody's rights.
type taskServer struct {
	*mcp.Server
	mu    sync.Mutex
	ids   []string
	calls int // of methods about tasks
}

func newTaskServer(t *testing.T) *taskServer {
	t.Helper()
	s := &taskServer{Server: newServer(&mcp.ServerOptions{PageSize: 3})}
	for _, name := range []string{"start", "start_nested"} {
		mcp.AddTool(s.Server, mcpguard.MinLevel(&mcp.Tool{Name: name}, badge.LevelRegistered),
			func(context.Context, *mcp.CallToolRequest, echo) (*mcp.CallToolResult, any, error) {
				return nil, nil, nil
			})
	}
	s.AddReceivingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
			if p, ok := req.GetParams().(*mcp.CallToolParamsRaw); ok && p != nil && (p.Name == "start" || p.Name == "start_nested") {
				return s.start(p.Name), nil
			}
			return next(ctx, method, req)
		}
	})
	one := func(_ context.Context, _ *mcp.ServerSession, p *taskParams) (*taskResult, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.calls++
		if p == nil || !slices.Contains(s.ids, p.TaskID) {
			return nil, &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: "the server's own answer"}
		}
		return &taskResult{ResultType: "complete", TaskID: p.TaskID, Status: "working"}, nil
	}
	list := func(_ context.Context, _ *mcp.ServerSession, p *taskParams) (*tasksResult, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		from := 0
		if p != nil && p.Cursor != "" {
			from = slices.Index(s.ids, p.Cursor) + 1
		}
		res := &tasksResult{Tasks: []taskEntry{}}
		for _, id := range s.ids[from:min(from+2, len(s.ids))] {
			res.Tasks = append(res.Tasks, taskEntry{id, "working"})
		}
		if from+2 < len(s.ids) {
			res.NextCursor = s.ids[from+1]
		}
		return res, nil
	}
	for _, method := range taskMethods {
		if err := mcp.AddReceivingCustomMethod(s.Server, method, one); err != nil {
			t.Fatal(err)
		}
	}
	if err := mcp.AddReceivingCustomMethod(s.Server, "tasks/list", list); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *taskServer) start(tool string) mcp.Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := fmt.Sprintf("task-%d", len(s.ids)+1)
	s.ids = append(s.ids, id)
	if tool == "start" {
		return &taskResult{ResultType: "task", TaskID: id, Status: "working", TTLMS: 60_000}
	}
	res := &nestedTaskResult{}
	res.Task.TaskID = id
	return res
}

// A taskCaller is somebody who uses tasks.
type taskCaller struct {
	t       *testing.T
	session *mcp.ClientSession
	agent   *guardtest.Agent // nil for nobody
}

func newTaskCaller(t *testing.T, r rig, s *taskServer, a *mcpguard.Adapter, agent *guardtest.Agent) *taskCaller {
	t.Helper()
	present := anonymous
	if agent != nil {
		present = as(agent)
	}
	c := newClient(present)
	for _, method := range taskMethods {
		if err := mcp.AddSendingCustomMethod[*taskParams, *taskResult](c, method); err != nil {
			t.Fatal(err)
		}
	}
	if err := mcp.AddSendingCustomMethod[*taskParams, *tasksResult](c, "tasks/list"); err != nil {
		t.Fatal(err)
	}
	return &taskCaller{t, r.connect(t, s.Server, a, c, r.version), agent}
}

func (c *taskCaller) meta(method string, arguments any) mcp.ParamsBase {
	c.t.Helper()
	if c.agent == nil {
		return mcp.ParamsBase{}
	}
	meta := mcp.Meta{mcpwire.MetaBadge: c.agent.Badge}
	if arguments != nil {
		text, err := json.Marshal(arguments)
		if err != nil {
			c.t.Fatal(err)
		}
		meta[mcpwire.MetaHop], meta[mcpwire.MetaTxn] = c.agent.Prove(&pop.Call{Method: method, Target: method, Arguments: text})
	}
	return mcp.ParamsBase{Meta: meta}
}

// start begins a task. The SDK's client knows no tasks: that the call ran is seen by the record.
func (c *taskCaller) start(s *taskServer, tool string) string {
	c.t.Helper()
	_, _ = call(c.t, c.session, tool) // the client may not understand the answer
	s.mu.Lock()
	defer s.mu.Unlock()
	return last(c.t, s.ids)
}

func (c *taskCaller) use(method, id string) (*taskResult, error) {
	p := &taskParams{ParamsBase: c.meta(method, map[string]any{"taskId": id}), TaskID: id}
	return mcp.CallCustomMethod[*taskParams, *taskResult](c.t.Context(), c.session, method, p)
}

func (c *taskCaller) list() (ids []string) {
	c.t.Helper()
	for cursor := ""; ; {
		p := &taskParams{ParamsBase: c.meta("tasks/list", nil), Cursor: cursor}
		res, err := mcp.CallCustomMethod[*taskParams, *tasksResult](c.t.Context(), c.session, "tasks/list", p)
		if err != nil {
			c.t.Fatal(err)
		}
		for _, e := range res.Tasks {
			ids = append(ids, e.TaskID)
		}
		if res.NextCursor == "" {
			return ids
		}
		cursor = res.NextCursor
	}
}

// TestTasks: a task is its maker's, and used as what it came from; for anybody else it is one that does not exist.
func TestTasks(t *testing.T) {
	for _, r := range rigs {
		t.Run(r.name+" "+r.version, func(t *testing.T) {
			w := guardtest.New(t)
			s := newTaskServer(t)
			a := mcpguard.Protect(s.Server, w.Guard())
			alice := newTaskCaller(t, r, s, a, w.Agent(badge.LevelDomain))
			mallory := newTaskCaller(t, r, s, a, w.Agent(badge.LevelExtended))
			nobody := newTaskCaller(t, r, s, a, nil)
			var hers []string
			for _, tool := range []string{"start", "start_nested", "start"} {
				hers = append(hers, alice.start(s, tool))
			}
			his := mallory.start(s, "start")
			for _, method := range taskMethods {
				for _, id := range hers {
					res, err := alice.use(method, id)
					if err != nil || res.TaskID != id || res.Meta[mcpwire.MetaEvidence] == nil {
						t.Errorf("%s of her own task: %+v, %v", method, res, err)
					}
				}
				d := last(t, w.Recorder.Decisions())
				if d.Method != method || d.Capability != "tool" || d.Target != "start" || d.MinLevel != "1" {
					t.Errorf("recorded %+v", d)
				}
				before := s.calls
				for _, c := range []*taskCaller{mallory, nobody} {
					var answers []string
					for _, id := range []string{hers[0], "no-such-task"} {
						_, err := c.use(method, id)
						answers = append(answers, fmt.Sprint(wireError(t, err)))
						if d := last(t, w.Recorder.Decisions()); d.Kind != evidence.Deny || d.Target != id || d.DenyReason != string(guard.CodeNotFound) {
							t.Errorf("recorded %+v", d)
						}
					}
					if answers[0] != answers[1] {
						t.Errorf("%s: answers %q", method, answers)
					}
				}
				if s.calls != before {
					t.Errorf("%s: the server was asked about another's task", method)
				}
			}
			if got := alice.list(); !slices.Equal(got, hers) {
				t.Errorf("her list: %v, want %v", got, hers)
			}
			if got := mallory.list(); !slices.Equal(got, []string{his}) {
				t.Errorf("his list: %v", got)
			}
			if got := nobody.list(); len(got) != 0 {
				t.Errorf("nobody's list: %v", got)
			}
			if d := last(t, w.Recorder.Decisions()); d.Method != "tasks/list" || *d.Shown != 0 || *d.Withheld != 4 {
				t.Errorf("recorded %+v", d)
			}
			checkClosed(t, w)
		})
	}
}

// TestTaskDecisionIsAskedAgain: who may no longer use the tool may no longer use what it began.
func TestTaskDecisionIsAskedAgain(t *testing.T) {
	for _, version := range []string{withSessions, withoutSessions} {
		w := guardtest.New(t)
		s := newTaskServer(t)
		allowed := true
		a := mcpguard.Protect(s.Server, w.Guard(func(c *guard.Config) {
			c.Policy = policyFunc(func(in *guard.Input) (guard.Decision, error) {
				if in.Capability != (guard.Capability{Kind: guard.KindTool, Name: "start"}) {
					t.Errorf("asked about %+v", in.Capability)
				}
				if !allowed {
					return guard.Decision{}, nil
				}
				return guard.Decision{Kind: guard.Allow, MinLevel: badge.LevelRegistered}, nil
			})
		}))
		alice := newTaskCaller(t, rig{"memory", version, toMemory}, s, a, w.Agent(badge.LevelDomain))
		id := alice.start(s, "start")
		if _, err := alice.use("tasks/get", id); err != nil {
			t.Fatal(err)
		}
		if allowed = false; len(alice.list()) != 0 {
			t.Error("it is still listed")
		}
		_, err := alice.use("tasks/get", id)
		_, absent := alice.use("tasks/get", "no-such-task")
		if err == nil || err.Error() != absent.Error() {
			t.Errorf("got %v, and of no task %v", err, absent)
		}
		decisions := w.Recorder.Decisions()
		if d := decisions[len(decisions)-2]; d.DenyReason != string(guard.CodePolicyDenied) || d.Target != "start" {
			t.Errorf("recorded %+v", d)
		}
		allowed = true
		s.RemoveTools("start")
		if _, err := alice.use("tasks/get", id); err == nil {
			t.Error("a task of a tool that is gone")
		}
	}
}

// TestTaskOfAnonymous: a task that nobody in particular began is for those who know its id, and in no list.
func TestTaskOfAnonymous(t *testing.T) {
	w := guardtest.New(t)
	s := newTaskServer(t)
	a := mcpguard.Protect(s.Server, w.Guard(func(c *guard.Config) {
		c.Policy = policyFunc(func(*guard.Input) (guard.Decision, error) {
			return guard.Decision{Kind: guard.Allow, Anonymous: true}, nil
		})
	}))
	s.RemoveTools("start") // its annotation would close it to them
	mcp.AddTool(s.Server, &mcp.Tool{Name: "start"}, func(context.Context, *mcp.CallToolRequest, echo) (*mcp.CallToolResult, any, error) {
		return nil, nil, nil
	})
	r := rig{"memory", withoutSessions, toMemory}
	one, other := newTaskCaller(t, r, s, a, nil), newTaskCaller(t, r, s, a, nil)
	id := one.start(s, "start")
	if _, err := other.use("tasks/get", id); err != nil {
		t.Error(err)
	}
	if got := append(one.list(), other.list()...); len(got) != 0 {
		t.Errorf("listed: %v", got)
	}
	if _, err := newTaskCaller(t, r, s, a, w.Agent(badge.LevelExtended)).use("tasks/get", id); err == nil {
		t.Error("a task of nobody in particular is somebody's")
	}
}
